#pragma once

#include <memory>

#include <weft/models/session.hpp>

/// Throws weft::CudaError, which says so, where there is no NVIDIA device.
void require_cuda_device();

/// A sequence that a model writes on an NVIDIA device. Throws weft::CudaError where there is none.
std::unique_ptr<weft::TokenSequence> cuda_sequence(const weft::CausalLM& model, const weft::SessionOptions& options);
