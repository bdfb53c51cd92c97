#pragma once

#include <cstdint>

namespace weft::inline v0 {

/// The number of a token in a vocabulary; never negative in a valid sequence.
using TokenId = std::int32_t;

}  // namespace weft::inline v0
