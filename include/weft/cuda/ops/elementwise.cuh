#pragma once

#include <concepts>
#include <type_traits>

#include <weft/cuda/ops/traverse.cuh>

// Element by element on tensors of device memory, with PyTorch's semantics: the operands broadcast to the shape of the
// result, which comes last. Element types are not promoted. Half precision is computed in float. The result may be an
// operand of the same shape and strides.

namespace weft::inline v0::cuda {

namespace detail {

struct CopyElement {
  template <class T>
  __device__ __forceinline__ T operator()(T x) const {
    return x;
  }
};

template <Storage Y>
struct CastElement {
  template <Storage T>
  __device__ __forceinline__ Y operator()(T x) const {
    return from_float<Y>(to_float(x));
  }
};

struct AddElements {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    if constexpr (Storage<T>) {
      return from_float<T>(to_float(a) + to_float(b));
    } else if constexpr (std::same_as<T, double>) {
      return a + b;
    } else {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    }
  }
};

struct MulElements {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    if constexpr (Storage<T>) {
      return from_float<T>(to_float(a) * to_float(b));
    } else if constexpr (std::same_as<T, double>) {
      return a * b;
    } else {
      return static_cast<T>(static_cast<unsigned long long>(a) * static_cast<unsigned long long>(b));
    }
  }
};

struct ScaleElement {
  float factor;
  template <Storage T>
  __device__ __forceinline__ T operator()(T x) const {
    return from_float<T>(to_float(x) * factor);
  }
};

struct ChooseElement {
  template <class T>
  __device__ __forceinline__ T operator()(bool chosen, T yes, T no) const {
    return chosen ? yes : no;
  }
};

template <class T>
struct ChooseOrValue {
  T value;
  __device__ __forceinline__ T operator()(bool chosen, T otherwise) const { return chosen ? value : otherwise; }
};

template <class T>
struct Value {
  T value;
  __device__ __forceinline__ T operator()() const { return value; }
};

}  // namespace detail

/// Every element of y = value.
template <DeviceTensorLike Y>
void fill(Y&& y, device_value_t<Y> value, cudaStream_t stream = {}) {
  detail::transform("fill", detail::Value<device_value_t<Y>>{value}, device_view(y), stream);
}

/// y = x, of the same element type or, among those of floating point, converted to that of y.
template <DeviceTensorLike X, DeviceTensorLike Y>
void copy(const X& x, Y&& y, cudaStream_t stream = {}) {
  using T = device_value_t<Y>;
  if constexpr (std::same_as<device_value_t<X>, T>) {
    detail::transform("copy", detail::CopyElement{}, device_view(y), stream, device_view(x));
  } else {
    detail::transform("copy", detail::CastElement<T>{}, device_view(y), stream, device_view(x));
  }
}

/// y = a + b. Integers wrap around.
template <DeviceTensorLike A, DeviceTensorLike B, DeviceTensorLike Y>
void add(const A& a, const B& b, Y&& y, cudaStream_t stream = {}) {
  static_assert(std::same_as<device_value_t<A>, device_value_t<B>>, "add: both operands have the same element type");
  static_assert(!std::same_as<device_value_t<A>, bool>, "add: bool has no arithmetic");
  detail::transform("add", detail::AddElements{}, device_view(y), stream, device_view(a), device_view(b));
}

/// y = a * b. Integers wrap around.
template <DeviceTensorLike A, DeviceTensorLike B, DeviceTensorLike Y>
void mul(const A& a, const B& b, Y&& y, cudaStream_t stream = {}) {
  static_assert(std::same_as<device_value_t<A>, device_value_t<B>>, "mul: both operands have the same element type");
  static_assert(!std::same_as<device_value_t<A>, bool>, "mul: bool has no arithmetic");
  detail::transform("mul", detail::MulElements{}, device_view(y), stream, device_view(a), device_view(b));
}

/// y = factor * x, of floating point.
template <DeviceTensorLike X, DeviceTensorLike Y>
void scale(const X& x, float factor, Y&& y, cudaStream_t stream = {}) {
  static_assert(std::same_as<device_value_t<X>, device_value_t<Y>>, "scale: x and y have the same element type");
  detail::transform("scale", detail::ScaleElement{factor}, device_view(y), stream, device_view(x));
}

/// y = condition ? a : b.
template <DeviceTensorLike Condition, DeviceTensorLike A, DeviceTensorLike B, DeviceTensorLike Y>
void where(const Condition& condition, const A& a, const B& b, Y&& y, cudaStream_t stream = {}) {
  static_assert(std::same_as<device_value_t<Condition>, bool>, "where: the condition is a tensor of bool");
  static_assert(std::same_as<device_value_t<A>, device_value_t<B>>, "where: both choices have the same element type");
  detail::transform("where", detail::ChooseElement{}, device_view(y), stream, device_view(condition), device_view(a),
                    device_view(b));
}

/// y = x with `value` wherever the mask is true.
template <DeviceTensorLike X, DeviceTensorLike Mask, DeviceTensorLike Y>
void masked_fill(const X& x, const Mask& mask, device_value_t<X> value, Y&& y, cudaStream_t stream = {}) {
  static_assert(std::same_as<device_value_t<Mask>, bool>, "masked_fill: the mask is a tensor of bool");
  detail::transform("masked_fill", detail::ChooseOrValue<device_value_t<X>>{value}, device_view(y), stream,
                    device_view(mask), device_view(x));
}

}  // namespace weft::inline v0::cuda
