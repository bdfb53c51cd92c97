#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/layers/packed_sequences.cuh>
#include <weft/cuda/layers/residual.cuh>
#include <weft/cuda/models/device_encoder.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/models/encoder_pass.hpp>

namespace weft::inline v0::cuda {

struct DeviceEncoderOptions {
  std::size_t rows = 4096;  ///< tokens that are processed at once, at least those of the longest sequence
};

/// What weft::EncoderPass is on the CPU: runs an encoder over one or several sequences at once, on the device that the
/// model is on, whatever the current one is, in a stream of its own. Sequences of unequal length lie one after the
/// other, without padding. It belongs to one thread at a time. All device memory is taken when it is made.
///
///   cuda::DeviceEncoderPass<half> pass(cuda::DeviceEncoder<half>(load_encoder(path, {.load = Load::in_place})));
///   pass.forward(inputs);
///   pass.heads().embed_sentences(y);
///
/// Link weft::weft beside weft::cuda, and compile with WEFT_SEPARATE_COMPILATION=1 (weft/define.hpp).
template <HalfStorage T = half>
class DeviceEncoderPass {
 public:
  using Rows = TensorView<T, 2>;

  /// Throws ConfigError for 0 rows, CudaError, before anything is taken also where there is too little memory, with how
  /// much is missing.
  explicit DeviceEncoderPass(const DeviceEncoder<T>& model, const DeviceEncoderOptions& options = {})
      : DeviceEncoderPass(model, options, DeviceScope(model.device())) {}
  DeviceEncoderPass(const DeviceEncoderPass&) = delete;
  DeviceEncoderPass& operator=(const DeviceEncoderPass&) = delete;
  ~DeviceEncoderPass() { static_cast<void>(cudaStreamSynchronize(stream_)); }  // the weights may go now

  /// The device memory of such a pass.
  static std::size_t bytes_for(const Encoder& model, std::size_t rows) {
    const EncoderConfig& c = model.config();
    const std::size_t width = 2 * c.hidden + (c.has_projection() ? c.embedding : 0) + c.added_width() +
                              (c.trigrams ? 3 * c.embedding : 0) + 4 * c.query() + (c.gated ? 2 : 1) * c.intermediate +
                              3 * c.bottleneck;
    const detail::HeadWidths heads(model.weights());
    const std::size_t bytes_of_row = (width + heads.dense) * sizeof(T) + c.hidden * sizeof(float) + bytes_of_inputs;
    return weft::detail::checked_product(rows, bytes_of_row) + HostRows<T>::bytes_for(rows, c.hidden, heads.answer) +
           words_beside(model, rows) * sizeof(T) + memory_of(model).block_elements * sizeof(T) +
           SequenceBatches::bytes_for(rows) + MatmulPlans::workspace_bytes;
  }

  const DeviceEncoder<T>& device_model() const noexcept { return model_; }
  const Encoder& model() const noexcept { return model_.host(); }
  std::size_t rows() const noexcept { return batches_.rows(); }

  /// Runs all layers: the last one's output for every token, after the final norm where there is one, (rows, hidden) in
  /// host memory, the sequences one after the other; valid until the next pass. Throws as weft::EncoderPass does,
  /// ShapeError also for a sequence of more than rows() tokens, and CudaError.
  TensorView<const float, 2> forward(std::span<const EncoderInput> inputs, const std::stop_token& stop = {}) {
    const DeviceScope scope(stream_.device());
    TensorView<float, 2> hidden = heads_.receive(inputs);
    try {
      std::size_t done = 0;
      run(inputs, stop, [&](Rows x) {
        const TensorView<float, 2> floats = hidden_.view().narrow(0, 0, x.extent(0));
        copy(x, floats, stream_);
        check(cudaMemcpyAsync(&hidden(done, 0), floats.data(), floats.size() * sizeof(float), cudaMemcpyDeviceToHost,
                              stream_),
              "cudaMemcpyAsync");
        stream_.synchronize();
        done += x.extent(0);
      });
    } catch (...) {
      heads_.receive({});
      throw;
    }
    return heads_.hidden();
  }
  /// What the last forward() says: its heads, which the device computes from what forward() returned. What a head takes
  /// of hidden states, as their means, the CPU picks.
  EncoderPass& heads() noexcept { return heads_; }

  /// The same without a copy: calls after(x) with the output (rows, hidden) in device memory, valid until it returns,
  /// of as many sequences as are processed at once, until all are.
  template <class After>
  void run(std::span<const EncoderInput> inputs, const std::stop_token& stop, After&& after) {
    const DeviceScope scope(stream_.device());
    heads_.check(inputs);
    std::vector<std::size_t> lengths;
    for (const EncoderInput& input : inputs) lengths.push_back(input.tokens.size());
    batches_.for_each(lengths, [&](std::size_t first, const DeviceSequences& sequences) {
      upload(inputs.subspan(first, sequences.count));
      after(layers(sequences, stop));
    });
  }

  cudaStream_t stream() const noexcept { return stream_; }

 private:
  /// The scope is that of the model's device.
  DeviceEncoderPass(const DeviceEncoder<T>& model, const DeviceEncoderOptions& options, const DeviceScope&)
      : batches_(checked(model, options.rows), stream_),
        model_(model),
        heads_(model_.host()),
        products_{MatmulPlans(stream_), {}},
        inputs_(rows() * bytes_of_inputs, stream_),
        host_rows_(rows(), config().hidden, detail::HeadWidths(this->model().weights()).answer, stream_) {
    const EncoderConfig& c = config();
    const auto make = [&](std::size_t width) { return DeviceTensor<T, 2>({width == 0 ? 0 : rows(), width}, stream_); };
    x_ = make(c.hidden);
    normed_ = make(c.hidden);
    embedded_ = make(c.has_projection() ? c.embedding : 0);
    looked_up_ = make(c.added_width());
    trigrams_ = make(c.trigrams ? 3 * c.embedding : 0);
    for (DeviceTensor<T, 2>* tensor : {&q_, &k_, &v_, &attention_out_}) *tensor = make(c.query());
    gate_ = make(c.gated ? c.intermediate : 0);
    up_ = make(c.intermediate);
    for (DeviceTensor<T, 2>* tensor : {&narrow_, &query_key_, &part_}) *tensor = make(c.bottleneck);
    hidden_ = DeviceTensor<float, 2>({rows(), c.hidden}, stream_);
    dense_ = make(detail::HeadWidths(this->model().weights()).dense);
    more_ = DeviceTensor<T, 1>({words_beside(this->model(), rows())}, stream_);
    heads_.set_heads(
        [this](EncoderHead head, TensorView<const float, 2> x, TensorView<float, 2> y) { run(head, x, y); });
    products_.elements = DeviceBuffer(memory_of(model_.host()).block_elements * sizeof(T), stream_);
    stream_.synchronize();
  }

  static constexpr std::size_t bytes_of_inputs = 3 * sizeof(std::int32_t);  // of a token: id, type, position

  const EncoderConfig& config() const noexcept { return model_.config(); }

  static std::size_t checked(const DeviceEncoder<T>& model, std::size_t rows) {
    if (rows == 0) raise<ConfigError>("DeviceEncoderPass: there are 0 rows, expected at least one");
    require_free_bytes("the pass", bytes_for(model.host(), rows));
    return rows;
  }
  static detail::DeviceMemory<T> memory_of(const Encoder& model) {
    detail::DeviceMemory<T> memory;
    for_each_weight(model.weights(), memory);
    return memory;
  }
  /// Elements for what HeadBuffersOn::more is.
  static std::size_t words_beside(const Encoder& model, std::size_t rows) {
    const MaskedWordHead& head = model.weights().masked_word;
    return head.rest ? HostRows<T>::room(rows, head.decoder.extent(0)) : 0;
  }

  /// EncoderHeadRunner.
  void run(EncoderHead head, TensorView<const float, 2> x, TensorView<float, 2> y) {
    const DeviceScope scope(stream_.device());
    const DeviceEncoderWeights<T>& w = model_.weights();
    const EncoderWeights& host = model().weights();
    weft::detail::require_extent("heads", "the width of y", y.extent(1), detail::answer_width(head, host));
    const std::size_t dense = dense_width(head, host);
    const DeviceLayerContext ctx{products_, stream_};
    host_rows_.apply(x, y, [&](Rows from, Rows to) {
      const HeadBuffersOn<Backend<T>> buffers{
          .dense = {dense_.data(), {from.extent(0), dense}},
          .more = {more_.data(), {from.extent(0), more_.size() == 0 ? 0 : to.extent(1)}}};
      run_head<Backend<T>>(head, w.heads, *w.embedding, config(), from, buffers, to, ctx);
    });
  }

  const std::int32_t* ids() const noexcept { return inputs_.as<std::int32_t>(); }
  const std::int32_t* types() const noexcept { return ids() + rows(); }
  const std::int32_t* positions() const noexcept { return types() + rows(); }

  void upload(std::span<const EncoderInput> inputs) {
    std::vector<std::int32_t> values(3 * rows());
    std::size_t row = 0;
    for (const EncoderInput& input : inputs)
      for (std::size_t t = 0; t < input.tokens.size(); ++t, ++row) {
        values[row] = input.tokens[t];
        values[rows() + row] = input.types.empty() ? 0 : input.types[t];
        values[2 * rows() + row] = static_cast<std::int32_t>(input.position + t);
      }
    check(cudaMemcpyAsync(inputs_.data(), values.data(), inputs_.bytes(), cudaMemcpyHostToDevice, stream_),
          "cudaMemcpyAsync");
  }

  Rows layers(const DeviceSequences& sequences, const std::stop_token& stop) {
    const EncoderConfig& c = config();
    const DeviceEncoderWeights<T>& w = model_.weights();
    const auto rows = [&](DeviceTensor<T, 2>& tensor) { return part(tensor, sequences.tokens); };
    const AttentionBuffersOn<Backend<T>> attention{
        .q = rows(q_), .k = rows(k_), .v = rows(v_), .out = rows(attention_out_)};
    const DeviceLayerContext ctx{products_, stream_};
    const EncoderLayerParams params = c.layer_params({w.relative_bias.data(), w.relative_bias.size()});
    DeviceResidual<T> x(embed(sequences));
    for (std::size_t i = 0; i < c.layers; ++i) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before layer ", i);
      if (c.bottleneck == 0) {
        const auto [group, inner] = c.weights_of(i);
        encoder_block(w.layers[group * c.group_layers + inner], sequences, params,
                      {.normed = rows(normed_), .attention = attention, .gate = rows(gate_), .up = rows(up_)}, x,
                      nullptr, {}, ctx);
      } else {
        bottleneck_block(w.bottleneck_layers[i], sequences, params, c.outer_norm_eps,
                         {.narrow = rows(narrow_),
                          .query_key = rows(query_key_),
                          .part = rows(part_),
                          .wide = rows(normed_),
                          .attention = attention,
                          .up = rows(up_)},
                         x.rows(stream_), nullptr, {}, ctx);
      }
    }
    if (w.final_norm.gain.size() != 0) x.norm_in_place(w.final_norm, c.norm_params(), stream_);
    return x.rows(stream_);
  }

  /// What enters the first layer (tokens, hidden), as EncoderPass says on the CPU.
  Rows embed(const DeviceSequences& sequences) {
    const EncoderConfig& c = config();
    const DeviceEncoderWeights<T>& w = model_.weights();
    const std::size_t tokens = sequences.tokens;
    const Rows x = part(x_, tokens);
    const auto project = [&](Rows from) {
      w.projection.multiply(products_, from, w.projection_bias.data(), x, stream_);
    };
    const Rows words = c.has_projection() ? part(embedded_, tokens) : x;
    w.embedding->look_up(ids(), tokens, words.data(), stream_);
    if (c.embedding_scale != 1.f) scale(words, c.embedding_scale, words, stream_);
    if (c.projected_first && !c.trigrams) project(words);
    if (c.projected_first && c.trigrams) {
      join_neighbours(words, sequences, part(trigrams_, tokens), stream_);
      project(part(trigrams_, tokens));
    }
    const Rows sum = c.projected_first ? x : words;
    const Rows added = part(looked_up_, tokens);
    const auto add_rows_of = [&](const DeviceMatrix<T>& table, const std::int32_t* rows) {
      if (!table) return;
      table.look_up(rows, tokens, added.data(), stream_);
      add(sum, added, sum, stream_);
    };
    add_rows_of(w.token_types, types());
    add_rows_of(w.positions, positions());
    if (w.embedding_norm.gain.size() != 0) norm(sum, w.embedding_norm, sum, c.embedding_norm_params(), stream_);
    if (c.has_projection() && !c.projected_first) project(sum);
    return x;
  }

  static Rows part(DeviceTensor<T, 2>& scratch, std::size_t tokens) {
    return scratch.extent(0) == 0 ? Rows() : Rows(scratch.view().narrow(0, 0, tokens));
  }

  Stream stream_;
  SequenceBatches batches_;
  DeviceEncoder<T> model_;
  EncoderPass heads_;
  DeviceProducts products_;
  DeviceBuffer inputs_;
  // Scratch, (rows, width) each.
  DeviceTensor<T, 2> x_, normed_, embedded_, looked_up_, trigrams_, q_, k_, v_, attention_out_, gate_, up_;
  DeviceTensor<T, 2> narrow_, query_key_, part_;  // of layers with a bottleneck
  DeviceTensor<float, 2> hidden_;
  HostRows<T> host_rows_;
  DeviceTensor<T, 2> dense_;  // of heads
  DeviceTensor<T, 1> more_;
};

}  // namespace weft::inline v0::cuda
