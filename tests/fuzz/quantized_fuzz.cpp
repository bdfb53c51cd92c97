#include <weft/formats/json.hpp>
#include <weft/formats/quantized/quantized_weights.hpp>
#include <weft/formats/safetensors.hpp>

#include <memory>

#include "fuzz.hpp"

namespace {

// What configurations say; the tensors of the file are those of any of the formats.
constexpr const char* configs[] = {
    R"({"quant_method": "gptq", "bits": 4, "group_size": 32})",
    R"({"quant_method": "gptq", "bits": 8, "group_size": -1, "checkpoint_format": "gptq_v2"})",
    R"({"quant_method": "gptq", "bits": 2, "group_size": 16})",
    R"({"quant_method": "awq", "bits": 4, "group_size": 32})",
    R"({"quant_method": "bitsandbytes"})",
    R"({"quant_method": "fp8", "weight_block_size": [40, 24]})",
    R"({"quant_method": "compressed-tensors", "config_groups": {
         "a": {"weights": {"num_bits": 4, "strategy": "group", "group_size": 32}},
         "b": {"weights": {"num_bits": 4, "strategy": "group", "group_size": 16, "symmetric": false}},
         "c": {"weights": {"num_bits": 8, "strategy": "channel"}},
         "d": {"weights": {"num_bits": 8, "strategy": "tensor", "symmetric": false}},
         "e": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}},
         "f": {"weights": {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [40, 24]}}}})"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    const auto file = std::make_shared<const weft::SafetensorsFile>(weft_fuzz::source_of(data, size));
    for (const char* config : configs)
      weft_fuzz::run([&] {
        const weft::QuantizedWeights weights(weft::StoredTensors("input", {file}),
                                             weft::read_quantized_format(weft::parse_json(config, "config.json")));
        weft_fuzz::read_weights(weights);
      });
  });
}
