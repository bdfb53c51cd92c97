#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <weft/core/config.hpp>
#include <weft/sampling/weights.hpp>

namespace weft::inline v0::detail {

// One loop, compiled for several instruction sets. Nothing in it depends on the width of the registers, so that the
// results are the same bits. No template and no lambda: those could be compiled for one instruction set and used by
// all.
WEFT_ALWAYS_INLINE std::uint64_t weigh_loop(const float* logits, std::size_t count, float max, bool scaled,
                                            float temperature, float* weights) noexcept {
  const std::uint32_t zero = opaque_zero();
  std::uint64_t lanes[weight_chunk] = {};
  float padded[weight_chunk];
  float w[weight_chunk];
  for (std::size_t i = 0; i < count; i += weight_chunk) {
    const float* x = logits + i;
    const std::size_t here = count - i < weight_chunk ? count - i : weight_chunk;
    if (here < weight_chunk) {
      for (std::size_t j = 0; j < weight_chunk; ++j) padded[j] = -__builtin_huge_valf();
      for (std::size_t j = 0; j < here; ++j) padded[j] = x[j];
      x = padded;
    }
    if (scaled) {
      for (std::size_t j = 0; j < weight_chunk; ++j) w[j] = exp_weight((x[j] - max) / temperature, zero);
    } else {
      for (std::size_t j = 0; j < weight_chunk; ++j) w[j] = exp_weight(x[j] - max, zero);
    }
    for (std::size_t j = 0; j < weight_chunk; ++j) lanes[j] += shifted_units(w[j]) - shifted_zero;
    if (weights == nullptr) continue;
    if (here == weight_chunk) {
      for (std::size_t j = 0; j < weight_chunk; ++j) weights[i + j] = w[j];
    } else {
      for (std::size_t j = 0; j < here; ++j) weights[i + j] = w[j];
    }
  }
  std::uint64_t sum = 0;
  for (std::size_t j = 0; j < weight_chunk; ++j) sum += lanes[j];
  return sum;
}

namespace generic {
inline std::uint64_t weigh(const float* logits, std::size_t count, float max, float temperature, float* out) noexcept {
  return weigh_loop(logits, count, max, true, temperature, out);
}
inline std::uint64_t weigh(const float* logits, std::size_t count, float max, float* out) noexcept {
  return weigh_loop(logits, count, max, false, 1.f, out);
}
}  // namespace generic

#if WEFT_X86_64
WEFT_BEGIN_TARGET("avx2")
namespace avx2 {
inline std::uint64_t weigh(const float* logits, std::size_t count, float max, float temperature, float* out) noexcept {
  return weigh_loop(logits, count, max, true, temperature, out);
}
inline std::uint64_t weigh(const float* logits, std::size_t count, float max, float* out) noexcept {
  return weigh_loop(logits, count, max, false, 1.f, out);
}
}  // namespace avx2
WEFT_END_TARGET

WEFT_BEGIN_TARGET("avx512f,avx512dq")
namespace avx512 {
inline std::uint64_t weigh(const float* logits, std::size_t count, float max, float temperature, float* out) noexcept {
  return weigh_loop(logits, count, max, true, temperature, out);
}
inline std::uint64_t weigh(const float* logits, std::size_t count, float max, float* out) noexcept {
  return weigh_loop(logits, count, max, false, 1.f, out);
}
}  // namespace avx512
WEFT_END_TARGET

inline bool has_avx2() noexcept { return __builtin_cpu_supports("avx2"); }
inline bool has_avx512() noexcept { return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq"); }
#endif

/// weights[i] = e^((logits[i] - max) / temperature); returns their sum in units. No logit and no temperature overflows.
/// `weights` has as many elements as `logits` and may be the same memory.
inline std::uint64_t weigh(std::span<const float> logits, float max, float temperature,
                           std::span<float> weights) noexcept {
  WEFT_ASSERT(weights.size() == logits.size());
  const float* x = logits.data();
  const bool scaled = temperature != 1.f;
#if WEFT_X86_64
  if (has_avx512())
    return scaled ? avx512::weigh(x, logits.size(), max, temperature, weights.data())
                  : avx512::weigh(x, logits.size(), max, weights.data());
  if (has_avx2())
    return scaled ? avx2::weigh(x, logits.size(), max, temperature, weights.data())
                  : avx2::weigh(x, logits.size(), max, weights.data());
#endif
  return scaled ? generic::weigh(x, logits.size(), max, temperature, weights.data())
                : generic::weigh(x, logits.size(), max, weights.data());
}

/// The sum over i of e^(logits[i] - max) in units.
inline std::uint64_t total_exp_units(std::span<const float> logits, float max) noexcept {
#if WEFT_X86_64
  if (has_avx512()) return avx512::weigh(logits.data(), logits.size(), max, nullptr);
  if (has_avx2()) return avx2::weigh(logits.data(), logits.size(), max, nullptr);
#endif
  return generic::weigh(logits.data(), logits.size(), max, nullptr);
}

}  // namespace weft::inline v0::detail
