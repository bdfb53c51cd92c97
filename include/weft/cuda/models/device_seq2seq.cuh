#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/cuda/layers/cached_sequences.cuh>
#include <weft/cuda/models/device_encoder_pass.cuh>
#include <weft/cuda/models/device_session.cuh>
#include <weft/models/seq2seq.hpp>

namespace weft::inline v0::cuda {

/// An encoder-decoder whose weights lie in device memory, a table of embeddings that both halves have once; see
/// DeviceCausalLM.
template <HalfStorage T = half>
class DeviceSeq2Seq {
 public:
  /// Copies the weights. Throws as DeviceCausalLM and DeviceEncoder do.
  explicit DeviceSeq2Seq(Seq2Seq model, cudaStream_t stream = {})
      : host_(checked(std::move(model))),
        decoder_(host_.decoder(), stream),
        encoder_(host_.encoder(), stream, shares_embedding(host_) ? decoder_.embedding() : nullptr) {}

  const Seq2Seq& host() const noexcept { return host_; }
  const DeviceCausalLM<T>& decoder() const noexcept { return decoder_; }
  const DeviceEncoder<T>& encoder() const noexcept { return encoder_; }
  int device() const noexcept { return decoder_.device(); }

  /// The device memory that the weights of a model take.
  static std::size_t bytes_for(const Seq2Seq& model) {
    const std::size_t both =
        DeviceEncoder<T>::bytes_for(model.encoder()) + DeviceCausalLM<T>::bytes_for(model.decoder());
    return shares_embedding(model) ? both - DeviceMatrix<T>::bytes_for(model.encoder().weights().embedding) : both;
  }

 private:
  static Seq2Seq checked(Seq2Seq model) {
    require_free_bytes("the model", bytes_for(model));
    return model;
  }
  static bool shares_embedding(const Seq2Seq& model) {
    const AnyTensor& e = model.encoder().weights().embedding;
    const AnyTensor& d = model.decoder().weights().embedding;
    return e.bytes().data() == d.bytes().data() && e.shape() == d.shape();
  }

  Seq2Seq host_;
  DeviceCausalLM<T> decoder_;
  DeviceEncoder<T> encoder_;
};

/// What weft::SourceEncoder is on the CPU: makes of sources what sessions of the decoder attend to, on the device. It
/// belongs to one thread at a time.
template <HalfStorage T = half>
class DeviceSourceEncoder {
 public:
  /// Throws as DeviceEncoderPass does.
  explicit DeviceSourceEncoder(const DeviceSeq2Seq<T>& model, const DeviceEncoderOptions& options = {})
      : DeviceSourceEncoder(model, options, DeviceScope(model.device())) {}
  DeviceSourceEncoder(const DeviceSourceEncoder&) = delete;
  DeviceSourceEncoder& operator=(const DeviceSourceEncoder&) = delete;

  const DeviceSeq2Seq<T>& device_model() const noexcept { return model_; }

  /// The device memory of such an encoder, without that of what it encodes.
  static std::size_t bytes_for(const Seq2Seq& model, std::size_t rows) {
    return DeviceEncoderPass<T>::bytes_for(model.encoder(), rows) + MatmulPlans::workspace_bytes +
           largest_blocks(model) * sizeof(T);
  }

  /// Runs the encoder over the sources, and makes of its output the keys and values of all cross-attention. Throws what
  /// DeviceEncoderPass::forward() does, and CudaError, before they are computed also where there is too little memory
  /// for them, with how much is missing.
  std::vector<DeviceEncodedSource<T>> encode(std::span<const EncoderInput> sources, const std::stop_token& stop = {}) {
    const DeviceScope scope(model_.device());
    const DecoderConfig& c = model_.decoder().config();
    std::size_t bytes = 0;
    for (const EncoderInput& source : sources) bytes += DeviceCache<T>::bytes_for(c, source.tokens.size());
    require_free_bytes("the sources", bytes);
    // They outlive the stream of this encoder: they are of none.
    std::vector<DeviceEncodedSource<T>> encoded;
    for (const EncoderInput& source : sources)
      encoded.push_back(std::make_shared<DeviceCache<T>>(c, source.tokens.size(), nullptr));
    check(cudaStreamSynchronize(nullptr), "cudaStreamSynchronize");
    std::size_t next = 0;
    pass_.run(sources, stop, [&](TensorView<T, 2> x) {
      for (std::size_t row = 0; row < x.extent(0); row += sources[next++].tokens.size())
        for (std::size_t i = 0; i < c.layers; ++i)
          cross_keys_and_values<T>(model_.decoder().weights().layers[i].cross,
                                   x.narrow(0, row, sources[next].tokens.size()), encoded[next]->layer(i),
                                   {products_, pass_.stream()});
    });
    check(cudaStreamSynchronize(pass_.stream()), "cudaStreamSynchronize");
    return encoded;
  }
  /// The same for one source.
  DeviceEncodedSource<T> encode(std::span<const TokenId> tokens, const std::stop_token& stop = {}) {
    const EncoderInput source{.tokens = tokens};
    return encode(std::span(&source, 1), stop)[0];
  }

 private:
  /// The scope is that of the model's device.
  DeviceSourceEncoder(const DeviceSeq2Seq<T>& model, const DeviceEncoderOptions& options, const DeviceScope&)
      : model_(checked(model, options.rows)),
        pass_(model_.encoder(), options),
        products_{MatmulPlans(pass_.stream()),
                  DeviceBuffer(largest_blocks(model_.host()) * sizeof(T), pass_.stream())} {}

  static const DeviceSeq2Seq<T>& checked(const DeviceSeq2Seq<T>& model, std::size_t rows) {
    require_free_bytes("the encoder of sources", bytes_for(model.host(), rows));
    return model;
  }
  static std::size_t largest_blocks(const Seq2Seq& model) {
    detail::DeviceMemory<T> memory;
    for (const DecoderLayerWeights& layer : model.decoder().weights().layers)
      memory(layer.cross.k), memory(layer.cross.v);
    return memory.block_elements;
  }

  DeviceSeq2Seq<T> model_;
  DeviceEncoderPass<T> pass_;
  DeviceProducts products_;
};

/// A sequence that a decoder writes to a source, both on the device: what a Seq2SeqGenerator writes text with.
template <HalfStorage T = half>
class DeviceSeq2SeqSession final : public TokenSequence {
 public:
  /// Throws as DeviceSourceEncoder and DeviceSession do.
  explicit DeviceSeq2SeqSession(const DeviceSeq2Seq<T>& model, const DeviceSessionOptions& session = {},
                                const DeviceEncoderOptions& encoder = {})
      : encoder_(model, encoder), session_(model.decoder(), session) {}

  const CausalLM& model() const noexcept override { return session_.model(); }
  std::size_t position() const noexcept override { return session_.position(); }
  std::size_t context() const noexcept override { return session_.context(); }
  void truncate(std::size_t length) override { session_.truncate(length); }
  std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop = {}) override {
    return session_.forward(tokens, std::move(stop));
  }
  using TokenSequence::attend_to;
  void attend_to(std::span<const TokenId> source, const std::stop_token& stop) override {
    session_.attend_to(encoder_.encode(source, stop));
  }

 private:
  DeviceSourceEncoder<T> encoder_;
  DeviceSession<T> session_;
};

}  // namespace weft::inline v0::cuda
