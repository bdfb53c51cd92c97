// Tokens per second of the model that ships, prompt and generation, on one thread and on all.
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/generation/generator.hpp>
#include <weft/models/load.hpp>

namespace {

void prompt(benchmark::State& state) {
  const auto model =
      weft::load_causal_lm(WEFT_MODELS_DIR "/tales", {.threads = static_cast<std::size_t>(state.range(0))});
  weft::Session session(model);
  const std::vector<weft::TokenId> ids(256, 300);
  for (auto _ : state) {
    session.truncate(0);
    session.forward(ids);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * static_cast<std::int64_t>(ids.size()));
}
BENCHMARK(prompt)->Arg(1)->Arg(0)->ArgName("threads")->UseRealTime()->Unit(benchmark::kMillisecond);

void generation(benchmark::State& state) {
  const auto model =
      weft::load_causal_lm(WEFT_MODELS_DIR "/tales", {.threads = static_cast<std::size_t>(state.range(0))});
  weft::Generator generate(model, {.temperature = 0.8f, .top_p = 0.95f, .seed = 7});
  std::size_t tokens = 0;
  for (auto _ : state) {
    weft::Generation generation = generate("Once upon a time", {.max_new_tokens = 200, .stop_at_eos = false});
    for (std::string_view piece : generation) benchmark::DoNotOptimize(piece);
    tokens += generation.tokens().size();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(tokens));
}
BENCHMARK(generation)->Arg(1)->Arg(0)->ArgName("threads")->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
