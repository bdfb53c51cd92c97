// weft's primitives without any model, file or tokenizer: tensors, normalisation, rotary positions, attention over a
// cache, and sampling. Needs weft::ops alone.
#include <cmath>
#include <cstdint>
#include <iostream>
#include <numeric>
#include <vector>

#include <weft/core/eigen.hpp>
#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/matmul.hpp>
#include <weft/ops/rms_norm.hpp>
#include <weft/ops/rope.hpp>
#include <weft/ops/softmax.hpp>
#include <weft/sampling/categorical.hpp>
#include <weft/sampling/greedy.hpp>
#include <weft/sampling/top_p.hpp>

namespace {

constexpr std::size_t tokens = 6;
constexpr std::size_t heads = 4;
constexpr std::size_t kv_heads = 2;
constexpr std::size_t head_dim = 16;
constexpr std::size_t hidden = heads * head_dim;
constexpr std::size_t vocab = 32;

template <std::size_t Rank>
weft::Tensor<float, Rank> normal(const weft::Dims<Rank>& extents, float deviation, weft::Philox& rng) {
  weft::Tensor<float, Rank> result(extents);
  for (float& value : result.elements()) value = deviation * static_cast<float>(weft::normal_double(rng));
  return result;
}

}  // namespace

int main() try {
  weft::Philox rng(7);

  // Tensors own their elements; views slice, transpose and reshape them without copying.
  weft::Tensor<float, 2> x = normal<2>({tokens, hidden}, 1.f, rng);
  const auto last_row = x.slice(0, tokens - 1);
  std::cout << "x: " << weft::to_string(x.shape()) << ", its last row: " << weft::to_string(last_row.shape()) << '\n';

  // Normalisation, in place.
  weft::Tensor<float, 1> gain({hidden});
  for (float& g : gain.elements()) g = 1.f;
  weft::rms_norm(x, gain, x, {.eps = 1e-5f});
  std::cout << "mean square after rms_norm: " << weft::as_eigen(x).array().square().mean() << '\n';

  // Projections: x W^T with the weights as checkpoints store them.
  const auto w_q = normal<2>({hidden, hidden}, 0.2f, rng);
  const auto w_kv = normal<2>({kv_heads * head_dim, hidden}, 0.2f, rng);
  weft::Tensor<float, 2> queries = weft::matmul(x, w_q.transpose(0, 1));
  weft::Tensor<float, 2> keys = weft::matmul(x, w_kv.transpose(0, 1));

  // Rotary positions, then causal attention with grouped heads, keys and values kept in half precision.
  std::vector<std::int32_t> positions(tokens);
  std::iota(positions.begin(), positions.end(), 0);
  const weft::RopeTable rope(head_dim, tokens, {.theta = 10000.f});
  const auto q = queries.reshape(tokens, heads, head_dim);
  const auto k = keys.reshape(tokens, kv_heads, head_dim);
  weft::apply_rope(q, positions, rope);
  weft::apply_rope(k, positions, rope);
  weft::HalfTensor<3> cache({tokens, kv_heads, head_dim});
  for (std::size_t i = 0; i < cache.size(); ++i) cache.data()[i] = weft::half(keys.data()[i]);
  weft::Tensor<float, 3> out({tokens, heads, head_dim});
  weft::attention(q, cache, cache, out, {.scale = 1.f / std::sqrt(static_cast<float>(head_dim)), .causal = true});

  // Logits of the last token, probabilities, and three ways to choose the next.
  const auto head = normal<2>({vocab, hidden}, 0.3f, rng);
  const auto logits = weft::matmul(out.reshape(tokens, hidden).slice(0, tokens - 1), head.transpose(0, 1));
  const auto probabilities = weft::softmax(logits);
  const auto row = probabilities[0];
  std::cout << "greedy: " << weft::sample_greedy(row) << '\n';
  std::cout << "top-p:  ";
  for (int i = 0; i < 8; ++i) std::cout << weft::sample_top_p(row, 0.9f, rng) << ' ';
  std::cout << '\n';

  // Mistakes are exceptions that say what, found and expected.
  try {
    weft::rms_norm(x, weft::Tensor<float, 1>({hidden + 1}), x, {.eps = 1e-5f});
  } catch (const weft::ShapeError& error) {
    std::cout << "a wrong shape: " << error.what() << '\n';
  }
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
