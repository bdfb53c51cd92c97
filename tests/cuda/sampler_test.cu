#include <weft/cuda/sampling/sampler.cuh>

#include <cmath>
#include <limits>

#include "cpu_sampler.hpp"
#include "device_test.cuh"

namespace weft {
namespace {

template <class T>
using SamplerOnDevice = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(SamplerOnDevice, testing::StorageTypes);

constexpr float infinity = std::numeric_limits<float>::infinity();

/// Logits of which many are equal, as those of half precision are.
template <class T>
Tensor<T, 2> some_logits(std::size_t rows, std::size_t vocab, std::uint64_t seed, double spread) {
  auto logits = testing::random_tensor<T, 2>({rows, vocab}, seed, spread);
  for (std::size_t i = 0; i < logits.size(); i += 7)
    logits.data()[i] = static_cast<T>(std::round(static_cast<float>(logits.data()[i])));
  if (vocab > 3) logits(0, 2) = static_cast<T>(-infinity);
  return logits;
}

template <class T>
std::vector<float> row_of(const Tensor<T, 2>& logits, std::size_t row) {
  std::vector<float> result(logits.extent(1));
  for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<float>(logits(row, i));
  return result;
}

template <class T>
std::vector<cuda::DeviceDraw> drawn(cuda::DeviceSampler& sampler, const TensorView<T, 2>& logits, std::size_t rows,
                                    cudaStream_t stream) {
  const cuda::DeviceBuffer draws(rows * sizeof(cuda::DeviceDraw), stream);
  sampler(logits, draws.as<cuda::DeviceDraw>());
  std::vector<cuda::DeviceDraw> found(rows);
  cuda::check(cudaMemcpyAsync(found.data(), draws.data(), draws.bytes(), cudaMemcpyDeviceToHost, stream),
              "cudaMemcpyAsync");
  cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return found;
}

/// Draws from the device and from the CPU, one after the other.
template <class T>
void check(const SamplingParams& params, std::size_t rows, std::size_t vocab, double spread, cudaStream_t stream,
           std::uint64_t turns = 4) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << vocab << ", temperature " << params.temperature << ", top_k "
                                    << params.top_k << ", top_p " << params.top_p << ", min_p " << params.min_p);
  cuda::DeviceSampler sampler(params, rows, stream);
  std::vector<std::function<testing::CpuDraw(const std::vector<float>&)>> of_cpu;
  for (std::size_t r = 0; r < rows; ++r) of_cpu.push_back(testing::cpu_sampler(params, vocab, r));
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    const Tensor<T, 2> logits = some_logits<T>(rows, vocab, 100 * vocab + turn, spread);
    const testing::OnDevice<T, 2> on_device(logits, turn % 2 == 1, stream);
    const std::vector<cuda::DeviceDraw> found = drawn(sampler, on_device.view, rows, stream);
    for (std::size_t r = 0; r < rows; ++r) {
      const testing::CpuDraw expected = of_cpu[r](row_of(logits, r));
      ASSERT_EQ(found[r].id, expected.id) << "row " << r << " turn " << turn;
      EXPECT_NEAR(found[r].log_probability, expected.log_probability, 1e-5 * (1 + std::abs(expected.log_probability)));
      EXPECT_NEAR(found[r].probability, expected.probability, 1e-6);
    }
  }
}

TYPED_TEST(SamplerOnDevice, DrawsWhatTheCpuDraws) {
  using T = TypeParam;
  for (const std::size_t vocab : {1u, 2u, 31u, 1000u, 5003u})
    for (const SamplingParams& params :
         {SamplingParams{.temperature = 0.f}, SamplingParams{.seed = 1}, SamplingParams{.temperature = 0.7f, .seed = 2},
          SamplingParams{.top_k = 1, .seed = 3}, SamplingParams{.top_k = 40, .seed = 4},
          SamplingParams{.top_p = 0.9f, .seed = 5}, SamplingParams{.min_p = 0.05f, .seed = 6},
          SamplingParams{.temperature = 1.3f, .top_k = 50, .top_p = 0.8f, .min_p = 0.01f, .seed = 7}})
      check<T>(params, 3, vocab, 3.0, this->stream);
}

TYPED_TEST(SamplerOnDevice, DrawsWhatTheCpuDrawsAmongEquals) {
  using T = TypeParam;
  for (const double spread : {0.0, 0.3})
    for (const SamplingParams& params :
         {SamplingParams{.top_k = 7, .seed = 1}, SamplingParams{.top_p = 0.5f, .seed = 2},
          SamplingParams{.top_k = 1500, .top_p = 0.31f, .seed = 3}, SamplingParams{.temperature = 0.f}})
      check<T>(params, 2, 3001, spread, this->stream);
}

TYPED_TEST(SamplerOnDevice, DrawsFromManyRowsAndLargeVocabularies) {
  using T = TypeParam;
  check<T>({.top_k = 3, .seed = 9}, 7, 200, 2.0, this->stream);
  check<T>({.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .seed = 10}, 1, 60007, 4.0, this->stream);
}

TYPED_TEST(SamplerOnDevice, DrawsWhatTheCpuDrawsWithExtremeParameters) {
  using T = TypeParam;
  constexpr float tiny = std::numeric_limits<float>::denorm_min();
  constexpr float huge = std::numeric_limits<float>::max();
  const float below_one = std::nextafter(1.f, 0.f);
  for (const SamplingParams& params :
       {SamplingParams{.temperature = tiny, .seed = 1}, SamplingParams{.temperature = 1e-30f, .top_p = 0.5f, .seed = 2},
        SamplingParams{.temperature = huge, .seed = 3}, SamplingParams{.temperature = huge, .top_k = 2, .seed = 4},
        SamplingParams{.top_p = tiny, .seed = 5}, SamplingParams{.top_p = below_one, .seed = 6},
        SamplingParams{.min_p = below_one, .seed = 7}, SamplingParams{.min_p = tiny, .seed = 8},
        SamplingParams{.top_k = 2999, .seed = 9}, SamplingParams{.top_k = 3000, .seed = 10},
        SamplingParams{.top_k = std::numeric_limits<std::size_t>::max(), .seed = ~std::uint64_t{0}},
        SamplingParams{.temperature = 30.f, .top_k = 1023, .top_p = below_one, .min_p = 0.9f, .seed = 11},
        SamplingParams{.temperature = 0.f, .top_k = 5, .top_p = 0.1f, .min_p = 0.5f}})
    for (const double spread : {0.1, 20.0}) check<T>(params, 2, 3000, spread, this->stream);
}

TYPED_TEST(SamplerOnDevice, DrawsWhatTheCpuDrawsFromFewThatAreLeft) {
  using T = TypeParam;
  constexpr std::size_t vocab = 2500;
  for (const std::size_t left : {1u, 2u, 70u})
    for (const SamplingParams& params :
         {SamplingParams{.temperature = 0.f}, SamplingParams{.seed = 1}, SamplingParams{.top_k = 1000, .seed = 2},
          SamplingParams{.top_k = 3, .top_p = 0.7f, .seed = 3},
          SamplingParams{.top_p = 0.9f, .min_p = 0.1f, .seed = 4}}) {
      auto logits = Tensor<T, 2>({1, vocab});
      std::fill_n(logits.data(), vocab, static_cast<T>(-infinity));
      for (std::size_t i = 0; i < left; ++i)
        logits(0, (i * 991 + 2499) % vocab) = static_cast<T>(static_cast<float>(i % 3) - 0.f);
      logits(0, 2499) = static_cast<T>(-0.f);  // equal to the zeros
      const testing::OnDevice<T, 2> on_device(logits, false, this->stream);
      cuda::DeviceSampler sampler(params, 1, this->stream);
      const auto on_cpu = testing::cpu_sampler(params, vocab, 0);
      for (int turn = 0; turn < 5; ++turn)
        ASSERT_EQ(drawn(sampler, on_device.view, 1, this->stream)[0].id, on_cpu(row_of(logits, 0)).id)
            << left << " left, turn " << turn << ", top_k " << params.top_k << ", top_p " << params.top_p;
    }
}

// The vocabulary of Llama 3 and the largest there may be.
TYPED_TEST(SamplerOnDevice, DrawsWhatTheCpuDrawsFromPublishedVocabularies) {
  using T = TypeParam;
  for (const SamplingParams& params :
       {SamplingParams{.temperature = 0.f}, SamplingParams{.temperature = 1.2f, .seed = 1},
        SamplingParams{.top_k = 50, .top_p = 0.95f, .seed = 2},
        SamplingParams{.top_p = 0.3f, .min_p = 0.002f, .seed = 3}})
    check<T>(params, 1, 128256, 2.5, this->stream, 2);
  check<T>({.top_k = 7, .top_p = 0.99f, .seed = 4}, 1, std::size_t{1} << 20, 2.5, this->stream, 1);
  cuda::DeviceSampler sampler({}, 1, this->stream);
  const cuda::DeviceTensor<T, 2> too_many({1, (std::size_t{1} << 20) + 1}, this->stream), none({1, 0}, this->stream);
  const cuda::DeviceBuffer draw(sizeof(cuda::DeviceDraw), this->stream);
  EXPECT_THROW(sampler(too_many, draw.as<cuda::DeviceDraw>()), ConfigError);
  EXPECT_THROW(sampler(none, draw.as<cuda::DeviceDraw>()), ConfigError);
}

TYPED_TEST(SamplerOnDevice, NoNumbersGiveNoToken) {
  using T = TypeParam;
  auto logits = testing::random_tensor<T, 2>({4, 2000}, 1);
  logits(0, 1999) = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  logits(1, 5) = static_cast<T>(infinity);
  for (std::size_t i = 0; i < 2000; ++i) logits(2, i) = static_cast<T>(-infinity);
  for (const SamplingParams& params : {SamplingParams{.temperature = 0.f}, SamplingParams{.top_p = 0.9f}}) {
    const testing::OnDevice<T, 2> on_device(logits, false, this->stream);
    cuda::DeviceSampler sampler(params, 4, this->stream);
    const std::vector<cuda::DeviceDraw> found = drawn(sampler, on_device.view, 4, this->stream);
    for (std::size_t r = 0; r < 3; ++r) EXPECT_EQ(found[r].id, -1) << r;
    EXPECT_GE(found[3].id, 0);
  }
}

TYPED_TEST(SamplerOnDevice, RefusesWhatItDoesNotCompute) {
  using T = TypeParam;
  EXPECT_THROW(cuda::DeviceSampler({.temperature = -1.f}, 1, this->stream), ConfigError);
  const testing::OnDevice<T, 2> logits({2, 5}, false, this->stream);
  const cuda::DeviceBuffer draws(2 * sizeof(cuda::DeviceDraw), this->stream);
  EXPECT_THROW(cuda::DeviceSampler({.repetition_penalty = 1.1f}, 2, this->stream), ConfigError);
  cuda::DeviceSampler three({}, 3, this->stream);
  EXPECT_THROW(three(logits.view, draws.as<cuda::DeviceDraw>()), ShapeError);
}

}  // namespace
}  // namespace weft
