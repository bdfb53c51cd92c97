#include "cpu_sampler.hpp"

#include <memory>

#include <weft/sampling/chain.hpp>

namespace weft::testing {

std::function<CpuDraw(const std::vector<float>&)> cpu_sampler(const SamplingParams& params, std::size_t vocab,
                                                              std::uint64_t stream) {
  return [sampler = std::make_shared<Sampler>(params, vocab, LogitsChain{}, stream)](const std::vector<float>& logits) {
    const Sampler::Draw draw = (*sampler)(logits);
    return CpuDraw{draw.id, draw.log_probability, draw.probability};
  };
}

}  // namespace weft::testing
