#pragma once

#include <string>
#include <vector>

// What one side computed. `tolerance` is relative: 0 where the values must be the same to the bit.
struct Result {
  std::string what;
  double tolerance;
  std::vector<double> values;
};

namespace plain {
std::vector<Result> work();
}
namespace avx2 {
std::vector<Result> work();
}
namespace native {
std::vector<Result> work();
}
