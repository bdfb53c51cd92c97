// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region after
// attention_products.inl.

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
  const auto ahead = [&](const std::byte* from, std::size_t stride, std::size_t block) noexcept {
    const std::size_t left = end <= block ? 0 : end - block;
    return RowsAhead{.from = from + block * stride,
                     .stride = stride,
                     .count = left < attention_block ? left : attention_block,
                     .bytes = products.row_bytes()};
  };
  const std::size_t first = begin / attention_block * attention_block;
  ahead(k, a.k_token, first).ask(0, attention_block);
  for (std::size_t block = first; block < end; block += attention_block) {
    const std::size_t keys = end - block < attention_block ? end - block : attention_block;
    products.scores(k + block * a.k_token, a.k_token, keys, count, ahead(v, a.v_token, block), scores);
    rows.shape(block, scores);
    softmax_step(count, scores, maxima, sums, factors);
    for (std::size_t row = 0; row < count; ++row)
      if (factors[row] != 1.f)
        for (std::size_t d = 0; d < padded; d += width)
          store(state + row * padded + d, mul(load(state + row * padded + d), set(factors[row])));
    products.outputs(scores, count, v + block * a.v_token, a.v_token, keys, a.key_mask ? a.key_mask + block : nullptr,
                     ahead(k, a.k_token, block + attention_block), state);
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
