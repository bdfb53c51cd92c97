#pragma once

#include <cstddef>
#include <optional>

#include <weft/core/tensor_view.hpp>
#include <weft/layers/backend.hpp>
#include <weft/layers/norm.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// Where a layer normalises and what it adds to its input; f stands for attention, then for cross-attention, which
/// goes with pre_norm and residual_norm, then for the feed-forward layer.
enum class BlockForm : unsigned char {
  pre_norm,         ///< x += f(norm(x))
  residual_norm,    ///< x = norm(x + f(x)), as in BART
  post_norm,        ///< x += post_norm(f(x)), as in OLMo 2
  sandwich_norm,    ///< x += post_norm(f(norm(x))), as in Gemma 2
  parallel,         ///< x += attention(attention_norm(x)) + mlp(mlp_norm(x)), as in GPT-NeoX
  parallel_shared,  ///< x += attention(attention_norm(x)) + mlp(attention_norm(x)), as in GPT-J
};

namespace detail {

/// Whether the form has a norm before each half, and one after it.
constexpr bool norm_before(BlockForm form) noexcept {
  return form != BlockForm::post_norm && form != BlockForm::residual_norm;
}
constexpr bool norm_after(BlockForm form) noexcept {
  return form == BlockForm::post_norm || form == BlockForm::sandwich_norm;
}
constexpr bool is_parallel(BlockForm form) noexcept {
  return form == BlockForm::parallel || form == BlockForm::parallel_shared;
}

}  // namespace detail

/// How the parts of a layer are added to its rows.
struct ResidualParams {
  BlockForm form;
  NormParams norm;
  float scale = 1.f;  ///< what is added is multiplied with it
};

namespace cpu {

/// The rows x that go through the layers (tokens, hidden), to which the parts of a layer add: on the CPU the products
/// themselves, where nothing else is done with what they give.
class Residual {
 public:
  using Rows = TensorView<float, 2>;

  explicit Residual(Rows x) noexcept : x_(x) {}

  /// x, with all that was added to it.
  Rows rows(const LayerContext&) const noexcept { return x_; }
  /// What the last product of a part is to add itself to.
  std::optional<Rows> onto(const ResidualParams& params) const noexcept {
    return adds_itself(params) ? std::optional(x_) : std::nullopt;
  }
  /// x += scale * y, what a part gave that was told onto(params).
  void add(Rows y, const ResidualParams& params, const LayerContext& ctx) const {
    if (adds_itself(params)) return;
    weft::detail::for_each_row("residual", y, x_, ctx, [&](const float* from, std::size_t n, float* to) {
      if (params.scale == 1.f) return ctx.kernels->add(from, n, to);
      for (std::size_t i = 0; i < n; ++i) to[i] += params.scale * from[i];
    });
  }
  /// y = norm(x).
  void norm_to(const NormWeights& w, Rows y, const NormParams& params, const LayerContext& ctx) const {
    norm(x_, w, y, params, ctx);
  }
  /// x = norm(x).
  void norm_in_place(const NormWeights& w, const NormParams& params, const LayerContext& ctx) const {
    norm(x_, w, x_, params, ctx);
  }

 private:
  static bool adds_itself(const ResidualParams& params) noexcept {
    return params.scale == 1.f && !weft::detail::norm_after(params.form);
  }

  Rows x_;
};

}  // namespace cpu

/// Adds one part of a layer to x, as BlockForm says of those that are not parallel. f(in, out, onto) computes it: from
/// rows `in`, to `out`, which may be `in`, and to `onto`; it returns where it left its result, `out` or rows of its
/// own. scratch: (tokens, hidden), which is not used again before the next norm.
template <class Backend, class F>
void add_part(typename Backend::Residual& x, const ResidualParams& params, const NormWeightsOn<Backend>& norm_weights,
              const NormWeightsOn<Backend>& post_norm, RowsOn<Backend> scratch, const typename Backend::Context& ctx,
              F&& f) {
  const bool before = detail::norm_before(params.form);
  if (before) x.norm_to(norm_weights, scratch, params.norm, ctx);
  const RowsOn<Backend> y = f(before ? scratch : x.rows(ctx), scratch, x.onto(params));
  if (detail::norm_after(params.form)) norm(y, post_norm, y, params.norm, ctx);
  x.add(y, params, ctx);
  if (params.form == BlockForm::residual_norm) x.norm_in_place(norm_weights, params.norm, ctx);
}

}  // namespace weft::inline v0
