#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>
#include <weft/formats/quantized/scaled_matrix.hpp>

namespace weft::inline v0 {

namespace detail {

/// A block size as [rows, columns].
inline ScaleBlock read_scale_block(const Json& value) {
  if (value.as_array().size() != 2) raise<FormatError>(value.location(), ": expected 2 numbers, found ", value.size());
  return {positive(value.at(0)), positive(value.at(1))};
}

/// weight (out, in) f8_e4m3 or f8_e5m2, with weight_scale_inv for every block, or weight_scale for the matrix or for
/// every row.
inline std::unique_ptr<const QuantizedMatrix> open_fp8(const StoredLayer& layer,
                                                       const std::optional<ScaleBlock>& block) {
  const AnyTensor weight = layer.matrix(".weight", {DType::f8_e4m3, DType::f8_e5m2});
  const bool in_blocks = layer.contains(".weight_scale_inv");
  const std::string_view name = in_blocks ? ".weight_scale_inv" : ".weight_scale";
  ScaleBlock of_scale{weight.extent(0), weight.extent(1)};
  if (in_blocks && block) {
    of_scale = *block;
  } else if (layer.tensor(name).size() != 1) {
    of_scale.rows = 1;
  }
  return std::make_unique<const ScaledMatrix>(layer, weight, ScaledParts{name}, of_scale);
}

}  // namespace detail

/// Reads a quantization_config of method "fp8" (blocks as DeepSeek has them, or one scale for a matrix) or "fbgemm_fp8"
/// (one for every row): the weight is the stored number times its scale. Activations, which others round to 8 bits by
/// what the checkpoint says, are not rounded. Throws UnsupportedError for keys that are not understood.
/// (transformers, integrations/finegrained_fp8.py and fbgemm_fp8.py.)
inline QuantizedFormat read_fp8(const Json& config) {
  detail::check_keys(config, {"quant_method", "weight_block_size", "fmt", "scale_fmt", "activation_scheme",
                              "activation_scale_ub", "modules_to_not_convert", "ignored_layers", "kv_cache_scheme"});
  std::optional<ScaleBlock> block;
  if (const Json* size = config.given("weight_block_size")) block = detail::read_scale_block(*size);
  return {.marks = {".weight_scale_inv", ".weight_scale"},
          .parts = {".weight", ".input_scale", ".activation_scale", ".input_scale_ub"},
          .ignored = {".k_scale", ".v_scale", ".kv_scale"},
          .open = [block](const StoredLayer& layer) { return detail::open_fp8(layer, block); }};
}

}  // namespace weft::inline v0
