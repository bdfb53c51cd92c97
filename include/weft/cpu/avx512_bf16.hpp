#pragma once

#include <utility>

#include <weft/cpu/avx512_vnni.hpp>

#if WEFT_X86_64

WEFT_BEGIN_TARGET("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,avx2,fma,f16c")

// The AVX-512 set with int8 and with bfloat16 dot products: two products a lane and instruction, added in float.
namespace weft::inline v0::cpu::avx512_bf16 {

namespace vec = avx512;
#include <weft/cpu/kernels/use_vec.inl>
using vec::to_bfloat16;

inline constexpr std::size_t bf16_tokens = 12;

#include <weft/cpu/kernels/tile.inl>

/// Tokens side by side: for every pair of elements of k, that of each token of the tile.
inline void pack_bf16(const float* x, std::size_t x_stride, std::size_t tokens, std::size_t k, void* out,
                      bool*) noexcept {
  auto* packed = static_cast<float*>(out);
  for (std::size_t i = 0; i < k; i += 2 * width) {
    const std::size_t n = k - i < 2 * width ? k - i : 2 * width;
    Vec square[width];
    WEFT_UNROLL
    for (std::size_t t = 0; t < width; ++t) {
      square[t] = zero();
      if (t >= tokens) continue;
      const float* p = x + t * x_stride + i;
      const __m256i low = to_bfloat16(n >= width ? load(p) : load_partial(p, n));
      const __m256i high = n > width
                               ? to_bfloat16(n == 2 * width ? load(p + width) : load_partial(p + width, n - width))
                               : _mm256_setzero_si256();
      square[t] = as_float(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    }
    transpose(square);
    for (std::size_t j = 0; j < (n + 1) / 2; ++j) store_partial(packed + (i / 2 + j) * tokens, square[j], tokens);
  }
}

struct TileBf16 {
  template <std::size_t T>
  static WEFT_ALWAYS_INLINE void run(const std::byte* w, const std::byte* tokens, std::size_t k,
                                     Vec (&sums)[2][T]) noexcept {
    const auto* x = reinterpret_cast<const std::int32_t*>(tokens);
    for (std::size_t i = 0; i < k; i += 2, w += panel_rows * 4, x += T) {
      const auto w0 = reinterpret_cast<__m512bh>(load_ints(w));
      const auto w1 = reinterpret_cast<__m512bh>(load_ints(w + width * 4));
      WEFT_UNROLL
      for (std::size_t t = 0; t < T; ++t) {
        const auto xt = reinterpret_cast<__m512bh>(set_int(x[t]));
        sums[0][t] = _mm512_dpbf16_ps(sums[0][t], w0, xt);
        sums[1][t] = _mm512_dpbf16_ps(sums[1][t], w1, xt);
      }
    }
  }
};

/// The two products of attention over a bfloat16 cache in bfloat16 dot products: keys and values become panels, and
/// rows of queries and probabilities the tokens that meet them.
class Bf16Products {
 public:
  Bf16Products(std::size_t head_dim, float* scratch) noexcept
      : head_dim_(head_dim), even_((head_dim + 1) / 2 * 2), out_stride_(attention_padded(head_dim)) {
    auto* at = reinterpret_cast<std::byte*>(scratch);
    const auto take = [&](std::size_t bytes) noexcept { return std::exchange(at, at + bytes); };
    q_ = take(attention_rows * even_ * 2);
    p_ = take(attention_rows * attention_block * 2);
    keys_ = reinterpret_cast<std::uint32_t*>(take(attention_block * even_ * 2));
    values_ = reinterpret_cast<std::uint32_t*>(at);
  }

  std::size_t row_bytes() const noexcept { return head_dim_ * 2; }
  void queries(const float* q, std::size_t rows) noexcept { pack(q, out_stride_, rows, head_dim_, q_); }

  void scores(const std::byte* k, std::size_t stride, std::size_t count, std::size_t rows,
              const avx512::RowsAhead& ahead, float* to) noexcept {
    if (rows <= avx512::few_rows)
      return avx512::for_few_rows(
          rows, [&]<std::size_t R>(std::size_t row, std::integral_constant<std::size_t, R>) noexcept {
            few_scores<R>(row, k, stride, count, row == 0 ? ahead : avx512::RowsAhead{}, to + row * attention_block);
          });
    ahead.ask(0, ahead.count);
    for (std::size_t key = 0; key < attention_block; key += panel_rows) {
      const std::size_t here = count < key ? 0 : count - key < panel_rows ? count - key : panel_rows;
      avx512::interleave(k + key * stride, stride, here, head_dim_ * 2, 0, keys_ + key * (even_ / 2));
    }
    multiply(keys_, even_, attention_block, q_, rows, nullptr, to, attention_block);
  }

  void outputs(const float* p, std::size_t rows, const std::byte* v, std::size_t stride, std::size_t count,
               const bool* key_mask, const avx512::RowsAhead& ahead, float* out) noexcept {
    pack(p, attention_block, rows, attention_block, p_);
    if (rows <= avx512::few_rows)
      return avx512::for_few_rows(
          rows, [&]<std::size_t R>(std::size_t row, std::integral_constant<std::size_t, R>) noexcept {
            for (std::size_t d = 0; d < head_dim_; d += few_vectors * width)
              few_outputs<R>(row, v, stride, count, key_mask, d, row == 0 && d == 0 ? ahead : avx512::RowsAhead{},
                             out + row * out_stride_);
          });
    ahead.ask(0, ahead.count);
    // Two keys side by side in every unit, 32 elements of a head in every panel.
    for (std::size_t d = 0; d < out_stride_; d += width) {
      std::uint32_t* to = values_ + d / panel_rows * (attention_block / 2) * panel_rows + d % panel_rows;
      for (std::size_t key = 0; key < attention_block; key += 2, to += panel_rows)
        store_ints(to, value_pair(v, stride, count, key_mask, key, d));
    }
    multiply(values_, attention_block, out_stride_, p_, rows, out, out, out_stride_);
  }

 private:
  static constexpr std::size_t few_vectors = 4;

  /// Two keys side by side in every unit: elements [d, d + width) of a head.
  WEFT_ALWAYS_INLINE IntVec value_pair(const std::byte* v, std::size_t stride, std::size_t count, const bool* key_mask,
                                       std::size_t key, std::size_t d) const noexcept {
    const std::size_t left = d < head_dim_ ? head_dim_ - d : 0;
    const __mmask16 there = avx512::first(left < width ? left : width);
    const auto widened = [&](std::size_t at) noexcept {
      if (at >= count || (key_mask && !key_mask[at])) return _mm512_setzero_si512();
      return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, v + at * stride + d * 2));
    };
    return bit_or(widened(key), shift_left<16>(widened(key + 1)));
  }

  template <std::size_t R>
  WEFT_NO_INLINE void few_scores(std::size_t row, const std::byte* k, std::size_t stride, std::size_t count,
                                 const avx512::RowsAhead& ahead, float* to) const noexcept {
    const auto* q = reinterpret_cast<const std::int32_t*>(q_) + row * (even_ / 2);
    for (std::size_t j = 0; j < attention_block; j += width) {
      ahead.ask(j, width);
      Vec sums[R];
      WEFT_UNROLL
      for (std::size_t r = 0; r < R; ++r) sums[r] = zero();
      for (std::size_t d = 0; d < head_dim_ && j < count; d += 2 * width) {
        const std::size_t left = head_dim_ - d;
        const auto there =
            static_cast<__mmask32>(left < 2 * width ? (std::uint32_t{1} << left) - 1 : ~std::uint32_t{0});
        Vec pairs[width];
        WEFT_UNROLL
        for (std::size_t i = 0; i < width; ++i)
          pairs[i] = j + i < count ? as_float(_mm512_maskz_loadu_epi16(there, k + (j + i) * stride + d * 2)) : zero();
        transpose(pairs);
        WEFT_UNROLL
        for (std::size_t i = 0; i < width; ++i) {
          if (d + 2 * i < head_dim_) {
            WEFT_UNROLL
            for (std::size_t r = 0; r < R; ++r)
              sums[r] = _mm512_dpbf16_ps(sums[r], reinterpret_cast<__m512bh>(pairs[i]),
                                         reinterpret_cast<__m512bh>(set_int(q[r * (even_ / 2) + d / 2 + i])));
          }
        }
      }
      WEFT_UNROLL
      for (std::size_t r = 0; r < R; ++r) store(to + r * attention_block + j, sums[r]);
    }
  }

  template <std::size_t R>
  WEFT_NO_INLINE void few_outputs(std::size_t row, const std::byte* v, std::size_t stride, std::size_t count,
                                  const bool* key_mask, std::size_t d, const avx512::RowsAhead& ahead,
                                  float* out) const noexcept {
    const auto* p = reinterpret_cast<const std::int32_t*>(p_) + row * (attention_block / 2);
    const std::size_t vectors = (out_stride_ - d) / width < few_vectors ? (out_stride_ - d) / width : few_vectors;
    Vec sums[R][few_vectors];
    WEFT_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
      WEFT_UNROLL
      for (std::size_t i = 0; i < few_vectors; ++i)
        sums[r][i] = i < vectors ? load(out + r * out_stride_ + d + i * width) : zero();
    }
    for (std::size_t key = 0; key < count; key += 2) {
      ahead.ask(key, 2);
      IntVec values[few_vectors];
      WEFT_UNROLL
      for (std::size_t i = 0; i < few_vectors; ++i)
        values[i] = value_pair(v, stride, count, key_mask, key, d + i * width);
      WEFT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
        const auto weights = reinterpret_cast<__m512bh>(set_int(p[r * (attention_block / 2) + key / 2]));
        WEFT_UNROLL
        for (std::size_t i = 0; i < few_vectors; ++i)
          sums[r][i] = _mm512_dpbf16_ps(sums[r][i], reinterpret_cast<__m512bh>(values[i]), weights);
      }
    }
    WEFT_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
      WEFT_UNROLL
      for (std::size_t i = 0; i < few_vectors; ++i)
        if (i < vectors) store(out + r * out_stride_ + d + i * width, sums[r][i]);
    }
  }

  /// Few rows one after the other, more in tiles.
  static void pack(const float* x, std::size_t stride, std::size_t rows, std::size_t k, std::byte* to) noexcept {
    const std::size_t row_bytes = (k + 1) / 2 * 4;
    for (std::size_t row = 0, count = 0; row < rows; row += count) {
      count = rows <= avx512::few_rows ? 1 : tile_tokens(rows - row, bf16_tokens);
      pack_bf16(x + row * stride, stride, count, k, to + row * row_bytes, nullptr);
    }
  }

  static void multiply(const std::uint32_t* panels, std::size_t k, std::size_t columns, const std::byte* x,
                       std::size_t rows, const float* from, float* y, std::size_t y_stride) noexcept {
    tiles<TilePanels<TileBf16>, bf16_tokens>({.header = nullptr,
                                              .panels = reinterpret_cast<const std::byte*>(panels),
                                              .panel_bytes = k * 2 * panel_rows,
                                              .rows = columns,
                                              .x = x,
                                              .x_bytes = k * 2,
                                              .x_offset = 0,
                                              .tokens = rows,
                                              .k = k,
                                              .from = from,
                                              .from_stride = y_stride,
                                              .y = y,
                                              .y_stride = y_stride});
  }

  std::size_t head_dim_;
  std::size_t even_;
  std::size_t out_stride_;
  std::byte* q_;           // packed queries
  std::byte* p_;           // packed probabilities
  std::uint32_t* keys_;    // panels of keys
  std::uint32_t* values_;  // panels of elements of a head
};

inline void attend_native(const AttentionArgs& a, const AttentionTask& task, float* state, float* scratch) noexcept {
  Bf16Products products(a.head_dim, scratch + attention_row_floats(a.head_dim));
  avx512::attend_with(a, products, task, state, scratch);
}

inline constexpr Kernels table = [] {
  Kernels kernels = avx512_vnni::table;
  kernels.name = "avx512_bf16";
  kernels.streams_weights = true;
  kernels.bf16 = {.most = bf16_tokens, .elements = 2, .bytes = 4, .pack = pack_bf16};
  kernels.tile_bf16 = tiles<TilePanels<TileBf16>, bf16_tokens>;
  kernels.attention.bf16_native = attend_native;
  return kernels;
}();

}  // namespace weft::inline v0::cpu::avx512_bf16

WEFT_END_TARGET

#endif  // WEFT_X86_64
