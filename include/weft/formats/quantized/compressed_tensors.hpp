#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/quantized/fp8.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>
#include <weft/formats/quantized/scaled_matrix.hpp>

namespace weft::inline v0 {

/// The weights of one group of layers in a quantization_config of compressed-tensors.
struct CompressedScheme {
  enum class Strategy : unsigned char { tensor, channel, group, block };

  std::size_t bits;
  bool floating;   ///< 8-bit floats, otherwise signed integers
  bool symmetric;  ///< no zero points
  Strategy strategy;
  ScaleBlock block;  ///< of Strategy::block; columns alone of Strategy::group

  ScaleBlock block_of(std::size_t rows, std::size_t columns) const noexcept {
    switch (strategy) {
      case Strategy::tensor: return {rows, columns};
      case Strategy::channel: return {1, columns};
      case Strategy::group: return {1, block.columns};
      default: return block;
    }
  }
};

/// Weights that compressed-tensors stores as "pack-quantized":
///
///   weight_packed (out, ceil(in * bits / 32)) i32: the integers q + 2^(bits-1), the first in the lowest bits
///   weight_shape (2) i64 or i32: (out, in)
///   weight_scale (out, groups), (out, 1) or (1): s
///   weight_zero_point (ceil(out * bits / 32), groups) i32, where not symmetric: z, packed as q along the outputs; or,
///                     in older files and of whole matrices, i8 of the shape of the scales: z
///   weight_g_idx (in) i32, optional: the group of every input; all -1: groups lie one after the other
///
/// The weight is (q - z) * s in the type of the scales. (compressed-tensors, compressors/pack_quantized.)
class PackedMatrix final : public QuantizedMatrix {
 public:
  /// Throws FormatError where a tensor is missing or of a wrong type or shape.
  PackedMatrix(const StoredLayer& layer, const CompressedScheme& scheme)
      : PackedMatrix(layer, scheme, read_shape(layer), layer.tensor(".weight_scale", detail::scale_types)) {}

  /// Throws FormatError where an input is in no group.
  AnyTensor read() const override {
    const std::vector<float> scales = detail::to_floats(scales_);
    const std::vector<std::size_t> group_of = input_groups_.read();
    const std::span<const std::int32_t> words = packed_.elements<std::int32_t>();
    const std::size_t per_word = 32 / bits_;
    const std::uint32_t mask = (1u << bits_) - 1;
    struct Group {
      float scale;
      std::int32_t zero;
    };
    std::vector<Group> of_row(groups_, Group{scales[0], middle()});
    return of_rows([&](std::size_t r, std::span<float> to) {
      for (std::size_t g = 0; g < groups_; ++g) {
        if (scales.size() > 1) of_row[g].scale = scales[r * groups_ + g];
        if (zeros_) of_row[g].zero = zero_point(r, g);
      }
      for (std::size_t c = 0; c < to.size();) {
        auto word = static_cast<std::uint32_t>(words[r * packed_.extent(1) + c / per_word]);
        for (const std::size_t end = std::min(c + per_word, to.size()); c < end; ++c, word >>= bits_) {
          const Group& group = of_row[group_of[c]];
          to[c] = static_cast<float>(static_cast<std::int32_t>(word & mask) - group.zero) * group.scale;
        }
      }
    });
  }

 private:
  /// (out, in), which is nothing but what the packed words can hold.
  static Shape read_shape(const StoredLayer& layer) {
    const AnyTensor stored = layer.tensor(".weight_shape", {DType::i64, DType::i32}, {2});
    Shape shape;
    visit_among<std::int32_t, std::int64_t>(stored.dtype(), "weight_shape", [&]<class T>(std::type_identity<T>) {
      for (const T extent : stored.elements<T>()) {
        if (extent < 1) raise<FormatError>(layer.where(".weight_shape"), ": found the extent ", extent);
        shape.push_back(static_cast<std::size_t>(extent));
      }
    });
    return shape;
  }

  PackedMatrix(const StoredLayer& layer, const CompressedScheme& scheme, const Shape& shape, const AnyTensor& scales)
      : QuantizedMatrix(shape[0], shape[1], scales.dtype()), bits_(scheme.bits), scales_(scales) {
    const std::size_t per_word = 32 / bits_;
    packed_ = layer.tensor(".weight_packed", {DType::i32}, {rows(), detail::blocks_of(columns(), per_word)});
    const ScaleBlock block = scheme.block_of(rows(), columns());
    groups_ = detail::blocks_of(columns(), block.columns);
    if (columns() % block.columns != 0)
      raise<FormatError>(layer.where(".weight_packed"), ": ", columns(), " inputs are not whole groups of ",
                         block.columns);
    if (scheme.strategy == CompressedScheme::Strategy::tensor) {
      if (scales.size() != 1) layer.wrong_shape(".weight_scale", scales, "one element");
    } else if (scales.shape() != Shape{rows(), groups_}) {
      layer.wrong_shape(".weight_scale", scales, to_string(Shape{rows(), groups_}));
    }
    input_groups_ = {layer, ".weight_g_idx", columns(), block.columns, groups_};
    if (scheme.symmetric) return;
    zeros_ = layer.tensor(".weight_zero_point", {DType::i32, DType::i8});
    const bool packed = zeros_.dtype() == DType::i32;
    const Shape expected = packed ? Shape{detail::blocks_of(rows(), per_word), groups_} : scales.shape();
    if (zeros_.shape() != expected) layer.wrong_shape(".weight_zero_point", zeros_, to_string(expected));
  }

  /// What is added to integers before they are packed.
  std::int32_t middle() const noexcept { return 1 << (bits_ - 1); }

  /// With what is added to it.
  std::int32_t zero_point(std::size_t r, std::size_t g) const {
    if (zeros_.dtype() == DType::i8)
      return zeros_.elements<std::int8_t>()[zeros_.size() == 1 ? 0 : r * groups_ + g] + middle();
    const std::size_t per_word = 32 / bits_;
    const auto word = static_cast<std::uint32_t>(zeros_.elements<std::int32_t>()[r / per_word * groups_ + g]);
    return static_cast<std::int32_t>(word >> (r % per_word * bits_) & ((1u << bits_) - 1));
  }

  std::size_t bits_;
  AnyTensor packed_;
  AnyTensor scales_;
  AnyTensor zeros_;
  detail::InputGroups input_groups_;
  std::size_t groups_ = 0;
};

namespace detail {

/// The "weights" of a group: QuantizationArgs of compressed-tensors.
inline CompressedScheme read_compressed_scheme(const Json& weights) {
  using Strategy = CompressedScheme::Strategy;
  check_keys(weights, {"num_bits", "type", "symmetric", "strategy", "group_size", "block_structure",
                       // how the integers were found
                       "dynamic", "actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"});
  const std::string_view type = weights.get_or("type", "int");
  CompressedScheme scheme{.bits = weights.get_or("num_bits", std::size_t{8}),
                          .floating = type == "float",
                          .symmetric = weights.get_or("symmetric", true),
                          .strategy = Strategy::tensor,
                          .block = {1, 1}};
  const bool known = scheme.floating ? scheme.bits == 8 : scheme.bits == 2 || scheme.bits == 4 || scheme.bits == 8;
  if ((type != "int" && !scheme.floating) || !known)
    raise<UnsupportedError>(weights.location(), ": weights of type \"", type, "\" and ", scheme.bits,
                            " bits are not supported (int of 2, 4, 8, float of 8)");
  const std::int64_t group_size = weights.get_or("group_size", std::int64_t{0});
  const std::string_view strategy = weights.get_or("strategy", group_size > 0   ? "group"
                                                               : group_size < 0 ? "channel"
                                                                                : "tensor");
  if (strategy == "channel") {
    scheme.strategy = Strategy::channel;
  } else if (strategy == "group") {
    scheme.strategy = Strategy::group;
    scheme.block.columns = positive(weights.at("group_size"));
  } else if (strategy == "block") {
    scheme.strategy = Strategy::block;
    scheme.block = read_scale_block(weights.at("block_structure"));
  } else if (strategy != "tensor") {
    raise<UnsupportedError>(weights.location(), ": the strategy \"", strategy,
                            "\" is not supported (tensor, channel, group, block)");
  }
  return scheme;
}

inline void check_compressed_format(const Json& format) {
  const std::string_view name = format.as_string();
  if (name != "pack-quantized" && name != "int-quantized" && name != "naive-quantized" && name != "float-quantized")
    raise<UnsupportedError>(format.location(), ": the format \"", name,
                            "\" is not supported (pack-quantized, int-quantized, naive-quantized, float-quantized)");
}

inline std::unique_ptr<const QuantizedMatrix> open_compressed(const StoredLayer& layer,
                                                              const CompressedScheme& scheme) {
  if (layer.contains(".weight_packed") && !scheme.floating) {
    if (layer.contains(".weight")) raise<FormatError>(layer.where(".weight"), " is beside a packed weight");
    return std::make_unique<const PackedMatrix>(layer, scheme);
  }
  const AnyTensor weight =
      scheme.floating ? layer.matrix(".weight", {DType::f8_e4m3}) : layer.matrix(".weight", {DType::i8});
  const ScaleBlock block = scheme.block_of(weight.extent(0), weight.extent(1));
  return std::make_unique<const ScaledMatrix>(
      layer, weight, ScaledParts{".weight_scale", ".weight_zero_point", ".weight_g_idx"}, block);
}

/// Which layers a group is for is said by names and patterns; what a layer stores fits the scheme that it was stored by
/// and, where it fits others too, means the same by them.
inline std::unique_ptr<const QuantizedMatrix> open_compressed(const StoredLayer& layer,
                                                              std::span<const CompressedScheme> schemes) {
  for (const CompressedScheme& scheme : schemes.first(schemes.size() - 1)) {
    try {
      return open_compressed(layer, scheme);
    } catch (const FormatError&) {
    }
  }
  return open_compressed(layer, schemes.back());
}

}  // namespace detail

/// Reads a quantization_config of method "compressed-tensors": integers of 2, 4 or 8 bits packed, of 8 bits apart, and
/// f8_e4m3, with scales for the matrix, for rows, for groups of inputs or for blocks. Which layers are quantised is
/// said by their tensors, which is what the lists of targets and ignored layers come to. Activations and caches, which
/// others round by what the checkpoint says, are not rounded. Throws UnsupportedError for other formats and for keys
/// that are not understood, FormatError for what is malformed.
inline QuantizedFormat read_compressed_tensors(const Json& config) {
  detail::check_keys(config, {"quant_method", "config_groups", "format", "quantization_status", "ignore", "version",
                              "global_compression_ratio", "kv_cache_scheme"});
  const Json* format = config.given("format");
  if (format && format->as_string() != "mixed-precision") detail::check_compressed_format(*format);
  std::vector<CompressedScheme> schemes;
  for (const Json& group : config.at("config_groups").as_object()) {
    detail::check_keys(group, {"targets", "weights", "input_activations", "output_activations", "format"});
    if (const Json* own = group.given("format")) detail::check_compressed_format(*own);
    if (const Json* weights = group.given("weights")) schemes.push_back(detail::read_compressed_scheme(*weights));
  }
  if (schemes.empty()) raise<UnsupportedError>(config.at("config_groups").location(), ": no weights are quantised");
  return {.marks = {".weight_packed", ".weight_scale"},
          .parts = {".weight", ".weight_shape", ".weight_zero_point", ".weight_g_idx", ".input_scale",
                    ".input_zero_point", ".output_scale", ".output_zero_point"},
          .ignored = {".k_scale", ".v_scale", ".q_scale"},
          .open = [schemes = std::move(schemes)](const StoredLayer& layer) {
            return detail::open_compressed(layer, schemes);
          }};
}

}  // namespace weft::inline v0
