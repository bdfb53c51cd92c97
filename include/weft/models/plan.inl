#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/decoder_pass.hpp>
#include <weft/models/kv_cache.hpp>
#include <weft/models/load.hpp>
#include <weft/models/session.hpp>
#include <weft/models/weight_loader.hpp>

namespace weft::inline v0 {

WEFT_INLINE MemoryPlan plan(const Checkpoint& checkpoint, const LoadOptions& options, const SessionOptions& session,
                            std::span<const DecoderArchitecture* const> architectures) {
  const CausalLM::Parts parts = detail::read_decoder_config(checkpoint, architectures);
  const detail::WeightBytes weights =
      detail::WeightLoader(checkpoint, *parts.architecture, parts.config, options, {}).plan();
  const std::size_t context = detail::checked_context("plan", parts.config, session.context);
  const std::size_t rows = std::min(detail::checked_chunk("plan", session.chunk), context);
  return {.weights = weights.allocated,
          .in_place = weights.in_place,
          .cache = KvCache::bytes_for(parts.config, context, session.cache),
          .scratch = DecoderPass::scratch_bytes(parts.config, rows, context) + parts.config.vocab * sizeof(float)};
}
WEFT_INLINE MemoryPlan plan(const std::filesystem::path& path, const LoadOptions& options,
                            const SessionOptions& session, std::span<const DecoderArchitecture* const> architectures) {
  return plan(Checkpoint::open(path), options, session, architectures);
}

}  // namespace weft::inline v0
