#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_value.hpp>
#include <weft/tokenizers/bpe.hpp>
#include <weft/tokenizers/byte_level_recipes.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>
#include <weft/tokenizers/precompiled_charsmap.hpp>
#include <weft/tokenizers/unigram.hpp>
#include <weft/tokenizers/vocabulary.hpp>
#include <weft/tokenizers/vocabulary_files.hpp>

namespace weft::inline v0 {

/// What a GGUF file says about its tokenizer, under keys that begin with tokenizer.ggml.
struct GgufVocabulary {
  /// `token_type` of a token.
  enum class Type : std::int32_t { undefined, normal, unknown, control, user_defined, unused, byte };

  std::string source{};         ///< the file, for errors
  std::string model{};          ///< "llama" (SentencePiece BPE), "gpt2" (byte-level BPE), "bert", "t5" (Unigram)
  std::string pre = "default";  ///< how byte-level BPE cuts text: see find_byte_level_recipe
  std::vector<std::string> tokens{};
  std::vector<float> scores{};              ///< one per token for "llama" and "t5"
  std::vector<std::int32_t> token_types{};  ///< one per token, or none where all are normal
  std::vector<std::string> merges{};        ///< "left right", for "gpt2"
  std::optional<TokenId> bos{}, eos{}, unk{}, pad{}, sep{}, cls{};
  std::optional<bool> add_bos{}, add_eos{}, add_space_prefix{}, lowercase{};
  std::string precompiled_charsmap{};  ///< normalization rules of "t5"
};

namespace detail {

class GgufTokenizerBuilder {
 public:
  explicit GgufTokenizerBuilder(const GgufVocabulary& file) : file_(file) {}

  TokenizerParts build() {
    if (!file_.token_types.empty()) check_size("token_type", file_.token_types.size());
    for (const auto* id : {&file_.bos, &file_.eos, &file_.unk, &file_.pad, &file_.sep, &file_.cls})
      if (*id && (**id < 0 || static_cast<std::size_t>(**id) >= file_.tokens.size()))
        raise<FormatError>(file_.source, ": the special token id ", **id, " is outside the vocabulary of ",
                           file_.tokens.size(), " tokens");
    if (file_.model == "gpt2") {
      byte_level();
    } else if (file_.model == "llama") {
      sentence_piece();
    } else if (file_.model == "t5") {
      unigram();
    } else if (file_.model == "bert") {
      return bert();
    } else {
      raise<UnsupportedError>(file_.source, ": the tokenizer model ", file_.model, " is not supported");
    }
    finish();
    return std::move(parts_);
  }

 private:
  using Type = GgufVocabulary::Type;

  Type type(std::size_t i) const noexcept {
    return file_.token_types.empty() ? Type::normal : static_cast<Type>(file_.token_types[i]);
  }
  void check_size(std::string_view what, std::size_t size) const {
    if (size != file_.tokens.size())
      raise<FormatError>(file_.source, ": ", size, " entries in tokenizer.ggml.", what, " for ", file_.tokens.size(),
                         " tokens");
  }
  Vocabulary vocabulary() const {
    Vocabulary out(file_.tokens.size(), file_.source);
    for (std::size_t i = 0; i < file_.tokens.size(); ++i) out.add(file_.tokens[i], static_cast<std::int64_t>(i));
    return out;
  }

  void byte_level() {
    const ByteLevelRecipe* recipe = find_byte_level_recipe(file_.pre);
    if (!recipe) raise<UnsupportedError>(file_.source, ": the pre-tokenizer ", file_.pre, " is not supported");
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    for (const std::string& merge : file_.merges) pairs.push_back(split_merge(merge, file_.source));
    Vocabulary words = vocabulary();
    const std::vector<BpeMerge> merges = resolve_merges(words, pairs);
    parts_.model =
        std::make_shared<const BpeModel>(std::move(words), merges, BpeOptions{.ignore_merges = recipe->ignore_merges});
    if (recipe->nfc) parts_.normalizers.emplace_back(UnicodeForm{.composed = true});
    parts_.pre_tokenizers = byte_level_steps(recipe->patterns, file_.add_space_prefix.value_or(false));
    decode_byte_level(parts_.decoder);
    add_bos_ = file_.add_bos.value_or(recipe->add_bos);
  }

  void sentence_piece() {
    check_size("scores", file_.scores.size());
    std::vector<float> scores = file_.scores;
    for (std::size_t i = 0; i < scores.size(); ++i)
      if (type(i) != Type::normal && type(i) != Type::user_defined) scores[i] = -std::numeric_limits<float>::infinity();
    Vocabulary words = vocabulary();
    const std::vector<BpeMerge> merges = merges_from_scores(words, scores);
    BpeOptions options{.fuse_unk = true, .byte_fallback = true};
    if (file_.unk) options.unk_token = words.token(*file_.unk);
    parts_.model = std::make_shared<const BpeModel>(std::move(words), merges, std::move(options));
    const bool prefix = file_.add_space_prefix.value_or(true);
    if (prefix) parts_.normalizers.emplace_back(Prepend{"\xE2\x96\x81"});
    parts_.normalizers.emplace_back(ReplaceText{" ", "\xE2\x96\x81"});
    parts_.decoder.steps.emplace_back(DecodeReplace{"\xE2\x96\x81", " "});
    parts_.decoder.byte_fallback = true;
    if (prefix) {
      parts_.decoder.start = TokenDecoder::Start::strip;
      parts_.decoder.stripped = " ";
    }
    add_bos_ = file_.add_bos.value_or(true);
  }

  void unigram() {
    check_size("scores", file_.scores.size());
    if (!file_.precompiled_charsmap.empty())
      parts_.normalizers.emplace_back(PrecompiledCharsmap(file_.precompiled_charsmap, file_.source));
    std::optional<TokenId> unk = file_.unk;
    for (std::size_t i = 0; i < file_.tokens.size() && !unk; ++i)
      if (type(i) == Type::unknown) unk = static_cast<TokenId>(i);
    parts_.model = std::make_shared<const UnigramModel>(
        vocabulary(), std::vector<double>(file_.scores.begin(), file_.scores.end()), unk, false);
    parts_.pre_tokenizers.emplace_back(SplitWhiteSpace{});
    parts_.pre_tokenizers.emplace_back(Metaspace{
        .prepend = file_.add_space_prefix.value_or(true) ? Metaspace::Prepend::always : Metaspace::Prepend::never});
    parts_.decoder.steps.emplace_back(DecodeMetaspace{});
    add_bos_ = file_.add_bos.value_or(false);
    add_eos_ = file_.add_eos.value_or(true);
  }

  /// The file spells tokens that begin a word with U+2581 and those that continue one without a mark.
  TokenizerParts bert() const {
    constexpr std::string_view begins = "\xE2\x96\x81";
    Vocabulary words(file_.tokens.size(), file_.source);
    bool cased = false;
    for (std::size_t i = 0; i < file_.tokens.size(); ++i) {
      const std::string& token = file_.tokens[i];
      const bool plain = type(i) == Type::control || (token.starts_with('[') && token.ends_with(']'));
      const std::string spelled = token.starts_with(begins) ? token.substr(begins.size())
                                  : plain                   ? token
                                                            : "##" + token;
      const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
      cased = cased || (!plain && std::any_of(spelled.begin(), spelled.end(), upper));
      words.add(spelled, static_cast<std::int64_t>(i));
    }
    TokenizerConfig config{.bos = std::nullopt, .eos = std::nullopt, .unk = std::nullopt};
    config.do_lower_case = file_.lowercase.value_or(!cased);
    const auto name = [&](std::optional<TokenId> id) {
      return id ? std::optional(AddedToken{.content = std::string(words.token(*id)), .special = true}) : std::nullopt;
    };
    config.cls = name(file_.cls ? file_.cls : file_.bos);
    config.sep = name(file_.sep ? file_.sep : file_.eos);
    config.unk = name(file_.unk);
    config.pad = name(file_.pad);
    return bert_parts(std::move(words), config);
  }

  void finish() {
    for (std::size_t i = 0; i < file_.tokens.size(); ++i) {
      const bool special = type(i) == Type::control || type(i) == Type::unknown;
      if (!special && type(i) != Type::user_defined) continue;
      parts_.added.push_back({.content = file_.tokens[i], .id = static_cast<TokenId>(i), .special = special});
    }
    parts_.bos = file_.bos;
    parts_.eos = file_.eos;
    parts_.unk = file_.unk;
    parts_.pad = file_.pad;
    TokenizerConfig config{.add_bos = add_bos_, .add_eos = add_eos_ || file_.add_eos.value_or(false)};
    set_bos_eos(config, parts_);
  }

  const GgufVocabulary& file_;
  TokenizerParts parts_;
  bool add_bos_ = false;
  bool add_eos_ = false;
};

}  // namespace detail

/// What the metadata of a GGUF file say about its tokenizer; empty where it says that it has none. Throws FormatError
/// for values of another type.
inline std::optional<GgufVocabulary> read_gguf_vocabulary(const GgufFile& file) {
  const auto find = [&](std::string_view key) { return file.find_value(detail::concat("tokenizer.ggml.", key)); };
  const GgufValue* model = find("model");
  if (!model || model->as_string() == "none" || model->as_string() == "no_vocab") return std::nullopt;
  const auto id = [&](std::string_view key) -> std::optional<TokenId> {
    const GgufValue* value = find(key);
    if (!value) return std::nullopt;
    if (!std::in_range<TokenId>(value->as_int()))
      raise<FormatError>(value->location(), ": token id ", value->as_int(), " is out of range");
    return static_cast<TokenId>(value->as_int());
  };
  const auto flag = [&](std::string_view key) {
    const GgufValue* value = find(key);
    return value ? std::optional(value->as_bool()) : std::nullopt;
  };
  GgufVocabulary vocabulary{.source = file.path(), .model = std::string(model->as_string())};
  if (const GgufValue* pre = find("pre")) vocabulary.pre = pre->as_string();
  vocabulary.tokens = file.value("tokenizer.ggml.tokens").as_strings();
  if (const GgufValue* merges = find("merges")) vocabulary.merges = merges->as_strings();
  if (const GgufValue* scores = find("scores"))
    for (const double score : scores->as_doubles()) vocabulary.scores.push_back(static_cast<float>(score));
  if (const GgufValue* types = find("token_type"))
    for (const std::int64_t type : types->as_ints()) vocabulary.token_types.push_back(static_cast<std::int32_t>(type));
  vocabulary.bos = id("bos_token_id");
  vocabulary.eos = id("eos_token_id");
  vocabulary.unk = id("unknown_token_id");
  vocabulary.pad = id("padding_token_id");
  vocabulary.sep = id("seperator_token_id");  // as the format spells it
  vocabulary.cls = id("cls_token_id");
  vocabulary.add_bos = flag("add_bos_token");
  vocabulary.add_eos = flag("add_eos_token");
  vocabulary.add_space_prefix = flag("add_space_prefix");
  vocabulary.lowercase = flag("normalizer.lowercase");
  if (const GgufValue* rules = find("precompiled_charsmap"))
    for (const std::int64_t byte : rules->as_ints())
      vocabulary.precompiled_charsmap += static_cast<char>(static_cast<unsigned char>(byte));
  return vocabulary;
}

/// The tokenizer of a GGUF file. Throws FormatError for a vocabulary that contradicts itself, UnsupportedError for a
/// model or pre-tokenizer that is not built.
inline std::shared_ptr<const Tokenizer> make_gguf_tokenizer(const GgufVocabulary& vocabulary) {
  return std::make_shared<const PipelineTokenizer>(detail::GgufTokenizerBuilder(vocabulary).build());
}

}  // namespace weft::inline v0
