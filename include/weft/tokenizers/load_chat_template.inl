#pragma once

#include <algorithm>
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
#include <weft/core/memory.hpp>
#include <weft/formats/checkpoint.hpp>
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

/// What lies in a Hugging Face directory.
class ChatTemplateFiles {
 public:
  explicit ChatTemplateFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::shared_ptr<const ChatTemplate> read() {
    read_jinja_files();
    if (templates_.empty()) read_json("tokenizer_config.json");
    if (templates_.empty()) read_json("chat_template.json");
    if (templates_.empty()) return nullptr;
    return std::make_shared<const ChatTemplate>(std::move(templates_), special_tokens());
  }

 private:
  bool exists(const std::filesystem::path& name) const {
    std::error_code ignored;
    return std::filesystem::exists(directory_ / name, ignored);
  }

  void read_file(std::string name, const std::filesystem::path& path) {
    const MappedFile file(path.string());
    const auto* begin = reinterpret_cast<const char*>(file.bytes().data());
    templates_.push_back({.name = std::move(name), .text = {begin, file.bytes().size()}, .source = path.string()});
  }

  void read_jinja_files() {
    if (exists("chat_template.jinja")) read_file("default", directory_ / "chat_template.jinja");
    std::vector<std::filesystem::path> others;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "additional_chat_templates", none))
      if (entry.path().extension() == ".jinja") others.push_back(entry.path());
    std::sort(others.begin(), others.end());
    for (const std::filesystem::path& path : others) read_file(path.stem().string(), path);
  }

  void read_json(const char* name) {
    if (!exists(name)) return;
    const Json json = parse_json_file((directory_ / name).string());
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
    const bool usual = !exists("tokenizer.json") && exists("tokenizer.model") &&
                       !is_tiktoken_file((directory_ / "tokenizer.model").string());
    const TokenizerConfig config = usual ? read_tokenizer_config(directory_) : read_stated_tokenizer_config(directory_);
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

  std::filesystem::path directory_;
  std::vector<ChatTemplateText> templates_;
};

}  // namespace detail

WEFT_INLINE std::shared_ptr<const ChatTemplate> load_chat_template(const std::filesystem::path& path) {
  std::shared_ptr<const ChatTemplate> found;
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(path, ignored);
  if (is_directory) {
    found = detail::ChatTemplateFiles(path).read();
  } else {
    found = detail::gguf_chat_template(GgufFile(path));
  }
  if (!found)
    raise<FormatError>(path.string(), ": there is no chat template; expected ",
                       is_directory ? "chat_template.jinja, or the key chat_template in tokenizer_config.json"
                                    : "the key tokenizer.chat_template");
  return found;
}

WEFT_INLINE std::shared_ptr<const ChatTemplate> load_chat_template(const Checkpoint& checkpoint) {
  if (const GgufFile* file = checkpoint.gguf()) return detail::gguf_chat_template(*file);
  if (checkpoint.directory().empty()) return nullptr;
  return detail::ChatTemplateFiles(checkpoint.directory()).read();
}

}  // namespace weft::inline v0
