#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/cuda/models/device_cache.cuh>
#include <weft/cuda/models/device_moe.cuh>
#include <weft/cuda/models/device_weights.cuh>
#include <weft/cuda/ops/activation.cuh>
#include <weft/cuda/ops/attention.cuh>
#include <weft/cuda/ops/attention_decode.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/cuda/ops/layer_norm.cuh>
#include <weft/cuda/ops/rms_norm.cuh>
#include <weft/cuda/ops/rope.cuh>

namespace weft::inline v0::cuda {

namespace detail {

struct ScaleElement {
  float factor;
  template <Storage T>
  __device__ __forceinline__ T operator()(T x) const {
    return from_float<T>(to_float(x) * factor);
  }
};
/// a + factor * b.
struct AddScaled {
  float factor;
  template <Storage T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return from_float<T>(to_float(a) + factor * to_float(b));
  }
};
/// Into [-limit, limit]; NaN stays NaN.
struct ClipElement {
  float limit;
  template <Storage T>
  __device__ __forceinline__ T operator()(T x) const {
    const float value = to_float(x);
    return value > limit ? from_float<T>(limit) : value < -limit ? from_float<T>(-limit) : x;
  }
};
struct SoftCapElement {
  float cap;
  __device__ __forceinline__ float operator()(float x) const { return cap * tanhf(x / cap); }
};
/// What an expert adds to a sum.
struct AddWeighted {
  template <Storage T>
  __device__ __forceinline__ float operator()(float sum, T x, float weight) const {
    return sum + weight * to_float(x);
  }
};
struct SigmoidElement {
  __device__ __forceinline__ float operator()(float x) const { return 1.f / (1.f + expf(-x)); }
};

}  // namespace detail

/// The tokens of one sequence that a DevicePass takes through the layers; the arrays are of device memory.
struct DeviceTokens {
  const TokenId* ids;             ///< (count)
  const std::int32_t* positions;  ///< (count)
  const std::int32_t* keys;       ///< of one token: the keys it sees, its own the last
  std::size_t count;
  std::size_t position;  ///< of the first of several tokens; that of one token stands in `positions` alone
};

/// Takes tokens of one sequence through all layers of a decoder on the device; DecoderPass says on the CPU what is
/// computed. Its scratch memory is taken when it is made, nothing later. What a pass of one token launches does not
/// depend on its position, so that a Graph can hold it.
template <HalfStorage T>
class DevicePass {
 public:
  using Rows = TensorView<T, 2>;

  /// For at most `rows` tokens at once at positions before `context`. Throws CudaError.
  DevicePass(DeviceCausalLM<T> model, std::size_t rows, std::size_t context, cudaStream_t stream)
      : model_(std::move(model)), stream_(stream), products_{MatmulPlans(stream), {}} {
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
    gate_ = DeviceTensor<T, 1>({expert_rows(c, rows) * c.widest_intermediate()}, stream);
    up_ = DeviceTensor<T, 1>({expert_rows(c, rows) * c.widest_intermediate()}, stream);
    if (c.experts) {
      const auto floats = [&](std::size_t width) { return DeviceTensor<float, 2>({rows, width}, stream); };
      router_ = floats(c.experts);
      chosen_ = floats(c.experts);
      shared_gate_ = floats(1);
      sum_ = floats(c.hidden);
      expert_out_ = DeviceTensor<T, 2>({expert_rows(c, rows), c.hidden}, stream);
      listed_ = DeviceTensor<std::int32_t, 1>({c.moe.experts_per_token}, stream);
      listed_weights_ = DeviceTensor<float, 1>({c.moe.experts_per_token}, stream);
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
    const std::size_t of_experts = 2 * c.widest_intermediate() + (c.experts ? c.hidden + 4 : 0);
    const std::size_t tables = (c.rope.theta != 0.f ? 1 : 0) + (c.window_rope ? 1 : 0);
    return weft::detail::checked_product(rows, width * sizeof(T)) +
           weft::detail::checked_product(expert_rows(c, rows), of_experts * sizeof(T)) +
           largest_blocks(model) * sizeof(T) +
           weft::detail::checked_product(context, tables * c.head_dim * sizeof(float)) +
           attention_decode_workspace_bytes(1, c.heads, c.kv_heads, c.head_dim, context) + (std::size_t{32} << 20);
  }

  const DeviceCausalLM<T>& model() const noexcept { return model_; }
  std::size_t rows() const noexcept { return x_.extent(0); }

  /// The last layer's output (count, hidden); valid until the next pass. Keys and values are in the cache then.
  Rows layers(const DeviceTokens& tokens, DeviceCache<T>& cache) {
    const DecoderConfig& c = config();
    to_add_ = {};  // where the pass before ended in an error
    const Rows x = embed(tokens);
    for (std::size_t i = 0; i < c.layers; ++i) layer(i, tokens, cache, x);
    flush(x);
    return x;
  }

  /// The final norm, where there is one, and the output head for rows of x: logits (rows, vocab), contiguous.
  void head(Rows x, TensorView<float, 2> logits) {
    const DecoderConfig& c = config();
    const DeviceDecoderWeights<T>& w = model_.weights();
    Rows from = x;
    if (c.final_norm) {
      from = part(normed_, x.extent(0));
      norm(x, w.final_norm, from);
    }
    if (c.output_scale != 1.f) apply(detail::ScaleElement{c.output_scale}, from);
    if (w.embedding_out) {
      const Rows narrow = part(embedded_, x.extent(0));
      w.embedding_out.multiply(products_, from, nullptr, narrow, stream_);
      from = narrow;
    }
    model_.output().multiply(products_, from, nullptr, logits, stream_);
    if (w.output_bias.size() != 0) add(logits, w.output_bias, logits, stream_);
    if (c.logit_scale != 1.f) apply(detail::ScaleElement{c.logit_scale}, logits);
    if (c.logit_soft_cap != 0.f) apply(detail::SoftCapElement{c.logit_soft_cap}, logits);
  }

 private:
  const DecoderConfig& config() const noexcept { return model_.config(); }

  /// Rows of what is between x and y of a feed-forward layer: of tokens, or of the experts that one token chose.
  static std::size_t expert_rows(const DecoderConfig& c, std::size_t rows) noexcept {
    return c.experts ? std::max(rows, c.moe.experts_per_token) : rows;
  }

  static std::size_t largest_blocks(const CausalLM& model) {
    std::size_t most = 0;
    for_each_weight(model.weights(), [&](const auto& weight) {
      if constexpr (std::same_as<std::remove_cvref_t<decltype(weight)>, AnyTensor>)
        most = std::max(most, DeviceMatrix<T>::elements_for(weight));
    });
    return most;
  }

  template <class U>
  static TensorView<U, 2> part(DeviceTensor<U, 2>& scratch, std::size_t count) {
    return scratch.view().narrow(0, 0, count);
  }
  /// Scratch as a matrix of another width.
  static Rows shaped(DeviceTensor<T, 1>& scratch, std::size_t count, std::size_t width) {
    return Rows(scratch.data(), {count, width});
  }
  static const T* bias_or_null(const DeviceTensor<T, 1>& bias) noexcept { return bias.data(); }

  template <class F, class U>
  void apply(F f, TensorView<U, 2> x) {
    detail::transform("elementwise", f, x, stream_, x);
  }

  void norm(Rows x, const DeviceNorm& w, Rows y) {
    const DecoderConfig& c = config();
    const std::size_t rows = x.extent(0);
    const std::size_t width = x.extent(1);
    if (c.norm == NormKind::rms) {
      rms_norm(x.data(), w.gain.data(), y.data(), rows, width, rms_params(), stream_);
    } else {
      layer_norm(x.data(), w.gain.data(), w.bias.data(), y.data(), rows, width, {.eps = c.norm_eps}, stream_);
    }
  }
  /// x += y before the norm.
  void add_norm(Rows y, Rows x, const DeviceNorm& w, Rows to) {
    const DecoderConfig& c = config();
    const std::size_t rows = x.extent(0);
    const std::size_t width = x.extent(1);
    if (c.norm == NormKind::rms) {
      add_rms_norm(y.data(), x.data(), w.gain.data(), to.data(), rows, width, rms_params(), stream_);
    } else {
      add_layer_norm(y.data(), x.data(), w.gain.data(), w.bias.data(), to.data(), rows, width, {.eps = c.norm_eps},
                     stream_);
    }
  }
  RmsNormParams rms_params() const noexcept {
    return {.eps = config().norm_eps, .gain_offset = config().norm_gain_offset};
  }

  // What a half of a layer adds to x waits for the norm that reads x next, which then adds it itself.
  void add_later(Rows y, Rows x) {
    flush(x);
    to_add_ = y;
  }
  void flush(Rows x) {
    if (to_add_.data())
      detail::transform("residual", detail::AddScaled{config().residual_scale}, x, stream_, x,
                        std::exchange(to_add_, {}));
  }
  void norm_of_sum(Rows x, const DeviceNorm& w, Rows y) {
    if (!to_add_.data() || config().residual_scale != 1.f) {
      flush(x);
      return norm(x, w, y);
    }
    add_norm(std::exchange(to_add_, {}), x, w, y);
  }

  Rows embed(const DeviceTokens& tokens) {
    const DecoderConfig& c = config();
    const DeviceDecoderWeights<T>& w = model_.weights();
    const Rows x = part(x_, tokens.count);
    const Rows looked_up = c.embedding ? part(embedded_, tokens.count) : x;
    w.embedding.look_up(tokens.ids, tokens.count, looked_up.data(), stream_);
    if (w.embedding_in) w.embedding_in.multiply(products_, looked_up, nullptr, x, stream_);
    if (c.embedding_scale != 1.f) apply(detail::ScaleElement{c.embedding_scale}, x);
    if (w.positions) {
      const Rows added = part(normed_, tokens.count);
      w.positions.look_up(tokens.positions, tokens.count, added.data(), stream_);
      add(x, added, x, stream_);
    }
    if (!model_.host().weights().embedding_norm.gain.empty()) norm(x, w.embedding_norm, x);
    return x;
  }

  void layer(std::size_t index, const DeviceTokens& tokens, DeviceCache<T>& cache, Rows x) {
    const DeviceLayerWeights<T>& w = model_.weights().layers[index];
    const BlockForm form = config().form;
    const bool before = weft::detail::norm_before(form);
    const bool after = weft::detail::norm_after(form);
    const bool parallel = weft::detail::is_parallel(form);
    const bool shared = form == BlockForm::parallel_shared;
    const Rows normed = part(normed_, tokens.count);
    const Rows other = part(other_, tokens.count);
    const auto finish = [&](Rows y, const DeviceNorm& post_norm, const DeviceNorm& sum_norm) {
      if (after) norm(y, post_norm, y);
      add_later(y, x);
      if (form == BlockForm::residual_norm) norm_of_sum(x, sum_norm, x);
      if (!before) flush(x);
    };

    if (before) norm_of_sum(x, w.attention_norm, normed);
    if (parallel && !shared) norm(x, w.mlp_norm, other);
    const Rows attended = shared ? other : normed;
    attend(index, w.attention, tokens, cache, before ? normed : x, attended);
    finish(attended, w.attention_post_norm, w.attention_norm);
    if (before && !parallel) norm_of_sum(x, w.mlp_norm, normed);
    const Rows mlp_in = !before ? x : parallel && !shared ? other : normed;
    const Rows fed = before ? mlp_in : normed;
    if (w.moe.experts.empty()) {
      mlp(w.mlp, mlp_in, fed);
    } else {
      mixture(w.moe, mlp_in, fed);
    }
    finish(fed, w.mlp_post_norm, w.mlp_norm);
  }

  /// y = self-attention of x; y may be x.
  void attend(std::size_t index, const DeviceAttentionWeights<T>& w, const DeviceTokens& tokens, DeviceCache<T>& cache,
              Rows x, Rows y) {
    const DecoderConfig& c = config();
    const std::size_t count = tokens.count;
    const Rows q = part(q_, count);
    const Rows k = part(k_, count);
    const Rows v = part(v_, count);
    const Rows out = part(attention_out_, count);
    multiply_all(
        products_, x,
        std::array{DeviceProduct<T>{w.q, bias_or_null(w.q_bias), q}, DeviceProduct<T>{w.k, bias_or_null(w.k_bias), k},
                   DeviceProduct<T>{w.v, bias_or_null(w.v_bias), v}},
        stream_);
    norm_heads(q, w.q_norm, w.q_head_norms);
    norm_heads(k, w.k_norm, w.k_head_norms);
    if (c.qkv_clip != 0.f)
      for (const Rows& rows : {q, k, v}) apply(detail::ClipElement{c.qkv_clip}, rows);
    const auto heads = [&](Rows rows) { return rows.reshape(count, dynamic, c.head_dim); };
    if (const DeviceRopeTable* rope = rope_of(index)) {
      const TensorView<const std::int32_t, 1> positions(tokens.positions, {count});
      apply_rope(heads(q), positions, *rope, stream_);
      apply_rope(heads(k), positions, *rope, stream_);
    }
    cache.store(index, k.data(), v.data(), tokens.positions, count, stream_);
    AttentionParams params = scores(index);
    if (count == 1) {
      attention_decode(heads(q), cache.keys(index), cache.values(index), tokens.keys, heads(out), params,
                       decode_workspace_.data(), stream_);
    } else {
      params.offset = tokens.position;
      const auto filled = [&](const TensorView<T, 4>& all) {
        return all.select(0, 0).narrow(0, 0, tokens.position + count);
      };
      attention(heads(q), filled(cache.keys(index)), filled(cache.values(index)), heads(out), params, stream_);
    }
    w.o.multiply(products_, out, bias_or_null(w.o_bias), y, stream_);
  }

  const DeviceRopeTable* rope_of(std::size_t layer) const noexcept {
    const DecoderConfig& c = config();
    if (!c.rotates(layer)) return nullptr;
    const DeviceRopeTable& rope = c.window_rope && c.window_of(layer) != 0 ? window_rope_ : rope_;
    return rope.positions() != 0 ? &rope : nullptr;
  }

  AttentionParams scores(std::size_t layer) const noexcept {
    const DecoderConfig& c = config();
    const DeviceDecoderWeights<T>& w = model_.weights();
    return {.scale = c.score_scale(layer),
            .window = c.window_of(layer),
            .soft_cap = c.attention_soft_cap,
            .alibi_slopes = {w.alibi_slopes.data(), w.alibi_slopes.size()},
            .relative_bias = {w.relative_bias.data(), w.relative_bias.size()}};
  }

  /// Normalises runs of as many elements as the norm has gains, or every head by weights of its own.
  void norm_heads(Rows x, const DeviceNorm& w, const std::vector<DeviceNorm>& of_heads) {
    if (w.gain.size() != 0) {
      const Rows runs(x.data(), {x.size() / w.gain.size(), w.gain.size()});
      norm(runs, w, runs);
    }
    const DecoderConfig& c = config();
    for (std::size_t h = 0; h < of_heads.size(); ++h) {
      const Rows head = x.narrow(1, h * c.head_dim, c.head_dim);
      if (c.norm == NormKind::rms) {
        rms_norm(head, of_heads[h].gain, head, rms_params(), stream_);
      } else {
        layer_norm(head, of_heads[h].gain, head, {.eps = c.norm_eps}, stream_);
      }
    }
  }

  /// y = the feed-forward layer of x; y may be x.
  void mlp(const DeviceMlpWeights<T>& w, Rows x, Rows y) {
    const Rows up = shaped(up_, x.extent(0), w.up.rows());
    if (w.gate) {
      const Rows gate = shaped(gate_, x.extent(0), w.gate.rows());
      multiply_all(products_, x,
                   std::array{DeviceProduct<T>{w.gate, bias_or_null(w.gate_bias), gate},
                              DeviceProduct<T>{w.up, bias_or_null(w.up_bias), up}},
                   stream_);
      gated_activation(config().activation, gate.data(), up.data(), up.data(), up.size(), stream_);
    } else {
      w.up.multiply(products_, x, bias_or_null(w.up_bias), up, stream_);
      activation(config().activation, up.data(), up.data(), up.size(), stream_);
    }
    w.down.multiply(products_, up, bias_or_null(w.down_bias), y, stream_);
  }

  /// y = a mixture of experts of x; y may be x. Of several tokens every expert computes all, of which those that did
  /// not choose it count for nothing.
  void mixture(const DeviceMoeWeights<T>& w, Rows x, Rows y) {
    const std::size_t count = x.extent(0);
    const std::size_t experts = w.experts.size();
    const TensorView<float, 2> router = part(router_, count);
    const TensorView<float, 2> chosen = part(chosen_, count);
    const TensorView<float, 2> sum = part(sum_, count);
    const Rows fed = part(expert_out_, count);
    const bool listed = count == 1 && w.gates;
    w.router.multiply(products_, x, nullptr, router, stream_);
    choose_experts(router.data(), chosen.data(), count, experts, config().moe, stream_,
                   listed ? ExpertList{listed_.data(), listed_weights_.data()} : ExpertList{});
    const auto add_expert = [&](const DeviceMlpWeights<T>& expert, TensorView<float, 2> weight) {
      mlp(expert, x, fed);
      detail::transform("experts", detail::AddWeighted{}, sum, stream_, sum, fed, weight);
    };
    if (listed) {
      listed_experts(w, x, sum);
    } else {
      fill(sum, 0.f, stream_);
      for (std::size_t e = 0; e < experts; ++e) add_expert(w.experts[e], chosen.narrow(1, e, 1));
    }
    if (w.shared.up) {
      const TensorView<float, 2> gate = part(shared_gate_, count);
      if (w.shared_gate) {
        w.shared_gate.multiply(products_, x, nullptr, gate, stream_);
        apply(detail::SigmoidElement{}, gate);
      } else {
        fill(gate, 1.f, stream_);
      }
      add_expert(w.shared, gate);
    }
    copy(sum, y, stream_);
  }

  /// sum (1, hidden) = what the experts that one token chose add up to.
  void listed_experts(const DeviceMoeWeights<T>& w, Rows x, TensorView<float, 2> sum) {
    const std::size_t slots = std::min(config().moe.experts_per_token, w.experts.size());
    const Rows up = shaped(up_, slots, w.ups.rows());
    const Rows gate = shaped(gate_, slots, w.ups.rows());
    multiply_chosen<T, 2>(x, {&w.gates, &w.ups}, listed_.data(), slots, {gate.data(), up.data()}, stream_);
    gated_activation(config().activation, gate.data(), up.data(), up.data(), up.size(), stream_);
    multiply_chosen<T, 1>(up, {&w.downs}, listed_.data(), slots, {expert_out_.data()}, stream_);
    add_experts(expert_out_.data(), listed_weights_.data(), slots, sum.data(), sum.size(), stream_);
  }

  DeviceCausalLM<T> model_;
  cudaStream_t stream_;
  DeviceProducts products_;
  DeviceRopeTable rope_, window_rope_;
  DeviceTensor<T, 2> x_, normed_, other_;                 // (rows, hidden)
  DeviceTensor<T, 2> embedded_;                           // (rows, embedding)
  DeviceTensor<T, 2> q_, k_, v_, attention_out_;          // (rows, query or key_value)
  DeviceTensor<T, 1> gate_, up_;                          // expert_rows() * the widest intermediate
  DeviceTensor<float, 2> router_, chosen_, shared_gate_;  // (rows, experts), (rows, 1)
  DeviceTensor<float, 2> sum_;                            // (rows, hidden), of experts
  DeviceTensor<T, 2> expert_out_;                         // (expert_rows(), hidden)
  DeviceTensor<std::int32_t, 1> listed_;                  // (experts_per_token), of one token
  DeviceTensor<float, 1> listed_weights_;
  DeviceBuffer decode_workspace_;
  Rows to_add_;  // to x; see add_later()
};

}  // namespace weft::inline v0::cuda
