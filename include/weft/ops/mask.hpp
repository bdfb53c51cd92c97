#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include <weft/core/tensor.hpp>

// Attention masks. In every mask true means: may attend. (Hand masked_fill the negation: it fills where true.)

namespace weft::inline v0 {

/// (batch, tokens): true for the first lengths[b] tokens of sequence b, false for the padding after them. Throws
/// ShapeError for a length below 0 or above `tokens`.
template <TensorLike Lengths>
Tensor<bool, 2> padding_mask(const Lengths& lengths, std::size_t tokens) {
  static_assert(rank_of<Lengths> == 1, "padding_mask: one length for each sequence of the batch");
  static_assert(std::integral<value_t<Lengths>> && !std::same_as<value_t<Lengths>, bool>,
                "padding_mask: lengths are integers");
  const auto of = view(lengths);
  Tensor<bool, 2> mask({of.extent(0), tokens});
  for (std::size_t b = 0; b < of.extent(0); ++b) {
    const auto length = static_cast<std::int64_t>(of[b]);
    if (length < 0 || static_cast<std::size_t>(length) > tokens)
      raise<ShapeError>("padding_mask: length ", length, " of sequence ", b, " is outside [0, ", tokens, "]");
    for (std::size_t t = 0; t < static_cast<std::size_t>(length); ++t) mask(b, t) = true;
  }
  return mask;
}

/// (queries, keys): query i stands at position offset + i and may attend the keys at positions 0 to offset + i. With a
/// cache of `offset` keys, keys = offset + queries.
inline Tensor<bool, 2> causal_mask(std::size_t queries, std::size_t keys, std::size_t offset) {
  Tensor<bool, 2> mask({queries, keys});
  for (std::size_t i = 0; i < queries; ++i)
    for (std::size_t j = 0; j < keys && (j <= offset || j - offset <= i); ++j) mask(i, j) = true;
  return mask;
}
/// (tokens, tokens): the lower triangle.
inline Tensor<bool, 2> causal_mask(std::size_t tokens) { return causal_mask(tokens, tokens, 0); }

/// (batch, queries, keys): where both the padding mask (batch, keys) and the causal mask (queries, keys) are true.
/// Throws ShapeError where the numbers of keys differ.
template <TensorLike Padding, TensorLike Causal>
Tensor<bool, 3> combined_mask(const Padding& padding, const Causal& causal) {
  static_assert(rank_of<Padding> == 2 && rank_of<Causal> == 2,
                "combined_mask: the padding mask is (batch, keys), the causal mask (queries, keys)");
  static_assert(std::same_as<value_t<Padding>, bool> && std::same_as<value_t<Causal>, bool>,
                "combined_mask: masks hold bool");
  static_assert(detail::same_extent<Padding, 1, Causal, 1>, "combined_mask: the masks have different numbers of keys");
  const auto real = view(padding);
  const auto past = view(causal);
  detail::require_extent("combined_mask", "the number of keys in the causal mask", past.extent(1), real.extent(1));
  Tensor<bool, 3> mask({real.extent(0), past.extent(0), real.extent(1)});
  for (std::size_t b = 0; b < mask.extent(0); ++b)
    for (std::size_t i = 0; i < mask.extent(1); ++i)
      for (std::size_t j = 0; j < mask.extent(2); ++j) mask(b, i, j) = real(b, j) && past(i, j);
  return mask;
}

}  // namespace weft::inline v0
