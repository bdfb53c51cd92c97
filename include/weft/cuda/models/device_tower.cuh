#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/layers/packed_sequences.cuh>
#include <weft/cuda/layers/residual.cuh>
#include <weft/cuda/models/device_heads.cuh>
#include <weft/cuda/models/device_tower_weights.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/models/tower.hpp>
#include <weft/models/vision.hpp>

namespace weft::inline v0::cuda {

struct DeviceTowerOptions {
  std::size_t rows = 4096;  ///< tokens that are processed at once, at least those of an image or of the longest text
};

/// A tower of a model of images, on what is the current device when it is made, in a stream of its own: what VisionPass
/// and TextPass take with set_layers(). Patches and words, layers, norms and heads are computed there; hidden states
/// come to the host, where the rows that heads take are picked (a token, the mean of patches). It belongs to one pass.
/// All device memory is taken when it is made.
///
///   VisionPass pass(model);
///   pass.set_layers(cuda::DeviceTower<half>::of_images(model));
template <HalfStorage T = half>
class DeviceTower final : public TowerDevice {
  using Rows = TensorView<T, 2>;

 public:
  /// Copies the weights. Throws ConfigError for 0 rows, UnsupportedError for heads of more than 256 elements, CudaError
  /// where there is no device, and, before anything is taken, where there is too little memory, with how much is
  /// missing. What is returned throws ShapeError for a sequence of more than `rows` tokens, Cancelled, CudaError.
  static TowerLayers of_images(const VisionModel& model, const DeviceTowerOptions& options = {}) {
    return std::shared_ptr<TowerDevice>(std::make_shared<DeviceTower>(model, TowerKind::images, options));
  }
  static TowerLayers of_texts(const VisionModel& model, const DeviceTowerOptions& options = {}) {
    return std::shared_ptr<TowerDevice>(std::make_shared<DeviceTower>(model, TowerKind::texts, options));
  }

  /// The device memory of a tower and its passes, at most.
  static std::size_t bytes_for(const VisionModel& model, TowerKind kind, std::size_t rows) {
    const TowerConfig& c = detail::config_of(model, kind);
    const detail::DeviceMemory<T> memory = detail::tower_memory<T>(model, kind);
    const std::size_t patch = patch_size(model, kind);
    const std::size_t width = 3 * c.hidden + 4 * c.query() + c.intermediate + patch;
    const std::size_t of_row = width * sizeof(T) + (c.hidden + patch) * sizeof(float) + 2 * sizeof(TokenId);
    return memory.bytes + memory.staging_bytes + memory.block_elements * sizeof(T) + SequenceBatches::bytes_for(rows) +
           weft::detail::checked_product(rows, of_row) +
           HostRows<T>::bytes_for(rows, widest(model, kind), widest(model, kind)) + MatmulPlans::workspace_bytes;
  }

  DeviceTower(const VisionModel& model, TowerKind kind, const DeviceTowerOptions& options)
      : model_(model),
        config_(detail::config_of(model_, kind)),
        batches_(checked(model_, kind, options.rows), stream_),
        products_{MatmulPlans(stream_), {}},
        weights_(detail::uploaded_tower<T>(model_, kind, stream_)),
        host_rows_(options.rows, widest(model_, kind), widest(model_, kind), stream_) {
    const auto make = [&](std::size_t width) { return DeviceTensor<T, 2>({options.rows, width}, stream_); };
    for (DeviceTensor<T, 2>* tensor : {&x_, &normed_, &added_}) *tensor = make(config_.hidden);
    for (DeviceTensor<T, 2>* tensor : {&q_, &k_, &v_, &attention_out_}) *tensor = make(config_.query());
    up_ = make(config_.intermediate);
    floats_ = DeviceTensor<float, 2>({options.rows, config_.hidden}, stream_);
    const std::size_t of_patches = options.rows * patch_size(model_, kind);
    pixels_ = DeviceTensor<float, 1>({of_patches}, stream_);
    patches_ = DeviceTensor<T, 1>({of_patches}, stream_);
    ids_ = DeviceTensor<TokenId, 1>({2 * options.rows}, stream_);
    products_.elements = DeviceBuffer(detail::tower_memory<T>(model_, kind).block_elements * sizeof(T), stream_);
    stream_.synchronize();
  }

  void run_images(TensorView<const float, 4> pixels, TensorView<const float, 2> added, const EncoderLayerParams& params,
                  TensorView<float, 2> hidden, const std::stop_token& stop) override {
    const DeviceScope scope(stream_.device());
    const VisionConfig& c = model_.config();
    const std::size_t tokens = added.extent(0);
    const std::size_t down = pixels.extent(2) / c.patch_height;
    const std::size_t across = pixels.extent(3) / c.patch_width;
    const auto seen = pixels.narrow(2, 0, down * c.patch_height).narrow(3, 0, across * c.patch_width);
    const std::vector<std::size_t> lengths(pixels.extent(0), tokens);
    bool first_batch = true;
    batches_.for_each(lengths, [&](std::size_t first, const DeviceSequences& images) {
      if (std::exchange(first_batch, false)) {
        detail::upload_rows(added, rows_of(floats_, tokens), stream_);
        copy(rows_of(floats_, tokens), rows_of(added_, tokens), stream_);
      }
      embed(seen.narrow(0, first, images.count), rows_of(added_, tokens), rows_of(x_, images.tokens));
      if (c.input_norm)
        norm(rows_of(x_, images.tokens), weights_.input_norm, rows_of(x_, images.tokens), params.norm, stream_);
      run_layers(images, params, !config_.modules.norm.empty(), hidden.narrow(0, first * tokens, images.tokens), stop);
    });
  }

  void run_texts(std::span<const TokenId> ids, std::span<const PackedSequence> sequences,
                 const EncoderLayerParams& params, TensorView<float, 2> hidden, const std::stop_token& stop) override {
    const DeviceScope scope(stream_.device());
    std::vector<std::size_t> lengths;
    for (const PackedSequence& sequence : sequences) lengths.push_back(sequence.tokens);
    batches_.for_each(lengths, [&](std::size_t first, const DeviceSequences& texts) {
      const std::size_t begin = sequences[first].begin;
      std::vector<TokenId> values(ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                  ids.begin() + static_cast<std::ptrdiff_t>(begin + texts.tokens));
      for (const std::size_t length : std::span(lengths).subspan(first, texts.count))
        for (std::size_t t = 0; t < length; ++t) values.push_back(static_cast<TokenId>(t));
      check(
          cudaMemcpyAsync(ids_.data(), values.data(), values.size() * sizeof(TokenId), cudaMemcpyHostToDevice, stream_),
          "cudaMemcpyAsync");
      const Rows x = rows_of(x_, texts.tokens);
      const Rows added = rows_of(added_, texts.tokens);
      weights_.words.look_up(ids_.data(), texts.tokens, x.data(), stream_);
      weights_.positions.look_up(ids_.data() + texts.tokens, texts.tokens, added.data(), stream_);
      add(x, added, x, stream_);
      run_layers(texts, params, true, hidden.narrow(0, begin, texts.tokens), stop);
    });
  }

  void run_head(TowerHead head, TensorView<const float, 2> x, TensorView<float, 2> y) override {
    const DeviceScope scope(stream_.device());
    const VisionConfig& c = model_.config();
    const DeviceLayerContext ctx{products_, stream_};
    const LinearHeadOn<Backend<T>>& linear = weights_.head(head);
    const bool norms = head == TowerHead::pooler && c.pooling == ImagePooling::norm;
    weft::detail::require_extent("heads", "the width of y", y.extent(1), norms ? config_.hidden : linear.classes());
    host_rows_.apply(x, y, [&](Rows from, Rows to) {
      if (norms) return norm(from, weights_.norm, to, norm_params(), stream_);
      linear.forward(from, to, ctx);
      if (head == TowerHead::pooler) head_activation(c.pooler_activation, to, ctx);
    });
  }

  void pool_by_attention(std::span<const PackedSequence> sequences, TensorView<const float, 2> x,
                         TensorView<float, 2> y) override {
    const DeviceScope scope(stream_.device());
    std::vector<std::size_t> lengths;
    for (const PackedSequence& sequence : sequences) lengths.push_back(sequence.tokens);
    batches_.for_each(
        lengths,
        [&](std::size_t first, const DeviceSequences& images) {
          detail::upload_rows(x.narrow(0, sequences[first].begin, images.tokens), rows_of(floats_, images.tokens),
                              stream_);
          copy(rows_of(floats_, images.tokens), rows_of(x_, images.tokens), stream_);
          download(attend_from_probe(images), y.narrow(0, first, images.count));
        },
        Queries::one);
  }

 private:
  static std::size_t checked(const VisionModel& model, TowerKind kind, std::size_t rows) {
    const std::size_t head_dim = detail::config_of(model, kind).head_dim;
    if (rows == 0) raise<ConfigError>("DeviceTower: there are 0 rows, expected at least one");
    if (head_dim > 256)
      raise<UnsupportedError>("DeviceTower: heads of ", head_dim, " elements; the device takes up to 256");
    require_free_bytes("the tower", bytes_for(model, kind, rows));
    return rows;
  }
  static std::size_t patch_size(const VisionModel& model, TowerKind kind) {
    return kind == TowerKind::images ? model.config().patch_size() : 0;
  }
  /// Of what heads take and make.
  static std::size_t widest(const VisionModel& model, TowerKind kind) {
    std::size_t width = detail::config_of(model, kind).hidden;
    const auto count = [&](const LinearHead& head) {
      if (head) width = std::max({width, head.weight.extent(0), head.weight.extent(1)});
    };
    detail::for_each_head(model.weights(), kind, [&](TowerHead, const LinearHead& head) { count(head); });
    return width;
  }

  NormParams norm_params() const noexcept { return {.eps = config_.norm_eps, .kind = NormKind::layer}; }

  template <class U>
  static TensorView<U, 2> rows_of(DeviceTensor<U, 2>& tensor, std::size_t count) {
    return tensor.view().narrow(0, 0, count);
  }

  /// Waits for the stream.
  void download(Rows from, TensorView<float, 2> to) {
    copy(from, rows_of(floats_, from.extent(0)), stream_);
    detail::download_rows(rows_of(floats_, from.extent(0)), to, stream_);
  }

  /// The tokens of images: those learned, and what patches become, each with what its place adds. pixels: (images,
  /// channels, height, width), of the host, whole patches; added: (tokens, hidden); x: (images * tokens, hidden).
  void embed(TensorView<const float, 4> pixels, Rows added, Rows x) {
    const VisionConfig& c = model_.config();
    const std::size_t images = pixels.extent(0), height = pixels.extent(2), width = pixels.extent(3);
    const std::size_t down = height / c.patch_height, across = width / c.patch_width, patches = down * across;
    const std::size_t first = added.extent(0) - patches;
    const Tensor<float, 4> together = pixels.contiguous();
    check(cudaMemcpyAsync(pixels_.data(), together.data(), together.size() * sizeof(float), cudaMemcpyHostToDevice,
                          stream_),
          "cudaMemcpyAsync");
    stream_.synchronize();
    const Dims<6> extents{images, down, across, c.channels, c.patch_height, c.patch_width};
    const TensorView<float, 6> of_pixels(
        pixels_.data(), extents,
        {c.channels * height * width, c.patch_height * width, c.patch_width, height * width, width, 1});
    copy(of_pixels, TensorView<T, 6>(patches_.data(), extents), stream_);
    const Rows rows = rows_of(normed_, images * patches);
    const DeviceLayerContext ctx{products_, stream_};
    weights_.patches.forward(Rows(patches_.data(), {images * patches, c.patch_size()}), rows, ctx);
    const auto of_images = x.reshape(images, added.extent(0), x.extent(1));
    if (first != 0) copy(added.narrow(0, 0, first).unsqueeze(0), of_images.narrow(1, 0, first), stream_);
    add(rows.reshape(images, patches, x.extent(1)), added.narrow(0, first, patches).unsqueeze(0),
        of_images.narrow(1, first, patches), stream_);
  }

  /// All layers and, if `normed`, the last norm of what is in x_, which comes to the host.
  void run_layers(const DeviceSequences& sequences, const EncoderLayerParams& params, bool normed,
                  TensorView<float, 2> host, const std::stop_token& stop) {
    const auto rows = [&](DeviceTensor<T, 2>& tensor) { return rows_of(tensor, sequences.tokens); };
    const EncoderLayerBuffersOn<Backend<T>> buffers{
        .normed = rows(normed_),
        .attention = {.q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)},
        .gate = {},
        .up = rows(up_)};
    const DeviceLayerContext ctx{products_, stream_};
    DeviceResidual<T> x(rows(x_));
    for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      encoder_block(weights_.layers[i], sequences, params, buffers, x, nullptr, {}, ctx);
    }
    if (normed) x.norm_in_place(weights_.norm, params.norm, stream_);
    download(x.rows(stream_), host);
  }

  /// What the learned token sees of every image in x_, and the feed-forward layer: (images, hidden).
  Rows attend_from_probe(const DeviceSequences& images) {
    const DeviceAttentionPool<T>& w = weights_.pool;
    const DeviceLayerContext ctx{products_, stream_};
    const auto first = [&](DeviceTensor<T, 2>& tensor) { return rows_of(tensor, images.count); };
    const auto all = [&](DeviceTensor<T, 2>& tensor) { return rows_of(tensor, images.tokens); };
    copy(w.probe.view().unsqueeze(0), first(added_), stream_);
    linear(first(added_), w.attention.q, first(q_), ctx, weft::detail::bias_or_null(w.attention.q_bias));
    linear(all(x_),
           std::array{DeviceProduct<T>{w.attention.k, all(k_), weft::detail::bias_or_null(w.attention.k_bias)},
                      DeviceProduct<T>{w.attention.v, all(v_), weft::detail::bias_or_null(w.attention.v_bias)}},
           ctx);
    attend_in_sequences(images, config_.head_dim, {.scale = config_.score_scale(), .causal = false}, first(q_), all(k_),
                        all(v_), first(attention_out_), stream_);
    const Rows y = first(x_);
    linear(first(attention_out_), w.attention.o, y, ctx, weft::detail::bias_or_null(w.attention.o_bias));
    DeviceResidual<T> sum(y);
    add_part<Backend<T>>(sum, {BlockForm::pre_norm, norm_params()}, w.norm, {}, first(normed_), ctx,
                         [&](Rows in, Rows out, auto onto) {
                           mlp(w.mlp, config_.activation, in, {}, first(up_), out, ctx, onto);
                           return out;
                         });
    return sum.rows(stream_);
  }

  VisionModel model_;
  const TowerConfig& config_;
  Stream stream_;
  SequenceBatches batches_;
  DeviceProducts products_;
  DeviceTowerWeights<T> weights_;
  HostRows<T> host_rows_;
  // Scratch, (rows, width) each.
  DeviceTensor<T, 2> x_, normed_, added_, q_, k_, v_, attention_out_, up_;
  DeviceTensor<float, 2> floats_;
  DeviceTensor<float, 1> pixels_;
  DeviceTensor<T, 1> patches_;
  DeviceTensor<TokenId, 1> ids_;  // and positions
};

}  // namespace weft::inline v0::cuda
