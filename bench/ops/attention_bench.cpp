// Attention over a cache: prompts (tokens = keys) and decoding (one token), heads of the Llama-3.2-1B shape.
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/core/thread_pool.hpp>
#include <weft/ops/attention.hpp>

namespace {

template <class K>
void attention(benchmark::State& state) {
  constexpr std::size_t heads = 32, kv_heads = 8, head_dim = 64;
  const auto tokens = static_cast<std::size_t>(state.range(0));
  const auto keys = static_cast<std::size_t>(state.range(1));
  weft::Philox rng(1);
  weft::Tensor<float, 3> q({tokens, heads, head_dim}), out({tokens, heads, head_dim});
  weft::Tensor<K, 3> k({keys, kv_heads, head_dim}), v({keys, kv_heads, head_dim});
  for (float& value : q.elements()) value = weft::uniform_float(rng) - 0.5f;
  for (K& value : k.elements()) value = K(weft::uniform_float(rng) - 0.5f);
  for (K& value : v.elements()) value = K(weft::uniform_float(rng) - 0.5f);
  weft::ThreadPool pool(2);
  weft::cpu::Workspace workspace;
  const weft::cpu::Context ctx{.executor = &pool, .workspace = &workspace};
  const weft::AttentionParams params{.scale = 0.125f, .offset = keys - tokens};
  for (auto _ : state) weft::attention(q, k, v, out, params, ctx);
  const double visible = static_cast<double>(tokens) * (static_cast<double>(keys) - 0.5 * static_cast<double>(tokens));
  state.counters["GFLOP/s"] =
      benchmark::Counter(4e-9 * visible * heads * head_dim, benchmark::Counter::kIsIterationInvariantRate);
  state.counters["cache_GB/s"] =
      benchmark::Counter(1e-9 * static_cast<double>(2 * keys * kv_heads * head_dim * sizeof(K)),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void shapes(benchmark::internal::Benchmark* b) {
  for (const int keys : {512, 2048, 8192}) b->Args({1, keys});
  for (const int tokens : {64, 512, 2048}) b->Args({tokens, tokens});
  b->ArgNames({"tokens", "keys"})->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK(attention<float>)->Apply(shapes);
BENCHMARK(attention<weft::half>)->Apply(shapes);
BENCHMARK(attention<weft::bfloat16>)->Apply(shapes);

}  // namespace
