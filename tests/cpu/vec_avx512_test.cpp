#include <weft/cpu/vec_avx512.hpp>

#include "vec_contract.hpp"

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")

namespace wrapped_avx512 {

namespace isa = weft::cpu::avx512;
#include "vec_functions.inl"

}  // namespace wrapped_avx512

WEFT_END_TARGET

TEST(VecAvx512, KeepsTheContract) {
  if (!weft::cpu::supported(weft::cpu::Isa::avx512)) GTEST_SKIP() << "this processor does not have the instruction set";
  weft::testing::check_vec(wrapped_avx512::functions);
}

#endif  // WEFT_X86_64
