#include <optional>
#include <string>
#include <utility>

#include <weft/cuda/core/device.cuh>
#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/core/device_tensor.cuh>
#include <weft/cuda/core/event.cuh>
#include <weft/cuda/core/graph.cuh>
#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/ops/elementwise.cuh>

#include "device_test.cuh"

namespace weft {
namespace {

using Core = testing::DeviceTest;

static_assert(!TensorLike<cuda::DeviceTensor<float, 2>>, "the CPU's ops must not take device memory for their own");
static_assert(cuda::DeviceTensorLike<cuda::DeviceTensor<float, 2>> && cuda::DeviceTensorLike<TensorView<float, 2>>);

TEST(Device, WithoutOneEveryCallSaysSo) {
  if (cuda::device_count() != 0) GTEST_SKIP() << "there is a device";
  try {
    cuda::Stream stream;
    FAIL() << "a stream without a device";
  } catch (const CudaError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("there is no CUDA device"), std::string::npos) << text;
    EXPECT_NE(text.find("cudaStreamCreateWithFlags"), std::string::npos) << text;
    EXPECT_NE(text.find("stream.cuh:"), std::string::npos) << text;
  }
  EXPECT_THROW(cuda::DeviceBuffer(16), CudaError);
  EXPECT_THROW((cuda::DeviceTensor<float, 1>({4})), CudaError);
  EXPECT_THROW(cuda::current_device(), CudaError);
  EXPECT_THROW(cuda::device_properties(0), CudaError);
}

TEST_F(Core, DevicesAreKnown) {
  const cuda::DeviceProperties found = cuda::device_properties(cuda::current_device());
  EXPECT_FALSE(found.name.empty());
  EXPECT_GE(found.compute_capability, 80);
  EXPECT_GT(found.multiprocessors, 0);
  EXPECT_GT(cuda::free_bytes(), 0u);
  EXPECT_THROW(cuda::device_properties(9999), CudaError);
  EXPECT_THROW(cuda::DeviceScope(9999), CudaError);
}

TEST_F(Core, TensorsGoUpAndComeBack) {
  const auto host = testing::random_tensor<half, 3>({3, 5, 7}, 1);
  const cuda::DeviceTensor<half, 3> device(host, stream);
  const auto back = device.download();
  for (std::size_t i = 0; i < host.size(); ++i) EXPECT_EQ(back.data()[i].bits, host.data()[i].bits);
  // A strided host view arrives in the order of its own dimensions.
  const cuda::DeviceTensor<half, 3> turned(host.transpose(0, 2), stream);
  const auto turned_back = turned.download();
  EXPECT_EQ(turned_back(6, 4, 2).bits, host(2, 4, 6).bits);
}

TEST_F(Core, EmptyTensorsTakeNoMemory) {
  const cuda::DeviceTensor<float, 2> empty({0, 7}, stream);
  EXPECT_EQ(empty.bytes(), 0u);
  EXPECT_EQ(empty.download().size(), 0u);
}

TEST_F(Core, TooMuchMemoryIsAnErrorThatCountsIt) {
  try {
    cuda::DeviceBuffer(std::size_t{1} << 50, stream);
    FAIL() << "a petabyte";
  } catch (const CudaError& error) {
    EXPECT_NE(std::string(error.what()).find("1125899906842624 bytes"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("are missing"), std::string::npos) << error.what();
  }
  EXPECT_NO_THROW(cuda::DeviceBuffer(16, stream));
}

TEST_F(Core, ErrorsNameCallFileAndLine) {
  const int line = __LINE__ + 2;
  try {
    cuda::check(cudaSetDevice(9999), "cudaSetDevice");
    FAIL() << "there are not so many devices";
  } catch (const CudaError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("cudaSetDevice failed"), std::string::npos) << text;
    EXPECT_NE(text.find("core_test.cu:" + std::to_string(line)), std::string::npos) << text;
  }
}

TEST_F(Core, WhatIsGivenBackIsFree) {
  const std::size_t most = cuda::free_bytes();
  cuda::require_free_bytes("all", most);
  EXPECT_THROW(cuda::require_free_bytes("more", most + (std::size_t{1} << 30)), CudaError);
  const std::size_t large = std::size_t{1} << 28;
  { const cuda::DeviceBuffer buffer(large, stream); }
  EXPECT_GE(cuda::free_bytes() + large / 2, most) << "what the pool keeps counts as free";
}

TEST_F(Core, WhatWasMovedFromIsEmpty) {
  const Tensor<float, 2> host({2, 3}, {1, 2, 3, 4, 5, 6});
  cuda::DeviceTensor<float, 2> a(host, stream);
  const float* place = a.data();
  cuda::DeviceTensor<float, 2> b(std::move(a));
  EXPECT_EQ(b.data(), place);
  EXPECT_EQ(a.data(), nullptr);
  EXPECT_EQ(a.size(), 0u);
  EXPECT_EQ(a.extent(0), 0u);
  cuda::DeviceTensor<float, 2> c({5, 7}, stream);
  c = std::move(b);
  EXPECT_EQ(c.data(), place);
  EXPECT_EQ(b.data(), nullptr);
  EXPECT_EQ(b.bytes(), 0u);
  cuda::DeviceTensor<float, 2>& self = c;
  c = std::move(self);
  EXPECT_EQ(c.data(), place);
  EXPECT_EQ(c.download()(1, 2), 6.f);
  b.clear();
  EXPECT_EQ(b.download().size(), 0u);

  cuda::DeviceBuffer first(16, stream), second(32, stream);
  second = std::move(first);
  EXPECT_EQ(second.bytes(), 16u);
  EXPECT_EQ(first.bytes(), 0u);
  EXPECT_EQ(first.data(), nullptr);
  cuda::DeviceBuffer& same = second;
  second = std::move(same);
  EXPECT_EQ(second.bytes(), 16u);

  cuda::Stream one, two;
  const cudaStream_t of_one = one;
  two = std::move(one);
  EXPECT_EQ(static_cast<cudaStream_t>(two), of_one);
  EXPECT_EQ(static_cast<cudaStream_t>(one), nullptr);
  cuda::Stream& two_again = two;
  two = std::move(two_again);
  two.synchronize();
  cuda::Event event, other;
  other = std::move(event);
  cuda::Event& other_again = other;
  other = std::move(other_again);
  other.record(two);
  cuda::Graph graph(stream, [&] { c.clear(); }), none;
  none = std::move(graph);
  EXPECT_TRUE(graph.empty());
  cuda::Graph& none_again = none;
  none = std::move(none_again);
  none.launch(stream);
  EXPECT_EQ(c.download()(1, 2), 0.f);
}

// What is of one device stays there, whatever the current one is.
TEST_F(Core, SeveralDevices) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "there is one device: several are NOT tested here";
  std::optional<cuda::DeviceTensor<float, 1>> x;
  {
    const cuda::DeviceScope scope(1);
    EXPECT_EQ(cuda::current_device(), 1);
    const cuda::Stream on_second;
    EXPECT_EQ(on_second.device(), 1);
    x.emplace(Dims<1>{4});
    cuda::fill(*x, 3.f);
  }
  EXPECT_EQ(cuda::current_device(), 0);
  EXPECT_EQ(x->device(), 1);
  EXPECT_EQ(x->download()(3), 3.f);
  EXPECT_THROW(cuda::DeviceScope(9999), CudaError);
  EXPECT_EQ(cuda::current_device(), 0);
  x->clear();
  EXPECT_EQ(x->download()(3), 0.f);
#ifndef __CUDACC__
  EXPECT_THROW(cuda::fill(*x, 1.f), CudaError) << "kernels run on the current device";
  const std::size_t before = emulation::used_bytes;
  x.reset();
  EXPECT_EQ(emulation::used_bytes, before - 4 * sizeof(float));
#endif
}

TEST_F(Core, UploadOfAnotherShapeThrows) {
  cuda::DeviceTensor<float, 2> x({2, 3}, stream);
  EXPECT_THROW(x.upload(Tensor<float, 2>({3, 2})), ShapeError);
}

TEST_F(Core, GraphsRepeatWhatWasRecorded) {
  cuda::DeviceTensor<std::int32_t, 1> x({1}, stream);
  cuda::DeviceTensor<std::int32_t, 1> one({1}, stream);
  x.clear();
  cuda::fill(one, 1, stream);
  const cuda::Graph graph(stream, [&] { cuda::add(x, one, x, stream); });
  EXPECT_EQ(x.download()(0), 0) << "recording must not run";
  for (int i = 0; i < 5; ++i) graph.launch(stream);
  EXPECT_EQ(x.download()(0), 5);
  EXPECT_THROW(cuda::Graph(stream, [] { throw ShapeError("mine"); }), ShapeError);
  cuda::add(x, one, x, stream);  // the stream is whole again
  EXPECT_EQ(x.download()(0), 6);
}

TEST_F(Core, EventsOrderStreams) {
  cuda::Event begin;
  cuda::Event end;
  const cuda::Stream other;
  cuda::DeviceTensor<float, 1> x({1000}, stream);
  begin.record(stream);
  cuda::fill(x, 2.f, stream);
  end.record(stream);
  end.block(other);
  cuda::DeviceTensor<float, 1> y({1000}, other);
  cuda::add(x, x, y, other);
  EXPECT_EQ(y.download()(999), 4.f);
  end.synchronize();
  EXPECT_GE(end.milliseconds_since(begin), 0.f);
}

}  // namespace
}  // namespace weft
