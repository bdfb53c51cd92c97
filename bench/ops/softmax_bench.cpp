// Softmax and activations over rows, one thread.
#include <benchmark/benchmark.h>

#include <weft/core/tensor.hpp>
#include <weft/ops/activation.hpp>
#include <weft/ops/softmax.hpp>

namespace {

weft::Tensor<float, 2> row(benchmark::State& state) {
  weft::Tensor<float, 2> x({1, static_cast<std::size_t>(state.range(0))});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i * 7919 % 1000) * 0.01f - 5.f;
  return x;
}

void done(benchmark::State& state) {
  state.counters["per_element"] = benchmark::Counter(
      static_cast<double>(state.range(0)), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void softmax(benchmark::State& state) {
  const weft::Tensor<float, 2> x = row(state);
  weft::Tensor<float, 2> y(x.extents());
  for (auto _ : state) weft::softmax(x, y);
  done(state);
}
BENCHMARK(softmax)->Arg(64)->Arg(2048)->Arg(128256);

void activation(benchmark::State& state, weft::Activation kind) {
  const weft::Tensor<float, 2> x = row(state);
  weft::Tensor<float, 2> y(x.extents());
  for (auto _ : state) weft::activation(kind, x, y);
  done(state);
}
BENCHMARK_CAPTURE(activation, silu, weft::Activation::silu)->Arg(8192);
BENCHMARK_CAPTURE(activation, gelu, weft::Activation::gelu)->Arg(8192);
BENCHMARK_CAPTURE(activation, gelu_tanh, weft::Activation::gelu_tanh)->Arg(8192);

}  // namespace
