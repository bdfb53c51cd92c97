// One token from the logits of a vocabulary of 128256 tokens (Llama 3), log-probability included: every kind of
// sampling, for logits as flat as they come (standard deviation 1), for peaked ones (3), and for those of a sentence
// that leaves few choices (0: standard deviation 2, and 100 tokens above, of which the i-th is i^-2 times as likely as
// the first).

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/sampling/chain.hpp>

namespace {

constexpr std::size_t vocab = 128256;

std::vector<float> some_logits(std::int64_t deviation) {
  weft::Philox rng(1);
  std::vector<float> logits(vocab);
  for (float& x : logits)
    x = static_cast<float>(weft::normal_double(rng) * static_cast<double>(deviation == 0 ? 2 : deviation));
  for (int i = 1; deviation == 0 && i <= 100; ++i) logits[rng() % vocab] = 20.f - 2.f * std::log(static_cast<float>(i));
  return logits;
}

void sample(benchmark::State& state, const weft::SamplingParams& params) {
  const std::vector<float> logits = some_logits(state.range(0));
  weft::Sampler sampler(params, vocab);
  for (auto _ : state) benchmark::DoNotOptimize(sampler(logits));
  state.SetItemsProcessed(state.iterations());
}

// The time that reading the logits once takes, and the exponentials alone: what the rest is to be compared with.
void read_logits(benchmark::State& state) {
  const std::vector<float> logits = some_logits(state.range(0));
  const weft::cpu::SamplingKernels& kernels = weft::cpu::best_sampling_kernels();
  for (auto _ : state) benchmark::DoNotOptimize(kernels.largest(logits.data(), vocab, nullptr));
}
void exponentials(benchmark::State& state) {
  const std::vector<float> logits = some_logits(state.range(0));
  const weft::cpu::SamplingKernels& kernels = weft::cpu::best_sampling_kernels();
  const float max = kernels.largest(logits.data(), vocab, nullptr).value;
  for (auto _ : state) benchmark::DoNotOptimize(kernels.weigh(logits.data(), vocab, max, 1.f, nullptr));
}

void sample_top_p_of_probabilities(benchmark::State& state) {
  std::vector<float> probabilities = some_logits(state.range(0));
  const weft::cpu::SamplingKernels& kernels = weft::cpu::best_sampling_kernels();
  const float max = kernels.largest(probabilities.data(), vocab, nullptr).value;
  kernels.weigh(probabilities.data(), vocab, max, 1.f, probabilities.data());
  weft::Philox rng(2);
  for (auto _ : state) benchmark::DoNotOptimize(weft::sample_top_p(probabilities, 0.9f, rng));
}

#define WEFT_BENCH(name, ...)                                        \
  BENCHMARK_CAPTURE(sample, name, weft::SamplingParams{__VA_ARGS__}) \
      ->Arg(0)                                                       \
      ->Arg(1)                                                       \
      ->Arg(3)                                                       \
      ->Unit(benchmark::kMicrosecond)

BENCHMARK(read_logits)->Arg(1)->Unit(benchmark::kMicrosecond);
BENCHMARK(exponentials)->Arg(1)->Unit(benchmark::kMicrosecond);
WEFT_BENCH(greedy, .temperature = 0.f);
WEFT_BENCH(temperature_1, .temperature = 1.f);
WEFT_BENCH(temperature, .temperature = 0.8f);
WEFT_BENCH(top_k_40, .top_k = 40);
WEFT_BENCH(top_k_2000, .top_k = 2000);
WEFT_BENCH(top_p, .top_p = 0.9f);
WEFT_BENCH(min_p, .min_p = 0.05f);
WEFT_BENCH(temperature_top_p, .temperature = 0.8f, .top_p = 0.95f);
WEFT_BENCH(temperature_top_k_top_p, .temperature = 0.8f, .top_k = 50, .top_p = 0.9f);
BENCHMARK(sample_top_p_of_probabilities)->Arg(0)->Arg(1)->Arg(3)->Unit(benchmark::kMicrosecond);

}  // namespace
