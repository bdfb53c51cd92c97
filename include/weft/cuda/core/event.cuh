#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include <weft/cuda/core/error.cuh>

namespace weft::inline v0::cuda {

/// A point in a stream that others can wait for and that times are taken at.
class Event {
 public:
  /// Throws CudaError where there is no device.
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    Event taken(std::move(other));
    std::swap(event_, taken.event_);
    return *this;
  }
  ~Event() {
    if (event_) static_cast<void>(cudaEventDestroy(event_));
  }

  operator cudaEvent_t() const noexcept { return event_; }

  /// The event comes when what is in the stream now is done.
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  /// What is put into the stream from here on begins after the event.
  void block(cudaStream_t stream) const { check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent"); }
  void synchronize() const { check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }

  /// Milliseconds from `begin` to this; both have come.
  float milliseconds_since(const Event& begin) const {
    float milliseconds = 0.f;
    check(cudaEventElapsedTime(&milliseconds, begin.event_, event_), "cudaEventElapsedTime");
    return milliseconds;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace weft::inline v0::cuda
