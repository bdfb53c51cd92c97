#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include <weft/cuda/core/error.cuh>

namespace weft::inline v0::cuda {

/// Work recorded once and started with one call, many times.
///
///   Graph step(stream, [&] { embedding(...); rms_norm(...); });
///   step.launch(stream);
///
/// The recorded kernels keep their arguments: what changes from one start to the next (positions, lengths, token ids)
/// lies in device memory.
class Graph {
 public:
  Graph() = default;

  /// Records what `work` puts into the stream, which is not the default stream; nothing runs. Throws CudaError where
  /// something cannot be recorded, and whatever `work` throws.
  template <class Work>
  Graph(cudaStream_t stream, Work&& work) {
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    Recorded recorded;
    try {
      std::forward<Work>(work)();
    } catch (...) {
      static_cast<void>(cudaStreamEndCapture(stream, &recorded.graph));
      static_cast<void>(cudaGetLastError());
      throw;
    }
    check(cudaStreamEndCapture(stream, &recorded.graph), "cudaStreamEndCapture");
    check(cudaGraphInstantiate(&executable_, recorded.graph, 0), "cudaGraphInstantiate");
  }
  Graph(Graph&& other) noexcept : executable_(std::exchange(other.executable_, nullptr)) {}
  Graph& operator=(Graph&& other) noexcept {
    Graph taken(std::move(other));
    std::swap(executable_, taken.executable_);
    return *this;
  }
  ~Graph() {
    if (executable_) static_cast<void>(cudaGraphExecDestroy(executable_));
  }

  bool empty() const noexcept { return executable_ == nullptr; }

  /// Puts the recorded work into a stream.
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream), "cudaGraphLaunch"); }

 private:
  struct Recorded {
    cudaGraph_t graph = nullptr;
    ~Recorded() {
      if (graph) static_cast<void>(cudaGraphDestroy(graph));
    }
  };

  cudaGraphExec_t executable_ = nullptr;
};

}  // namespace weft::inline v0::cuda
