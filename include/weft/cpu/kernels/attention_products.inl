// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region: the products of
// attention with keys and values as a cache holds them.

inline constexpr std::size_t gemm_rows = 6;
inline constexpr std::size_t gemm_columns = gemm_vectors * width;

/// c[i, j] = c[i, j] + sum over k of a[i, k] * b[k, j] for R rows and gemm_columns columns, one chain per element.
template <std::size_t R>
WEFT_ALWAYS_INLINE void gemm_tile(const float* a, std::size_t a_stride, const float* b, std::size_t b_stride,
                                  std::size_t k, float* c, std::size_t c_stride) noexcept {
  Vec sums[R][gemm_vectors];
  WEFT_UNROLL
  for (std::size_t i = 0; i < R; ++i) {
    WEFT_UNROLL
    for (std::size_t j = 0; j < gemm_vectors; ++j) sums[i][j] = load(c + i * c_stride + j * width);
  }
  for (std::size_t l = 0; l < k; ++l, b += b_stride) {
    Vec bs[gemm_vectors];
    WEFT_UNROLL
    for (std::size_t j = 0; j < gemm_vectors; ++j) bs[j] = load(b + j * width);
    WEFT_UNROLL
    for (std::size_t i = 0; i < R; ++i) {
      const Vec as = set(a[i * a_stride + l]);
      WEFT_UNROLL
      for (std::size_t j = 0; j < gemm_vectors; ++j) sums[i][j] = fma(as, bs[j], sums[i][j]);
    }
  }
  WEFT_UNROLL
  for (std::size_t i = 0; i < R; ++i) {
    WEFT_UNROLL
    for (std::size_t j = 0; j < gemm_vectors; ++j) store(c + i * c_stride + j * width, sums[i][j]);
  }
}

template <std::size_t R>
WEFT_NO_INLINE void gemm_rows_of(const float* a, std::size_t a_stride, const float* b, std::size_t b_stride,
                                 std::size_t k, std::size_t columns, float* c, std::size_t c_stride) noexcept {
  std::size_t j = 0;
  for (; j + gemm_columns <= columns; j += gemm_columns) gemm_tile<R>(a, a_stride, b + j, b_stride, k, c + j, c_stride);
  for (; j < columns; j += width) {
    Vec sums[R];
    WEFT_UNROLL
    for (std::size_t i = 0; i < R; ++i) sums[i] = load(c + i * c_stride + j);
    for (std::size_t l = 0; l < k; ++l) {
      const Vec bs = load(b + l * b_stride + j);
      WEFT_UNROLL
      for (std::size_t i = 0; i < R; ++i) sums[i] = fma(set(a[i * a_stride + l]), bs, sums[i]);
    }
    WEFT_UNROLL
    for (std::size_t i = 0; i < R; ++i) store(c + i * c_stride + j, sums[i]);
  }
}

/// c (rows, columns) += a (rows, k) b (k, columns); columns a multiple of the vector width.
inline void gemm(const float* a, std::size_t a_stride, std::size_t rows, const float* b, std::size_t b_stride,
                 std::size_t k, std::size_t columns, float* c, std::size_t c_stride) noexcept {
  std::size_t i = 0;
  for (; i + gemm_rows <= rows; i += gemm_rows)
    gemm_rows_of<gemm_rows>(a + i * a_stride, a_stride, b, b_stride, k, columns, c + i * c_stride, c_stride);
  for (; i + 4 <= rows; i += 4)
    gemm_rows_of<4>(a + i * a_stride, a_stride, b, b_stride, k, columns, c + i * c_stride, c_stride);
  for (; i < rows; ++i)
    gemm_rows_of<1>(a + i * a_stride, a_stride, b, b_stride, k, columns, c + i * c_stride, c_stride);
}

/// Rows of keys or values that come next, asked for while others are multiplied: so few loads can be under way at once
/// that asking for many of them would stop what follows.
struct RowsAhead {
  const std::byte* from = nullptr;
  std::size_t stride = 0;
  std::size_t count = 0;
  std::size_t bytes = 0;  // of a row

  /// The empty asm keeps g++ from leaving out calls of what does nothing else.
  WEFT_ALWAYS_INLINE void ask(std::size_t first, std::size_t rows) const noexcept {
    const std::byte* at = from + first * stride;
    for (std::size_t row = first; row < count && row < first + rows; ++row, at += stride)
      for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(at + i);
    asm volatile("");
  }
};

/// Calls f(row, constant) for runs of four rows, then of one.
template <class F>
WEFT_ALWAYS_INLINE void for_few_rows(std::size_t rows, const F& f) noexcept {
  std::size_t row = 0;
  for (; row + 4 <= rows; row += 4) f(row, std::integral_constant<std::size_t, 4>{});
  for (; row < rows; ++row) f(row, std::integral_constant<std::size_t, 1>{});
}

/// Rows of queries up to which keys and values are multiplied as they are read, instead of once for all rows.
inline constexpr std::size_t few_rows = 8;

/// Keys and values that are elements of T.
template <class T>
struct CachedElements {
  /// Two bfloat16 are transposed as one unit, and become floats by a shift or a mask afterwards.
  static constexpr bool in_pairs = std::is_same_v<T, bfloat16>;
  static constexpr std::size_t bytes(std::size_t head_dim) noexcept { return head_dim * sizeof(T); }
  static WEFT_ALWAYS_INLINE Vec load_at(const std::byte* row, std::size_t d, std::size_t dims) noexcept {
    const T* from = reinterpret_cast<const T*>(row) + d;
    return dims >= width ? load(from) : load_partial(from, dims);
  }
};

/// Those that are blocks of Q8_0: a half and 32 int8.
struct CachedQ8_0 {
  static constexpr bool in_pairs = false;
  static constexpr std::size_t bytes(std::size_t head_dim) noexcept { return head_dim / 32 * 34; }
  static WEFT_ALWAYS_INLINE Vec load_at(const std::byte* row, std::size_t d, std::size_t) noexcept {
    const std::byte* block = row + d / 32 * 34;
    half scale;
    std::memcpy(&scale, block, sizeof(half));
    std::int8_t codes[width];
    std::memcpy(codes, block + sizeof(half) + d % 32, width);
    float values[width];
    for (std::size_t i = 0; i < width; ++i) values[i] = static_cast<float>(codes[i]);
    return mul(set(scale), load(values));
  }
};

/// The two products of attention in float. What they give does not depend on how many rows there are: every element is
/// one chain of multiply-adds, over the elements of a head, or over the keys.
template <class Cached>
class FloatProducts {
 public:
  FloatProducts(std::size_t head_dim, float* scratch) noexcept
      : head_dim_(head_dim),
        padded_(attention_padded(head_dim)),
        keys_(scratch),
        values_(scratch + attention_block * padded_) {}

  std::size_t row_bytes() const noexcept { return Cached::bytes(head_dim_); }
  void queries(const float* q, std::size_t) noexcept { q_ = q; }

  /// scores (rows, attention_block) = q k^T for `count` keys.
  void scores(const std::byte* k, std::size_t stride, std::size_t count, std::size_t rows, const RowsAhead& ahead,
              float* to) noexcept {
    if (rows <= few_rows)
      return for_few_rows(rows, [&]<std::size_t R>(std::size_t row, std::integral_constant<std::size_t, R>) noexcept {
        few_scores<R>(q_ + row * padded_, k, stride, count, row == 0 ? ahead : RowsAhead{}, to + row * attention_block);
      });
    ahead.ask(0, ahead.count);
    for (std::size_t j = 0; j < attention_block; j += width)
      for (std::size_t d = 0; d < head_dim_; d += columns)
        for_columns(k + j * stride, stride, count > j ? count - j : 0, d,
                    [&](std::size_t i, Vec column) noexcept { store(keys_ + (d + i) * attention_block + j, column); });
    for (std::size_t i = 0; i < rows * attention_block; ++i) to[i] = 0.f;
    gemm(q_, padded_, rows, keys_, attention_block, head_dim_, attention_block, to, attention_block);
  }

  /// out (rows, padded) += p v for `count` keys; where key_mask hides one, what lies there may be anything, NaN too.
  void outputs(const float* p, std::size_t rows, const std::byte* v, std::size_t stride, std::size_t count,
               const bool* key_mask, const RowsAhead& ahead, float* out) noexcept {
    if (rows <= few_rows)
      return for_few_rows(rows, [&]<std::size_t R>(std::size_t row, std::integral_constant<std::size_t, R>) noexcept {
        for (std::size_t d = 0; d < head_dim_; d += gemm_columns)
          few_outputs<R>(p + row * attention_block, v, stride, count, key_mask, d,
                         row == 0 && d == 0 ? ahead : RowsAhead{}, out + row * padded_);
      });
    ahead.ask(0, ahead.count);
    for (std::size_t j = 0; j < count; ++j) {
      const bool hidden = key_mask && !key_mask[j];
      for (std::size_t d = 0; d < padded_; d += width)
        store(values_ + j * padded_ + d, hidden ? zero() : load_value(v + j * stride, d));
    }
    gemm(p, attention_block, rows, values_, padded_, count, padded_, out, padded_);
  }

 private:
  /// Elements that are transposed at once.
  static constexpr std::size_t columns = Cached::in_pairs ? 2 * width : width;

  /// Calls f(i, element d + i of `width` rows), of which the first `keys` are there and the others zero, for i below
  /// `columns` or what the heads have left.
  template <class F>
  WEFT_ALWAYS_INLINE void for_columns(const std::byte* k, std::size_t stride, std::size_t keys, std::size_t d,
                                      const F& f) const noexcept {
    if (keys < width || head_dim_ - d < columns) {
      for (std::size_t first = 0; first < columns && d + first < head_dim_; first += width) {
        Vec block[width];
        for (std::size_t i = 0; i < width; ++i)
          block[i] = i < keys ? Cached::load_at(k + i * stride, d + first, head_dim_ - d - first) : zero();
        transpose(block);
        for (std::size_t i = 0; i < width && d + first + i < head_dim_; ++i) f(first + i, block[i]);
      }
      return;
    }
    Vec block[width];
    WEFT_UNROLL
    for (std::size_t i = 0; i < width; ++i) {
      if constexpr (Cached::in_pairs) {
        block[i] = as_float(load_ints(k + i * stride + Cached::bytes(d)));
      } else {
        block[i] = Cached::load_at(k + i * stride, d, width);
      }
    }
    transpose(block);
    WEFT_UNROLL
    for (std::size_t i = 0; i < width; ++i) {
      if constexpr (Cached::in_pairs) {
        f(2 * i, low_element<bfloat16>(as_ints(block[i])));
        f(2 * i + 1, as_float(bit_and(as_ints(block[i]), set_int(static_cast<std::int32_t>(0xffff0000)))));
      } else {
        f(i, block[i]);
      }
    }
  }
  WEFT_ALWAYS_INLINE Vec load_value(const std::byte* row, std::size_t d) const noexcept {
    return d < head_dim_ ? Cached::load_at(row, d, head_dim_ - d) : zero();
  }

  /// All keys for a few columns at a time: the chains of multiply-adds of several vectors of keys overlap.
  template <std::size_t R>
  WEFT_NO_INLINE void few_scores(const float* q, const std::byte* k, std::size_t stride, std::size_t count,
                                 const RowsAhead& ahead, float* to) const noexcept {
    for (std::size_t r = 0; r < R; ++r)
      for (std::size_t j = 0; j < attention_block; j += width) store(to + r * attention_block + j, zero());
    const std::size_t steps = (head_dim_ + columns - 1) / columns * ((count + width - 1) / width);
    const std::size_t share = (ahead.count + steps - 1) / steps;
    std::size_t asked = 0;
    for (std::size_t d = 0; d < head_dim_; d += columns)
      for (std::size_t j = 0; j < count; j += width, asked += share) {
        ahead.ask(asked, share);
        const float* queries[R];
        Vec sums[R];
        WEFT_UNROLL
        for (std::size_t r = 0; r < R; ++r) {
          queries[r] = q + r * padded_ + d;
          sums[r] = load(to + r * attention_block + j);
        }
        for_columns(k + j * stride, stride, count - j, d, [&](std::size_t i, Vec column) noexcept {
          WEFT_UNROLL
          for (std::size_t r = 0; r < R; ++r) sums[r] = fma(set(queries[r][i]), column, sums[r]);
        });
        WEFT_UNROLL
        for (std::size_t r = 0; r < R; ++r) store(to + r * attention_block + j, sums[r]);
      }
  }

  template <std::size_t R>
  WEFT_NO_INLINE void few_outputs(const float* p, const std::byte* v, std::size_t stride, std::size_t count,
                                  const bool* key_mask, std::size_t d, const RowsAhead& ahead,
                                  float* out) const noexcept {
    const std::size_t left = (padded_ - d) / width;
    const std::size_t vectors = left < gemm_vectors ? left : gemm_vectors;
    Vec sums[R][gemm_vectors];
    WEFT_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
      WEFT_UNROLL
      for (std::size_t i = 0; i < gemm_vectors; ++i)
        sums[r][i] = i < vectors ? load(out + r * padded_ + d + i * width) : zero();
    }
    const bool whole = d + gemm_columns <= head_dim_;
    for (std::size_t key = 0; key < count; ++key) {
      ahead.ask(key, 1);
      if (key_mask && !key_mask[key]) continue;
      Vec values[gemm_vectors];
      if (whole) {
        WEFT_UNROLL
        for (std::size_t i = 0; i < gemm_vectors; ++i)
          values[i] = Cached::load_at(v + key * stride, d + i * width, width);
      } else {
        WEFT_UNROLL
        for (std::size_t i = 0; i < gemm_vectors; ++i) values[i] = load_value(v + key * stride, d + i * width);
      }
      WEFT_UNROLL
      for (std::size_t r = 0; r < R; ++r) {
        const Vec weight = set(p[r * attention_block + key]);
        WEFT_UNROLL
        for (std::size_t i = 0; i < gemm_vectors; ++i) sums[r][i] = fma(weight, values[i], sums[r][i]);
      }
    }
    WEFT_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
      WEFT_UNROLL
      for (std::size_t i = 0; i < gemm_vectors; ++i)
        if (i < vectors) store(out + r * padded_ + d + i * width, sums[r][i]);
    }
  }

  std::size_t head_dim_;
  std::size_t padded_;
  const float* q_ = nullptr;  // (rows, padded)
  float* keys_;               // (head_dim, attention_block)
  float* values_;             // (attention_block, padded)
};
