#include "cuda_sequence.hpp"

#include <weft/cuda/models/device_session.cuh>

namespace {

template <class T>
std::unique_ptr<weft::TokenSequence> sequence_of(const weft::CausalLM& model, const weft::SessionOptions& options) {
  return std::make_unique<weft::cuda::DeviceSession<T>>(
      weft::cuda::DeviceCausalLM<T>(model),
      weft::cuda::DeviceSessionOptions{.context = options.context, .chunk = options.chunk});
}

}  // namespace

void require_cuda_device() { weft::cuda::current_device(); }

std::unique_ptr<weft::TokenSequence> cuda_sequence(const weft::CausalLM& model, const weft::SessionOptions& options) {
  if (model.weights().embedding.dtype() == weft::DType::bf16) return sequence_of<weft::bfloat16>(model, options);
  return sequence_of<weft::half>(model, options);
}
