#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/sampling/params.hpp>

namespace weft::testing {

/// What weft::Sampler::Draw is.
struct CpuDraw {
  TokenId id;
  float log_probability;
  float probability;
};

/// A weft::Sampler, compiled by the C++ compiler: the kernels of the CPU are none of nvcc's.
std::function<CpuDraw(const std::vector<float>&)> cpu_sampler(const SamplingParams& params, std::size_t vocab,
                                                              std::uint64_t stream);

}  // namespace weft::testing
