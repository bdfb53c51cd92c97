#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include <weft/ops/params.hpp>

#include "device_test.cuh"

namespace weft::testing {

/// Attention of one token in one head, in double. key(j, d) and value(j, d) are elements of the keys that the head
/// shares, `own` is the token's own key. What the attention of the device rounds is not rounded.
template <class Query, class Key, class Value>
std::vector<double> attention_reference(const AttentionParams& p, std::size_t head, std::size_t heads,
                                        std::ptrdiff_t own, std::size_t keys, std::size_t head_dim, Query&& query,
                                        Key&& key, Value&& value) {
  std::vector<double> scores(keys, -HUGE_VAL);
  for (std::size_t j = 0; j < keys; ++j) {
    const std::ptrdiff_t distance = static_cast<std::ptrdiff_t>(j) - own;
    if (p.causal && distance > 0) continue;
    if (p.window != 0 && distance <= -static_cast<std::ptrdiff_t>(p.window)) continue;
    if (!p.key_mask.empty() && !p.key_mask[j]) continue;
    double score = 0;
    for (std::size_t d = 0; d < head_dim; ++d) score += query(d) * key(j, d);
    score *= p.scale;
    if (p.soft_cap != 0.f) score = p.soft_cap * std::tanh(score / p.soft_cap);
    if (!p.alibi_slopes.empty()) score += p.alibi_slopes[head] * static_cast<double>(distance);
    if (!p.relative_bias.empty()) {
      const auto each = static_cast<std::ptrdiff_t>(p.relative_bias.size() / heads);
      const std::ptrdiff_t at = std::clamp<std::ptrdiff_t>(distance + each / 2, 0, each - 1);
      score += p.relative_bias[head * static_cast<std::size_t>(each) + static_cast<std::size_t>(at)];
    }
    scores[j] = score;
  }
  std::vector<double> out(head_dim, 0.0);
  const double top = scores.empty() ? -HUGE_VAL : *std::max_element(scores.begin(), scores.end());
  if (top == -HUGE_VAL) return out;
  double sum = 0;
  for (std::size_t j = 0; j < keys; ++j) {
    const double weight = std::exp(scores[j] - top);
    sum += weight;
    for (std::size_t d = 0; d < head_dim; ++d) out[d] += weight * value(j, d);
  }
  for (double& x : out) x /= sum;
  return out;
}

/// By how much attention may differ: probabilities are rounded to T.
template <class T>
inline constexpr double attention_slack = 4;

template <class T>
double number(T x) {
  return static_cast<double>(static_cast<float>(x));
}

/// What scores can depend on, in host memory, and the same in device memory.
struct Biases {
  std::vector<float> slopes;
  std::vector<float> relative;
  cuda::DeviceTensor<float, 1> device_slopes;
  cuda::DeviceTensor<float, 1> device_relative;

  Biases(std::size_t heads, bool alibi, std::size_t radius, cudaStream_t stream) {
    for (std::size_t h = 0; alibi && h < heads; ++h) slopes.push_back(0.3f / static_cast<float>(h + 1));
    for (std::size_t i = 0; radius != 0 && i < heads * (2 * radius + 1); ++i)
      relative.push_back(std::sin(static_cast<float>(i)));
    device_slopes = up(slopes, stream);
    device_relative = up(relative, stream);
  }
  AttentionParams host(AttentionParams params) const {
    params.alibi_slopes = slopes;
    params.relative_bias = relative;
    return params;
  }
  AttentionParams device(AttentionParams params) const {
    params.alibi_slopes = {device_slopes.data(), slopes.size()};
    params.relative_bias = {device_relative.data(), relative.size()};
    return params;
  }

  template <class T>
  static cuda::DeviceTensor<T, 1> up(const std::vector<T>& values, cudaStream_t stream) {
    cuda::DeviceTensor<T, 1> result({values.size()}, stream);
    result.upload(TensorView<const T, 1>(values.data(), {values.size()}));
    cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return result;
  }
};

}  // namespace weft::testing
