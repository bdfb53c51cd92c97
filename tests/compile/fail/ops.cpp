// Misuse of operations that must not compile: shapes and element types that are wrong at compile time.
#include <cstdint>
#include <string>

#include <weft/ops/activation.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/embedding.hpp>
#include <weft/ops/layer_norm.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/matmul.hpp>
#include <weft/ops/reduce.hpp>
#include <weft/ops/rms_norm.hpp>
#include <weft/ops/rope.hpp>
#include <weft/ops/softmax.hpp>

using weft::dynamic;
using weft::Extents;
using weft::TensorView;

using Rows = TensorView<float, 2, Extents<dynamic, 64>>;                // (tokens, 64)
using OtherRows = TensorView<float, 2, Extents<dynamic, 32>>;           // (tokens, 32)
using Gain = TensorView<const float, 1, Extents<64>>;                   // (64)
using Heads = TensorView<float, 3, Extents<dynamic, 4, 16>>;            // (tokens, heads, head_dim)
using OtherHeads = TensorView<float, 3, Extents<dynamic, 4, 32>>;       // (tokens, heads, head_dim)
using HalfHeads = TensorView<weft::half, 3, Extents<dynamic, 4, 16>>;   // (tokens, heads, head_dim)
using ByteHeads = TensorView<std::int8_t, 3, Extents<dynamic, 4, 16>>;  // (tokens, heads, head_dim)
using HalfRows = TensorView<weft::half, 2, Extents<dynamic, 64>>;       // (tokens, 64)

inline float control(Rows x, Gain gain, Rows y, TensorView<float, 2, Extents<64, dynamic>> b, Heads q, HalfHeads k) {
  weft::rms_norm(x, gain, y, {.eps = 1e-5f});
  weft::layer_norm(x, gain, gain, y, {.eps = 1e-5f});
  weft::softmax(x, y);
  weft::linear(x, y, x);
  weft::embedding({}, x, y);
  weft::gated_activation(weft::Activation::silu, x, y, y);
  weft::attention(q, k, k, q, {.scale = 0.25f});
  weft::apply_rope(TensorView<float, 3>(q), {}, weft::RopeTable(16, 1, {.theta = 1e4f}));
  return weft::matmul(x, b)(0, 0) + weft::mean(x);
}

#if CASE == 1  // expect: rms_norm: x and y have different shapes
inline void norm_shapes(Rows x, Gain gain, OtherRows y) { weft::rms_norm(x, gain, y, {.eps = 1e-5f}); }
#elif CASE == 2   // expect: rms_norm: gain has another extent
inline void norm_gain(OtherRows x, Gain gain, OtherRows y) { weft::rms_norm(x, gain, y, {.eps = 1e-5f}); }
#elif CASE == 3   // expect: softmax: x and y have different shapes
inline void softmax_shapes(Rows x, OtherRows y) { weft::softmax(x, y); }
#elif CASE == 4   // expect: matmul: columns of a and rows of b differ
inline float matmul_inner(Rows a, TensorView<float, 2, Extents<32, dynamic>> b) { return weft::matmul(a, b)(0, 0); }
#elif CASE == 5   // expect: matmul: operands have at least two dimensions
inline void matmul_vector(Gain a, TensorView<float, 2> b, TensorView<float, 2> y) { weft::matmul(a, b, y); }
#elif CASE == 6   // expect: matmul: y is float
inline void matmul_into_half(Rows a, TensorView<float, 2> b, TensorView<weft::half, 2> y) { weft::matmul(a, b, y); }
#elif CASE == 7   // expect: attention: q and k have different head_dim
inline void head_dims(Heads q, OtherHeads k) { weft::attention(q, k, k, q, {.scale = 0.25f}); }
#elif CASE == 8   // expect: attention: q is float, k and v have one element type
inline void mixed_cache(Heads q, Heads k, HalfHeads v) { weft::attention(q, k, v, q, {.scale = 0.25f}); }
#elif CASE == 9   // expect: attention: q, k, v and out are (tokens, heads, head_dim)
inline void flat_queries(Rows q, Heads k) { weft::attention(q, k, k, q, {.scale = 0.25f}); }
#elif CASE == 10  // expect: mean takes a floating element type
inline auto mean_of_numbers(TensorView<std::int32_t, 2> x) { return weft::mean(x); }
#elif CASE == 11  // expect: no matching function
inline void not_a_tensor(std::string x, Rows y) { weft::softmax(x, y); }
#elif CASE == 12  // expect: layer_norm: gain or bias has another extent
inline void norm_bias(OtherRows x, TensorView<float, 1> gain, Gain bias) {
  weft::layer_norm(x, gain, bias, x, {.eps = 1e-5f});
}
#elif CASE == 13  // expect: gated_activation: shapes differ
inline void gate_and_up(Rows gate, OtherRows up) { weft::gated_activation(weft::Activation::silu, gate, up, gate); }
#elif CASE == 14  // expect: expected float elements
inline void norm_of_halves(HalfRows x, Gain gain) { weft::rms_norm(x, gain, x, {.eps = 1e-5f}); }
#elif CASE == 15  // expect: expected a float vector
inline void norm_by_halves(Rows x, TensorView<weft::half, 1> gain) { weft::rms_norm(x, gain, x, {.eps = 1e-5f}); }
#elif CASE == 16  // expect: attention: keys and values are float, half, bfloat16
inline void cache_of_bytes(Heads q, ByteHeads k) { weft::attention(q, k, k, q, {.scale = 0.25f}); }
#elif CASE == 17  // expect: attention: q and out have different shapes
inline void attention_out(Heads q, OtherHeads out) { weft::attention(q, q, q, out, {.scale = 0.25f}); }
#elif CASE == 18  // expect: matmul: y has another shape than a b
inline void matmul_out(Rows a, TensorView<float, 2, Extents<64, 8>> b, OtherRows y) { weft::matmul(a, b, y); }
#elif CASE == 19  // expect: no matching function
inline void rope_of_constants(TensorView<const float, 3> q, const weft::RopeTable& table) {
  weft::apply_rope(q, {}, table);
}
#elif CASE == 20  // expect: no matching function
inline void norm_without_eps(Rows x, Gain gain) { weft::rms_norm(x, gain, x); }
#elif CASE == 21  // expect: linear: weights are (rows, k) of float, half or bfloat16
inline void weights_of_doubles(Rows x, TensorView<double, 2> weight) { weft::linear(x, weight, x); }
#elif CASE == 22  // expect: embedding: the table is (vocab, hidden) of float, half or bfloat16
inline void table_of_heads(Heads table, Rows y) { weft::embedding({}, table, y); }
#endif
