#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>

namespace weft::inline v0 {

/// Weights as bitsandbytes stores those of LLM.int8():
///
///   weight (out, in) i8: q
///   SCB (out) f32: the largest magnitude s of every row
///   weight_format, a u8, optional: 0, row by row
///
/// The weight is q * s / 127 in float32, computed as bitsandbytes' int8_vectorwise_dequant does. (Its layers look for
/// activations of large magnitude and round the others to 8 bits; here no activation is rounded.)
class Bnb8BitMatrix final : public QuantizedMatrix {
 public:
  /// Throws FormatError where a tensor is missing or of a wrong type or shape, UnsupportedError for another order.
  explicit Bnb8BitMatrix(const StoredLayer& layer) : Bnb8BitMatrix(layer, layer.matrix(".weight", {DType::i8})) {}

  AnyTensor read() const override {
    constexpr float one_127th = 7.874015718698502e-3f;
    const std::span<const std::int8_t> values = weight_.elements<std::int8_t>();
    const std::span<const float> scales = scales_.elements<float>();
    return of_rows([&](std::size_t r, std::span<float> to) {
      for (std::size_t c = 0; c < to.size(); ++c)
        to[c] = static_cast<float>(values[r * columns() + c]) * scales[r] * one_127th;
    });
  }

 private:
  Bnb8BitMatrix(const StoredLayer& layer, const AnyTensor& weight)
      : QuantizedMatrix(weight.extent(0), weight.extent(1), DType::f32),
        weight_(weight),
        scales_(layer.tensor(".SCB", {DType::f32}, {rows()})) {
    if (!layer.contains(".weight_format")) return;
    const AnyTensor format = layer.tensor(".weight_format", {DType::u8});
    if (format.size() != 1) layer.wrong_shape(".weight_format", format, "one element");
    if (format.elements<std::uint8_t>()[0] != 0)
      raise<UnsupportedError>(layer.where(".weight_format"), ": the order ", int{format.elements<std::uint8_t>()[0]},
                              " is not supported (0, row by row)");
  }

  AnyTensor weight_;
  AnyTensor scales_;
};

/// Weights as bitsandbytes stores those of 4 bits (NF4, FP4):
///
///   weight, ceil(out * in / 2) bytes of any element type: two elements in a byte, the first in the upper bits
///   weight.quant_map (16) f32: the value of every element, m
///   weight.absmax f32: for every `blocksize` elements of the flat matrix the largest magnitude a
///   weight.quant_state.bitsandbytes__nf4 or __fp4: a JSON text with the shape, the blocksize and the type of the
///   weight
///
/// The weight is m * a in float32, rounded to the type that the JSON names. With double quantisation absmax is u8, and
/// a is nested_quant_map[absmax] * n + nested_offset, n in nested_absmax for every `nested_blocksize` of them.
/// (bitsandbytes, functional.py: QuantState, dequantize_4bit.)
class Bnb4BitMatrix final : public QuantizedMatrix {
 public:
  /// mark: the name of the JSON text. Throws FormatError where it or a tensor is missing, malformed or of a wrong type
  /// or shape.
  Bnb4BitMatrix(const StoredLayer& layer, std::string_view mark) : Bnb4BitMatrix(layer, read_state(layer, mark)) {}

  AnyTensor read() const override {
    const std::vector<float> absmax = read_absmax();
    const std::span<const float> map = map_.elements<float>();
    return of_rows([&](std::size_t r, std::span<float> to) {
      std::size_t index = r * columns();
      for (float& value : to) {
        const auto pair = std::to_integer<std::size_t>(weight_.bytes()[index / 2]);
        value = map[index % 2 ? pair & 15 : pair >> 4] * absmax[index / blocksize_];
        ++index;
      }
    });
  }

 private:
  static Json read_state(const StoredLayer& layer, std::string_view mark) {
    const AnyTensor text = layer.tensor(mark, {DType::u8});
    const auto* begin = reinterpret_cast<const char*>(text.bytes().data());
    const Json state = parse_json({begin, text.bytes().size()}, layer.where(mark), {.max_depth = 2});
    detail::check_keys(
        state, {"quant_type", "blocksize", "dtype", "shape", "nested_blocksize", "nested_dtype", "nested_offset"});
    const Json& shape = state.at("shape");
    if (shape.as_array().size() != 2)
      raise<FormatError>(shape.location(), ": expected 2 extents, found ", shape.size());
    const Json& type = state.at("quant_type");
    if (!mark.ends_with(type.as_string()) || type.as_string().size() != 3)
      raise<FormatError>(type.location(), ": found \"", type.as_string(), "\", the name of the tensor says \"",
                         mark.substr(mark.size() - 3), "\"");
    return state;
  }
  static DType read_dtype(const Json& name) {
    for (const auto& [known, dtype] :
         {std::pair{"float32", DType::f32}, std::pair{"float16", DType::f16}, std::pair{"bfloat16", DType::bf16}})
      if (name.as_string() == known) return dtype;
    raise<FormatError>(name.location(), ": expected float32, float16 or bfloat16, found \"", name.as_string(), "\"");
  }

  Bnb4BitMatrix(const StoredLayer& layer, const Json& state)
      : QuantizedMatrix(detail::positive(state.at("shape").at(0)), detail::positive(state.at("shape").at(1)),
                        read_dtype(state.at("dtype"))),
        blocksize_(detail::positive(state.at("blocksize"))),
        weight_(layer.tensor(".weight")),
        map_(layer.tensor(".weight.quant_map", {DType::f32}, {16})) {
    const std::size_t elements = shape().elements();
    if (weight_.bytes().size() != detail::blocks_of(elements, 2))
      raise<FormatError>(layer.where(".weight"), " has ", weight_.bytes().size(), " bytes, expected ",
                         detail::blocks_of(elements, 2), " for the shape ", to_string(shape()));
    const std::size_t blocks = detail::blocks_of(elements, blocksize_);
    const bool nested = layer.contains(".weight.nested_absmax");
    absmax_ = layer.tensor(".weight.absmax", {nested ? DType::u8 : DType::f32}, {blocks});
    if (!nested) return;
    nested_blocksize_ = detail::positive(state.at("nested_blocksize"));
    nested_offset_ = static_cast<float>(state.at("nested_offset").as_double());
    nested_absmax_ =
        layer.tensor(".weight.nested_absmax", {DType::f32}, {detail::blocks_of(blocks, nested_blocksize_)});
    nested_map_ = layer.tensor(".weight.nested_quant_map", {DType::f32}, {256});
  }

  std::vector<float> read_absmax() const {
    if (!nested_absmax_) return detail::to_floats(absmax_);
    const std::span<const std::uint8_t> values = absmax_.elements<std::uint8_t>();
    const std::span<const float> absmax = nested_absmax_.elements<float>();
    const std::span<const float> map = nested_map_.elements<float>();
    std::vector<float> floats(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      // The product in double is exact: rounded to float before the sum, whatever the compiler contracts.
      const double product = double{map[values[i]]} * double{absmax[i / nested_blocksize_]};
      floats[i] = static_cast<float>(product) + nested_offset_;
    }
    return floats;
  }

  std::size_t blocksize_;
  AnyTensor weight_;
  AnyTensor map_;
  AnyTensor absmax_;
  std::size_t nested_blocksize_ = 0;
  float nested_offset_ = 0.f;
  AnyTensor nested_absmax_;
  AnyTensor nested_map_;
};

/// Reads a quantization_config of method "bitsandbytes". Throws UnsupportedError for keys that are not understood.
inline QuantizedFormat read_bitsandbytes(const Json& config) {
  // What is quantised, and how, is said by the tensors themselves.
  detail::check_keys(
      config, {"quant_method", "load_in_8bit", "load_in_4bit", "_load_in_8bit", "_load_in_4bit", "llm_int8_threshold",
               "llm_int8_skip_modules", "llm_int8_enable_fp32_cpu_offload", "bnb_4bit_compute_dtype",
               "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "bnb_4bit_quant_storage"});
  static constexpr std::string_view nf4 = ".weight.quant_state.bitsandbytes__nf4";
  static constexpr std::string_view fp4 = ".weight.quant_state.bitsandbytes__fp4";
  return {.marks = {".SCB", nf4, fp4},
          .parts = {".weight", ".weight_format", ".weight.absmax", ".weight.quant_map", ".weight.nested_absmax",
                    ".weight.nested_quant_map"},
          .open = [](const StoredLayer& layer) -> std::unique_ptr<const QuantizedMatrix> {
            if (layer.contains(".SCB")) return std::make_unique<const Bnb8BitMatrix>(layer);
            return std::make_unique<const Bnb4BitMatrix>(layer, layer.contains(nf4) ? nf4 : fp4);
          }};
}

}  // namespace weft::inline v0
