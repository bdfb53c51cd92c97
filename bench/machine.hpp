#pragma once

// What this machine can do at most, measured beside what is benchmarked: a figure means something only as a share of
// the limit in the same run.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/dtype.hpp>
#include <weft/core/executor.hpp>
#include <weft/core/memory.hpp>
#include <weft/core/thread_pool.hpp>
#include <weft/cpu/dispatch.hpp>

#if WEFT_X86_64
#include <immintrin.h>
#endif

namespace bench {

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0.0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

template <class T>
void keep(const T& value) {
  asm volatile("" : : "r,m"(value) : "memory");
}

// Independent chains of the widest multiply-add, more than hide its latency (6 cycles, two a cycle), without any
// memory. What the compiler must not know to be equal it could calculate once.
constexpr std::size_t chains = 24;
constexpr std::size_t rounds = 100000;

#define BENCH_SPIN(name, type, zero, operand, multiply)                         \
  inline void name() {                                                          \
    type sums[chains];                                                          \
    WEFT_UNROLL                                                                 \
    for (std::size_t j = 0; j < chains; ++j) {                                  \
      sums[j] = zero;                                                           \
      asm volatile("" : "+v"(sums[j]));                                         \
    }                                                                           \
    auto one = operand;                                                         \
    asm volatile("" : "+v"(one));                                               \
    for (std::size_t i = 0; i < rounds; ++i) {                                  \
      WEFT_UNROLL                                                               \
      for (std::size_t j = 0; j < chains; ++j) sums[j] = multiply;              \
      asm volatile("" : : "v"(sums[0]));                                        \
    }                                                                           \
    WEFT_UNROLL                                                                 \
    for (std::size_t j = 0; j < chains; ++j) asm volatile("" : : "v"(sums[j])); \
  }

#if WEFT_X86_64
WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c")
BENCH_SPIN(spin_i8, __m512i, _mm512_setzero_si512(), _mm512_set1_epi8(1), _mm512_dpbusd_epi32(sums[j], one, one))
BENCH_SPIN(spin_bf16, __m512, _mm512_setzero_ps(), _mm512_set1_epi32(0x3f803f80),
           _mm512_dpbf16_ps(sums[j], reinterpret_cast<__m512bh>(one), reinterpret_cast<__m512bh>(one)))
BENCH_SPIN(spin_avx512, __m512, _mm512_setzero_ps(), _mm512_set1_ps(1.f), _mm512_fmadd_ps(one, one, sums[j]))
WEFT_END_TARGET
WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
inline void read_all(const std::byte* data, std::size_t bytes) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (std::size_t i = 0; i + 256 <= bytes; i += 256) {
    a = _mm512_xor_si512(a, _mm512_loadu_si512(data + i));
    b = _mm512_xor_si512(b, _mm512_loadu_si512(data + i + 64));
    c = _mm512_xor_si512(c, _mm512_loadu_si512(data + i + 128));
    d = _mm512_xor_si512(d, _mm512_loadu_si512(data + i + 192));
  }
  asm volatile("" : : "v"(a), "v"(b), "v"(c), "v"(d) : "memory");
}
WEFT_END_TARGET
WEFT_BEGIN_TARGET("avx2,fma,f16c")
BENCH_SPIN(spin_avx2, __m256, _mm256_setzero_ps(), _mm256_set1_ps(1.f), _mm256_fmadd_ps(one, one, sums[j]))
WEFT_END_TARGET
#endif
#undef BENCH_SPIN

/// Operations per second of all threads of `pool` together in products of f32, bf16 or i8; 0 where the processor has no
/// such instruction. Products of bf16 are those of f32 where dot products are slower, or there are none.
inline double peak_flops(weft::Executor& pool, weft::DType dtype) {
#if WEFT_X86_64
  void (*spin)() = nullptr;
  double lanes = 16;
  if (dtype == weft::DType::bf16 && weft::cpu::best_isa() == weft::cpu::Isa::avx512_bf16) {
    spin = spin_bf16;
    lanes = 32;
  } else if (dtype == weft::DType::i8) {
    if (!weft::cpu::supported(weft::cpu::Isa::avx512_vnni)) return 0.0;
    spin = spin_i8;
    lanes = 64;
  } else if (weft::cpu::supported(weft::cpu::Isa::avx512)) {
    spin = spin_avx512;
  } else if (weft::cpu::supported(weft::cpu::Isa::avx2)) {
    spin = spin_avx2;
    lanes = 8;
  } else {
    return 0.0;
  }
  const double begin = now();
  pool.run(pool.concurrency(), [&](std::size_t) { spin(); });
  return 2.0 * lanes * static_cast<double>(chains * rounds * pool.concurrency()) / (now() - begin);
#else
  static_cast<void>(pool);
  static_cast<void>(dtype);
  return 0.0;
#endif
}

/// Bytes per second that all threads of `pool` together read from memory.
class ReadBandwidth {
 public:
  ReadBandwidth() : memory_(weft::allocate_aligned(bytes)) {
    for (std::size_t i = 0; i < bytes; i += 4096) memory_[i] = std::byte{1};
  }
  double measure(weft::Executor& pool) const {
    const std::size_t share = bytes / pool.concurrency();
    const double begin = now();
    pool.run(pool.concurrency(), [&](std::size_t i) { read(memory_.get() + i * share, share); });
    return static_cast<double>(bytes) / (now() - begin);
  }

 private:
  static constexpr std::size_t bytes = std::size_t{1} << 30;
  static void read(const std::byte* data, std::size_t size) {
#if WEFT_X86_64
    if (weft::cpu::supported(weft::cpu::Isa::avx512)) return read_all(data, size);
#endif
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i + 8 <= size; i += 8) sum ^= *reinterpret_cast<const std::uint64_t*>(data + i);
    keep(sum);
  }
  weft::AlignedBytes memory_;
};

}  // namespace bench
