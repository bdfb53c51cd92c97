#include <weft/cpu/vec_avx2.hpp>

#include "vec_contract.hpp"

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx2,fma,f16c")

namespace wrapped_avx2 {

namespace isa = weft::cpu::avx2;
#include "vec_functions.inl"

}  // namespace wrapped_avx2

WEFT_END_TARGET

TEST(VecAvx2, KeepsTheContract) {
  if (!weft::cpu::supported(weft::cpu::Isa::avx2)) GTEST_SKIP() << "this processor does not have the instruction set";
  weft::testing::check_vec(wrapped_avx2::functions);
}

#endif  // WEFT_X86_64
