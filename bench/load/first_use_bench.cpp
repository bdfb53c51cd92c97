// From a checkpoint on disk to the first logits. WEFT_BENCH_MODEL is a GGUF file or a Hugging Face directory whose
// pages are in memory already. In place, nothing is read but what describes the tensors, and pages are mapped as they
// are used.
#include <array>
#include <chrono>
#include <cstdlib>

#include <benchmark/benchmark.h>

#include <weft/core/token_id.hpp>
#include <weft/models/load.hpp>
#include <weft/models/session.hpp>

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// The time of loading and of what the first forward of one token takes more than the second.
void first_use(benchmark::State& state, weft::Load load) {
  const char* path = std::getenv("WEFT_BENCH_MODEL");
  if (!path) return state.SkipWithError("WEFT_BENCH_MODEL names no model");
  const std::array<weft::TokenId, 1> token{1};
  double loading = 0, first = 0, second = 0;
  for (auto _ : state) {
    const double begin = now();
    const weft::CausalLM model = weft::load_causal_lm(path, {.load = load, .tokenizer = false});
    const double loaded = now();
    weft::Session session(model);
    session.forward(token);
    const double used = now();
    session.forward(token);
    const double again = now() - used;
    state.SetIterationTime(used - begin - again);
    loading += loaded - begin;
    first += used - loaded;
    second += again;
  }
  const auto mean = [](double seconds) {
    return benchmark::Counter(1e3 * seconds, benchmark::Counter::kAvgIterations);
  };
  state.counters["load_ms"] = mean(loading);
  state.counters["first_forward_ms"] = mean(first);
  state.counters["second_forward_ms"] = mean(second);
}

BENCHMARK_CAPTURE(first_use, in_place, weft::Load::in_place)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(8);
BENCHMARK_CAPTURE(first_use, repack, weft::Load::repack)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
