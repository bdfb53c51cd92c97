#include <weft/cuda/ops/rope.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using Rope = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Rope, testing::StorageTypes);

struct Heads {
  std::size_t head_dim;
  std::size_t rotary_dim;
};

TYPED_TEST(Rope, IsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const auto [head_dim, rotary_dim] : {Heads{64, 64}, Heads{80, 80}, Heads{96, 96}, Heads{128, 128},
                                            Heads{256, 256}, Heads{80, 32}, Heads{64, 6}, Heads{6, 2}})
    for (const RopePairing pairing : {RopePairing::halves, RopePairing::interleaved})
      for (const bool apart : {false, true}) {
        SCOPED_TRACE(::testing::Message() << head_dim << ' ' << rotary_dim << (apart ? " apart" : ""));
        const RopeTable table(head_dim, 100, {.theta = 10000.f, .pairing = pairing, .rotary_dim = rotary_dim});
        const cuda::DeviceRopeTable on_device(table, this->stream);
        const auto x = testing::random_tensor<T, 3>({5, 3, head_dim}, head_dim);
        const Tensor<std::int32_t, 1> positions({5}, {0, 99, 7, 7, 50});
        const testing::OnDevice<T, 3> on(x, apart, this->stream);
        const testing::OnDevice<std::int32_t, 1> at(positions, false, this->stream);
        cuda::apply_rope(on.view, at.view, on_device, this->stream);
        testing::expect_near(
            on.download(),
            [&, rotary_dim = rotary_dim](const Dims<3>& i) {
              const auto element = [&](std::size_t e) { return double{static_cast<float>(x(i[0], i[1], e))}; };
              const std::size_t pairs = rotary_dim / 2;
              if (i[2] >= rotary_dim) return element(i[2]);
              const bool halves = pairing == RopePairing::halves;
              const std::size_t pair = halves ? i[2] % pairs : i[2] / 2;
              const bool second = halves ? i[2] >= pairs : i[2] % 2 == 1;
              const std::size_t other = halves ? (second ? i[2] - pairs : i[2] + pairs) : i[2] ^ 1u;
              const auto p = static_cast<std::size_t>(positions(i[0]));
              const double c = table.cos()(p, pair);
              const double s = table.sin()(p, pair);
              return element(i[2]) * c + (second ? 1 : -1) * element(other) * s;
            },
            2);
      }
}

TYPED_TEST(Rope, PositionsOutsideTheTableAreNoNumbers) {
  using T = TypeParam;
  const cuda::DeviceRopeTable table(RopeTable(64, 10, {.theta = 10000.f}), this->stream);
  const testing::OnDevice<T, 3> on(testing::random_tensor<T, 3>({3, 2, 64}, 1), false, this->stream);
  const testing::OnDevice<std::int32_t, 1> at(Tensor<std::int32_t, 1>({3}, {-1, 9, 10}), false, this->stream);
  cuda::apply_rope(on.view, at.view, table, this->stream);
  const auto y = on.download();
  for (std::size_t e = 0; e < 64; ++e) {
    EXPECT_TRUE(std::isnan(static_cast<float>(y(0, 1, e))));
    EXPECT_FALSE(std::isnan(static_cast<float>(y(1, 1, e))));
    EXPECT_TRUE(std::isnan(static_cast<float>(y(2, 0, e))));
  }
  EXPECT_THROW(cuda::apply_rope(on.view.narrow(0, 0, 2), at.view, table, this->stream), ShapeError);
}

}  // namespace
}  // namespace weft
