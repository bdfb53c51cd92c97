#include <weft/formats/json.hpp>
#include <weft/formats/meta_checkpoint.hpp>
#include <weft/models/generation_config.hpp>
#include <weft/models/registry.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = [](const weft::Json& config) {
    const weft::DecoderArchitecture& architecture = weft::find_architecture(config);
    weft::ConfigReader reader(config);
    const weft::DecoderConfig decoder = architecture.read_config(reader);
    reader.finish(architecture.ignored_keys);
    static_cast<void>(weft::read_generation_config(config, &config, decoder.vocab));
  };
  return weft_fuzz::run([&] {
    const weft::Json config = weft::parse_json(weft_fuzz::text_of(data, size), "config.json");
    if (config.contains("model_type")) return read(config);
    read(weft::meta_config(config, 32000));
  });
}
