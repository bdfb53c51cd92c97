// Included by generic.hpp, avx2.hpp, avx512.hpp and avx512_bf16.hpp inside their namespace and target region, after a
// linear_tile<T>(weight, x, k, y) for their weight type W and packed type X.

/// Four weight rows (fewer at the end) against one tile of T tokens, all of one block of k.
template <class W, class X, std::size_t T>
WEFT_NO_INLINE void linear_rows_of(const LinearArgs& a, std::size_t k_begin, std::size_t k, const X* x,
                                   float* y) noexcept {
  const W* base = static_cast<const W*>(a.weight) + k_begin;
  for (std::size_t row = a.row_begin; row < a.row_end; row += linear_rows) {
    const std::size_t rows = a.row_end - row < linear_rows ? a.row_end - row : linear_rows;
    const W* weight[linear_rows];
    for (std::size_t r = 0; r < linear_rows; ++r)
      weight[r] = base + (row + (r < rows ? r : rows - 1)) * a.weight_stride;
    float sums[T][linear_rows];
    linear_tile<T>(weight, x, k, sums);
    for (std::size_t t = 0; t < T; ++t) {
      float* to = y + t * a.y_stride + row;
      for (std::size_t r = 0; r < rows; ++r) to[r] = k_begin == 0 ? sums[t][r] : to[r] + sums[t][r];
    }
  }
}

/// Calls f with the tokens of a tile as a compile-time constant.
template <class F>
WEFT_ALWAYS_INLINE void with_tokens(std::size_t tokens, F&& f) noexcept {
  if (tokens == linear_tokens) return f(std::integral_constant<std::size_t, linear_tokens>{});
  if constexpr (linear_tokens > 3)
    if (tokens == 3) return f(std::integral_constant<std::size_t, 3>{});
  if constexpr (linear_tokens > 2)
    if (tokens == 2) return f(std::integral_constant<std::size_t, 2>{});
  f(std::integral_constant<std::size_t, 1>{});
}

/// Blocks of k, then tiles of tokens, then weight rows, so that a block of weight rows stays in the second-level cache
/// while every token passes.
template <class W, class X>
void linear(const LinearArgs& a) noexcept {
  const std::size_t padded = (a.k + linear_granule - 1) / linear_granule * linear_granule;
  for (std::size_t k_begin = 0; k_begin < a.k; k_begin += linear_block) {
    const std::size_t k = a.k - k_begin < linear_block ? a.k - k_begin : linear_block;
    for (std::size_t token = 0, tokens = 0; token < a.tokens; token += tokens) {
      tokens = linear_tile_tokens(a.tokens - token, linear_tokens);
      const X* x = static_cast<const X*>(a.x) + token * padded + k_begin * tokens;
      float* y = a.y + token * a.y_stride;
      with_tokens(tokens,
                  [&](auto count) noexcept { linear_rows_of<W, X, decltype(count)::value>(a, k_begin, k, x, y); });
    }
  }
}
