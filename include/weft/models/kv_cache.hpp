#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <utility>
#include <vector>

#include <weft/core/dtype.hpp>
#include <weft/layers/attention_block.hpp>
#include <weft/models/decoder_config.hpp>

namespace weft::inline v0 {

/// Keys and values of all layers for up to `context` positions, allocated once. Memory is taken page by page as
/// positions are filled.
class KvCache {
 public:
  KvCache() = default;

  /// dtype: f32, f16, bf16 or q8_0. Throws UnsupportedError for another, or heads that do not fill its blocks,
  /// ShapeError where the size overflows, std::bad_alloc.
  KvCache(const DecoderConfig& config, std::size_t context, DType dtype) : dtype_(dtype), context_(context) {
    bytes_ = bytes_for(config, context, dtype);
    const std::size_t tensor_bytes = config.layers == 0 ? 0 : bytes_ / (2 * config.layers);
    memory_ = Pages(bytes_);
    for (std::size_t i = 0; i < config.layers; ++i)
      layers_.push_back({.dtype = dtype,
                         .k = memory_.data() + 2 * i * tensor_bytes,
                         .v = memory_.data() + (2 * i + 1) * tensor_bytes,
                         .kv_heads = config.kv_heads,
                         .context = context,
                         .head_dim = config.head_dim});
  }

  /// The bytes of such a cache. Throws as the constructor does.
  static std::size_t bytes_for(const DecoderConfig& config, std::size_t context, DType dtype) {
    if (dtype != DType::f32 && dtype != DType::f16 && dtype != DType::bf16 && dtype != DType::q8_0)
      raise<UnsupportedError>("key/value cache: element type ", name(dtype),
                              " (f32, f16, bf16 and q8_0 are supported)");
    if (config.head_dim % block_elements(dtype) != 0)
      raise<UnsupportedError>("key/value cache: heads of ", config.head_dim, " elements do not fill blocks of ",
                              name(dtype), ", which hold ", block_elements(dtype));
    const std::size_t elements = detail::checked_product(context, config.key_value());
    const std::size_t tensor_bytes = (bytes_of(dtype, elements) + alignment - 1) / alignment * alignment;
    return detail::checked_product(tensor_bytes, 2 * config.layers);
  }

  const CacheLayer& layer(std::size_t index) const noexcept { return layers_[index]; }
  std::size_t layers() const noexcept { return layers_.size(); }
  DType dtype() const noexcept { return dtype_; }
  std::size_t context() const noexcept { return context_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  /// Anonymous pages: zero at first, and not there until they are touched.
  class Pages {
   public:
    Pages() = default;
    explicit Pages(std::size_t bytes) : bytes_(bytes) {
      if (bytes == 0) return;
      void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) throw std::bad_alloc();
      data_ = static_cast<std::byte*>(memory);
    }
    Pages(Pages&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Pages& operator=(Pages&& other) noexcept {
      std::swap(data_, other.data_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Pages() {
      if (data_) ::munmap(data_, bytes_);
    }
    std::byte* data() const noexcept { return data_; }

   private:
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
  };

  DType dtype_ = DType::f32;
  std::size_t context_ = 0;
  std::size_t bytes_ = 0;
  Pages memory_;
  std::vector<CacheLayer> layers_;
};

}  // namespace weft::inline v0
