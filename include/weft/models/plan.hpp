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

/// The memory that a decoder and one session of it take, in bytes.
struct MemoryPlan {
  std::size_t weights = 0;   ///< allocated, shared by all sessions
  std::size_t in_place = 0;  ///< weights that are used where the checkpoint has them, mapped or in the caller's memory
  std::size_t cache = 0;     ///< keys and values of a session whose context is full; pages are taken as it fills
  std::size_t scratch = 0;   ///< what a session allocates beside its cache

  std::size_t total() const noexcept { return weights + in_place + cache + scratch; }

  /// One line of text.
  std::string describe() const {
    return detail::concat("memory: weights ", weights, " bytes and ", in_place, " in place, cache ", cache,
                          ", scratch ", scratch, ", total ", total(), "\n");
  }
};

/// What loading a decoder and making a session of it would take, from the headers of its files: no weight is read, none
/// of this memory is allocated. Tensors that a file does not hold in place (not aligned for their type, PyTorch views,
/// model-parallel parts) are copied when they are loaded though they count as in place; what products and attention
/// borrow while they run, which depends on the instruction set and the threads, comes on top. Throws what
/// load_causal_lm() and Session throw for configurations, options, and tensors that are missing or too many.
inline MemoryPlan plan(const Checkpoint& checkpoint, const LoadOptions& options = {},
                       const SessionOptions& session = {},
                       std::span<const DecoderArchitecture* const> architectures = {}) {
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
inline MemoryPlan plan(const std::filesystem::path& path, const LoadOptions& options = {},
                       const SessionOptions& session = {},
                       std::span<const DecoderArchitecture* const> architectures = {}) {
  return plan(Checkpoint::open(path), options, session, architectures);
}

}  // namespace weft::inline v0
