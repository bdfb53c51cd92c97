// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region. The order of
// additions is stated at TileArgs.

/// Tokens side by side: for every element of k, that of each token of the tile.
inline void pack_f32(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k, void* out,
                     bool*) noexcept {
  auto* packed = static_cast<float*>(out);
  for (std::size_t i = 0; i < k; i += width) {
    const std::size_t n = k - i < width ? k - i : width;
    for (std::size_t begin = 0; begin < tokens; begin += width) {
      Vec square[width];
      WEFT_UNROLL
      for (std::size_t t = 0; t < width; ++t) {
        const float* p = x + (begin + t) * x_stride + i;
        square[t] = begin + t >= tokens ? zero() : n == width ? load(p) : load_partial(p, n);
      }
      transpose(square);
      const std::size_t count = tokens - begin < width ? tokens - begin : width;
      for (std::size_t j = 0; j < n; ++j) {
        float* to = packed + (i + j) * tokens + begin;
        if (count == width) {
          store(to, square[j]);
        } else {
          store_partial(to, square[j], count);
        }
      }
    }
  }
  if (k % 2 != 0)
    for (std::size_t t = 0; t < tokens; ++t) packed[k * tokens + t] = 0.f;
}

struct TileF32 {
  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void run(const std::byte* weights, const std::byte* tokens, std::size_t k,
                                     Vec (&sums)[2][T]) noexcept {
    const auto* w = reinterpret_cast<const float*>(weights);
    const auto* x = reinterpret_cast<const float*>(tokens);
    for (std::size_t i = 0; i < k; ++i, w += panel_rows, x += T) {
      const Vec w0 = load(w);
      const Vec w1 = load(w + width);
      WEFT_UNROLL
      for (std::size_t t = 0; t < T; ++t) {
        const Vec xt = set(x[t]);
        sums[0][t] = fma(w0, xt, sums[0][t]);
        sums[1][t] = fma(w1, xt, sums[1][t]);
      }
    }
  }
};

/// Straight from interleaved rows of two-byte elements: every four bytes hold those of two steps of k.
template <class W>
struct TilePairs {
  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void run(const std::byte* weights, const std::byte* tokens, std::size_t k,
                                     Vec (&sums)[2][T]) noexcept {
    const auto* x = reinterpret_cast<const float*>(tokens);
    for (std::size_t i = 0; i < k; i += 2, weights += panel_rows * 4, x += 2 * T) {
      __builtin_prefetch(weights + prefetch_distance);
      if constexpr (2 * width * 4 > 64) __builtin_prefetch(weights + prefetch_distance + 64);
      const IntVec both[2] = {load_ints(weights), load_ints(weights + width * 4)};
      WEFT_UNROLL
      for (std::size_t v = 0; v < 2; ++v) {
        const Vec first = low_element<W>(both[v]);
        const Vec second = low_element<W>(shift_right<16>(both[v]));
        WEFT_UNROLL
        for (std::size_t t = 0; t < T; ++t) sums[v][t] = fma(second, set(x[T + t]), fma(first, set(x[t]), sums[v][t]));
      }
    }
  }
};
