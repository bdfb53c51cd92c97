// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region.

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

/// cap * tanh(x / cap) = cap * (1 - 2 / (e^(2 x / cap) + 1))
WEFT_ALWAYS_INLINE Vec soft_capped(Vec x, float cap) noexcept {
  const Vec e = exp_of(mul(x, set(2.f / cap)));
  return mul(set(cap), sub(set(1.f), div(set(2.f), add(e, set(1.f)))));
}

/// The keys of a block that one query may see: [first, last).
struct VisibleKeys {
  std::size_t first;
  std::size_t last;
};

/// What is added to the scores of one head at each distance of a key from the query.
struct DistanceBias {
  float slope;         // ALiBi's; 0: none
  const float* table;  // of the distances -relative_radius .. relative_radius; null: none
};

/// Soft cap, biases (the query is `query` keys after the block's first) and the hidden keys of one row of scores.
inline void shape_scores(const AttentionArgs& a, std::size_t block, VisibleKeys keys, std::ptrdiff_t query,
                         const DistanceBias& bias, float* scores) noexcept {
  const float lowest = -std::numeric_limits<float>::infinity();
  if (a.soft_cap != 0.f)
    for (std::size_t j = 0; j < attention_block; j += width)
      store(scores + j, soft_capped(load(scores + j), a.soft_cap));
  if (bias.slope != 0.f)
    for (std::size_t j = 0; j < attention_block; ++j)
      scores[j] = std::fma(bias.slope, static_cast<float>(j) - static_cast<float>(query), scores[j]);
  if (bias.table) {
    const auto radius = static_cast<std::ptrdiff_t>(a.relative_radius);
    for (std::size_t j = 0; j < attention_block; ++j) {
      const std::ptrdiff_t distance = static_cast<std::ptrdiff_t>(j) - query;
      scores[j] += bias.table[radius + (distance < -radius ? -radius : distance > radius ? radius : distance)];
    }
  }
  const auto hide = [&](std::size_t first, std::size_t last) noexcept {
    for (; first < last && first % width != 0; ++first) scores[first] = lowest;
    for (; first + width <= last; first += width) store(scores + first, set(lowest));
    for (; first < last; ++first) scores[first] = lowest;
  };
  hide(0, keys.first);
  hide(keys.last, attention_block);
  if (a.key_mask)
    for (std::size_t j = keys.first; j < keys.last; ++j)
      if (!a.key_mask[block + j]) scores[j] = lowest;
}

/// One step of the online softmax for all rows: scores become e^(score - maximum) with the maximum of the keys so far,
/// `sums` their running sums, and `factors` what the sums and outputs of earlier keys are multiplied with. A row that
/// has seen no key yet keeps the maximum -infinity, and its scores become 0 (NaN where they are NaN).
inline void softmax_step(std::size_t rows, float* scores, float* maxima, float* sums, float* factors) noexcept {
  const float lowest = -std::numeric_limits<float>::infinity();
  for (std::size_t row = 0; row < rows; ++row) {
    const float* s = scores + row * attention_block;
    Vec top = load(s);
    for (std::size_t j = width; j < attention_block; j += width) top = max(top, load(s + j));
    const float block_top = reduce_max(top);
    const float maximum = block_top > maxima[row] ? block_top : maxima[row];
    factors[row] = maximum == maxima[row] ? 0.f : maxima[row] - maximum;
    maxima[row] = maximum;
  }
  exp(factors, rows, factors);
  for (std::size_t row = 0; row < rows; ++row) {
    float* s = scores + row * attention_block;
    const Vec shift = set(maxima[row] > lowest ? maxima[row] : 0.f);
    Vec total = zero();
    for (std::size_t j = 0; j < attention_block; j += width) {
      const Vec p = exp_of(sub(load(s + j), shift));
      total = add(total, p);
      store(s + j, p);
    }
    sums[row] = std::fma(sums[row], factors[row], reduce_add(total));
  }
}

/// Asks for rows of keys or values. The empty asm keeps g++ from leaving out calls of what does nothing else.
WEFT_ALWAYS_INLINE void prefetch_rows(const std::byte* from, std::size_t stride, std::size_t rows,
                                      std::size_t bytes) noexcept {
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + row * stride + i);
  asm volatile("");
}

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
  static constexpr std::size_t bytes(std::size_t head_dim) noexcept { return head_dim * sizeof(T); }
  static WEFT_ALWAYS_INLINE Vec load_at(const std::byte* row, std::size_t d, std::size_t dims) noexcept {
    const T* from = reinterpret_cast<const T*>(row) + d;
    return dims >= width ? load(from) : load_partial(from, dims);
  }
};

/// Those that are blocks of Q8_0: a half and 32 int8.
struct CachedQ8_0 {
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
  void scores(const std::byte* k, std::size_t stride, std::size_t count, std::size_t rows, float* to) noexcept {
    if (rows <= few_rows)
      return for_few_rows(rows, [&]<std::size_t R>(std::size_t row, std::integral_constant<std::size_t, R>) noexcept {
        few_scores<R>(q_ + row * padded_, k, stride, count, to + row * attention_block);
      });
    for (std::size_t j = 0; j < attention_block; j += width)
      for (std::size_t d = 0; d < head_dim_; d += width) {
        Vec block[width];
        load_transposed(k + j * stride, stride, count > j ? count - j : 0, d, block);
        const std::size_t dims = head_dim_ - d < width ? head_dim_ - d : width;
        for (std::size_t i = 0; i < dims; ++i) store(keys_ + (d + i) * attention_block + j, block[i]);
      }
    for (std::size_t i = 0; i < rows * attention_block; ++i) to[i] = 0.f;
    gemm(q_, padded_, rows, keys_, attention_block, head_dim_, attention_block, to, attention_block);
  }

  /// out (rows, padded) += p v for `count` keys; where key_mask hides one, what lies there may be anything, NaN too.
  void outputs(const float* p, std::size_t rows, const std::byte* v, std::size_t stride, std::size_t count,
               const bool* key_mask, float* out) noexcept {
    if (rows <= few_rows)
      return for_few_rows(rows, [&]<std::size_t R>(std::size_t row, std::integral_constant<std::size_t, R>) noexcept {
        for (std::size_t d = 0; d < head_dim_; d += gemm_columns)
          few_outputs<R>(p + row * attention_block, v, stride, count, key_mask, d, out + row * padded_);
      });
    for (std::size_t j = 0; j < count; ++j) {
      const bool hidden = key_mask && !key_mask[j];
      for (std::size_t d = 0; d < padded_; d += width)
        store(values_ + j * padded_ + d, hidden ? zero() : load_value(v + j * stride, d));
    }
    gemm(p, attention_block, rows, values_, padded_, count, padded_, out, padded_);
  }

 private:
  /// Elements [d, d + width) of `keys` rows, those of one element side by side; zero where there are none.
  WEFT_ALWAYS_INLINE void load_transposed(const std::byte* k, std::size_t stride, std::size_t keys, std::size_t d,
                                          Vec (&block)[width]) const noexcept {
    WEFT_UNROLL
    for (std::size_t i = 0; i < width; ++i)
      block[i] = i < keys ? Cached::load_at(k + i * stride, d, head_dim_ - d) : zero();
    transpose(block);
  }
  WEFT_ALWAYS_INLINE Vec load_value(const std::byte* row, std::size_t d) const noexcept {
    return d < head_dim_ ? Cached::load_at(row, d, head_dim_ - d) : zero();
  }

  template <std::size_t R>
  WEFT_NO_INLINE void few_scores(const float* q, const std::byte* k, std::size_t stride, std::size_t count,
                                 float* to) const noexcept {
    for (std::size_t j = 0; j < attention_block; j += width) {
      Vec sums[R];
      WEFT_UNROLL
      for (std::size_t r = 0; r < R; ++r) sums[r] = zero();
      for (std::size_t d = 0; d < head_dim_ && j < count; d += width) {
        Vec block[width];
        load_transposed(k + j * stride, stride, count - j, d, block);
        WEFT_UNROLL
        for (std::size_t i = 0; i < width; ++i) {
          if (d + i < head_dim_) {
            WEFT_UNROLL
            for (std::size_t r = 0; r < R; ++r) sums[r] = fma(set(q[r * padded_ + d + i]), block[i], sums[r]);
          }
        }
      }
      WEFT_UNROLL
      for (std::size_t r = 0; r < R; ++r) store(to + r * attention_block + j, sums[r]);
    }
  }

  template <std::size_t R>
  WEFT_NO_INLINE void few_outputs(const float* p, const std::byte* v, std::size_t stride, std::size_t count,
                                  const bool* key_mask, std::size_t d, float* out) const noexcept {
    const std::size_t left = (padded_ - d) / width;
    const std::size_t vectors = left < gemm_vectors ? left : gemm_vectors;
    Vec sums[R][gemm_vectors];
    WEFT_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
      WEFT_UNROLL
      for (std::size_t i = 0; i < gemm_vectors; ++i)
        sums[r][i] = i < vectors ? load(out + r * padded_ + d + i * width) : zero();
    }
    for (std::size_t key = 0; key < count; ++key) {
      if (key_mask && !key_mask[key]) continue;
      Vec values[gemm_vectors];
      WEFT_UNROLL
      for (std::size_t i = 0; i < gemm_vectors; ++i) values[i] = load_value(v + key * stride, d + i * width);
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

/// state = the softmax over the keys of both, with the larger maximum. A state without keys leaves the other's bits.
inline void attention_merge(const float* from, std::size_t rows, std::size_t head_dim, float* state) noexcept {
  const std::size_t padded = attention_padded(head_dim);
  const float *from_maxima = from + rows * padded, *from_sums = from_maxima + rows;
  float *maxima = state + rows * padded, *sums = maxima + rows;
  for (std::size_t row = 0; row < rows; ++row) {
    const float maximum = from_maxima[row] > maxima[row] ? from_maxima[row] : maxima[row];
    float factors[2] = {maximum == maxima[row] ? 0.f : maxima[row] - maximum,
                        maximum == from_maxima[row] ? 0.f : from_maxima[row] - maximum};
    exp(factors, 2, factors);
    for (std::size_t d = 0; d < padded; d += width) {
      float* to = state + row * padded + d;
      store(to, fma(load(from + row * padded + d), set(factors[1]), mul(load(to), set(factors[0]))));
    }
    maxima[row] = maximum;
    sums[row] = std::fma(from_sums[row], factors[1], sums[row] * factors[0]);
  }
}

/// The queries of some tokens in the heads of one key/value head, and what each may see.
class AttentionRows {
 public:
  AttentionRows(const AttentionArgs& args, std::size_t kv_head, std::size_t token_begin, std::size_t token_end) noexcept
      : a_(args), kv_head_(kv_head), token_begin_(token_begin), token_end_(token_end) {}

  std::size_t count() const noexcept { return (token_end_ - token_begin_) * a_.group; }
  std::size_t head_of(std::size_t row) const noexcept { return kv_head_ * a_.group + row % a_.group; }
  std::size_t token_of(std::size_t row) const noexcept { return token_begin_ + row / a_.group; }
  /// A token sees the keys [first_key, last_key).
  std::size_t first_key(std::size_t token) const noexcept { return attention_first_key(a_, token); }
  std::size_t last_key(std::size_t token) const noexcept { return attention_last_key(a_, token); }

  /// q (rows, padded) = the queries, scaled.
  void read_queries(float* q, std::size_t padded) const noexcept {
    for (std::size_t row = 0; row < count(); ++row) {
      const float* from = a_.q + token_of(row) * a_.q_token + head_of(row) * a_.q_head;
      for (std::size_t d = 0; d < a_.head_dim; d += width) {
        const std::size_t left = a_.head_dim - d;
        const Vec scaled = mul(left >= width ? load(from + d) : load_partial(from + d, left), set(a_.scale));
        if (left >= width) {
          store(q + row * padded + d, scaled);
        } else {
          store_partial(q + row * padded + d, scaled, left);
        }
      }
    }
  }

  /// Soft cap, biases and hidden keys for the scores (rows, attention_block) of the keys from `block` on.
  void shape(std::size_t block, float* scores) const noexcept {
    const auto clamped = [&](std::size_t key) noexcept {
      return key <= block ? 0 : key - block < attention_block ? key - block : attention_block;
    };
    for (std::size_t row = 0; row < count(); ++row) {
      const std::size_t token = token_of(row);
      const std::size_t first = clamped(first_key(token));
      const std::size_t last = clamped(last_key(token));
      const std::size_t head = head_of(row);
      const DistanceBias bias{
          .slope = a_.alibi_slopes ? a_.alibi_slopes[head] : 0.f,
          .table = a_.relative_bias ? a_.relative_bias + head * (2 * a_.relative_radius + 1) : nullptr};
      const bool plain = first == 0 && last == attention_block && bias.slope == 0.f && !bias.table &&
                         a_.soft_cap == 0.f && !a_.key_mask;
      if (!plain)
        shape_scores(a_, block, {first, last > first ? last : first},
                     static_cast<std::ptrdiff_t>(a_.offset + token) - static_cast<std::ptrdiff_t>(block), bias,
                     scores + row * attention_block);
    }
  }

 private:
  const AttentionArgs& a_;
  std::size_t kv_head_;
  std::size_t token_begin_;
  std::size_t token_end_;
};

/// state = the online softmax over the keys [begin, end) of one span.
template <class Products>
void attend_span(const AttentionArgs& a, const AttentionRows& rows, Products& products, std::size_t kv_head,
                 std::size_t begin, std::size_t end, float* scores, float* factors, float* state) noexcept {
  const std::size_t padded = attention_padded(a.head_dim);
  const std::size_t count = rows.count();
  float *maxima = state + count * padded, *sums = maxima + count;
  for (std::size_t i = 0; i < count * padded; ++i) state[i] = 0.f;
  for (std::size_t row = 0; row < count; ++row) {
    maxima[row] = -std::numeric_limits<float>::infinity();
    sums[row] = 0.f;
  }
  const auto* k = static_cast<const std::byte*>(a.k) + kv_head * a.k_head;
  const auto* v = static_cast<const std::byte*>(a.v) + kv_head * a.v_head;
  const auto ask = [&](std::size_t block) noexcept {
    const std::size_t keys = end <= block ? 0 : end - block < attention_block ? end - block : attention_block;
    prefetch_rows(k + block * a.k_token, a.k_token, keys, products.row_bytes());
    prefetch_rows(v + block * a.v_token, a.v_token, keys, products.row_bytes());
  };
  ask(begin / attention_block * attention_block);
  for (std::size_t block = begin / attention_block * attention_block; block < end; block += attention_block) {
    const std::size_t keys = end - block < attention_block ? end - block : attention_block;
    ask(block + attention_block);
    products.scores(k + block * a.k_token, a.k_token, keys, count, scores);
    rows.shape(block, scores);
    softmax_step(count, scores, maxima, sums, factors);
    for (std::size_t row = 0; row < count; ++row)
      if (factors[row] != 1.f)
        for (std::size_t d = 0; d < padded; d += width)
          store(state + row * padded + d, mul(load(state + row * padded + d), set(factors[row])));
    products.outputs(scores, count, v + block * a.v_token, a.v_token, keys, a.key_mask ? a.key_mask + block : nullptr,
                     state);
  }
}

template <class Products>
void attend_with(const AttentionArgs& a, Products& products, const AttentionTask& task, float* state,
                 float* scratch) noexcept {
  const std::size_t padded = attention_padded(a.head_dim);
  const AttentionRows rows(a, task.kv_head, task.token_begin, task.token_end);
  float* q = scratch;                                          // (rows, padded), scaled
  float* scores = q + attention_rows * padded;                 // (rows, attention_block)
  float* factors = scores + attention_rows * attention_block;  // (rows)
  float* later = factors + (attention_rows + 15) / 16 * 16;    // the state of a span after the first
  rows.read_queries(q, padded);
  products.queries(q, rows.count());
  std::size_t begin = task.key_begin;
  bool first = true;
  do {
    const std::size_t border = (begin / attention_span + 1) * attention_span;
    const std::size_t end = border < task.key_end ? border : task.key_end;
    attend_span(a, rows, products, task.kv_head, begin, end, scores, factors, first ? state : later);
    if (!first) attention_merge(later, rows.count(), a.head_dim, state);
    first = false;
    begin = end;
  } while (begin < task.key_end);
}

template <class Cached>
void attend(const AttentionArgs& a, const AttentionTask& task, float* state, float* scratch) noexcept {
  FloatProducts<Cached> products(a.head_dim, scratch + attention_row_floats(a.head_dim));
  attend_with(a, products, task, state, scratch);
}

/// The outputs of a task from the state of all its keys: sums of values divided by those of weights.
inline void attention_finish(const AttentionArgs& a, const AttentionTask& task, const float* state) noexcept {
  const AttentionRows rows(a, task.kv_head, task.token_begin, task.token_end);
  const std::size_t padded = attention_padded(a.head_dim);
  const float* sums = state + rows.count() * (padded + 1);
  for (std::size_t row = 0; row < rows.count(); ++row) {
    float* to = a.out + rows.token_of(row) * a.out_token + rows.head_of(row) * a.out_head;
    const float inverse = sums[row] > 0.f ? 1.f / sums[row] : 0.f;
    for (std::size_t d = 0; d < a.head_dim; d += width) {
      const Vec mean = mul(load(state + row * padded + d), set(inverse));
      if (d + width <= a.head_dim) {
        store(to + d, mean);
      } else {
        store_partial(to + d, mean, a.head_dim - d);
      }
    }
  }
}
