// decode ISA TYPE: a prompt of 32 tokens and 8 more of the shipped model on one thread, for callgrind, which counts the
// instructions of decode_steps() alone.
#include <iostream>
#include <string_view>
#include <vector>

#include <weft/models/load.hpp>
#include <weft/models/session.hpp>

extern "C" WEFT_NO_INLINE float decode_steps(weft::Session& session) {
  float last = 0.f;
  for (weft::TokenId id = 40; id < 48; ++id) last += session.forward(std::span(&id, 1))[0];
  return last;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto isa = std::string_view(argv[1]) == "avx2" ? weft::cpu::Isa::avx2 : weft::cpu::Isa::generic;
  if (!weft::cpu::supported(isa)) return 77;
  const weft::CausalLM model =
      weft::load_causal_lm(WEFT_MODELS_DIR "/tales", {.weights = weft::dtype_named(argv[2]),
                                                      .threads = 1,
                                                      .tokenizer = false,
                                                      .kernels = &weft::cpu::kernels_for(isa)});
  weft::Session session(model);
  std::vector<weft::TokenId> prompt(32);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<weft::TokenId>(100 + 7 * i);
  session.forward(prompt);
  std::cout << decode_steps(session) << "\n";
}
