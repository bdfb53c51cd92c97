#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <utility>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cuda/core/graph.cuh>
#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/models/device_pass.cuh>
#include <weft/cuda/sampling/sampler.cuh>
#include <weft/models/session.hpp>
#include <weft/models/token_sequence.hpp>

namespace weft::inline v0::cuda {

struct DeviceSessionOptions {
  std::size_t context = 0;  ///< SessionOptions::context
  std::size_t chunk = 512;  ///< tokens of a prompt that are processed at once
};

/// What weft::Session is on the CPU: one sequence in the making, on the device that its model is on, whatever the
/// current one is, in a stream of its own. It belongs to one thread at a time. All memory is taken when it is made.
/// Single tokens run as one Graph, whose position lies in device memory.
///
///   cuda::DeviceSession<half> session(cuda::DeviceCausalLM<half>(load_causal_lm(path, {.load = Load::in_place})));
///
/// Link weft::weft beside weft::cuda, and compile with WEFT_SEPARATE_COMPILATION=1 (weft/define.hpp): the kernels of
/// the CPU are not for nvcc.
template <HalfStorage T = half>
class DeviceSession final : public TokenSequence {
 public:
  /// Throws ConfigError for a chunk or context of 0 tokens or a context beyond the model's, CudaError, before anything
  /// is taken also where there is too little memory, with how much is missing.
  explicit DeviceSession(const DeviceCausalLM<T>& model, const DeviceSessionOptions& options = {})
      : DeviceSession(model, options, DeviceScope(model.device())) {}
  DeviceSession(const DeviceSession&) = delete;
  DeviceSession& operator=(const DeviceSession&) = delete;
  ~DeviceSession() override { static_cast<void>(cudaStreamSynchronize(stream_)); }  // the weights may go now

  /// The device memory of such a session, at most.
  static std::size_t bytes_for(const CausalLM& model, std::size_t context, std::size_t chunk) {
    return DeviceCache<T>::bytes_for(model.config(), context) + DevicePass<T>::scratch_bytes(model, chunk, context) +
           model.config().vocab * sizeof(float) + input_bytes(chunk) + sizeof(DeviceDraw) +
           2 * (sizeof(DrawState) + sample_workspace_bytes(1));  // of the sampler, and of the one before
  }

  const DeviceCausalLM<T>& device_model() const noexcept { return pass_.model(); }
  const CausalLM& model() const noexcept override { return device_model().host(); }
  /// Tokens in the cache: the position of the next one.
  std::size_t position() const noexcept override { return position_; }
  std::size_t context() const noexcept override { return context_; }

  using TokenSequence::attend_to;
  /// Forgets all tokens and begins a sequence that reads a source, in a model that has cross-attention. Throws
  /// ConfigError for a model that has none and for a source of a model of other sizes.
  void attend_to(DeviceEncodedSource<T> source) {
    const DecoderConfig& c = model().config();
    if (!c.cross_attention) raise<ConfigError>("attend_to: a ", model().model_type(), " model reads no source");
    if (!source || source->layers() != c.layers || source->layer(0).k.extent(1) != c.kv_heads ||
        source->layer(0).k.extent(2) != c.head_dim)
      raise<ConfigError>("attend_to: the source is none, or one of another model");
    const DeviceScope scope(stream_.device());
    stream_.synchronize();  // the source before may go now
    step_.graph = {};       // these read it
    drawing_step_.graph = {};
    source_ = std::move(source);
    position_ = 0;
  }

  /// Forgets all tokens from `length` on. Throws ShapeError where there are fewer.
  void truncate(std::size_t length) override {
    if (length > position_) raise<ShapeError>("truncate: ", length, " tokens of ", position_);
    position_ = length;
  }

  /// Appends tokens and returns the logits (vocab) that predict the one after the last, in host memory; they are valid
  /// until the next call. Throws as weft::Session does, and CudaError; the session is then as it was.
  std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop = {}) override {
    check_tokens(tokens);
    undone_by_errors([&] {
      advance(tokens, stop, step_, [] {});
      download(device_logits_.data(), logits_.data(), logits_.size());
    });
    return logits_.elements();
  }

  /// What draw() draws with; its random numbers begin again. Throws ConfigError for parameters out of range and for
  /// penalties, CudaError; what it drew with before stays then.
  void set_sampling(const SamplingParams& params) {
    const DeviceScope scope(stream_.device());
    DeviceSampler sampler(params, 1, stream_);
    drawing_step_.graph = {};  // it draws with the one before
    sampler_ = std::move(sampler);
  }

  /// Appends tokens and draws the one that comes next on the device, as weft::Sampler would from the logits of
  /// forward(): these stay where they are. Throws as forward() does, ConfigError before set_sampling(), NumericError
  /// where a logit is NaN or +infinity or all are -infinity.
  DeviceDraw draw(std::span<const TokenId> tokens, std::stop_token stop = {}) {
    check_tokens(tokens);
    if (!sampler_) raise<ConfigError>("draw: there is nothing to draw with, call set_sampling() first");
    DeviceDraw drawn{};
    undone_by_errors([&] {
      advance(tokens, stop, drawing_step_, [&] { (*sampler_)(device_logits_, draw_.as<DeviceDraw>()); });
      download(draw_.as<DeviceDraw>(), &drawn, 1);
      if (drawn.id < 0) raise<NumericError>("draw: a logit is NaN or +infinity, or all are -infinity");
    });
    return drawn;
  }

  /// Appends tokens and writes the logits after each of them to `logits` (tokens, vocab) in host memory: for scoring.
  /// Throws as above, and ShapeError where `logits` has another shape.
  void forward_all(std::span<const TokenId> tokens, TensorView<float, 2> logits, std::stop_token stop = {}) {
    check_tokens(tokens);
    const std::size_t vocab = model().config().vocab;
    weft::detail::require_shape("forward_all", "logits", logits.extents(), Dims<2>{tokens.size(), vocab});
    std::size_t done = 0;
    undone_by_errors([&] {
      run(tokens, stop, [&](TensorView<T, 2> x, bool) {
        for (std::size_t t = 0; t < x.extent(0); ++t, ++done) {
          pass_.head(x.narrow(0, t, 1), device_logits_.view());
          download(device_logits_.data(), &logits(done, 0), vocab);
        }
      });
    });
  }

 private:
  /// The record of a step, which runs as it is launched at first, so that its kernels are loaded before they are
  /// recorded.
  struct Step {
    Graph graph;
    bool loaded = false;
  };

  /// The scope is that of the model's device.
  DeviceSession(const DeviceCausalLM<T>& model, const DeviceSessionOptions& options, const DeviceScope&)
      : context_(weft::detail::checked_context("DeviceSession", model.config(), options.context)),
        chunk_(std::min(weft::detail::checked_chunk("DeviceSession", options.chunk), context_)),
        cache_(checked(model, context_, chunk_).config(), context_, stream_),
        inputs_(input_bytes(chunk_), stream_),
        device_logits_({1, model.config().vocab}, stream_),
        logits_({1, model.config().vocab}),
        pass_(model, chunk_, context_, stream_),
        draw_(sizeof(DeviceDraw), stream_) {
    stream_.synchronize();
  }

  static constexpr std::size_t inputs_of_step = 256;  // bytes: the id of a token, its position, the keys that it sees
  static std::size_t input_bytes(std::size_t chunk) { return inputs_of_step + 2 * chunk * sizeof(std::int32_t); }

  static const DeviceCausalLM<T>& checked(const DeviceCausalLM<T>& model, std::size_t context, std::size_t chunk) {
    require_free_bytes("the session", bytes_for(model.host(), context, chunk));
    return model;
  }

  void check_tokens(std::span<const TokenId> tokens) const {
    if (model().config().cross_attention && !source_)
      raise<ConfigError>("forward: a ", model().model_type(), " model reads a source, and there is none");
    if (tokens.empty()) raise<ShapeError>("forward: there are no tokens");
    if (tokens.size() > context_ - position_)
      raise<ShapeError>("forward: ", tokens.size(), " tokens after ", position_, " exceed the context of ", context_);
    const std::size_t vocab = model().config().vocab;
    for (std::size_t i = 0; i < tokens.size(); ++i)
      if (tokens[i] < 0 || static_cast<std::size_t>(tokens[i]) >= vocab)
        raise<ShapeError>("forward: token id ", tokens[i], " at index ", i, " is outside the vocabulary of ", vocab);
  }

  void upload(std::span<const std::int32_t> from, std::int32_t* to) {
    check(cudaMemcpyAsync(to, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, stream_), "cudaMemcpyAsync");
  }
  template <class U>
  void download(const U* from, U* to, std::size_t count) {
    check(cudaMemcpyAsync(to, from, count * sizeof(U), cudaMemcpyDeviceToHost, stream_), "cudaMemcpyAsync");
    stream_.synchronize();
  }

  /// Runs `work` on the session's device; the session is as it was where that throws.
  template <class Work>
  void undone_by_errors(Work&& work) {
    const DeviceScope scope(stream_.device());
    const std::size_t before = position_;
    try {
      work();
    } catch (...) {
      position_ = before;
      throw;
    }
  }

  /// Appends tokens, puts the logits after the last one into device_logits_, and goes on with then(); `recorded` is the
  /// record of all that for a single token.
  template <class Then>
  void advance(std::span<const TokenId> tokens, const std::stop_token& stop, Step& recorded, Then&& then) {
    if (tokens.size() == 1) return step(tokens[0], recorded, then);
    run(tokens, stop, [&](TensorView<T, 2> x, bool last) {
      if (last) pass_.head(x.narrow(0, x.extent(0) - 1, 1), device_logits_.view());
    });
    then();
  }

  /// One token.
  template <class Then>
  void step(TokenId token, Step& recorded, Then&& then) {
    auto* input = inputs_.template as<std::int32_t>();
    const auto position = static_cast<std::int32_t>(position_);
    const std::int32_t values[3] = {token, position, position + 1};
    upload(values, input);
    const auto launch_all = [&] {
      const TensorView<T, 2> x = pass_.layers(
          {.ids = input, .positions = input + 1, .keys = input + 2, .count = 1, .position = 0}, cache_, source_.get());
      pass_.head(x, device_logits_.view());
      then();
    };
    if (!recorded.loaded) {
      launch_all();
      recorded.loaded = true;
    } else {
      if (recorded.graph.empty()) recorded.graph = Graph(stream_, launch_all);
      recorded.graph.launch(stream_);
    }
    ++position_;
  }

  /// Runs all layers over the tokens, chunk by chunk, and calls after(x, last chunk) with the last layer's output.
  template <class After>
  void run(std::span<const TokenId> tokens, const std::stop_token& stop, After&& after) {
    auto* ids = inputs_.template as<std::int32_t>(inputs_of_step);
    std::vector<std::int32_t> positions;
    for (std::size_t begin = 0; begin < tokens.size(); begin += chunk_) {
      if (stop.stop_requested()) raise<Cancelled>("forward: stopped before token ", begin);
      const std::span<const TokenId> part = tokens.subspan(begin, std::min(chunk_, tokens.size() - begin));
      positions.clear();
      for (std::size_t i = 0; i < part.size(); ++i) positions.push_back(static_cast<std::int32_t>(position_ + i));
      upload(part, ids);
      upload(positions, ids + chunk_);
      const std::int32_t keys = positions.back() + 1;
      std::int32_t* const seen = inputs_.template as<std::int32_t>() + 2;
      upload({&keys, 1}, seen);
      const TensorView<T, 2> x = pass_.layers(
          {.ids = ids, .positions = ids + chunk_, .keys = seen, .count = part.size(), .position = position_}, cache_,
          source_.get());
      after(x, begin + part.size() == tokens.size());
      position_ += part.size();
    }
  }

  std::size_t context_;
  std::size_t chunk_;
  std::size_t position_ = 0;
  Stream stream_;
  DeviceCache<T> cache_;
  DeviceEncodedSource<T> source_;
  DeviceBuffer inputs_;
  DeviceTensor<float, 2> device_logits_;  // (1, vocab)
  Tensor<float, 2> logits_;               // (1, vocab)
  DevicePass<T> pass_;
  DeviceBuffer draw_;
  std::optional<DeviceSampler> sampler_;
  Step step_, drawing_step_;
};

}  // namespace weft::inline v0::cuda
