#pragma once

// What the sampling tests compare with: definitions written out with a full sort and double precision.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cpu/sampling.hpp>

namespace weft_tests {

inline constexpr float infinity = std::numeric_limits<float>::infinity();
inline constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

/// Those of every instruction set this processor has.
inline std::vector<const weft::cpu::SamplingKernels*> every_kernels() {
  std::vector<const weft::cpu::SamplingKernels*> kernels;
  for (const weft::cpu::Isa isa : weft::cpu::all_isas)
    if (weft::cpu::supported(isa)) kernels.push_back(&weft::cpu::sampling_kernels_for(isa));
  return kernels;
}

/// Indices in descending order of the value, the lower index first among equals.
inline std::vector<std::size_t> descending(std::span<const float> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  return order;
}

inline std::vector<bool> kept_by_top_k(std::span<const float> values, std::size_t k) {
  std::vector<bool> kept(values.size(), false);
  const std::vector<std::size_t> order = descending(values);
  for (std::size_t i = 0; i < std::min(k, order.size()); ++i) kept[order[i]] = true;
  return kept;
}

/// A weight in [0, 2) rounded to a multiple of 2^-43, as the number of those.
inline std::uint64_t count_units(float weight) {
  return static_cast<std::uint64_t>(std::nearbyint(std::ldexp(static_cast<double>(weight), 43)));
}

/// Tokens whose sum of weights before them does not exceed p times the sum of all. Weights of less than half a unit,
/// which no draw reaches, are left out.
inline std::vector<bool> kept_by_top_p(std::span<const float> weights, float p) {
  std::uint64_t total = 0;
  for (const float w : weights) total += count_units(w);
  const double limit = static_cast<double>(p) * static_cast<double>(total);
  std::vector<bool> kept(weights.size(), false);
  std::uint64_t before = 0;
  for (const std::size_t i : descending(weights)) {
    if (before > static_cast<std::uint64_t>(limit)) break;
    kept[i] = count_units(weights[i]) != 0;
    before += count_units(weights[i]);
  }
  return kept;
}

inline std::vector<double> softmax(std::span<const float> logits, double temperature = 1.0) {
  const double max = *std::ranges::max_element(logits);
  std::vector<double> p;
  for (const float x : logits) p.push_back(std::exp((static_cast<double>(x) - max) / temperature));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

/// The probabilities of the kept ones, renormalised; the others 0.
inline std::vector<double> renormalised(std::vector<double> p, const std::vector<bool>& kept) {
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = kept[i] ? p[i] : 0.0;
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

inline std::vector<float> as_floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

struct ChiSquare {
  double statistic;
  double threshold;  // exceeded by chance once in 10000
  bool impossible;   // something of probability 0 was drawn
};

/// Pearson's chi-square test of counts against probabilities. Outcomes expected less than 5 times share one cell. The
/// threshold is the approximation of Wilson and Hilferty 1931 at significance 1e-4.
inline ChiSquare chi_square(std::span<const std::size_t> counts, std::span<const double> probabilities) {
  const double draws = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
  double statistic = 0;
  double rare_expected = 0;
  double rare_found = 0;
  int cells = 0;
  bool impossible = false;
  const auto add = [&](double found, double expected) {
    statistic += (found - expected) * (found - expected) / expected;
    ++cells;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = probabilities[i] * draws;
    if (probabilities[i] == 0.0) {
      impossible = impossible || counts[i] != 0;
    } else if (expected < 5.0) {
      rare_expected += expected;
      rare_found += static_cast<double>(counts[i]);
    } else {
      add(static_cast<double>(counts[i]), expected);
    }
  }
  if (rare_expected > 0) add(rare_found, rare_expected);
  const double df = std::max(1, cells - 1);
  const double root = 1.0 - 2.0 / (9.0 * df) + 3.719 * std::sqrt(2.0 / (9.0 * df));
  return {statistic, df * root * root * root, impossible};
}

/// Counts `draws` results of draw() below `vocab`.
template <class Draw>
std::vector<std::size_t> tally(std::size_t vocab, std::size_t draws, Draw&& draw) {
  std::vector<std::size_t> counts(vocab, 0);
  for (std::size_t i = 0; i < draws; ++i) ++counts.at(static_cast<std::size_t>(draw()));
  return counts;
}

/// Logits in [-range, range), multiples of 2^-15 of it: the same with every compiler.
inline std::vector<float> random_logits(weft::Philox& rng, std::size_t vocab, float range = 4.f) {
  std::vector<float> logits(vocab);
  for (float& x : logits) x = static_cast<float>(static_cast<int>(rng() >> 16) - 32768) * 0x1p-15f * range;
  return logits;
}

/// The message of the Expected that f throws, or what happened instead.
template <class Expected, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another exception: ") + error.what();
  }
  return "nothing was thrown";
}

}  // namespace weft_tests
