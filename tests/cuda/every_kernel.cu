#include <iostream>

#include <weft/cuda/cuda.cuh>

// Every kernel for half and bfloat16, for the architectures that the tests are not compiled for, in a program that says
// whether there is a device.
namespace weft::testing {

template <class T>
struct EveryKernel {
  static void work_on_rows(TensorView<T, 2> x, TensorView<T, 1> gain, cudaStream_t stream) {
    cuda::rms_norm(x, gain, x, {.eps = 1e-5f}, stream);
    cuda::add_rms_norm(x, x, gain, x, {.eps = 1e-5f}, stream);
    cuda::layer_norm(x, gain, gain, x, {.eps = 1e-5f}, stream);
    cuda::add_layer_norm(x, x, gain, gain, x, {.eps = 1e-5f}, stream);
    cuda::softmax(x, x, -1, stream);
    cuda::log_softmax(x, x, -1, stream);
    cuda::activation(Activation::silu, x, x, stream);
    cuda::gated_activation(Activation::silu, x, x, x, stream);
  }
  static void work_on_elements(TensorView<T, 3> x, TensorView<bool, 3> mask, TensorView<std::int32_t, 3> index,
                               const cuda::DeviceRopeTable& table, TensorView<const std::int32_t, 1> ids,
                               TensorView<T, 2> rows, cudaStream_t stream) {
    cuda::embedding(ids, rows, rows, stream);
    cuda::apply_rope(x, ids, table, stream);
    cuda::add(x, x, x, stream);
    cuda::mul(x, x, x, stream);
    cuda::scale(x, 2.f, x, stream);
    cuda::fill(x, T{}, stream);
    cuda::copy(x, x, stream);
    cuda::masked_fill(x, mask, T{}, x, stream);
    cuda::where(mask, x, x, x, stream);
    cuda::gather(x, 1, index, x, stream);
    cuda::index_select(x, 1, ids, x, stream);
    cuda::cat(1, x, stream, x, x);
  }
  static void attend(TensorView<T, 3> q, TensorView<T, 4> cache, const std::int32_t* keys, void* workspace,
                     cudaStream_t stream) {
    cuda::attention(q, q, q, q, {.scale = 1.f}, stream);
    cuda::attention_decode(q, cache, cache, keys, q, {.scale = 1.f}, workspace, stream);
  }
  static void multiply(cuda::MatmulPlans& plans, const cuda::QuantizedMatrix& weight, TensorView<T, 2> x,
                       TensorView<T, 3> stacked, const cuda::RowGroups& groups, cudaStream_t stream) {
    cuda::linear(plans, x, x, x.data(), x, stream);
    cuda::linear(plans, x, weight, x.data(), x, x.data(), stream);
    cuda::group_rows(groups.order, nullptr, 1, 1, groups, stream);
    cuda::grouped_linear(x, stacked, groups, x, stream);
    cuda::grouped_linear(x, weight, 1, groups, x, stream);
  }
  static void sample(cuda::DeviceSampler& sampler, TensorView<T, 2> logits, cuda::DeviceDraw* draws) {
    sampler(logits, draws);
  }
};

template struct EveryKernel<half>;
template struct EveryKernel<bfloat16>;

}  // namespace weft::testing

int main() try {
  const weft::cuda::Stream stream;
  std::cout << "there is a CUDA device: " << weft::cuda::device_properties(weft::cuda::current_device()).name << '\n';
} catch (const weft::CudaError& error) {
  std::cout << error.what() << '\n';
}
