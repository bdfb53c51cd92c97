#include "../allocations.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>

namespace {

TEST(Allocations, AreCounted) {
  struct alignas(128) Wide {
    std::byte bytes[128];
  };
  const std::size_t before = weft_tests::allocations.load(), bytes = weft_tests::allocated_bytes.load();
  const auto one = std::make_unique<Wide>();
  const auto some = std::make_unique<int[]>(100);
  EXPECT_EQ(weft_tests::allocations.load() - before, 2u);
  EXPECT_EQ(weft_tests::allocated_bytes.load() - bytes, sizeof(Wide) + 100 * sizeof(int));
}

}  // namespace
