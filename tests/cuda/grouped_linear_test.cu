#include <weft/cuda/ops/grouped_linear.cuh>

#include <cstring>
#include <vector>

#include <weft/cuda/ops/elementwise.cuh>
#include <weft/quant/q4_0.hpp>
#include <weft/quant/q4_k.hpp>
#include <weft/quant/q8_0.hpp>

#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using GroupedLinearOp = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(GroupedLinearOp, testing::HalfTypes);

double number(auto x) { return static_cast<double>(static_cast<float>(x)); }

struct Sizes {
  std::size_t rows, share, groups, columns, k;
};

/// The groups of rows, of which every eleventh is in none.
struct Rows {
  std::vector<std::int32_t> group;
  std::vector<float> weights;
  cuda::DeviceTensor<std::int32_t, 1> memory;
  cuda::RowGroups sorted;

  Rows(const Sizes& s, cudaStream_t stream) : memory({cuda::RowGroups::elements_for(s.rows, s.groups)}, stream) {
    for (std::size_t r = 0; r < s.rows; ++r) {
      group.push_back(static_cast<std::int32_t>(r % 3 == 0 ? r % s.groups : s.groups / 2));
      weights.push_back(r % 11 == 5 ? 0.f : 1.f);
    }
    const cuda::DeviceTensor<std::int32_t, 1> of_rows(TensorView<const std::int32_t, 1>(group.data(), {s.rows}),
                                                      stream);
    const cuda::DeviceTensor<float, 1> on_device(TensorView<const float, 1>(weights.data(), {s.rows}), stream);
    sorted = cuda::RowGroups(memory.data(), s.rows, s.groups);
    cuda::group_rows(of_rows.data(), on_device.data(), s.rows, s.groups, sorted, stream);
    cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
};

/// element(group, column, i) of the weights; NaN is what rows in no group stay.
template <class T, class Element>
void expect_products(const Tensor<T, 2>& found, const Sizes& s, const Rows& rows, const Tensor<T, 2>& x,
                     Element&& element) {
  testing::expect_near(
      found,
      [&](const Dims<2>& at) {
        if (rows.weights[at[0]] == 0.f) return static_cast<double>(NAN);
        double sum = 0.0;
        for (std::size_t i = 0; i < s.k; ++i)
          sum += number(x(at[0] / s.share, i)) * element(static_cast<std::size_t>(rows.group[at[0]]), at[1], i);
        return sum;
      },
      2);
}

TYPED_TEST(GroupedLinearOp, IsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const Sizes& s : {Sizes{1, 1, 1, 1, 8}, Sizes{6, 2, 3, 17, 40}, Sizes{70, 1, 2, 131, 136},
                         Sizes{33, 3, 40, 24, 7}, Sizes{140, 2, 1, 6, 19}, Sizes{12, 1, 4, 9, 1}})
    for (const bool apart : {false, true}) {
      SCOPED_TRACE(::testing::Message() << s.rows << " x " << s.k << " -> " << s.columns << ", " << s.groups
                                        << " groups" << (apart ? ", apart" : ""));
      const Rows rows(s, this->stream);
      const auto x = testing::random_tensor<T, 2>({s.rows / s.share, s.k}, 1);
      const auto weights = testing::random_tensor<T, 3>({s.groups, s.columns, s.k}, 2, 0.2);
      const testing::OnDevice<T, 2> from(x, apart, this->stream);
      const testing::OnDevice<T, 3> stacked(weights, false, this->stream);
      // y begins one element behind a multiple of 16 bytes.
      cuda::DeviceTensor<T, 1> memory({s.rows * s.columns + 1}, this->stream);
      const TensorView<T, 2> y(memory.data() + (apart ? 1 : 0), {s.rows, s.columns});
      const auto of_weights = [&](std::size_t g, std::size_t c, std::size_t i) { return number(weights(g, c, i)); };
      const auto expect = [&] {
        Tensor<T, 2> found({s.rows, s.columns});
        const Tensor<T, 1> all = memory.download();
        std::copy_n(all.data() + (apart ? 1 : 0), found.size(), found.data());
        expect_products(found, s, rows, x, of_weights);
      };
      cuda::fill(memory, static_cast<T>(NAN), this->stream);
      cuda::grouped_linear(from.view, stacked.view, rows.sorted, y, this->stream);
      expect();
      if (apart) continue;
      cuda::fill(memory, static_cast<T>(NAN), this->stream);
      cuda::grouped_linear(from.view.data(), stacked.view.data(), rows.sorted, y.data(), s.rows, s.share, s.groups,
                           s.columns, s.k, this->stream);
      expect();
    }
}

template <class Block>
struct InBlocks {
  std::vector<std::byte> bytes;
  Tensor<float, 2> values;

  InBlocks(std::size_t rows, std::size_t k) : bytes(rows * k / Block::elements * sizeof(Block)), values({rows, k}) {
    const auto source = testing::random_tensor<float, 2>({rows, k}, rows + k, 0.1);
    for (std::size_t i = 0; i < rows * k / Block::elements; ++i) {
      Block block;
      encode(source.data() + i * Block::elements, block);
      std::memcpy(bytes.data() + i * sizeof block, &block, sizeof block);
      decode(block, values.data() + i * Block::elements);
    }
  }
};

template <class T, class Block>
void check_blocks(DType dtype, const Sizes& s, cudaStream_t stream) {
  SCOPED_TRACE(name(dtype));
  const Rows rows(s, stream);
  const InBlocks<Block> weights(s.groups * s.columns, s.k);
  const cuda::QuantizedMatrix matrix(dtype, weights.bytes, s.groups * s.columns, s.k, stream);
  const auto x = testing::random_tensor<T, 2>({s.rows / s.share, s.k}, 1);
  for (const bool apart : {false, true}) {
    const testing::OnDevice<T, 2> from(x, apart, stream);
    cuda::DeviceTensor<T, 2> y({s.rows, s.columns}, stream);
    cuda::fill(y, static_cast<T>(NAN), stream);
    cuda::grouped_linear(from.view, matrix, s.groups, rows.sorted, y, stream);
    // Elements of weights are rounded to T where tensor cores multiply them.
    expect_products(y.download(), s, rows, x, [&](std::size_t g, std::size_t c, std::size_t i) {
      const float value = weights.values(g * s.columns + c, i);
      return apart ? double{value} : number(static_cast<T>(value));
    });
  }
}

TYPED_TEST(GroupedLinearOp, TakesWeightsInBlocks) {
  using T = TypeParam;
  check_blocks<T, BlockQ8_0>(DType::q8_0, {30, 2, 3, 130, 96}, this->stream);
  check_blocks<T, BlockQ4_0>(DType::q4_0, {30, 2, 3, 33, 160}, this->stream);
  check_blocks<T, BlockQ4_K>(DType::q4_k, {20, 2, 3, 20, 512}, this->stream);
}

TYPED_TEST(GroupedLinearOp, RefusesWhatDoesNotFit) {
  using T = TypeParam;
  const Rows rows({6, 2, 3, 5, 8}, this->stream);
  const cuda::DeviceTensor<T, 2> x({3, 8}, this->stream), narrow({3, 7}, this->stream), four({4, 8}, this->stream);
  const cuda::DeviceTensor<T, 3> weights({3, 5, 8}, this->stream);
  cuda::DeviceTensor<T, 2> y({6, 5}, this->stream), wide({6, 6}, this->stream);
  EXPECT_NO_THROW(cuda::grouped_linear(x, weights, rows.sorted, y, this->stream));
  EXPECT_THROW(cuda::grouped_linear(narrow, weights, rows.sorted, y, this->stream), ShapeError);
  EXPECT_THROW(cuda::grouped_linear(four, weights, rows.sorted, y, this->stream), ShapeError);
  EXPECT_THROW(cuda::grouped_linear(x, weights, rows.sorted, wide, this->stream), ShapeError);
  EXPECT_THROW(cuda::grouped_linear(x, weights, rows.sorted, wide.view().narrow(1, 0, 5), this->stream), ShapeError);
  EXPECT_THROW(cuda::grouped_linear(x, weights.view().narrow(2, 0, 7), rows.sorted, y, this->stream), ShapeError);
  const InBlocks<BlockQ8_0> blocks(15, 32);
  const cuda::QuantizedMatrix matrix(DType::q8_0, blocks.bytes, 15, 32, this->stream);
  const cuda::DeviceTensor<T, 2> x32({3, 32}, this->stream);
  EXPECT_NO_THROW(cuda::grouped_linear(x32, matrix, 3, rows.sorted, y, this->stream));
  EXPECT_THROW(cuda::grouped_linear(x32, matrix, 4, rows.sorted, y, this->stream), ShapeError);
  EXPECT_THROW(cuda::grouped_linear(x, matrix, 3, rows.sorted, y, this->stream), ShapeError);
}

}  // namespace
}  // namespace weft
