#pragma once

#include <cstddef>
#include <optional>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/mlp.hpp>
#include <weft/layers/norm.hpp>
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

}  // namespace detail

/// y = x weight^T + bias, by itself the head that classifies: next sentences, tokens, the ends of answers.
struct LinearHead {
  AnyTensor weight;         // (classes, hidden)
  Tensor<float, 1> bias{};  // (classes)

  explicit operator bool() const noexcept { return static_cast<bool>(weight); }
  std::size_t classes() const { return weight.extent(0); }
  /// x: (rows, hidden), y: (rows, classes).
  void forward(TensorView<const float, 2> x, TensorView<float, 2> y, const cpu::Context& ctx) const {
    linear(x, weight, y, ctx, detail::bias_or_null(bias));
  }
};

/// y = f(linear x): what sentence-transformers may put behind the pooling.
struct SentenceLayer {
  LinearHead linear;  // (out, hidden)
  std::optional<HeadActivation> activation{};

  explicit operator bool() const noexcept { return static_cast<bool>(linear); }
  /// x: (sequences, hidden), y: (sequences, out).
  void forward(TensorView<const float, 2> x, TensorView<float, 2> y, const cpu::Context& ctx) const {
    linear.forward(x, y, ctx);
    if (activation) detail::head_activation(*activation, y, ctx);
  }
};

/// y = output f(dense x): sequence classification on first tokens, ELECTRA's discriminator on every token; or, without
/// a dense part, y = output x, as BERT classifies what its pooler makes.
struct DenseHead {
  LinearHead dense;   // (hidden, hidden)
  LinearHead output;  // (classes, hidden)

  explicit operator bool() const noexcept { return static_cast<bool>(output); }
  /// x: (rows, hidden), scratch: the same shape, y: (rows, classes).
  void forward(TensorView<const float, 2> x, HeadActivation kind, TensorView<float, 2> scratch, TensorView<float, 2> y,
               const cpu::Context& ctx) const {
    if (!dense) return output.forward(x, y, ctx);
    dense.forward(x, scratch, ctx);
    detail::head_activation(kind, scratch, ctx);
    output.forward(scratch, y, ctx);
  }
};

/// logits = decoder norm(f(dense x)) + bias, the decoder being the embedding table, and, where that is narrower than
/// what the dense part makes, `rest` beside it.
struct MaskedWordHead {
  LinearHead dense;         // (embedding + rest, hidden)
  NormWeights norm{};       // (embedding + rest)
  AnyTensor decoder;        // (vocab, embedding)
  AnyTensor rest{};         // (vocab, rest); none in most families
  Tensor<float, 1> bias{};  // (vocab)

  explicit operator bool() const noexcept { return static_cast<bool>(decoder); }
  /// x: (rows, hidden), scratch: (rows, embedding + rest), logits: (rows, vocab).
  void forward(TensorView<const float, 2> x, HeadActivation kind, float norm_eps, TensorView<float, 2> scratch,
               TensorView<float, 2> logits, const cpu::Context& ctx) const {
    dense.forward(x, scratch, ctx);
    detail::head_activation(kind, scratch, ctx);
    weft::norm(scratch, norm, scratch, {.eps = norm_eps, .kind = NormKind::layer}, ctx);
    const std::size_t width = decoder.extent(1);
    linear(scratch.narrow(1, 0, width), decoder, logits, ctx, detail::bias_or_null(bias));
    if (!rest) return;
    auto more = Tensor<float, 2>::uninitialised(logits.extents());
    linear(scratch.narrow(1, width, rest.extent(1)), rest, more, ctx);
    detail::for_each_row("masked words", more.view(), logits, ctx,
                         [&](const float* from, std::size_t n, float* to) { ctx.kernels->add(from, n, to); });
  }
};

}  // namespace weft::inline v0
