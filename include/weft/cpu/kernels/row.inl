// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region.
//
// A product that is added to something is written fma() here: some compilers fuse mul() and add() and others do not,
// and the bits must not depend on that.

/// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial of degree 6 for e^r (1 + r + r^2 q(r), q fitted for the least
/// relative error, 4e-9), the exponent set to n. Below -87.3 zero within one denormal step, above 88.7 infinity; NaN
/// stays NaN.
WEFT_ALWAYS_INLINE Vec exp_of(Vec x) noexcept {
  const Vec clamped = min(set(88.8f), max(set(-104.f), x));
  const Vec n = round(mul(clamped, set(1.44269504f)));
  Vec r = fma(n, set(-0.693145752f), clamped);
  r = fma(n, set(-1.42860677e-6f), r);
  Vec p = set(1.38145394e-3f);
  p = fma(p, r, set(8.36874545e-3f));
  p = fma(p, r, set(4.1668389e-2f));
  p = fma(p, r, set(1.66665211e-1f));
  p = fma(p, r, set(0.49999994f));
  p = fma(p, r, set(1.f));
  p = fma(p, r, set(1.f));
  return scale_pow2(p, n);
}

WEFT_ALWAYS_INLINE Vec sigmoid_of(Vec x) noexcept { return div(set(1.f), add(set(1.f), exp_of(sub(zero(), x)))); }

/// erfc(|z|) with a relative error below 1.2e-7 (Numerical Recipes, section 6.2: Chebyshev fit of erfc(z) e^(z^2) / t).
WEFT_ALWAYS_INLINE Vec erfc_of_abs(Vec z) noexcept {
  const Vec a = abs(z);
  const Vec t = div(set(1.f), fma(a, set(0.5f), set(1.f)));
  Vec p = set(0.17087277f);
  p = fma(p, t, set(-0.82215223f));
  p = fma(p, t, set(1.48851587f));
  p = fma(p, t, set(-1.13520398f));
  p = fma(p, t, set(0.27886807f));
  p = fma(p, t, set(-0.18628806f));
  p = fma(p, t, set(0.09678418f));
  p = fma(p, t, set(0.37409196f));
  p = fma(p, t, set(1.00002368f));
  p = fma(p, t, set(-1.26551223f));
  return mul(t, exp_of(fma(sub(zero(), a), a, p)));
}

template <Activation Kind>
WEFT_ALWAYS_INLINE Vec activated(Vec x) noexcept {
  if constexpr (Kind == Activation::silu) {
    return mul(x, sigmoid_of(x));
  } else if constexpr (Kind == Activation::gelu) {
    const Vec tail = mul(set(0.5f), erfc_of_abs(mul(x, set(0.70710678f))));  // Phi(-|x|)
    return mul(x, select_less(x, zero(), tail, sub(set(1.f), tail)));
  } else if constexpr (Kind == Activation::gelu_tanh) {
    // 0.5 (1 + tanh u) = sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3)
    const Vec cubic = fma(mul(mul(x, x), x), set(0.044715f), x);
    return mul(x, sigmoid_of(mul(cubic, set(1.5957691f))));
  } else if constexpr (Kind == Activation::quick_gelu) {
    return mul(x, sigmoid_of(mul(x, set(1.702f))));
  } else {
    return max(zero(), x);
  }
}

template <Activation Kind>
WEFT_ALWAYS_INLINE void activation_row(const float* x, const float* up, std::size_t n, float* y) noexcept {
  std::size_t i = 0;
  for (; i + width <= n; i += width) {
    const Vec a = activated<Kind>(load(x + i));
    store(y + i, up ? mul(a, load(up + i)) : a);
  }
  if (i < n) {
    const Vec a = activated<Kind>(load_partial(x + i, n - i));
    store_partial(y + i, up ? mul(a, load_partial(up + i, n - i)) : a, n - i);
  }
}

inline void activation(Activation kind, const float* x, const float* up, std::size_t n, float* y) noexcept {
  switch (kind) {
    case Activation::silu: return activation_row<Activation::silu>(x, up, n, y);
    case Activation::gelu: return activation_row<Activation::gelu>(x, up, n, y);
    case Activation::gelu_tanh: return activation_row<Activation::gelu_tanh>(x, up, n, y);
    case Activation::quick_gelu: return activation_row<Activation::quick_gelu>(x, up, n, y);
    case Activation::relu: return activation_row<Activation::relu>(x, up, n, y);
  }
}

inline void exp(const float* x, std::size_t n, float* y) noexcept {
  std::size_t i = 0;
  for (; i + width <= n; i += width) store(y + i, exp_of(load(x + i)));
  if (i < n) store_partial(y + i, exp_of(load_partial(x + i, n - i)), n - i);
}

/// The largest element; NaN may be lost.
inline float max_of(const float* x, std::size_t n) noexcept {
  const float lowest = -std::numeric_limits<float>::infinity();
  Vec m = set(lowest);
  std::size_t i = 0;
  for (; i + width <= n; i += width) m = max(m, load(x + i));
  if (i < n) m = max(m, load_partial(x + i, n - i, lowest));
  return reduce_max(m);
}

inline void softmax(const float* x, std::size_t n, float scale, float* y) noexcept {
  // The largest of scale * x is at the largest x, or at the smallest where scale is negative: scale first.
  const float lowest = -std::numeric_limits<float>::infinity();
  const Vec factor = set(scale);
  Vec m = set(lowest);
  std::size_t i = 0;
  for (; i + width <= n; i += width) m = max(m, mul(load(x + i), factor));
  if (i < n) {
    const Vec tail = mul(load_partial(x + i, n - i), factor);
    float lanes[width];
    store(lanes, tail);
    m = max(m, load_partial(lanes, n - i, lowest));
  }
  const Vec shift = set(-reduce_max(m));
  Vec sum = zero();
  for (i = 0; i + width <= n; i += width) {
    const Vec e = exp_of(fma(load(x + i), factor, shift));
    sum = add(sum, e);
    store(y + i, e);
  }
  if (i < n) {
    store_partial(y + i, exp_of(fma(load_partial(x + i, n - i), factor, shift)), n - i);
    sum = add(sum, load_partial(y + i, n - i));
  }
  const Vec inverse = set(1.f / reduce_add(sum));
  for (i = 0; i + width <= n; i += width) store(y + i, mul(load(y + i), inverse));
  if (i < n) store_partial(y + i, mul(load_partial(y + i, n - i), inverse), n - i);
}

inline float log_sum_exp(const float* x, std::size_t n) noexcept {
  const float top = max_of(x, n);
  const Vec shift = set(top);
  Vec sum = zero();
  std::size_t i = 0;
  for (; i + width <= n; i += width) sum = add(sum, exp_of(sub(load(x + i), shift)));
  float result = reduce_add(sum);
  if (i < n)
    result += reduce_add(exp_of(sub(load_partial(x + i, n - i, -std::numeric_limits<float>::infinity()), shift)));
  return top + std::log(result);
}

inline void rms_norm(const float* x, const float* gain, std::size_t n, float eps, float gain_offset,
                     float* y) noexcept {
  Vec squares = zero();
  std::size_t i = 0;
  for (; i + width <= n; i += width) {
    const Vec v = load(x + i);
    squares = fma(v, v, squares);
  }
  if (i < n) {
    const Vec v = load_partial(x + i, n - i);
    squares = fma(v, v, squares);
  }
  const Vec scale = set(1.f / std::sqrt(reduce_add(squares) / static_cast<float>(n) + eps));
  const Vec offset = set(gain_offset);
  for (i = 0; i + width <= n; i += width) store(y + i, mul(mul(load(x + i), scale), add(load(gain + i), offset)));
  if (i < n)
    store_partial(y + i, mul(mul(load_partial(x + i, n - i), scale), add(load_partial(gain + i, n - i), offset)),
                  n - i);
}

inline void layer_norm(const float* x, const float* gain, const float* bias, std::size_t n, float eps,
                       float* y) noexcept {
  Vec total = zero();
  std::size_t i = 0;
  for (; i + width <= n; i += width) total = add(total, load(x + i));
  if (i < n) total = add(total, load_partial(x + i, n - i));
  const float mean = reduce_add(total) / static_cast<float>(n);
  const Vec centre = set(mean);
  Vec squares = zero();
  for (i = 0; i + width <= n; i += width) {
    const Vec v = sub(load(x + i), centre);
    squares = fma(v, v, squares);
  }
  if (i < n) {
    const Vec v = sub(load_partial(x + i, n - i, mean), centre);
    squares = fma(v, v, squares);
  }
  const Vec scale = set(1.f / std::sqrt(reduce_add(squares) / static_cast<float>(n) + eps));
  const auto normalised = [&](Vec v, std::size_t at, auto&& read) noexcept {
    v = mul(sub(v, centre), scale);
    if (gain && bias) return fma(v, read(gain + at), read(bias + at));
    if (gain) return mul(v, read(gain + at));
    return bias ? add(v, read(bias + at)) : v;
  };
  for (i = 0; i + width <= n; i += width)
    store(y + i, normalised(load(x + i), i, [&](const float* p) noexcept { return load(p); }));
  if (i < n)
    store_partial(
        y + i,
        normalised(load_partial(x + i, n - i), i, [&](const float* p) noexcept { return load_partial(p, n - i); }),
        n - i);
}

inline void rope(float* x, const float* cos, const float* sin, std::size_t pairs, RopePairing pairing) noexcept {
  std::size_t i = 0;
  if (pairing == RopePairing::halves) {
    float* low = x;
    float* high = x + pairs;
    for (; i + width <= pairs; i += width) {
      const Vec a = load(low + i);
      const Vec b = load(high + i);
      const Vec c = load(cos + i);
      const Vec s = load(sin + i);
      store(low + i, fma(a, c, sub(zero(), mul(b, s))));
      store(high + i, fma(b, c, mul(a, s)));
    }
    for (; i < pairs; ++i) {
      const float a = low[i];
      const float b = high[i];
      low[i] = std::fma(a, cos[i], -(b * sin[i]));
      high[i] = std::fma(b, cos[i], a * sin[i]);
    }
    return;
  }
  for (; i + width / 2 <= pairs; i += width / 2) {
    const Vec v = load(x + 2 * i);
    store(x + 2 * i, fma(v, load_twice(cos + i), mul(turn_pairs(v), load_twice(sin + i))));
  }
  for (; i < pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = std::fma(a, cos[i], -(b * sin[i]));
    x[2 * i + 1] = std::fma(b, cos[i], a * sin[i]);
  }
}

inline void add_row(const float* x, std::size_t n, float* y) noexcept {
  std::size_t i = 0;
  for (; i + width <= n; i += width) store(y + i, add(load(y + i), load(x + i)));
  if (i < n) store_partial(y + i, add(load_partial(y + i, n - i), load_partial(x + i, n - i)), n - i);
}

template <class From, class To>
void convert(const From* x, std::size_t n, To* y) noexcept {
  std::size_t i = 0;
  for (; i + width <= n; i += width) store(y + i, load(x + i));
  if (i < n) store_partial(y + i, load_partial(x + i, n - i), n - i);
}
