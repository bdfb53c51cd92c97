// Included by generic.hpp, avx2.hpp, avx512_vnni.hpp, neon.hpp and neon_dot.hpp inside their namespace and target
// region: products of block formats with tokens in blocks of 32 int8 that share a power of two. What the instruction
// set gives is DotWeights, dot_weights(), dot(), i8_unsigned and I8Tokens.

inline constexpr std::size_t i8_elements = 32;                      // of a block
inline constexpr std::size_t i8_quads = i8_elements / 4;            // dot-product steps of a block
inline constexpr std::size_t i8_codes = i8_quads * panel_rows * 4;  // bytes of the codes of a block of a panel
inline constexpr std::size_t i8_scales = panel_rows * sizeof(float);

inline void pack_i8(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k, void* out,
                    bool* overflow) noexcept {
  constexpr std::size_t vectors = i8_elements / width;  // of a block
  constexpr std::size_t together = 4;                   // blocks whose lanes are reduced at once
  auto* packed = static_cast<I8Tokens*>(out);
  const Vec limit = set(127.f * 0x1p60f);
  for (std::size_t t = 0; t < tokens; ++t) {
    Vec beyond = zero();  // not zero where an element is too large or no number
    for (std::size_t begin = 0; begin < k; begin += together * i8_elements) {
      Vec values[together][vectors], largest[together];
      WEFT_UNROLL
      for (std::size_t b = 0; b < together; ++b) {
        largest[b] = zero();
        WEFT_UNROLL
        for (std::size_t i = 0; i < vectors; ++i) {
          const std::size_t at = begin + b * i8_elements + i * width;
          const float* from = x + t * x_stride + at;
          Vec& value = values[b][i];
          value = at + width <= k ? load(from) : at < k ? load_partial(from, k - at) : zero();
          const Vec size = abs(value);
          beyond = add(beyond, select_less(size, limit, zero(), set(1.f)));
          value = select_less(size, limit, value, zero());
          largest[b] = max(largest[b], abs(value));
        }
      }
      float maxima[together], sums[2][together];
      reduce_max4(largest[0], largest[1], largest[2], largest[3], maxima);
      Vec halves[2][together];
      const std::size_t blocks = (k - begin + i8_elements - 1) / i8_elements;
      I8Tokens* to = packed + begin / i8_elements * tokens + t;
      I8Tokens nowhere;
      WEFT_UNROLL
      for (std::size_t b = 0; b < together; ++b) {
        I8Tokens& block = b < blocks ? to[b * tokens] : nowhere;
        const Vec inverse = set(block.set_scale(maxima[b]));
        halves[0][b] = halves[1][b] = zero();
        WEFT_UNROLL
        for (std::size_t i = 0; i < vectors; ++i) {
          const Vec code = round(mul(values[b][i], inverse));
          Vec& half = halves[2 * i / vectors][b];
          half = add(half, code);
          block.set_codes(i, code);
        }
      }
      for (std::size_t h = 0; h < 2; ++h) reduce_add4(halves[h][0], halves[h][1], halves[h][2], halves[h][3], sums[h]);
      for (std::size_t b = 0; b < together && b < blocks; ++b) to[b * tokens].set_sums(sums[0][b], sums[1][b]);
    }
    overflow[t] = reduce_add(beyond) != 0.f;
  }
}

/// How many scales a block of 32 weights has in an expanded panel.
enum class I8Scales : unsigned char {
  one,      // y += scale * sum
  minimum,  // y += minimum * (sum of tokens) + scale * sum
  halves,   // one for the first and one for the last 16
};

/// Bytes of 32 elements of an expanded panel: the codes, then the scales.
template <I8Scales Scales>
inline constexpr std::size_t i8_block_bytes = i8_codes + (Scales == I8Scales::one ? 1 : 2) * i8_scales;

template <I8Scales Scales>
struct TileI8 {
  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void run(const std::byte* w, const std::byte* tokens, std::size_t k,
                                     Vec (&sums)[2][T]) noexcept {
    const auto* x = reinterpret_cast<const I8Tokens*>(tokens);
    for (std::size_t begin = 0; begin < k; begin += i8_elements, w += i8_block_bytes<Scales>, x += T) {
      const auto* scales = reinterpret_cast<const float*>(w + i8_codes);
      IntVec dots[2][T];
      if constexpr (Scales == I8Scales::halves) {
        WEFT_UNROLL
        for (std::size_t half = 0; half < 2; ++half) {
          WEFT_UNROLL
          for (std::size_t t = 0; t < T; ++t) dots[0][t] = dots[1][t] = x[t].template half_start<128>(half);
          multiply<T>(w, half * i8_quads / 2, (half + 1) * i8_quads / 2, x, dots);
          add_scaled<T>(scales + half * panel_rows, x, dots, sums);
        }
      } else {
        if constexpr (Scales == I8Scales::minimum) {
          const Vec minima[2] = {load(scales + panel_rows), load(scales + panel_rows + width)};
          WEFT_UNROLL
          for (std::size_t t = 0; t < T; ++t) {
            const Vec total = set(x[t].sum);
            sums[0][t] = fma(minima[0], total, sums[0][t]);
            sums[1][t] = fma(minima[1], total, sums[1][t]);
          }
        }
        WEFT_UNROLL
        for (std::size_t t = 0; t < T; ++t) dots[0][t] = dots[1][t] = x[t].template start<128>();
        multiply<T>(w, 0, i8_quads, x, dots);
        add_scaled<T>(scales, x, dots, sums);
      }
    }
  }

 private:
  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void multiply(const std::byte* w, std::size_t first, std::size_t last, const I8Tokens* x,
                                          IntVec (&dots)[2][T]) noexcept {
    WEFT_UNROLL
    for (std::size_t j = first; j < last; ++j) {
      const DotWeights w0 = dot_weights(load_ints(w + j * panel_rows * 4));
      const DotWeights w1 = dot_weights(load_ints(w + j * panel_rows * 4 + width * 4));
      WEFT_UNROLL
      for (std::size_t t = 0; t < T; ++t) {
        const auto xt = x[t].quad(j);
        dots[0][t] = dot(dots[0][t], w0, xt);
        dots[1][t] = dot(dots[1][t], w1, xt);
      }
    }
  }

  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void add_scaled(const float* scales, const I8Tokens* x, const IntVec (&dots)[2][T],
                                            Vec (&sums)[2][T]) noexcept {
    const BlockScale scale[2] = {BlockScale(load(scales)), BlockScale(load(scales + width))};
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      sums[0][t] = fma(scale[0].times(x[t]), to_float(dots[0][t]), sums[0][t]);
      sums[1][t] = fma(scale[1].times(x[t]), to_float(dots[1][t]), sums[1][t]);
    }
  }
};
