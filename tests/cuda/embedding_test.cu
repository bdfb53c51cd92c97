#include <weft/cuda/ops/embedding.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using Embedding = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Embedding, testing::StorageTypes);

TYPED_TEST(Embedding, CopiesTheRowsThatIdsName) {
  using T = TypeParam;
  for (const std::size_t hidden : {1u, 7u, 64u, 1000u})
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << hidden << (apart ? " apart" : ""));
      const auto table = testing::random_tensor<T, 2>({11, hidden}, hidden);
      const Tensor<TokenId, 1> ids({5}, {10, 0, 3, 3, 7});
      const testing::OnDevice<T, 2> rows(table, false, this->stream);
      const testing::OnDevice<TokenId, 1> at(ids, false, this->stream);
      const testing::OnDevice<T, 2> to({5, hidden}, apart, this->stream);
      cuda::embedding(at.view, rows.view, to.view, this->stream);
      const auto y = to.download();
      for (std::size_t t = 0; t < 5; ++t)
        for (std::size_t i = 0; i < hidden; ++i)
          EXPECT_EQ(static_cast<float>(y(t, i)), static_cast<float>(table(static_cast<std::size_t>(ids(t)), i)));
      const testing::OnDevice<float, 2> wide({5, hidden}, apart, this->stream);
      cuda::embedding(at.view, rows.view, wide.view, this->stream);
      const auto z = wide.download();
      for (std::size_t i = 0; i < hidden; ++i) EXPECT_EQ(z(4, i), static_cast<float>(table(7, i)));
    }
}

TYPED_TEST(Embedding, IdsOutsideTheTableGiveNoNumbers) {
  using T = TypeParam;
  const testing::OnDevice<T, 2> rows(testing::random_tensor<T, 2>({4, 16}, 1), false, this->stream);
  const testing::OnDevice<TokenId, 1> at(Tensor<TokenId, 1>({3}, {-1, 3, 4}), false, this->stream);
  const testing::OnDevice<T, 2> to({3, 16}, false, this->stream);
  cuda::embedding(at.view, rows.view, to.view, this->stream);
  const auto y = to.download();
  EXPECT_TRUE(std::isnan(static_cast<float>(y(0, 15))));
  EXPECT_FALSE(std::isnan(static_cast<float>(y(1, 15))));
  EXPECT_TRUE(std::isnan(static_cast<float>(y(2, 0))));
  EXPECT_THROW(cuda::embedding(at.view, rows.view, to.view.narrow(0, 0, 2), this->stream), ShapeError);
}

}  // namespace
}  // namespace weft
