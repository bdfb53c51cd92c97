#pragma once

#include <weft/cpu/avx2.hpp>
#include <weft/cpu/avx2_vnni.hpp>
#include <weft/cpu/avx512.hpp>
#include <weft/cpu/avx512_bf16.hpp>
#include <weft/cpu/avx512_vnni.hpp>
#include <weft/cpu/generic.hpp>
#include <weft/cpu/isa.hpp>
#include <weft/cpu/kernels.hpp>
#include <weft/cpu/neon.hpp>
#include <weft/cpu/neon_dot.hpp>

namespace weft::inline v0::cpu::detail {

/// The kernels of an instruction set of this kind of processor.
inline const Kernels& table_of(Isa isa) noexcept {
#if WEFT_X86_64
  if (isa == Isa::avx2) return avx2::table;
  if (isa == Isa::avx2_vnni) return avx2_vnni::table;
  if (isa == Isa::avx512) return avx512::table;
  if (isa == Isa::avx512_vnni) return avx512_vnni::table;
  if (isa == Isa::avx512_bf16) return avx512_bf16::table;
#elif WEFT_AARCH64
  if (isa == Isa::neon) return neon::table;
  if (isa == Isa::neon_dot) return neon_dot::table;
#endif
  return generic::table;
}

}  // namespace weft::inline v0::cpu::detail
