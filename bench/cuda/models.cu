// The speed of whole models with random weights.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <weft/cuda/models/device_session.cuh>

#include "measure.hpp"
#include "timing.cuh"

namespace bench {
namespace {

using weft::AnyTensor;
using weft::DType;
using weft::half;
using weft::TokenId;

/// Random weights of about 0.01 in host memory, (rows, k), which layers share there.
AnyTensor random_matrix(DType dtype, std::size_t rows, std::size_t k) {
  return AnyTensor::make(dtype, {rows, k}, [&](std::span<std::byte> bytes) {
    std::uint64_t state = rows * 31 + k;
    for (std::size_t i = 0; i + 4 <= bytes.size(); i += 4) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      auto bits = static_cast<std::uint32_t>(state >> 32);
      if (dtype == DType::f16) bits = (bits & 0x83ff83ffu) | 0x20002000u;
      std::memcpy(&bytes[i], &bits, sizeof bits);
    }
    if (dtype == DType::f16) return;
    // Blocks begin with their scale: 2^-13 for codes of eight bits, 2^-9 for those of four.
    const std::uint16_t scale = dtype == DType::q8_0 ? 0x0800 : 0x1800;
    const std::size_t block = weft::bytes_of(dtype, weft::block_elements(dtype));
    for (std::size_t i = 0; i < bytes.size(); i += block) std::memcpy(&bytes[i], &scale, sizeof scale);
  });
}

weft::CausalLM random_llama(const Llama& s, DType dtype, std::size_t context) {
  weft::CausalLM::Parts parts;
  weft::DecoderConfig& c = parts.config;
  c.vocab = s.vocab;
  c.hidden = s.hidden;
  c.intermediate = s.intermediate;
  c.layers = s.layers;
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  c.context = context;
  c.norm_eps = 1e-5f;
  c.rope = {.theta = 500000.f};
  c.tied_embeddings = s.tied;
  weft::Tensor<float, 1> gain({s.hidden});
  std::fill_n(gain.data(), gain.size(), 1.f);
  weft::DecoderLayerWeights layer;
  layer.attention_norm.gain = gain;
  layer.mlp_norm.gain = gain;
  layer.attention.q = random_matrix(dtype, s.query(), s.hidden);
  layer.attention.k = random_matrix(dtype, s.key_value(), s.hidden);
  layer.attention.v = random_matrix(dtype, s.key_value(), s.hidden);
  layer.attention.o = random_matrix(dtype, s.hidden, s.query());
  layer.mlp.gate = random_matrix(dtype, s.intermediate, s.hidden);
  layer.mlp.up = random_matrix(dtype, s.intermediate, s.hidden);
  layer.mlp.down = random_matrix(dtype, s.hidden, s.intermediate);
  weft::DecoderWeights& w = parts.weights;
  w.embedding = random_matrix(dtype, s.vocab, s.hidden);
  w.output = w.embedding;
  w.final_norm.gain = gain;
  w.layers.assign(s.layers, layer);
  return weft::CausalLM(std::move(parts));
}

std::vector<TokenId> random_tokens(std::size_t count, std::size_t vocab) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < count; ++i) ids.push_back(static_cast<TokenId>((i * 7919 + 13) % vocab));
  return ids;
}

/// Seconds that `work` takes, which waits for the device.
template <class Work>
double wall_seconds(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// Tokens a second, each drawn on the device and brought to the host before the next one begins.
Found measure_decode(const Llama& s, DType dtype, std::size_t count, const Roofs& roofs) {
  constexpr std::size_t rounds = 5;
  const std::size_t prompt = 16;
  const std::size_t context = prompt + (rounds + 1) * count;
  weft::cuda::DeviceSession<half> session(weft::cuda::DeviceCausalLM<half>(random_llama(s, dtype, context)),
                                          {.context = context});
  session.set_sampling({.temperature = 0.f});
  TokenId next = session.draw(random_tokens(prompt, s.vocab)).id;
  const auto decode = [&] {
    for (std::size_t i = 0; i < count; ++i) next = session.draw({&next, 1}).id;
  };
  decode();
  std::vector<double> speeds;
  for (std::size_t round = 0; round < rounds; ++round)
    speeds.push_back(static_cast<double>(count) / wall_seconds(decode));
  const double speed = median(speeds);
  return {speed, share_of(speed * bytes_per_token(s, dtype), roofs.bytes_per_second)};
}

/// Seconds that cuBLASLt takes for all products of a prompt's layers.
double seconds_of_products(const Llama& s, std::size_t tokens) {
  const weft::cuda::Stream stream;
  weft::cuda::MatmulPlans plans(stream);
  double sum = 0.0;
  for (const Product& p : products_of_layer(s)) {
    const auto x = random_tensor<half, 2>({tokens, p.k}, stream);
    const auto weight = random_tensor<half, 2>({p.rows, p.k}, stream);
    weft::cuda::DeviceTensor<half, 2> y({tokens, p.rows}, stream);
    sum += seconds(stream, 8, [&](int) { plans.matmul(x, weight.view().transpose(0, 1), nullptr, y, stream); });
  }
  return sum * static_cast<double>(s.layers);
}

Found measure_prompt(const Llama& s, std::size_t tokens) {
  const double products = seconds_of_products(s, tokens);
  weft::cuda::DeviceSession<half> session(weft::cuda::DeviceCausalLM<half>(random_llama(s, DType::f16, tokens)),
                                          {.context = tokens, .chunk = tokens});
  const std::vector<TokenId> prompt = random_tokens(tokens, s.vocab);
  const auto run = [&] {
    session.truncate(0);
    session.forward(prompt);
  };
  run();
  std::vector<double> rounds;
  for (int round = 0; round < 5; ++round) rounds.push_back(wall_seconds(run));
  const double took = median(rounds);
  return {static_cast<double>(tokens) / took, products / took};
}

}  // namespace

std::vector<Line> model_lines(const Sizes& sizes, const Roofs& roofs) {
  const auto decode = [&](const Llama& s, DType dtype, double least_share) {
    return Line{weft::detail::concat("decode, ", s.name, " in ", weft::name(dtype), ", batch 1"),
                "tokens/s",
                "the stream",
                {.least_share = least_share},
                [=, &roofs, count = sizes.tokens_per_round] { return measure_decode(s, dtype, count, roofs); }};
  };
  return {decode(sizes.large, DType::f16, 0.90),
          decode(sizes.small, DType::f16, 0.75),
          decode(sizes.large, DType::q8_0, 0.80),
          decode(sizes.large, DType::q4_0, 0.65),
          {"prompt of 4096 tokens, 8B in f16",
           "tokens/s",
           "its products by cuBLASLt",
           {.least_share = 0.85},
           [s = sizes.large, tokens = sizes.prompt_tokens] { return measure_prompt(s, tokens); }}};
}

}  // namespace bench
