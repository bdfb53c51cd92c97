#include <weft/formats/gguf.hpp>

#include <optional>
#include <string_view>

#include <weft/formats/gguf_config.hpp>
#include <weft/tokenizers/gguf_tokenizer.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  weft_fuzz::run([&] {
    const weft_fuzz::MemoryFile memory(weft_fuzz::text_of(data, size));
    const weft::GgufFile file(memory.path());
    const auto tensor = [&](std::string_view name) {
      return file.contains(name) ? std::optional(file.tensor(name)) : std::nullopt;
    };
    weft_fuzz::run([&] { weft::gguf_config(file, tensor); });
    weft_fuzz::run([&] { weft::gguf_generation_config(file); });
    weft_fuzz::run([&] {
      if (const auto vocabulary = weft::read_gguf_vocabulary(file)) weft::make_gguf_tokenizer(*vocabulary);
    });
  });
  return weft_fuzz::read_weights<weft::GgufFile>(weft_fuzz::text_of(data, size));
}
