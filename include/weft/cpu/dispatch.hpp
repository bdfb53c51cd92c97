#pragma once

#include <weft/core/error.hpp>
#include <weft/cpu/isa.hpp>
#include <weft/cpu/kernel_table.hpp>
#include <weft/cpu/kernels.hpp>

namespace weft::inline v0::cpu {

/// The kernels of one instruction set. Throws UnsupportedError where the processor does not have it.
inline const Kernels& kernels_for(Isa isa) {
  if (!supported(isa))
    raise<UnsupportedError>("this processor does not have instruction set number ", static_cast<int>(isa));
  return detail::kernel_table(isa);
}

/// The kernels of the best instruction set this processor has.
inline const Kernels& best_kernels() noexcept {
  static const Kernels& best = detail::kernel_table(best_isa());
  return best;
}

}  // namespace weft::inline v0::cpu
