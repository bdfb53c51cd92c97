#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/tokenizers/aligned_text.hpp>
#include <weft/tokenizers/pretokenizer.hpp>
#include <weft/tokenizers/vocabulary.hpp>

namespace weft::inline v0 {

/// A token of a text, the bytes it stands for, and the piece it was found in.
struct Subword {
  TokenId id = 0;
  TextRange range{};
  std::uint32_t piece = 0;
  friend bool operator==(const Subword&, const Subword&) noexcept = default;
};

/// Cuts words into the tokens of a vocabulary. Methods are const and may be called from several threads.
class SubwordModel {
 public:
  SubwordModel(const SubwordModel&) = delete;
  SubwordModel& operator=(const SubwordModel&) = delete;
  virtual ~SubwordModel() = default;

  const Vocabulary& vocabulary() const noexcept { return vocabulary_; }

  /// Appends the tokens of the pieces of a well-formed UTF-8 text; a piece that is a token stays that token. Throws
  /// TokenizerError for text that the vocabulary has no token for, not even for the unknown.
  virtual void encode(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const = 0;

  /// Whether encode_bytes() may be called.
  virtual bool encodes_bytes() const noexcept { return false; }
  /// What encode() makes of the text spelled in the byte-level alphabet, with the ranges of the text itself.
  virtual void encode_bytes(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const {
    static_cast<void>(text), static_cast<void>(pieces), static_cast<void>(out);
    raise<UnsupportedError>("this model encodes characters alone");
  }

  /// Text that the model puts behind words ("</w>"), which decoding takes for a space; mostly empty.
  virtual std::string_view end_of_word_suffix() const noexcept { return {}; }
  /// The token that stands for text of which the model knows no other: its offsets are trimmed as that text ends.
  virtual std::optional<TokenId> spelled_as_text() const noexcept { return std::nullopt; }

 protected:
  explicit SubwordModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}

  /// Calls `word(text, range, piece)` for the pieces that are words and appends the others.
  template <class Word>
  static void for_each_word(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out,
                            Word&& word) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const auto [range, token] = pieces[i];
      const auto index = static_cast<std::uint32_t>(i);
      if (token != PreToken::no_token) {
        out.push_back({token, range, index});
      } else {
        word(text.substr(range.begin, range.end - range.begin), range.begin, index);
      }
    }
  }

 private:
  Vocabulary vocabulary_;
};

}  // namespace weft::inline v0
