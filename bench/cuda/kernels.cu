// The speed of single kernels.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <weft/cuda/core/stream.cuh>
#include <weft/cuda/ops/activation.cuh>
#include <weft/cuda/ops/attention.cuh>
#include <weft/cuda/ops/attention_decode.cuh>
#include <weft/cuda/ops/grouped_linear.cuh>
#include <weft/cuda/ops/layer_norm.cuh>
#include <weft/cuda/ops/rms_norm.cuh>
#include <weft/cuda/ops/rope.cuh>
#include <weft/cuda/ops/softmax.cuh>
#include <weft/cuda/sampling/sampler.cuh>

#include "measure.hpp"
#include "timing.cuh"

namespace bench {
namespace {

using weft::half;
using weft::TensorView;
using weft::cuda::DeviceTensor;
using weft::cuda::Stream;

template <class T>
DeviceTensor<T, 1> upload(const std::vector<T>& host, cudaStream_t stream) {
  DeviceTensor<T, 1> x(TensorView<const T, 1>(host.data(), {host.size()}), stream);
  weft::cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  return x;
}

/// Attention of one token to caches that do not fit into the second cache of the device.
Found measure_decode_attention(const Llama& s, std::size_t keys, const Roofs& roofs) {
  constexpr int caches = 4;
  const Stream stream;
  const auto q = random_tensor<half, 3>({1, s.heads, s.head_dim}, stream);
  DeviceTensor<half, 3> out({1, s.heads, s.head_dim}, stream);
  const auto k = random_tensor<half, 4>({caches, keys, s.kv_heads, s.head_dim}, stream);
  const auto v = random_tensor<half, 4>({caches, keys, s.kv_heads, s.head_dim}, stream);
  const auto seen = upload<std::int32_t>({static_cast<std::int32_t>(keys)}, stream);
  weft::cuda::DeviceBuffer workspace(
      weft::cuda::attention_decode_workspace_bytes(1, s.heads, s.kv_heads, s.head_dim, keys), stream);
  workspace.clear();
  const double took = seconds(stream, 4 * caches, [&](int i) {
    const auto cache = static_cast<std::size_t>(i % caches);
    weft::cuda::attention_decode(q, k.view().narrow(0, cache, 1), v.view().narrow(0, cache, 1), seen.data(), out,
                                 {.scale = 0.088f}, workspace.data(), stream);
  });
  const double speed = static_cast<double>((k.bytes() + v.bytes()) / caches) / took;
  return {speed * 1e-12, share_of(speed, roofs.bytes_per_second)};
}

Found measure_prompt_attention(const Llama& s, std::size_t tokens, const Roofs& roofs) {
  const Stream stream;
  const auto q = random_tensor<half, 3>({tokens, s.heads, s.head_dim}, stream);
  const auto k = random_tensor<half, 3>({tokens, s.kv_heads, s.head_dim}, stream);
  const auto v = random_tensor<half, 3>({tokens, s.kv_heads, s.head_dim}, stream);
  DeviceTensor<half, 3> out({tokens, s.heads, s.head_dim}, stream);
  const double took = seconds(stream, 4, [&](int) { weft::cuda::attention(q, k, v, out, {.scale = 0.088f}, stream); });
  const double speed = causal_attention_operations(tokens, s.heads, s.head_dim) / took;
  return {speed * 1e-12, share_of(speed, roofs.operations_per_second)};
}

/// The products of the experts' first matrix, each with the tokens that chose it: as many for each expert.
Found measure_grouped_product(const Mixture& m, const Roofs& roofs) {
  const Stream stream;
  const std::size_t rows = m.tokens * m.chosen;
  const auto x = random_tensor<half, 2>({m.tokens, m.hidden}, stream);
  const auto weights = random_tensor<half, 3>({m.experts, m.intermediate, m.hidden}, stream);
  DeviceTensor<half, 2> y({rows, m.intermediate}, stream);
  std::vector<std::int32_t> experts(rows);
  for (std::size_t i = 0; i < rows; ++i) experts[i] = static_cast<std::int32_t>(i % m.experts);
  const auto chosen = upload(experts, stream);
  const auto shares = upload(std::vector<float>(rows, 1.f), stream);
  DeviceTensor<std::int32_t, 1> memory({weft::cuda::RowGroups::elements_for(rows, m.experts)}, stream);
  const weft::cuda::RowGroups groups(memory.data(), rows, m.experts);
  const double took = seconds(stream, 4, [&](int) {
    weft::cuda::group_rows(chosen.data(), shares.data(), rows, m.experts, groups, stream);
    weft::cuda::grouped_linear(x, weights, groups, y, stream);
  });
  const double speed = 2.0 * static_cast<double>(rows * m.hidden) * static_cast<double>(m.intermediate) / took;
  return {speed * 1e-12, share_of(speed, roofs.operations_per_second)};
}

Found measure_sampling(const weft::SamplingParams& params, std::size_t vocab, int calls) {
  const Stream stream;
  const auto logits = random_tensor<float, 2>({1, vocab}, stream);
  const weft::cuda::DeviceBuffer draw(sizeof(weft::cuda::DeviceDraw), stream);
  weft::cuda::DeviceSampler sampler(params, 1, stream);
  return {1e6 * seconds(stream, calls, [&](int) { sampler(logits, draw.as<weft::cuda::DeviceDraw>()); })};
}

/// What the kernels that go through rows work on: parts of large tensors in turn, so that no call finds in a cache what
/// the one before it left there.
class Rows {
 public:
  Rows(const Sizes& sizes, std::size_t bytes)
      : width_(sizes.row_elements),
        rows_(bytes / (width_ * sizeof(half))),
        parts_(sizes.arena_bytes / bytes),
        x_(random_tensor<half, 2>({parts_ * rows_, width_}, stream_)),
        y_(random_tensor<half, 2>({parts_ * rows_, width_}, stream_)),
        z_(random_tensor<half, 2>({parts_ * rows_, width_}, stream_)),
        gain_(random_tensor<half, 1>({width_}, stream_)) {}

  const Stream& stream() const noexcept { return stream_; }
  TensorView<half, 2> x(int call) { return part(x_, call); }
  TensorView<half, 2> y(int call) { return part(y_, call); }
  TensorView<half, 2> z(int call) { return part(z_, call); }
  const DeviceTensor<half, 1>& gain() const noexcept { return gain_; }
  std::size_t rows() const noexcept { return rows_; }
  std::size_t width() const noexcept { return width_; }
  double bytes() const noexcept { return static_cast<double>(rows_ * width_ * sizeof(half)); }

 private:
  TensorView<half, 2> part(DeviceTensor<half, 2>& x, int call) const {
    return x.view().narrow(0, static_cast<std::size_t>(call) % parts_ * rows_, rows_);
  }

  Stream stream_;
  std::size_t width_, rows_, parts_;
  DeviceTensor<half, 2> x_, y_, z_;
  DeviceTensor<half, 1> gain_;
};

template <weft::Activation Kind>
void activate(Rows& r, int i) {
  weft::cuda::activation(Kind, r.x(i), r.y(i), r.stream());
}
template <weft::Activation Kind>
void activate_gated(Rows& r, int i) {
  weft::cuda::gated_activation(Kind, r.x(i), r.z(i), r.y(i), r.stream());
}

/// A kernel, how many tensors it reads and writes, and a call of it.
struct RowKernel {
  const char* name;
  double tensors;
  void (*call)(Rows& rows, int i);
};
constexpr RowKernel row_kernels[] = {
    {"rms_norm", 2, [](Rows& r, int i) { weft::cuda::rms_norm(r.x(i), r.gain(), r.y(i), {.eps = 1e-5f}, r.stream()); }},
    {"add_rms_norm", 4,
     [](Rows& r, int i) { weft::cuda::add_rms_norm(r.x(i), r.z(i), r.gain(), r.y(i), {.eps = 1e-5f}, r.stream()); }},
    {"layer_norm", 2,
     [](Rows& r, int i) { weft::cuda::layer_norm(r.x(i), r.gain(), r.gain(), r.y(i), {.eps = 1e-5f}, r.stream()); }},
    {"add_layer_norm", 4,
     [](Rows& r, int i) {
       weft::cuda::add_layer_norm(r.x(i), r.z(i), r.gain(), r.gain(), r.y(i), {.eps = 1e-5f}, r.stream());
     }},
    {"softmax", 2, [](Rows& r, int i) { weft::cuda::softmax(r.x(i), r.y(i), -1, r.stream()); }},
    {"activation, silu", 2, activate<weft::Activation::silu>},
    {"activation, gelu", 2, activate<weft::Activation::gelu>},
    {"activation, gelu_tanh", 2, activate<weft::Activation::gelu_tanh>},
    {"activation, quick_gelu", 2, activate<weft::Activation::quick_gelu>},
    {"activation, relu", 2, activate<weft::Activation::relu>},
    {"gated_activation, silu", 3, activate_gated<weft::Activation::silu>},
    {"gated_activation, gelu_tanh", 3, activate_gated<weft::Activation::gelu_tanh>},
};

Found speed_of_rows(double bytes, double took, const Roofs& roofs) {
  return {bytes / took * 1e-12, share_of(bytes / took, roofs.bytes_per_second)};
}

Found measure_rows(const RowKernel& kernel, const Sizes& sizes, std::size_t bytes, const Roofs& roofs) {
  Rows rows(sizes, bytes);
  const double took = seconds(rows.stream(), 2 * sizes.calls, [&](int i) { kernel.call(rows, i); });
  return speed_of_rows(kernel.tensors * rows.bytes(), took, roofs);
}

/// Heads of 128 elements, in place.
Found measure_rope(const Sizes& sizes, std::size_t bytes, weft::RopePairing pairing, const Roofs& roofs) {
  constexpr std::size_t head_dim = 128;
  Rows rows(sizes, bytes);
  const weft::cuda::DeviceRopeTable table(
      weft::RopeTable(head_dim, rows.rows(), {.theta = 500000.f, .pairing = pairing}), rows.stream());
  std::vector<std::int32_t> order(rows.rows());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
  const auto positions = upload(order, rows.stream());
  const double took = seconds(rows.stream(), 2 * sizes.calls, [&](int i) {
    const TensorView<half, 3> heads(rows.x(i).data(), {rows.rows(), rows.width() / head_dim, head_dim});
    weft::cuda::apply_rope(heads, positions.view(), table, rows.stream());
  });
  return speed_of_rows(2 * rows.bytes(), took, roofs);
}

}  // namespace

std::vector<Line> kernel_lines(const Sizes& sizes, const Roofs& roofs) {
  std::vector<Line> lines;
  lines.push_back({"decode attention, 32k keys, 32/8 heads of 128",
                   "TB/s",
                   "the stream",
                   {.least_share = 0.85},
                   [&roofs, s = sizes.large, keys = sizes.keys] { return measure_decode_attention(s, keys, roofs); }});
  lines.push_back({"prompt attention, 8k tokens, causal, 32/8 heads of 128",
                   "TFLOP/s",
                   "the product",
                   {.least_share = 0.50},
                   [&roofs, s = sizes.large, tokens = sizes.attention_tokens] {
                     return measure_prompt_attention(s, tokens, roofs);
                   }});
  lines.push_back({"grouped product, 2048 tokens, 2 of 8 experts of 14336 x 4096",
                   "TFLOP/s",
                   "the product",
                   {},
                   [&roofs, mixture = sizes.mixture] { return measure_grouped_product(mixture, roofs); }});
  for (const std::size_t i : {0u, 1u}) {
    const std::string size = i == 0 ? ", 16 MiB" : ", 256 MiB";
    const auto line = [&](std::string name, std::function<Found()> work) {
      lines.push_back({name.append(size), "TB/s", "the stream", {.least_share = 0.85}, std::move(work)});
    };
    for (const RowKernel& kernel : row_kernels)
      line(kernel.name,
           [&roofs, &kernel, sizes, bytes = sizes.row_bytes[i]] { return measure_rows(kernel, sizes, bytes, roofs); });
    for (const weft::RopePairing pairing : {weft::RopePairing::halves, weft::RopePairing::interleaved})
      line(pairing == weft::RopePairing::halves ? "apply_rope, halves" : "apply_rope, interleaved",
           [&roofs, sizes, pairing, bytes = sizes.row_bytes[i]] { return measure_rope(sizes, bytes, pairing, roofs); });
  }
  for (const auto& [what, params] :
       {std::pair<const char*, weft::SamplingParams>{"the likeliest", {.temperature = 0.f}},
        {"temperature", {.temperature = 0.1f}},
        {"top-k 50, top-p 0.95", {.temperature = 0.1f, .top_k = 50, .top_p = 0.95f}},
        {"top-p 0.95", {.temperature = 0.1f, .top_p = 0.95f}},
        {"min-p 0.05", {.temperature = 0.1f, .min_p = 0.05f}}})
    lines.push_back({std::string("sampling, vocabulary of 128k, ").append(what),
                     "us",
                     "",
                     {.most_value = 30.0},
                     [params = params, vocab = sizes.large.vocab, calls = sizes.calls] {
                       return measure_sampling(params, vocab, calls);
                     }});
  return lines;
}

}  // namespace bench
