#pragma once

#include <algorithm>
#include <cstddef>

#include <weft/core/tensor.hpp>
#include <weft/cuda/layers/residual.cuh>
#include <weft/cuda/layers/upload.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/models/encoder_weights.hpp>

// What weft/models/encoder_heads.hpp has, on a device.
namespace weft::inline v0::cuda {

namespace detail {

struct TanhElement {
  template <Storage T>
  __device__ __forceinline__ T operator()(T x) const {
    return from_float<T>(tanhf(to_float(x)));
  }
};

}  // namespace detail

/// x = f(x).
template <HalfStorage T>
void head_activation(HeadActivation kind, TensorView<T, 2> x, const DeviceLayerContext& ctx) {
  const auto apply = [&](Activation activation_kind) { activation(activation_kind, x, x, ctx.stream); };
  switch (kind) {
    case HeadActivation::tanh: return detail::transform("tanh", detail::TanhElement{}, x, ctx.stream, x);
    case HeadActivation::relu: return apply(Activation::relu);
    case HeadActivation::gelu: return apply(Activation::gelu);
    case HeadActivation::gelu_tanh: return apply(Activation::gelu_tanh);
    case HeadActivation::quick_gelu: return apply(Activation::quick_gelu);
    case HeadActivation::silu: return apply(Activation::silu);
  }
}

template <HalfStorage T>
LinearHeadOn<Backend<T>> uploaded_head(const LayerUploader<T>& upload, const LinearHead& w) {
  return {upload.matrix(w.weight), upload.bias(w.bias)};
}

/// The heads of EncoderWeights; that of masked words without its decoder.
template <HalfStorage T>
struct DeviceEncoderHeads {
  LinearHeadOn<Backend<T>> pooler;
  MaskedWordHeadOn<Backend<T>> masked_word;
  LinearHeadOn<Backend<T>> next_sentence;
  DenseHeadOn<Backend<T>> sequence_classes;
  LinearHeadOn<Backend<T>> token_classes;
  LinearHeadOn<Backend<T>> answer_ends;
  DenseHeadOn<Backend<T>> replaced_word;
  SentenceLayerOn<Backend<T>> sentence;
};

template <HalfStorage T>
DeviceEncoderHeads<T> uploaded_heads(const LayerUploader<T>& upload, const EncoderWeights& w) {
  const auto head = [&](const LinearHead& from) { return uploaded_head(upload, from); };
  const auto dense_head = [&](const DenseHead& from) {
    return DenseHeadOn<Backend<T>>{head(from.dense), head(from.output)};
  };
  const MaskedWordHead& words = w.masked_word;
  return {.pooler = head(w.pooler),
          .masked_word = {head(words.dense),
                          upload.norm(words.norm, words.dense ? words.dense.classes() : 0),
                          {},
                          upload.matrix(words.rest),
                          upload.bias(words.bias)},
          .next_sentence = head(w.next_sentence),
          .sequence_classes = dense_head(w.sequence_classes),
          .token_classes = head(w.token_classes),
          .answer_ends = head(w.answer_ends),
          .replaced_word = dense_head(w.replaced_word),
          .sentence = {head(w.sentence.linear), w.sentence.activation}};
}

namespace detail {

/// Copies rows of the host, contiguous, to the device.
inline void upload_rows(TensorView<const float, 2> from, TensorView<float, 2> to, cudaStream_t stream) {
  cuda::check(cudaMemcpyAsync(to.data(), from.data(), to.size() * sizeof(float), cudaMemcpyHostToDevice, stream),
              "cudaMemcpyAsync");
}
/// Copies rows of the device, contiguous, to rows of the host that may lie apart; waits for the stream.
inline void download_rows(TensorView<const float, 2> from, TensorView<float, 2> to, cudaStream_t stream) {
  Tensor<float, 2> apart;
  if (!to.is_contiguous()) apart = Tensor<float, 2>::uninitialised(to.extents());
  cuda::check(cudaMemcpyAsync(apart.empty() ? to.data() : apart.data(), from.data(), from.size() * sizeof(float),
                              cudaMemcpyDeviceToHost, stream),
              "cudaMemcpyAsync");
  cuda::check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  for (std::size_t i = 0; i < apart.extent(0); ++i)
    for (std::size_t j = 0; j < apart.extent(1); ++j) to(i, j) = apart(i, j);
}

/// What a head makes of a row; 0: there is no such head.
inline std::size_t answer_width(EncoderHead head, const EncoderWeights& w) {
  const auto width = [](const LinearHead& linear) { return linear ? linear.classes() : 0; };
  switch (head) {
    case EncoderHead::pooler: return width(w.pooler);
    case EncoderHead::masked_word: return w.masked_word ? w.masked_word.decoder.extent(0) : 0;
    case EncoderHead::next_sentence: return width(w.next_sentence);
    case EncoderHead::sequence_classes: return width(w.sequence_classes.output);
    case EncoderHead::token_classes: return width(w.token_classes);
    case EncoderHead::answer_ends: return width(w.answer_ends);
    case EncoderHead::replaced_word: return width(w.replaced_word.output);
    case EncoderHead::sentence: return width(w.sentence.linear);
  }
  return 0;
}

/// The largest of the widths of all heads: of what they make, and of their dense parts.
struct HeadWidths {
  std::size_t answer = 0;
  std::size_t dense = 0;

  explicit HeadWidths(const EncoderWeights& w) {
    for (auto i = static_cast<unsigned char>(EncoderHead::pooler);
         i <= static_cast<unsigned char>(EncoderHead::sentence); ++i) {
      const auto head = static_cast<EncoderHead>(i);
      answer = std::max(answer, answer_width(head, w));
      dense = std::max(dense, dense_width(head, w));
    }
  }
};

}  // namespace detail

/// Takes rows of the host to the device and what is made of them back, as many at once as there is room for.
template <HalfStorage T>
class HostRows {
 public:
  /// Of rows of at most `widest_x` elements, made into rows of at most `widest_y`; 0: nothing is made of them. Throws
  /// CudaError.
  HostRows(std::size_t rows, std::size_t widest_x, std::size_t widest_y, cudaStream_t stream)
      : rows_(rows), stream_(stream) {
    if (widest_y == 0) return;
    floats_ = DeviceTensor<float, 1>({std::max(room(rows, widest_x), room(rows, widest_y))}, stream);
    x_ = DeviceTensor<T, 1>({room(rows, widest_x)}, stream);
    y_ = DeviceTensor<T, 1>({room(rows, widest_y)}, stream);
  }

  /// The device memory of these.
  static std::size_t bytes_for(std::size_t rows, std::size_t widest_x, std::size_t widest_y) {
    if (widest_y == 0) return 0;
    const std::size_t x = room(rows, widest_x);
    const std::size_t y = room(rows, widest_y);
    return std::max(x, y) * sizeof(float) + (x + y) * sizeof(T);
  }

  /// Elements of y on the device, at most.
  static std::size_t room(std::size_t rows, std::size_t width) {
    constexpr std::size_t enough = std::size_t{1} << 22;
    return std::max(width, std::min(weft::detail::checked_product(rows, width), enough));
  }

  /// Calls f(some rows of x, what they become) on the device for all rows of x (rows, width) of the host, contiguous.
  /// y: (rows, any width), of the host. Waits for the stream. Throws ShapeError where y has not as many rows as x, what
  /// f throws, CudaError.
  template <class F>
  void apply(TensorView<const float, 2> x, TensorView<float, 2> y, F&& f) {
    weft::detail::require_extent("heads: rows of y", "rows", y.extent(0), x.extent(0));
    if (x.empty() || y.empty()) return;
    const std::size_t at_once = std::min({rows_, x_.size() / x.extent(1), y_.size() / y.extent(1)});
    for (std::size_t begin = 0; begin < x.extent(0); begin += at_once) {
      const std::size_t count = std::min(at_once, x.extent(0) - begin);
      const auto own_x = part(x_, count, x.extent(1));
      const auto own_y = part(y_, count, y.extent(1));
      detail::upload_rows(x.narrow(0, begin, count), part(floats_, count, x.extent(1)), stream_);
      copy(part(floats_, count, x.extent(1)), own_x, stream_);
      f(own_x, own_y);
      copy(own_y, part(floats_, count, y.extent(1)), stream_);
      detail::download_rows(part(floats_, count, y.extent(1)), y.narrow(0, begin, count), stream_);
    }
  }

 private:
  template <class U>
  static TensorView<U, 2> part(DeviceTensor<U, 1>& memory, std::size_t rows, std::size_t width) {
    return {memory.data(), {rows, width}};
  }

  std::size_t rows_;
  DeviceTensor<float, 1> floats_;
  DeviceTensor<T, 1> x_, y_;
  cudaStream_t stream_;
};

}  // namespace weft::inline v0::cuda
