#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/json.hpp>
#include <weft/tokenizers/piece_vocabulary.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>

// The vocabularies of encoder-decoders from the files that they are saved in.
namespace weft::inline v0 {

namespace detail {

inline void require_class(const TokenizerConfig& config, const std::string& source,
                          std::initializer_list<std::string_view> known) {
  std::string_view name = config.tokenizer_class;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  for (const std::string_view one : known)
    if (name == one) return;
  raise<UnsupportedError>(source, ": the tokenizer class \"", config.tokenizer_class,
                          "\" is not supported for this kind of file");
}

/// Puts tokens into a vocabulary one after the other.
class PieceVocabularyBuilder {
 public:
  explicit PieceVocabularyBuilder(const Source& model_file) : model_(read_sentencepiece_file(model_file)) {
    vocabulary_.model_file = model_file.name();
    vocabulary_.model = std::move(model_.message);
  }

  PieceVocabulary& vocabulary() noexcept { return vocabulary_; }
  const std::vector<SentencePieceModel::Piece>& pieces() const noexcept { return model_.pieces; }
  void place(std::string token, std::size_t id) {
    if (id >= vocabulary_.tokens.size()) vocabulary_.tokens.resize(id + 1);
    vocabulary_.tokens[id] = std::move(token);
  }
  /// A token that is cut out of text.
  TokenId special(const std::string& token, std::size_t id, bool strip_left = false) {
    vocabulary_.special.push_back(
        {.content = token, .id = static_cast<TokenId>(id), .special = true, .strip_left = strip_left});
    place(token, id);
    return static_cast<TokenId>(id);
  }
  /// The id of a token that has one. Throws FormatError otherwise.
  std::size_t id_of(std::string_view token) const {
    for (std::size_t i = 0; i < vocabulary_.tokens.size(); ++i)
      if (vocabulary_.tokens[i] == token) return i;
    raise<FormatError>(vocabulary_.model_file, ": the token \"", token, "\" is missing from the vocabulary");
  }
  /// Added tokens with the ids that the files give, at most a few after the end of the vocabulary.
  void add(const std::vector<AddedToken>& tokens, std::size_t end) {
    for (const AddedToken& token : tokens) {
      const auto id = static_cast<std::size_t>(token.id);
      if (id > end + tokens.size())
        raise<FormatError>(vocabulary_.model_file, ": the token \"", token.content, "\" has the id ", id, " after ",
                           end, " pieces");
      vocabulary_.special.push_back(token);
      place(token.content, id);
    }
  }
  /// A role as the configuration spells it, or as usual.
  TokenId role(const std::optional<AddedToken>& stated, const char* usual) {
    const std::string token = stated ? stated->content : usual;
    return special(token, id_of(token));
  }
  /// Fills the ids of a vocab.json.
  void read(const Source& file) {
    const Json json = parse_json(file);
    const std::size_t size = json.as_object().size();
    for (const Json& id : json) {
      const auto index = static_cast<std::size_t>(token_id(id));
      if (index >= 2 * size + 1024) raise<FormatError>(id.location(), ": id ", index, " in a vocabulary of ", size);
      place(std::string(id.key()), index);
    }
  }

 private:
  SentencePieceModel model_;
  PieceVocabulary vocabulary_;
};

}  // namespace detail

/// T5 and mT5: a spiece.model, sentinels after it in reverse order.
inline PieceVocabulary read_t5_vocabulary(const FileSet& files, const TokenizerConfig& config) {
  const std::string source = files.location_of("spiece.model");
  detail::require_class(config, source, {"", "T5Tokenizer", "MT5Tokenizer"});
  detail::PieceVocabularyBuilder builder(files.open("spiece.model"));
  const auto& pieces = builder.pieces();
  for (std::size_t i = 0; i < pieces.size(); ++i) builder.place(pieces[i].text, i);
  PieceVocabulary& v = builder.vocabulary();
  v.pad = builder.role(config.pad, "<pad>");
  v.eos = builder.role(config.eos, "</s>");
  v.unk = builder.role(config.unk, "<unk>");
  const std::size_t sentinels = config.extra_ids.value_or(100);
  if (sentinels > 10000) raise<UnsupportedError>(source, ": extra_ids is ", sentinels, ", at most 10000 are supported");
  for (std::size_t i = 0; i < sentinels; ++i)
    builder.special(detail::concat("<extra_id_", i, ">"), pieces.size() + sentinels - 1 - i);
  v.suffix = {*v.eos};
  return std::move(v);
}

/// Marian: source.spm and a vocab.json for both languages.
inline PieceVocabulary read_marian_vocabulary(const FileSet& files, const TokenizerConfig& config) {
  const std::string source = files.location_of("source.spm");
  detail::require_class(config, source, {"", "MarianTokenizer"});
  if (config.separate_vocabularies)
    raise<UnsupportedError>(source, ": vocabularies of their own for both languages are not supported");
  detail::PieceVocabularyBuilder builder(files.open("source.spm"));
  builder.read(files.open("vocab.json"));
  PieceVocabulary& v = builder.vocabulary();
  v.eos = builder.role(config.eos, "</s>");
  v.unk = builder.role(config.unk, "<unk>");
  v.pad = builder.role(config.pad, "<pad>");
  v.leading_language = true;
  v.suffix = {*v.eos};
  return std::move(v);
}

/// The languages of M2M-100, in the order of their ids.
inline constexpr std::string_view m2m_100_languages =
    "af am ar ast az ba be bg bn br bs ca ceb cs cy da de el en es et fa ff fi fr fy ga gd gl gu ha he hi hr ht hu hy "
    "id "
    "ig ilo is it ja jv ka kk km kn ko lb lg ln lo lt lv mg mk ml mn mr ms my ne nl no ns oc or pa pl ps pt ro ru sd "
    "si "
    "sk sl so sq sr ss su sv sw ta th tl tn tr uk ur uz vi wo xh yi yo zh zu";

/// M2M-100: sentencepiece.bpe.model, a vocab.json, and after it the languages, "__en__".
inline PieceVocabulary read_m2m_100_vocabulary(const FileSet& files, const TokenizerConfig& config) {
  const std::string source = files.location_of("sentencepiece.bpe.model");
  detail::require_class(config, source, {"", "M2M100Tokenizer"});
  detail::PieceVocabularyBuilder builder(files.open("sentencepiece.bpe.model"));
  builder.read(files.open("vocab.json"));
  PieceVocabulary& v = builder.vocabulary();
  std::size_t next = v.tokens.size();
  v.bos = builder.role(config.bos, "<s>");
  v.eos = builder.role(config.eos, "</s>");
  v.pad = builder.role(config.pad, "<pad>");
  v.unk = builder.role(config.unk, "<unk>");
  for (std::string_view rest = m2m_100_languages; !rest.empty();) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    builder.special(detail::concat("__", rest.substr(0, end), "__"), next++);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const std::string language = config.source_language.empty() ? "en" : config.source_language;
  v.prefix = {static_cast<TokenId>(builder.id_of(detail::concat("__", language, "__")))};
  v.suffix = {*v.eos};
  return std::move(v);
}

/// XLM-RoBERTa, mBART, mBART-50 and NLLB: a sentencepiece.bpe.model whose ids fairseq moved by one, then the languages
/// and the mask, with the ids that the files give them, else in the order of the files.
inline PieceVocabulary read_fairseq_vocabulary(const FileSet& files, const TokenizerConfig& config) {
  const std::string source = files.location_of("sentencepiece.bpe.model");
  detail::require_class(config, source, {"XLMRobertaTokenizer", "MBartTokenizer", "MBart50Tokenizer", "NllbTokenizer"});
  detail::PieceVocabularyBuilder builder(files.open("sentencepiece.bpe.model"));
  const auto& pieces = builder.pieces();
  PieceVocabulary& v = builder.vocabulary();
  v.bos = builder.special("<s>", 0);
  v.pad = builder.special("<pad>", 1);
  v.eos = builder.special("</s>", 2);
  v.unk = builder.special("<unk>", 3);
  for (std::size_t i = 3; i < pieces.size(); ++i) builder.place(pieces[i].text, i + 1);
  std::size_t next = pieces.size() + 1;
  const std::string_view name = config.tokenizer_class;
  const bool translates = !name.starts_with("XLMRoberta");
  if (config.added.empty()) {
    if (translates)
      for (const AddedToken& token : config.additional) builder.special(token.content, next++);
    builder.special(config.mask ? config.mask->content : "<mask>", next, true);
  }
  builder.add(config.added, next);
  if (!translates) {
    v.prefix = {*v.bos};
    v.suffix = {*v.eos};
    return std::move(v);
  }
  const std::string usual = name.starts_with("Nllb") ? "eng_Latn" : "en_XX";
  const auto language =
      static_cast<TokenId>(builder.id_of(config.source_language.empty() ? usual : config.source_language));
  if (name.starts_with("MBartTokenizer")) {
    v.suffix = {*v.eos, language};
  } else {
    v.prefix = {language};
    v.suffix = {*v.eos};
  }
  return std::move(v);
}

}  // namespace weft::inline v0
