#pragma once

#include <weft/core/half.hpp>

#include "cuda_runtime.h"

struct __nv_bfloat16 {
  unsigned short bits;
};
struct __nv_bfloat162 {
  __nv_bfloat16 x, y;
};

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline float __bfloat162float(__nv_bfloat16 x) { return weft::detail::float_from_bfloat16_bits(x.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return {weft::detail::bfloat16_bits_from_float(x)}; }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
