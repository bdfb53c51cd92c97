// Included by vec_*_test.cpp inside a namespace of their own and the target region of the vec_*.hpp whose namespace
// `isa` names.

template <class T>
struct MemoryOf {
  static void load(const T* from, float* out) { isa::store(out, isa::load(from)); }
  static void load_partial(const T* from, std::size_t n, float fill, float* out) {
    isa::store(out, isa::load_partial(from, n, fill));
  }
  static void store(const float* in, T* to) { isa::store(to, isa::load(in)); }
  static void store_partial(const float* in, std::size_t n, T* to) { isa::store_partial(to, isa::load(in), n); }

  static constexpr weft::testing::VecFunctions::Memory<T> table{load, load_partial, store, store_partial};
};

inline void set(float value, float* out) { isa::store(out, isa::set(value)); }
inline void add(const float* a, const float* b, float* out) { isa::store(out, isa::add(isa::load(a), isa::load(b))); }
inline void sub(const float* a, const float* b, float* out) { isa::store(out, isa::sub(isa::load(a), isa::load(b))); }
inline void mul(const float* a, const float* b, float* out) { isa::store(out, isa::mul(isa::load(a), isa::load(b))); }
inline void div(const float* a, const float* b, float* out) { isa::store(out, isa::div(isa::load(a), isa::load(b))); }
inline void max(const float* a, const float* b, float* out) { isa::store(out, isa::max(isa::load(a), isa::load(b))); }
inline void min(const float* a, const float* b, float* out) { isa::store(out, isa::min(isa::load(a), isa::load(b))); }
inline void fma(const float* a, const float* b, const float* c, float* out) {
  isa::store(out, isa::fma(isa::load(a), isa::load(b), isa::load(c)));
}
inline void select_less(const float* a, const float* b, const float* x, const float* y, float* out) {
  isa::store(out, isa::select_less(isa::load(a), isa::load(b), isa::load(x), isa::load(y)));
}
inline void abs(const float* a, float* out) { isa::store(out, isa::abs(isa::load(a))); }
inline void round(const float* a, float* out) { isa::store(out, isa::round(isa::load(a))); }
inline void scale_pow2(const float* a, const float* n, float* out) {
  isa::store(out, isa::scale_pow2(isa::load(a), isa::load(n)));
}
inline void turn_pairs(const float* a, float* out) { isa::store(out, isa::turn_pairs(isa::load(a))); }
inline void load_twice(const float* a, float* out) { isa::store(out, isa::load_twice(a)); }
inline float reduce_add(const float* a) { return isa::reduce_add(isa::load(a)); }
inline float reduce_max(const float* a) { return isa::reduce_max(isa::load(a)); }
inline void reduce_add4(const float* a, float* out) {
  isa::reduce_add4(isa::load(a), isa::load(a + isa::width), isa::load(a + 2 * isa::width),
                   isa::load(a + 3 * isa::width), out);
}
inline void transpose(float* rows) {
  isa::Vec vectors[isa::width];
  for (std::size_t i = 0; i < isa::width; ++i) vectors[i] = isa::load(rows + i * isa::width);
  isa::transpose(vectors);
  for (std::size_t i = 0; i < isa::width; ++i) isa::store(rows + i * isa::width, vectors[i]);
}

inline constexpr weft::testing::VecFunctions functions{.width = isa::width,
                                                       .f32 = MemoryOf<float>::table,
                                                       .f16 = MemoryOf<weft::half>::table,
                                                       .bf16 = MemoryOf<weft::bfloat16>::table,
                                                       .set = set,
                                                       .add = add,
                                                       .sub = sub,
                                                       .mul = mul,
                                                       .div = div,
                                                       .max = max,
                                                       .min = min,
                                                       .scale_pow2 = scale_pow2,
                                                       .fma = fma,
                                                       .select_less = select_less,
                                                       .abs = abs,
                                                       .round = round,
                                                       .turn_pairs = turn_pairs,
                                                       .load_twice = load_twice,
                                                       .reduce_add = reduce_add,
                                                       .reduce_max = reduce_max,
                                                       .reduce_add4 = reduce_add4,
                                                       .transpose = transpose};
