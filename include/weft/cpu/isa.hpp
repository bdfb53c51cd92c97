#pragma once

#include <array>
#include <cstddef>

#include <weft/core/config.hpp>

#if WEFT_X86_64
#include <cpuid.h>
#elif WEFT_AARCH64
#include <sys/auxv.h>
#endif

namespace weft::inline v0::cpu {

/// The instruction sets weft has kernels for.
enum class Isa : unsigned char { generic, avx2, avx2_vnni, avx512, avx512_vnni, avx512_bf16, neon, neon_dot };

/// Those of this kind of processor, the better ones later. A processor that has one need not have all before it:
/// AVX-512 is older than avx2_vnni.
#if WEFT_X86_64
inline constexpr std::array all_isas{Isa::generic, Isa::avx2,        Isa::avx2_vnni,
                                     Isa::avx512,  Isa::avx512_vnni, Isa::avx512_bf16};
#elif WEFT_AARCH64
inline constexpr std::array all_isas{Isa::generic, Isa::neon, Isa::neon_dot};
#else
inline constexpr std::array all_isas{Isa::generic};
#endif

namespace detail {

#if WEFT_X86_64
// The features that clang's __builtin_cpu_supports does not know; the wider registers they need are checked there.
inline bool has_f16c() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & (1u << 29));
}
inline bool has_avx_vnni() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4));
}
inline bool has_avx512_bf16() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5));
}
#endif

}  // namespace detail

/// Whether this processor (and its operating system) can run the kernels of an instruction set.
inline bool supported(Isa isa) noexcept {
#if WEFT_X86_64
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && detail::has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  switch (isa) {
    case Isa::generic: return true;
    case Isa::avx2: return avx2;
    case Isa::avx2_vnni: return avx2 && detail::has_avx_vnni();
    case Isa::avx512: return avx512;
    case Isa::avx512_vnni: return vnni;
    case Isa::avx512_bf16: return vnni && detail::has_avx512_bf16();
    default: return false;
  }
#elif WEFT_AARCH64
  if (isa == Isa::neon_dot) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  return isa == Isa::generic || isa == Isa::neon;
#else
  return isa == Isa::generic;
#endif
}

/// The instruction set whose kernels are fastest on this processor. Intel's take four times as long for a bfloat16 dot
/// product as for a multiply-add in float, which does half as much.
inline Isa best_isa() noexcept {
#if WEFT_X86_64
  const bool slow_bf16 = __builtin_cpu_is("intel");
#else
  constexpr bool slow_bf16 = false;
#endif
  for (std::size_t i = all_isas.size(); i-- > 0;)
    if (supported(all_isas[i]) && !(slow_bf16 && all_isas[i] == Isa::avx512_bf16)) return all_isas[i];
  return Isa::generic;
}

}  // namespace weft::inline v0::cpu
