#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include <weft/layers/attention_block.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/kv_cache.hpp>

namespace weft::inline v0 {

/// What a decoder reads of a source: the keys and values of its cross-attention, made once by a SourceEncoder. Cheap to
/// copy; any number of sessions may read it at the same time.
class EncodedSource {
 public:
  EncodedSource() = default;
  EncodedSource(const CausalLM& decoder, std::shared_ptr<const KvCache> cache, std::size_t tokens)
      : decoder_(decoder.identity()), cache_(std::move(cache)), tokens_(tokens) {}

  explicit operator bool() const noexcept { return cache_ != nullptr; }
  /// Whether it was made for this model or a copy of it: what the weights of another of the same sizes made of a source
  /// would pass unnoticed.
  bool is_of(const CausalLM& decoder) const noexcept {
    const std::weak_ptr<const void> other = decoder.identity();
    return cache_ && !decoder_.owner_before(other) && !other.owner_before(decoder_);
  }
  std::size_t tokens() const noexcept { return tokens_; }
  const KvCache& cache() const noexcept { return *cache_; }
  const CacheLayer& layer(std::size_t index) const noexcept { return cache_->layer(index); }

 private:
  std::weak_ptr<const void> decoder_;
  std::shared_ptr<const KvCache> cache_;
  std::size_t tokens_ = 0;
};

}  // namespace weft::inline v0
