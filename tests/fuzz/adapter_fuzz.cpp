#include <weft/formats/gguf.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/models/adapter_config.hpp>
#include <weft/models/load.hpp>
#include <weft/models/load_adapter.hpp>

#include <memory>
#include <vector>

#include "fuzz.hpp"

namespace {

// What configurations say; the tensors of the file are those of any adapter.
constexpr const char* configs[] = {
    R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": "all-linear", "bias": "all"})",
    R"({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "use_dora": true,
        "modules_to_save": ["embed_tokens", "lm_head", "norm"]})",
    R"({"peft_type": "LORA", "r": 2, "lora_alpha": 1, "target_modules": ".*layers.0.*", "lora_bias": true,
        "bias": "lora_only", "use_rslora": true, "rank_pattern": {"k_proj": 3}, "alpha_pattern": {"v_proj": 2}})"};

const weft::CausalLM& model() {
  static const weft::CausalLM loaded =
      weft::load_causal_lm(WEFT_TESTS_DIR "/fixtures/models/llama-gqa", {.threads = 1});
  return loaded;
}

void read_config(const weft::Json& json) {
  const weft::LoraConfig config(json);
  for (const char* module : {"lm_head", "model.layers.0.self_attn.q_proj", "model.layers.11.mlp.experts.3.up_proj"}) {
    static_cast<void>(config.targets(module));
    static_cast<void>(config.saves(module));
    static_cast<void>(config.scale(module));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    const weft::Source source = weft_fuzz::source_of(data, size);
    if (weft_fuzz::text_of(data, size).starts_with('{'))
      return read_config(weft::parse_json(weft_fuzz::text_of(data, size), "adapter_config.json"));
    if (weft::is_gguf_file(source)) {
      static_cast<void>(weft::detail::read_gguf_adapter(model(), weft::GgufFile(source)));
      return;
    }
    const auto file = std::make_shared<const weft::SafetensorsFile>(source);
    for (const char* config : configs)
      weft_fuzz::run([&] {
        weft::detail::PeftAdapterReader(model(), weft::LoraConfig(weft::parse_json(config, "adapter_config.json")),
                                        file)
            .read();
      });
  });
}
