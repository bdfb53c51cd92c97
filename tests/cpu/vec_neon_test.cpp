#include <weft/cpu/vec_neon.hpp>

#include "vec_contract.hpp"

#if WEFT_AARCH64

WEFT_BEGIN_TARGET(WEFT_TARGET_NEON)

namespace wrapped_neon {

namespace isa = weft::cpu::neon;
#include "vec_functions.inl"

}  // namespace wrapped_neon

WEFT_END_TARGET

TEST(VecNeon, KeepsTheContract) { weft::testing::check_vec(wrapped_neon::functions); }

#endif  // WEFT_AARCH64
