#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <variant>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0 {

/// Positions are divided by `factor` (Chen et al. 2023, arXiv:2306.15595).
struct LinearRopeScaling {
  float factor;
};

/// Llama 3.1's rule: wavelengths above original_context / low_freq_factor are stretched by `factor`, those below
/// original_context / high_freq_factor are kept, those between are interpolated (Hugging Face modeling_rope_utils.py,
/// _compute_llama3_parameters).
struct Llama3RopeScaling {
  float factor;
  float low_freq_factor;
  float high_freq_factor;
  std::size_t original_context;
};

/// Every frequency is divided by a factor of its own: what GGUF files keep of other rules (rope_freqs.weight).
struct FactorsRopeScaling {
  std::vector<float> factors;  ///< (rotary_dim / 2)
};

using RopeScaling = std::variant<std::monostate, LinearRopeScaling, Llama3RopeScaling, FactorsRopeScaling>;

struct RopeParams {
  float theta;                                ///< base of the wavelengths (rope_theta)
  RopePairing pairing = RopePairing::halves;  ///< Hugging Face's layout of Llama
  std::size_t rotary_dim = 0;                 ///< leading elements of a head that rotate; 0: all (partial rotary)
  RopeScaling scaling = {};
};

/// The angle per position of each pair: theta^(-2 i / rotary_dim), scaled; (rotary_dim / 2).
/// Throws ConfigError for theta <= 0, an odd or zero rotary_dim, or factors that are not positive or
/// of another number.
inline std::vector<float> rope_frequencies(std::size_t rotary_dim, const RopeParams& params) {
  if (!(params.theta > 0.f)) raise<ConfigError>("rope: theta is ", params.theta, ", expected a positive number");
  if (rotary_dim == 0 || rotary_dim % 2 != 0)
    raise<ConfigError>("rope: rotary_dim is ", rotary_dim, ", expected an even positive number");
  const auto positive = [](const char* what, float value) {
    if (!(value > 0.f)) raise<ConfigError>("rope scaling: ", what, " is ", value, ", expected a positive number");
  };
  std::vector<float> frequencies(rotary_dim / 2);
  for (std::size_t i = 0; i < frequencies.size(); ++i)
    frequencies[i] = 1.f / std::pow(params.theta, static_cast<float>(2 * i) / static_cast<float>(rotary_dim));
  if (const auto* linear = std::get_if<LinearRopeScaling>(&params.scaling)) {
    positive("factor", linear->factor);
    for (float& frequency : frequencies) frequency /= linear->factor;
  } else if (const auto* own = std::get_if<FactorsRopeScaling>(&params.scaling)) {
    if (own->factors.size() != frequencies.size())
      raise<ConfigError>("rope scaling: ", own->factors.size(), " factors for ", frequencies.size(), " frequencies");
    for (std::size_t i = 0; i < frequencies.size(); ++i) {
      positive("a factor", own->factors[i]);
      frequencies[i] /= own->factors[i];
    }
  } else if (const auto* llama3 = std::get_if<Llama3RopeScaling>(&params.scaling)) {
    positive("factor", llama3->factor);
    positive("low_freq_factor", llama3->low_freq_factor);
    if (!(llama3->high_freq_factor > llama3->low_freq_factor))
      raise<ConfigError>("rope scaling: high_freq_factor ", llama3->high_freq_factor, " must be above low_freq_factor ",
                         llama3->low_freq_factor);
    if (llama3->original_context == 0) raise<ConfigError>("rope scaling: the original context must be positive");
    const float context = static_cast<float>(llama3->original_context);
    for (float& frequency : frequencies) {
      const float wavelength = 2.f * std::numbers::pi_v<float> / frequency;
      if (wavelength > context / llama3->low_freq_factor) {
        frequency /= llama3->factor;
      } else if (wavelength >= context / llama3->high_freq_factor) {
        const float smooth =
            (context / wavelength - llama3->low_freq_factor) / (llama3->high_freq_factor - llama3->low_freq_factor);
        frequency = (1.f - smooth) * frequency / llama3->factor + smooth * frequency;
      }
    }
  }
  return frequencies;
}

/// Cosines and sines of position * frequency, computed once for every position of a context and shared by all layers.
class RopeTable {
 public:
  RopeTable() = default;

  /// For heads of head_dim elements and positions [0, positions). Throws ConfigError as rope_frequencies does, and
  /// where rotary_dim exceeds head_dim.
  RopeTable(std::size_t head_dim, std::size_t positions, const RopeParams& params)
      : pairing_(params.pairing), head_dim_(head_dim) {
    const std::size_t rotary_dim = params.rotary_dim == 0 ? head_dim : params.rotary_dim;
    if (rotary_dim > head_dim) raise<ConfigError>("rope: rotary_dim ", rotary_dim, " exceeds head_dim ", head_dim);
    const std::vector<float> frequencies = rope_frequencies(rotary_dim, params);
    const std::size_t pairs = frequencies.size();
    cos_ = Tensor<float, 2>::uninitialised({positions, pairs});
    sin_ = Tensor<float, 2>::uninitialised({positions, pairs});
    for (std::size_t position = 0; position < positions; ++position)
      for (std::size_t i = 0; i < pairs; ++i) {
        const float angle = static_cast<float>(position) * frequencies[i];
        cos_(position, i) = std::cos(angle);
        sin_(position, i) = std::sin(angle);
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

/// Rotary position embedding, Su et al. 2021 (arXiv:2104.09864), equation 34: every pair (a, b) of a head at position p
/// becomes (a cos - b sin, b cos + a sin) of the angle p * frequency.
///
/// x: (tokens, heads, head_dim), float, rotated in place; head_dim contiguous. positions: (tokens), inside the table.
/// Throws ShapeError where shapes differ or a position lies outside the table.
inline void apply_rope(TensorView<float, 3> x, std::span<const std::int32_t> positions, const RopeTable& table,
                       const cpu::Context& ctx = {}) {
  detail::require_extent("apply_rope", "the number of positions", positions.size(), x.extent(0));
  detail::require_extent("apply_rope", "head_dim", x.extent(2), table.head_dim());
  if (x.extent(2) > 1 && x.stride(2) != 1) raise<ShapeError>("apply_rope: the elements of a head must be contiguous");
  for (const std::int32_t position : positions)
    if (position < 0 || static_cast<std::size_t>(position) >= table.positions())
      raise<ShapeError>("apply_rope: position ", position, " is outside the table's ", table.positions());
  const std::size_t heads = x.extent(1);
  const auto token = [&](std::size_t t, std::size_t) {
    const auto p = static_cast<std::size_t>(positions[t]);
    const float* cos = table.cos().data() + p * table.pairs();
    const float* sin = table.sin().data() + p * table.pairs();
    for (std::size_t h = 0; h < heads; ++h)
      ctx.kernels->rope(x.data() + t * x.stride(0) + h * x.stride(1), cos, sin, table.pairs(), table.pairing());
  };
  if (x.size() < 16384) {
    for (std::size_t t = 0; t < positions.size(); ++t) token(t, 0);
  } else {
    detail::parallel_for(ctx, positions.size(), token);
  }
}

/// The same with a table made for this call alone: for a few tokens, or to try a rule.
inline void apply_rope(TensorView<float, 3> x, std::span<const std::int32_t> positions, const RopeParams& params,
                       const cpu::Context& ctx = {}) {
  std::size_t count = 0;
  for (const std::int32_t position : positions) {
    if (position < 0) raise<ShapeError>("apply_rope: position ", position, " is negative");
    count = std::max(count, static_cast<std::size_t>(position) + 1);
  }
  apply_rope(x, positions, RopeTable(x.extent(2), count, params), ctx);
}

}  // namespace weft::inline v0
