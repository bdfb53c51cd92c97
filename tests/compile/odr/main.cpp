// Compares what the sides computed; all of them share this program's copy of every inline function of weft.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "work.hpp"

namespace {

int disagreements = 0;

void compare(const char* side, const std::vector<Result>& expected, const std::vector<Result>& found) {
  for (std::size_t i = 0; i < std::max(expected.size(), found.size()); ++i) {
    if (i >= expected.size() || i >= found.size() || expected[i].values.size() != found[i].values.size()) {
      std::printf("%s: another number of results\n", side);
      ++disagreements;
      return;
    }
    for (std::size_t k = 0; k < expected[i].values.size(); ++k) {
      const double a = expected[i].values[k];
      const double b = found[i].values[k];
      const bool same = a == b || (std::isnan(a) && std::isnan(b));
      if (same || std::abs(a - b) <= expected[i].tolerance * std::max({1.0, std::abs(a), std::abs(b)})) continue;
      std::printf("%s: %s [%zu] is %.9g, expected %.9g\n", side, expected[i].what.c_str(), k, b, a);
      ++disagreements;
    }
  }
}

}  // namespace

int main() {
#ifdef HAS_avx2
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    std::puts("skipped: this processor has no AVX2");
    return 77;
  }
#endif
  const std::vector<Result> expected = plain::work();
#ifdef HAS_avx2
  compare("avx2", expected, avx2::work());
#endif
#ifdef HAS_native
  compare("native", expected, native::work());
#endif
  std::printf("%zu results compared, %d values disagree\n", expected.size(), disagreements);
  return expected.empty() || disagreements != 0;
}
