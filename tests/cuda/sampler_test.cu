#include <weft/cuda/sampling/sampler.cuh>

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

/// Draws from the device and from the CPU, one after the other.
template <class T>
void check(const SamplingParams& params, std::size_t rows, std::size_t vocab, double spread, cudaStream_t stream) {
  SCOPED_TRACE(::testing::Message() << rows << " x " << vocab << ", temperature " << params.temperature << ", top_k "
                                    << params.top_k << ", top_p " << params.top_p << ", min_p " << params.min_p);
  cuda::DeviceSampler sampler(params, rows, stream);
  std::vector<std::function<testing::CpuDraw(const std::vector<float>&)>> of_cpu;
  for (std::size_t r = 0; r < rows; ++r) of_cpu.push_back(testing::cpu_sampler(params, vocab, r));
  const cuda::DeviceBuffer draws(rows * sizeof(cuda::DeviceDraw), stream);
  std::vector<cuda::DeviceDraw> found(rows);
  for (std::uint64_t turn = 0; turn < 4; ++turn) {
    const Tensor<T, 2> logits = some_logits<T>(rows, vocab, 100 * vocab + turn, spread);
    const testing::OnDevice<T, 2> on_device(logits, turn % 2 == 1, stream);
    sampler(on_device.view, draws.as<cuda::DeviceDraw>());
    cuda::check(cudaMemcpyAsync(found.data(), draws.data(), draws.bytes(), cudaMemcpyDeviceToHost, stream),
                "cudaMemcpyAsync");
    cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
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

TYPED_TEST(SamplerOnDevice, NoNumbersGiveNoToken) {
  using T = TypeParam;
  auto logits = testing::random_tensor<T, 2>({4, 2000}, 1);
  logits(0, 1999) = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  logits(1, 5) = static_cast<T>(infinity);
  for (std::size_t i = 0; i < 2000; ++i) logits(2, i) = static_cast<T>(-infinity);
  for (const SamplingParams& params : {SamplingParams{.temperature = 0.f}, SamplingParams{.top_p = 0.9f}}) {
    const testing::OnDevice<T, 2> on_device(logits, false, this->stream);
    cuda::DeviceSampler sampler(params, 4, this->stream);
    const cuda::DeviceBuffer draws(4 * sizeof(cuda::DeviceDraw), this->stream);
    sampler(on_device.view, draws.as<cuda::DeviceDraw>());
    std::vector<cuda::DeviceDraw> found(4);
    cuda::check(cudaMemcpyAsync(found.data(), draws.data(), draws.bytes(), cudaMemcpyDeviceToHost, this->stream),
                "cudaMemcpyAsync");
    cuda::check(cudaStreamSynchronize(this->stream), "cudaStreamSynchronize");
    for (std::size_t r = 0; r < 3; ++r) EXPECT_EQ(found[r].id, -1) << r;
    EXPECT_GE(found[3].id, 0);
  }
}

TYPED_TEST(SamplerOnDevice, RefusesWhatItDoesNotCompute) {
  using T = TypeParam;
  EXPECT_THROW(cuda::DeviceSampler({.temperature = -1.f}, 1, this->stream), ConfigError);
  const testing::OnDevice<T, 2> logits({2, 5}, false, this->stream);
  const cuda::DeviceBuffer draws(2 * sizeof(cuda::DeviceDraw), this->stream);
  cuda::DeviceSampler penalties({.repetition_penalty = 1.1f}, 2, this->stream);
  EXPECT_THROW(penalties(logits.view, draws.as<cuda::DeviceDraw>()), ConfigError);
  cuda::DeviceSampler three({}, 3, this->stream);
  EXPECT_THROW(three(logits.view, draws.as<cuda::DeviceDraw>()), ShapeError);
}

}  // namespace
}  // namespace weft
