#include "../allocations.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <new>

namespace {

// The operators are called by name: a compiler may leave out the allocation of a new-expression.
TEST(Allocations, AreCounted) {
  const std::size_t before = weft_tests::allocations.load(), bytes = weft_tests::allocated_bytes.load();
  const std::align_val_t wide{128};
  void* one = ::operator new(128, wide);
  void* some = ::operator new[](400);
  EXPECT_EQ(weft_tests::allocations.load() - before, 2u);
  EXPECT_EQ(weft_tests::allocated_bytes.load() - bytes, 528u);
  ::operator delete[](some);
  ::operator delete(one, wide);
}

}  // namespace
