#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>

#include <weft/core/tensor_view.hpp>

namespace weft::inline v0 {

/// Called with every named intermediate of a forward pass, under the name of the module of the reference implementation
/// whose output it is ("model.layers.3.self_attn"), and its values (tokens, width), which are valid during the call
/// only.
using Tap = std::function<void(std::string_view name, TensorView<const float, 2> values)>;

namespace detail {

/// Calls `tap` if there is one; the name is only put together then. Rows of a device, whose elements are others, pass
/// by.
template <class Rows, class... Parts>
void tap_out(const Tap* tap, const Rows& values, const Parts&... parts) {
  if constexpr (std::is_convertible_v<const Rows&, TensorView<const float, 2>>)
    if (tap && *tap) (*tap)(concat(parts...), values);
}

}  // namespace detail
}  // namespace weft::inline v0
