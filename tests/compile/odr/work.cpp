// The work, compiled once per side with SIDE naming it and flags of its own.
#include "work.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/core/any_tensor.hpp>
#include <weft/core/eigen.hpp>
#include <weft/core/rng.hpp>
#include <weft/core/tensor.hpp>
#include <weft/core/thread_pool.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/activation.hpp>
#include <weft/ops/attention.hpp>
#include <weft/ops/layer_norm.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/matmul.hpp>
#include <weft/ops/reduce.hpp>
#include <weft/ops/rms_norm.hpp>
#include <weft/ops/rope.hpp>
#include <weft/ops/softmax.hpp>
#include <weft/sampling/top_p.hpp>

namespace SIDE {

namespace {

template <class Values>
Result result(std::string what, double tolerance, const Values& values) {
  Result out{std::move(what), tolerance, {}};
  for (const auto& value : values) out.values.push_back(static_cast<double>(value));
  return out;
}

weft::Tensor<float, 2> random(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  weft::Tensor<float, 2> out({rows, columns});
  weft::Philox rng(seed);
  for (float& value : out.elements()) value = 2.0f * weft::uniform_float(rng) - 1.0f;
  return out;
}

void layouts(std::vector<Result>& results) {
  results.push_back(
      result("sizes of types", 0.0,
             std::vector<std::size_t>{sizeof(weft::Tensor<float, 3>), sizeof(weft::TensorView<float, 3>),
                                      sizeof(weft::AnyTensor), alignof(weft::AnyTensor), sizeof(weft::Shape),
                                      sizeof(weft::ThreadPool), alignof(weft::ThreadPool), sizeof(weft::Philox)}));
}

void conversions(std::vector<Result>& results) {
  std::vector<float> halves, brains;
  weft::Philox rng(3);
  for (int i = 0; i < 4096; ++i) {
    const float value = static_cast<float>(weft::normal_double(rng)) * (i % 7 == 0 ? 1e-6f : 300.0f);
    halves.push_back(weft::half(value));
    brains.push_back(weft::bfloat16(value));
  }
  halves.push_back(weft::half(std::numeric_limits<float>::infinity()));
  brains.push_back(weft::bfloat16(std::numeric_limits<float>::quiet_NaN()));
  results.push_back(result("half", 0.0, halves));
  results.push_back(result("bfloat16", 0.0, brains));
}

void views(std::vector<Result>& results) {
  const weft::Tensor<float, 2> x = random(17, 23, 1);
  const auto turned = x.view().transpose(0, 1).slice(0, 1, 20, 3).contiguous();
  results.push_back(result("transposed slice", 0.0, turned.elements()));

  // Element by element: what Eigen vectorises itself depends on flags and is Eigen's own affair.
  const auto matrix = weft::as_eigen(x.view().transpose(0, 1));
  std::vector<float> seen;
  for (Eigen::Index column = 0; column < matrix.cols(); ++column) seen.push_back(matrix(5, column));
  results.push_back(result("Eigen map of a transposed view", 0.0, seen));
}

void threads(std::vector<Result>& results) {
  weft::ThreadPool pool(2);
  std::vector<std::uint64_t> squares(1000);
  pool.run(squares.size(), [&](std::size_t i) { squares[i] = std::uint64_t{i} * i; });
  results.push_back(result("thread pool", 0.0, squares));
}

weft::AnyTensor weight_of(weft::DType dtype, const weft::Tensor<float, 2>& values) {
  weft::AnyTensor result;
  weft::visit_among<float, weft::half, weft::bfloat16>(dtype, "weight_of", [&]<class T>(std::type_identity<T>) {
    result = weft::AnyTensor::make(dtype, values.shape(), [&](std::span<std::byte> bytes) {
      for (std::size_t i = 0; i < values.size(); ++i) {
        const T element(values.data()[i]);
        std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
      }
    });
  });
  return result;
}

// Every op with the kernels of one instruction set. Kernels carry flags of their own; what stands around them does not.
void ops(std::vector<Result>& results, weft::cpu::Isa isa) {
  weft::ThreadPool pool(2);
  weft::cpu::Context ctx;
  ctx.kernels = &weft::cpu::kernels_for(isa);
  ctx.executor = &pool;
  const std::string with = std::string(" with ") + std::string(ctx.kernels->name);
  const double tolerance = 0.0;

  const weft::Tensor<float, 2> x = random(37, 96, 11);
  const weft::Tensor<float, 2> gain = random(1, 96, 12);
  weft::Tensor<float, 2> y({37, 96});
  weft::rms_norm(x, gain[0], y, {.eps = 1e-5f}, ctx);
  results.push_back(result("rms_norm" + with, tolerance, y.elements()));
  weft::layer_norm(x, gain[0], gain[0], y, {.eps = 1e-5f}, ctx);
  results.push_back(result("layer_norm" + with, tolerance, y.elements()));
  weft::silu(x, y, ctx);
  results.push_back(result("silu" + with, tolerance, y.elements()));
  weft::softmax(x, y, -1, ctx);
  results.push_back(result("softmax" + with, tolerance, y.elements()));
  weft::log_softmax(x, y, 0, ctx);
  results.push_back(result("log_softmax" + with, tolerance, y.elements()));
  results.push_back(result("sum", tolerance, weft::sum(x, 0).elements()));

  const weft::Tensor<float, 2> weight = random(50, 96, 13);
  results.push_back(result("matmul" + with, tolerance, weft::matmul(x, weight.view().transpose(0, 1), ctx).elements()));

  for (const weft::DType dtype : {weft::DType::f32, weft::DType::f16, weft::DType::bf16})
    for (const weft::Compute compute : {weft::Compute::f32, weft::Compute::native}) {
      ctx.compute = compute;
      weft::Tensor<float, 2> product({37, 50});
      weft::linear(x, weight_of(dtype, weight), product, ctx);
      results.push_back(result("linear" + with, tolerance, product.elements()));
    }
  ctx.compute = weft::Compute::f32;

  weft::Tensor<float, 2> queries = random(37, 96, 14);
  const weft::TensorView<float, 3> heads = queries.view().reshape(37, 6, 16);  // (tokens, heads, head_dim)
  std::vector<std::int32_t> positions(37);
  for (std::size_t t = 0; t < positions.size(); ++t) positions[t] = static_cast<std::int32_t>(t);
  weft::apply_rope(heads, positions, {.theta = 10000.0f}, ctx);
  results.push_back(result("rope" + with, tolerance, queries.elements()));

  const weft::Tensor<float, 2> keys = random(37, 32, 15);
  const weft::Tensor<float, 2> values = random(37, 32, 16);
  weft::attention(heads, keys.view().reshape(37, 2, 16), values.view().reshape(37, 2, 16), y.view().reshape(37, 6, 16),
                  {.scale = 0.25f}, ctx);
  results.push_back(result("attention" + with, tolerance, y.elements()));
}

void sampling(std::vector<Result>& results) {
  const weft::Tensor<float, 2> probabilities = weft::softmax(random(1, 500, 17));
  weft::Philox rng(5);
  std::vector<weft::TokenId> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(weft::sample_top_p(probabilities[0], 0.9f, rng));
  results.push_back(result("sample_top_p", 0.0, ids));
}

}  // namespace

std::vector<Result> work() {
  std::vector<Result> results;
  layouts(results);
  conversions(results);
  views(results);
  threads(results);
  for (const weft::cpu::Isa isa : weft::cpu::all_isas)
    if (weft::cpu::supported(isa)) ops(results, isa);
  sampling(results);
  return results;
}

}  // namespace SIDE
