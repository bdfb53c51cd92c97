#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/cpu/dispatch.hpp>

// Random weights for the tests of layers, and the same numbers in double for their references.
namespace weft_tests {

/// Numbers in [-1, 1), the same for the same seed.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : rng_(seed) {}
  float operator()() { return static_cast<float>(2.0 * weft::uniform_double(rng_) - 1.0); }

  template <std::size_t Rank>
  weft::Tensor<float, Rank> tensor(const weft::Dims<Rank>& extents) {
    weft::Tensor<float, Rank> result(extents);
    for (float& x : result.elements()) x = (*this)();
    return result;
  }
  weft::Tensor<float, 1> vector(std::size_t n) { return tensor<1>({n}); }

  weft::AnyTensor matrix(weft::DType dtype, std::size_t rows, std::size_t columns) {
    return weft::AnyTensor::make(dtype, {rows, columns}, [&](std::span<std::byte> bytes) {
      weft::visit_among<float, weft::half, weft::bfloat16>(dtype, "test", [&]<class T>(std::type_identity<T>) {
        T* to = reinterpret_cast<T*>(bytes.data());
        for (std::size_t i = 0; i < rows * columns; ++i) to[i] = T((*this)());
      });
    });
  }

 private:
  weft::Philox rng_;
};

using Rows = std::vector<std::vector<double>>;  // (tokens, width)

inline Rows rows_of(weft::TensorView<const float, 2> x) {
  Rows rows(x.extent(0), std::vector<double>(x.extent(1)));
  for (std::size_t t = 0; t < x.extent(0); ++t)
    for (std::size_t i = 0; i < x.extent(1); ++i) rows[t][i] = static_cast<double>(x(t, i));
  return rows;
}

/// x weight^T + bias in double.
inline Rows naive_linear(const Rows& x, const weft::AnyTensor& weight, const weft::Tensor<float, 1>& bias) {
  Rows y(x.size(), std::vector<double>(weight.extent(0)));
  weft::visit_among<float, weft::half, weft::bfloat16>(weight.dtype(), "test", [&]<class T>(std::type_identity<T>) {
    const auto w = weight.view<T, 2>();
    for (std::size_t t = 0; t < x.size(); ++t)
      for (std::size_t r = 0; r < w.extent(0); ++r) {
        y[t][r] = bias.empty() ? 0.0 : static_cast<double>(bias(r));
        for (std::size_t i = 0; i < w.extent(1); ++i)
          y[t][r] += x[t][i] * static_cast<double>(static_cast<float>(w(r, i)));
      }
  });
  return y;
}

inline double max_difference(weft::TensorView<const float, 2> found, const Rows& expected) {
  double most = found.extent(0) == expected.size() ? 0.0 : INFINITY;
  for (std::size_t t = 0; t < expected.size(); ++t)
    for (std::size_t i = 0; i < expected[t].size(); ++i) {
      const double difference = std::fabs(static_cast<double>(found(t, i)) - expected[t][i]);
      if (!(difference <= most)) most = difference;
    }
  return most;
}

inline std::vector<const weft::cpu::Kernels*> all_kernels() {
  std::vector<const weft::cpu::Kernels*> kernels;
  for (const weft::cpu::Isa isa : weft::cpu::all_isas)
    if (weft::cpu::supported(isa)) kernels.push_back(&weft::cpu::kernels_for(isa));
  return kernels;
}

}  // namespace weft_tests
