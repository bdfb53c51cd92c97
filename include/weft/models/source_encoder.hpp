#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/layers/cross_attention.hpp>
#include <weft/models/encoded_source.hpp>
#include <weft/models/encoder_pass.hpp>
#include <weft/models/seq2seq.hpp>

namespace weft::inline v0 {

/// Runs the first half of an encoder-decoder: makes of sources what sessions of its decoder attend to. Sources of
/// unequal length lie one after the other, without padding; each gets the bits that it would get alone. It belongs to
/// one thread at a time.
class SourceEncoder {
 public:
  /// cache: the element type of keys and values, as that of a Session. Throws UnsupportedError as KvCache does.
  explicit SourceEncoder(Seq2Seq model, DType cache = DType::f32)
      : model_(std::move(model)), pass_(model_.encoder()), cache_(cache) {
    static_cast<void>(KvCache(model_.decoder().config(), 0, cache_));
  }

  const Seq2Seq& model() const noexcept { return model_; }
  /// Called with the intermediates of the encoder in every later call; an empty tap ends that.
  void set_tap(Tap tap) { pass_.set_tap(std::move(tap)); }

  /// Runs the encoder over the sources, and makes of its output the keys and values of all cross-attention. Throws what
  /// EncoderPass::forward() does.
  std::vector<EncodedSource> encode(std::span<const EncoderInput> sources, const std::stop_token& stop = {}) {
    const TensorView<const float, 2> x = pass_.forward(sources, stop);
    const DecoderConfig& c = model_.decoder().config();
    std::vector<EncodedSource> encoded;
    std::vector<CachedSequence> caches;
    for (const PackedSequence& s : pass_.sequences()) {
      encoded.emplace_back(model_.decoder(), std::make_shared<const KvCache>(c, s.tokens, cache_), s.tokens);
      caches.push_back({.cache = {}, .begin = s.begin, .tokens = s.tokens, .position = 0});
    }
    if (encoded.empty()) return encoded;
    auto k = Tensor<float, 2>::uninitialised({x.extent(0), c.key_value()});
    auto v = Tensor<float, 2>::uninitialised({x.extent(0), c.key_value()});
    const Encoder& half = model_.encoder();
    const cpu::Context ctx{
        .kernels = &half.kernels(), .executor = &half.executor(), .workspace = &workspace_, .compute = half.compute()};
    for (std::size_t layer = 0; layer < c.layers; ++layer) {
      for (std::size_t i = 0; i < caches.size(); ++i) caches[i].cache = encoded[i].layer(layer);
      cross_keys_and_values(model_.decoder().weights().layers[layer].cross, caches, x, k, v, ctx);
    }
    return encoded;
  }
  /// The same for one source.
  EncodedSource encode(std::span<const TokenId> tokens, const std::stop_token& stop = {}) {
    const EncoderInput source{.tokens = tokens};
    return encode(std::span(&source, 1), stop)[0];
  }

  /// What the encoder made of the sources of the last call, (rows, hidden), and where each lies.
  TensorView<const float, 2> hidden() const { return pass_.hidden(); }
  std::span<const PackedSequence> sequences() const noexcept { return pass_.sequences(); }

 private:
  Seq2Seq model_;
  EncoderPass pass_;
  DType cache_;
  cpu::Workspace workspace_;
};

}  // namespace weft::inline v0
