#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include <weft/core/tensor_view.hpp>

namespace weft::inline v0 {

/// Called with every named intermediate of a forward pass, under the name of the module of the reference implementation
/// whose output it is ("model.layers.3.self_attn"), and its values (tokens, width), which are valid during the call
/// only.
using Tap = std::function<void(std::string_view name, TensorView<const float, 2> values)>;

namespace detail {

/// Calls `tap` if there is one; the name is only put together then.
template <class... Parts>
void tap_out(const Tap* tap, TensorView<const float, 2> values, const Parts&... parts) {
  if (tap && *tap) (*tap)(concat(parts...), values);
}

}  // namespace detail
}  // namespace weft::inline v0
