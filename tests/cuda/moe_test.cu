#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include <weft/cuda/core/graph.cuh>
#include <weft/cuda/layers/upload.cuh>
#include <weft/ops/quantize.hpp>

#include "device_test.cuh"
#include "near_rows.hpp"

namespace weft {
namespace {

double number(auto x) { return static_cast<double>(static_cast<float>(x)); }

/// A matrix of floats that a T holds exactly.
template <class T>
AnyTensor random_weight(std::size_t rows, std::size_t k, std::uint64_t seed, double spread) {
  const Tensor<T, 2> values = testing::random_tensor<T, 2>({rows, k}, seed, spread);
  return AnyTensor::make(DType::f32, Shape{rows, k}, [&](std::span<std::byte> bytes) {
    std::transform(values.elements().begin(), values.elements().end(), reinterpret_cast<float*>(bytes.data()),
                   [](T value) { return static_cast<float>(value); });
  });
}
/// Its elements as the device multiplies them.
template <class T>
Tensor<double, 2> elements_of(const AnyTensor& weight) {
  Tensor<double, 2> y({weight.extent(0), weight.extent(1)});
  std::vector<float> row(weight.extent(1));
  for (std::size_t i = 0; i < y.extent(0); ++i) {
    weight_row(weight, i, row.data());
    for (std::size_t j = 0; j < row.size(); ++j) y(i, j) = number(static_cast<T>(row[j]));
  }
  return y;
}

using GroupRows = testing::DeviceTest;

TEST_F(GroupRows, SortsByCounting) {
  for (const std::size_t groups : {1u, 5u, 32u, 33u, 131u})
    for (const std::size_t rows : {1u, 63u, 700u, 9000u}) {
      SCOPED_TRACE(::testing::Message() << rows << " rows in " << groups << " groups");
      Philox rng(rows + groups);
      Tensor<std::int32_t, 1> group({rows});
      Tensor<float, 1> weights({rows});
      std::vector<std::vector<std::int32_t>> expected(groups);
      for (std::size_t i = 0; i < rows; ++i) {  // half of them are empty, some rows are in none
        group(i) = static_cast<std::int32_t>(rng() % groups / 2);
        weights(i) = rng() % 7 == 0 ? 0.f : 0.5f;
        if (weights(i) != 0.f) expected[static_cast<std::size_t>(group(i))].push_back(static_cast<std::int32_t>(i));
      }
      const cuda::DeviceTensor<std::int32_t, 1> device_group(group, stream);
      const cuda::DeviceTensor<float, 1> device_weights(weights, stream);
      cuda::DeviceTensor<std::int32_t, 1> memory({cuda::RowGroups::elements_for(rows, groups)}, stream);
      const cuda::RowGroups sorted(memory.data(), rows, groups);
      cuda::group_rows(device_group.data(), device_weights.data(), rows, groups, sorted, stream);
      const Tensor<std::int32_t, 1> found = memory.download();
      const std::int32_t* first = found.data() + rows;
      const std::int32_t* first_tile = first + groups + 1;
      const std::int32_t tile = rows > 64 * groups ? 128 : 64;
      std::int32_t row = 0;
      std::int32_t tiles = 0;
      for (std::size_t g = 0; g < groups; ++g) {
        ASSERT_EQ(first[g], row);
        ASSERT_EQ(first_tile[g], tiles);
        const auto count = static_cast<std::int32_t>(expected[g].size());
        std::vector<std::int32_t> own(found.data() + row, found.data() + row + count);
        std::sort(own.begin(), own.end());
        ASSERT_EQ(own, expected[g]);
        row += count;
        tiles += (count + tile - 1) / tile;
      }
      ASSERT_EQ(first[groups], row);
      ASSERT_EQ(first_tile[groups], tiles);
    }
}

template <class T>
using GroupedLinear = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(GroupedLinear, testing::HalfTypes);

/// Rows of x, of which `share` groups want each, and matrices of weights, one for each group.
template <class T>
struct Grouped {
  std::vector<cuda::DeviceMatrix<T>> matrices;
  std::vector<Tensor<double, 2>> elements;
  cuda::DeviceExpertMatrix<T> all;

  Grouped(std::size_t groups, std::size_t columns, std::size_t k, DType dtype, cudaStream_t stream) {
    for (std::size_t g = 0; g < groups; ++g) {
      AnyTensor weight = random_weight<T>(columns, k, 7 + g, 0.2);
      if (dtype != DType::f32) weight = convert_weight(weight, dtype, Layout::rows);
      matrices.emplace_back(weight, cpu::Context{}, stream);
      elements.push_back(elements_of<T>(weight));
    }
    std::vector<const cuda::DeviceMatrix<T>*> pointers;
    for (const cuda::DeviceMatrix<T>& m : matrices) pointers.push_back(&m);
    all = cuda::DeviceExpertMatrix<T>(pointers, stream);
  }

  /// The product of rows whose groups these are; NaN where a row is in none.
  Tensor<T, 2> multiply(const cuda::DeviceTensor<T, 2>& x, const std::vector<std::int32_t>& group,
                        const std::vector<float>& weights, cudaStream_t stream) const {
    const std::size_t rows = group.size();
    const cuda::DeviceTensor<std::int32_t, 1> device_group(TensorView<const std::int32_t, 1>(group.data(), {rows}),
                                                           stream);
    const cuda::DeviceTensor<float, 1> device_weights(TensorView<const float, 1>(weights.data(), {rows}), stream);
    cuda::DeviceTensor<std::int32_t, 1> memory({cuda::RowGroups::elements_for(rows, matrices.size())}, stream);
    const cuda::RowGroups sorted(memory.data(), rows, matrices.size());
    cuda::group_rows(device_group.data(), device_weights.data(), rows, matrices.size(), sorted, stream);
    cuda::DeviceTensor<T, 2> y({rows, all.rows()}, stream);
    cuda::fill(y, static_cast<T>(NAN), stream);
    cuda::multiply_grouped<T, 1>(x.view(), {&all}, sorted, rows, matrices.size(), {y.data()}, stream);
    return y.download();
  }
};

struct Sizes {
  DType dtype;
  std::size_t rows, share, groups, columns, k;
};

TYPED_TEST(GroupedLinear, IsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const Sizes& s : {Sizes{DType::f32, 1, 1, 1, 1, 8}, Sizes{DType::f32, 6, 2, 3, 17, 40},
                         Sizes{DType::f32, 70, 1, 2, 131, 136}, Sizes{DType::f32, 190, 2, 2, 34, 72},
                         Sizes{DType::f32, 33, 3, 40, 24, 200}, Sizes{DType::q8_0, 30, 2, 3, 130, 96},
                         Sizes{DType::q8_0, 150, 1, 2, 19, 224}, Sizes{DType::q4_0, 30, 2, 3, 33, 160},
                         Sizes{DType::q4_0, 9, 1, 2, 17, 96}, Sizes{DType::q4_k, 20, 2, 3, 20, 512}}) {
    const std::size_t rows = s.rows, share = s.share, groups = s.groups, columns = s.columns, k = s.k;
    SCOPED_TRACE(::testing::Message() << name(s.dtype) << ": " << rows << " x " << k << " -> " << columns << ", "
                                      << groups << " groups");
    const Grouped<T> grouped(groups, columns, k, s.dtype, this->stream);
    ASSERT_TRUE(grouped.all);
    const auto x = testing::random_tensor<T, 2>({rows / share, k}, 1);
    std::vector<std::int32_t> group;
    std::vector<float> weights;
    for (std::size_t r = 0; r < rows; ++r) {  // most rows in one group
      group.push_back(static_cast<std::int32_t>(r % 3 == 0 ? r % groups : groups / 2));
      weights.push_back(r % 11 == 5 ? 0.f : 1.f);
    }
    const Tensor<T, 2> found =
        grouped.multiply(cuda::DeviceTensor<T, 2>(x, this->stream), group, weights, this->stream);
    testing::expect_near(
        found,
        [&](const Dims<2>& i) {
          if (weights[i[0]] == 0.f) return static_cast<double>(NAN);
          const auto& w = grouped.elements[static_cast<std::size_t>(group[i[0]])];
          double sum = 0.0;
          for (std::size_t j = 0; j < k; ++j) sum += number(x(i[0] / share, j)) * w(i[1], j);
          return sum;
        },
        2);
  }
}

// Tiles of 64 and of 128 rows, alone and beside others.
TYPED_TEST(GroupedLinear, OfARowDoesNotDependOnTheOthers) {
  using T = TypeParam;
  const Grouped<T> grouped(2, 40, 136, DType::f32, this->stream);
  const auto x = testing::random_tensor<T, 2>({150, 136}, 1);
  std::vector<std::int32_t> group(150);
  for (std::size_t r = 0; r < group.size(); ++r) group[r] = r % 5 == 0 ? 1 : 0;
  const std::vector<float> ones(150, 1.f);
  const Tensor<T, 2> all = grouped.multiply(cuda::DeviceTensor<T, 2>(x, this->stream), group, ones, this->stream);
  for (const std::size_t begin : {0u, 17u, 149u}) {
    const std::size_t rows = std::min<std::size_t>(20, 150 - begin);
    const auto at = static_cast<std::ptrdiff_t>(begin);
    const Tensor<T, 2> some =
        grouped.multiply(cuda::DeviceTensor<T, 2>(x.narrow(0, begin, rows).contiguous(), this->stream),
                         {group.begin() + at, group.begin() + at + static_cast<std::ptrdiff_t>(rows)},
                         {ones.begin(), ones.begin() + static_cast<std::ptrdiff_t>(rows)}, this->stream);
    testing::expect_near(
        some, [&](const Dims<2>& i) { return number(all(begin + i[0], i[1])); }, 0);
  }
}

template <class T>
using Moe = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Moe, testing::HalfTypes);

/// What tokens choose.
enum class Routing { any, the_first };

struct Mixture {
  std::size_t hidden, intermediate, experts, chosen;
  bool normalised;
  std::size_t shared;  // intermediate of the expert that all share; 0: none
  Routing routing;
};

template <class T>
MlpWeights random_mlp(std::size_t hidden, std::size_t intermediate, std::uint64_t seed) {
  return {.gate = random_weight<T>(intermediate, hidden, seed, 0.2),
          .up = random_weight<T>(intermediate, hidden, seed + 1, 0.2),
          .down = random_weight<T>(hidden, intermediate, seed + 2, 0.2)};
}
template <class T>
MoeWeights random_moe(const Mixture& m) {
  MoeWeights w{.router = random_weight<T>(m.experts, m.hidden, 3, m.routing == Routing::any ? 0.5 : 0.0)};
  for (std::size_t e = 0; e < m.experts; ++e)
    w.experts.push_back(random_mlp<T>(m.hidden, m.intermediate, 10 * (e + 1)));
  if (m.shared == 0) return w;
  w.shared = random_mlp<T>(m.hidden, m.shared, 5);
  w.shared_gate = random_weight<T>(1, m.hidden, 9, 0.2);
  return w;
}

/// The same in double.
template <class T>
Tensor<double, 2> in_double(const Mixture& m, const MoeWeights& w, const Tensor<T, 2>& x) {
  const auto multiply = [](const AnyTensor& weight, const std::vector<double>& from) {
    const Tensor<double, 2> elements = elements_of<T>(weight);
    std::vector<double> y(weight.extent(0), 0.0);
    for (std::size_t i = 0; i < y.size(); ++i)
      for (std::size_t j = 0; j < from.size(); ++j) y[i] += elements(i, j) * from[j];
    return y;
  };
  const auto mlp_of = [&](const MlpWeights& mlp, const std::vector<double>& from) {
    const std::vector<double> gate = multiply(mlp.gate, from);
    std::vector<double> up = multiply(mlp.up, from);
    for (std::size_t i = 0; i < up.size(); ++i) up[i] *= gate[i] / (1.0 + std::exp(-gate[i]));
    return multiply(mlp.down, up);
  };
  Tensor<double, 2> y(x.extents());
  for (std::size_t t = 0; t < x.extent(0); ++t) {
    std::vector<double> from(m.hidden);
    for (std::size_t i = 0; i < m.hidden; ++i) from[i] = number(x(t, i));
    const std::vector<double> logits = multiply(w.router, from);
    std::vector<std::size_t> order(m.experts);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
    double sum = 0.0;
    for (std::size_t i = 0; i < (m.normalised ? m.chosen : m.experts); ++i) sum += std::exp(logits[order[i]]);
    const auto add = [&](const MlpWeights& expert, double weight) {
      const std::vector<double> out = mlp_of(expert, from);
      for (std::size_t i = 0; i < m.hidden; ++i) y(t, i) += weight * out[i];
    };
    for (std::size_t i = 0; i < m.chosen; ++i) add(w.experts[order[i]], std::exp(logits[order[i]]) / sum);
    if (w.shared.up) add(w.shared, 1.0 / (1.0 + std::exp(-multiply(w.shared_gate, from)[0])));
  }
  return y;
}

template <class T>
std::vector<float> on_device(const Mixture& m, const MoeWeights& w, const Tensor<T, 2>& x, cudaStream_t stream) {
  using cuda::DeviceTensor;
  const std::size_t tokens = x.extent(0);
  const std::size_t slots = tokens * m.chosen;
  const cuda::DeviceMoeWeights<T> weights = cuda::LayerUploader<T>({}, stream).moe(w);
  const auto floats = [&](std::size_t width) { return DeviceTensor<float, 2>({tokens, width}, stream); };
  DeviceTensor<float, 2> router = floats(m.experts), chosen = floats(m.experts), gate = floats(1),
                         sum = floats(m.hidden);
  DeviceTensor<T, 2> out({slots, m.hidden}, stream);
  DeviceTensor<T, 2> gates({slots, std::max(m.intermediate, m.shared)}, stream);
  DeviceTensor<T, 2> ups(gates.extents(), stream);
  DeviceTensor<std::int32_t, 1> listed({slots}, stream);
  DeviceTensor<std::int32_t, 1> groups({cuda::RowGroups::elements_for(slots, m.experts)}, stream);
  DeviceTensor<float, 1> listed_weights({slots}, stream);
  DeviceTensor<T, 2> from(x, stream);
  cuda::DeviceProducts products{cuda::MatmulPlans(stream),
                                cuda::DeviceBuffer(m.hidden * m.intermediate * sizeof(T), stream)};
  cuda::DeviceTensor<T, 2> y({tokens, m.hidden}, stream);
  const auto compute = [&] {
    cuda::copy(
        cuda::moe(weights, Activation::silu, {.experts_per_token = m.chosen, .normalised = m.normalised}, from.view(),
                  cuda::DeviceMoeBuffers<T>{
                      router, chosen, gate, sum, out, {listed.data(), listed_weights.data()}, groups.data()},
                  gates.view(), ups.view(), {products, stream}, {}),
        y, stream);
  };
  compute();  // makes the plans of products, which cannot be recorded
  cuda::fill(y, static_cast<T>(NAN), stream);
  cuda::Graph(stream, compute).launch(stream);
  const Tensor<T, 2> found = y.download();
  return {found.elements().begin(), found.elements().end()};
}

constexpr Mixture mixtures[] = {
    {40, 24, 4, 2, true, 0, Routing::any},       {72, 136, 5, 1, true, 0, Routing::any},
    {40, 24, 3, 3, false, 0, Routing::any},      {64, 40, 6, 2, false, 56, Routing::any},
    {40, 24, 4, 1, true, 0, Routing::the_first}, {40, 24, 9, 2, true, 24, Routing::the_first},
    {20, 12, 4, 2, true, 12, Routing::any}};

TYPED_TEST(Moe, IsThatOfTheCpuAndOfDoublePrecision) {
  using T = TypeParam;
  for (const Mixture& m : mixtures)
    for (const std::size_t tokens : {1u, 2u, 7u, 45u}) {
      SCOPED_TRACE(::testing::Message() << tokens << " tokens of " << m.hidden << ", " << m.chosen << " of "
                                        << m.experts << " experts of " << m.intermediate);
      const MoeWeights w = random_moe<T>(m);
      const auto x = testing::random_tensor<T, 2>({tokens, m.hidden}, 2);
      const std::vector<float> found = on_device<T>(m, w, x, this->stream);
      const Tensor<double, 2> doubles = in_double<T>(m, w, x);
      const std::vector<float> exact(doubles.elements().begin(), doubles.elements().end());
      testing::expect_rows_near(found, exact, m.hidden, std::is_same_v<T, half> ? 2e-3 : 2e-2);
      Tensor<float, 2> from(x.extents());
      std::transform(x.elements().begin(), x.elements().end(), from.data(), [](T v) { return static_cast<float>(v); });
      Tensor<float, 2> router({tokens, m.experts + 1}), gathered({tokens, m.hidden}), sum({tokens, m.hidden});
      Tensor<float, 2> gate({tokens, std::max(m.intermediate, m.shared)}), up(gate.extents());
      const TensorView<const float, 2> expected =
          moe(w, Activation::silu, {.experts_per_token = m.chosen, .normalised = m.normalised}, from.view(),
              {router, gathered, sum}, gate, up, LayerContext());
      testing::expect_rows_near(found, {expected.data(), expected.size()}, m.hidden,
                                std::is_same_v<T, half> ? 2e-3 : 2e-2);
    }
}

// Gates and ups of two formats; experts of two formats, which all compute all tokens.
TYPED_TEST(Moe, TakesMatricesOfAnyFormat) {
  using T = TypeParam;
  const Mixture m{64, 32, 4, 2, true, 0, Routing::any};
  const auto in_blocks = [](AnyTensor& weight) { weight = convert_weight(weight, DType::q8_0, Layout::rows); };
  MoeWeights other_ups = random_moe<T>(m), other_expert = other_ups;
  for (MlpWeights& expert : other_ups.experts) in_blocks(expert.up);
  in_blocks(other_expert.experts[1].gate);
  for (const MoeWeights* w : {&other_ups, &other_expert})
    for (const std::size_t tokens : {1u, 9u}) {
      const bool listed = w == &other_ups;
      SCOPED_TRACE(::testing::Message() << tokens << " tokens, " << (listed ? "other ups" : "another expert"));
      EXPECT_EQ(static_cast<bool>(cuda::LayerUploader<T>({}, this->stream).moe(*w).gates), listed);
      const auto x = testing::random_tensor<T, 2>({tokens, m.hidden}, 2);
      const Tensor<double, 2> doubles = in_double<T>(m, *w, x);
      const std::vector<float> exact(doubles.elements().begin(), doubles.elements().end());
      testing::expect_rows_near(on_device<T>(m, *w, x, this->stream), exact, m.hidden,
                                std::is_same_v<T, half> ? 2e-3 : 2e-2);
    }
}

TYPED_TEST(Moe, DoesNotDependOnWhatIsComputedBeside) {
  using T = TypeParam;
  for (const Mixture& m : {mixtures[0], mixtures[3]}) {
    const MoeWeights w = random_moe<T>(m);
    const auto x = testing::random_tensor<T, 2>({9, m.hidden}, 2);
    const std::vector<float> all = on_device<T>(m, w, x, this->stream);
    std::vector<float> parts = on_device<T>(m, w, x.narrow(0, 0, 5).contiguous(), this->stream);
    const std::vector<float> rest = on_device<T>(m, w, x.narrow(0, 5, 4).contiguous(), this->stream);
    parts.insert(parts.end(), rest.begin(), rest.end());
    EXPECT_EQ(all, parts);
  }
}

}  // namespace
}  // namespace weft
