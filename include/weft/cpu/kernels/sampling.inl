// Included by cpu/sampling.inl inside the namespace and the target region of an instruction set. Every result is the
// same bits with all of them.

/// Sums weights in units, exactly, for at most weight_block weights. A weight is taken apart into a multiple of 2^-21
/// and the rest, rounded to a multiple of 2^-43; added to numbers around which floats lie that far apart, each becomes
/// an integer in the low bits.
class UnitSum {
 public:
  WEFT_ALWAYS_INLINE UnitSum() noexcept : high_(set_int(0)), low_(set_int(0)) {}

  WEFT_ALWAYS_INLINE void add_weights(Vec w) noexcept {
    const Vec high = add(w, set(high_zero));
    const Vec low = sub(w, sub(high, set(high_zero + low_zero)));
    high_ = add_ints(high_, as_ints(high));
    low_ = add_ints(low_, as_ints(low));
    count_ += static_cast<std::uint32_t>(width);
  }
  WEFT_ALWAYS_INLINE std::uint64_t total() const noexcept {
    const std::uint32_t high = reduce_add_ints(high_) - count_ * bits(high_zero);
    const auto low = static_cast<std::int32_t>(reduce_add_ints(low_) - count_ * bits(low_zero));
    return (std::uint64_t{high} << 22) + static_cast<std::uint64_t>(std::int64_t{low});
  }

 private:
  static constexpr float high_zero = 4.f;
  static constexpr float low_zero = 0x1.8p-20f;
  static WEFT_ALWAYS_INLINE std::uint32_t bits(float x) noexcept {
    std::uint32_t result = 0;
    std::memcpy(&result, &x, sizeof result);
    return result;
  }

  IntVec high_;
  IntVec low_;
  std::uint32_t count_ = 0;
};

/// e^d for d <= 0, within 2 units in the last place, 0 below -31; e^0 is exactly 1: d = n ln 2 + r with
/// |r| <= ln 2 / 2, the Taylor polynomial of degree 7, the exponent raised by n. Only products that are exact are
/// fused. Several vectors step by step together, since each waits for the step before.
template <std::size_t N>
WEFT_ALWAYS_INLINE void to_weights(Vec (&d)[N]) noexcept {
  constexpr float coefficients[]{1.f / 720.f, 1.f / 120.f, 1.f / 24.f, 1.f / 6.f, 0.5f, 1.f, 1.f};
  const Vec to_integer = set(0x1.8p23f);
  Vec shifted[N], r[N], p[N];
  WEFT_UNROLL
  for (std::size_t j = 0; j < N; ++j) shifted[j] = add(unfused(mul(d[j], set(0x1.715476p+0f))), to_integer);
  WEFT_UNROLL
  for (std::size_t j = 0; j < N; ++j) {
    const Vec n = sub(shifted[j], to_integer);
    const Vec coarse = fma(n, set(-0x1.62ep-1f), d[j]);  // so few bits that the product with n is exact
    r[j] = sub(coarse, unfused(mul(n, set(0x1.0bfbe8p-15f))));
    p[j] = set(1.f / 5040.f);
  }
  WEFT_UNROLL
  for (std::size_t k = 0; k < 7; ++k) {
    WEFT_UNROLL
    for (std::size_t j = 0; j < N; ++j) p[j] = add(unfused(mul(p[j], r[j])), set(coefficients[k]));
  }
  WEFT_UNROLL
  for (std::size_t j = 0; j < N; ++j) {
    const Vec weight = as_float(add_ints(as_ints(p[j]), shift_left<23>(as_ints(shifted[j]))));
    d[j] = select_less(d[j], set(-31.f), zero(), weight);
  }
}

/// The first index of the largest element of the blocks seen, and whether one of them was NaN.
struct LargestSoFar {
  Largest best{-std::numeric_limits<float>::infinity(), 0};  // the index is that of a block
  Vec bar;
  std::uint32_t no_number = 0;

  WEFT_ALWAYS_INLINE LargestSoFar() noexcept : bar(set(best.value)) {}

  /// Takes logit_block elements; returns their maximum in lanes.
  WEFT_ALWAYS_INLINE Vec take(const float* x, std::size_t index) noexcept {
    Vec m = bar;
    WEFT_UNROLL
    for (std::size_t j = 0; j < logit_block; j += 2 * width) {
      const Vec a = load(x + j);
      const Vec b = load(x + j + width);
      no_number |= unordered(a, b);
      m = j == 0 ? max(a, b) : max(m, max(a, b));
    }
    if (less(bar, m)) {
      best = {reduce_max(m), index};
      bar = set(best.value);
    }
    return m;
  }
};

template <bool EachBlock>
WEFT_ALWAYS_INLINE Largest find_largest(const float* x, std::size_t n, float* block_max) noexcept {
  LargestSoFar so_far;
  std::size_t i = 0;
  for (; i + logit_block <= n; i += logit_block) {
    const Vec m = so_far.take(x + i, i);
    if constexpr (EachBlock) block_max[i / logit_block] = reduce_max(m);
  }
  if (i < n) {
    float padded[logit_block];
    for (std::size_t j = 0; j < logit_block; ++j) padded[j] = i + j < n ? x[i + j] : x[i];
    const Vec m = so_far.take(padded, i);
    if constexpr (EachBlock) block_max[i / logit_block] = reduce_max(m);
  }
  Largest best = so_far.best;
  const bool infinite = best.value == std::numeric_limits<float>::infinity();
  if (so_far.no_number || infinite) return {std::numeric_limits<float>::quiet_NaN(), 0};
  while (best.index + 1 < n && x[best.index] != best.value) ++best.index;
  return best;
}

inline Largest largest(const float* x, std::size_t n, float* block_max) noexcept {
  return block_max ? find_largest<true>(x, n, block_max) : find_largest<false>(x, n, nullptr);
}

template <bool Scaled, bool Kept>
WEFT_ALWAYS_INLINE std::uint64_t weigh_all(const float* x, std::size_t n, float max, float temperature,
                                           float* weights) noexcept {
  constexpr std::size_t together = 8;
  const auto distance = [&](Vec v) noexcept {
    const Vec d = sub(v, set(max));
    return Scaled ? div(d, set(temperature)) : d;
  };
  std::uint64_t total = 0;
  for (std::size_t first = 0; first < n; first += weight_block) {
    const std::size_t end = n - first < weight_block ? n : first + weight_block;
    UnitSum sum;
    std::size_t i = first;
    for (; i + together * width <= end; i += together * width) {
      Vec w[together];
      WEFT_UNROLL
      for (std::size_t j = 0; j < together; ++j) w[j] = distance(load(x + i + j * width));
      to_weights(w);
      WEFT_UNROLL
      for (std::size_t j = 0; j < together; ++j) {
        if constexpr (Kept) store(weights + i + j * width, w[j]);
        sum.add_weights(w[j]);
      }
    }
    for (; i < end; i += width) {
      const std::size_t count = end - i < width ? end - i : width;
      Vec w[1]{distance(load_partial(x + i, count, -std::numeric_limits<float>::infinity()))};
      to_weights(w);
      if constexpr (Kept) store_partial(weights + i, w[0], count);
      sum.add_weights(w[0]);
    }
    total += sum.total();
  }
  return total;
}

inline std::uint64_t weigh(const float* x, std::size_t n, float max, float temperature, float* weights) noexcept {
  if (temperature == 1.f)
    return weights ? weigh_all<false, true>(x, n, max, 1.f, weights) : weigh_all<false, false>(x, n, max, 1.f, weights);
  return weights ? weigh_all<true, true>(x, n, max, temperature, weights)
                 : weigh_all<true, false>(x, n, max, temperature, weights);
}

inline std::uint64_t sum_from(const float* weights, std::size_t n, float lowest, std::uint64_t* block_units) noexcept {
  std::uint64_t total = 0;
  for (std::size_t first = 0; first < n; first += weight_block) {
    const std::size_t end = n - first < weight_block ? n : first + weight_block;
    const auto counted = [&](Vec w) noexcept { return select_less(w, set(lowest), zero(), w); };
    UnitSum sum;
    std::size_t i = first;
    for (; i + width <= end; i += width) sum.add_weights(counted(load(weights + i)));
    if (i < end) sum.add_weights(counted(load_partial(weights + i, end - i)));
    const std::uint64_t units = sum.total();
    if (block_units) block_units[first / weight_block] = units;
    total += units;
  }
  return total;
}

inline std::size_t collect(const float* x, std::size_t n, float lowest, float below, float* values,
                           std::uint32_t* indices) noexcept {
  const auto taken = [&](Vec v) noexcept { return less(v, set(below)) & ~less(v, set(lowest)); };
  std::size_t count = 0;
  std::size_t i = 0;
  for (; i + width <= n; i += width) {
    const Vec v = load(x + i);
    if (const std::uint32_t lanes = taken(v)) count += append(v, i, lanes, values + count, indices + count);
  }
  if (i < n) {
    const Vec v = load_partial(x + i, n - i);
    const std::uint32_t lanes = taken(v) & ((1u << (n - i)) - 1u);
    count += append(v, i, lanes, values + count, indices + count);
  }
  return count;
}

inline constexpr SamplingKernels sampling_table{
    .largest = largest, .weigh = weigh, .sum_from = sum_from, .collect = collect};
