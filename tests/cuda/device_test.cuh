#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <type_traits>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/cuda/core/device.cuh>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/stream.cuh>

namespace weft::testing {

/// Tests that need a device; where there is none they are skipped and say so.
class DeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "there is no CUDA device: kernels are NOT tested here";
    own_.emplace();
    stream = *own_;
  }

  cudaStream_t stream = nullptr;

 private:
  std::optional<cuda::Stream> own_;
};

/// The same for each element type of a kernel.
template <class T>
class DeviceTypeTest : public DeviceTest {};

using HalfTypes = ::testing::Types<half, bfloat16>;
using StorageTypes = ::testing::Types<half, bfloat16, float>;

/// By how much an element of type T may differ from x, computed in float and rounded once.
template <class T>
double tolerance(double x, double slack = 1.0) {
  const double unit = std::is_same_v<T, half> ? 0x1p-11 : std::is_same_v<T, bfloat16> ? 0x1p-8 : 0x1p-20;
  return slack * (unit * std::abs(x) + unit * 0.05);
}

/// Normally distributed elements.
template <class T, std::size_t Rank>
Tensor<T, Rank> random_tensor(const Dims<Rank>& extents, std::uint64_t seed, double spread = 1.0) {
  Philox rng(seed);
  auto x = Tensor<T, Rank>::uninitialised(extents);
  for (T& element : x.elements()) element = static_cast<T>(static_cast<float>(spread * normal_double(rng)));
  return x;
}

/// A tensor on the device: contiguous, or with rows that lie apart and begin one element behind a multiple of 16 bytes,
/// between elements that are NaN.
template <class T, std::size_t Rank>
struct OnDevice {
  cuda::DeviceTensor<T, Rank> memory;
  TensorView<T, Rank> view;
  bool unaligned = false;

  OnDevice(const Tensor<T, Rank>& host, bool apart, cudaStream_t stream) : unaligned(apart) {
    Dims<Rank> extents = host.extents();
    if (apart) extents[Rank - 1] += 3;
    auto wide = Tensor<T, Rank>::uninitialised(extents);
    if constexpr (FloatingElement<T>)
      std::fill_n(wide.data(), wide.size(), static_cast<T>(std::numeric_limits<float>::quiet_NaN()));
    const auto inside = part(wide.view());
    weft::detail::for_each_index(host.extents(), [&](const Dims<Rank>& i) { inside(i) = host.view()(i); });
    memory = cuda::DeviceTensor<T, Rank>(extents, stream);
    memory.upload(wide.view());
    cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    view = part(memory.view());
  }
  /// Zeros, to be written.
  OnDevice(const Dims<Rank>& extents, bool apart, cudaStream_t stream)
      : OnDevice(Tensor<T, Rank>(extents), apart, stream) {}

  Tensor<T, Rank> download() const {
    const Tensor<T, Rank> all = memory.download();
    return part(all.view()).contiguous();
  }

 private:
  template <class V>
  V part(const V& all) const {
    return unaligned ? V(all.narrow(-1, 1, all.extent(Rank - 1) - 3)) : all;
  }
};

/// Every element of `found` is near what expected(index) computes in double.
template <class T, std::size_t Rank, class F>
void expect_near(const Tensor<T, Rank>& found, F&& expected, double slack = 1.0) {
  int wrong = 0;
  weft::detail::for_each_index(found.extents(), [&](const Dims<Rank>& i) {
    const double e = expected(i);
    const auto f = static_cast<double>(static_cast<float>(found.view()(i)));
    const bool good = std::isnan(e) ? std::isnan(f) : e == f || std::abs(f - e) <= tolerance<T>(e, slack);
    if (!good && ++wrong <= 5) ADD_FAILURE() << "at " << to_string(i) << ": " << f << ", expected " << e;
  });
  EXPECT_EQ(wrong, 0) << "of " << found.size();
}

}  // namespace weft::testing
