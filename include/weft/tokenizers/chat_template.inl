#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/jinja/interpreter.hpp>
#include <weft/tokenizers/jinja/json_dump.hpp>
#include <weft/tokenizers/jinja/parser.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/syntax.hpp>
#include <weft/tokenizers/jinja/text.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0 {

namespace detail {

struct ParsedChatTemplate {
  std::string source;
  jinja::Block block;
};

/// Makes the variables of a template and renders it.
class ChatRendering {
 public:
  using Entries = std::vector<std::pair<std::string, jinja::Value>>;

  ChatRendering(const ParsedChatTemplate& parsed, const ChatTemplateOptions& options)
      : parsed_(parsed), options_(options), run_(parsed.source, options.limits) {
    run_.now = options.now;
  }

  void add(const ChatMessage& message) {
    Entries entries;
    entries.emplace_back("role", text(message.role));
    if (!message.more.contains("content")) entries.emplace_back("content", text(message.content));
    if (!message.more.is_null()) append(message.more, entries);
    messages_.push_back(std::move(entries));
  }
  void add(const Json& message) {
    Entries entries;
    append(message, entries);
    messages_.push_back(std::move(entries));
  }

  std::string render(const std::map<std::string, std::string>& special_tokens) {
    if (messages_.empty()) raise<ConfigError>("apply: there are no messages");
    if (options_.continue_final_message) mark_end();
    for (const auto& [name, token] : special_tokens) set(name, text(token));
    if (!options_.variables.is_null())
      for (const Json& variable : options_.variables.as_object()) set(variable.key(), from_json(run_, variable));
    std::vector<jinja::Value> messages;
    for (const Entries& entries : messages_) messages.push_back(dict(with_reasoning(entries)));
    set("messages", run_.list(std::move(messages)));
    for (const auto& [name, list] :
         {std::pair("tools", &options_.tools), std::pair("documents", &options_.documents)}) {
      if (!list->is_null()) static_cast<void>(list->as_array());
      set(name, from_json(run_, *list));
    }
    set("add_generation_prompt", jinja::Value::boolean(options_.add_generation_prompt));
    std::string out = jinja::Interpreter(run_).render(parsed_.block, variables_);
    return options_.continue_final_message ? cut(std::move(out)) : out;
  }

 private:
  // As in transformers: what is appended to the last message, and where the text is cut.
  static constexpr std::string_view tag = "CONTINUE_FINAL_MESSAGE_TAG ";

  jinja::Value text(std::string_view bytes) {
    std::string repaired;
    append_repaired(bytes, true, repaired);
    return run_.string(std::move(repaired));
  }

  void set(std::string_view name, jinja::Value value) { variables_.emplace_back(name, std::move(value)); }

  void append(const Json& message, Entries& entries) {
    for (const Json& field : message.as_object())
      if (!field.is_null()) {
        if (const auto known = find(entries, field.key())) {
          *known = from_json(run_, field);
        } else {
          entries.emplace_back(field.key(), from_json(run_, field));
        }
      }
  }

  static jinja::Value* find(Entries& entries, std::string_view name) noexcept {
    for (auto& [key, value] : entries)
      if (key == name) return &value;
    return nullptr;
  }

  jinja::Value dict(const Entries& entries) {
    std::vector<std::pair<jinja::Value, jinja::Value>> values;
    for (const auto& [name, value] : entries) values.emplace_back(run_.string(name), value);
    return make_dict(run_, std::move(values));
  }

  /// What the model thought is under the names "thinking" and "reasoning_content" wherever it is under one that is
  /// known.
  static Entries with_reasoning(Entries entries) {
    const jinja::Value* found = nullptr;
    for (const char* name : {"reasoning_content", "thinking", "reasoning"})
      if (!found) found = find(entries, name);
    if (!found) return entries;
    const jinja::Value reasoning = *found;
    Entries out;
    const jinja::Value* thinking = find(entries, "thinking");
    out.emplace_back("thinking", thinking ? *thinking : reasoning);
    for (auto& [name, value] : entries)
      if (name != "thinking") out.emplace_back(name, value);
    if (jinja::Value* content = find(out, "reasoning_content")) {
      *content = reasoning;
    } else {
      out.emplace_back("reasoning_content", reasoning);
    }
    return out;
  }

  /// Appends the tag to the last text of the last message.
  void mark_end() {
    if (options_.add_generation_prompt)
      raise<ConfigError>("apply: add_generation_prompt begins a new message, continue_final_message does not");
    jinja::Value* content = find(messages_.back(), "content");
    if (!content) raise<ConfigError>("apply: the last message has no content to continue");
    if (content->is_string()) {
      final_ = content->characters();
      *content = run_.string(final_ + std::string(tag));
      return;
    }
    std::vector<jinja::Value> parts = elements_of(run_, *content);
    for (std::size_t i = parts.size(); i-- > 0;) {
      if (!parts[i].is(jinja::Kind::dict) || !jinja::find_entry(parts[i].dict(), "text")) continue;
      auto entries = parts[i].dict().entries;
      for (auto& [name, value] : entries)
        if (name.is_string() && name.characters() == "text" && value.is_string()) {
          final_ = value.characters();
          value = run_.string(final_ + std::string(tag));
        }
      parts[i] = make_dict(run_, std::move(entries));
      *content = run_.list(std::move(parts));
      return;
    }
    raise<ConfigError>("apply: the last message has no text to continue");
  }

  std::string cut(std::string out) const {
    const std::string_view mark = tag.substr(0, tag.size() - 1);
    const std::size_t found = out.rfind(mark);
    if (found == out.npos || out.find(jinja::strip(final_)) == out.npos)
      raise<ConfigError>(parsed_.source,
                         ": the template leaves the last message out or changes it: ", "there is nothing to continue");
    const bool keeps_spaces = std::string_view(out).substr(found).starts_with(tag);
    out.resize(found);
    return keeps_spaces ? out : std::string(jinja::strip(out, false, true));
  }

  const ParsedChatTemplate& parsed_;
  const ChatTemplateOptions& options_;
  jinja::Run run_;
  std::vector<Entries> messages_;
  jinja::Interpreter::Variables variables_;
  std::string final_;
};

}  // namespace detail

WEFT_INLINE ChatTemplate::ChatTemplate(std::string text, std::map<std::string, std::string> special_tokens)
    : ChatTemplate(std::vector<ChatTemplateText>(1, ChatTemplateText{.text = std::move(text)}),
                   std::move(special_tokens)) {}

WEFT_INLINE ChatTemplate::ChatTemplate(std::vector<ChatTemplateText> templates,
                                       std::map<std::string, std::string> special_tokens)
    : templates_(std::make_shared<const std::vector<ChatTemplateText>>(std::move(templates))),
      special_tokens_(std::move(special_tokens)) {
  constexpr std::size_t most = std::size_t{1} << 20;  // the longest that are known have 30 thousand
  for (const ChatTemplateText& one : *templates_) {
    if (one.text.size() > most)
      raise<FormatError>(one.source, ": found a chat template of ", one.text.size(), " bytes, expected at most ", most);
    auto parsed = std::make_shared<detail::ParsedChatTemplate>();
    parsed->source = one.source;
    parsed->block = detail::jinja::Parser(one.text, one.source).parse();
    parsed_.push_back(std::move(parsed));
  }
}

WEFT_INLINE const detail::ParsedChatTemplate& ChatTemplate::choose(const ChatTemplateOptions& options) const {
  const auto named = [&](std::string_view name) -> const detail::ParsedChatTemplate* {
    for (std::size_t i = 0; i < templates_->size(); ++i)
      if ((*templates_)[i].name == name) return parsed_[i].get();
    return nullptr;
  };
  const detail::ParsedChatTemplate* chosen = nullptr;
  if (!options.chat_template.empty()) {
    chosen = named(options.chat_template);
  } else {
    if (!options.tools.is_null()) chosen = named("tool_use");
    if (!chosen) chosen = named("default");
  }
  if (chosen) return *chosen;
  std::string names;
  for (const ChatTemplateText& one : *templates_) names += (names.empty() ? "" : ", ") + one.name;
  raise<ConfigError>("apply: there is no chat template named \"",
                     options.chat_template.empty() ? std::string("default") : options.chat_template,
                     "\", but: ", names);
}

WEFT_INLINE std::string ChatTemplate::apply(const std::vector<ChatMessage>& messages,
                                            const ChatTemplateOptions& options) const {
  detail::ChatRendering rendering(choose(options), options);
  for (const ChatMessage& message : messages) rendering.add(message);
  return rendering.render(special_tokens_);
}

WEFT_INLINE std::string ChatTemplate::apply(const Json& messages, const ChatTemplateOptions& options) const {
  detail::ChatRendering rendering(choose(options), options);
  for (const Json& message : messages.as_array()) rendering.add(message);
  return rendering.render(special_tokens_);
}

}  // namespace weft::inline v0
