#pragma once

#include <utility>

#include <weft/cuda/layers/norm.cuh>
#include <weft/layers/transformer_block.hpp>

namespace weft::inline v0::cuda {

namespace detail {

/// a + factor * b.
struct AddScaled {
  float factor;
  template <Storage T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return from_float<T>(to_float(a) + factor * to_float(b));
  }
};

}  // namespace detail

/// The rows x that go through the layers (tokens, hidden), to each of which the parts of a layer add. What is added
/// waits for the norm that reads x next, which then adds it itself.
template <HalfStorage T>
class DeviceResidual {
 public:
  using Rows = TensorView<T, 2>;

  /// `scale`: what is added to x is multiplied with it.
  DeviceResidual(Rows x, const NormParams& params, float scale, cudaStream_t stream) noexcept
      : x_(x), params_(params), scale_(scale), stream_(stream) {}

  /// x, all that was added to it in it.
  Rows rows() {
    if (to_add_.data())
      detail::transform("residual", detail::AddScaled{scale_}, x_, stream_, x_, std::exchange(to_add_, {}));
    return x_;
  }
  void add(Rows y) {
    rows();
    to_add_ = y;
  }
  /// y = norm(x); y may be x.
  void norm_to(const DeviceNorm& w, Rows y) {
    if (!to_add_.data() || scale_ != 1.f) return norm(rows(), w, y, params_, stream_);
    add_norm(std::exchange(to_add_, {}), x_, w, y, params_, stream_);
  }

  /// One part of a layer, as BlockForm says of those that are not parallel: f(in, out) computes it from rows `in` and
  /// may write them. y: (tokens, hidden), scratch, which is not used again before the next norm.
  template <class F>
  void part(BlockForm form, const DeviceNorm& w, const DeviceNorm& post_norm, Rows y, F&& f) {
    const bool before = weft::detail::norm_before(form);
    if (before) norm_to(w, y);
    f(before ? y : rows(), y);
    if (weft::detail::norm_after(form)) norm(y, post_norm, y, params_, stream_);
    add(y);
    if (form == BlockForm::residual_norm) norm_to(w, x_);
  }

 private:
  Rows x_;
  NormParams params_;
  float scale_;
  cudaStream_t stream_;
  Rows to_add_;
};

}  // namespace weft::inline v0::cuda
