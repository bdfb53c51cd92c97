#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include <weft/core/config.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/architecture.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/session.hpp>

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
/// of this memory is allocated. The total is resident when the context is full and all that is in place was used; until
/// then pages of the cache, of scratch and of rows of the embedding that no token needed are missing from it. Tensors
/// that a file does not hold in place (not aligned for their type, PyTorch views, model-parallel parts) are copied when
/// they are loaded though they count as in place; what products and attention borrow while they run, which depends on
/// the instruction set and the threads, comes on top. Throws what load_causal_lm() and Session throw for
/// configurations, options, and tensors that are missing or too many.
MemoryPlan plan(const Checkpoint& checkpoint, const LoadOptions& options = {}, const SessionOptions& session = {},
                std::span<const DecoderArchitecture* const> architectures = {});
MemoryPlan plan(const std::filesystem::path& path, const LoadOptions& options = {}, const SessionOptions& session = {},
                std::span<const DecoderArchitecture* const> architectures = {});

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/plan.inl>
#endif
