#include <weft/cuda/ops/attention_decode.cuh>

#include <memory>

#include "attention_reference.cuh"

namespace weft {
namespace {

using testing::number;

template <class T>
using AttentionDecode = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(AttentionDecode, testing::HalfTypes);

struct Sizes {
  std::size_t heads, kv_heads, head_dim, capacity;
};

/// Keys of four sequences: in rows of their own, or, of `page_keys` each, in pages that lie in no order.
template <class T>
void check(const Sizes& s, const AttentionParams& params, std::size_t page_keys, bool apart, cudaStream_t stream,
           bool alibi = false, std::size_t radius = 0, bool masked = false) {
  SCOPED_TRACE(::testing::Message() << "heads " << s.heads << "/" << s.kv_heads << " of " << s.head_dim << ", "
                                    << s.capacity << " keys, pages of " << page_keys << (apart ? ", apart" : ""));
  const std::vector<std::int32_t> keys = {static_cast<std::int32_t>(s.capacity), 1, 0,
                                          static_cast<std::int32_t>(s.capacity / 2 + 1)};
  const std::size_t batch = keys.size();
  const std::size_t pages_each = page_keys == 0 ? 1 : (s.capacity + page_keys - 1) / page_keys;
  const std::size_t rows = page_keys == 0 ? s.capacity : page_keys;
  const auto q = testing::random_tensor<T, 3>({batch, s.heads, s.head_dim}, 1, 1.5);
  const auto k = testing::random_tensor<T, 4>({batch * pages_each, rows, s.kv_heads, s.head_dim}, 2, 1.5);
  const auto v = testing::random_tensor<T, 4>({batch * pages_each, rows, s.kv_heads, s.head_dim}, 3);
  std::vector<std::int32_t> pages(batch * pages_each);
  for (std::size_t i = 0; i < pages.size(); ++i)
    pages[i] = static_cast<std::int32_t>(page_keys == 0 ? i : pages.size() - 1 - i);
  const testing::OnDevice<T, 3> queries(q, apart, stream);
  const testing::OnDevice<T, 4> device_k(k, apart, stream);
  const testing::OnDevice<T, 4> device_v(v, apart, stream);
  const testing::OnDevice<T, 3> out(q.extents(), apart, stream);
  const auto device_keys = testing::Biases::up(keys, stream);
  const auto device_pages = testing::Biases::up(pages, stream);
  const testing::Biases biases(s.heads, alibi, radius, stream);
  const std::size_t capacity = pages_each * rows;
  const std::unique_ptr<bool[]> mask(new bool[batch * capacity]);
  for (std::size_t i = 0; i < batch * capacity; ++i) mask[i] = !masked || (i * 7 / 3 % 4 != 1 && i / capacity != 1);
  cuda::DeviceTensor<bool, 1> device_mask({masked ? batch * capacity : 0}, stream);
  if (masked) device_mask.upload(TensorView<const bool, 1>(mask.get(), {batch * capacity}));
  AttentionParams on_device = biases.device(params);
  on_device.key_mask = {device_mask.data(), device_mask.size()};
  cuda::DeviceBuffer workspace(
      cuda::attention_decode_workspace_bytes(batch, s.heads, s.kv_heads, s.head_dim, pages_each * rows), stream);
  workspace.clear();
  cuda::PageTable table;
  if (page_keys != 0) table = {device_pages.data(), pages_each, page_keys};
  for (int turn = 0; turn < 2; ++turn) {  // the first one leaves the workspace as it was
    cuda::check(cudaMemsetAsync(const_cast<T*>(out.memory.data()), 0xff, out.memory.bytes(), stream),
                "cudaMemsetAsync");
    cuda::attention_decode(queries.view, device_k.view, device_v.view, device_keys.data(), out.view, on_device,
                           workspace.data(), stream, table);
    const auto found = out.download();
    for (std::size_t b = 0; b < batch; ++b)
      for (std::size_t h = 0; h < s.heads; ++h) {
        const std::size_t kv_head = h / (s.heads / s.kv_heads);
        const auto at = [&](const Tensor<T, 4>& x, std::size_t j, std::size_t d) {
          return number(x(static_cast<std::size_t>(pages[b * pages_each + j / rows]), j % rows, kv_head, d));
        };
        AttentionParams on_host = biases.host(params);
        on_host.key_mask = {mask.get() + b * capacity, capacity};
        const auto expected = testing::attention_reference(
            on_host, h, s.heads, keys[b] - 1, static_cast<std::size_t>(keys[b]), s.head_dim,
            [&](std::size_t d) { return number(q(b, h, d)); },
            [&](std::size_t j, std::size_t d) { return at(k, j, d); },
            [&](std::size_t j, std::size_t d) { return at(v, j, d); });
        for (std::size_t d = 0; d < s.head_dim; ++d)
          ASSERT_LE(std::abs(number(found(b, h, d)) - expected[d]), testing::tolerance<T>(expected[d], 2))
              << "sequence " << b << " head " << h << " element " << d << " turn " << turn << ": "
              << number(found(b, h, d)) << ", expected " << expected[d];
      }
  }
}

float usual_scale(std::size_t head_dim) { return 1.f / std::sqrt(static_cast<float>(head_dim)); }

TYPED_TEST(AttentionDecode, OfEveryHeadSizeIsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const std::size_t head_dim : {64u, 80u, 96u, 128u, 256u, 8u, 17u})
    for (const bool apart : {false, true})
      check<T>({4, 2, head_dim, 300}, {.scale = usual_scale(head_dim)}, 0, apart, this->stream);
}

TYPED_TEST(AttentionDecode, OfEveryGroupOfHeads) {
  using T = TypeParam;
  for (const std::size_t group : {1u, 2u, 3u, 4u, 5u, 8u, 9u, 17u})
    check<T>({2 * group, 2, 64, 40}, {.scale = 0.125f}, 0, false, this->stream);
}

TYPED_TEST(AttentionDecode, OfCachesOfAnyLength) {
  using T = TypeParam;
  for (const std::size_t capacity : {1u, 31u, 255u, 256u, 257u, 512u, 1100u})
    check<T>({2, 1, 64, capacity}, {.scale = 0.125f}, 0, false, this->stream);
}

TYPED_TEST(AttentionDecode, OfPages) {
  using T = TypeParam;
  for (const std::size_t page_keys : {1u, 16u, 37u, 256u})
    check<T>({4, 2, 64, 333}, {.scale = 0.125f}, page_keys, page_keys == 37, this->stream);
}

TYPED_TEST(AttentionDecode, WithEveryRule) {
  using T = TypeParam;
  const Sizes s{4, 2, 64, 600};
  for (const std::size_t window : {1u, 9u, 256u, 300u, 1000u})
    check<T>(s, {.scale = 0.125f, .window = window}, 0, false, this->stream);
  check<T>(s, {.scale = 0.125f, .soft_cap = 2.f}, 16, false, this->stream);
  check<T>(s, {.scale = 0.125f}, 0, false, this->stream, true);
  check<T>(s, {.scale = 0.125f, .window = 290, .soft_cap = 3.f}, 0, false, this->stream, true, 30);
  check<T>(s, {.scale = 0.125f}, 0, false, this->stream, false, 0, true);
  check<T>(s, {.scale = 0.125f, .window = 290, .soft_cap = 3.f}, 37, true, this->stream, true, 30, true);
}

TYPED_TEST(AttentionDecode, OfNothing) {
  using T = TypeParam;
  const testing::OnDevice<T, 3> out(testing::random_tensor<T, 3>({2, 4, 64}, 1), false, this->stream);
  const testing::OnDevice<T, 4> empty({2, 0, 2, 64}, false, this->stream);
  const auto keys = testing::Biases::up<std::int32_t>({0, 0}, this->stream);
  cuda::DeviceBuffer workspace(cuda::attention_decode_workspace_bytes(2, 4, 2, 64, 0), this->stream);
  workspace.clear();
  cuda::attention_decode(out.view, empty.view, empty.view, keys.data(), out.view, {.scale = 1.f}, workspace.data(),
                         this->stream);
  const Tensor<T, 3> found = out.download();
  for (const T element : found.elements()) EXPECT_EQ(static_cast<float>(element), 0.f);
}

TYPED_TEST(AttentionDecode, RefusesWhatDoesNotFit) {
  using T = TypeParam;
  const testing::OnDevice<T, 3> q({2, 4, 64}, false, this->stream);
  const testing::OnDevice<T, 4> k({2, 5, 2, 64}, false, this->stream);
  const testing::OnDevice<T, 4> three({2, 5, 3, 64}, false, this->stream);
  const testing::OnDevice<T, 4> other({3, 5, 2, 64}, false, this->stream);
  const bool mask[5] = {};
  const AttentionParams params{.scale = 1.f};
  EXPECT_THROW(cuda::attention_decode(q.view, three.view, three.view, nullptr, q.view, params, nullptr, this->stream),
               ShapeError);
  EXPECT_THROW(cuda::attention_decode(q.view, other.view, other.view, nullptr, q.view, params, nullptr, this->stream),
               ShapeError);
  EXPECT_THROW(cuda::attention_decode(q.view, k.view, other.view, nullptr, q.view, params, nullptr, this->stream),
               ShapeError);
  EXPECT_THROW(cuda::attention_decode(q.view, k.view, k.view, nullptr, q.view,
                                      AttentionParams{.scale = 1.f, .key_mask = mask}, nullptr, this->stream),
               ShapeError);
}

}  // namespace
}  // namespace weft
