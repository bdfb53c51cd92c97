// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region.

/// The first n <= width units of four bytes at any address, then zeros.
WEFT_ALWAYS_INLINE Vec load_units(const std::byte* p, std::size_t n) noexcept {
  if (n == width) return as_float(load_ints(p));
  if constexpr (width == 16) {
    return load_partial(reinterpret_cast<const float*>(p), n);
  } else {
    std::uint32_t units[width] = {};
    std::memcpy(units, p, 4 * n);
    return as_float(load_ints(units));
  }
}

/// panel[i, r] = the i-th four bytes of row r, for panel_rows rows of `bytes` bytes that lie `stride` bytes apart. What
/// is missing, bytes of the last four and rows from `rows` on, is zero.
inline void interleave(const std::byte* from, std::size_t stride, std::size_t rows, std::size_t bytes,
                       std::size_t ahead, std::uint32_t* panel) noexcept {
  const std::size_t whole = bytes / 4;
  for (std::size_t row = 0; row < panel_rows; row += width) {
    for (std::size_t i = 0; i < whole; i += width) {
      const std::size_t n = whole - i < width ? whole - i : width;
      Vec square[width];
      WEFT_UNROLL
      for (std::size_t r = 0; r < width; ++r) {
        const std::byte* bytes_of_row = from + (row + r) * stride + 4 * i;
        __builtin_prefetch(bytes_of_row + ahead);
        square[r] = row + r >= rows ? zero() : load_units(bytes_of_row, n);
      }
      transpose(square);
      for (std::size_t j = 0; j < n; ++j)
        store(reinterpret_cast<float*>(panel + (i + j) * panel_rows + row), square[j]);
    }
  }
  if (bytes % 4 == 0) return;
  for (std::size_t r = 0; r < panel_rows; ++r) {
    std::uint32_t last = 0;
    if (r < rows) std::memcpy(&last, from + r * stride + 4 * whole, bytes % 4);
    panel[whole * panel_rows + r] = last;
  }
}

/// Rearranges blocks of `units` units and a half within an interleaved panel: for every two of them a unit that holds
/// the half of the first and that of the second, then the units of the first, then those of the second. The half comes
/// first in a block, or last.
inline void pair_blocks(std::uint32_t* panel, std::size_t blocks, std::size_t units, bool half_last) noexcept {
  const IntVec low = set_int(0xffff);
  for (; blocks > 0; blocks -= blocks < 2 ? 1 : 2, panel += (2 * units + 1) * panel_rows)
    for (std::size_t v = 0; v < panel_rows; v += width) {
      const auto at = [&](std::size_t i) noexcept { return panel + i * panel_rows + v; };
      // One half of the units is shifted by half a unit, and moved up by one where the half stood behind it.
      const IntVec middle = load_ints(at(units));
      IntVec halves;
      if (half_last) {
        halves = bit_and(middle, low);
        if (blocks > 1) {
          const IntVec last = load_ints(at(2 * units));
          halves = bit_or(halves, bit_xor(last, bit_and(last, low)));
          IntVec next = last;
          for (std::size_t i = 2 * units; i > units; --i) {
            const IntVec here = next;
            next = load_ints(at(i - 1));
            store_ints(at(i), bit_or(shift_left<16>(here), shift_right<16>(next)));
          }
        }
        for (std::size_t i = units; i > 0; --i) store_ints(at(i), load_ints(at(i - 1)));
      } else {
        IntVec here = load_ints(at(0));
        halves = bit_and(here, low);
        if (blocks > 1) halves = bit_or(halves, bit_xor(middle, bit_and(middle, low)));
        for (std::size_t i = 1; i <= units; ++i) {
          const IntVec next = load_ints(at(i));
          store_ints(at(i), bit_or(shift_right<16>(here), shift_left<16>(next)));
          here = next;
        }
      }
      store_ints(at(0), halves);
    }
}

/// Panels of two-byte elements as panels of float: every four bytes hold the elements of two steps of k.
template <class T>
void expand_pairs(const PanelChunk& chunk, void* out) noexcept {
  auto* to = static_cast<float*>(out);
  for (std::size_t i = 0; i < (chunk.k + 1) / 2; ++i, to += 2 * panel_rows) {
    WEFT_UNROLL
    for (std::size_t v = 0; v < panel_rows; v += width) {
      const IntVec both = load_ints(chunk.data + i * panel_rows + v);
      store(to + v, low_element<T>(both));
      store(to + panel_rows + v, low_element<T>(shift_right<16>(both)));
    }
  }
}
