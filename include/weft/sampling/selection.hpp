#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/cpu/sampling.hpp>

namespace weft::inline v0::detail {

struct Candidate {
  float value;
  std::uint32_t index;

  /// The order in which tokens are taken: the larger value first, the lower index among equals.
  friend bool operator<(const Candidate& a, const Candidate& b) noexcept {
    return a.value != b.value ? a.value > b.value : a.index < b.index;
  }
};

/// Some elements of a row with their indices, in order of the index.
class Candidates {
 public:
  void reserve(std::size_t count) {
    values_.resize(std::max(values_.size(), count + cpu::collect_slack));
    indices_.resize(values_.size());
  }
  void clear() noexcept { count_ = 0; }

  /// Appends the elements of row[first, end) that are in [lowest, below); there is room for all of them.
  void collect(const cpu::SamplingKernels& kernels, std::span<const float> row, std::size_t first, std::size_t end,
               float lowest, float below) noexcept {
    const std::size_t before = count_;
    count_ += kernels.collect(row.data() + first, end - first, lowest, below, values_.data() + before,
                              indices_.data() + before);
    for (std::size_t i = before; i < count_; ++i) indices_[i] += static_cast<std::uint32_t>(first);
  }

  /// Leaves those that are not behind the last one to be taken.
  void keep_up_to(const Candidate& last) noexcept {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const Candidate here{values_[i], indices_[i]};
      values_[kept] = here.value;
      indices_[kept] = here.index;
      kept += last < here ? 0 : 1;
    }
    count_ = kept;
  }

  std::span<const float> values() const noexcept { return std::span<const float>(values_).first(count_); }
  std::span<const std::uint32_t> indices() const noexcept {
    return std::span<const std::uint32_t>(indices_).first(count_);
  }

 private:
  std::vector<float> values_;
  std::vector<std::uint32_t> indices_;
  std::size_t count_ = 0;
};

/// An integer that grows with the value, the same for 0 and -0; no NaN.
inline std::uint32_t order_key(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.f);
  return bits ^ (0x80000000u | (0u - (bits >> 31)));
}

/// The candidate with which the sum of mass(value), taken in order and beginning with `before`, first exceeds `limit`;
/// there is one. Does not sort: sums over ever narrower ranges of values leave few candidates to be put in order.
/// `scratch` is overwritten; it grows to the number of candidates.
template <class Mass>
Candidate find_crossing(const Candidates& candidates, Mass mass, std::uint64_t before, std::uint64_t limit,
                        std::vector<Candidate>& scratch) {
  constexpr int bin_bits = 10;
  constexpr std::size_t few = 64;
  scratch.clear();
  for (std::size_t i = 0; i < candidates.values().size(); ++i)
    scratch.push_back({candidates.values()[i], candidates.indices()[i]});
  while (scratch.size() > few) {
    std::uint32_t low = ~0u;
    std::uint32_t high = 0;
    for (const Candidate& c : scratch) {
      low = std::min(low, order_key(c.value));
      high = std::max(high, order_key(c.value));
    }
    if (low == high) return scratch[(limit - before) / mass(scratch.front().value)];
    const int shift = std::max(0, static_cast<int>(std::bit_width(high - low)) - bin_bits);
    std::array<std::uint64_t, std::size_t{1} << bin_bits> sums{};
    for (const Candidate& c : scratch) sums[(high - order_key(c.value)) >> shift] += mass(c.value);
    std::uint32_t bin = 0;
    for (; before + sums[bin] <= limit; ++bin) before += sums[bin];
    std::erase_if(scratch, [&](const Candidate& c) { return (high - order_key(c.value)) >> shift != bin; });
  }
  std::ranges::sort(scratch, std::less<>());
  std::size_t last = 0;
  for (; last + 1 < scratch.size(); ++last) {
    before += mass(scratch[last].value);
    if (before > limit) break;
  }
  return scratch[last];
}

}  // namespace weft::inline v0::detail
