#pragma once

#include <memory>

#include <weft/models/session.hpp>

/// A sequence that a model writes on an NVIDIA device. Throws weft::CudaError where there is none.
std::unique_ptr<weft::TokenSequence> cuda_sequence(const weft::CausalLM& model, const weft::SessionOptions& options);
