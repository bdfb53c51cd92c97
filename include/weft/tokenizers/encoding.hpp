#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>

namespace weft::inline v0 {

/// A part of a text: from `begin` up to `end`, in bytes where nothing else is said.
struct TextRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  friend bool operator==(TextRange, TextRange) noexcept = default;
};

/// The tokens of a text, or of a pair of texts, with what models ask about each. All lists have one entry per token.
struct Encoding {
  std::vector<TokenId> ids{};
  std::vector<std::int32_t> type_ids{};  ///< 0 for the first text, 1 for the second, or as the tokenizer's files say
  std::vector<TextRange>
      offsets{};  ///< in the text the token is from, in the unit asked for; 0, 0 for tokens that were added
  std::vector<std::optional<std::uint32_t>> words{};  ///< the number of the word; none for tokens that were added
  std::vector<char> special_tokens_mask{};            ///< 1 for tokens that were added, padding too
  std::vector<char> attention_mask{};                 ///< 0 for padding
  /// Where truncation cut something off: the rest, in encodings made like this one.
  std::vector<Encoding> overflowing{};

  std::size_t size() const noexcept { return ids.size(); }
};

enum class OffsetUnit { bytes, characters };
enum class Side { left, right };

/// What gives way where the tokens of a text or a pair, added ones included, are too many.
enum class Truncation {
  none,
  longest_first,  ///< the longer text until both are equally long, then both
  only_first,
  only_second
};

enum class Padding {
  none,
  longest,  ///< to the longest of a batch
  max_length
};

struct TokenizeOptions {
  bool add_special_tokens = true;    ///< those that the tokenizer's files put around texts
  bool parse_special_tokens = true;  ///< the text of a special token becomes that token, not ordinary text
  OffsetUnit offset_unit = OffsetUnit::bytes;
  std::size_t max_length = 0;  ///< for truncation and padding
  Truncation truncation = Truncation::none;
  Side truncation_side = Side::right;  ///< where tokens are cut off
  std::size_t stride = 0;              ///< how many tokens an overflowing encoding repeats of the one before
  Padding padding = Padding::none;
  Side padding_side = Side::right;
  std::size_t pad_to_multiple_of = 0;  ///< 0 for any length
};

/// Fills encodings up to a length, overflowing ones too. Longer ones stay as they are.
inline void pad_encoding(Encoding& encoding, std::size_t length, TokenId pad, Side side) {
  for (Encoding& rest : encoding.overflowing) pad_encoding(rest, length, pad, side);
  if (encoding.size() >= length) return;
  const std::size_t missing = length - encoding.size();
  const auto fill = [&](auto& list, auto value) {
    list.insert(side == Side::left ? list.begin() : list.end(), missing, value);
  };
  fill(encoding.ids, pad);
  fill(encoding.type_ids, std::int32_t{0});
  fill(encoding.offsets, TextRange{});
  fill(encoding.words, std::optional<std::uint32_t>());
  fill(encoding.special_tokens_mask, char{1});
  fill(encoding.attention_mask, char{0});
}

/// Pads the encodings of a batch as the options say. Throws ConfigError where there is no padding token.
inline void pad_encodings(std::span<Encoding> encodings, std::optional<TokenId> pad, const TokenizeOptions& options) {
  if (options.padding == Padding::none) return;
  if (!pad) raise<ConfigError>("padding is asked of a tokenizer that has no padding token");
  std::size_t length = options.max_length;
  if (options.padding == Padding::longest) {
    length = 0;
    for (const Encoding& encoding : encodings) length = std::max(length, encoding.size());
  }
  if (const std::size_t multiple = options.pad_to_multiple_of; multiple > 0 && length % multiple > 0)
    length += multiple - length % multiple;
  for (Encoding& encoding : encodings) pad_encoding(encoding, length, *pad, options.padding_side);
}

}  // namespace weft::inline v0
