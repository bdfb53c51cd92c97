#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include <weft/layers/attention_block.hpp>
#include <weft/models/kv_cache.hpp>

namespace weft::inline v0 {

/// What a decoder reads of a source: the keys and values of its cross-attention, made once by a SourceEncoder. Cheap to
/// copy; any number of sessions may read it at the same time.
class EncodedSource {
 public:
  EncodedSource() = default;
  EncodedSource(std::shared_ptr<const KvCache> cache, std::size_t tokens) : cache_(std::move(cache)), tokens_(tokens) {}

  explicit operator bool() const noexcept { return cache_ != nullptr; }
  std::size_t tokens() const noexcept { return tokens_; }
  const KvCache& cache() const noexcept { return *cache_; }
  const CacheLayer& layer(std::size_t index) const noexcept { return cache_->layer(index); }

 private:
  std::shared_ptr<const KvCache> cache_;
  std::size_t tokens_ = 0;
};

}  // namespace weft::inline v0
