#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>

namespace weft::inline v0 {

/// What a quantization_config says of weights that GPTQ made.
struct GptqOptions {
  std::size_t bits;                       ///< 2, 4 or 8
  std::optional<std::size_t> group_size;  ///< inputs that share a scale; empty: all of them
  bool zeros_less_one;                    ///< zero points are stored less 1: "gptq", not "gptq_v2"
};

/// Weights as AutoGPTQ and GPTQModel store them:
///
///   qweight (in * bits / 32, out) i32: the integers q of 32 / bits inputs in a word, the first in the lowest bits
///   qzeros (groups, out * bits / 32) i32: the zero points z of 32 / bits outputs in a word, likewise
///   scales (groups, out) f16, bf16 or f32: s
///   g_idx (in) i32, optional: the group of every input; without it groups lie one after the other
///
/// The weight is (q - z) * s in the type of the scales. (GPTQModel, nn_modules/qlinear/torch.py.) Zero points that are
/// stored less 1 are raised word by word, carries included, which undoes how they were lowered.
class GptqMatrix final : public QuantizedMatrix {
 public:
  /// Throws FormatError where a tensor is missing or of a wrong type or shape.
  GptqMatrix(const StoredLayer& layer, const GptqOptions& options)
      : GptqMatrix(layer, options, layer.matrix(".qweight", {DType::i32}),
                   layer.matrix(".scales", detail::scale_types)) {}

  /// Throws FormatError where an input is in no group.
  AnyTensor read() const override {
    const std::vector<std::size_t> group_of = input_groups_.read();
    const std::vector<float> scales = detail::to_floats(scales_);
    const std::span<const std::int32_t> words = qweight_.elements<std::int32_t>();
    const std::span<const std::int32_t> zero_words = qzeros_.elements<std::int32_t>();
    const std::size_t groups = scales_.extent(0);
    const std::size_t per_word = 32 / options_.bits;
    const std::uint32_t mask = (1u << options_.bits) - 1;
    const std::uint32_t one_in_each = options_.zeros_less_one ? ~0u / mask : 0;
    struct Group {
      float scale;
      std::int32_t zero;
    };
    std::vector<Group> of_row(groups);
    return of_rows([&](std::size_t r, std::span<float> to) {
      for (std::size_t g = 0; g < groups; ++g) {
        const std::uint32_t word =
            static_cast<std::uint32_t>(zero_words[g * qzeros_.extent(1) + r / per_word]) + one_in_each;
        of_row[g] = {scales[g * rows() + r], static_cast<std::int32_t>(word >> (r % per_word * options_.bits) & mask)};
      }
      for (std::size_t c = 0; c < to.size();) {
        auto word = static_cast<std::uint32_t>(words[c / per_word * rows() + r]);
        for (const std::size_t end = c + per_word; c < end; ++c, word >>= options_.bits) {
          const Group& group = of_row[group_of[c]];
          to[c] = static_cast<float>(static_cast<std::int32_t>(word & mask) - group.zero) * group.scale;
        }
      }
    });
  }

 private:
  GptqMatrix(const StoredLayer& layer, const GptqOptions& options, const AnyTensor& qweight, const AnyTensor& scales)
      : QuantizedMatrix(qweight.extent(1), detail::checked_product(qweight.extent(0), 32 / options.bits),
                        scales.dtype()),
        options_(options),
        qweight_(qweight),
        scales_(scales) {
    const std::size_t groups = options.group_size ? detail::blocks_of(columns(), *options.group_size) : 1;
    if (scales.shape() != Shape{groups, rows()}) layer.wrong_shape(".scales", scales, to_string(Shape{groups, rows()}));
    qzeros_ = layer.tensor(".qzeros", {DType::i32}, {groups, detail::blocks_of(rows(), 32 / options.bits)});
    input_groups_ = {layer, ".g_idx", columns(), options.group_size.value_or(columns()), groups};
  }

  GptqOptions options_;
  AnyTensor qweight_;
  AnyTensor scales_;
  AnyTensor qzeros_;
  detail::InputGroups input_groups_;
};

namespace detail {

/// The key group_size: -1 stands for all inputs.
inline std::optional<std::size_t> read_group_size(const Json& value) {
  return value.as_int() == -1 ? std::nullopt : std::optional(positive(value));
}

/// Overrides for single layers are understood where all they say is that a layer is not quantised.
inline void check_gptq_overrides(const Json& overrides) {
  for (const Json& override : overrides.as_object())
    if (!override.key().starts_with("-:"))
      raise<UnsupportedError>(override.location(), ": layers with options of their own are not supported");
}

}  // namespace detail

/// Reads a quantization_config of method "gptq", or a quantize_config.json. Throws UnsupportedError for other widths
/// and packings and for keys that are not understood, FormatError for what is malformed.
inline QuantizedFormat read_gptq(const Json& config) {
  detail::check_keys(config, {"bits", "group_size", "checkpoint_format", "format", "pack_dtype", "dynamic",
                              // how the integers were found
                              "quant_method", "method", "desc_act", "sym", "static_groups", "true_sequential",
                              "damp_percent", "damp_auto_increment", "mse", "act_group_aware", "hyb_act",
                              "offload_to_disk", "failsafe", "meta", "quantizer", "dataset", "tokenizer", "batch_size",
                              "pad_token_id", "model_seqlen", "max_input_length", "cache_block_outputs",
                              // which layers were quantised, and what ran them
                              "lm_head", "block_name_to_quantize", "module_name_preceding_first_block",
                              "modules_in_block_to_quantize", "model_name_or_path", "model_file_base_name", "backend",
                              "use_cuda_fp16", "use_exllama", "disable_exllama", "exllama_config"});
  const Json& bits = config.at("bits");
  if (bits.as_int() != 2 && bits.as_int() != 4 && bits.as_int() != 8)
    raise<UnsupportedError>(bits.location(), ": GPTQ weights of ", bits.as_int(), " bits are not supported (2, 4, 8)");
  std::string_view format = "gptq";
  for (const char* key : {"format", "checkpoint_format"})
    if (const Json* value = config.given(key)) {
      format = value->as_string();
      if (format != "gptq" && format != "gptq_v2")
        raise<UnsupportedError>(value->location(), ": the format \"", format, "\" is not supported (gptq, gptq_v2)");
    }
  if (const Json* type = config.given("pack_dtype"); type && type->as_string() != "int32")
    raise<UnsupportedError>(type->location(), ": integers packed in ", type->as_string(), " are not supported (int32)");
  if (const Json* overrides = config.given("dynamic")) detail::check_gptq_overrides(*overrides);
  const GptqOptions options{.bits = bits.as_size(),
                            .group_size = detail::read_group_size(config.at("group_size")),
                            .zeros_less_one = format == "gptq"};
  return {.marks = {".qweight"},
          .parts = {".qzeros", ".scales", ".g_idx"},
          .open = [options](const StoredLayer& layer) { return std::make_unique<const GptqMatrix>(layer, options); }};
}

}  // namespace weft::inline v0
