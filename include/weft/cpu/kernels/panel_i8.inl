// Included by generic.hpp, avx2.hpp, avx2_vnni.hpp, avx512_vnni.hpp, neon.hpp and neon_dot.hpp after formats_i8.inl:
// what happens to the blocks of a format.

/// Asks for `bytes` bytes at p, which are some kilobytes ahead of what is multiplied: so few loads are under way at
/// once in code that computes between them that the memory would wait. `streamed` counts where the set has i8_streams.
WEFT_ALWAYS_INLINE void prefetch(const std::byte* p, std::size_t bytes, bool streamed) noexcept {
  if (i8_streams && streamed) {
    WEFT_UNROLL
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 0);
  } else {
    WEFT_UNROLL
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i);
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
  for (int i = 0; i < static_cast<int>(Format::elements / i8_elements); i += Format::phases)
    for_each_constant<Format::phases>([&]<int Phase>(std::integral_constant<int, Phase>) noexcept {
      auto out = make(i + Phase);
      Format::template block<Phase>(own, data, i + Phase, out);
    });
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
  // A share for every vector of 32 elements: more at once than can be under way would stop what follows.
  constexpr std::size_t share = Format::bytes * width / (Format::elements / i8_elements);
  const std::byte* ahead = reinterpret_cast<const std::byte*>(chunk.data) + prefetch_distance;
  auto* to = static_cast<std::byte*>(out);
  for (std::size_t b = 0; b * Format::elements < chunk.k; ++b) {
    for (std::size_t v = 0; v < panel_rows; v += width)
      for_each_block<Format>(chunk.header + v, chunk.data + v, b, [&](int i) noexcept {
        prefetch(ahead, share, chunk.streamed);
        ahead += share;
        return StoreBlock<Format>{to + static_cast<std::size_t>(i) * i8_block_bytes<Format::scales> + v * 4};
      });
    to += Format::elements / i8_elements * i8_block_bytes<Format::scales>;
  }
}

/// Multiplies a block by T tokens and adds it to their sums.
template <class Format, std::size_t T>
struct DotBlock {
  static constexpr std::size_t parts = Format::scales == I8Scales::halves ? 2 : 1;

  /// Of 32 elements, summed apart: those with a scale of their own; or, for one token of blocks whose scales take long,
  /// because one sum would wait for itself.
  static constexpr std::size_t halves = parts == 2 || (T == 1 && Format::elements == 256) ? 2 : 1;

  const I8Tokens* x;  // the block of each token
  Vec (&sums)[T];
  IntVec dots[halves][T];

  WEFT_ALWAYS_INLINE DotBlock(const I8Tokens* tokens, Vec (&totals)[T]) noexcept : x(tokens), sums(totals) {
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      if constexpr (parts == 2) {
        dots[0][t] = x[t].template half_start<Format::zero>(0);
        dots[1][t] = x[t].template half_start<Format::zero>(1);
      } else {
        dots[0][t] = x[t].template start<Format::zero>();
        if constexpr (halves == 2) dots[1][t] = set_int(0);
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
      IntVec& sum = dots[quad * halves / i8_quads][t];
      sum = dot(sum, w, x[t].quad(quad));
    }
  }
  WEFT_ALWAYS_INLINE void add_scaled(Vec scale, std::size_t part) noexcept {
    WEFT_UNROLL
    for (std::size_t t = 0; t < T; ++t) {
      const IntVec sum = halves == parts ? dots[part][t] : add_ints(dots[0][t], dots[halves - 1][t]);
      sums[t] = fma(scale, x[t].product(sum), sums[t]);
    }
  }
};

/// T tokens against one panel, straight from its interleaved rows, two vectors of rows at a time. Where these are not
/// all rows the panel is read in parts that stay in the first-level cache until all rows have met them, and each pass
/// over a part asks for its share of the next.
template <class Format>
struct DirectI8 {
  template <std::size_t T>
  static WEFT_NO_INLINE void run(const TileArgs& all, std::size_t token) noexcept {
    const std::size_t blocks = (all.k + Format::elements - 1) / Format::elements;
    if constexpr (passes == 1) {
      multiply<T>(all, token, 0, 0, blocks);
    } else {
      TileArgs a = all;
      for (std::size_t first = 0; first < blocks; first += part) {
        const std::size_t end = blocks - first < part ? blocks : first + part;
        for (std::size_t row = 0; row < a.rows; row += 2 * width) multiply<T>(a, token, row, first, end);
        a.from = a.y;
        a.from_stride = a.y_stride;
      }
    }
  }

 private:
  static constexpr std::size_t passes = panel_rows / (2 * width);
  static constexpr std::size_t part = 256 / Format::elements;           // blocks
  static constexpr std::size_t steps = Format::elements / i8_elements;  // of a block
  static constexpr std::size_t step_bytes = Format::bytes * panel_rows / steps;

  /// Blocks [first, end) of the rows from `row` on.
  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void multiply(const TileArgs& a, std::size_t token, std::size_t row, std::size_t first,
                                          std::size_t end) noexcept {
    const auto* header = reinterpret_cast<const std::uint32_t*>(a.header) + row;
    const auto* panel = reinterpret_cast<const std::uint32_t*>(a.panels) + row;
    const auto* x = reinterpret_cast<const I8Tokens*>(a.x + token * a.x_bytes + T * a.x_offset) + first * steps * T;
    const std::size_t part_bytes = (end - first) * steps * step_bytes;
    const std::byte* ahead = a.panels + first * steps * step_bytes +
                             (passes == 1 ? prefetch_distance : part_bytes + row * part_bytes / panel_rows);
    Vec sums[2][T];
    load_sums<T>(a, token, row, sums);
    for (std::size_t b = first; b < end; ++b, x += steps * T) {
      WEFT_UNROLL
      for (std::size_t v = 0; v < 2; ++v) {
        for_each_block<Format>(header + v * width, panel + v * width, b, [&](int i) noexcept {
          if (v == 0) {
            prefetch(ahead, step_bytes / passes, a.streamed);
            ahead += step_bytes / passes;
          }
          return DotBlock<Format, T>(x + static_cast<std::size_t>(i) * T, sums[v]);
        });
      }
    }
    store_sums<T>(a, token, row, sums);
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
    .direct_tokens = i8_direct_tokens < 4 ? i8_direct_tokens : 5,  // in small tiles
    .weights = {i8_weights<Q8_0>(), i8_weights<Q4_0>(), i8_weights<Q4_1>(), i8_weights<Q5_0>(), i8_weights<Q5_1>(),
                i8_weights<Q4_K>(), i8_weights<Q5_K>(), i8_weights<Q6_K>(), i8_weights<Q8_128>(), i8_weights<Q8Row>()},
};
