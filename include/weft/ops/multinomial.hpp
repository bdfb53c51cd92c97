#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/ops/traverse.hpp>

namespace weft::inline v0 {

struct MultinomialParams {
  bool replacement = false;
};

namespace detail {

/// How many weights are above 0. Throws NumericError for weights that are no distribution.
template <class T>
std::size_t positive_weights(const TensorView<T, 1>& weights) {
  std::size_t positive = 0;
  double sum = 0;
  for (std::size_t i = 0; i < weights.extent(0); ++i) {
    const auto weight = static_cast<double>(weights[i]);
    if (!(weight >= 0) || std::isinf(weight))
      raise<NumericError>("multinomial: weight ", weight, " of category ", i, " is negative or not finite");
    positive += weight > 0 ? 1 : 0;
    sum += weight;
  }
  if (positive == 0) raise<NumericError>("multinomial: no weight is above 0");
  if (std::isinf(sum)) raise<NumericError>("multinomial: the sum of the weights overflows");
  return positive;
}

/// Independent draws by inversion of the cumulative weights; one uniform_double each.
template <class T>
void draw_with_replacement(const TensorView<T, 1>& weights, const TensorView<std::int64_t, 1>& samples, Philox& rng,
                           std::vector<double>& cumulative) {
  cumulative.resize(weights.extent(0));
  double sum = 0;
  std::size_t last = 0;
  for (std::size_t i = 0; i < cumulative.size(); ++i) {
    if (static_cast<double>(weights[i]) > 0) last = i;
    cumulative[i] = sum += static_cast<double>(weights[i]);
  }
  for (std::size_t s = 0; s < samples.extent(0); ++s) {
    const auto chosen = std::upper_bound(cumulative.begin(), cumulative.end(), uniform_double(rng) * sum);
    samples[s] = static_cast<std::int64_t>(std::min(static_cast<std::size_t>(chosen - cumulative.begin()), last));
  }
}

/// A race: category i arrives after an exponentially distributed time of rate weights[i], and the first arrivals are
/// the draws. Takes one uniform_double for each category, whatever its weight.
template <class T>
void draw_without_replacement(const TensorView<T, 1>& weights, const TensorView<std::int64_t, 1>& samples, Philox& rng,
                              std::vector<std::pair<double, std::int64_t>>& arrivals) {
  arrivals.clear();
  for (std::size_t i = 0; i < weights.extent(0); ++i) {
    const double log_time = std::log(-std::log1p(-uniform_double(rng)));
    const auto weight = static_cast<double>(weights[i]);
    if (weight > 0) arrivals.emplace_back(log_time - std::log(weight), static_cast<std::int64_t>(i));
  }
  const auto end = arrivals.begin() + static_cast<std::ptrdiff_t>(samples.extent(0));
  std::partial_sort(arrivals.begin(), end, arrivals.end());
  for (std::size_t s = 0; s < samples.extent(0); ++s) samples[s] = arrivals[s].second;
}

}  // namespace detail

/// Draws categories with probability weight / sum of weights: weights (categories) or (rows, categories) give indices
/// (samples) or (rows, samples). Weights need not sum to 1; a category of weight 0 is never drawn. Without replacement
/// the draws of a row are distinct and in the order drawn. The same generator state gives the same draws.
///
/// Throws ShapeError for no samples or, without replacement, for more than categories; NumericError for a weight that
/// is negative, NaN or infinite, for weights that are all 0 and, without replacement, for fewer weights above 0 than
/// samples.
template <TensorLike Weights>
Tensor<std::int64_t, rank_of<Weights>> multinomial(const Weights& weights, std::size_t samples, Philox& rng,
                                                   const MultinomialParams& params = {}) {
  constexpr std::size_t rank = rank_of<Weights>;
  static_assert(rank == 1 || rank == 2, "multinomial: weights are (categories) or (rows, categories)");
  static_assert(FloatingElement<value_t<Weights>>, "multinomial: weights have a floating element type");
  const auto from = view(weights);
  Dims<rank> extents = from.extents();
  const std::size_t categories = extents[rank - 1];
  extents[rank - 1] = samples;
  if (samples == 0) raise<ShapeError>("multinomial: no samples asked for");
  if (!params.replacement && samples > categories)
    raise<ShapeError>("multinomial: ", samples, " samples without replacement from ", categories, " categories");
  detail::for_each_lane(from.extents(), rank - 1, [&](const Dims<rank>& index) {
    const std::size_t positive = detail::positive_weights(detail::lane(from, index, rank - 1));
    if (!params.replacement && samples > positive)
      raise<NumericError>("multinomial: ", samples, " samples without replacement from ", positive,
                          " categories with a weight above 0");
  });
  auto result = Tensor<std::int64_t, rank>::uninitialised(extents);
  std::vector<double> cumulative;
  std::vector<std::pair<double, std::int64_t>> arrivals;
  detail::for_each_lane(from.extents(), rank - 1, [&](const Dims<rank>& index) {
    const auto row = detail::lane(from, index, rank - 1);
    const auto to = detail::lane(result.view(), index, rank - 1);
    if (params.replacement) {
      detail::draw_with_replacement(row, to, rng, cumulative);
    } else {
      detail::draw_without_replacement(row, to, rng, arrivals);
    }
  });
  return result;
}

}  // namespace weft::inline v0
