#pragma once

#include <atomic>
#include <cstddef>

// Counts what a test program allocates, on all its threads: allocations.cpp, which is in all of
// them, replaces the global operator new.

namespace weft_tests {

inline std::atomic<std::size_t> allocations{0};
inline std::atomic<std::size_t> allocated_bytes{0};  // all together, also what was freed

}  // namespace weft_tests
