#include <weft/formats/json.hpp>
#include <weft/models/adapter_config.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    const weft::LoraConfig config(weft::parse_json(weft_fuzz::text_of(data, size), "adapter_config.json"));
    for (const char* module : {"lm_head", "model.layers.0.self_attn.q_proj", "model.layers.11.mlp.experts.3.up_proj"}) {
      static_cast<void>(config.targets(module));
      static_cast<void>(config.saves(module));
      static_cast<void>(config.scale(module));
    }
  });
}
