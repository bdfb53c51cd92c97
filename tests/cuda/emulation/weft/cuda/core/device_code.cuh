#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include <weft/cuda/core/storage.cuh>

// Stands for include/weft/cuda/core/device_code.cuh where there is no device: the same functions, in words of C++.
namespace weft::inline v0::cuda::detail {

template <class T>
T* dynamic_shared() {
  return reinterpret_cast<T*>(emulation::Machine::get().thread().block->shared.get());
}

/// Fails unless the 16 bytes lie at a multiple of 16 and, if they are to be shared memory, inside that of the block.
inline void require_sixteen(const void* data, bool shared, const char* what) {
  emulation::Machine& machine = emulation::Machine::get();
  if (reinterpret_cast<std::uintptr_t>(data) % 16 != 0) machine.fail(std::string(what) + " at no multiple of 16 bytes");
  if (!shared) return;
  const emulation::Block& block = *machine.thread().block;
  const auto* at = static_cast<const std::byte*>(data);
  if (at < block.shared.get() || at + 16 > block.shared.get() + block.shared_bytes)
    machine.fail(std::string(what) + " outside the block's dynamic shared memory");
}

/// The copy is made when it is waited for; until then its place holds NaN.
inline void copy_async_16(void* to_shared, const void* from, bool valid) {
  require_sixteen(to_shared, true, "copy_async_16");
  require_sixteen(from, false, "copy_async_16");
  std::memset(to_shared, 0xff, 16);
  emulation::Machine::get().thread().open_copies.push_back({to_shared, valid ? from : nullptr});
}
inline void copy_async_commit() {
  emulation::Thread& thread = emulation::Machine::get().thread();
  thread.copies.push_back(std::exchange(thread.open_copies, {}));
}
template <int Pending>
void copy_async_wait() {
  auto& groups = emulation::Machine::get().thread().copies;
  while (groups.size() > Pending) {
    for (const emulation::PendingCopy& copy : groups.front()) {
      if (copy.from) {
        std::memcpy(copy.to, copy.from, 16);
      } else {
        std::memset(copy.to, 0, 16);
      }
    }
    groups.erase(groups.begin());
  }
}

/// Elements `first` and the one after it of a row.
inline std::uint32_t two_elements(const void* row, unsigned first) {
  std::uint32_t two;
  std::memcpy(&two, static_cast<const std::byte*>(row) + 2 * first, sizeof two);
  return two;
}
inline void load_matrices(std::uint32_t (&to)[4], const void* row) {
  require_sixteen(row, true, "load_matrices");
  const unsigned lane = emulation::Machine::get().thread().lane;
  const auto rows = emulation::exchange(row, "load_matrices");
  for (unsigned i = 0; i < 4; ++i) to[i] = two_elements(rows[8 * i + lane / 4], 2 * (lane % 4));
}
inline void load_matrices_transposed(std::uint32_t (&to)[4], const void* row) {
  require_sixteen(row, true, "load_matrices_transposed");
  const unsigned lane = emulation::Machine::get().thread().lane;
  const auto rows = emulation::exchange(row, "load_matrices_transposed");
  const unsigned shift = lane / 4 % 2 * 16;
  const auto element = [&](unsigned of_row) { return two_elements(rows[of_row], lane / 4 / 2 * 2) >> shift & 0xffffu; };
  for (unsigned i = 0; i < 4; ++i) to[i] = element(8 * i + 2 * (lane % 4)) | element(8 * i + 2 * (lane % 4) + 1) << 16;
}

template <HalfStorage T>
void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  struct Fragments {
    float a[4][2];
    float b[2][2];
  } own;
  const auto widen = [](std::uint32_t two, float(&to)[2]) {
    for (int i = 0; i < 2; ++i) {
      const auto bits = static_cast<std::uint16_t>(two >> (16 * i));
      to[i] = is_bfloat16<T> ? weft::detail::float_from_bfloat16_bits(bits) : weft::detail::float_from_half_bits(bits);
    }
  };
  for (int i = 0; i < 4; ++i) widen(a[i], own.a[i]);
  widen(b0, own.b[0]);
  widen(b1, own.b[1]);
  const unsigned lane = emulation::Machine::get().thread().lane;
  const auto all = emulation::exchange(own, "multiply_add");
  // Row g of A is in the threads 4 g to 4 g + 3, column n of B in 4 n to 4 n + 3.
  double sums[4] = {c[0], c[1], c[2], c[3]};
  for (unsigned part = 0; part < 4; ++part) {
    const Fragments row = all[lane / 4 * 4 + part];
    for (unsigned column = 0; column < 2; ++column) {
      const Fragments b = all[(lane % 4 * 2 + column) * 4 + part];
      for (int half = 0; half < 2; ++half)
        for (int i = 0; i < 2; ++i) {
          sums[column] += double{row.a[2 * half][i]} * double{b.b[half][i]};
          sums[2 + column] += double{row.a[2 * half + 1][i]} * double{b.b[half][i]};
        }
    }
  }
  for (int i = 0; i < 4; ++i) c[i] = static_cast<float>(sums[i]);
}

inline uint4 load_streaming(const void* from) {
  require_sixteen(from, false, "load_streaming");
  uint4 value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

inline void pause() { emulation::Machine::get().pause(); }

}  // namespace weft::inline v0::cuda::detail
