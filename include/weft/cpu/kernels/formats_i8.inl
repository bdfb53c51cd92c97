// Included by generic.hpp, avx2.hpp, avx2_vnni.hpp, avx512_vnni.hpp, neon.hpp and neon_dot.hpp after linear_i8.inl: the
// block formats, whose layouts are those of quant/, read from panels of rows interleaved in units of four bytes. A
// format hands the elements of its blocks, 32 at a time, to `out`: codes four after four, then the scales as floats.
// What becomes of them, an expanded panel or a product at once, is out's affair.

/// The i-th unit of every row.
WEFT_ALWAYS_INLINE IntVec unit(const std::uint32_t* panel, std::size_t i) noexcept {
  return load_ints(panel + i * panel_rows);
}

WEFT_ALWAYS_INLINE IntVec low_nibbles(IntVec v) noexcept { return bit_and(v, set_byte(0x0f)); }
WEFT_ALWAYS_INLINE IntVec high_nibbles(IntVec v) noexcept { return bit_and(shift_right<4>(v), set_byte(0x0f)); }

/// Byte `Index` of every unit as a float.
template <int Index>
WEFT_ALWAYS_INLINE Vec byte_to_float(IntVec v) noexcept {
  if constexpr (Index == 3) return to_float(shift_right<24>(v));
  return to_float(bit_and(shift_right<8 * Index>(v), set_int(0xff)));
}
template <int Index>
WEFT_ALWAYS_INLINE Vec int8_to_float(IntVec v) noexcept {
  return to_float(shift_right_signed<24>(shift_left<24 - 8 * Index>(v)));
}

/// Sixteen low nibbles, then sixteen high ones.
template <class Out>
WEFT_ALWAYS_INLINE void nibble_codes(const std::uint32_t* p, Out& out) noexcept {
  WEFT_UNROLL
  for (std::size_t j = 0; j < 4; ++j) {
    const IntVec v = unit(p, j);
    out.codes(j, low_nibbles(v));
    out.codes(j + 4, high_nibbles(v));
  }
}

/// The same with a fifth bit each, all 32 of them in the unit before.
template <class Out>
WEFT_ALWAYS_INLINE void five_bit_codes(const std::uint32_t* p, Out& out) noexcept {
  const IntVec bits = unit(p, 0);
  // Four bits times this puts one into bit 4 of every byte.
  const IntVec spread = set_int(0x02040810);
  const auto fifth = [&](IntVec four) noexcept {
    return bit_and(multiply(bit_and(four, set_int(0x0f)), spread), set_byte(0x10));
  };
  for_each_constant<4>([&]<int J>(std::integral_constant<int, J>) noexcept {
    const IntVec v = unit(p, 1 + J);
    out.codes(J, bit_or(low_nibbles(v), fifth(shift_right<4 * J>(bits))));
    out.codes(J + 4, bit_or(high_nibbles(v), fifth(shift_right<4 * J + 16>(bits))));
  });
}

template <class Out>
WEFT_ALWAYS_INLINE void byte_codes(const std::uint32_t* p, Out& out) noexcept {
  WEFT_UNROLL
  for (std::size_t j = 0; j < i8_quads; ++j) out.signed_codes(j, unit(p, j));
}

// What a format states: the bytes and elements of its block, the kind of its scales, the code that stands for 0; a
// Header, made from what precedes the row, from the 16 bits that stand outside the block's units (where bytes is no
// multiple of four) and from the block; and block(), which gives the i-th 32 elements, Phase being i modulo `phases`:
// more than one where what is done to them differs with i and deserves code of its own.

struct Q8_0 {
  static constexpr std::size_t bytes = 34, elements = 32;
  static constexpr I8Scales scales = I8Scales::one;
  static constexpr int phases = 1;
  static constexpr int zero = 128;
  struct Header {
    Vec scale;
    WEFT_ALWAYS_INLINE Header(const std::uint32_t*, IntVec odd, const std::uint32_t*) noexcept
        : scale(low_element<half>(odd)) {}
  };
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int, Out& out) noexcept {
    byte_codes(p, out);
    out.finish(header.scale);
  }
};

struct Q4_0 {
  static constexpr std::size_t bytes = 18, elements = 32;
  static constexpr I8Scales scales = I8Scales::one;
  static constexpr int phases = 1;
  static constexpr int zero = 8;
  using Header = Q8_0::Header;
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int, Out& out) noexcept {
    nibble_codes(p, out);
    out.finish(header.scale);
  }
};

struct Q5_0 {
  static constexpr std::size_t bytes = 22, elements = 32;
  static constexpr I8Scales scales = I8Scales::one;
  static constexpr int phases = 1;
  static constexpr int zero = 16;
  using Header = Q8_0::Header;
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int, Out& out) noexcept {
    five_bit_codes(p, out);
    out.finish(header.scale);
  }
};

struct Q4_1 {
  static constexpr std::size_t bytes = 20, elements = 32;
  static constexpr I8Scales scales = I8Scales::minimum;
  static constexpr int phases = 1;
  static constexpr int zero = 0;
  struct Header {
    Vec scale, minimum;
    WEFT_ALWAYS_INLINE Header(const std::uint32_t*, IntVec, const std::uint32_t* p) noexcept
        : scale(low_element<half>(unit(p, 0))), minimum(low_element<half>(shift_right<16>(unit(p, 0)))) {}
  };
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int, Out& out) noexcept {
    nibble_codes(p + panel_rows, out);
    out.finish(header.scale, header.minimum);
  }
};

struct Q5_1 {
  static constexpr std::size_t bytes = 24, elements = 32;
  static constexpr I8Scales scales = I8Scales::minimum;
  static constexpr int phases = 1;
  static constexpr int zero = 0;
  using Header = Q4_1::Header;
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int, Out& out) noexcept {
    five_bit_codes(p + panel_rows, out);
    out.finish(header.scale, header.minimum);
  }
};

/// The scales and minima of the eight parts of a block of 256: six bits each, times those of the block.
struct ScalesOf256 {
  Vec scales[8], minima[8];

  WEFT_ALWAYS_INLINE ScalesOf256(const std::uint32_t*, IntVec, const std::uint32_t* p) noexcept {
    const Vec scale = low_element<half>(unit(p, 0));
    const Vec minimum = sub(zero(), low_element<half>(shift_right<16>(unit(p, 0))));
    const IntVec a = unit(p, 1), b = unit(p, 2), c = unit(p, 3);
    const IntVec six = set_byte(0x3f), top = set_byte(0x30);
    spread(scale, bit_and(a, six), scales);
    spread(scale, bit_or(low_nibbles(c), bit_and(shift_right<2>(a), top)), scales + 4);
    spread(minimum, bit_and(b, six), minima);
    spread(minimum, bit_or(high_nibbles(c), bit_and(shift_right<2>(b), top)), minima + 4);
  }

 private:
  static WEFT_ALWAYS_INLINE void spread(Vec factor, IntVec four, Vec* to) noexcept {
    to[0] = mul(factor, byte_to_float<0>(four));
    to[1] = mul(factor, byte_to_float<1>(four));
    to[2] = mul(factor, byte_to_float<2>(four));
    to[3] = mul(factor, byte_to_float<3>(four));
  }
};

struct Q4_K {
  static constexpr std::size_t bytes = 144, elements = 256;
  static constexpr I8Scales scales = I8Scales::minimum;
  static constexpr int phases = 2;
  static constexpr int zero = 0;
  using Header = ScalesOf256;
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int i, Out& out) noexcept {
    const std::uint32_t* codes = p + (4 + i / 2 * 8) * static_cast<int>(panel_rows);
    WEFT_UNROLL
    for (std::size_t j = 0; j < i8_quads; ++j)
      out.codes(j, Phase ? high_nibbles(unit(codes, j)) : low_nibbles(unit(codes, j)));
    out.finish(header.scales[i], header.minima[i]);
  }
};

struct Q5_K {
  static constexpr std::size_t bytes = 176, elements = 256;
  static constexpr I8Scales scales = I8Scales::minimum;
  static constexpr int phases = 1;
  static constexpr int zero = 0;
  using Header = ScalesOf256;
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int i, Out& out) noexcept {
    const std::uint32_t* fifths = p + 4 * panel_rows;
    const std::uint32_t* codes = p + (12 + i / 2 * 8) * static_cast<int>(panel_rows);
    const IntVec fifth = set_byte(0x10);
    WEFT_UNROLL
    for (std::size_t j = 0; j < i8_quads; ++j) {
      const IntVec high = bit_and(shift_left<4>(shift_right_by(unit(fifths, j), i)), fifth);
      out.codes(j, bit_or(low_nibbles(shift_right_by(unit(codes, j), i % 2 * 4)), high));
    }
    out.finish(header.scales[i], header.minima[i]);
  }
};

struct Q6_K {
  static constexpr std::size_t bytes = 210, elements = 256;
  static constexpr I8Scales scales = I8Scales::halves;
  static constexpr int phases = 1;
  static constexpr int zero = 32;
  struct Header {
    Vec scales[16];
    WEFT_ALWAYS_INLINE Header(const std::uint32_t*, IntVec odd, const std::uint32_t* p) noexcept {
      const Vec scale = low_element<half>(odd);
      WEFT_UNROLL
      for (std::size_t quarter = 0; quarter < 4; ++quarter) {
        const IntVec four = unit(p, 48 + quarter);
        scales[4 * quarter] = mul(scale, int8_to_float<0>(four));
        scales[4 * quarter + 1] = mul(scale, int8_to_float<1>(four));
        scales[4 * quarter + 2] = mul(scale, int8_to_float<2>(four));
        scales[4 * quarter + 3] = mul(scale, int8_to_float<3>(four));
      }
    }
  };
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int i, Out& out) noexcept {
    const int half = i / 4, quarter = i % 4;
    const std::uint32_t* low = p + (16 * half + 8 * (quarter % 2)) * static_cast<int>(panel_rows);
    const std::uint32_t* high = p + (32 + 8 * half) * static_cast<int>(panel_rows);
    const IntVec top = set_byte(0x30);
    WEFT_UNROLL
    for (std::size_t j = 0; j < i8_quads; ++j) {
      const IntVec bits = bit_and(shift_left<4>(shift_right_by(unit(high, j), 2 * quarter)), top);
      out.codes(j, bit_or(low_nibbles(shift_right_by(unit(low, j), quarter / 2 * 4)), bits));
    }
    out.finish(header.scales[2 * i], header.scales[2 * i + 1]);
  }
};

struct Q8_128 {
  static constexpr std::size_t bytes = 130, elements = 128;
  static constexpr I8Scales scales = I8Scales::one;
  static constexpr int phases = 1;
  static constexpr int zero = 128;
  using Header = Q8_0::Header;
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int i, Out& out) noexcept {
    byte_codes(p + 8 * i * static_cast<int>(panel_rows), out);
    out.finish(header.scale);
  }
};

/// One float for a whole row, before its codes.
struct Q8Row {
  static constexpr std::size_t bytes = 32, elements = 32;
  static constexpr I8Scales scales = I8Scales::one;
  static constexpr int phases = 1;
  static constexpr int zero = 128;
  struct Header {
    Vec scale;
    WEFT_ALWAYS_INLINE Header(const std::uint32_t* row, IntVec, const std::uint32_t*) noexcept
        : scale(as_float(load_ints(row))) {}
  };
  template <int Phase, class Out>
  static WEFT_ALWAYS_INLINE void block(const Header& header, const std::uint32_t* p, int, Out& out) noexcept {
    byte_codes(p, out);
    out.finish(header.scale);
  }
};
