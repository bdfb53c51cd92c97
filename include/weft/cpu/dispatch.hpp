#pragma once

#include <weft/core/error.hpp>
#include <weft/cpu/avx2.hpp>
#include <weft/cpu/avx512.hpp>
#include <weft/cpu/avx512_bf16.hpp>
#include <weft/cpu/avx512_vnni.hpp>
#include <weft/cpu/generic.hpp>
#include <weft/cpu/isa.hpp>
#include <weft/cpu/kernels.hpp>

namespace weft::inline v0::cpu {

/// The kernels of one instruction set. Throws UnsupportedError where the processor does not have it.
inline const Kernels& kernels_for(Isa isa) {
  if (!supported(isa))
    raise<UnsupportedError>("this processor does not have instruction set number ", static_cast<int>(isa));
#if WEFT_X86_64
  if (isa == Isa::avx2) return avx2::table;
  if (isa == Isa::avx512) return avx512::table;
  if (isa == Isa::avx512_vnni) return avx512_vnni::table;
  if (isa == Isa::avx512_bf16) return avx512_bf16::table;
#endif
  return generic::table;
}

/// The kernels of the best instruction set this processor has.
inline const Kernels& best_kernels() noexcept {
  static const Kernels& best = kernels_for(best_isa());
  return best;
}

}  // namespace weft::inline v0::cpu
