// One measurement of a Llama shape with random weights, for compare.sh: prints tokens per second.
//
//   bench_compare_llama SHAPE TYPE prompt TOKENS
//   bench_compare_llama SHAPE TYPE decode TOKENS CONTEXT
//
// SHAPE: 1b, 110m or 15m. TYPE: bf16, q8_0, q4_0, ... CONTEXT: tokens in the cache before the first.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/models/session.hpp>

#include "../machine.hpp"
#include "../random_llama.hpp"

namespace {

weft::DecoderConfig shape_named(std::string_view name) {
  if (name == "1b") return bench::llama_1b();
  if (name == "110m") return bench::stories_110m();
  if (name == "15m") return bench::stories_15m();
  throw weft::ConfigError("the shapes are 1b, 110m and 15m, found \"" + std::string(name) + "\"");
}

double tokens_per_second(const std::vector<std::string>& arguments) {
  const weft::DecoderConfig shape = shape_named(arguments.at(0));
  const weft::CausalLM model = bench::random_llama(shape, weft::dtype_named(arguments.at(1)), 2);
  const std::size_t tokens = std::stoul(arguments.at(3));
  const bool prompt = arguments.at(2) == "prompt";
  const std::size_t held = prompt ? 0 : std::stoul(arguments.at(4));
  weft::Session session(model, {.context = std::min(shape.context, tokens + held + 16), .cache = weft::DType::bf16});
  std::vector<weft::TokenId> ids(prompt ? tokens : held + 1, 1);
  session.forward(ids);  // warm: pages, caches, workspaces
  if (prompt) {
    session.truncate(0);
    const double begin = bench::now();
    session.forward(ids);
    return static_cast<double>(tokens) / (bench::now() - begin);
  }
  session.truncate(held);
  const double begin = bench::now();
  for (std::size_t i = 0; i < tokens; ++i) session.forward(std::span(ids).first(1));
  return static_cast<double>(tokens) / (bench::now() - begin);
}

}  // namespace

int main(int count, char** values) {
  try {
    std::printf("%.3f\n", tokens_per_second({values + 1, values + count}));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_compare_llama: %s\n", error.what());
    return 1;
  }
}
