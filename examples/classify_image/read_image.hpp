#pragma once

#include <cstdint>
#include <string>

#include <weft/core/tensor.hpp>

/// A PNG or JPEG file as (height, width, 3) red, green and blue; transparency is left out. Throws weft::FormatError.
weft::Tensor<std::uint8_t, 3> read_image(const std::string& path);
