#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/sampling/params.hpp>

namespace weft::inline v0 {

/// What a checkpoint recommends for generation: generation_config.json, and config.json for the token ids it lacks.
struct GenerationConfig {
  std::vector<TokenId> eos;  ///< any of these ends a text
  std::optional<TokenId> bos;
  bool do_sample = false;  ///< false: greedy
  float temperature = 1.f;
  std::size_t top_k = 0;  ///< 0: off
  float top_p = 1.f;
  float repetition_penalty = 1.f;
  std::optional<TokenId> decoder_start{};            ///< what the texts of an encoder-decoder begin with
  std::optional<TokenId> forced_bos{};               ///< what follows a prompt of one token
  std::optional<TokenId> forced_eos{};               ///< the last of as many tokens as are asked for
  std::vector<std::vector<TokenId>> banned_words{};  ///< sequences of tokens that never occur
  std::size_t no_repeat_ngram_size = 0;              ///< no run of so many tokens occurs twice; 0: off
  std::size_t min_length = 0;                        ///< tokens, with the prompt, before a text may end

  /// How the checkpoint has tokens chosen, for a Generator or Sampler, the seed being the caller's: greedily unless
  /// do_sample, as transformers does. A Generator sees to banned words, n-grams and lengths by itself.
  ///
  ///   weft::Generator generate(model, model.generation_config().sampling(seed));
  SamplingParams sampling(std::uint64_t seed = 0) const noexcept {
    SamplingParams params{.temperature = 0.f, .repetition_penalty = repetition_penalty, .seed = seed};
    if (!do_sample) return params;
    params.temperature = temperature;
    params.top_k = top_k;
    params.top_p = top_p;
    return params;
  }
};

namespace detail {

inline TokenId read_token_id(const Json& value, std::size_t vocab) {
  const std::int64_t id = value.as_int();
  if (id < 0 || static_cast<std::size_t>(id) >= vocab)
    raise<ConfigError>(value.location(), ": token id ", id, " is outside the vocabulary of ", vocab);
  return static_cast<TokenId>(id);
}

/// One token id; the first where there are several.
inline TokenId read_first_token_id(const Json& value, std::size_t vocab) {
  return read_token_id(value.is_array() ? value.at(0) : value, vocab);
}

inline std::vector<TokenId> read_token_ids(const Json& value, std::size_t vocab) {
  std::vector<TokenId> ids;
  if (value.is_array()) {
    for (const Json& element : value) ids.push_back(read_token_id(element, vocab));
  } else {
    ids.push_back(read_token_id(value, vocab));
  }
  return ids;
}

}  // namespace detail

/// Throws ConfigError for token ids outside the vocabulary, FormatError for values of another type. `generation` is
/// null where the checkpoint has no generation_config.json. Ids of -1, which some write for "none", are no ids.
inline GenerationConfig read_generation_config(const Json& config, const Json* generation, std::size_t vocab) {
  const auto given = [&](std::string_view key) -> const Json* {
    const auto usable = [](const Json* value) { return value && !(value->is_int() && value->as_int() == -1); };
    if (generation)
      if (const Json* value = generation->given(key); usable(value)) return value;
    const Json* value = config.given(key);
    return usable(value) ? value : nullptr;
  };
  GenerationConfig result;
  if (const Json* eos = given("eos_token_id")) result.eos = detail::read_token_ids(*eos, vocab);
  if (const Json* bos = given("bos_token_id"); bos && bos->is_int()) result.bos = detail::read_token_id(*bos, vocab);
  if (const Json* start = given("decoder_start_token_id"))
    result.decoder_start = detail::read_first_token_id(*start, vocab);
  if (const Json* bos = given("forced_bos_token_id")) result.forced_bos = detail::read_first_token_id(*bos, vocab);
  if (const Json* eos = given("forced_eos_token_id")) result.forced_eos = detail::read_first_token_id(*eos, vocab);
  if (const Json* words = given("bad_words_ids"))
    for (const Json& word : words->as_array()) result.banned_words.push_back(detail::read_token_ids(word, vocab));
  const Json& lengths = generation ? *generation : config;
  result.no_repeat_ngram_size = lengths.get_or("no_repeat_ngram_size", std::size_t{0});
  result.min_length = lengths.get_or("min_length", std::size_t{0});
  if (!generation) return result;
  result.do_sample = generation->get_or("do_sample", false);
  result.temperature = static_cast<float>(generation->get_or("temperature", 1.0));
  result.top_k = generation->get_or("top_k", std::size_t{0});
  result.top_p = static_cast<float>(generation->get_or("top_p", 1.0));
  result.repetition_penalty = static_cast<float>(generation->get_or("repetition_penalty", 1.0));
  return result;
}

}  // namespace weft::inline v0
