// Included by generic.hpp, avx2.hpp, avx512.hpp, neon.hpp and those that build on them, inside their namespace and
// target region, before the products: what all of them share.

/// Two vectors of rows of y for T tokens, from `row` on: zero, or what is there.
template <std::size_t T>
WEFT_ALWAYS_INLINE void load_sums(const TileArgs& a, std::size_t token, std::size_t row, Vec (&sums)[2][T]) noexcept {
  WEFT_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    const float* y = a.from ? a.from + (token + t) * a.from_stride + row : nullptr;
    WEFT_UNROLL
    for (std::size_t v = 0; v < 2; ++v) {
      const std::size_t left = a.rows > row + v * width ? a.rows - row - v * width : 0;
      sums[v][t] = !a.from || left == 0 ? zero()
                   : left >= width      ? load(y + v * width)
                                        : load_partial(y + v * width, left);
    }
  }
}

template <std::size_t T>
WEFT_ALWAYS_INLINE void store_sums(const TileArgs& a, std::size_t token, std::size_t row,
                                   const Vec (&sums)[2][T]) noexcept {
  WEFT_UNROLL
  for (std::size_t t = 0; t < T; ++t) {
    float* y = a.y + (token + t) * a.y_stride + row;
    WEFT_UNROLL
    for (std::size_t v = 0; v < 2; ++v) {
      const std::size_t left = a.rows > row + v * width ? a.rows - row - v * width : 0;
      if (left >= width) {
        store(y + v * width, sums[v][t]);
      } else if (left > 0) {
        store_partial(y + v * width, sums[v][t], left);
      }
    }
  }
}

/// T tokens against all panels, two vectors of rows at a time.
template <class Product>
struct TilePanels {
  template <std::size_t T>
  static WEFT_NO_INLINE void run(const TileArgs& a, std::size_t token) noexcept {
    const std::byte* x = a.x + token * a.x_bytes + T * a.x_offset;
    for (std::size_t row = 0; row < a.rows; row += 2 * width) {
      Vec sums[2][T];
      load_sums<T>(a, token, row, sums);
      const std::byte* panel = a.panels + row / panel_rows * a.panel_bytes + row % panel_rows * 4;
      Product::template run<T>(panel, x, a.k, sums);
      store_sums<T>(a, token, row, sums);
    }
  }
};

/// All tokens, tile by tile: a tile of tokens stays in the first-level cache, the panels in the second.
template <class Run, std::size_t Most, std::size_t Largest = Most>
void tiles(const TileArgs& a) noexcept {
  for (std::size_t token = 0, tokens = 0; token < a.tokens; token += tokens) {
    tokens = tile_tokens(a.tokens - token, Most);
    if constexpr (Most <= Largest)
      if (tokens == Most) Run::template run<Most>(a, token);
    if constexpr (Most > 6 && Largest >= 6)
      if (tokens == 6) Run::template run<6>(a, token);
    if constexpr (Most > 4 && Largest >= 4)
      if (tokens == 4) Run::template run<4>(a, token);
    if constexpr (Most > 2 && Largest >= 2)
      if (tokens == 2) Run::template run<2>(a, token);
    if (tokens == 1) Run::template run<1>(a, token);
  }
}

/// Calls f(std::integral_constant<int, I>{}) for I in [0, N).
template <int N, class F>
WEFT_ALWAYS_INLINE void for_each_constant(F&& f) noexcept {
  if constexpr (N > 0) {
    for_each_constant<N - 1>(f);
    f(std::integral_constant<int, N - 1>{});
  }
}
