// Norms over rows of a hidden state, one thread.
#include <benchmark/benchmark.h>

#include <weft/core/tensor.hpp>
#include <weft/ops/layer_norm.hpp>
#include <weft/ops/rms_norm.hpp>

namespace {

template <class Norm>
void run(benchmark::State& state, Norm&& norm) {
  const auto tokens = static_cast<std::size_t>(state.range(0));
  const auto hidden = static_cast<std::size_t>(state.range(1));
  weft::Tensor<float, 2> x({tokens, hidden}), y({tokens, hidden});
  weft::Tensor<float, 1> gain({hidden});
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 97) - 48.f;
  for (auto _ : state) norm(x, gain, y);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(2 * x.size() * sizeof(float)));
}

void rms_norm(benchmark::State& state) {
  run(state, [](auto& x, auto& gain, auto& y) { weft::rms_norm(x, gain, y, {.eps = 1e-5f}); });
}
void layer_norm(benchmark::State& state) {
  run(state, [](auto& x, auto& gain, auto& y) { weft::layer_norm(x, gain, gain, y, {.eps = 1e-5f}); });
}
void shapes(benchmark::internal::Benchmark* b) {
  for (const int tokens : {1, 512})
    for (const int hidden : {288, 2048, 8192}) b->Args({tokens, hidden});
  b->ArgNames({"tokens", "hidden"});
}
BENCHMARK(rms_norm)->Apply(shapes);
BENCHMARK(layer_norm)->Apply(shapes);

}  // namespace
