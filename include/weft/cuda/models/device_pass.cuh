#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <weft/cuda/layers/residual.cuh>
#include <weft/cuda/models/device_cache.cuh>
#include <weft/cuda/models/device_weights.cuh>
#include <weft/cuda/ops/elementwise.cuh>

namespace weft::inline v0::cuda {

namespace detail {

struct SoftCapElement {
  float cap;
  __device__ __forceinline__ float operator()(float x) const { return cap * tanhf(x / cap); }
};

}  // namespace detail

/// Takes tokens of one sequence through all layers of a decoder on the device; DecoderPass says on the CPU what is
/// computed. Its scratch memory is taken when it is made, nothing later. What a pass of one token launches does not
/// depend on its position, so that a Graph can hold it.
template <HalfStorage T>
class DevicePass {
 public:
  using Rows = TensorView<T, 2>;

  /// For at most `rows` tokens at once at positions before `context`. Throws CudaError.
  DevicePass(const DeviceCausalLM<T>& model, std::size_t rows, std::size_t context, cudaStream_t stream)
      : model_(model), stream_(stream), products_{MatmulPlans(stream), {}} {
    const DecoderConfig& c = config();
    if (c.rope.theta != 0.f) rope_ = DeviceRopeTable(RopeTable(c.head_dim, context, c.rope), stream);
    if (c.window_rope) window_rope_ = DeviceRopeTable(RopeTable(c.head_dim, context, *c.window_rope), stream);
    const auto make = [&](std::size_t width) { return DeviceTensor<T, 2>({rows, width}, stream); };
    x_ = make(c.hidden);
    normed_ = make(c.hidden);
    other_ = make(c.hidden);
    if (c.embedding) embedded_ = make(c.embedding);
    q_ = make(c.query());
    k_ = make(c.key_value());
    v_ = make(c.key_value());
    attention_out_ = make(c.query());
    for (DeviceTensor<T, 1>* tensor : {&gate_, &up_}) *tensor = DeviceTensor<T, 1>({between(c, rows)}, stream);
    if (c.experts) {
      const auto floats = [&](std::size_t width) { return DeviceTensor<float, 2>({rows, width}, stream); };
      router_ = floats(c.experts);
      chosen_ = floats(c.experts);
      shared_gate_ = floats(1);
      sum_ = floats(c.hidden);
      expert_out_ = DeviceTensor<T, 2>({slots(c, rows), c.hidden}, stream);
      listed_ = DeviceTensor<std::int32_t, 1>({slots(c, rows)}, stream);
      listed_weights_ = DeviceTensor<float, 1>({slots(c, rows)}, stream);
      groups_ = DeviceTensor<std::int32_t, 1>({RowGroups::elements_for(slots(c, rows), c.experts)}, stream);
    }
    decode_workspace_ =
        DeviceBuffer(attention_decode_workspace_bytes(1, c.heads, c.kv_heads, c.head_dim, context), stream);
    decode_workspace_.clear();
    products_.elements = DeviceBuffer(largest_blocks(model_.host()) * sizeof(T), stream);
  }

  /// The device memory that the constructor takes, at most.
  static std::size_t scratch_bytes(const CausalLM& model, std::size_t rows, std::size_t context) {
    const DecoderConfig& c = model.config();
    std::size_t width = 3 * c.hidden + c.embedding + 2 * (c.query() + c.key_value());
    if (c.experts) width += 2 * (2 * c.experts + 1 + c.hidden);
    const std::size_t of_slot = c.experts ? c.hidden * sizeof(T) + 2 * sizeof(std::int32_t) + sizeof(float) : 0;
    const std::size_t tables = (c.rope.theta != 0.f ? 1 : 0) + (c.window_rope ? 1 : 0);
    return weft::detail::checked_product(rows, width * sizeof(T)) +
           weft::detail::checked_product(2 * sizeof(T), between(c, rows)) +
           weft::detail::checked_product(slots(c, rows), of_slot) + 2 * (c.experts + 1) * sizeof(std::int32_t) +
           largest_blocks(model) * sizeof(T) +
           weft::detail::checked_product(context, tables * c.head_dim * sizeof(float)) +
           attention_decode_workspace_bytes(1, c.heads, c.kv_heads, c.head_dim, context) + MatmulPlans::workspace_bytes;
  }

  const DeviceCausalLM<T>& model() const noexcept { return model_; }
  std::size_t rows() const noexcept { return x_.extent(0); }

  /// The last layer's output (count, hidden); valid until the next pass. Keys and values are in the cache then. source:
  /// what cross-attention sees, in a model that has it.
  Rows layers(const DeviceTokens& tokens, DeviceCache<T>& cache, DeviceCache<T>* source) {
    const DecoderConfig& c = config();
    const DeviceDecoderWeights<T>& w = model_.weights();
    const std::span<const float> slopes(w.alibi_slopes.data(), w.alibi_slopes.size());
    const std::span<const float> biases(w.relative_bias.data(), w.relative_bias.size());
    const DecoderLayerBuffersOn<Backend<T>> buffers = layer_buffers(tokens.count);
    const DeviceLayerContext ctx{products_, stream_, decode_workspace_.data()};
    const TensorView<const std::int32_t, 1> positions(tokens.positions, {tokens.count});
    DeviceResidual<T> x(embed(tokens));
    for (std::size_t i = 0; i < c.layers; ++i)
      transformer_block(w.layers[i], {tokens, cache.layer(i), source ? source->layer(i) : DeviceCacheLayer<T>()},
                        rope_of(i), positions, c.layer_params(i, slopes, biases), buffers, x, nullptr, {}, ctx);
    return x.rows(stream_);
  }

  /// The final norm, where there is one, and the output head for rows of x: logits (rows, vocab), contiguous.
  void head(Rows x, TensorView<float, 2> logits) {
    const DecoderConfig& c = config();
    const DeviceDecoderWeights<T>& w = model_.weights();
    Rows from = x;
    if (c.final_norm) {
      from = part(normed_, x.extent(0));
      norm(x, w.final_norm, from, c.norm_params(), stream_);
    }
    if (c.output_scale != 1.f) scale(from, c.output_scale, from, stream_);
    if (w.embedding_out) {
      const Rows narrow = part(embedded_, x.extent(0));
      w.embedding_out.multiply(products_, from, nullptr, narrow, stream_);
      from = narrow;
    }
    model_.output().multiply(products_, from, nullptr, logits, stream_);
    if (w.output_bias.size() != 0) add(logits, w.output_bias, logits, stream_);
    if (c.logit_scale != 1.f) scale(logits, c.logit_scale, logits, stream_);
    if (c.logit_soft_cap != 0.f)
      detail::transform("soft_cap", detail::SoftCapElement{c.logit_soft_cap}, logits, stream_, logits);
  }

 private:
  const DecoderConfig& config() const noexcept { return model_.config(); }

  /// Experts that tokens chose, all together.
  static std::size_t slots(const DecoderConfig& c, std::size_t rows) {
    return c.experts ? weft::detail::checked_product(rows, c.moe.experts_per_token) : 0;
  }
  /// Elements between x and y of a feed-forward layer: of tokens, or of the experts that they chose.
  static std::size_t between(const DecoderConfig& c, std::size_t rows) {
    return std::max(weft::detail::checked_product(rows, c.widest_intermediate()),
                    weft::detail::checked_product(slots(c, rows), c.expert_intermediate));
  }

  static std::size_t largest_blocks(const CausalLM& model) {
    detail::DeviceMemory<T> memory;
    for_each_weight(model.weights(), memory);
    return memory.block_elements;
  }

  template <class U>
  static TensorView<U, 2> part(DeviceTensor<U, 2>& scratch, std::size_t count) {
    return scratch.view().narrow(0, 0, count);
  }
  DecoderLayerBuffersOn<Backend<T>> layer_buffers(std::size_t count) {
    DecoderLayerBuffersOn<Backend<T>> buffers{.normed = part(normed_, count),
                                              .attention = {.q = part(q_, count),
                                                            .k = part(k_, count),
                                                            .v = part(v_, count),
                                                            .out = part(attention_out_, count)},
                                              .gate = gate_.view().unsqueeze(0),
                                              .up = up_.view().unsqueeze(0),
                                              .other = part(other_, count)};
    if (config().experts)
      buffers.moe = {.router = part(router_, count),
                     .chosen = part(chosen_, count),
                     .shared_gate = part(shared_gate_, count),
                     .sum = part(sum_, count),
                     .out = expert_out_,
                     .listed = {listed_.data(), listed_weights_.data()},
                     .groups = groups_.data()};
    return buffers;
  }

  Rows embed(const DeviceTokens& tokens) {
    const DecoderConfig& c = config();
    const DeviceDecoderWeights<T>& w = model_.weights();
    const Rows x = part(x_, tokens.count);
    const Rows looked_up = c.embedding ? part(embedded_, tokens.count) : x;
    w.embedding.look_up(tokens.ids, tokens.count, looked_up.data(), stream_);
    if (w.embedding_in) w.embedding_in.multiply(products_, looked_up, nullptr, x, stream_);
    if (c.embedding_scale != 1.f) scale(x, c.embedding_scale, x, stream_);
    if (w.positions) {
      const Rows added = part(normed_, tokens.count);
      w.positions.look_up(tokens.positions, tokens.count, added.data(), stream_);
      add(x, added, x, stream_);
    }
    if (!model_.host().weights().embedding_norm.gain.empty()) norm(x, w.embedding_norm, x, c.norm_params(), stream_);
    return x;
  }

  const DeviceRopeTable& rope_of(std::size_t layer) const noexcept {
    const DecoderConfig& c = config();
    return !c.rotates(layer) ? no_rope_ : c.window_rope && c.window_of(layer) != 0 ? window_rope_ : rope_;
  }

  DeviceCausalLM<T> model_;
  cudaStream_t stream_;
  DeviceProducts products_;
  DeviceRopeTable rope_, window_rope_, no_rope_;
  DeviceTensor<T, 2> x_, normed_, other_;                 // (rows, hidden)
  DeviceTensor<T, 2> embedded_;                           // (rows, embedding)
  DeviceTensor<T, 2> q_, k_, v_, attention_out_;          // (rows, query or key_value)
  DeviceTensor<T, 1> gate_, up_;                          // (between())
  DeviceTensor<float, 2> router_, chosen_, shared_gate_;  // (rows, experts), (rows, 1)
  DeviceTensor<float, 2> sum_;                            // (rows, hidden), of experts
  DeviceTensor<T, 2> expert_out_;                         // (slots(), hidden)
  DeviceTensor<std::int32_t, 1> listed_, groups_;         // (slots()), RowGroups
  DeviceTensor<float, 1> listed_weights_;                 // (slots())
  DeviceBuffer decode_workspace_;
};

}  // namespace weft::inline v0::cuda
