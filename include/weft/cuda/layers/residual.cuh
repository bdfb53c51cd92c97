#pragma once

#include <utility>

#include <weft/cuda/layers/norm.cuh>
#include <weft/layers/residual.hpp>

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

/// The rows x that go through the layers (tokens, hidden), to which the parts of a layer add. What is added waits for
/// the norm that reads x next, which then adds it itself.
template <HalfStorage T>
class DeviceResidual {
 public:
  using Rows = TensorView<T, 2>;
  using Norm = NormWeightsOn<Backend<T>>;

  explicit DeviceResidual(Rows x) noexcept : x_(x) {}

  /// x, with all that was added to it.
  Rows rows(cudaStream_t stream) {
    if (to_add_.data())
      detail::transform("residual", detail::AddScaled{scale_}, x_, stream, x_, std::exchange(to_add_, {}));
    return x_;
  }
  AddsToNothing onto(const ResidualParams&) const noexcept { return {}; }
  /// x += scale * y; y stays what it is until x is read.
  void add(Rows y, const ResidualParams& params, cudaStream_t stream) {
    rows(stream);
    to_add_ = y;
    scale_ = params.scale;
  }
  /// y = norm(x); y may be what was added.
  void norm_to(const Norm& w, Rows y, const NormParams& params, cudaStream_t stream) {
    if (!to_add_.data() || scale_ != 1.f) return norm(rows(stream), w, y, params, stream);
    add_norm(std::exchange(to_add_, {}), x_, w, y, params, stream);
  }
  /// x = norm(x).
  void norm_in_place(const Norm& w, const NormParams& params, cudaStream_t stream) { norm_to(w, x_, params, stream); }

 private:
  Rows x_;
  Rows to_add_;
  float scale_ = 1.f;
};

}  // namespace weft::inline v0::cuda
