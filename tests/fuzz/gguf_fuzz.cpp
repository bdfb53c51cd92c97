#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_config.hpp>
#include <weft/tokenizers/gguf_tokenizer.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    const weft::GgufFile file(weft_fuzz::source_of(data, size));
    weft_fuzz::read_weights(file);
    weft_fuzz::run([&] {
      weft::gguf_config(file, [&](std::string_view name) {
        return file.contains(name) ? std::optional(file.tensor(name)) : std::nullopt;
      });
    });
    weft_fuzz::run([&] { weft::gguf_generation_config(file); });
    if (const auto vocabulary = weft::read_gguf_vocabulary(file)) {
      const auto tokenizer = weft::make_gguf_tokenizer(*vocabulary);
      static_cast<void>(tokenizer->decode(tokenizer->encode("Hello, world!  It's 1234 o'clock.\n")));
    }
  });
}
