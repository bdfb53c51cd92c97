#include <weft/formats/json.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>
#include <weft/tokenizers/tokenizer_json.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    const weft::Json json = weft::parse_json(weft_fuzz::text_of(data, size), "tokenizer.json");
    const weft::PipelineTokenizer tokenizer(weft::read_tokenizer_json(json, {}));
    for (const char* text : {"", "Hello, world!  It's 1234 o'clock.\n",
                             "\xE4\xBD\xA0\xE5\xA5\xBD <s> e\xCC\x81\xF0\x9F\x98\x80", "\xFF\xC3 broken"})
      weft_fuzz::run([&] { static_cast<void>(tokenizer.decode(tokenizer.encode(text))); });
  });
}
