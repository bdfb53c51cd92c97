#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <weft/core/thread_pool.hpp>
#include <weft/cpu/context.hpp>
#include <weft/models/architecture.hpp>
#include <weft/models/generation_config.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// A loaded decoder: immutable, shared freely between threads, cheap to copy (copies share the weights). What changes
/// while it runs lives in a Session.
class CausalLM {
 public:
  /// What load_causal_lm() puts together.
  struct Parts {
    std::string model_type;
    std::string source;  ///< where it came from, for messages
    DecoderConfig config{};
    DecoderWeights weights{};
    GenerationConfig generation{};
    std::shared_ptr<const Tokenizer> tokenizer{};
    std::shared_ptr<Executor> executor = std::make_shared<SerialExecutor>();
    Compute compute = Compute::native;
    const cpu::Kernels* kernels = &cpu::best_kernels();
  };

  explicit CausalLM(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

  const std::string& model_type() const noexcept { return parts_->model_type; }
  const DecoderConfig& config() const noexcept { return parts_->config; }
  const DecoderWeights& weights() const noexcept { return parts_->weights; }
  const GenerationConfig& generation_config() const noexcept { return parts_->generation; }
  bool has_tokenizer() const noexcept { return parts_->tokenizer != nullptr; }
  /// Throws TokenizerError where the checkpoint has none.
  const Tokenizer& tokenizer() const {
    if (!parts_->tokenizer) raise<TokenizerError>(parts_->source, ": the checkpoint was loaded without a tokenizer");
    return *parts_->tokenizer;
  }
  Executor& executor() const noexcept { return *parts_->executor; }
  Compute compute() const noexcept { return parts_->compute; }
  const cpu::Kernels& kernels() const noexcept { return *parts_->kernels; }

  /// Numbers of weights; a tied output head counts once.
  std::size_t parameters() const {
    std::size_t count = 0;
    for_each_weight([&](std::size_t elements, std::size_t) { count += elements; });
    const DecoderWeights& w = weights();
    const bool head_copied = config().tied_embeddings && w.output.bytes().data() != w.embedding.bytes().data();
    return head_copied ? count - w.output.size() : count;
  }
  /// Bytes of all weights as they lie in memory or in mapped files.
  std::size_t weight_bytes() const {
    std::size_t total = 0;
    for_each_weight([&](std::size_t, std::size_t bytes) { total += bytes; });
    return total;
  }

  /// A few lines of text: family, sizes, number of parameters, memory.
  std::string describe() const {
    const DecoderConfig& c = config();
    return detail::concat(parts_->source, ": ", model_type(), ", ", parameters(), " parameters (",
                          name(weights().embedding.dtype()), ", ", weight_bytes(), " bytes)\n", "  layers ", c.layers,
                          ", hidden ", c.hidden, ", intermediate ", c.intermediate, ", heads ", c.heads, ", kv_heads ",
                          c.kv_heads, ", head_dim ", c.head_dim, ", vocab ", c.vocab, ", context ", c.context,
                          c.window ? detail::concat(", window ", c.window) : std::string(), "\n", "  kernels ",
                          kernels().name, ", threads ", executor().concurrency(), "\n");
  }

 private:
  template <class F>
  void for_each_weight(F&& f) const {
    const DecoderWeights& w = weights();
    const auto matrix = [&](const AnyTensor& t) { f(t.size(), t.bytes().size()); };
    const auto vector = [&](const Tensor<float, 1>& t) { f(t.size(), t.size() * sizeof(float)); };
    matrix(w.embedding);
    vector(w.final_norm);
    if (w.output.bytes().data() != w.embedding.bytes().data()) matrix(w.output);
    for (const DecoderLayerWeights& layer : w.layers) {
      for (const AnyTensor* t : {&layer.attention.q, &layer.attention.k, &layer.attention.v, &layer.attention.o,
                                 &layer.mlp.gate, &layer.mlp.up, &layer.mlp.down})
        matrix(*t);
      for (const Tensor<float, 1>* t : {&layer.attention_norm, &layer.mlp_norm, &layer.attention.q_bias,
                                        &layer.attention.k_bias, &layer.attention.v_bias, &layer.attention.o_bias,
                                        &layer.mlp.gate_bias, &layer.mlp.up_bias, &layer.mlp.down_bias})
        vector(*t);
    }
  }

  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0
