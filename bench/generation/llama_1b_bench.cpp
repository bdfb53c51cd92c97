// Prompt processing and decoding of the Llama-3.2-1B shape with random weights of several types, as a share of what the
// machine can do: the peak of its bfloat16 or int8 dot products and its read bandwidth, measured before and after every
// timed run.
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/models/causal_lm.hpp>
#include <weft/models/session.hpp>

#include "../machine.hpp"
#include "../random_llama.hpp"

namespace {

/// The Llama-3.2-1B shape; one model at a time is kept.
const weft::CausalLM& model(weft::DType dtype) {
  static std::optional<weft::CausalLM> made;
  static weft::DType made_of;
  if (made && made_of == dtype) return *made;
  made.reset();
  made.emplace(bench::random_llama(bench::llama_1b(), dtype, 2));
  made_of = dtype;
  return *made;
}

/// Floating-point operations of the layers' matrix products per token (the output head is computed once a prompt).
double flops_per_token(const weft::DecoderConfig& c) {
  const std::size_t per_layer = c.hidden * (2 * c.query() + 2 * c.key_value() + 3 * c.intermediate);
  return 2.0 * static_cast<double>(c.layers * per_layer);
}

void prompt(benchmark::State& state, weft::DType dtype) {
  const auto tokens = static_cast<std::size_t>(state.range(0));
  const weft::CausalLM& llama = model(dtype);
  const weft::DType products = dtype == weft::DType::bf16 ? dtype : weft::DType::i8;
  weft::Session session(llama, {.context = 4096, .cache = weft::DType::bf16});
  std::vector<weft::TokenId> ids(tokens);
  for (std::size_t i = 0; i < tokens; ++i) ids[i] = static_cast<weft::TokenId>(i * 37 % 128256);
  session.forward(ids);
  std::vector<double> shares, rates;
  for (auto _ : state) {
    session.truncate(0);
    const double before = bench::peak_flops(llama.executor(), products);
    const double begin = bench::now();
    session.forward(ids);
    const double seconds = bench::now() - begin;
    const double after = bench::peak_flops(llama.executor(), products);
    state.SetIterationTime(seconds);
    const double rate = static_cast<double>(tokens) / seconds;
    rates.push_back(rate);
    shares.push_back(rate * flops_per_token(llama.config()) / (0.5 * (before + after)));
  }
  state.counters["tokens/s"] = bench::median(rates);
  state.counters["of_peak_%"] = 100.0 * bench::median(shares);
}

void decode(benchmark::State& state, weft::DType dtype) {
  static const bench::ReadBandwidth memory;
  const auto held = static_cast<std::size_t>(state.range(0));
  const weft::CausalLM& llama = model(dtype);
  weft::Session session(llama, {.context = 8192, .cache = weft::DType::f16});
  std::vector<weft::TokenId> ids(held, 1);
  session.forward(ids);
  constexpr std::size_t steps = 16;
  std::vector<double> shares, rates;
  const weft::DecoderConfig& c = llama.config();
  for (auto _ : state) {
    session.truncate(held);
    const double before = memory.measure(llama.executor());
    const double begin = bench::now();
    for (std::size_t i = 0; i < steps; ++i) {
      const weft::TokenId id = 5;
      session.forward(std::span(&id, 1));
    }
    const double seconds = bench::now() - begin;
    const double after = memory.measure(llama.executor());
    state.SetIterationTime(seconds);
    const double bytes =
        static_cast<double>(llama.weight_bytes()) + static_cast<double>(2 * 2 * c.layers * c.key_value() * held);
    rates.push_back(steps / seconds);
    shares.push_back(steps * bytes / seconds / (0.5 * (before + after)));
  }
  state.counters["tokens/s"] = bench::median(rates);
  state.counters["of_bandwidth_%"] = 100.0 * bench::median(shares);
}

const bool registered = [] {
  for (const weft::DType dtype : {weft::DType::bf16, weft::DType::q8_0, weft::DType::q4_0, weft::DType::q4_k,
                                  weft::DType::q5_0, weft::DType::q5_k, weft::DType::q6_k}) {
    const std::string suffix = "/" + std::string(weft::name(dtype));
    const auto add = [&](const std::string& name, void (*run)(benchmark::State&, weft::DType),
                         std::initializer_list<std::int64_t> arguments) {
      auto* made = benchmark::RegisterBenchmark((name + suffix).c_str(), run, dtype);
      for (const std::int64_t argument : arguments) made->Arg(argument);
      made->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(4.0);
    };
    add("prompt", prompt, {32, 128, 512, 2048});
    add("decode", decode, {16, 1024, 4096});
  }
  return true;
}();

}  // namespace
