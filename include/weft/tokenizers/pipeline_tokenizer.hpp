#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/tokenizers/added_token_finder.hpp>
#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/aligned_text.hpp>
#include <weft/tokenizers/decoder.hpp>
#include <weft/tokenizers/encoding.hpp>
#include <weft/tokenizers/normalizer.hpp>
#include <weft/tokenizers/post_processor.hpp>
#include <weft/tokenizers/pretokenizer.hpp>
#include <weft/tokenizers/subword_model.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// What a PipelineTokenizer is made of.
struct TokenizerParts {
  std::vector<Normalizer> normalizers{};
  std::vector<PreTokenizer> pre_tokenizers{};
  std::shared_ptr<const SubwordModel> model{};
  PostProcessor post_processor{};
  TokenDecoder decoder{};
  std::vector<AddedToken> added{};  ///< with their ids; of several with one id or content the last counts
  std::optional<TokenId> bos{}, eos{}, unk{}, pad{};
  bool split_special_tokens = false;  ///< special tokens are never parsed
};

/// The pipeline of the tokenizers library: added tokens are cut out of the text, what lies between is normalized, cut
/// into words, and the words into the tokens of a vocabulary; then tokens are put around the whole.
///
/// Text that is not UTF-8: every byte that belongs to no character is encoded as U+FFFD.
class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
    if (!parts_.pre_tokenizers.empty() && parts_.model->encodes_bytes())
      if (auto* last = parts_.pre_tokenizers.back().target<ByteLevelPreTokenizer>()) {
        last->spells = false;
        words_are_bytes_ = true;
      }
    const Vocabulary& vocabulary = parts_.model->vocabulary();
    vocab_size_ = vocabulary.end_id();
    std::unordered_map<std::string_view, std::size_t> by_content;
    for (std::size_t i = 0; i < parts_.added.size(); ++i) {
      const AddedToken& token = parts_.added[i];
      spellings_.push_back(token.normalized ? normalize(token.content) : token.content);
      by_content[token.content] = i;
      by_id_[token.id] = i;
      vocab_size_ = std::max(vocab_size_, static_cast<std::size_t>(token.id) + 1);
    }
    std::unordered_set<std::string_view> special;
    for (const AddedToken& token : parts_.added)
      if (token.special) special.insert(token.content);
    for (const std::string& spelling : spellings_) left_out_.push_back(special.contains(spelling));
    std::vector<std::pair<std::string, AddedToken>> as_written;
    std::vector<std::pair<std::string, AddedToken>> normalized;
    for (const auto& [content, index] : by_content) {
      const AddedToken& token = parts_.added[index];
      by_content_[std::string(content)] = token.id;
      if (by_id_.at(token.id) != index) continue;
      (token.normalized ? normalized : as_written).emplace_back(spellings_[index], token);
    }
    as_written_ = AddedTokenFinder(std::move(as_written));
    normalized_ = AddedTokenFinder(std::move(normalized));
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const override {
    const PreTokens words = pre_tokenize(text, options.parse_special_tokens);
    const std::vector<Subword> tokens = subwords_of(words);
    std::vector<TokenId> ids;
    ids.reserve(tokens.size() + 2);
    for (const PostProcessor::Piece& piece : parts_.post_processor.single) {
      if (piece.kind == PostProcessor::Piece::Kind::first) {
        for (const Subword& token : tokens) ids.push_back(token.id);
      } else if (options.add_special_tokens) {
        ids.insert(ids.end(), piece.ids.begin(), piece.ids.end());
      }
    }
    return ids;
  }

  Encoding tokenize(std::string_view text, const TokenizeOptions& options = {}) const override {
    return finish(EncodingBuilder(parts_.post_processor, options).build(tokens_of(text, options), nullptr), options);
  }
  Encoding tokenize(std::string_view text, std::string_view pair, const TokenizeOptions& options = {}) const override {
    const std::vector<TextToken> second = tokens_of(pair, options);
    return finish(EncodingBuilder(parts_.post_processor, options).build(tokens_of(text, options), &second), options);
  }

  void append_bytes(TokenId id, const DecodeOptions& options, DecodeState& state, std::string& out) const override {
    checked(id);
    const auto place = by_id_.find(id);
    const bool is_added = place != by_id_.end();
    if (is_added ? options.skip_special_tokens && left_out_[place->second] : !parts_.model->vocabulary().contains(id))
      return;
    const std::size_t begin = out.size();
    out += is_added ? std::string_view(spellings_[place->second]) : parts_.model->vocabulary().token(id);
    parts_.decoder(out, begin, state);
  }
  void end_bytes(DecodeState& state, std::string& out) const override { parts_.decoder.end(out, state); }

  Utf8Repair repair() const noexcept override { return parts_.decoder.repair; }

  std::size_t vocab_size() const noexcept override { return vocab_size_; }
  std::optional<TokenId> bos() const noexcept override { return parts_.bos; }
  std::optional<TokenId> eos() const noexcept override { return parts_.eos; }
  std::optional<TokenId> unk() const noexcept override { return parts_.unk; }
  std::optional<TokenId> pad() const noexcept override { return parts_.pad; }

  std::optional<TokenId> id_of(std::string_view token) const override {
    const auto found = by_content_.find(std::string(token));
    return found != by_content_.end() ? found->second : parts_.model->vocabulary().find(token);
  }
  std::string token_of(TokenId id) const override {
    checked(id);
    const AddedToken* token = added(id);
    return token ? token->content : std::string(parts_.model->vocabulary().token(id));
  }
  bool is_special(TokenId id) const override {
    checked(id);
    const AddedToken* token = added(id);
    return token && token->special;
  }

 private:
  const AddedToken* added(TokenId id) const noexcept {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &parts_.added[found->second];
  }

  std::string normalize(std::string_view text) const {
    AlignedText aligned(text);
    for (const Normalizer& step : parts_.normalizers) step(aligned);
    return aligned.text();
  }

  /// The text normalized and cut into words and added tokens.
  PreTokens pre_tokenize(std::string_view text, bool parse_special) const {
    parse_special = parse_special && !parts_.split_special_tokens;
    PreTokens out{AlignedText(text), {}};
    if (out.text.empty()) return out;
    out.pieces.push_back({{0, out.text.size()}});
    find_added(as_written_, parse_special, out);
    if (!parts_.normalizers.empty()) {
      AlignedText normalized;
      for (PreToken& piece : out.pieces) {
        AlignedText part = out.text.slice(piece.range);
        if (piece.token == PreToken::no_token)
          for (const Normalizer& step : parts_.normalizers) step(part);
        piece.range.begin = normalized.size();
        normalized.append(part, {0, part.size()});
        piece.range.end = normalized.size();
      }
      out.text = std::move(normalized);
      std::erase_if(out.pieces, [](const PreToken& piece) { return piece.range.begin == piece.range.end; });
    }
    find_added(normalized_, parse_special, out);
    for (const PreTokenizer& step : parts_.pre_tokenizers) step(out);
    return out;
  }

  static void find_added(const AddedTokenFinder& finder, bool parse_special, PreTokens& tokens) {
    std::vector<PreToken> pieces;
    for (const PreToken& piece : tokens.pieces) {
      std::uint32_t done = piece.range.begin;
      if (piece.token == PreToken::no_token)
        finder.for_each(tokens.text.view(piece.range), parse_special,
                        [&](std::size_t begin, std::size_t end, const AddedToken& token) {
                          const auto from = piece.range.begin + static_cast<std::uint32_t>(begin);
                          const auto to = piece.range.begin + static_cast<std::uint32_t>(end);
                          if (from > done) pieces.push_back({{done, from}});
                          pieces.push_back({{from, to}, token.id});
                          done = to;
                        });
      if (done < piece.range.end) pieces.push_back({{done, piece.range.end}, piece.token});
    }
    tokens.pieces = std::move(pieces);
  }

  std::vector<Subword> subwords_of(const PreTokens& words) const {
    std::vector<Subword> out;
    out.reserve(words.pieces.size() + words.pieces.size() / 4);
    if (words_are_bytes_) {
      parts_.model->encode_bytes(words.text.text(), words.pieces, out);
    } else {
      parts_.model->encode(words.text.text(), words.pieces, out);
    }
    return out;
  }

  std::vector<TextToken> tokens_of(std::string_view text, const TokenizeOptions& options) const {
    const PreTokens words = pre_tokenize(text, options.parse_special_tokens);
    const std::vector<Subword> subwords = subwords_of(words);
    std::vector<std::uint32_t> characters;  // before each byte
    if (options.offset_unit == OffsetUnit::characters && !detail::is_ascii(text)) {
      std::uint32_t count = 0;
      characters.reserve(text.size() + 1);
      for (std::size_t at = 0; at < text.size();) {
        const Utf8Character character = first_character(text.substr(at));
        const std::size_t bytes = character.kind == Utf8Character::Kind::complete ? character.bytes : 1;
        characters.insert(characters.end(), bytes, count++);
        at += bytes;
      }
      characters.push_back(count);
    }
    std::vector<TextToken> tokens;
    tokens.reserve(subwords.size());
    for (const Subword& subword : subwords) {
      const TextRange origin = words.text.origin(subword.range);
      TextToken token{subword.id, {origin.begin, origin.end}, subword.piece, 0, 0};
      if (!characters.empty()) token.offsets = {characters[origin.begin], characters[origin.end]};
      if (parts_.post_processor.trim_offsets) {
        const bool as_text =
            words.pieces[subword.piece].token != PreToken::no_token || subword.id == parts_.model->spelled_as_text();
        std::tie(token.leading_spaces, token.trailing_spaces) = detail::count_outer_spaces(
            as_text ? words.text.view(subword.range) : parts_.model->vocabulary().token(subword.id));
      }
      tokens.push_back(token);
    }
    return tokens;
  }

  Encoding finish(Encoding encoding, const TokenizeOptions& options) const {
    pad_encodings({&encoding, 1}, parts_.pad, options);
    return encoding;
  }

  TokenizerParts parts_;
  std::vector<std::string> spellings_;  // of the added tokens, as they are found in text and decoded
  std::vector<bool> left_out_;  // of decoded text: those spelled like a special token, as in the tokenizers library
  std::unordered_map<TokenId, std::size_t> by_id_;
  std::unordered_map<std::string, TokenId> by_content_;
  AddedTokenFinder as_written_;
  AddedTokenFinder normalized_;
  std::size_t vocab_size_ = 0;
  bool words_are_bytes_ = false;  // the last pre-tokenizer leaves the byte-level alphabet to the model
};

}  // namespace weft::inline v0
