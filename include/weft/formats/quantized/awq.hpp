#pragma once

#include <algorithm>
#include <array>
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
#include <weft/formats/quantized/gptq.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>

namespace weft::inline v0 {

/// Weights as AutoAWQ stores them in its "gemm" version:
///
///   qweight (in, out / 8) i32: the integers q of 8 outputs in a word; output 0 in the lowest four bits, then 2, 4, 6,
///                              1, 3, 5, 7
///   qzeros (groups, out / 8) i32: the zero points z, likewise
///   scales (groups, out) f16, bf16 or f32: s
///
/// The weight is (q - z) * s in the type of the scales. (AutoAWQ, awq/utils/packing_utils.py.)
class AwqMatrix final : public QuantizedMatrix {
 public:
  /// group_size: inputs that share a scale; empty: all of them. Throws FormatError where a tensor is missing or of a
  /// wrong type or shape.
  AwqMatrix(const StoredLayer& layer, std::optional<std::size_t> group_size)
      : AwqMatrix(layer, group_size, layer.matrix(".qweight", {DType::i32})) {}

  AnyTensor read() const override {
    constexpr std::array<unsigned, 8> shifts{0, 16, 4, 20, 8, 24, 12, 28};
    const std::vector<float> scales = detail::to_floats(scales_);
    const std::span<const std::int32_t> words = qweight_.elements<std::int32_t>();
    const std::span<const std::int32_t> zero_words = qzeros_.elements<std::int32_t>();
    const std::size_t row_words = qweight_.extent(1);
    const auto value = [&](std::int32_t word, std::size_t r) {
      return static_cast<std::int32_t>(static_cast<std::uint32_t>(word) >> shifts[r % 8] & 15u);
    };
    std::vector<std::int32_t> words_of_row(columns());  // the same for 8 rows
    return of_rows([&](std::size_t r, std::span<float> to) {
      if (r % 8 == 0)
        for (std::size_t c = 0; c < to.size(); ++c) words_of_row[c] = words[c * row_words + r / 8];
      for (std::size_t g = 0, c = 0; c < to.size(); ++g) {
        const float scale = scales[g * rows() + r];
        const std::int32_t zero = value(zero_words[g * row_words + r / 8], r);
        for (const std::size_t end = c + std::min(group_size_, to.size() - c); c < end; ++c)
          to[c] = static_cast<float>(value(words_of_row[c], r) - zero) * scale;
      }
    });
  }

 private:
  AwqMatrix(const StoredLayer& layer, std::optional<std::size_t> group_size, const AnyTensor& qweight)
      : QuantizedMatrix(detail::checked_product(qweight.extent(1), 8), qweight.extent(0),
                        layer.tensor(".scales", detail::scale_types).dtype()),
        group_size_(group_size.value_or(columns())),
        qweight_(qweight) {
    const std::size_t groups = detail::blocks_of(columns(), group_size_);
    scales_ = layer.tensor(".scales", detail::scale_types, {groups, rows()});
    qzeros_ = layer.tensor(".qzeros", {DType::i32}, {groups, qweight.extent(1)});
  }

  std::size_t group_size_;
  AnyTensor qweight_;
  AnyTensor scales_;
  AnyTensor qzeros_;
};

/// Reads a quantization_config of method "awq". Throws UnsupportedError for other versions and widths and for keys that
/// are not understood, FormatError for what is malformed.
inline QuantizedFormat read_awq(const Json& config) {
  detail::check_keys(config, {"bits", "w_bit", "group_size", "q_group_size", "zero_point", "version", "format",
                              // which layers were quantised, how, and what ran them
                              "quant_method", "modules_to_not_convert", "backend", "sym", "desc_act", "do_fuse",
                              "fuse_max_seq_len", "modules_to_fuse", "exllama_config"});
  const auto either = [&](const char* key, const char* other) -> const Json& {
    return config.given(key) ? config.at(key) : config.at(other);
  };
  const Json& bits = either("w_bit", "bits");
  if (bits.as_int() != 4)
    raise<UnsupportedError>(bits.location(), ": AWQ weights of ", bits.as_int(), " bits are not supported (4)");
  if (!config.get_or("zero_point", true))
    raise<UnsupportedError>(config.at("zero_point").location(), ": AWQ without zero points is not supported");
  for (const char* key : {"version", "format"})
    if (const Json* value = config.given(key); value && value->as_string() != "gemm" && value->as_string() != "GEMM")
      raise<UnsupportedError>(value->location(), ": the version \"", value->as_string(), "\" is not supported (gemm)");
  const std::optional<std::size_t> group_size = detail::read_group_size(either("q_group_size", "group_size"));
  return {.marks = {".qweight"}, .parts = {".qzeros", ".scales"}, .open = [group_size](const StoredLayer& layer) {
            return std::make_unique<const AwqMatrix>(layer, group_size);
          }};
}

}  // namespace weft::inline v0
