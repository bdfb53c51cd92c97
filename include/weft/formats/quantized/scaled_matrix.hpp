#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/float8.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>

namespace weft::inline v0 {

/// How scales lie over a matrix: one for every block of that many rows and columns, the last of which may be cut off.
struct ScaleBlock {
  std::size_t rows;
  std::size_t columns;
};

/// What the tensors beside the elements are called; empty: there are none.
struct ScaledParts {
  std::string_view scales;
  std::string_view zeros = {};   ///< zero points, of the shape of the scales
  std::string_view groups = {};  ///< (columns) i32, the group of every input where blocks are groups of inputs
};

/// A matrix that is stored as elements q, one i8, f8_e4m3 or f8_e5m2 each, with a scale s and perhaps a zero point z
/// for every block of them. The weight is (q - z) * s in the type of the scales.
class ScaledMatrix final : public QuantizedMatrix {
 public:
  /// weight: (rows, columns). All parts but the scales may be missing. Throws FormatError where there are more or fewer
  /// scales than there are blocks, and for other types.
  ScaledMatrix(const StoredLayer& layer, const AnyTensor& weight, const ScaledParts& parts, const ScaleBlock& block)
      : QuantizedMatrix(weight.extent(0), weight.extent(1), layer.tensor(parts.scales, detail::scale_types).dtype()),
        block_(block),
        weight_(weight),
        scales_(grid(layer, parts.scales, layer.tensor(parts.scales, detail::scale_types))) {
    if (!parts.zeros.empty() && layer.contains(parts.zeros))
      zeros_ = grid(layer, parts.zeros, layer.tensor(parts.zeros, {DType::i8, weight.dtype()}));
    if (!parts.groups.empty())
      input_groups_ = {layer, parts.groups, columns(), block.columns, detail::blocks_of(columns(), block.columns)};
  }

  AnyTensor read() const override {
    const std::vector<float> scales = detail::to_floats(scales_);
    std::vector<float> zeros(scales.size());
    if (zeros_) convert(zeros_, 0, zeros);
    const std::size_t blocks = detail::blocks_of(columns(), block_.columns);
    std::vector<std::size_t> group_of;
    if (!input_groups_.in_order()) group_of = input_groups_.read();
    return of_rows([&](std::size_t r, std::span<float> to) {
      convert(weight_, r * columns(), to);
      std::size_t block = r / block_.rows * blocks;
      for (std::size_t c = 0; c < group_of.size(); ++c)
        to[c] = (to[c] - zeros[block + group_of[c]]) * scales[block + group_of[c]];
      if (!group_of.empty()) return;
      for (std::size_t c = 0; c < to.size(); ++block)
        for (const std::size_t end = c + std::min(block_.columns, to.size() - c); c < end; ++c)
          to[c] = (to[c] - zeros[block]) * scales[block];
    });
  }

 private:
  /// Checks that there is one element for every block, whatever extents of 1 there are.
  AnyTensor grid(const StoredLayer& layer, std::string_view part, const AnyTensor& tensor) const {
    const Shape blocks{detail::blocks_of(rows(), block_.rows), detail::blocks_of(columns(), block_.columns)};
    const bool vector = tensor.rank() < 2 && (blocks[0] == 1 || blocks[1] == 1);
    if (vector ? tensor.size() != blocks.elements() : tensor.shape() != blocks)
      layer.wrong_shape(part, tensor, to_string(blocks));
    return tensor;
  }

  static void convert(const AnyTensor& tensor, std::size_t begin, std::span<float> to) {
    visit_among<std::int8_t, float8_e4m3, float8_e5m2>(
        tensor.dtype(), "quantised weights", [&]<class T>(std::type_identity<T>) {
          const std::span<const T> from = tensor.elements<T>().subspan(begin, to.size());
          std::transform(from.begin(), from.end(), to.begin(), [](T value) { return static_cast<float>(value); });
        });
  }

  ScaleBlock block_;
  AnyTensor weight_;
  AnyTensor scales_;
  AnyTensor zeros_;
  detail::InputGroups input_groups_;
};

}  // namespace weft::inline v0
