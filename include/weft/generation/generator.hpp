#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/generation/stop.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/session.hpp>
#include <weft/models/token_sequence.hpp>
#include <weft/sampling/banned_words.hpp>
#include <weft/sampling/chain.hpp>
#include <weft/sampling/min_length.hpp>
#include <weft/sampling/no_repeat_ngram.hpp>
#include <weft/tokenizers/stream_decoder.hpp>

namespace weft::inline v0 {

struct GenerateOptions {
  std::size_t max_new_tokens = 256;
  std::vector<std::string> stop = {};         ///< the text ends before the first of these
  bool stop_at_eos = true;                    ///< end at the checkpoint's end-of-sequence tokens
  bool add_special_tokens = true;             ///< put the tokenizer's BOS before the prompt
  bool parse_special_tokens = true;           ///< "</s>" in the prompt is the token, not its letters
  std::optional<TokenId> decoder_start = {};  ///< the first token of a Seq2SeqGenerator's text; none: the checkpoint's
  std::optional<TokenId> forced_bos = {};     ///< the token after it, as the language; none: the checkpoint's, if any
  std::stop_token cancel = {};                ///< ends the text early, between two tokens or within a long prompt
};

enum class FinishReason : unsigned char {
  none,         ///< not finished
  eos,          ///< the model ended the text
  stop_string,  ///< one of GenerateOptions::stop was found
  max_tokens,   ///< max_new_tokens were produced
  context,      ///< the context is full
  cancelled,    ///< GenerateOptions::cancel was requested
};

constexpr std::string_view name(FinishReason reason) noexcept {
  constexpr std::string_view names[] = {"none", "eos", "stop_string", "max_tokens", "context", "cancelled"};
  return names[static_cast<std::size_t>(reason)];
}

struct GeneratedToken {
  TokenId id;
  float log_probability;  ///< log softmax of the model's logits, before temperature and filters
};

/// What a generation took; seconds of wall time.
struct GenerationTimings {
  std::size_t prompt_tokens = 0;
  double prompt_seconds = 0.0;       ///< from the beginning until the prompt was processed
  double first_token_seconds = 0.0;  ///< from the beginning until the first token was chosen
  double generation_seconds = 0.0;   ///< everything after the first token
};

/// A text in the making: an input range of pieces of UTF-8, each valid until the next is asked for. Iterating runs the
/// model; leaving the loop early stops it. It refers to its Generator, which must live as long: give that a name.
class Generation {
 public:
  class Iterator;

  Iterator begin();
  std::default_sentinel_t end() const noexcept { return {}; }

  /// The tokens so far, the end-of-sequence token included.
  std::span<const GeneratedToken> tokens() const noexcept;
  FinishReason finish_reason() const noexcept;
  const GenerationTimings& timings() const noexcept;

 private:
  friend class Generator;
  friend class Seq2SeqGenerator;
  struct State;
  explicit Generation(State& state) noexcept : state_(&state) {}

  State* state_;
};

/// Writes text with a model. One Generator holds one sequence and belongs to one thread at a time; any number may share
/// a model.
///
///   weft::Generator generate(model, {.temperature = 0.8f, .top_p = 0.95f, .seed = 7});
///   for (std::string_view piece : generate("Once upon a time", {.max_new_tokens = 200})) std::cout << piece;
///
/// The same parameters, seed and prompt give the same text whatever the number of threads. After the first token
/// nothing is allocated.
class Generator {
 public:
  /// Throws ConfigError for sampling parameters or session options that are out of range.
  explicit Generator(CausalLM model, const SamplingParams& sampling = {}, const SessionOptions& session = {},
                     LogitsChain processors = {});
  /// Writes with a sequence of the caller's, as one on another device. Throws ConfigError for a null pointer and for
  /// sampling parameters that are out of range.
  explicit Generator(std::unique_ptr<TokenSequence> sequence, const SamplingParams& sampling = {},
                     LogitsChain processors = {});
  Generator(Generator&&) noexcept;
  Generator& operator=(Generator&&) noexcept;
  ~Generator();

  /// Begins a text that continues the prompt; what the previous call returned ends. Throws TokenizerError where the
  /// model has no tokenizer or cannot encode the prompt, ConfigError for an empty prompt, a prompt that leaves no room
  /// in the context, or an empty stop string, ShapeError for a forced_bos outside the vocabulary. Iterating throws
  /// NumericError where the model's logits are not numbers.
  Generation operator()(std::string_view prompt, const GenerateOptions& options = {}) &;
  /// The same from token ids, taken as they are. Throws ShapeError for ids outside the vocabulary.
  Generation operator()(std::span<const TokenId> prompt, const GenerateOptions& options = {}) &;
  // A Generation of a temporary would refer to nothing: in C++20 a loop over Generator(model)(prompt) ends its life.
  Generation operator()(std::string_view, const GenerateOptions& = {}) && = delete;
  Generation operator()(std::span<const TokenId>, const GenerateOptions& = {}) && = delete;

  /// The whole text at once.
  std::string text(std::string_view prompt, const GenerateOptions& options = {});

  const CausalLM& model() const noexcept;
  /// What later texts are computed with. Throws as Session::set_adapters().
  void set_adapters(AdapterSet adapters);

 private:
  std::unique_ptr<Generation::State> state_;
};

struct Generation::State {
  State(std::unique_ptr<TokenSequence> own, const SamplingParams& params, LogitsChain processors)
      : sequence(present(std::move(own))),
        sampler(params, sequence->model().config().vocab, with_bans(sequence->model(), std::move(processors))) {
    history.reserve(sequence->context() + 1);
    tokens.reserve(sequence->context() + 1);
    if (sequence->model().has_tokenizer()) decoder.emplace(sequence->model().tokenizer());
  }

  static std::unique_ptr<TokenSequence> present(std::unique_ptr<TokenSequence> sequence) {
    if (!sequence) raise<ConfigError>("Generator: the sequence is a null pointer");
    return sequence;
  }

  /// The caller's processors and what the checkpoint bans.
  static LogitsChain with_bans(const CausalLM& model, LogitsChain processors) {
    const GenerationConfig& generation = model.generation_config();
    if (!generation.banned_words.empty()) processors.add(BannedWords(generation.banned_words));
    if (generation.no_repeat_ngram_size != 0) processors.add(NoRepeatNgram(generation.no_repeat_ngram_size));
    if (generation.min_length != 0) processors.add(MinLength(generation.eos, generation.min_length));
    return processors;
  }

  void start(std::span<const TokenId> prompt, const GenerateOptions& requested) {
    if (prompt.empty()) raise<ConfigError>("generate: the prompt is empty");
    if (prompt.size() > sequence->context())
      raise<ConfigError>("generate: the prompt has ", prompt.size(), " tokens, the context holds ",
                         sequence->context());
    const std::size_t vocab = sequence->model().config().vocab;
    detail::require_token_ids("generate", prompt, vocab);
    if (requested.forced_bos)
      detail::require_token_ids("generate: forced_bos", std::span(&*requested.forced_bos, 1), vocab);
    StopStrings matcher(requested.stop);
    if (!requested.stop.empty() && !decoder)
      raise<TokenizerError>("generate: stop strings need a tokenizer, and the model was loaded without one");
    options = requested;
    stop = std::move(matcher);
    history.assign(prompt.begin(), prompt.end());
    tokens.clear();
    piece = {};
    reason = FinishReason::none;
    timings = {.prompt_tokens = prompt.size()};
    sequence->truncate(0);
    sampler.reset();
    if (decoder) {
      // The text continues the prompt: its leading space stays, and so do the bytes of a character begun there.
      decoder->finish();
      for (const TokenId id : history) text_of(id);
    }
    began = Clock::now();
  }

  /// Runs until there is text to show or the end is reached; returns whether there is text.
  bool advance() {
    piece = {};
    while (piece.empty() && reason == FinishReason::none) step();
    return !piece.empty();
  }

  void step() {
    if (tokens.size() >= options.max_new_tokens) return finish(FinishReason::max_tokens);
    if (options.cancel.stop_requested()) return finish(FinishReason::cancelled);
    if (sequence->position() == sequence->context()) return finish(FinishReason::context);
    const std::size_t before = sequence->position();
    std::span<const float> logits;
    try {
      logits = sequence->forward(std::span<const TokenId>(history).subspan(sequence->position()), options.cancel);
    } catch (const Cancelled&) {
      return finish(FinishReason::cancelled);
    }
    if (tokens.empty()) timings.prompt_seconds = seconds();
    Sampler::Draw draw = choose(logits, before);
    if (const std::optional<TokenId> forced = forced_token()) {
      const auto logit = [&](TokenId id) { return logits[static_cast<std::size_t>(id)]; };
      draw.log_probability += logit(*forced) - logit(draw.id);
      draw.id = *forced;
    }
    tokens.push_back({draw.id, draw.log_probability});
    if (tokens.size() == 1) {
      timings.first_token_seconds = seconds();
    } else {
      timings.generation_seconds = seconds() - timings.first_token_seconds;
    }
    const std::vector<TokenId>& eos = sequence->model().generation_config().eos;
    if (options.stop_at_eos && std::find(eos.begin(), eos.end(), draw.id) != eos.end())
      return finish(FinishReason::eos);
    history.push_back(draw.id);
    if (!decoder) return;
    piece = stop.push(text_of(draw.id));
    if (stop.match()) reason = FinishReason::stop_string;
  }

  /// The token that comes next whatever the logits say, as in transformers, generation/logits_process.py: after a
  /// prompt of one token, and the last one.
  std::optional<TokenId> forced_token() const {
    const GenerationConfig& generation = sequence->model().generation_config();
    if (history.size() == 1)
      if (const auto bos = options.forced_bos ? options.forced_bos : generation.forced_bos) return bos;
    return tokens.size() + 1 == options.max_new_tokens ? generation.forced_eos : std::nullopt;
  }

  /// Where no token can be chosen the session forgets what it was given since `before`, so that asking again gives the
  /// same error.
  Sampler::Draw choose(std::span<const float> logits, std::size_t before) {
    try {
      return sampler(logits, history);
    } catch (...) {
      sequence->truncate(before);
      throw;
    }
  }

  /// The text that a token completes. Embedding tables are often padded past the vocabulary: such ids have no text.
  std::string_view text_of(TokenId id) {
    const bool known = static_cast<std::size_t>(id) < sequence->model().tokenizer().vocab_size();
    return known ? decoder->push(id) : std::string_view();
  }

  /// Ends the text and shows what was held back.
  void finish(FinishReason why) {
    reason = why;
    if (!decoder) return;
    tail.assign(stop.push(decoder->finish()));
    if (stop.match()) {
      reason = FinishReason::stop_string;
    } else {
      tail += stop.finish();
    }
    piece = tail;
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - began).count(); }

  using Clock = std::chrono::steady_clock;

  std::unique_ptr<TokenSequence> sequence;
  Sampler sampler;
  std::optional<StreamDecoder> decoder;
  StopStrings stop;
  GenerateOptions options;
  std::vector<TokenId> history;  // the prompt and what was produced
  std::vector<GeneratedToken> tokens;
  std::string_view piece;
  std::string tail;
  FinishReason reason = FinishReason::none;
  GenerationTimings timings;
  Clock::time_point began;
};

class Generation::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = std::string_view;
  using difference_type = std::ptrdiff_t;

  Iterator() = default;
  explicit Iterator(State& state) : state_(&state) { done_ = !state.advance(); }

  std::string_view operator*() const noexcept { return state_->piece; }
  Iterator& operator++() {
    done_ = !state_->advance();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& iterator, std::default_sentinel_t) noexcept { return iterator.done_; }

 private:
  State* state_ = nullptr;
  bool done_ = true;
};

inline Generation::Iterator Generation::begin() { return Iterator(*state_); }
inline std::span<const GeneratedToken> Generation::tokens() const noexcept { return state_->tokens; }
inline FinishReason Generation::finish_reason() const noexcept { return state_->reason; }
inline const GenerationTimings& Generation::timings() const noexcept { return state_->timings; }

inline Generator::Generator(CausalLM model, const SamplingParams& sampling, const SessionOptions& session,
                            LogitsChain processors)
    : Generator(std::make_unique<Session>(std::move(model), session), sampling, std::move(processors)) {}
inline Generator::Generator(std::unique_ptr<TokenSequence> sequence, const SamplingParams& sampling,
                            LogitsChain processors)
    : state_(std::make_unique<Generation::State>(std::move(sequence), sampling, std::move(processors))) {}
inline Generator::Generator(Generator&&) noexcept = default;
inline Generator& Generator::operator=(Generator&&) noexcept = default;
inline Generator::~Generator() = default;

inline const CausalLM& Generator::model() const noexcept { return state_->sequence->model(); }
inline void Generator::set_adapters(AdapterSet adapters) { state_->sequence->set_adapters(std::move(adapters)); }

inline Generation Generator::operator()(std::span<const TokenId> prompt, const GenerateOptions& options) & {
  state_->start(prompt, options);
  return Generation(*state_);
}

inline Generation Generator::operator()(std::string_view prompt, const GenerateOptions& options) & {
  if (prompt.empty()) raise<ConfigError>("generate: the prompt is empty");
  const std::vector<TokenId> ids = model().tokenizer().encode(
      prompt, {.add_special_tokens = options.add_special_tokens, .parse_special_tokens = options.parse_special_tokens});
  return (*this)(std::span<const TokenId>(ids), options);
}

inline std::string Generator::text(std::string_view prompt, const GenerateOptions& options) {
  std::string result;
  for (const std::string_view piece : (*this)(prompt, options)) result += piece;
  return result;
}

}  // namespace weft::inline v0
