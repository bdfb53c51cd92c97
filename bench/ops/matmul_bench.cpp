// y = x W^T at the shapes of a prompt and of decoding, per weight type, beside Eigen and as a share of the peak that is
// measured in the same run.
#include <cstdint>
#include <cstring>
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/core/eigen.hpp>
#include <weft/core/tensor.hpp>
#include <weft/ops/linear.hpp>

#include "../machine.hpp"

namespace {

weft::Executor& pool() {
  static weft::ThreadPool made;
  return made;
}
weft::Executor& one_thread() {
  static weft::SerialExecutor made;
  return made;
}

weft::Tensor<float, 2> random(std::size_t rows, std::size_t columns) {
  auto result = weft::Tensor<float, 2>::uninitialised({rows, columns});
  std::uint32_t state = 1;
  for (float& value : result.elements()) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-24f - 0.5f;
  }
  return result;
}

weft::AnyTensor weights(weft::DType dtype, std::size_t rows, std::size_t columns) {
  const weft::Tensor<float, 2> values = random(rows, columns);
  return weft::AnyTensor::make(dtype, {rows, columns}, [&](std::span<std::byte> bytes) {
    const weft::cpu::Kernels& kernels = weft::cpu::best_kernels();
    if (dtype == weft::DType::f16) {
      kernels.to_f16(values.data(), values.size(), reinterpret_cast<weft::half*>(bytes.data()));
    } else if (dtype == weft::DType::bf16) {
      kernels.to_bf16(values.data(), values.size(), reinterpret_cast<weft::bfloat16*>(bytes.data()));
    } else {
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
  });
}

/// Times run() against the peak of `dtype` on the threads of `executor`, measured before and after each.
template <class Run>
void measure(benchmark::State& state, double operations, weft::Executor& executor, weft::DType peak, Run&& run) {
  std::vector<double> shares, rates;
  for (auto _ : state) {
    const double before = bench::peak_flops(executor, peak);
    const double begin = bench::now();
    run();
    const double seconds = bench::now() - begin;
    const double after = bench::peak_flops(executor, peak);
    state.SetIterationTime(seconds);
    rates.push_back(operations / seconds);
    shares.push_back(operations / seconds / (0.5 * (before + after)));
  }
  state.counters["GFLOP/s"] = 1e-9 * bench::median(rates);
  state.counters["of_peak_%"] = 100.0 * bench::median(shares);
}

void linear(benchmark::State& state, weft::DType dtype, weft::Compute compute) {
  const auto tokens = static_cast<std::size_t>(state.range(0));
  const auto rows = static_cast<std::size_t>(state.range(1));
  const auto k = static_cast<std::size_t>(state.range(2));
  const weft::Tensor<float, 2> x = random(tokens, k);
  const weft::AnyTensor weight = weights(dtype, rows, k);
  weft::Tensor<float, 2> y({tokens, rows});
  weft::cpu::Workspace workspace;
  const weft::cpu::Context ctx{.executor = &pool(), .workspace = &workspace, .compute = compute};
  const bool dot = dtype == weft::DType::bf16 && compute == weft::Compute::native;
  measure(state, 2.0 * static_cast<double>(tokens * rows * k), pool(), dot ? weft::DType::bf16 : weft::DType::f32,
          [&] { weft::linear(x, weight, y, ctx); });
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(weight.bytes().size()), benchmark::Counter::kIsIterationInvariantRate);
}

// Eigen on one thread, as fast as the flags of this build allow; its share is that of one thread's peak.
void eigen(benchmark::State& state) {
  const auto tokens = static_cast<std::size_t>(state.range(0));
  const auto rows = static_cast<std::size_t>(state.range(1));
  const auto k = static_cast<std::size_t>(state.range(2));
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix x = weft::as_eigen(random(tokens, k));
  const Matrix w = weft::as_eigen(random(rows, k));
  Matrix y(x.rows(), w.rows());
  measure(state, 2.0 * static_cast<double>(tokens * rows * k), one_thread(), weft::DType::f32,
          [&] { y.noalias() = x * w.transpose(); });
}

void shapes(benchmark::internal::Benchmark* b) {
  for (const int tokens : {1, 4, 12, 64, 512}) {
    b->Args({tokens, 2048, 2048});
    b->Args({tokens, 8192, 2048});
    b->Args({tokens, 2048, 8192});
  }
  b->ArgNames({"tokens", "rows", "k"})->UseManualTime()->Unit(benchmark::kMicrosecond)->MinTime(0.2);
}
BENCHMARK_CAPTURE(linear, f32, weft::DType::f32, weft::Compute::f32)->Apply(shapes);
BENCHMARK_CAPTURE(linear, f16, weft::DType::f16, weft::Compute::f32)->Apply(shapes);
BENCHMARK_CAPTURE(linear, bf16, weft::DType::bf16, weft::Compute::f32)->Apply(shapes);
BENCHMARK_CAPTURE(linear, bf16_native, weft::DType::bf16, weft::Compute::native)->Apply(shapes);
BENCHMARK(eigen)->Apply(shapes);

}  // namespace
