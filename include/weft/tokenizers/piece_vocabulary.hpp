#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/sentencepiece.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// What a PieceVocabularyTokenizer is made of.
struct PieceVocabulary {
  std::string model_file;             ///< what errors call the model
  std::string model;                  ///< the bytes of the SentencePiece model
  std::vector<std::string> tokens;    ///< by id; empty for an id that has none
  std::vector<AddedToken> special{};  ///< with ids
  std::vector<TokenId> prefix{};      ///< before a text
  std::vector<TokenId> suffix{};      ///< after it
  bool leading_language = false;      ///< ">>fra<<" at the beginning of a text is one token
  TokenId unk = 0;                    ///< for pieces that have no id
  std::optional<TokenId> bos{}, eos{}, pad{};
};

/// A SentencePiece model that cuts text into pieces, and a vocabulary that gives them ids: what T5, mBART, NLLB,
/// M2M-100 and Marian have (transformers, tokenization_t5.py, tokenization_mbart.py, tokenization_nllb.py,
/// tokenization_m2m_100.py, tokenization_marian.py, the last without the punctuation rules of Moses, which are optional
/// there). Special tokens are cut out of the text first. Decoding puts a space for U+2581 and drops spaces at the
/// beginning.
class PieceVocabularyTokenizer final : public Tokenizer {
 public:
  /// Throws FormatError where the model file is malformed, UnsupportedError for what is not built.
  explicit PieceVocabularyTokenizer(PieceVocabulary parts) : parts_(std::move(parts)) {
    detail::load_processor(parts_.model, parts_.model_file, processor_);
    parts_.model = {};
    for (AddedToken& token : parts_.special) {
      const auto index = static_cast<std::size_t>(token.id);
      if (index >= parts_.tokens.size()) parts_.tokens.resize(index + 1);
      parts_.tokens[index] = token.content;
      added_.add(token);
    }
    for (std::size_t i = 0; i < parts_.tokens.size(); ++i)
      if (!parts_.tokens[i].empty()) ids_.emplace(parts_.tokens[i], static_cast<TokenId>(i));
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const override {
    constexpr std::size_t most = std::size_t{1} << 29;  // the library counts bytes in int
    if (text.size() > most)
      raise<TokenizerError>("a text of ", text.size(), " bytes, at most ", most, " can be encoded at once");
    std::vector<TokenId> ids;
    if (options.add_special_tokens) ids = parts_.prefix;
    for (const AddedTokens::Part& part : added_.split(text, options.parse_special_tokens)) {
      if (part.token) {
        ids.push_back(part.token->id);
      } else {
        append_text(part.text, ids);
      }
    }
    if (options.add_special_tokens) ids.insert(ids.end(), parts_.suffix.begin(), parts_.suffix.end());
    return ids;
  }

  void append_bytes(TokenId id, const DecodeOptions& options, DecodeState& state, std::string& out) const override {
    constexpr std::string_view space_symbol = "\xE2\x96\x81";  // U+2581, a space in pieces
    std::string_view text = parts_.tokens[checked(id)];
    if (const AddedToken* token = added_.find(id)) {
      if (token->special && options.skip_special_tokens) return;
    } else {
      while (state.at_start && text.starts_with(space_symbol)) text.remove_prefix(space_symbol.size());
    }
    if (text.empty()) return;
    state.at_start = false;
    for (std::size_t space; (space = text.find(space_symbol)) != text.npos;
         text.remove_prefix(space + space_symbol.size()))
      out.append(text.substr(0, space)).push_back(' ');
    out += text;
  }

  std::size_t vocab_size() const noexcept override { return parts_.tokens.size(); }
  std::optional<TokenId> bos() const noexcept override { return parts_.bos; }
  std::optional<TokenId> eos() const noexcept override { return parts_.eos; }
  std::optional<TokenId> unk() const noexcept override { return parts_.unk; }
  std::optional<TokenId> pad() const noexcept override { return parts_.pad; }

  std::optional<TokenId> id_of(std::string_view token) const override {
    const auto found = ids_.find(std::string(token));
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  std::string token_of(TokenId id) const override { return parts_.tokens[checked(id)]; }
  bool is_special(TokenId id) const override {
    static_cast<void>(checked(id));
    const AddedToken* token = added_.find(id);
    return token && token->special;
  }

 private:
  void append_text(std::string_view text, std::vector<TokenId>& ids) const {
    if (parts_.leading_language && text.starts_with(">>"))
      if (const std::size_t end = text.find("<<"); end != text.npos) {
        ids.push_back(id_of(text.substr(0, end + 2)).value_or(parts_.unk));
        text.remove_prefix(end + 2);
      }
    std::vector<std::string> pieces;
    const sentencepiece::util::Status status = processor_.Encode(text, &pieces);
    if (!status.ok()) raise<TokenizerError>(parts_.model_file, ": the text cannot be encoded: ", status.message());
    for (const std::string& piece : pieces) ids.push_back(id_of(piece).value_or(parts_.unk));
  }

  PieceVocabulary parts_;
  sentencepiece::SentencePieceProcessor processor_;
  AddedTokens added_;
  std::unordered_map<std::string, TokenId> ids_;
};

}  // namespace weft::inline v0
