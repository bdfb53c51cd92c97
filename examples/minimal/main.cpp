// The shortest program that writes a story: ./minimal [checkpoint directory]
#include <iostream>
#include <weft/weft.hpp>

int main(int argc, char** argv) try {
  auto model = weft::load_causal_lm(argc > 1 ? argv[1] : "examples/models/tales");
  weft::Generator generate(model, {.temperature = 0.8f, .top_p = 0.95f, .seed = 7});
  for (std::string_view piece : generate("Once upon a time", {.max_new_tokens = 200})) std::cout << piece << std::flush;
  std::cout << '\n';
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
