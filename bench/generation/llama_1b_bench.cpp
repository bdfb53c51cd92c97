// Prompt processing and decoding of the Llama-3.2-1B shape with random bfloat16 weights, as a share of what the machine
// can do: the peak of its bfloat16 dot products and its read bandwidth, measured before and after every timed run.
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/models/causal_lm.hpp>
#include <weft/models/session.hpp>

#include "../machine.hpp"

namespace {

weft::AnyTensor random_matrix(std::size_t rows, std::size_t columns, std::uint64_t& state) {
  return weft::AnyTensor::make(weft::DType::bf16, {rows, columns}, [&](std::span<std::byte> bytes) {
    auto* to = reinterpret_cast<std::uint16_t*>(bytes.data());
    for (std::size_t i = 0; i < rows * columns; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      // A random sign and mantissa, magnitudes between 2^-7 and 2^-6.
      to[i] = static_cast<std::uint16_t>(((state >> 33) & 0x807fu) | 0x3c00u);
    }
  });
}

weft::Tensor<float, 1> ones(std::size_t n) {
  weft::Tensor<float, 1> result({n});
  for (float& value : result.elements()) value = 1.f;
  return result;
}

const weft::CausalLM& model() {
  static const weft::CausalLM made = [] {
    weft::CausalLM::Parts parts{.model_type = "llama", .source = "random Llama-3.2-1B"};
    weft::DecoderConfig& c = parts.config;
    c.vocab = 128256;
    c.hidden = 2048;
    c.intermediate = 8192;
    c.layers = 16;
    c.heads = 32;
    c.kv_heads = 8;
    c.head_dim = 64;
    c.context = 8192;
    c.norm_eps = 1e-5f;
    c.rope = {.theta = 500000.f};
    c.tied_embeddings = true;
    std::uint64_t state = 7;
    parts.weights.embedding = random_matrix(c.vocab, c.hidden, state);
    parts.weights.output = parts.weights.embedding;
    parts.weights.final_norm = ones(c.hidden);
    for (std::size_t i = 0; i < c.layers; ++i) {
      weft::DecoderLayerWeights& layer = parts.weights.layers.emplace_back();
      layer.attention_norm = ones(c.hidden);
      layer.mlp_norm = ones(c.hidden);
      layer.attention.q = random_matrix(c.query(), c.hidden, state);
      layer.attention.k = random_matrix(c.key_value(), c.hidden, state);
      layer.attention.v = random_matrix(c.key_value(), c.hidden, state);
      layer.attention.o = random_matrix(c.hidden, c.query(), state);
      layer.mlp.gate = random_matrix(c.intermediate, c.hidden, state);
      layer.mlp.up = random_matrix(c.intermediate, c.hidden, state);
      layer.mlp.down = random_matrix(c.hidden, c.intermediate, state);
    }
    parts.executor = std::make_shared<weft::ThreadPool>(2);
    return weft::CausalLM(std::move(parts));
  }();
  return made;
}

/// Floating-point operations of the layers' matrix products per token (the output head is computed once a prompt).
double flops_per_token(const weft::DecoderConfig& c) {
  const std::size_t per_layer = c.hidden * (2 * c.query() + 2 * c.key_value() + 3 * c.intermediate);
  return 2.0 * static_cast<double>(c.layers * per_layer);
}

void prompt(benchmark::State& state) {
  const auto tokens = static_cast<std::size_t>(state.range(0));
  weft::Session session(model(), {.context = 4096});
  std::vector<weft::TokenId> ids(tokens);
  for (std::size_t i = 0; i < tokens; ++i) ids[i] = static_cast<weft::TokenId>(i * 37 % 128256);
  session.forward(ids);
  std::vector<double> shares, rates;
  for (auto _ : state) {
    session.truncate(0);
    const double before = bench::peak_flops(model().executor(), weft::DType::bf16);
    const double begin = bench::now();
    session.forward(ids);
    const double seconds = bench::now() - begin;
    const double after = bench::peak_flops(model().executor(), weft::DType::bf16);
    state.SetIterationTime(seconds);
    const double rate = static_cast<double>(tokens) / seconds;
    rates.push_back(rate);
    shares.push_back(rate * flops_per_token(model().config()) / (0.5 * (before + after)));
  }
  state.counters["tokens/s"] = bench::median(rates);
  state.counters["of_peak_%"] = 100.0 * bench::median(shares);
}
BENCHMARK(prompt)->Arg(32)->Arg(128)->Arg(512)->Arg(2048)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(5.0);

void decode(benchmark::State& state) {
  static const bench::ReadBandwidth memory;
  const auto held = static_cast<std::size_t>(state.range(0));
  weft::Session session(model(), {.context = 8192, .cache = weft::DType::f16});
  std::vector<weft::TokenId> ids(held, 1);
  session.forward(ids);
  constexpr std::size_t steps = 16;
  std::vector<double> shares, rates;
  const weft::DecoderConfig& c = model().config();
  for (auto _ : state) {
    session.truncate(held);
    const double before = memory.measure(model().executor());
    const double begin = bench::now();
    for (std::size_t i = 0; i < steps; ++i) {
      const weft::TokenId id = 5;
      session.forward(std::span(&id, 1));
    }
    const double seconds = bench::now() - begin;
    const double after = memory.measure(model().executor());
    state.SetIterationTime(seconds);
    const double bytes =
        static_cast<double>(model().weight_bytes()) + static_cast<double>(2 * 2 * c.layers * c.key_value() * held);
    rates.push_back(steps / seconds);
    shares.push_back(steps * bytes / seconds / (0.5 * (before + after)));
  }
  state.counters["tokens/s"] = bench::median(rates);
  state.counters["of_bandwidth_%"] = 100.0 * bench::median(shares);
}
BENCHMARK(decode)->Arg(16)->Arg(1024)->Arg(4096)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(5.0);

}  // namespace
