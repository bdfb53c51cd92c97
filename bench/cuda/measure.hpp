#pragma once

#include <vector>

#include "shapes.hpp"
#include "table.hpp"

namespace bench {

/// What the device can do, measured before everything else. 0 until then.
struct Roofs {
  double bytes_per_second = 0.0;       ///< of a kernel that only reads
  double operations_per_second = 0.0;  ///< of a product in bfloat16
};

/// value of roof as a share, and no number where the roof is not known.
inline double share_of(double value, double roof) { return roof > 0.0 ? value / roof : std::nan(""); }

// The lines that each part measures; `roofs` is of the time when a line is measured, and outlives the lines.
std::vector<Line> roof_lines(const Sizes& sizes, Roofs& roofs);
std::vector<Line> model_lines(const Sizes& sizes, const Roofs& roofs);
std::vector<Line> kernel_lines(const Sizes& sizes, const Roofs& roofs);

}  // namespace bench
