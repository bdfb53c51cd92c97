#pragma once

#include <weft/cpu/neon.hpp>

#if WEFT_AARCH64

WEFT_BEGIN_TARGET(WEFT_TARGET_NEON_DOT)

// The NEON set with int8 dot products: four products of signed bytes a lane and instruction.
namespace weft::inline v0::cpu::neon_dot {

namespace vec = neon;
#include <weft/cpu/kernels/use_vec.inl>

using neon::dot_weights;
using neon::DotWeights;
using neon::i8_streams;
using neon::i8_unsigned;

inline constexpr std::size_t i8_tokens = 4;
inline constexpr std::size_t i8_direct_tokens = 4;

/// Four codes of a token: a lane of 16 of them.
struct Quad {
  int8x16_t codes;
  std::size_t lane;
};

/// The instruction itself, in the order of the source: compilers that may move it load all weights of a block first,
/// and the sums of a tile have no registers left. (Clang before 16 also hides the intrinsic from this region.)
template <int Lane>
WEFT_ALWAYS_INLINE IntVec dot_lane(IntVec sum, DotWeights w, int8x16_t x) noexcept {
  asm volatile("sdot %0.4s, %1.16b, %2.4b[%3]" : "+w"(sum) : "w"(w), "w"(x), "n"(Lane));
  return sum;
}
WEFT_ALWAYS_INLINE IntVec dot(IntVec sum, DotWeights w, Quad x) noexcept {
  switch (x.lane) {
    case 0: return dot_lane<0>(sum, w, x.codes);
    case 1: return dot_lane<1>(sum, w, x.codes);
    case 2: return dot_lane<2>(sum, w, x.codes);
    default: return dot_lane<3>(sum, w, x.codes);
  }
}

struct I8Tokens : neon::I8Tokens {
  WEFT_ALWAYS_INLINE Quad quad(std::size_t j) const noexcept {
    return {neon::load_as<int8x16_t>(codes + j / 4 * 16), j % 4};
  }
};

// clang-format off
#include <weft/cpu/kernels/tile.inl>
#include <weft/cpu/kernels/linear_i8.inl>
#include <weft/cpu/kernels/formats_i8.inl>
#include <weft/cpu/kernels/panel_i8.inl>
// clang-format on

inline constexpr Kernels table = [] {
  Kernels kernels = neon::table;
  kernels.name = "neon_dot";
  kernels.i8 = i8_kernels;
  return kernels;
}();

}  // namespace weft::inline v0::cpu::neon_dot

WEFT_END_TARGET

#endif  // WEFT_AARCH64
