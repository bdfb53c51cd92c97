#include <weft/layers/tap.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace {

using namespace weft;

TEST(Tap, GetsNameAndValues) {
  const std::array<float, 6> values{1, 2, 3, 4, 5, 6};
  std::vector<std::string> names;
  const Tap tap = [&](std::string_view name, TensorView<const float, 2> x) {
    names.emplace_back(name);
    EXPECT_EQ(x.extents(), (Dims<2>{2, 3}));
    EXPECT_EQ(x.data(), values.data());
  };
  const TensorView<const float, 2> x(values.data(), {2, 3});
  detail::tap_out(&tap, x, "model.norm");
  detail::tap_out(&tap, x, "model.layers.", 12, ".mlp");
  EXPECT_EQ(names, (std::vector<std::string>{"model.norm", "model.layers.12.mlp"}));
}

TEST(Tap, NoneIsNothing) {
  const TensorView<const float, 2> x(nullptr, {0, 3});
  const Tap empty;
  detail::tap_out(nullptr, x, "a");
  detail::tap_out(&empty, x, "b", 3);
  SUCCEED();
}

}  // namespace
