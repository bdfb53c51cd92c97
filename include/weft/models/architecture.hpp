#pragma once

#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/transformer_block.hpp>
#include <weft/models/decoder_config.hpp>
#include <weft/models/tensor_table.hpp>

namespace weft::inline v0 {

/// All weights of a decoder.
struct DecoderWeights {
  AnyTensor embedding;  // (vocab, hidden)
  std::vector<DecoderLayerWeights> layers;
  Tensor<float, 1> final_norm{};  // (hidden)
  AnyTensor output;               // (vocab, hidden); the embedding where they are tied

  void resize(const DecoderConfig& config) { layers.resize(config.layers); }
};

/// A family of decoders.
using DecoderArchitecture = Architecture<DecoderWeights, DecoderConfig>;
using DecoderRow = DecoderArchitecture::Row;

}  // namespace weft::inline v0
