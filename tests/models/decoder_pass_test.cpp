#include <weft/models/decoder_pass.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <weft/ops/linear.hpp>

#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

using Numbers = std::vector<double>;

/// What the tokens of a product with a block format are rounded to: 32 at a time to multiples of the smallest power of
/// two of which 127 reach the largest, ties to even.
Numbers rounded_to_blocks(Numbers x) {
  for (std::size_t begin = 0; begin < x.size(); begin += 32) {
    const std::span<double> block(x.data() + begin, std::min<std::size_t>(32, x.size() - begin));
    double largest = 0, unit = 0x1p-60;
    for (const double value : block) largest = std::max(largest, std::abs(value));
    while (largest > 127 * unit) unit *= 2;
    for (double& value : block) value = std::nearbyint(value / unit) * unit;
  }
  return x;
}

/// Llama (Touvron et al. 2023, arXiv:2302.13971) in double precision, token by token, with the weights that a model has
/// loaded. What goes into a product is passed through `round` before.
class DoubleLlama {
 public:
  DoubleLlama(const CausalLM& model, std::function<Numbers(Numbers)> round)
      : config_(model.config()), weights_(model.weights()), round_(std::move(round)), layers_(config_.layers) {
    for (std::size_t i = 0; i < config_.layers; ++i) {
      const DecoderLayerWeights& w = weights_.layers[i];
      layers_[i] = {widened(w.attention.q),
                    widened(w.attention.k),
                    widened(w.attention.v),
                    widened(w.attention.o),
                    widened(w.mlp.gate),
                    widened(w.mlp.up),
                    widened(w.mlp.down),
                    {},
                    {}};
    }
    output_ = widened(weights_.output);
  }

  /// The logits after one more token.
  Numbers forward(TokenId id) {
    std::vector<float> row(config_.hidden);
    weight_row(weights_.embedding, static_cast<std::size_t>(id), row.data());
    Numbers x(row.begin(), row.end());
    for (std::size_t i = 0; i < config_.layers; ++i) {
      add(attend(layers_[i], normed(x, weights_.layers[i].attention_norm)), x);
      const Numbers in = normed(x, weights_.layers[i].mlp_norm);
      Numbers gate = product(in, layers_[i].gate);
      const Numbers up = product(in, layers_[i].up);
      for (std::size_t j = 0; j < gate.size(); ++j) gate[j] = gate[j] / (1 + std::exp(-gate[j])) * up[j];
      add(product(gate, layers_[i].down), x);
    }
    ++position_;
    return product(normed(x, weights_.final_norm), output_);
  }

 private:
  struct Layer {
    std::vector<float> q, k, v, o, gate, up, down;
    std::vector<Numbers> keys, values;  // of every token
  };

  static std::vector<float> widened(const AnyTensor& weight) {
    std::vector<float> values(weight.size());
    const std::size_t k = weight.extent(1);
    for (std::size_t r = 0; r < weight.extent(0); ++r) weight_row(weight, r, values.data() + r * k);
    return values;
  }
  static void add(const Numbers& part, Numbers& x) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += part[i];
  }
  Numbers normed(const Numbers& x, const NormWeights& norm) const {
    double squares = 0;
    for (const double value : x) squares += value * value;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + double{config_.norm_eps});
    Numbers y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] * scale * double{norm.gain(i)};
    return y;
  }
  Numbers product(const Numbers& x, const std::vector<float>& weight) const {
    const Numbers rounded = round_(x);
    Numbers y(weight.size() / x.size());
    for (std::size_t r = 0; r < y.size(); ++r)
      for (std::size_t i = 0; i < x.size(); ++i) y[r] += rounded[i] * double{weight[r * x.size() + i]};
    return y;
  }
  void rotate(Numbers& heads) const {
    const std::size_t d = config_.head_dim;
    for (std::size_t begin = 0; begin < heads.size(); begin += d)
      for (std::size_t i = 0; i < d / 2; ++i) {
        const double angle =
            static_cast<double>(position_) *
            std::pow(double{config_.rope.theta}, -2.0 * static_cast<double>(i) / static_cast<double>(d));
        double &a = heads[begin + i], &b = heads[begin + i + d / 2];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = rotated;
      }
  }
  Numbers attend(Layer& layer, const Numbers& x) const {
    Numbers q = product(x, layer.q), k = product(x, layer.k);
    rotate(q);
    rotate(k);
    layer.keys.push_back(k);
    layer.values.push_back(product(x, layer.v));
    const std::size_t d = config_.head_dim, group = config_.heads / config_.kv_heads;
    Numbers out(q.size());
    for (std::size_t h = 0; h < config_.heads; ++h) {
      const std::size_t from = h / group * d;
      double sum = 0;
      for (std::size_t t = 0; t <= position_; ++t) {
        double score = 0;
        for (std::size_t i = 0; i < d; ++i) score += q[h * d + i] * layer.keys[t][from + i];
        const double weight = std::exp(score / std::sqrt(static_cast<double>(d)));
        sum += weight;
        for (std::size_t i = 0; i < d; ++i) out[h * d + i] += weight * layer.values[t][from + i];
      }
      for (std::size_t i = 0; i < d; ++i) out[h * d + i] /= sum;
    }
    return product(out, layer.o);
  }

  const DecoderConfig& config_;
  const DecoderWeights& weights_;
  std::function<Numbers(Numbers)> round_;
  std::vector<Layer> layers_;
  std::vector<float> output_;
  std::size_t position_ = 0;
};

/// The root of the mean square of the differences to the logits of the reference after each token, and of those logits.
struct Deviation {
  double error, signal;
};
Deviation deviation(const CausalLM& model, std::span<const TokenId> ids, std::function<Numbers(Numbers)> round) {
  Tensor<float, 2> logits({ids.size(), model.config().vocab});
  Session session(model);
  session.forward_all(ids, logits);
  DoubleLlama reference(model, std::move(round));
  double error = 0, signal = 0;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    const Numbers expected = reference.forward(ids[t]);
    for (std::size_t v = 0; v < expected.size(); ++v) {
      error += std::pow(double{logits(t, v)} - expected[v], 2);
      signal += std::pow(expected[v], 2);
    }
  }
  const auto count = static_cast<double>(logits.size());
  return {std::sqrt(error / count), std::sqrt(signal / count)};
}

// With floats for activations, and with activations rounded as the products of block formats round them. That hides
// what floats lose on the way, but for one that falls to the other side of a tie.
TEST(DecoderPass, LogitsAreThoseOfDoublesAtEqualRounding) {
  const std::vector<TokenId> ids = some_ids(6, 4096);
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k,
                            DType::q6_k, DType::q8_128, DType::q8_row, DType::f16}) {
    SCOPED_TRACE(name(dtype));
    const auto load = [&](Compute compute) {
      return load_causal_lm(WEFT_MODELS_DIR "/tales",
                            {.weights = dtype, .threads = 2, .compute = compute, .tokenizer = false});
    };
    const auto as_it_is = [](Numbers x) { return x; };
    const Deviation exact = deviation(load(Compute::f32), ids, as_it_is);
    EXPECT_LT(exact.error, 5e-6 * exact.signal);
    if (!is_block_format(dtype)) continue;
    const CausalLM native = load(Compute::native);
    const double rounding = deviation(native, ids, as_it_is).error;
    const Deviation rounded = deviation(native, ids, rounded_to_blocks);
    EXPECT_LT(rounded.error, 1e-3 * rounded.signal);
    EXPECT_LT(rounded.error, rounding / 10);
  }
}

}  // namespace
