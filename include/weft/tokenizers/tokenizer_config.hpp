#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/json.hpp>
#include <weft/tokenizers/added_tokens.hpp>

namespace weft::inline v0 {

/// What the files beside a tokenizer's vocabulary say in a Hugging Face directory: tokenizer_config.json,
/// special_tokens_map.json, added_tokens.json and the added tokens of tokenizer.json, whichever are there. Where
/// tokenizer_config.json has `added_tokens_decoder` the other three are not read, as in the reference implementation.
///
/// Keys that have no influence here and are ignored: chat_template (load_chat_template reads it),
/// clean_up_tokenization_spaces (it edits finished text, which a stream never is), model_max_length, name_or_path,
/// padding_side, processor_class, spaces_between_special_tokens, truncation_side and use_default_system_prompt.
struct TokenizerConfig {
  std::string tokenizer_class{};    ///< empty where the files do not say
  std::vector<AddedToken> added{};  ///< with the ids the files give
  /// Special tokens by role, without ids.
  std::optional<AddedToken> bos = AddedToken{.content = "<s>", .special = true};
  std::optional<AddedToken> eos = AddedToken{.content = "</s>", .special = true};
  std::optional<AddedToken> unk = AddedToken{.content = "<unk>", .special = true};
  std::optional<AddedToken> sep{}, pad{}, cls{}, mask{};
  std::vector<AddedToken> additional{};
  std::vector<std::string> without{};  ///< roles that the files say no token has: "bos", ...
  std::optional<bool> add_bos{};
  std::optional<bool> add_eos{};
  std::optional<bool> legacy{};
  std::optional<bool> add_prefix_space{};
  std::optional<bool> do_lower_case{};
  std::optional<bool> strip_accents{};
  std::optional<bool> tokenize_chinese_chars{};
  std::string source_language{};           ///< "src_lang" of translators
  std::optional<std::size_t> extra_ids{};  ///< how many sentinels T5 adds
  bool separate_vocabularies = false;      ///< "separate_vocabs" of Marian
  bool split_special_tokens = false;       ///< special tokens are never parsed
};

namespace detail {

inline TokenId token_id(const Json& json) {
  if (json.as_int() < 0 || json.as_int() >= std::numeric_limits<TokenId>::max())
    raise<FormatError>(json.location(), ": ", json.as_int(), " is no token id");
  return static_cast<TokenId>(json.as_int());
}

/// An added token as Hugging Face's files describe it, without its id.
inline AddedToken read_added_token(const Json& json) {
  AddedToken token;
  token.content = json.at("content").as_string();
  token.special = json.get_or("special", false);
  token.strip_left = json.get_or("lstrip", false);
  token.strip_right = json.get_or("rstrip", false);
  token.whole_word = json.get_or("single_word", false);
  token.normalized = json.get_or("normalized", !token.special);
  return token;
}

class TokenizerConfigReader {
 public:
  TokenizerConfigReader(const FileSet& files, TokenizerConfig defaults) : files_(files), config_(std::move(defaults)) {}

  TokenizerConfig read(bool with_tokenizer_json) {
    bool complete = false;
    if (const auto json = file("tokenizer_config.json")) {
      read_main(*json);
      read_roles(*json);
      if (const Json* decoder = json->given("added_tokens_decoder")) {
        complete = true;
        for (const Json& token : decoder->as_object()) add(token, id_from(token));
      }
    }
    if (!complete) {
      if (const auto json = file("special_tokens_map.json")) read_roles(*json);
      if (const auto json = file("added_tokens.json"))
        for (const Json& id : *json) {
          config_.added.push_back({.content = std::string(id.key()), .id = token_id(id)});
        }
      if (const auto json = with_tokenizer_json ? file("tokenizer.json") : std::nullopt)
        if (const Json* added = json->given("added_tokens"))
          for (const Json& token : added->as_array()) add(token, token_id(token.at("id")));
    }
    return std::move(config_);
  }

 private:
  std::optional<AddedToken>* role_of(std::string_view role) {
    const std::array<std::pair<std::string_view, std::optional<AddedToken>*>, 7> roles{{{"bos", &config_.bos},
                                                                                        {"eos", &config_.eos},
                                                                                        {"unk", &config_.unk},
                                                                                        {"sep", &config_.sep},
                                                                                        {"pad", &config_.pad},
                                                                                        {"cls", &config_.cls},
                                                                                        {"mask", &config_.mask}}};
    for (const auto& [name, token] : roles)
      if (name == role) return token;
    return nullptr;
  }

  std::optional<Json> file(const char* name) const {
    if (!files_.contains(name)) return std::nullopt;
    Json json = parse_json(files_.open(name));
    static_cast<void>(json.as_object());
    return json;
  }

  static std::optional<bool> flag(const Json& json, std::string_view key) {
    const Json* value = json.given(key);
    return value ? std::optional(value->as_bool()) : std::nullopt;
  }

  void read_main(const Json& json) {
    config_.tokenizer_class = json.get_or("tokenizer_class", "");
    config_.add_bos = flag(json, "add_bos_token");
    config_.add_eos = flag(json, "add_eos_token");
    config_.legacy = flag(json, "legacy");
    config_.add_prefix_space = flag(json, "add_prefix_space");
    config_.do_lower_case = flag(json, "do_lower_case");
    config_.strip_accents = flag(json, "strip_accents");
    config_.tokenize_chinese_chars = flag(json, "tokenize_chinese_chars");
    config_.source_language = json.get_or("src_lang", "");
    if (json.given("extra_ids")) config_.extra_ids = json.get_or("extra_ids", std::size_t{0});
    config_.separate_vocabularies = json.get_or("separate_vocabs", false);
    config_.split_special_tokens = json.get_or("split_special_tokens", false);
    if (const Json* sampling = json.given("sp_model_kwargs"))
      if (sampling->get_or("enable_sampling", false))
        raise<UnsupportedError>(sampling->location(), ": random segmentation (enable_sampling) is not supported");
  }

  void read_roles(const Json& json) {
    for (const char* role : {"bos", "eos", "unk", "sep", "pad", "cls", "mask"}) {
      const Json* value = json.find(std::string(role) + "_token");
      if (!value) continue;
      *role_of(role) = value->is_null() ? std::nullopt : std::optional(special_token(*value));
      if (value->is_null()) config_.without.emplace_back(role);
    }
    for (const char* key : {"additional_special_tokens", "extra_special_tokens"})
      if (const Json* tokens = json.given(key); tokens && tokens->is_array())
        for (const Json& token : *tokens) config_.additional.push_back(special_token(token));
  }

  static AddedToken special_token(const Json& json) {
    AddedToken token = json.is_object() ? read_added_token(json) : AddedToken{.content = std::string(json.as_string())};
    token.special = true;
    return token;
  }
  void add(const Json& json, TokenId id) {
    AddedToken token = read_added_token(json);
    token.id = id;
    config_.added.push_back(std::move(token));
  }

  static TokenId id_from(const Json& member) {
    const std::string_view text = member.key();
    TokenId id = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size() || id < 0 || id == std::numeric_limits<TokenId>::max())
      raise<FormatError>(member.location(), ": \"", text, "\" is no token id");
    return id;
  }

  const FileSet& files_;
  TokenizerConfig config_;
};

}  // namespace detail

/// Throws FormatError naming file and key for what is not as it must be, UnsupportedError for random segmentation.
inline TokenizerConfig read_tokenizer_config(const FileSet& files) {
  return detail::TokenizerConfigReader(files, {}).read(true);
}

/// The same without tokenizer.json, and without the roles that the files do not state: for tokenizers whose vocabulary
/// says what is usual.
inline TokenizerConfig read_stated_tokenizer_config(const FileSet& files) {
  TokenizerConfig stated;
  stated.bos.reset();
  stated.eos.reset();
  stated.unk.reset();
  return detail::TokenizerConfigReader(files, std::move(stated)).read(false);
}

}  // namespace weft::inline v0
