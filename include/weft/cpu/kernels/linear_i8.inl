// Included by generic.hpp, avx2.hpp, avx2_vnni.hpp, avx512_vnni.hpp, neon.hpp and neon_dot.hpp inside their namespace
// and target region: products of block formats with tokens in blocks of 32 int8 that share a power of two. What the
// instruction set gives is DotWeights, dot_weights(), dot(), i8_unsigned, i8_streams and I8Tokens.

inline constexpr std::size_t i8_elements = 32;                      // of a block
inline constexpr std::size_t i8_quads = i8_elements / 4;            // dot-product steps of a block
inline constexpr std::size_t i8_codes = i8_quads * panel_rows * 4;  // bytes of the codes of a block of a panel
inline constexpr std::size_t i8_scales = panel_rows * sizeof(float);

inline constexpr std::size_t i8_together = 4;  // blocks of a token that are packed at once
inline constexpr std::size_t i8_vectors = i8_elements / width;

/// Packs four blocks of a token; `largest` has the largest magnitudes in the lanes of each. An instruction set may have
/// its own.
template <class Tokens>
WEFT_ALWAYS_INLINE void set_blocks(const Vec (&values)[i8_together][i8_vectors], const Vec (&largest)[i8_together],
                                   Tokens* to, std::size_t stride) noexcept {
  float maxima[i8_together], sums[2][i8_together];
  reduce_max4(largest[0], largest[1], largest[2], largest[3], maxima);
  Vec halves[2][i8_together];
  WEFT_UNROLL
  for (std::size_t b = 0; b < i8_together; ++b) {
    const Vec inverse = set(to[b * stride].set_scale(maxima[b]));
    WEFT_UNROLL
    for (std::size_t i = 0; i < i8_vectors; ++i) {
      const Vec code = round(mul(values[b][i], inverse));
      Vec& half = halves[2 * i / i8_vectors][b];
      half = i % (i8_vectors / 2) == 0 ? code : add(half, code);
      to[b * stride].set_codes(i, code);
    }
  }
  for (std::size_t h = 0; h < 2; ++h) reduce_add4(halves[h][0], halves[h][1], halves[h][2], halves[h][3], sums[h]);
  for (std::size_t b = 0; b < i8_together; ++b) to[b * stride].set_sums(sums[0][b], sums[1][b]);
}

inline void pack_i8(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k, void* out,
                    bool* overflow) noexcept {
  constexpr std::size_t elements = i8_together * i8_elements;
  auto* packed = static_cast<I8Tokens*>(out);
  const Vec most = set(0x1.fbfffep66f);  // the last number before 127 * 2^60
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t begin = 0; begin < k; begin += elements) {
      const float* from = x + t * x_stride + begin;
      const std::size_t count = k - begin < elements ? k - begin : elements;
      Vec values[i8_together][i8_vectors], largest[i8_together];
      Vec finite = zero();  // NaN where an element is infinite or no number
      WEFT_UNROLL
      for (std::size_t b = 0; b < i8_together; ++b) {
        WEFT_UNROLL
        for (std::size_t i = 0; i < i8_vectors; ++i) {
          const std::size_t at = b * i8_elements + i * width;
          Vec& value = values[b][i];
          value = count == elements || at + width <= count ? load(from + at)
                  : at < count                             ? load_partial(from + at, count - at)
                                                           : zero();
          finite = fma(value, zero(), finite);
          const Vec size = abs(value);
          largest[b] = i == 0 ? size : max(largest[b], size);
        }
      }
      const Vec of_all = max(max(largest[0], largest[1]), max(largest[2], largest[3]));
      if ((unordered(finite, finite) | less(most, of_all)) != 0) [[unlikely]] {
        overflow[t] = true;
        WEFT_UNROLL
        for (std::size_t b = 0; b < i8_together; ++b) {
          largest[b] = zero();
          WEFT_UNROLL
          for (std::size_t i = 0; i < i8_vectors; ++i) values[b][i] = zero();
        }
      }
      I8Tokens* to = packed + begin / i8_elements * tokens + t;
      // In parentheses: that of this set, not of the one whose tokens these extend.
      if (count == elements) {
        (set_blocks)(values, largest, to, tokens);
      } else {
        I8Tokens blocks[i8_together];
        (set_blocks)(values, largest, blocks, 1);
        for (std::size_t b = 0; b * i8_elements < count; ++b) to[b * tokens] = blocks[b];
      }
    }
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
          asm volatile("" : "+r"(x));  // compilers would keep, and spill, what both halves have in common
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
    const Vec scale[2] = {load(scales), load(scales + width)};
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      sums[0][t] = fma(scale[0], x[t].product(dots[0][t]), sums[0][t]);
      sums[1][t] = fma(scale[1], x[t].product(dots[1][t]), sums[1][t]);
    }
  }
};
