#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/quant/quantize.hpp>

#include "../formats/quantized_fixtures.hpp"
#include "fixtures.hpp"

namespace weft_tests {

/// Rounds the matrices whose names contain `part` to 8 bits a row. `quantised` gets them as bitsandbytes stores them,
/// `plain` as the floats that they stand for.
inline void round_to_int8(const DirectoryCopy& quantised, const DirectoryCopy& plain, std::string_view part) {
  DirectoryCopy::Tensors stored, meant;
  quantised.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
    for (const auto& [name, tensor] : tensors) {
      if (name.find(part) == name.npos || tensor.rank() != 2 || !name.ends_with(".weight")) {
        stored.emplace_back(name, tensor);
        meant.emplace_back(name, tensor);
        continue;
      }
      const std::size_t rows = tensor.extent(0), columns = tensor.extent(1);
      std::vector<float> values(rows * columns), scales(rows);
      weft::dequantize_row(tensor.dtype(), tensor.bytes().data(), values.size(), values.data());
      std::vector<std::int8_t> rounded(values.size());
      for (std::size_t i = 0; i < values.size(); ++i)
        scales[i / columns] = std::max(scales[i / columns], std::fabs(values[i]));
      for (std::size_t i = 0; i < values.size(); ++i) {
        const float scale = scales[i / columns];
        rounded[i] = static_cast<std::int8_t>(std::lround(values[i] / scale * 127.f));
        values[i] = static_cast<float>(rounded[i]) * scale / 127.f;
      }
      stored.emplace_back(name, tensor_of(tensor.shape(), rounded));
      stored.emplace_back(name.substr(0, name.size() - 6) + "SCB", tensor_of(weft::Shape{rows}, scales));
      meant.emplace_back(name, tensor_of(tensor.shape(), values));
    }
    tensors = stored;
  });
  plain.edit_tensors([&](DirectoryCopy::Tensors& tensors) { tensors = meant; });
  quantised.set_config("quantization_config", {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}});
}

}  // namespace weft_tests
