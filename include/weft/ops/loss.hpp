#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include <weft/core/tensor.hpp>
#include <weft/ops/accumulate.hpp>
#include <weft/ops/traverse.hpp>

namespace weft::inline v0 {

/// How the losses of single samples become one: not at all, their sum, or their mean.
enum class Reduction { none, sum, mean };

template <Element T>
struct CrossEntropyParams {
  TensorView<const T, 1> class_weights = {};  // (classes); no elements: every class weighs 1
  std::int64_t ignore_index = -100;           // samples with this target count neither in the sum nor in the mean
  double label_smoothing = 0.0;               // in [0, 1]: this share of the target goes to all classes evenly
};

namespace detail {

struct SampleLoss {
  double loss;
  double weight;
};

/// The loss of one sample over its logits (classes).
template <class T>
SampleLoss cross_entropy_of(const TensorView<T, 1>& logits, std::size_t target,
                            const CrossEntropyParams<std::remove_const_t<T>>& params) {
  double greatest = -std::numeric_limits<double>::infinity();
  for (std::size_t c = 0; c < logits.extent(0); ++c) greatest = std::max(greatest, static_cast<double>(logits[c]));
  double sum = 0;
  for (std::size_t c = 0; c < logits.extent(0); ++c) sum += std::exp(static_cast<double>(logits[c]) - greatest);
  const double log_sum = std::log(sum);
  const auto weight = [&](std::size_t c) {
    return params.class_weights.empty() ? 1.0 : static_cast<double>(params.class_weights[c]);
  };
  const auto negative_log = [&](std::size_t c) {
    return (log_sum - (static_cast<double>(logits[c]) - greatest)) * weight(c);
  };
  const double smoothing = params.label_smoothing;
  double loss = negative_log(target);
  if (smoothing > 0) {
    double even = 0;
    for (std::size_t c = 0; c < logits.extent(0); ++c) even += negative_log(c);
    loss = (1 - smoothing) * loss + smoothing / static_cast<double>(logits.extent(0)) * even;
  }
  return {loss, weight(target)};
}

}  // namespace detail

/// Cross entropy of logits (samples, classes, ...) against target classes (samples, ...), as torch.nn.functional's:
///
///   loss[n] = -weight[target[n]] * log_softmax(logits[n])[target[n]]
///   mean    = sum of loss[n] / sum of weight[target[n]]; NaN where every sample is ignored
///
/// and with label smoothing e: (1 - e) * that + e / classes * -(sum over c of weight[c] * log_softmax(logits[n])[c]).
/// Reduction::none gives a loss for each sample (0 for an ignored one) in the shape of `targets`, the others a scalar.
/// Calculates in double and returns the type of the logits. Throws ShapeError for shapes that do not fit and for a
/// target that is neither a class nor ignore_index, ConfigError for a label smoothing outside [0, 1].
template <Reduction R = Reduction::mean, TensorLike Logits, TensorLike Targets>
auto cross_entropy(const Logits& logits, const Targets& targets,
                   const CrossEntropyParams<value_t<Logits>>& params = {}) {
  using T = value_t<Logits>;
  static_assert(FloatingElement<T>, "cross_entropy: logits have a floating element type");
  static_assert(std::same_as<value_t<Targets>, std::int32_t> || std::same_as<value_t<Targets>, std::int64_t>,
                "cross_entropy: targets are i32 or i64");
  static_assert(rank_of<Logits> >= 2 && rank_of<Targets> + 1 == rank_of<Logits>,
                "cross_entropy: logits are (samples, classes, ...), targets (samples, ...)");
  constexpr std::size_t rank = rank_of<Logits>;
  static_assert(detail::same_extent<Logits, 0, Targets, 0>, "cross_entropy: as many targets as samples");
  const auto from = view(logits);
  const auto to = view(targets);
  const std::size_t classes = from.extent(1);
  detail::require_shape("cross_entropy", "the targets", to.extents(), detail::without_dim(from.extents(), 1));
  if (!params.class_weights.empty())
    detail::require_extent("cross_entropy", "the number of class weights", params.class_weights.extent(0), classes);
  if (!(params.label_smoothing >= 0 && params.label_smoothing <= 1))
    raise<ConfigError>("cross_entropy: a label smoothing of ", params.label_smoothing, " is outside [0, 1]");

  const auto losses = [&](auto&& take) {
    detail::for_each_lane(from.extents(), 1, [&](const Dims<rank>& index) {
      const auto target = static_cast<std::int64_t>(to(detail::without_dim(index, 1)));
      if (target == params.ignore_index) return take(detail::SampleLoss{0, 0});
      if (target < 0 || static_cast<std::size_t>(target) >= classes)
        raise<ShapeError>("cross_entropy: target ", target, " is not one of ", classes, " classes");
      take(detail::cross_entropy_of(detail::lane(from, index, 1), static_cast<std::size_t>(target), params));
    });
  };
  if constexpr (R == Reduction::none) {
    auto result = Tensor<T, rank - 1>::uninitialised(to.extents());
    T* next = result.data();
    losses([&](const detail::SampleLoss& sample) { *next++ = detail::element_cast<T>(sample.loss); });
    return result;
  } else {
    double loss = 0;
    double weight = 0;
    losses([&](const detail::SampleLoss& sample) {
      loss += sample.loss;
      weight += sample.weight;
    });
    return detail::element_cast<T>(R == Reduction::sum ? loss : loss / weight);
  }
}

}  // namespace weft::inline v0
