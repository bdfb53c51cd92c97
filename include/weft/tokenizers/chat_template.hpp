#pragma once

#include <cstddef>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/tokenizers/chat_template_limits.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// One message of a conversation.
struct ChatMessage {
  std::string role;
  std::string content;
  /// An object with further fields, from parse_json(): "tool_calls", "tool_call_id", "reasoning_content", ...; one
  /// named "content" (a list of parts, or null) takes the place of `content`.
  Json more = {};
};

struct ChatTemplateOptions {
  bool add_generation_prompt = false;   ///< end with what begins an answer of the model
  bool continue_final_message = false;  ///< end within the last message, which the model is to go on with
  std::string chat_template = {};       ///< which of several; none: "tool_use" where there are tools, else "default"
  Json tools = {};                      ///< an array with the JSON schemas of functions
  Json documents = {};                  ///< an array of objects with "title" and "text"
  Json variables = {};                  ///< an object with what else the template looks at: {"enable_thinking": false}
  std::optional<std::tm> now = {};      ///< what strftime_now() tells; none: the local time
  ChatTemplateLimits limits = {};
};

/// One of the templates of a model, which has one named "default", and may have others.
struct ChatTemplateText {
  std::string name = "default";
  std::string text;
  std::string source = "the chat template";  ///< the file that it is from, for errors
};

namespace detail {
struct ParsedChatTemplate;
}

/// Makes the text of a conversation that a model was trained on, of its messages, by the template that comes with it: a
/// program in the language of Jinja 3 (jinja.palletsprojects.com) as transformers runs it
/// (utils/chat_template_utils.py: an immutable sandbox, trim_blocks and lstrip_blocks, break and continue, tojson,
/// raise_exception, strftime_now). The text is that of transformers' apply_chat_template(tokenize=False), character by
/// character, but that integers have 64 bits and that filters like map and select fail at once, not when their elements
/// are used. Nothing outside of what is given and the clock can be reached by a template.
///
///   const auto chat = weft::load_chat_template("path/to/model");
///   std::string prompt = chat->apply({{"user", "Hello!"}}, {.add_generation_prompt = true});
///   generate(prompt, {.add_special_tokens = false});  // the template has written them
///
/// Special tokens that users write into their messages become tokens like those of the template, as in transformers.
///
/// Copies share the templates; all methods are const and may be called from several threads.
class ChatTemplate {
 public:
  /// `special_tokens` are variables of the templates: {{"bos_token", "<s>"}, {"eos_token", "</s>"}}. Throws FormatError
  /// naming the source, the line, what was found and what was expected; UnsupportedError for tags that weft does not
  /// have (those that reach for other templates).
  explicit ChatTemplate(std::string text, std::map<std::string, std::string> special_tokens = {});
  explicit ChatTemplate(std::vector<ChatTemplateText> templates,
                        std::map<std::string, std::string> special_tokens = {});

  /// The text of a conversation. Messages lose the fields that are null, and have their reasoning under all names that
  /// templates read it by (reasoning_content, thinking), as in transformers.
  ///
  /// Throws TokenizerError with the template's own words where it does not take such messages (raise_exception),
  /// FormatError naming source and line where it fails or reaches a limit, UnsupportedError for filters and functions
  /// that weft does not have, ConfigError without messages, for a template that there is not, and where there is
  /// nothing to continue.
  std::string apply(const std::vector<ChatMessage>& messages, const ChatTemplateOptions& options = {}) const;
  /// The same with messages as JSON, as programs exchange them: [{"role": "user", "content": "Hello!"}]. Throws
  /// FormatError where that is no array of objects.
  std::string apply(const Json& messages, const ChatTemplateOptions& options = {}) const;

  /// The tokens of the text, which has all special tokens in it: none are added.
  std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages,
                              const ChatTemplateOptions& options = {}) const {
    return tokenizer.encode(apply(messages, options), {.add_special_tokens = false});
  }
  std::vector<TokenId> encode(const Tokenizer& tokenizer, const Json& messages,
                              const ChatTemplateOptions& options = {}) const {
    return tokenizer.encode(apply(messages, options), {.add_special_tokens = false});
  }

  /// The templates that there are.
  const std::vector<ChatTemplateText>& templates() const noexcept { return *templates_; }
  const std::map<std::string, std::string>& special_tokens() const noexcept { return special_tokens_; }

 private:
  const detail::ParsedChatTemplate& choose(const ChatTemplateOptions& options) const;

  std::shared_ptr<const std::vector<ChatTemplateText>> templates_;
  std::vector<std::shared_ptr<const detail::ParsedChatTemplate>> parsed_;
  std::map<std::string, std::string> special_tokens_;
};

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/tokenizers/chat_template.inl>
#endif
