#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/transformer_block.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/decoder_config.hpp>

namespace weft::inline v0 {

/// All weights of a decoder.
struct DecoderWeights {
  AnyTensor embedding;  // (vocab, hidden)
  std::vector<DecoderLayerWeights> layers;
  Tensor<float, 1> final_norm{};  // (hidden)
  AnyTensor output;               // (vocab, hidden); the embedding where they are tied
};

/// The symbolic extents of the tensor table.
enum class Dim : unsigned char { vocab, hidden, intermediate, query, key_value };

constexpr std::size_t extent_of(Dim dim, const DecoderConfig& config) noexcept {
  switch (dim) {
    case Dim::vocab: return config.vocab;
    case Dim::hidden: return config.hidden;
    case Dim::intermediate: return config.intermediate;
    case Dim::query: return config.query();
    case Dim::key_value: return config.key_value();
  }
  return 0;
}

/// One row of a family's tensor table: what a checkpoint must hold, and where it goes. Matrices stay as they are in the
/// file; vectors become float.
struct TensorRow {
  using ModelMatrix = AnyTensor& (*)(DecoderWeights&);
  using ModelVector = Tensor<float, 1>& (*)(DecoderWeights&);
  using LayerMatrix = AnyTensor& (*)(DecoderLayerWeights&);
  using LayerVector = Tensor<float, 1>& (*)(DecoderLayerWeights&);

  std::string_view name;  ///< as Hugging Face names it; "{}" stands for the layer number
  std::variant<ModelMatrix, ModelVector, LayerMatrix, LayerVector> slot;
  Dim rows;
  Dim columns = Dim::hidden;                        ///< of matrices
  bool (*present)(const DecoderConfig&) = nullptr;  ///< null: in every checkpoint of the family
  bool lookup = false;                              ///< a table whose rows are looked up, not multiplied

  bool per_layer() const noexcept { return slot.index() >= 2; }
  bool matrix() const noexcept { return slot.index() % 2 == 0; }
};

/// A family of decoders as data: how its config.json is read and which tensors it has. The executor is the same for
/// all.
struct DecoderArchitecture {
  std::string_view model_type;                  ///< config.json's "model_type"
  DecoderConfig (*read_config)(ConfigReader&);  ///< reads every key that matters; unknown ones are found after it
  std::span<const TensorRow> tensors;
  std::span<const std::string_view> ignored_keys;     ///< config keys that do not change inference
  std::span<const std::string_view> ignored_tensors;  ///< names (with "{}") that a checkpoint may hold and nobody needs
};

}  // namespace weft::inline v0
