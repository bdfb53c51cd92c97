// One measurement of a Llama in a GGUF file, for compare.sh: prints what is done per second, and its share of what the
// machine can do, measured before and after: the peak of int8 or bfloat16 dot products for prompts, the read bandwidth
// for the decode of weights beyond every cache (otherwise nan).
//
//   bench_compare_llama FILE prompt TOKENS
//   bench_compare_llama FILE decode TOKENS CONTEXT     CONTEXT: tokens in the cache before the first
//   bench_compare_llama FILE batch TOKENS SEQUENCES    TOKENS of each sequence, after a prompt of 64
//   bench_compare_llama FILE first                     weights in place; ends after the first token, prints nothing
#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <weft/models/batch.hpp>
#include <weft/models/load.hpp>
#include <weft/models/session.hpp>

#include "../machine.hpp"

namespace {

using weft::TokenId;

struct Measured {
  double rate;
  double share = std::numeric_limits<double>::quiet_NaN();
};

double seconds_of(const std::function<void()>& work) {
  const double begin = bench::now();
  work();
  return bench::now() - begin;
}

Measured prompt(const weft::CausalLM& model, std::size_t tokens) {
  const weft::DecoderConfig& c = model.config();
  weft::Session session(model, {.context = tokens + 16, .cache = weft::DType::bf16});
  const std::vector<TokenId> ids(tokens, 1);
  session.forward(ids);  // warm: pages, caches, workspaces
  session.truncate(0);
  const weft::DType type = model.weights().layers[0].mlp.up.dtype();
  const weft::DType products = type == weft::DType::bf16 ? type : weft::DType::i8;
  const double before = bench::peak_flops(model.executor(), products);
  const double rate = static_cast<double>(tokens) / seconds_of([&] { session.forward(ids); });
  const double after = bench::peak_flops(model.executor(), products);
  const double flops =
      2.0 * static_cast<double>(c.layers * c.hidden * (2 * c.query() + 2 * c.key_value() + 3 * c.intermediate));
  return {rate, rate * flops / (0.5 * (before + after))};
}

Measured decode(const weft::CausalLM& model, std::size_t tokens, std::size_t held) {
  const weft::DecoderConfig& c = model.config();
  weft::Session session(model, {.context = tokens + held + 16, .cache = weft::DType::bf16});
  const std::vector<TokenId> ids(held + 1, 1);
  session.forward(ids);
  session.truncate(held);
  const auto steps = [&] {
    for (std::size_t i = 0; i < tokens; ++i) session.forward(std::span(ids).first(1));
  };
  const auto bytes = static_cast<double>(model.weight_bytes() + 4 * c.layers * c.key_value() * held);
  if (bytes < 3e8) return {static_cast<double>(tokens) / seconds_of(steps)};
  const bench::ReadBandwidth memory;
  const double before = memory.measure(model.executor());
  const double rate = static_cast<double>(tokens) / seconds_of(steps);
  const double after = memory.measure(model.executor());
  return {rate, rate * bytes / (0.5 * (before + after))};
}

Measured batch(const weft::CausalLM& model, std::size_t tokens, std::size_t sequences) {
  std::vector<weft::Session> sessions;
  const std::vector<TokenId> ids(64, 1);
  for (std::size_t i = 0; i < sequences; ++i)
    sessions.emplace_back(model, weft::SessionOptions{.context = tokens + 80, .cache = weft::DType::bf16}).forward(ids);
  std::vector<weft::BatchEntry> entries;
  for (weft::Session& session : sessions) entries.push_back({&session, std::span(ids).first(1)});
  weft::Batch together(model, {});
  together.forward(entries);
  const double seconds = seconds_of([&] {
    for (std::size_t i = 0; i < tokens; ++i) together.forward(entries);
  });
  return {static_cast<double>(tokens * sequences) / seconds};
}

Measured measure(const weft::CausalLM& model, const std::vector<std::string>& arguments) {
  const std::string& kind = arguments.at(1);
  const auto number = [&](std::size_t i) { return static_cast<std::size_t>(std::stoul(arguments.at(i))); };
  if (kind == "prompt") return prompt(model, number(2));
  if (kind == "decode") return decode(model, number(2), number(3));
  if (kind == "batch") return batch(model, number(2), number(3));
  throw weft::ConfigError("the kinds are prompt, decode, batch and first, found \"" + kind + "\"");
}

}  // namespace

int main(int count, char** values) {
  try {
    const std::vector<std::string> arguments(values + 1, values + count);
    const bool first = arguments.at(1) == "first";
    const weft::Load load = first ? weft::Load::in_place : weft::Load::repack;
    const weft::CausalLM model = weft::load_causal_lm(arguments.at(0), {.load = load, .threads = 2});
    if (first) {
      weft::Session session(model, {.context = 512});
      const TokenId id = 1;
      bench::keep(session.forward(std::span(&id, 1)).data());
      return 0;
    }
    const Measured measured = measure(model, arguments);
    std::printf("%.3f %.4f\n", measured.rate, measured.share);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_compare_llama: %s\n", error.what());
    return 1;
  }
}
