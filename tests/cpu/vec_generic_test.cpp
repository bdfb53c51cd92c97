#include <weft/cpu/vec_generic.hpp>

#include "vec_contract.hpp"

namespace wrapped_generic {

namespace isa = weft::cpu::generic;
#include "vec_functions.inl"

}  // namespace wrapped_generic

TEST(VecGeneric, KeepsTheContract) { weft::testing::check_vec(wrapped_generic::functions); }
