#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

namespace weft::inline v0 {

/// Philox4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2, 3").
/// The same seed gives the same numbers with every compiler, on every machine and device; streams of one seed are
/// independent. A UniformRandomBitGenerator of 32 bits.
class Philox {
 public:
  using result_type = std::uint32_t;

  explicit constexpr Philox(std::uint64_t seed = 0, std::uint64_t stream = 0) noexcept
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)}, stream_(stream) {}

  static constexpr result_type min() noexcept { return 0; }
  static constexpr result_type max() noexcept { return 0xffffffffu; }

  constexpr result_type operator()() noexcept {
    if (used_ == 4) {
      block_ = block(counter_++);
      used_ = 0;
    }
    return block_[used_++];
  }

  /// The four numbers of one counter value.
  constexpr std::array<std::uint32_t, 4> block(std::uint64_t counter) const noexcept {
    std::array<std::uint32_t, 4> c{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                                   static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)};
    std::uint32_t k0 = key_[0];
    std::uint32_t k1 = key_[1];
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
      const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
      c = {static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(p1),
           static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(p0)};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return c;
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::uint64_t stream_;
  std::uint64_t counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;
};

/// A number in [0, 1), a multiple of 2^-24; takes one draw.
template <class Rng>
constexpr float uniform_float(Rng& rng) noexcept {
  return static_cast<float>(rng() >> 8) * 0x1p-24f;
}

/// A number in [0, 1), a multiple of 2^-53; takes two draws.
template <class Rng>
constexpr double uniform_double(Rng& rng) noexcept {
  const std::uint64_t high = rng() >> 5;
  const std::uint64_t low = rng() >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

/// A draw from the standard normal distribution (Box-Muller); takes four draws of the generator.
template <class Rng>
double normal_double(Rng& rng) noexcept {
  const double u = 1.0 - uniform_double(rng);
  const double v = uniform_double(rng);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace weft::inline v0
