#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

/// How a token is chosen; the defaults draw from the model's own distribution. Temperature 0 and top_k 1 choose the
/// likeliest token, and so does top_p towards 0.
struct SamplingParams {
  float temperature = 1.f;         // at least 0
  std::size_t top_k = 0;           // 0: off
  float top_p = 1.f;               // in (0, 1]; 1: off
  float min_p = 0.f;               // in [0, 1); 0: off
  float repetition_penalty = 1.f;  // above 0; 1: off
  float frequency_penalty = 0.f;
  float presence_penalty = 0.f;
  std::size_t penalty_window = 0;  // how many of the latest tokens the penalties see; 0: all
  std::uint64_t seed = 0;
};

namespace detail {

/// Throws ConfigError unless a temperature is finite and at least 0.
inline void check_temperature(float temperature) {
  if (!(temperature >= 0.f && temperature <= std::numeric_limits<float>::max()))
    raise<ConfigError>("temperature is ", temperature, ", allowed: finite and at least 0");
}

inline void check_top_p(float p) {
  if (!(p > 0.f && p <= 1.f)) raise<ConfigError>("top_p is ", p, ", allowed: above 0 and at most 1");
}

inline void check_min_p(float p) {
  if (!(p >= 0.f && p < 1.f)) raise<ConfigError>("min_p is ", p, ", allowed: at least 0 and below 1");
}

inline void check_penalties(float repetition, float frequency, float presence) {
  constexpr float largest = std::numeric_limits<float>::max();
  if (!(repetition > 0.f && repetition <= largest))
    raise<ConfigError>("repetition_penalty is ", repetition, ", allowed: finite and above 0");
  if (!(frequency >= -largest && frequency <= largest))
    raise<ConfigError>("frequency_penalty is ", frequency, ", allowed: finite");
  if (!(presence >= -largest && presence <= largest))
    raise<ConfigError>("presence_penalty is ", presence, ", allowed: finite");
}

}  // namespace detail

/// Throws ConfigError naming the first parameter that is out of range.
inline void validate(const SamplingParams& params) {
  detail::check_temperature(params.temperature);
  detail::check_top_p(params.top_p);
  detail::check_min_p(params.min_p);
  detail::check_penalties(params.repetition_penalty, params.frequency_penalty, params.presence_penalty);
}

}  // namespace weft::inline v0
