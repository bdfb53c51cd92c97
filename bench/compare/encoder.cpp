// Times an encoder for onnxruntime.py: every line on the standard input asks for one pass over a batch on two threads,
// and is answered with its seconds.
//
//   bench_compare_encoder CHECKPOINT TYPE BATCH TOKENS OUT
//
// TYPE: f32, bf16, ... Token i of the batch is 1 + 37 * i % (vocab - 1). OUT: where the last hidden states of a first
// pass are written, as floats (BATCH * TOKENS, hidden).
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include <weft/models/encoder_pass.hpp>
#include <weft/models/load_encoder.hpp>

#include "../machine.hpp"

namespace {

void answer(const std::vector<std::string>& arguments) {
  const weft::Encoder model = weft::load_encoder(
      arguments.at(0), {.weights = weft::dtype_named(arguments.at(1)), .threads = 2, .tokenizer = false});
  const std::size_t batch = std::stoul(arguments.at(2));
  const std::size_t tokens = std::stoul(arguments.at(3));
  std::vector<weft::TokenId> ids(batch * tokens);
  for (std::size_t i = 0; i < ids.size(); ++i)
    ids[i] = static_cast<weft::TokenId>(1 + 37 * i % (model.config().vocab - 1));
  std::vector<weft::EncoderInput> inputs(batch);
  for (std::size_t i = 0; i < batch; ++i) inputs[i].tokens = std::span(ids).subspan(i * tokens, tokens);

  weft::EncoderPass pass(model);
  const auto bytes = std::as_bytes(std::span(pass.forward(inputs).data(), ids.size() * model.config().hidden));
  std::ofstream(arguments.at(4), std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  for (std::string line; std::getline(std::cin, line);) {
    const double begin = bench::now();
    pass.forward(inputs);
    std::cout << bench::now() - begin << std::endl;
  }
}

}  // namespace

int main(int count, char** values) {
  try {
    answer({values + 1, values + count});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_compare_encoder: %s\n", error.what());
    return 1;
  }
}
