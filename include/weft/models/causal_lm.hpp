#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <weft/core/thread_pool.hpp>
#include <weft/cpu/context.hpp>
#include <weft/formats/json_value.hpp>
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
    const DecoderArchitecture* architecture = nullptr;  ///< outlives the model; null: put together by hand
    Json checkpoint_config{};                           ///< config.json, or what stands for it
  };

  explicit CausalLM(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

  const std::string& model_type() const noexcept { return parts_->model_type; }
  const Parts& parts() const noexcept { return *parts_; }
  /// Which model this is: shared by its copies alone. Holding it keeps no weights alive, and unlike an address it is
  /// never another model's, however many come and go.
  std::weak_ptr<const void> identity() const noexcept { return parts_; }
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
    const std::size_t count = detail::count_parameters(weights());
    return config().tied_embeddings ? count - weights().output.size() : count;
  }
  /// Matrices and vectors of weights, counted in the same way.
  std::size_t tensors() const {
    const std::size_t count = detail::count_tensors(weights());
    return config().tied_embeddings ? count - 1 : count;
  }
  /// Bytes of all weights as they lie in memory or in mapped files.
  std::size_t weight_bytes() const {
    return detail::count_bytes(weights()) - detail::shared_bytes(weights().output, weights().embedding);
  }

  /// A few lines of text: family, numbers of parameters and tensors, memory, sizes.
  std::string describe() const {
    const DecoderConfig& c = config();
    return detail::concat(detail::describe_weights(*this, parts_->source, weights()), "  layers ", c.layers,
                          ", hidden ", c.hidden, ", intermediate ", c.intermediate, ", heads ", c.heads, ", kv_heads ",
                          c.kv_heads, ", head_dim ", c.head_dim, ", vocab ", c.vocab, ", context ", c.context,
                          c.window ? detail::concat(", window ", c.window) : std::string(),
                          c.experts ? detail::concat(", experts ", c.experts) : std::string(), "\n", "  kernels ",
                          kernels().name, ", threads ", executor().concurrency(), "\n");
  }

 private:
  std::shared_ptr<const Parts> parts_;
};

}  // namespace weft::inline v0
