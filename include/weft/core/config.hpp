#pragma once

// The only file that defines macros. The CMake project reads the version from here.

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

// WEFT_ASSERT(condition): an invariant of ours. Checked where WEFT_ENABLE_ASSERTS is defined to 1 before the first
// weft header (the tests do), free otherwise; never used for what a caller or a file may get wrong.
#if defined(WEFT_ENABLE_ASSERTS) && WEFT_ENABLE_ASSERTS
#include <cassert>
#define WEFT_ASSERT(condition) assert(condition)
#else
#define WEFT_ASSERT(condition) static_cast<void>(0)
#endif

// WEFT_SEPARATE_COMPILATION=1, for a whole program: what the *.inl files define is compiled in one of its files alone,
// see weft/define.hpp.
#ifndef WEFT_SEPARATE_COMPILATION
#define WEFT_SEPARATE_COMPILATION 0
#endif
#if WEFT_SEPARATE_COMPILATION
#define WEFT_INLINE
#else
#define WEFT_INLINE inline
#endif

#if defined(__GNUC__) || defined(__clang__)
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))
#define WEFT_NO_INLINE __attribute__((noinline))
#else
#define WEFT_ALWAYS_INLINE inline
#define WEFT_NO_INLINE
#endif

#define WEFT_PRAGMA(text) _Pragma(#text)

// Loops over arrays of vector registers must be unrolled before register allocation, or GCC keeps them on the stack.
#if defined(__clang__)
#define WEFT_UNROLL WEFT_PRAGMA(clang loop unroll(full))
#elif defined(__GNUC__)
#define WEFT_UNROLL WEFT_PRAGMA(GCC unroll 32)
#else
#define WEFT_UNROLL
#endif

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define WEFT_X86_64 1
#else
#define WEFT_X86_64 0
#endif

#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__AARCH64EB__) && (defined(__GNUC__) || defined(__clang__))
#define WEFT_AARCH64 1
#else
#define WEFT_AARCH64 0
#endif

// WEFT_BEGIN_TARGET(features) ... WEFT_END_TARGET: code between them is compiled for those features, whatever the
// flags of the translation unit. Include every standard and intrinsics header before the region, so that no inline
// function of theirs is first emitted with instructions the rest of the program must not use.
#if defined(__clang__)
// Clang reports each loop of WEFT_UNROLL that it leaves rolled, which it does with sanitizers.
#define WEFT_BEGIN_TARGET(features)                                                         \
  WEFT_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function)) \
  WEFT_PRAGMA(clang diagnostic push)                                                        \
  WEFT_PRAGMA(clang diagnostic ignored "-Wpass-failed")
#define WEFT_END_TARGET WEFT_PRAGMA(clang diagnostic pop) WEFT_PRAGMA(clang attribute pop)
#else
// GCC 12 takes the undefined registers of its own intrinsics for uninitialised variables.
#define WEFT_BEGIN_TARGET(features)                     \
  WEFT_PRAGMA(GCC push_options)                         \
  WEFT_PRAGMA(GCC target(features))                     \
  WEFT_PRAGMA(GCC diagnostic push)                      \
  WEFT_PRAGMA(GCC diagnostic ignored "-Wuninitialized") \
  WEFT_PRAGMA(GCC diagnostic ignored "-Wmaybe-uninitialized")
#define WEFT_END_TARGET WEFT_PRAGMA(GCC diagnostic pop) WEFT_PRAGMA(GCC pop_options)
#endif

// The features of NEON code, without and with the dot products of ARMv8.2. GCC inlines a function only into one that
// has all of its features, whatever it uses: these are the features of its intrinsics, and all code meant for NEON
// names them, so that it compiles with any -march and -mcpu.
#if defined(__clang__)
#define WEFT_TARGET_NEON "neon"
#define WEFT_TARGET_NEON_DOT "neon,dotprod"
#else
#define WEFT_TARGET_NEON "+nothing+simd"
#if defined(__ARM_FEATURE_DOTPROD)
#define WEFT_TARGET_NEON_DOT "+dotprod"
#else
#define WEFT_TARGET_NEON_DOT "arch=armv8.2-a+dotprod"
#endif
#endif

namespace weft::inline v0 {

/// The version of these headers, "major.minor.patch".
inline constexpr const char* version = "0.1.0";

}  // namespace weft::inline v0
