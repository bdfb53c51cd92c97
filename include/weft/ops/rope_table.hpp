#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <variant>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/cpu/kernels.hpp>

namespace weft::inline v0 {

/// Positions are divided by `factor` (Chen et al. 2023, arXiv:2306.15595).
struct LinearRopeScaling {
  float factor;

  bool operator==(const LinearRopeScaling&) const = default;
};

/// Llama 3.1's rule: wavelengths above original_context / low_freq_factor are stretched by `factor`, those below
/// original_context / high_freq_factor are kept, those between are interpolated (Hugging Face modeling_rope_utils.py,
/// _compute_llama3_parameters).
struct Llama3RopeScaling {
  float factor;
  float low_freq_factor;
  float high_freq_factor;
  std::size_t original_context;

  bool operator==(const Llama3RopeScaling&) const = default;
};

/// The base grows with the context, so that the longest wavelength does as much (Hugging Face modeling_rope_utils.py,
/// _compute_ntkntk_parameters, at the length of the context): theta' = theta ((factor context / original_context)
/// - (factor - 1))^(rotary_dim / (rotary_dim - 2)), where the context is longer than original_context.
struct DynamicRopeScaling {
  float factor;
  std::size_t original_context;

  bool operator==(const DynamicRopeScaling&) const = default;
};

/// YaRN (Peng et al. 2023, arXiv:2309.00071, section 3): wavelengths that turn fewer than beta_slow times in
/// original_context are stretched by `factor`, those that turn more than beta_fast times are kept, those between are
/// interpolated; cosines and sines are multiplied with attention_factor.
struct YarnRopeScaling {
  float factor;
  std::size_t original_context;
  float beta_fast = 32.f;
  float beta_slow = 1.f;
  float attention_factor = 1.f;
  bool truncate = true;  ///< the borders are rounded to whole pairs

  bool operator==(const YarnRopeScaling&) const = default;
};

/// LongRoPE (Ding et al. 2024, arXiv:2402.13753) as in Phi-3: every frequency is divided by a factor of its own, from
/// long_factor where the context is longer than original_context, else from short_factor; cosines and sines are
/// multiplied with attention_factor.
struct LongRopeScaling {
  std::vector<float> short_factor;  // (pairs)
  std::vector<float> long_factor;   // (pairs)
  std::size_t original_context;
  float attention_factor = 1.f;

  bool operator==(const LongRopeScaling&) const = default;
};

/// Every frequency is divided by a factor of its own: what GGUF files keep of other rules (rope_freqs.weight).
struct FactorsRopeScaling {
  std::vector<float> factors;  ///< (rotary_dim / 2)

  bool operator==(const FactorsRopeScaling&) const = default;
};

using RopeScaling = std::variant<std::monostate, LinearRopeScaling, DynamicRopeScaling, Llama3RopeScaling,
                                 YarnRopeScaling, LongRopeScaling, FactorsRopeScaling>;

/// YaRN's equation 22: 0.1 scale ln(factor) + 1, or 1 for factors up to 1.
inline float yarn_attention_factor(float factor, float scale) noexcept {
  return factor <= 1.f ? 1.f : 0.1f * scale * std::log(factor) + 1.f;
}

/// LongRoPE's sqrt(1 + ln(factor) / ln(original_context)), or 1 for factors up to 1.
inline float long_rope_attention_factor(float factor, std::size_t original_context) noexcept {
  if (factor <= 1.f) return 1.f;
  return static_cast<float>(
      std::sqrt(1.0 + std::log(static_cast<double>(factor)) / std::log(static_cast<double>(original_context))));
}

struct RopeParams {
  float theta;                                ///< base of the wavelengths (rope_theta)
  RopePairing pairing = RopePairing::halves;  ///< Hugging Face's layout of Llama
  std::size_t rotary_dim = 0;                 ///< leading elements of a head that rotate; 0: all (partial rotary)
  RopeScaling scaling = {};

  bool operator==(const RopeParams&) const = default;
};

namespace detail {

inline void require_positive_rope(const char* what, float value) {
  if (!(value > 0.f)) raise<ConfigError>("rope scaling: ", what, " is ", value, ", expected a positive number");
}
inline void require_original_context(std::size_t context) {
  if (context == 0) raise<ConfigError>("rope scaling: the original context must be positive");
}

// What each rule makes of the frequencies theta^(-2 i / rotary_dim).

inline void scale_frequencies(std::vector<float>&, const std::monostate&, float, std::size_t) {}

inline void scale_frequencies(std::vector<float>& frequencies, const LinearRopeScaling& linear, float, std::size_t) {
  require_positive_rope("factor", linear.factor);
  for (float& frequency : frequencies) frequency /= linear.factor;
}

inline void scale_frequencies(std::vector<float>& frequencies, const DynamicRopeScaling& dynamic, float theta,
                              std::size_t context) {
  require_positive_rope("factor", dynamic.factor);
  require_original_context(dynamic.original_context);
  const auto rotary_dim = static_cast<float>(2 * frequencies.size());
  if (context <= dynamic.original_context || frequencies.size() < 2) return;
  const float stretch = dynamic.factor * static_cast<float>(context) / static_cast<float>(dynamic.original_context) -
                        (dynamic.factor - 1.f);
  const float base = theta * std::pow(stretch, rotary_dim / (rotary_dim - 2.f));
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = 1.f / std::pow(base, static_cast<float>(2 * i) / rotary_dim);
}

inline void scale_frequencies(std::vector<float>& frequencies, const Llama3RopeScaling& llama3, float, std::size_t) {
  require_positive_rope("factor", llama3.factor);
  require_positive_rope("low_freq_factor", llama3.low_freq_factor);
  if (!(llama3.high_freq_factor > llama3.low_freq_factor))
    raise<ConfigError>("rope scaling: high_freq_factor ", llama3.high_freq_factor, " must be above low_freq_factor ",
                       llama3.low_freq_factor);
  require_original_context(llama3.original_context);
  const float context = static_cast<float>(llama3.original_context);
  for (float& frequency : frequencies) {
    const float wavelength = 2.f * std::numbers::pi_v<float> / frequency;
    if (wavelength > context / llama3.low_freq_factor) {
      frequency /= llama3.factor;
    } else if (wavelength >= context / llama3.high_freq_factor) {
      const float smooth =
          (context / wavelength - llama3.low_freq_factor) / (llama3.high_freq_factor - llama3.low_freq_factor);
      frequency = (1.f - smooth) * frequency / llama3.factor + smooth * frequency;
    }
  }
}

inline void scale_frequencies(std::vector<float>& frequencies, const YarnRopeScaling& yarn, float theta, std::size_t) {
  require_positive_rope("factor", yarn.factor);
  require_positive_rope("beta_fast", yarn.beta_fast);
  require_positive_rope("beta_slow", yarn.beta_slow);
  require_original_context(yarn.original_context);
  // The pair that turns `turns` times in the original context.
  const auto rotary_dim = 2.0 * static_cast<double>(frequencies.size());
  const auto pair_of = [&](float turns) {
    const double length =
        static_cast<double>(yarn.original_context) / (static_cast<double>(turns) * 2.0 * std::numbers::pi);
    return rotary_dim * std::log(length) / (2.0 * std::log(static_cast<double>(theta)));
  };
  double low = pair_of(yarn.beta_fast);
  double high = pair_of(yarn.beta_slow);
  if (yarn.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, rotary_dim - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const auto ramp = static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    frequencies[i] = frequencies[i] / yarn.factor * ramp + frequencies[i] * (1.f - ramp);
  }
}

inline void require_factors(const std::vector<float>& factors, std::size_t pairs) {
  if (factors.size() != pairs)
    raise<ConfigError>("rope scaling: there are ", factors.size(), " factors for ", pairs, " pairs of elements");
  for (const float factor : factors) require_positive_rope("a factor of a frequency", factor);
}

inline void scale_frequencies(std::vector<float>& frequencies, const LongRopeScaling& longer, float,
                              std::size_t context) {
  require_original_context(longer.original_context);
  require_factors(longer.short_factor, frequencies.size());
  require_factors(longer.long_factor, frequencies.size());
  const bool is_long = context > longer.original_context;
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] /= (is_long ? longer.long_factor : longer.short_factor)[i];
}

inline void scale_frequencies(std::vector<float>& frequencies, const FactorsRopeScaling& own, float, std::size_t) {
  require_factors(own.factors, frequencies.size());
  for (std::size_t i = 0; i < frequencies.size(); ++i) frequencies[i] /= own.factors[i];
}

}  // namespace detail

/// The angle per position of each pair: theta^(-2 i / rotary_dim), scaled; (rotary_dim / 2). context: the number of
/// positions that there will be, which some rules depend on.
/// Throws ConfigError for theta <= 0, an odd or zero rotary_dim, or factors that are not positive or of another number.
inline std::vector<float> rope_frequencies(std::size_t rotary_dim, const RopeParams& params, std::size_t context = 0) {
  if (!(params.theta > 0.f)) raise<ConfigError>("rope: theta is ", params.theta, ", expected a positive number");
  if (rotary_dim == 0 || rotary_dim % 2 != 0)
    raise<ConfigError>("rope: rotary_dim is ", rotary_dim, ", expected an even positive number");
  std::vector<float> frequencies(rotary_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = 1.f / std::pow(params.theta, static_cast<float>(2 * i) / static_cast<float>(rotary_dim));
  std::visit([&](const auto& rule) { detail::scale_frequencies(frequencies, rule, params.theta, context); },
             params.scaling);
  return frequencies;
}

/// What cosines and sines are multiplied with. Throws ConfigError where it is not positive.
inline float rope_attention_factor(const RopeScaling& scaling) {
  float factor = 1.f;
  if (const auto* yarn = std::get_if<YarnRopeScaling>(&scaling)) factor = yarn->attention_factor;
  if (const auto* longer = std::get_if<LongRopeScaling>(&scaling)) factor = longer->attention_factor;
  detail::require_positive_rope("attention_factor", factor);
  return factor;
}

/// Whether positions rotate alike in contexts of these two lengths.
inline bool rotates_alike(const RopeScaling& scaling, std::size_t context, std::size_t other) noexcept {
  if (const auto* ntk = std::get_if<DynamicRopeScaling>(&scaling))
    return std::max(context, ntk->original_context) == std::max(other, ntk->original_context);
  if (const auto* longer = std::get_if<LongRopeScaling>(&scaling))
    return (context > longer->original_context) == (other > longer->original_context);
  return true;
}

/// Cosines and sines of position * frequency, computed once for every position of a context and shared by all layers.
class RopeTable {
 public:
  RopeTable() = default;

  /// Positions beyond these are no floats of their own.
  static constexpr std::size_t max_positions = std::size_t{1} << 24;

  /// For heads of head_dim elements and positions [0, positions), the context. Throws ConfigError as rope_frequencies
  /// does, and where rotary_dim exceeds head_dim or positions exceed max_positions; std::bad_alloc.
  RopeTable(std::size_t head_dim, std::size_t positions, const RopeParams& params)
      : pairing_(params.pairing), head_dim_(head_dim) {
    const std::size_t rotary_dim = params.rotary_dim == 0 ? head_dim : params.rotary_dim;
    if (rotary_dim > head_dim) raise<ConfigError>("rope: rotary_dim ", rotary_dim, " exceeds head_dim ", head_dim);
    if (positions > max_positions)
      raise<ConfigError>("rope: a table of ", positions, " positions, at most ", max_positions, " are supported");
    const std::vector<float> frequencies = rope_frequencies(rotary_dim, params, positions);
    const float factor = rope_attention_factor(params.scaling);
    const std::size_t pairs = frequencies.size();
    cos_ = Tensor<float, 2>::uninitialised({positions, pairs});
    sin_ = Tensor<float, 2>::uninitialised({positions, pairs});
    for (std::size_t position = 0; position < positions; ++position)
      for (std::size_t i = 0; i < pairs; ++i) {
        const float angle = static_cast<float>(position) * frequencies[i];
        cos_(position, i) = std::cos(angle) * factor;
        sin_(position, i) = std::sin(angle) * factor;
      }
  }

  std::size_t positions() const noexcept { return cos_.extent(0); }
  std::size_t pairs() const noexcept { return cos_.extent(1); }
  std::size_t head_dim() const noexcept { return head_dim_; }
  RopePairing pairing() const noexcept { return pairing_; }
  TensorView<const float, 2> cos() const noexcept { return cos_.view(); }  // (positions, pairs)
  TensorView<const float, 2> sin() const noexcept { return sin_.view(); }  // (positions, pairs)

 private:
  RopePairing pairing_ = RopePairing::halves;
  std::size_t head_dim_ = 0;
  Tensor<float, 2> cos_;
  Tensor<float, 2> sin_;
};

}  // namespace weft::inline v0
