// Included by generic.hpp, avx2.hpp and avx512.hpp inside their namespace and target region. The order of additions is
// stated at LinearArgs.

inline constexpr std::size_t linear_rows = 4;  // weight rows of a register tile

/// A tile holds, for every granule of k, `tokens` times that granule's elements: (k / granule, tokens, granule).
inline void pack_tokens(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k,
                        float* packed) noexcept {
  for (std::size_t begin = 0; begin < k; begin += linear_granule) {
    const std::size_t n = k - begin < linear_granule ? k - begin : linear_granule;
    for (std::size_t t = 0; t < tokens; ++t) {
      const float* from = x + t * x_stride + begin;
      for (std::size_t i = 0; i < linear_granule; i += width)
        store(packed + i, i + width <= n ? load(from + i) : i < n ? load_partial(from + i, n - i) : zero());
      packed += linear_granule;
    }
  }
}

/// y[t, r] (+)= the product over one block of k, for T tokens and four weight rows.
template <std::size_t T, class W>
WEFT_ALWAYS_INLINE void linear_tile(const W* const (&weight)[linear_rows], const float* x, std::size_t k,
                                    float (&y)[T][linear_rows]) noexcept {
  Vec sums[T][linear_rows];
  WEFT_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    WEFT_UNROLL
    for (std::size_t r = 0; r < linear_rows; ++r) sums[t][r] = zero();
  }
  const auto step = [&](std::size_t at, std::size_t offset, auto&& read) noexcept {
    Vec xs[T];
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) xs[t] = load(x + t * linear_granule + offset);
    WEFT_UNROLL
    for (std::size_t r = 0; r < linear_rows; ++r) {
      const Vec w = read(weight[r] + at);
      WEFT_UNROLL
      for (std::size_t t = 0; t < T; ++t) sums[t][r] = fma(w, xs[t], sums[t][r]);
    }
  };
  std::size_t at = 0;
  for (; at + linear_granule <= k; at += linear_granule, x += T * linear_granule) {
    WEFT_UNROLL
    for (std::size_t i = 0; i < linear_granule; i += width)
      step(at + i, i, [&](const W* p) noexcept { return load(p); });
  }
  for (std::size_t i = 0; at + i < k; i += width) {
    const std::size_t left = k - at - i;
    if (left >= width) {
      step(at + i, i, [&](const W* p) noexcept { return load(p); });
    } else {
      step(at + i, i, [&](const W* p) noexcept { return load_partial(p, left); });
    }
  }
  WEFT_UNROLL
  for (std::size_t t = 0; t < T; ++t) reduce_add4(sums[t][0], sums[t][1], sums[t][2], sums[t][3], y[t]);
}
