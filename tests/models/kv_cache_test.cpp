#include <weft/models/kv_cache.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using weft_tests::message_of;

constexpr DecoderConfig config{.layers = 3, .heads = 4, .kv_heads = 2, .head_dim = 10};

TEST(KvCache, LaysOutEveryLayerApart) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
    DecoderConfig sizes = config;
    sizes.head_dim = dtype == DType::q8_0 ? 32 : 10;
    const KvCache cache(sizes, 7, dtype);
    const std::size_t tensor = bytes_of(dtype, 7 * 2 * sizes.head_dim);
    EXPECT_EQ(cache.dtype(), dtype);
    EXPECT_EQ(cache.context(), 7u);
    EXPECT_GE(cache.bytes(), 6 * tensor);
    EXPECT_LT(cache.bytes(), 6 * (tensor + alignment));
    const std::byte* end = nullptr;
    for (std::size_t i = 0; i < 3; ++i) {
      const CacheLayer& layer = cache.layer(i);
      EXPECT_EQ(layer.dtype, dtype);
      EXPECT_EQ(layer.kv_heads, 2u);
      EXPECT_EQ(layer.context, 7u);
      EXPECT_EQ(layer.head_dim, sizes.head_dim);
      for (const std::byte* part : {layer.k, layer.v}) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(part) % alignment, 0u);
        EXPECT_GE(part, end);
        end = part + tensor;
        for (std::size_t byte = 0; byte < tensor; ++byte) ASSERT_EQ(part[byte], std::byte{0});
      }
    }
    EXPECT_LE(end, cache.layer(0).k + cache.bytes());
  }
}

TEST(KvCache, MovesWithItsMemory) {
  KvCache first(config, 5, DType::f32);
  std::byte* k = first.layer(1).k;
  k[3] = std::byte{9};
  KvCache second(std::move(first));
  EXPECT_EQ(second.layer(1).k, k);
  KvCache third(config, 2, DType::f16);
  third = std::move(second);
  EXPECT_EQ(third.layer(1).k, k);
  EXPECT_EQ(third.context(), 5u);
  EXPECT_EQ(k[3], std::byte{9});
}

// A cache for a long context costs nothing until it is filled.
TEST(KvCache, TakesPagesWhenTheyAreTouched) {
  const DecoderConfig large{.layers = 8, .heads = 32, .kv_heads = 8, .head_dim = 128};
  const KvCache cache(large, 1 << 16, DType::f32);
  EXPECT_EQ(cache.bytes(), std::size_t{1} << 32);
  cache.layer(7).v[(std::size_t{1} << 28) - 1] = std::byte{1};
}

TEST(KvCache, RefusesWhatItCannotHold) {
  for (const DType dtype : {DType::i8, DType::u8, DType::i32, DType::i64, DType::f64, DType::boolean})
    EXPECT_EQ(message_of<UnsupportedError>([&] { KvCache(config, 5, dtype); }),
              "key/value cache: element type " + std::string(name(dtype)) + " (f32, f16, bf16 and q8_0 are supported)");
  EXPECT_EQ(message_of<UnsupportedError>([&] { KvCache(config, 5, DType::q8_0); }),
            "key/value cache: heads of 10 elements do not fill blocks of q8_0, which hold 32");
  EXPECT_THROW(KvCache(config, std::numeric_limits<std::size_t>::max() / 2, DType::f32), ShapeError);
  EXPECT_THROW(KvCache(config, std::size_t{1} << 52, DType::f16), std::bad_alloc);
}

TEST(KvCache, MayBeEmpty) {
  EXPECT_EQ(KvCache().bytes(), 0u);
  EXPECT_EQ(KvCache(config, 0, DType::f32).bytes(), 0u);
}

}  // namespace
