#pragma once

#include <cstddef>
#include <cstdint>

#include <weft/cuda/ops/rows.cuh>
#include <weft/ops/rope_table.hpp>

namespace weft::inline v0::cuda {

/// A RopeTable in device memory.
class DeviceRopeTable {
 public:
  DeviceRopeTable() = default;
  /// Throws CudaError.
  explicit DeviceRopeTable(const RopeTable& table, cudaStream_t stream = {})
      : pairing_(table.pairing()), head_dim_(table.head_dim()), cos_(table.cos(), stream), sin_(table.sin(), stream) {}

  std::size_t positions() const noexcept { return cos_.extent(0); }
  std::size_t pairs() const noexcept { return cos_.extent(1); }
  std::size_t head_dim() const noexcept { return head_dim_; }
  RopePairing pairing() const noexcept { return pairing_; }
  const float* cos() const noexcept { return cos_.data(); }  // (positions, pairs)
  const float* sin() const noexcept { return sin_.data(); }  // (positions, pairs)

 private:
  RopePairing pairing_ = RopePairing::halves;
  std::size_t head_dim_ = 0;
  DeviceTensor<float, 2> cos_;
  DeviceTensor<float, 2> sin_;
};

namespace detail {

/// Heads (tokens, heads, head_dim) and how they rotate.
struct RopeArgs {
  std::size_t tokens;
  std::size_t heads;
  std::size_t token_stride;
  std::size_t head_stride;
  std::size_t element_stride;
  int pairs;
  std::size_t positions;  // of the table
};

/// W pairs to a thread.
template <Storage T, int W, RopePairing Pairing>
__global__ void __launch_bounds__(row_threads)
    rope_kernel(T* x, const std::int32_t* positions, const float* cos, const float* sin, RopeArgs args) {
  const auto of_head = static_cast<std::size_t>(args.pairs / W);
  const std::size_t count = args.tokens * args.heads * of_head;
  const std::size_t step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t k = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; k < count; k += step) {
    const std::size_t i = k % of_head * W;
    const std::size_t token = k / of_head / args.heads;
    T* head = x + token * args.token_stride + k / of_head % args.heads * args.head_stride;
    const std::int32_t position = positions[token];
    const bool inside = position >= 0 && static_cast<std::size_t>(position) < args.positions;
    const std::size_t angles =
        inside ? static_cast<std::size_t>(position) * static_cast<std::size_t>(args.pairs) + i : i;
    Pack<W> c;
    Pack<W> s;
    c.load(cos + angles);
    s.load(sin + angles);
    const auto rotate = [&](float& a, float& b, int j) {
      const float cosine = inside ? c.at[j] : NAN;
      const float before = a;
      a = before * cosine - b * s.at[j];
      b = b * cosine + before * s.at[j];
    };
    if constexpr (Pairing == RopePairing::halves) {
      T* first = head + i * args.element_stride;
      T* second = first + static_cast<std::size_t>(args.pairs) * args.element_stride;
      Pack<W> a;
      Pack<W> b;
      a.load(first);
      b.load(second);
#pragma unroll
      for (int j = 0; j < W; ++j) rotate(a.at[j], b.at[j], j);
      a.store(first);
      b.store(second);
    } else if constexpr (W == 1) {
      T* first = head + 2 * i * args.element_stride;
      float a = to_float(first[0]);
      float b = to_float(first[args.element_stride]);
      rotate(a, b, 0);
      first[0] = from_float<T>(a);
      first[args.element_stride] = from_float<T>(b);
    } else {
      Pack<2 * W> both;
      both.load(head + 2 * i);
#pragma unroll
      for (int j = 0; j < W; ++j) rotate(both.at[2 * j], both.at[2 * j + 1], j);
      both.store(head + 2 * i);
    }
  }
}

template <Storage T>
void apply_rope(T* x, const std::int32_t* positions, const float* cos, const float* sin, RopePairing pairing,
                const RopeArgs& args, cudaStream_t stream) {
  constexpr auto width = static_cast<std::size_t>(vector_width<T>);
  const auto fits = [&](std::size_t n) { return n % width == 0; };
  const bool vectors = args.element_stride == 1 && fits(static_cast<std::size_t>(args.pairs)) &&
                       fits(args.token_stride) && fits(args.head_stride) && is_aligned(x) && is_aligned(cos) &&
                       is_aligned(sin);
  with_row_width<T>(vectors, [&](auto w) {
    const std::size_t threads = args.tokens * args.heads * static_cast<std::size_t>(args.pairs / w());
    const auto kernel = pairing == RopePairing::halves ? rope_kernel<T, decltype(w)::value, RopePairing::halves>
                                                       : rope_kernel<T, decltype(w)::value, RopePairing::interleaved>;
    launch("apply_rope", flat_launch(threads, stream), kernel, x, positions, cos, sin, args);
  });
}

}  // namespace detail

/// Rotary position embedding, in place; the equation stands at weft::apply_rope. Computed in float.
///
/// x: (tokens, heads, head_dim), contiguous; of each head the first 2 * pairs elements rotate. positions: (tokens).
/// cos, sin: (table_positions, pairs). All device memory. A position outside the table makes its token NaN. Throws
/// CudaError.
template <Storage T>
void apply_rope(T* x, const std::int32_t* positions, const float* cos, const float* sin, std::size_t tokens,
                std::size_t heads, std::size_t head_dim, std::size_t pairs, std::size_t table_positions,
                RopePairing pairing, cudaStream_t stream = {}) {
  weft::detail::require_extent("apply_rope", "the least of head_dim and 2 * pairs", std::min(head_dim, 2 * pairs),
                               2 * pairs);
  detail::apply_rope(x, positions, cos, sin, pairing,
                     {tokens, heads, heads * head_dim, head_dim, 1, static_cast<int>(pairs), table_positions}, stream);
}

/// The same on tensors: x (tokens, heads, head_dim), any strides; positions (tokens). Throws ShapeError where they do
/// not fit each other or the table.
template <DeviceTensorLike X>
void apply_rope(X&& x, TensorView<const std::int32_t, 1> positions, const DeviceRopeTable& table,
                cudaStream_t stream = {}) {
  const auto heads = device_view(x);
  static_assert(decltype(heads)::rank == 3, "apply_rope: x is (tokens, heads, head_dim)");
  weft::detail::require_extent("apply_rope", "the number of positions", positions.extent(0), heads.extent(0));
  weft::detail::require_extent("apply_rope", "head_dim", heads.extent(2), table.head_dim());
  if (!positions.is_contiguous()) raise<ShapeError>("apply_rope: the positions must lie one after the other");
  detail::apply_rope(heads.data(), positions.data(), table.cos(), table.sin(), table.pairing(),
                     {heads.extent(0), heads.extent(1), heads.stride(0), heads.stride(1), heads.stride(2),
                      static_cast<int>(table.pairs()), table.positions()},
                     stream);
}

}  // namespace weft::inline v0::cuda
