// Included by generic.hpp, avx2.hpp, avx512_vnni.hpp, neon.hpp and neon_dot.hpp after formats_i8.inl: what happens to
// the blocks of a format.

/// Asks for the bytes that come some kilobytes after `bytes` bytes at p: so few loads are under way at once in code
/// that computes between them that the memory would wait. `streamed` counts where the set has i8_streams.
WEFT_ALWAYS_INLINE void prefetch_after(const std::uint32_t* p, std::size_t bytes, bool streamed) noexcept {
  const auto* ahead = reinterpret_cast<const std::byte*>(p) + prefetch_distance;
  if (i8_streams && streamed) {
    WEFT_UNROLL
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(ahead + i, 0, 0);
  } else {
    WEFT_UNROLL
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(ahead + i);
  }
}

/// Hands one of the format's own blocks, the index-th of a part of a panel, to make(0), make(1), ..., one for every 32
/// elements, for one vector of rows. Blocks of an odd number of half units come in pairs: a unit that holds the odd
/// half of both, the units of the first, those of the second.
template <class Format, class Make>
WEFT_ALWAYS_INLINE void for_each_block(const std::uint32_t* header, const std::uint32_t* part, std::size_t index,
                                       const Make& make) noexcept {
  constexpr std::size_t units = Format::bytes / 4;
  const std::uint32_t* data = part + index * units * panel_rows;
  IntVec odd = set_int(0);
  if constexpr (Format::bytes % 4 != 0) {
    const std::uint32_t* pair = part + index / 2 * (2 * units + 1) * panel_rows;
    odd = shift_right_by(unit(pair, 0), static_cast<int>(index % 2 * 16));
    data = pair + (1 + index % 2 * units) * panel_rows;
  }
  const typename Format::Header own(header, odd, data);
  for (int i = 0; i < static_cast<int>(Format::elements / i8_elements); ++i) {
    auto out = make(i);
    Format::block(own, data, i, out);
  }
}

/// Writes a block as an expanded panel holds it.
template <class Format>
struct StoreBlock {
  std::byte* to;

  WEFT_ALWAYS_INLINE void codes(std::size_t quad, IntVec v) noexcept {
    constexpr int offset = i8_unsigned ? 128 - Format::zero : -Format::zero;
    if constexpr (offset != 0) v = add_bytes(v, set_byte(offset));
    store_ints(to + quad * panel_rows * 4, v);
  }
  WEFT_ALWAYS_INLINE void signed_codes(std::size_t quad, IntVec v) noexcept {
    store_ints(to + quad * panel_rows * 4, i8_unsigned ? bit_xor(v, set_byte(-128)) : v);
  }
  WEFT_ALWAYS_INLINE void finish(Vec scale) noexcept { store(reinterpret_cast<float*>(to + i8_codes), scale); }
  WEFT_ALWAYS_INLINE void finish(Vec scale, Vec second) noexcept {
    finish(scale);
    store(reinterpret_cast<float*>(to + i8_codes) + panel_rows, second);
  }
};

template <class Format>
void expand_i8(const PanelChunk& chunk, void* out) noexcept {
  auto* to = static_cast<std::byte*>(out);
  for (std::size_t b = 0; b * Format::elements < chunk.k; ++b) {
    prefetch_after(chunk.data + b * Format::bytes / 4 * panel_rows, Format::bytes * panel_rows, chunk.streamed);
    for (std::size_t v = 0; v < panel_rows; v += width)
      for_each_block<Format>(chunk.header + v, chunk.data + v, b, [&](int i) noexcept {
        return StoreBlock<Format>{to + static_cast<std::size_t>(i) * i8_block_bytes<Format::scales> + v * 4};
      });
    to += Format::elements / i8_elements * i8_block_bytes<Format::scales>;
  }
}

/// Multiplies a block by T tokens and adds it to their sums.
template <class Format, std::size_t T>
struct DotBlock {
  static constexpr std::size_t parts = Format::scales == I8Scales::halves ? 2 : 1;

  const I8Tokens* x;  // the block of each token
  Vec (&sums)[T];
  IntVec dots[parts][T];

  WEFT_ALWAYS_INLINE DotBlock(const I8Tokens* tokens, Vec (&totals)[T]) noexcept : x(tokens), sums(totals) {
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      if constexpr (parts == 1) {
        dots[0][t] = x[t].template start<Format::zero>();
      } else {
        dots[0][t] = x[t].template half_start<Format::zero>(0);
        dots[1][t] = x[t].template half_start<Format::zero>(1);
      }
    }
  }

  WEFT_ALWAYS_INLINE void codes(std::size_t quad, IntVec v) noexcept {
    if constexpr (!i8_unsigned && Format::zero != 0) v = add_bytes(v, set_byte(-Format::zero));
    multiply_codes(quad, v);
  }
  WEFT_ALWAYS_INLINE void signed_codes(std::size_t quad, IntVec v) noexcept {
    multiply_codes(quad, i8_unsigned ? bit_xor(v, set_byte(-128)) : v);
  }
  WEFT_ALWAYS_INLINE void finish(Vec scale) noexcept { add_scaled(scale, 0); }
  WEFT_ALWAYS_INLINE void finish(Vec scale, Vec second) noexcept {
    if constexpr (parts == 2) {
      add_scaled(scale, 0);
      add_scaled(second, 1);
    } else {
      WEFT_UNROLL
      for (std::size_t t = 0; t < T; ++t) sums[t] = fma(second, set(x[t].sum), sums[t]);
      add_scaled(scale, 0);
    }
  }

 private:
  WEFT_ALWAYS_INLINE void multiply_codes(std::size_t quad, IntVec v) noexcept {
    const DotWeights w = dot_weights(v);
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      IntVec& sum = dots[parts == 2 && quad >= i8_quads / 2 ? 1 : 0][t];
      sum = dot(sum, w, x[t].quad(quad));
    }
  }
  WEFT_ALWAYS_INLINE void add_scaled(Vec scale, std::size_t part) noexcept {
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) sums[t] = fma(scale, x[t].product(dots[part][t]), sums[t]);
  }
};

/// T tokens against one panel, straight from its interleaved rows.
template <class Format>
struct DirectI8 {
  template <std::size_t T>
  static WEFT_NO_INLINE void run(const TileArgs& a, std::size_t token) noexcept {
    const auto* header = reinterpret_cast<const std::uint32_t*>(a.header);
    const auto* panel = reinterpret_cast<const std::uint32_t*>(a.panels);
    for (std::size_t row = 0; row < a.rows; row += 2 * width) {
      Vec sums[2][T];
      load_sums<T>(a, token, row, sums);
      const auto* x = reinterpret_cast<const I8Tokens*>(a.x + token * a.x_bytes + T * a.x_offset);
      for (std::size_t b = 0; b * Format::elements < a.k; ++b) {
        constexpr std::size_t part_bytes = Format::bytes * panel_rows / (Format::elements / i8_elements);
        const std::uint32_t* ahead = panel + b * Format::bytes / 4 * panel_rows;
        WEFT_UNROLL
        for (std::size_t v = 0; v < 2; ++v) {
          const std::size_t at = row + v * width;
          for_each_block<Format>(header + at, panel + at, b, [&](int i) noexcept {
            if (at == 0) prefetch_after(ahead + static_cast<std::size_t>(i) * part_bytes / 4, part_bytes, a.streamed);
            return DotBlock<Format, T>(x + static_cast<std::size_t>(i) * T, sums[v]);
          });
        }
        x += Format::elements / i8_elements * T;
      }
      store_sums<T>(a, token, row, sums);
    }
  }
};

/// An expanded panel as floats: for every element of k, that of each row.
template <I8Scales Scales>
void widen_i8(const std::byte* from, std::size_t k, float* to) noexcept {
  for (std::size_t begin = 0; begin < k; begin += i8_elements, from += i8_block_bytes<Scales>)
    for (std::size_t v = 0; v < panel_rows; v += width) {
      const float* scales = reinterpret_cast<const float*>(from + i8_codes) + v;
      for (std::size_t j = 0; j < i8_quads; ++j) {
        const Vec scale = load(scales + (Scales == I8Scales::halves && j >= i8_quads / 2 ? panel_rows : 0));
        IntVec codes = load_ints(from + (j * panel_rows + v) * 4);
        if (i8_unsigned) codes = bit_xor(codes, set_byte(-128));
        float* row = to + (begin + 4 * j) * panel_rows + v;
        for_each_constant<4>([&]<int I>(std::integral_constant<int, I>) noexcept {
          Vec value = mul(scale, int8_to_float<I>(codes));
          if constexpr (Scales == I8Scales::minimum) value = add(value, load(scales + panel_rows));
          store(row + I * panel_rows, value);
        });
      }
    }
}

template <I8Scales Scales>
inline constexpr I8Panels i8_panels{tiles<TilePanels<TileI8<Scales>>, i8_tokens>, widen_i8<Scales>,
                                    i8_block_bytes<Scales>};

template <class Format>
constexpr I8Weights i8_weights() noexcept {
  I8Weights weights{expand_i8<Format>, nullptr, &i8_panels<Format::scales>};
  if constexpr (i8_direct_tokens > 0) weights.direct = tiles<DirectI8<Format>, i8_tokens, i8_direct_tokens>;
  return weights;
}

/// In the order of DType, from q8_0 on.
inline constexpr I8Kernels i8_kernels{
    .tokens = {.most = i8_tokens, .elements = i8_elements, .bytes = sizeof(I8Tokens), .pack = pack_i8},
    .direct_tokens = i8_direct_tokens < 2 ? i8_direct_tokens : 5,  // in small tiles
    .weights = {i8_weights<Q8_0>(), i8_weights<Q4_0>(), i8_weights<Q4_1>(), i8_weights<Q5_0>(), i8_weights<Q5_1>(),
                i8_weights<Q4_K>(), i8_weights<Q5_K>(), i8_weights<Q6_K>(), i8_weights<Q8_128>(), i8_weights<Q8Row>()},
};
