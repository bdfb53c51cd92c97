#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/json.hpp>
#include <weft/tokenizers/gguf_tokenizer.hpp>
#include <weft/tokenizers/tiktoken.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>

namespace weft::inline v0 {

namespace detail {

/// The templates of a GGUF file and the tokens that its metadata name.
inline std::shared_ptr<const ChatTemplate> gguf_chat_template(const GgufFile& file) {
  constexpr std::string_view key = "tokenizer.chat_template";
  std::vector<ChatTemplateText> templates;
  for (const GgufValue& value : file.metadata()) {
    const bool is_default = value.key() == key;
    if (!is_default && !(value.key().starts_with(key) && value.key().substr(key.size()).starts_with('.'))) continue;
    templates.push_back({.name = is_default ? "default" : std::string(value.key().substr(key.size() + 1)),
                         .text = std::string(value.as_string()),
                         .source = concat(file.path(), ": ", value.key())});
  }
  if (templates.empty()) return nullptr;
  std::map<std::string, std::string> tokens;
  if (const std::optional<GgufVocabulary> vocabulary = read_gguf_vocabulary(file)) {
    const auto add = [&](const char* name, std::optional<TokenId> id) {
      if (id && *id >= 0 && static_cast<std::size_t>(*id) < vocabulary->tokens.size())
        tokens[name] = vocabulary->tokens[static_cast<std::size_t>(*id)];
    };
    add("bos_token", vocabulary->bos);
    add("eos_token", vocabulary->eos);
    add("unk_token", vocabulary->unk);
    add("pad_token", vocabulary->pad);
    add("sep_token", vocabulary->sep);
    add("cls_token", vocabulary->cls);
  }
  return std::make_shared<const ChatTemplate>(std::move(templates), std::move(tokens));
}

/// What lies among the files of a Hugging Face directory.
class ChatTemplateFiles {
 public:
  explicit ChatTemplateFiles(FileSet files) : files_(std::move(files)) {}

  std::shared_ptr<const ChatTemplate> read() {
    std::vector<ChatTemplateText> templates = texts();
    if (templates.empty()) return nullptr;
    return std::make_shared<const ChatTemplate>(std::move(templates), special_tokens());
  }
  std::vector<ChatTemplateText> texts() {
    read_jinja_files();
    if (templates_.empty()) read_json("tokenizer_config.json");
    if (templates_.empty()) read_json("chat_template.json");
    return std::move(templates_);
  }

 private:
  void read_file(std::string name, std::string_view path) {
    const Source file = files_.open(path);
    templates_.push_back({.name = std::move(name), .text = std::string(file.bytes().text()), .source = file.name()});
  }

  void read_jinja_files() {
    if (files_.contains("chat_template.jinja")) read_file("default", "chat_template.jinja");
    for (const std::string& name : files_.names_in("additional_chat_templates"))
      if (const std::filesystem::path path(name); path.extension() == ".jinja") read_file(path.stem().string(), name);
  }

  void read_json(const char* name) {
    if (!files_.contains(name)) return;
    const Json json = parse_json(files_.open(name));
    const Json* found = json.given("chat_template");
    if (!found) return;
    const auto add = [&](std::string_view named, const Json& text) {
      templates_.push_back(
          {.name = std::string(named), .text = std::string(text.as_string()), .source = text.location()});
    };
    if (!found->is_array()) return add("default", *found);
    for (const Json& one : *found) add(one.at("name").as_string(), one.at("template"));
  }

  /// Those that the files state, and those that are usual where load_tokenizer() takes them for granted.
  std::map<std::string, std::string> special_tokens() const {
    const bool usual = !files_.contains("tokenizer.json") && files_.contains("tokenizer.model") &&
                       !is_tiktoken_file(files_.open("tokenizer.model"));
    const TokenizerConfig config = usual ? read_tokenizer_config(files_) : read_stated_tokenizer_config(files_);
    std::map<std::string, std::string> tokens;
    const auto add = [&](const char* name, const std::optional<AddedToken>& token) {
      if (token) tokens[name] = token->content;
    };
    add("bos_token", config.bos);
    add("eos_token", config.eos);
    add("unk_token", config.unk);
    add("sep_token", config.sep);
    add("pad_token", config.pad);
    add("cls_token", config.cls);
    add("mask_token", config.mask);
    return tokens;
  }

  FileSet files_;
  std::vector<ChatTemplateText> templates_;
};

inline std::shared_ptr<const ChatTemplate> expect_chat_template(const FileSet& files) {
  if (auto found = ChatTemplateFiles(files).read()) return found;
  raise<FormatError>(files.location(), ": there is no chat template; expected chat_template.jinja, or the key ",
                     "chat_template in tokenizer_config.json");
}
inline std::shared_ptr<const ChatTemplate> expect_chat_template(const GgufFile& file) {
  if (auto found = gguf_chat_template(file)) return found;
  raise<FormatError>(file.path(), ": there is no chat template; expected the key tokenizer.chat_template");
}

}  // namespace detail

WEFT_INLINE std::vector<ChatTemplateText> read_chat_templates(const FileSet& files) {
  return detail::ChatTemplateFiles(files).texts();
}

WEFT_INLINE std::shared_ptr<const ChatTemplate> load_chat_template(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return detail::expect_chat_template(FileSet(path));
  return detail::expect_chat_template(GgufFile(path));
}

WEFT_INLINE std::shared_ptr<const ChatTemplate> load_chat_template(std::vector<Source> files) {
  if (files.size() == 1 && is_gguf_file(files[0])) return detail::expect_chat_template(GgufFile(files[0]));
  return detail::expect_chat_template(FileSet(std::move(files)));
}

WEFT_INLINE std::shared_ptr<const ChatTemplate> load_chat_template(const Checkpoint& checkpoint) {
  if (const GgufFile* file = checkpoint.gguf()) return detail::gguf_chat_template(*file);
  return detail::ChatTemplateFiles(checkpoint.files()).read();
}

}  // namespace weft::inline v0
