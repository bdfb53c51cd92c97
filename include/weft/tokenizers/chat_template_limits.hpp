#pragma once

#include <cstddef>

namespace weft::inline v0 {

/// What one rendering of a chat template may use. A template comes from a file that anybody may have written: it may
/// ask for endless loops and for strings of any length.
struct ChatTemplateLimits {
  std::size_t steps = 50'000'000;            ///< expressions and statements evaluated, elements looked at
  std::size_t bytes = std::size_t{1} << 30;  ///< of all strings and lists made, those let go of too
  std::size_t depth = 800;                   ///< evaluations inside one another, as in macros that call themselves
};

}  // namespace weft::inline v0
