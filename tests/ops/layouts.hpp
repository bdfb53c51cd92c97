#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>

// Test tensors: random elements, and the same elements in every memory layout a view can have.

namespace weft::testing {

/// Small integers where T is an integer, else numbers in [-2, 2) that f16 and bf16 hold exactly; both repeat often.
template <class T, std::size_t Rank>
Tensor<T, Rank> random_tensor(const Dims<Rank>& extents, std::uint64_t seed) {
  Philox rng(seed);
  Tensor<T, Rank> result(extents);
  for (T& element : result.elements()) {
    const int step = static_cast<int>(rng() % 32) - 16;
    if constexpr (std::is_same_v<T, bool>) {
      element = step % 2 == 0;
    } else if constexpr (FloatingElement<T>) {
      element = T(static_cast<float>(step) * 0.125f);
    } else {
      element = static_cast<T>(step);
    }
  }
  return result;
}

/// Calls check(view) with views that hold the elements of x in different layouts: contiguous, with gaps between all
/// elements, transposed in memory, and starting at an odd element.
template <class T, std::size_t Rank, class Check>
void for_each_layout(const Tensor<T, Rank>& x, Check&& check) {
  check(x.view());

  Dims<Rank> wide = x.extents();
  for (std::size_t& extent : wide) extent = extent * 3 + 1;
  Tensor<T, Rank> gaps(wide);
  TensorView<T, Rank> sparse = gaps.view();
  for (std::size_t d = 0; d < Rank; ++d) sparse = sparse.slice(static_cast<int>(d), 1, 1 + 3 * x.extent(d), 3);
  detail::for_each_index(x.extents(), [&](const Dims<Rank>& i) { sparse(i) = x.view()(i); });
  check(TensorView<const T, Rank>(sparse));

  Dims<Rank> reversed{};
  Dims<Rank> strides{};
  for (std::size_t d = 0; d < Rank; ++d) reversed[d] = x.extent(Rank - 1 - d);
  const Dims<Rank> packed = detail::contiguous_strides<Rank>(reversed);
  for (std::size_t d = 0; d < Rank; ++d) strides[d] = packed[Rank - 1 - d];
  Tensor<T, 1> memory({x.size() + 1});
  const TensorView<T, Rank> columns(memory.data() + 1, x.extents(), strides);
  detail::for_each_index(x.extents(), [&](const Dims<Rank>& i) { columns(i) = x.view()(i); });
  check(TensorView<const T, Rank>(columns));
}

/// The elements of a view in order, in a vector.
template <class X>
auto values(const X& x) {
  const auto copy = view(x).contiguous();
  return std::vector<value_t<X>>(copy.data(), copy.data() + copy.size());
}

}  // namespace weft::testing
