#pragma once

#include <cstddef>

namespace weft::inline v0 {

/// How the elements of a matrix of weights lie in memory.
enum class Layout : unsigned char {
  rows,    ///< row after row, as checkpoints hold them
  panels,  ///< panels of 32 rows whose bytes are interleaved four by four, as
           ///< matrix products read them
};

/// Rows of a panel. It holds the first four bytes of every row (a float, two
/// half-precision elements, the beginning of a quantised block), then the
/// second four of every row, and so on: one vector register holds the same
/// elements of several rows. Rows beyond the last are zero, and so are the
/// bytes that fill up the last four.
inline constexpr std::size_t panel_rows = 32;

}  // namespace weft::inline v0
