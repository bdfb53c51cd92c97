#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/sentencepiece_model.hpp>
#include <weft/tokenizers/base64.hpp>
#include <weft/tokenizers/byte_level_recipes.hpp>
#include <weft/tokenizers/gguf_tokenizer.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>
#include <weft/tokenizers/vocabulary_files.hpp>

// From the files of a Hugging Face directory to the tokenizer of a GGUF file.
namespace weft::inline v0 {

namespace detail {

/// Collects what a GGUF file says of a tokenizer whose files lie in a directory.
class GgufVocabularyMaker {
 public:
  explicit GgufVocabularyMaker(const FileSet& files) : files_(files) { vocabulary_.source = files.location(); }

  /// `size`: as many tokens as the embedding has rows; unused ones are added.
  std::optional<GgufVocabulary> make(std::size_t size) {
    if (exists("tokenizer.model")) {
      sentence_piece("tokenizer.model");
    } else if (exists("tokenizer.json")) {
      tokenizer_json();
    } else if (exists("spiece.model")) {
      sentence_piece("spiece.model");
    } else if (exists("vocab.txt")) {
      word_list();
    } else {
      return std::nullopt;
    }
    if (vocabulary_.tokens.size() > size)
      raise<FormatError>(files_.location(), ": the tokenizer has ", vocabulary_.tokens.size(),
                         " tokens, the embedding ", size, " rows");
    while (vocabulary_.tokens.size() < size) {
      const std::size_t id = vocabulary_.tokens.size();
      place({.content = concat("[PAD", id, "]"), .id = static_cast<TokenId>(id)}, Type::unused);
    }
    return std::move(vocabulary_);
  }

 private:
  using Type = GgufVocabulary::Type;

  bool exists(const char* name) const { return files_.contains(name); }

  void sentence_piece(const char* name) {
    const Source file = files_.open(name);
    const std::string& path = file.name();
    const SentencePieceModel model = read_sentencepiece_model(file.bytes().text(), path);
    using Algorithm = SentencePieceModel::Algorithm;
    if (model.algorithm != Algorithm::bpe && model.algorithm != Algorithm::unigram)
      raise<UnsupportedError>(path, ": SentencePiece models of words or characters have no place in GGUF");
    vocabulary_.model = model.algorithm == Algorithm::bpe ? "llama" : "t5";
    for (const SentencePieceModel::Piece& piece : model.pieces) {
      vocabulary_.tokens.push_back(piece.text);
      vocabulary_.scores.push_back(piece.score);
      vocabulary_.token_types.push_back(static_cast<std::int32_t>(type_of(piece.kind)));
    }
    vocabulary_.precompiled_charsmap = model.algorithm == Algorithm::unigram ? model.charsmap : std::string();
    const TokenizerConfig config = read_tokenizer_config(files_);
    vocabulary_.add_space_prefix = config.add_prefix_space.value_or(model.add_dummy_prefix);
    for (const AddedToken& token : config.added) place(token, token.special ? Type::control : Type::user_defined);
    roles(config);
    vocabulary_.add_bos = config.add_bos.value_or(vocabulary_.model == "llama");
  }

  static Type type_of(SentencePieceModel::Kind kind) noexcept {
    using Kind = SentencePieceModel::Kind;
    switch (kind) {
      case Kind::normal: return Type::normal;
      case Kind::unknown: return Type::unknown;
      case Kind::control: return Type::control;
      case Kind::user_defined: return Type::user_defined;
      case Kind::unused: return Type::unused;
      case Kind::byte: return Type::byte;
    }
    return Type::undefined;
  }

  void tokenizer_json() {
    const Json json = parse_json(files_.open("tokenizer.json"));
    const Json& model = json.at("model");
    const std::string_view type = model.get_or("type", "BPE");
    if (type == "BPE") {
      byte_level(json, model);
    } else if (type == "WordPiece") {
      word_pieces(json, model);
    } else if (type == "Unigram") {
      unigram(json, model);
    } else {
      raise<UnsupportedError>(model.location(), ": tokenizers of type ", type, " cannot be written to GGUF");
    }
    if (const Json* added = json.given("added_tokens"))
      for (const Json& token : added->as_array()) {
        AddedToken read = read_added_token(token);
        read.id = token_id(token.at("id"));
        place(read, read.special ? Type::control : Type::user_defined);
      }
    TokenizerConfig config = read_stated_tokenizer_config(files_);
    for (const AddedToken& token : config.added) place(token, token.special ? Type::control : Type::user_defined);
    roles(config);
    vocabulary_.add_bos = config.add_bos;
    if (const Json* processor = json.given("post_processor")) ends(*processor);
    if (type == "WordPiece") spell_word_pieces();
  }

  void byte_level(const Json& json, const Json& model) {
    vocabulary_.model = "gpt2";
    vocabulary_.pre = recipe_of(json);
    for (const Json& token : model.at("vocab").as_object())
      place({.content = std::string(token.key()), .id = token_id(token)}, Type::normal);
    for (const Json& merge : model.at("merges").as_array())
      vocabulary_.merges.push_back(merge.is_array() ? concat(merge.at(0).as_string(), ' ', merge.at(1).as_string())
                                                    : std::string(merge.as_string()));
  }

  /// BERT's steps before the pieces, which alone GGUF has.
  void word_pieces(const Json& json, const Json& model) {
    vocabulary_.model = "bert";
    const Json& normalizer = json.at("normalizer");
    const Json& pre_tokenizer = json.at("pre_tokenizer");
    const bool lowercase = normalizer.get_or("lowercase", true);
    const Json* strips = normalizer.given("strip_accents");
    if (normalizer.get_or("type", "") != "BertNormalizer" || !normalizer.get_or("clean_text", true) ||
        !normalizer.get_or("handle_chinese_chars", true) || (strips && strips->as_bool() != lowercase))
      raise<UnsupportedError>(normalizer.location(), ": GGUF has no place for this normalizer");
    if (pre_tokenizer.get_or("type", "") != "BertPreTokenizer" ||
        model.get_or("continuing_subword_prefix", "##") != "##")
      raise<UnsupportedError>(pre_tokenizer.location(), ": GGUF has no name for this pre-tokenizer");
    vocabulary_.lowercase = lowercase;
    for (const Json& token : model.at("vocab").as_object())
      place({.content = std::string(token.key()), .id = token_id(token)}, Type::normal);
    special_words();
  }

  /// BERT's vocab.txt, a word a line.
  void word_list() {
    vocabulary_.model = "bert";
    const std::vector<std::string> lines = read_lines(files_.open("vocab.txt"));
    for (std::size_t i = 0; i < lines.size(); ++i)
      place({.content = lines[i], .id = static_cast<TokenId>(i)}, Type::normal);
    const TokenizerConfig config = read_stated_tokenizer_config(files_);
    vocabulary_.lowercase = config.do_lower_case.value_or(true);
    if (config.strip_accents.value_or(*vocabulary_.lowercase) != *vocabulary_.lowercase ||
        !config.tokenize_chinese_chars.value_or(true))
      raise<UnsupportedError>(files_.location(),
                              ": GGUF has no place for how this tokenizer treats accents or Chinese");
    special_words();
    for (const AddedToken& token : config.added) place(token, token.special ? Type::control : Type::user_defined);
    roles(config);
    spell_word_pieces();
  }

  /// What BERT calls its special tokens where no file says so.
  void special_words() {
    const std::array<std::pair<std::string_view, std::optional<TokenId>*>, 5> words{{{"[PAD]", &vocabulary_.pad},
                                                                                     {"[UNK]", &vocabulary_.unk},
                                                                                     {"[CLS]", &vocabulary_.cls},
                                                                                     {"[SEP]", &vocabulary_.sep},
                                                                                     {"[MASK]", nullptr}}};
    for (const auto& [word, role] : words) {
      const auto found = std::find(vocabulary_.tokens.begin(), vocabulary_.tokens.end(), word);
      if (found == vocabulary_.tokens.end()) continue;
      const auto id = found - vocabulary_.tokens.begin();
      vocabulary_.token_types[static_cast<std::size_t>(id)] = static_cast<std::int32_t>(Type::control);
      if (role) *role = static_cast<TokenId>(id);
    }
  }

  /// Words begin with U+2581, and what continues them has no mark.
  void spell_word_pieces() {
    for (std::size_t i = 0; i < vocabulary_.tokens.size(); ++i) {
      std::string& token = vocabulary_.tokens[i];
      if (vocabulary_.token_types[i] == static_cast<std::int32_t>(Type::control)) continue;
      token = token.starts_with("##") ? token.substr(2) : "\xE2\x96\x81" + token;
    }
    vocabulary_.bos = vocabulary_.cls;
    vocabulary_.eos = vocabulary_.sep;
    vocabulary_.add_bos = vocabulary_.add_eos = true;
  }

  /// Rules of normalization, white space that separates words, and U+2581 before each.
  void unigram(const Json& json, const Json& model) {
    vocabulary_.model = "t5";
    if (model.get_or("byte_fallback", false))
      raise<UnsupportedError>(model.location(), ": pieces that fall back to bytes have no place in GGUF");
    if (const Json* normalizer = json.given("normalizer")) {
      const auto rules = normalizer->get_or("type", "") == "Precompiled"
                             ? from_base64(normalizer->at("precompiled_charsmap").as_string())
                             : std::nullopt;
      if (!rules) raise<UnsupportedError>(normalizer->location(), ": GGUF has no place for this normalizer");
      vocabulary_.precompiled_charsmap = *rules;
    }
    vocabulary_.add_space_prefix = prepends_spaces(json.at("pre_tokenizer"));
    const Json& vocab = model.at("vocab").as_array();
    const Json* unknown = model.given("unk_id");
    for (const Json& piece : vocab) {
      vocabulary_.tokens.emplace_back(piece.at(0).as_string());
      vocabulary_.scores.push_back(static_cast<float>(piece.at(1).as_double()));
      const bool is_unknown = unknown && unknown->as_size() + 1 == vocabulary_.tokens.size();
      vocabulary_.token_types.push_back(static_cast<std::int32_t>(is_unknown ? Type::unknown : Type::normal));
    }
    if (unknown) vocabulary_.unk = token_id(*unknown);
  }

  static bool prepends_spaces(const Json& pre_tokenizer) {
    const Json* steps = pre_tokenizer.find("pretokenizers");
    const bool separates = steps && steps->size() == 2 && steps->at(0).get_or("type", "") == "WhitespaceSplit";
    const Json& last = separates ? steps->at(1) : pre_tokenizer;
    if (last.get_or("type", "") != "Metaspace" || last.get_or("replacement", "") != "\xE2\x96\x81")
      raise<UnsupportedError>(pre_tokenizer.location(), ": GGUF has no name for this pre-tokenizer");
    return last.get_or("prepend_scheme", "always") == "always" && last.get_or("add_prefix_space", true);
  }

  /// The tokens that begin and end every text.
  void ends(const Json& processor) {
    const std::string_view type = processor.get_or("type", "");
    if (const Json* several = processor.find("processors"))
      for (const Json& each : several->as_array()) ends(each);
    if (type == "RobertaProcessing" || type == "BertProcessing") {
      begin_with(token_id(processor.at("cls").at(1)));
      end_with(token_id(processor.at("sep").at(1)));
    }
    if (type != "TemplateProcessing") return;
    const Json& single = processor.at("single").as_array();
    const auto special = [&](const Json& piece) {
      const Json* token = piece.find("SpecialToken");
      return token ? std::optional(token_id(
                         processor.at("special_tokens").at(token->at("id").as_string()).at("ids").as_array().at(0)))
                   : std::nullopt;
    };
    if (single.empty()) return;
    if (const auto id = special(single.at(0))) begin_with(*id);
    if (const auto id = special(single.at(single.size() - 1))) end_with(*id);
  }
  void begin_with(TokenId id) {
    vocabulary_.bos = id;
    if (!vocabulary_.add_bos) vocabulary_.add_bos = true;
  }
  void end_with(TokenId id) {
    if (!vocabulary_.eos) vocabulary_.eos = id;
    if (!vocabulary_.add_eos) vocabulary_.add_eos = *vocabulary_.eos == id;
  }

  /// The name of the recipe whose patterns the pre-tokenizer has.
  static std::string recipe_of(const Json& json) {
    std::vector<std::string_view> patterns;
    const auto collect = [&](const Json& step) {
      if (const Json* pattern = step.find("pattern"))
        if (const Json* regex = pattern->find("Regex")) patterns.push_back(regex->as_string());
      if (step.get_or("type", "") == "ByteLevel") {
        if (step.get_or("use_regex", true)) patterns.push_back(gpt2_pattern);
        if (step.get_or("add_prefix_space", true))
          raise<UnsupportedError>(step.location(), ": spaces before texts (add_prefix_space) have no place in GGUF");
      }
      if (step.get_or("type", "") == "Digits" && step.get_or("individual_digits", false))
        patterns.push_back(R"(\p{N})");
    };
    const Json& pre_tokenizer = json.at("pre_tokenizer");
    if (const Json* steps = pre_tokenizer.find("pretokenizers")) {
      for (const Json& step : steps->as_array()) collect(step);
    } else {
      collect(pre_tokenizer);
    }
    const bool ignore_merges = json.at("model").get_or("ignore_merges", false);
    const Json* normalizer = json.given("normalizer");
    const bool nfc = normalizer && normalizer->get_or("type", "") == "NFC";
    for (const ByteLevelRecipe& recipe : byte_level_recipes) {
      const auto end = std::find(recipe.patterns.begin(), recipe.patterns.end(), std::string_view());
      if (std::equal(recipe.patterns.begin(), end, patterns.begin(), patterns.end()) &&
          recipe.ignore_merges == ignore_merges && recipe.nfc == nfc)
        return std::string(recipe.name);
    }
    raise<UnsupportedError>(pre_tokenizer.location(), ": GGUF has no name for this pre-tokenizer");
  }

  /// A token at its id; those before it that nobody named are unused.
  void place(const AddedToken& token, Type type) {
    const auto id = static_cast<std::size_t>(token.id);
    if (id > vocabulary_.tokens.size() + 1'000'000)
      raise<FormatError>(files_.location(), ": the token ", token.content, " has the id ", id);
    while (vocabulary_.tokens.size() <= id) {
      vocabulary_.tokens.push_back(concat("[PAD", vocabulary_.tokens.size(), "]"));
      vocabulary_.token_types.push_back(static_cast<std::int32_t>(Type::unused));
      if (vocabulary_.model == "llama" || vocabulary_.model == "t5") vocabulary_.scores.push_back(0.f);
    }
    vocabulary_.tokens[id] = token.content;
    vocabulary_.token_types[id] = static_cast<std::int32_t>(type);
  }

  void roles(const TokenizerConfig& config) {
    std::unordered_map<std::string_view, TokenId> ids;
    for (std::size_t i = 0; i < vocabulary_.tokens.size(); ++i)
      ids.emplace(vocabulary_.tokens[i], static_cast<TokenId>(i));
    const auto find = [&](const std::optional<AddedToken>& token) -> std::optional<TokenId> {
      const auto found = token ? ids.find(token->content) : ids.end();
      return found != ids.end() ? std::optional(found->second) : std::nullopt;
    };
    const std::array<std::pair<const std::optional<AddedToken>*, std::optional<TokenId>*>, 6> all{
        {{&config.bos, &vocabulary_.bos},
         {&config.eos, &vocabulary_.eos},
         {&config.unk, &vocabulary_.unk},
         {&config.pad, &vocabulary_.pad},
         {&config.sep, &vocabulary_.sep},
         {&config.cls, &vocabulary_.cls}}};
    for (const auto& [token, id] : all)
      if (const auto found = find(*token)) *id = found;
    vocabulary_.add_eos = config.add_eos;
  }

  const FileSet& files_;
  GgufVocabulary vocabulary_;
};

}  // namespace detail

/// The tokenizer of a Hugging Face directory as GGUF files describe one: tokenizer.model (SentencePiece), else a
/// tokenizer.json of byte-level BPE, WordPiece or Unigram, else T5's spiece.model or BERT's vocab.txt; `size` tokens,
/// as many as the embedding has rows. Empty where there is none of these files. Throws UnsupportedError for other kinds
/// and for steps before the model that GGUF has no name for, FormatError for more tokens than `size`.
inline std::optional<GgufVocabulary> gguf_vocabulary_of(const FileSet& files, std::size_t size) {
  return detail::GgufVocabularyMaker(files).make(size);
}

/// Writes what read_gguf_vocabulary reads.
inline void set_gguf_vocabulary(const GgufVocabulary& vocabulary, GgufWriter& writer) {
  const auto set = [&](const char* key, const auto& value) {
    writer.set(detail::concat("tokenizer.ggml.", key), value);
  };
  set("model", std::string_view(vocabulary.model));
  set("pre", std::string_view(vocabulary.pre));
  set("tokens", vocabulary.tokens);
  if (!vocabulary.scores.empty()) set("scores", vocabulary.scores);
  if (!vocabulary.token_types.empty()) set("token_type", vocabulary.token_types);
  if (!vocabulary.merges.empty()) set("merges", vocabulary.merges);
  const std::array<std::pair<const char*, std::optional<TokenId>>, 6> ids{{{"bos_token_id", vocabulary.bos},
                                                                           {"eos_token_id", vocabulary.eos},
                                                                           {"unknown_token_id", vocabulary.unk},
                                                                           {"padding_token_id", vocabulary.pad},
                                                                           {"seperator_token_id", vocabulary.sep},
                                                                           {"cls_token_id", vocabulary.cls}}};
  for (const auto& [key, id] : ids)
    if (id) set(key, static_cast<std::uint32_t>(*id));
  const std::array<std::pair<const char*, std::optional<bool>>, 3> flags{
      {{"add_bos_token", vocabulary.add_bos},
       {"add_eos_token", vocabulary.add_eos},
       {"add_space_prefix", vocabulary.add_space_prefix}}};
  for (const auto& [key, flag] : flags)
    if (flag) set(key, *flag);
  if (vocabulary.lowercase) set("normalizer.lowercase", *vocabulary.lowercase);
  if (vocabulary.model == "t5") set("remove_extra_whitespaces", true);
  if (!vocabulary.precompiled_charsmap.empty())
    set("precompiled_charsmap",
        std::vector<std::uint8_t>(vocabulary.precompiled_charsmap.begin(), vocabulary.precompiled_charsmap.end()));
}

}  // namespace weft::inline v0
