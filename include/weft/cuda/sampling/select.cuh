#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/cuda/core/device_code.cuh>

// How many blocks together find, in a row none of them holds alone, the element at which a running sum in falling order
// passes a limit: sums over ever narrower ranges of keys, digit by digit, without sorting.
namespace weft::inline v0::cuda::detail {

using Units = unsigned long long;

inline constexpr int select_threads = 256;
inline constexpr int digit_bits = 11;
inline constexpr int digit_values = 1 << digit_bits;
/// Digits of a key of 32 bits and of an index of 20.
inline constexpr int select_passes = 5;

/// What the blocks of a row share in global memory; all zero at first.
struct RowState {
  Units largest;          // the falling key of the greatest element inverted, its index inverted
  Units total_of_logits;  // units of all weights at temperature 1
  unsigned no_number;     // whether an element was NaN or +infinity
  unsigned arrived;       // at barriers, all together
};

/// Shared memory of a block.
struct SelectShared {
  Units sums[digit_values];
  Units warps[select_threads / warp_threads];
  Units before;
  Units here;
  Units total;
  unsigned index;
};

/// The blocks that work on one row.
class RowTeam {
 public:
  __device__ RowTeam(RowState* state, unsigned blocks) : state_(state), blocks_(blocks) {}

  /// Waits until all blocks of the row are here; what they wrote before, all of them see. The blocks run at the same
  /// time.
  __device__ __forceinline__ void wait() {
    __syncthreads();
    expected_ += blocks_;
    if (threadIdx.x == 0) {
      __threadfence();
      atomicAdd(&state_->arrived, 1u);
      while (*static_cast<volatile unsigned*>(&state_->arrived) < expected_) pause();
      __threadfence();
    }
    __syncthreads();
  }

 private:
  RowState* state_;
  unsigned blocks_;
  unsigned expected_ = 0;
};

struct Crossing {
  unsigned index;  // of the value with which the running sum first exceeds the limit
  Units before;    // the sum of the values before it
  Units here;      // the value itself
  Units total;     // the sum of all
};

/// The crossing of limit(total) among up to digit_values values; one of them makes the sum exceed it. All threads of
/// the block call it.
template <class Limit>
__device__ __forceinline__ Crossing find_crossing(SelectShared& shared, const volatile Units* values, unsigned count,
                                                  Limit&& limit) {
  constexpr unsigned each = digit_values / select_threads;
  const unsigned lane = threadIdx.x % warp_threads;
  const unsigned warp = threadIdx.x / warp_threads;
  Units own[each];
  Units sum = 0;
#pragma unroll
  for (unsigned j = 0; j < each; ++j) {
    const unsigned i = threadIdx.x * each + j;
    own[j] = i < count ? values[i] : 0;
    sum += own[j];
  }
  Units through = sum;  // of the warp's threads up to this one
#pragma unroll
  for (unsigned distance = 1; distance < warp_threads; distance *= 2) {
    const Units other = __shfl_up_sync(whole_warp, through, distance);
    if (lane >= distance) through += other;
  }
  __syncthreads();
  if (lane == warp_threads - 1) shared.warps[warp] = through;
  __syncthreads();
  Units before = through - sum;
  Units total = 0;
#pragma unroll
  for (unsigned w = 0; w < select_threads / warp_threads; ++w) {
    if (w < warp) before += shared.warps[w];
    total += shared.warps[w];
  }
  const Units most = limit(total);
  if (before <= most && most < before + sum) {
    unsigned j = 0;
    while (before + own[j] <= most) before += own[j++];
    shared.index = threadIdx.x * each + j;
    shared.before = before;
    shared.here = own[j];
  }
  __syncthreads();
  return {shared.index, shared.before, shared.here, total};
}

/// The last of the elements that are taken: those of lower keys, and of equal keys those up to the index.
struct Cut {
  std::uint32_t key = 0xffffffffu;
  std::uint32_t index = 0xffffffffu;

  __device__ __forceinline__ bool keeps(std::uint32_t other_key, std::uint32_t other_index) const {
    return other_key < key || (other_key == key && other_index <= index);
  }
};

/// Finds the cut at which the sum of mass_of(key), in order of key and index, first exceeds limit(sum of all).
/// each(f) calls f(key, index) for the block's elements, whose indices are below 2^20. `sums`: select_passes times
/// digit_values in global memory, zero at first. All blocks of the row call it and get the same.
template <class Each, class MassOf, class Limit>
__device__ Cut find_cut(RowTeam& team, SelectShared& shared, Units* sums, Each&& each, MassOf&& mass_of,
                        Limit&& limit) {
  const auto pass = [&](auto&& add_own, auto&& most) {
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < digit_values; i += select_threads) shared.sums[i] = 0;
    __syncthreads();
    add_own();
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < digit_values; i += select_threads)
      if (shared.sums[i] != 0) atomicAdd(&sums[i], shared.sums[i]);
    team.wait();
    const Crossing found = find_crossing(shared, sums, digit_values, most);
    sums += digit_values;
    return found;
  };
  Cut cut;
  cut.key = 0;
  Units left = 0;  // of the limit, before the range of keys
  Units here = 0;  // the sum of this range
  for (int digit = 0; digit < 3; ++digit) {
    const int shift = digit == 0 ? 21 : digit == 1 ? 10 : 0;
    const int bits = digit == 2 ? 10 : digit_bits;
    const auto add_own = [&] {
      each([&](std::uint32_t key, std::uint32_t) {
        if (digit != 0 && key >> (shift + bits) != cut.key) return;
        const Units mass = mass_of(key);
        if (mass != 0) atomicAdd(&shared.sums[key >> shift & ((1u << bits) - 1)], mass);
      });
    };
    const Crossing found = pass(add_own, [&](Units total) { return digit == 0 ? left = limit(total) : left; });
    left -= found.before;
    here = found.here;
    cut.key = cut.key << bits | found.index;
  }
  // Of the elements with this key, which all have one mass, the first ones stay.
  const Units mass = mass_of(cut.key);
  left /= mass;
  if ((left + 1) * mass >= here) return cut;
  std::uint32_t prefix = 0;
  for (int digit = 0; digit < 2; ++digit) {
    const auto add_own = [&] {
      each([&](std::uint32_t key, std::uint32_t index) {
        if (key != cut.key || (digit == 1 && index >> 10 != prefix)) return;
        atomicAdd(&shared.sums[digit == 0 ? index >> 10 : index & 1023u], Units{1});
      });
    };
    const Crossing found = pass(add_own, [&](Units) { return left; });
    left -= found.before;
    prefix = prefix << 10 | found.index;
  }
  cut.index = prefix;
  return cut;
}

}  // namespace weft::inline v0::cuda::detail
