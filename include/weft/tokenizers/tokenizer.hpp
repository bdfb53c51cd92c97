#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/encoding.hpp>

namespace weft::inline v0 {

struct EncodeOptions {
  bool add_special_tokens = true;    ///< BOS and EOS where the tokenizer's files ask for them
  bool parse_special_tokens = true;  ///< the text of a special token ("</s>") becomes that token, not ordinary text
};

struct DecodeOptions {
  bool skip_special_tokens = true;
};

/// What decoding keeps from token to token.
struct DecodeState {
  bool at_start = true;  ///< a leading space is still to be removed
  std::size_t run = 0;   ///< bytes at the end of what was written that later tokens may change
};

/// Turns text into token ids and back. All methods are const and may be called from several threads.
class Tokenizer {
 public:
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  virtual ~Tokenizer() = default;

  /// Throws TokenizerError for text that is too long for the tokenizer.
  virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options = {}) const = 0;

  /// The tokens of a text, or of a pair of texts, with their offsets, words and types, truncated and padded as asked.
  /// Throws UnsupportedError for a tokenizer that gives ids alone, TokenizerError as encode() does, ConfigError where
  /// the text cannot be truncated or padded as asked.
  virtual Encoding tokenize(std::string_view text, const TokenizeOptions& options = {}) const {
    static_cast<void>(text), static_cast<void>(options);
    raise<UnsupportedError>("this tokenizer gives ids alone, without offsets");
  }
  virtual Encoding tokenize(std::string_view text, std::string_view pair, const TokenizeOptions& options = {}) const {
    static_cast<void>(pair);
    return tokenize(text, options);
  }

  /// The text of the tokens. Bytes that form no character, which tokens can spell, become U+FFFD as repair() says.
  /// Throws TokenizerError for an id outside the vocabulary.
  std::string decode(std::span<const TokenId> ids, const DecodeOptions& options = {}) const {
    std::string bytes;
    DecodeState state;
    for (const TokenId id : ids) append_bytes(id, options, state, bytes);
    end_bytes(state, bytes);
    if (is_utf8(bytes)) return bytes;
    std::string text;
    append_repaired(bytes, true, text, repair());
    return text;
  }

  /// Appends the bytes of one token of a sequence; they may begin or end inside a character. `state` is that of a
  /// sequence before the first token and kept between the tokens, as are the last state.run bytes of `out`. Throws
  /// TokenizerError for an id outside the vocabulary.
  virtual void append_bytes(TokenId id, const DecodeOptions& options, DecodeState& state, std::string& out) const = 0;
  /// Ends a sequence: nothing changes the last state.run bytes of `out` any more.
  virtual void end_bytes(DecodeState& state, std::string& out) const {
    static_cast<void>(state), static_cast<void>(out);
  }

  virtual Utf8Repair repair() const noexcept { return Utf8Repair::bytes; }

  /// One more than the largest token id.
  virtual std::size_t vocab_size() const noexcept = 0;
  /// The tokens that begin and end a sequence, stand for what cannot be encoded, and fill up a batch.
  virtual std::optional<TokenId> bos() const noexcept = 0;
  virtual std::optional<TokenId> eos() const noexcept = 0;
  virtual std::optional<TokenId> unk() const noexcept = 0;
  virtual std::optional<TokenId> pad() const noexcept = 0;

  /// The id of a token as the vocabulary spells it ("\u2581the", "</s>"); nothing where it has none.
  virtual std::optional<TokenId> id_of(std::string_view token) const = 0;
  /// The spelling of a token in the vocabulary. Throws TokenizerError for an id outside it.
  virtual std::string token_of(TokenId id) const = 0;
  /// Whether decode() leaves the token out by default. Throws TokenizerError for an id outside the vocabulary.
  virtual bool is_special(TokenId id) const = 0;

 protected:
  Tokenizer() = default;

  /// The id as an index. Throws TokenizerError outside the vocabulary.
  std::size_t checked(TokenId id) const {
    if (id < 0 || static_cast<std::size_t>(id) >= vocab_size())
      raise<TokenizerError>("token id ", id, " is outside the vocabulary of ", vocab_size(), " tokens");
    return static_cast<std::size_t>(id);
  }
};

}  // namespace weft::inline v0
