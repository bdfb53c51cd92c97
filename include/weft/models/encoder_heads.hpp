#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/norm.hpp>
#include <weft/layers/residual.hpp>
#include <weft/models/encoder_config.hpp>
#include <weft/ops/activation.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/soft_cap.hpp>

// What makes answers of hidden states. A head without weights is none: it is false.
namespace weft::inline v0 {

namespace detail {

inline void head_activation(HeadActivation kind, TensorView<float, 2> x, const cpu::Context& ctx) {
  switch (kind) {
    case HeadActivation::tanh: return soft_cap(x, x, 1.f, ctx);
    case HeadActivation::relu: return activation(Activation::relu, x, x, ctx);
    case HeadActivation::gelu: return activation(Activation::gelu, x, x, ctx);
    case HeadActivation::gelu_tanh: return activation(Activation::gelu_tanh, x, x, ctx);
    case HeadActivation::quick_gelu: return activation(Activation::quick_gelu, x, x, ctx);
    case HeadActivation::silu: return activation(Activation::silu, x, x, ctx);
  }
}

/// Throws ShapeError unless what a head answers has room in y: (rows, width), the elements of a row one after the
/// other.
inline void require_answers(const char* head, TensorView<float, 2> y, std::size_t rows, std::size_t width) {
  require_shape(head, "y", y.extents(), Dims<2>{rows, width});
  if (y.extent(1) > 1 && y.stride(1) != 1)
    raise<ShapeError>(head, ": the elements of a row of y must lie one after the other");
}

/// x = norm(x).
template <class Backend>
void norm_in_place(RowsOn<Backend> x, const NormWeightsOn<Backend>& weights, const NormParams& params,
                   const typename Backend::Context& ctx) {
  norm(x, weights, x, params, ctx);
}

}  // namespace detail

/// y = x weight^T + bias, by itself the head that classifies: next sentences, tokens, the ends of answers.
template <class Backend>
struct LinearHeadOn {
  typename Backend::Matrix weight;  // (classes, hidden)
  typename Backend::Bias bias{};    // (classes)

  explicit operator bool() const noexcept { return static_cast<bool>(weight); }
  std::size_t classes() const { return weight.extent(0); }
  /// x: (rows, hidden), y: (rows, classes).
  void forward(InputOn<Backend> x, RowsOn<Backend> y, const typename Backend::Context& ctx) const {
    linear(x, weight, y, ctx, detail::bias_or_null(bias));
  }
};
using LinearHead = LinearHeadOn<cpu::Backend>;

/// y = f(linear x): what sentence-transformers may put behind the pooling.
template <class Backend>
struct SentenceLayerOn {
  LinearHeadOn<Backend> linear;  // (out, hidden)
  std::optional<HeadActivation> activation{};

  explicit operator bool() const noexcept { return static_cast<bool>(linear); }
  /// x: (sequences, hidden), y: (sequences, out).
  void forward(InputOn<Backend> x, RowsOn<Backend> y, const typename Backend::Context& ctx) const {
    using detail::head_activation;
    linear.forward(x, y, ctx);
    if (activation) head_activation(*activation, y, ctx);
  }
};
using SentenceLayer = SentenceLayerOn<cpu::Backend>;

/// y = output f(dense x): sequence classification on first tokens, ELECTRA's discriminator on every token; or, without
/// a dense part, y = output x, as BERT classifies what its pooler makes.
template <class Backend>
struct DenseHeadOn {
  LinearHeadOn<Backend> dense;   // (hidden, hidden)
  LinearHeadOn<Backend> output;  // (classes, hidden)

  explicit operator bool() const noexcept { return static_cast<bool>(output); }
  /// x: (rows, hidden), scratch: the same shape, y: (rows, classes).
  void forward(InputOn<Backend> x, HeadActivation kind, RowsOn<Backend> scratch, RowsOn<Backend> y,
               const typename Backend::Context& ctx) const {
    using detail::head_activation;
    if (!dense) return output.forward(x, y, ctx);
    dense.forward(x, scratch, ctx);
    head_activation(kind, scratch, ctx);
    output.forward(scratch, y, ctx);
  }
};
using DenseHead = DenseHeadOn<cpu::Backend>;

/// logits = decoder norm(f(dense x)) + bias, the decoder being the embedding table, and, where that is narrower than
/// what the dense part makes, `rest` beside it.
template <class Backend>
struct MaskedWordHeadOn {
  LinearHeadOn<Backend> dense;         // (embedding + rest, hidden)
  NormWeightsOn<Backend> norm{};       // (embedding + rest)
  typename Backend::Matrix decoder{};  // (vocab, embedding)
  typename Backend::Matrix rest{};     // (vocab, rest); none in most families
  typename Backend::Bias bias{};       // (vocab)

  explicit operator bool() const noexcept { return static_cast<bool>(decoder); }
  /// x: (rows, hidden), scratch: (rows, embedding + rest), logits: (rows, vocab).
  void forward(TensorView<const float, 2> x, HeadActivation kind, float norm_eps, TensorView<float, 2> scratch,
               TensorView<float, 2> logits, const cpu::Context& ctx) const {
    Tensor<float, 2> more;
    if (rest) more = Tensor<float, 2>::uninitialised(logits.extents());
    forward(x, kind, norm_eps, decoder, scratch, more, logits, ctx);
  }
  /// The same with another decoder. more: (rows, vocab), scratch where there is a rest.
  void forward(InputOn<Backend> x, HeadActivation kind, float norm_eps, const typename Backend::Matrix& words,
               RowsOn<Backend> scratch, RowsOn<Backend> more, RowsOn<Backend> logits,
               const typename Backend::Context& ctx) const {
    using detail::head_activation;
    dense.forward(x, scratch, ctx);
    head_activation(kind, scratch, ctx);
    detail::norm_in_place<Backend>(scratch, norm, {.eps = norm_eps, .kind = NormKind::layer}, ctx);
    const std::size_t width = words.extent(1);
    linear(scratch.narrow(1, 0, width), words, logits, ctx, detail::bias_or_null(bias));
    if (!rest) return;
    constexpr ResidualParams adding{.form = BlockForm::pre_norm, .norm = {}};
    typename Backend::Residual sum(logits);
    linear_onto(scratch.narrow(1, width, rest.extent(1)), rest, nullptr, more, ctx, sum.onto(adding));
    sum.add(more, adding, ctx);
    sum.rows(ctx);
  }
};
using MaskedWordHead = MaskedWordHeadOn<cpu::Backend>;

/// Which head of an encoder (EncoderWeights).
enum class EncoderHead : unsigned char {
  pooler,
  masked_word,
  next_sentence,
  sequence_classes,
  token_classes,
  answer_ends,
  replaced_word,
  sentence,
};

/// Scratch of a head.
template <class Backend>
struct HeadBuffersOn {
  RowsOn<Backend> dense = {};  // (rows, what its dense part makes)
  RowsOn<Backend> more = {};   // (rows, vocab), of masked words with a rest
};

/// The width of HeadBuffersOn::dense; 0: it is not used.
template <class Weights>
std::size_t dense_width(EncoderHead head, const Weights& weights) {
  const auto width = [](const auto& dense) { return dense ? dense.classes() : 0; };
  switch (head) {
    case EncoderHead::masked_word: return width(weights.masked_word.dense);
    case EncoderHead::sequence_classes: return width(weights.sequence_classes.dense);
    case EncoderHead::replaced_word: return width(weights.replaced_word.dense);
    default: return 0;
  }
}

/// y = what a head makes of x (rows, hidden). weights: EncoderWeights, or what has heads of the same names on another
/// backend; words: the decoder of masked words.
template <class Backend, class Weights>
void run_head(EncoderHead head, const Weights& weights, const typename Backend::Matrix& words, const EncoderConfig& c,
              InputOn<Backend> x, const HeadBuffersOn<Backend>& buffers, RowsOn<Backend> y,
              const typename Backend::Context& ctx) {
  using detail::head_activation;
  switch (head) {
    case EncoderHead::pooler: weights.pooler.forward(x, y, ctx); return head_activation(HeadActivation::tanh, y, ctx);
    case EncoderHead::masked_word:
      return weights.masked_word.forward(x, c.masked_activation, c.norm_eps, words, buffers.dense, buffers.more, y,
                                         ctx);
    case EncoderHead::next_sentence: return weights.next_sentence.forward(x, y, ctx);
    case EncoderHead::sequence_classes:
      return weights.sequence_classes.forward(x, c.pooler_activation, buffers.dense, y, ctx);
    case EncoderHead::token_classes: return weights.token_classes.forward(x, y, ctx);
    case EncoderHead::answer_ends: return weights.answer_ends.forward(x, y, ctx);
    case EncoderHead::replaced_word:
      return weights.replaced_word.forward(x, c.replaced_activation, buffers.dense, y, ctx);
    case EncoderHead::sentence: return weights.sentence.forward(x, y, ctx);
  }
}

/// Runs heads elsewhere, as on a device: y = what a head makes of x (rows, hidden), contiguous.
using EncoderHeadRunner = std::function<void(EncoderHead head, TensorView<const float, 2> x, TensorView<float, 2> y)>;

}  // namespace weft::inline v0
