#include <cstdio>

#include <weft/core/eigen.hpp>
#include <weft/core/tensor.hpp>
#include <weft/ops/reduce.hpp>

int main() {
  weft::Tensor<float, 2> x({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto rows = weft::sum(x, -1);  // (2)
  weft::as_eigen(x)(1, 2) = 10.0f;
  if (rows(0) == 6.0f && rows(1) == 15.0f && weft::sum(x) == 25.0f) return 0;
  std::puts("the sums are wrong");
  return 1;
}
