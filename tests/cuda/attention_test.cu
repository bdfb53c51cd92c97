#include <weft/cuda/ops/attention.cuh>

#include <limits>
#include <memory>

#include <weft/cuda/ops/elementwise.cuh>

#include "attention_reference.cuh"

namespace weft {
namespace {

using testing::number;

template <class T>
using Attention = testing::DeviceTypeTest<T>;
TYPED_TEST_SUITE(Attention, testing::HalfTypes);

struct Sizes {
  std::size_t tokens, keys, heads, kv_heads, head_dim;
};

template <class T>
struct Inputs {
  Tensor<T, 3> q, k, v;

  explicit Inputs(const Sizes& s)
      : q(testing::random_tensor<T, 3>({s.tokens, s.heads, s.head_dim}, 1, 1.5)),
        k(testing::random_tensor<T, 3>({s.keys, s.kv_heads, s.head_dim}, 2, 1.5)),
        v(testing::random_tensor<T, 3>({s.keys, s.kv_heads, s.head_dim}, 3)) {}

  /// Token t of the tokens [first, ..), which see `keys` keys from first_key on; the first of them belongs to key
  /// `offset`.
  std::vector<double> expected(const AttentionParams& p, std::size_t token, std::size_t head, std::size_t own,
                               std::size_t first_key, std::size_t keys) const {
    const std::size_t kv_head = head / (q.extent(1) / k.extent(1));
    return testing::attention_reference(
        p, head, q.extent(1), static_cast<std::ptrdiff_t>(own), keys, q.extent(2),
        [&](std::size_t d) { return number(q(token, head, d)); },
        [&](std::size_t j, std::size_t d) { return number(k(first_key + j, kv_head, d)); },
        [&](std::size_t j, std::size_t d) { return number(v(first_key + j, kv_head, d)); });
  }
};

/// A row of `found` is what `expected` says.
template <class T>
void expect_head(const Tensor<T, 3>& found, std::size_t token, std::size_t head, const std::vector<double>& expected) {
  for (std::size_t d = 0; d < expected.size(); ++d) {
    const double f = number(found(token, head, d));
    ASSERT_LE(std::abs(f - expected[d]),
              testing::tolerance<T>(expected[d], testing::attention_slack<T>) + testing::tolerance<T>(1.0))
        << "token " << token << " head " << head << " element " << d << ": " << f << ", expected " << expected[d];
  }
}

template <class T>
void check(const Sizes& s, const AttentionParams& params, bool apart, cudaStream_t stream, bool alibi = false,
           std::size_t radius = 0) {
  SCOPED_TRACE(::testing::Message() << s.tokens << " tokens, " << s.keys << " keys, heads " << s.heads << "/"
                                    << s.kv_heads << " of " << s.head_dim << (apart ? ", apart" : ""));
  const Inputs<T> in(s);
  const testing::OnDevice<T, 3> q(in.q, apart, stream);
  const testing::OnDevice<T, 3> k(in.k, apart, stream);
  const testing::OnDevice<T, 3> v(in.v, apart, stream);
  const testing::OnDevice<T, 3> out(in.q.extents(), apart, stream);
  const testing::Biases biases(s.heads, alibi, radius, stream);
  AttentionParams on_device = biases.device(params);
  cuda::DeviceTensor<bool, 1> mask({params.key_mask.size()}, stream);
  if (!params.key_mask.empty()) {
    mask.upload(TensorView<const bool, 1>(params.key_mask.data(), {params.key_mask.size()}));
    on_device.key_mask = {mask.data(), params.key_mask.size()};
  }
  cuda::attention(q.view, k.view, v.view, out.view, on_device, stream);
  const auto found = out.download();
  const AttentionParams on_host = biases.host(params);
  for (std::size_t t = 0; t < s.tokens; ++t)
    for (std::size_t h = 0; h < s.heads; ++h)
      expect_head(found, t, h, in.expected(on_host, t, h, params.offset + t, 0, s.keys));
}

float usual_scale(std::size_t head_dim) { return 1.f / std::sqrt(static_cast<float>(head_dim)); }

TYPED_TEST(Attention, OfEveryHeadSizeIsThatOfDoublePrecision) {
  using T = TypeParam;
  for (const std::size_t head_dim : {64u, 80u, 96u, 128u, 256u, 8u, 17u, 72u})
    for (const bool apart : {false, true})
      check<T>({70, 73, 4, 2, head_dim}, {.scale = usual_scale(head_dim), .offset = 3}, apart, this->stream);
}

TYPED_TEST(Attention, OfTokensBeyondOneTile) {
  using T = TypeParam;
  check<T>({131, 131, 2, 1, 64}, {.scale = 0.125f}, false, this->stream);
  check<T>({1, 200, 3, 3, 128}, {.scale = 0.09f, .offset = 199}, false, this->stream);
  check<T>({67, 90, 1, 1, 256}, {.scale = 0.0625f, .offset = 20}, false, this->stream);
}

TYPED_TEST(Attention, WithEveryRule) {
  using T = TypeParam;
  const Sizes s{50, 70, 4, 2, 64};
  const float scale = usual_scale(64);
  const bool all = false;
  check<T>(s, {.scale = scale, .causal = all}, false, this->stream);
  check<T>(s, {.scale = scale, .offset = 20, .window = 9}, false, this->stream);
  check<T>(s, {.scale = scale, .causal = all, .offset = 20, .window = 33}, true, this->stream);
  check<T>(s, {.scale = scale, .offset = 20, .soft_cap = 2.f}, false, this->stream);
  check<T>(s, {.scale = scale, .offset = 20}, false, this->stream, true);
  check<T>(s, {.scale = scale, .causal = all, .offset = 0}, false, this->stream, false, 5);
  check<T>(s, {.scale = scale, .offset = 11, .window = 40, .soft_cap = 3.f}, false, this->stream, true, 60);
  const std::unique_ptr<bool[]> mask(new bool[70]);
  for (std::size_t i = 0; i < 70; ++i) mask[i] = i % 3 != 1 && i > 30;  // the first tokens see nothing
  check<T>(s, {.scale = scale, .offset = 20, .key_mask = {mask.get(), 70}}, false, this->stream);
}

// As on the CPU: hidden keys, those behind the last token's and those before every window.
TYPED_TEST(Attention, WhatLiesAtKeysThatNobodySeesDoesNotMatter) {
  using T = TypeParam;
  constexpr std::size_t tokens = 5, keys = 90, heads = 2;
  Inputs<T> in({tokens, keys, heads, 1, 64});
  const auto nan = static_cast<T>(std::numeric_limits<float>::quiet_NaN());
  const std::unique_ptr<bool[]> mask(new bool[keys]);
  for (std::size_t j = 0; j < keys; ++j) {
    mask[j] = j % 7 != 3;
    if (mask[j] && j >= 31 && j < 45) continue;
    for (std::size_t d = 0; d < 64; ++d) in.k(j, 0, d) = in.v(j, 0, d) = nan;
  }
  for (const bool apart : {false, true}) {
    const testing::OnDevice<T, 3> q(in.q, apart, this->stream), k(in.k, apart, this->stream),
        v(in.v, apart, this->stream);
    const testing::OnDevice<T, 3> out(in.q.extents(), apart, this->stream);
    cuda::DeviceTensor<bool, 1> hidden({keys}, this->stream);
    hidden.upload(TensorView<const bool, 1>(mask.get(), {keys}));
    AttentionParams params{.scale = 0.125f, .offset = 40, .window = 10, .key_mask = {mask.get(), keys}};
    AttentionParams on_device = params;
    on_device.key_mask = {hidden.data(), keys};
    cuda::attention(q.view, k.view, v.view, out.view, on_device, this->stream);
    const auto found = out.download();
    for (std::size_t j = 0; j < keys; ++j)
      if (!(mask[j] && j >= 31 && j < 45))
        for (std::size_t d = 0; d < 64; ++d) in.k(j, 0, d) = in.v(j, 0, d) = T{};
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t h = 0; h < heads; ++h) expect_head(found, t, h, in.expected(params, t, h, 40 + t, 0, keys));
    for (std::size_t j = 0; j < keys; ++j)
      if (!(mask[j] && j >= 31 && j < 45))
        for (std::size_t d = 0; d < 64; ++d) in.k(j, 0, d) = in.v(j, 0, d) = nan;
  }
}

// Every choice of rules at once, at odd sizes.
TYPED_TEST(Attention, WithEveryCombinationOfRules) {
  using T = TypeParam;
  const std::unique_ptr<bool[]> mask(new bool[61]);
  for (std::size_t i = 0; i < 61; ++i) mask[i] = i % 5 != 2;
  const std::size_t head_dims[] = {64, 80, 96, 128, 256};
  for (unsigned choice = 0; choice < 64; ++choice) {
    const auto chosen = [&](unsigned bit) { return (choice >> bit & 1u) != 0; };
    AttentionParams params{.scale = 0.11f, .causal = chosen(0), .offset = 24};
    if (chosen(1)) params.window = 19;
    if (chosen(2)) params.soft_cap = 2.5f;
    if (chosen(3)) params.key_mask = {mask.get(), 61};
    SCOPED_TRACE(::testing::Message() << "choice " << choice);
    check<T>({37, 61, 3, choice % 2 == 0 ? 1u : 3u, head_dims[choice % 5]}, params, choice % 3 == 0, this->stream,
             chosen(4), chosen(5) ? 7 : 0);
  }
}

TYPED_TEST(Attention, OfNothing) {
  using T = TypeParam;
  const testing::OnDevice<T, 3> none({0, 2, 64}, false, this->stream);
  const testing::OnDevice<T, 3> some({3, 2, 64}, false, this->stream);
  const bool all = false;
  EXPECT_NO_THROW(cuda::attention(none.view, some.view, some.view, none.view, {.scale = 1.f}, this->stream));
  EXPECT_NO_THROW(cuda::attention(none.view, none.view, none.view, none.view, {.scale = 1.f}, this->stream));
  cuda::fill(some.view, static_cast<T>(7.f), this->stream);
  cuda::attention(some.view, none.view, none.view, some.view, {.scale = 1.f, .causal = all}, this->stream);
  const Tensor<T, 3> found = some.download();
  for (const T element : found.elements()) EXPECT_EQ(static_cast<float>(element), 0.f);
}

TYPED_TEST(Attention, OfUnequalSequencesIsThatOfEachAlone) {
  using T = TypeParam;
  const std::vector<cuda::SequenceRange> ranges = {
      {0, 5, 0, 9, 4}, {5, 0, 9, 3, 3}, {5, 140, 12, 150, 10}, {145, 1, 162, 1, 0}, {146, 33, 163, 33, 0}};
  const Sizes s{179, 196, 2, 1, 80};
  const Inputs<T> in(s);
  const testing::OnDevice<T, 3> q(in.q, false, this->stream);
  const testing::OnDevice<T, 3> k(in.k, false, this->stream);
  const testing::OnDevice<T, 3> v(in.v, false, this->stream);
  const testing::OnDevice<T, 3> out(in.q.extents(), false, this->stream);
  cuda::DeviceBuffer on_device(ranges.size() * sizeof(cuda::SequenceRange), this->stream);
  cuda::check(cudaMemcpyAsync(on_device.data(), ranges.data(), on_device.bytes(), cudaMemcpyHostToDevice, this->stream),
              "cudaMemcpyAsync");
  const AttentionParams params{.scale = usual_scale(80)};
  cuda::attention(q.view, k.view, v.view, out.view, on_device.as<const cuda::SequenceRange>(), ranges.size(), 140,
                  params, this->stream);
  const auto found = out.download();
  for (const cuda::SequenceRange& r : ranges)
    for (std::size_t t = 0; t < static_cast<std::size_t>(r.tokens); ++t)
      for (std::size_t h = 0; h < s.heads; ++h) {
        const std::size_t token = static_cast<std::size_t>(r.first_token) + t;
        expect_head(found, token, h,
                    in.expected(params, token, h, static_cast<std::size_t>(r.offset) + t,
                                static_cast<std::size_t>(r.first_key), static_cast<std::size_t>(r.keys)));
      }
}

TYPED_TEST(Attention, RefusesWhatDoesNotFit) {
  using T = TypeParam;
  const testing::OnDevice<T, 3> q({5, 4, 64}, false, this->stream);
  const testing::OnDevice<T, 3> k({5, 3, 64}, false, this->stream);
  const testing::OnDevice<T, 3> fits({5, 2, 64}, false, this->stream);
  const testing::OnDevice<T, 3> wide({5, 4, 264}, false, this->stream);
  const AttentionParams params{.scale = 1.f};
  EXPECT_THROW(cuda::attention(q.view, k.view, k.view, q.view, params, this->stream), ShapeError);
  EXPECT_THROW(cuda::attention(q.view, fits.view, k.view, q.view, params, this->stream), ShapeError);
  EXPECT_THROW(cuda::attention(q.view, fits.view, fits.view, k.view, params, this->stream), ShapeError);
  EXPECT_THROW(cuda::attention(wide.view, wide.view, wide.view, wide.view, params, this->stream), UnsupportedError);
  EXPECT_THROW(
      cuda::attention(q.view, fits.view, fits.view, q.view, AttentionParams{.scale = 1.f, .offset = 1}, this->stream),
      ShapeError);
  for (const std::size_t offset :
       {std::size_t{1}, std::numeric_limits<std::size_t>::max(), std::numeric_limits<std::size_t>::max() - 4})
    EXPECT_THROW(cuda::attention(q.view, fits.view, fits.view, q.view, AttentionParams{.scale = 1.f, .offset = offset},
                                 this->stream),
                 ShapeError);
  EXPECT_THROW(
      cuda::attention(q.view, fits.view, fits.view, q.view,
                      AttentionParams{.scale = 1.f, .causal = false, .offset = std::size_t{1} << 40}, this->stream),
      UnsupportedError);
  const float slopes[3] = {};
  EXPECT_THROW(cuda::attention(q.view, fits.view, fits.view, q.view,
                               AttentionParams{.scale = 1.f, .alibi_slopes = slopes}, this->stream),
               ShapeError);
  EXPECT_THROW(cuda::attention(q.view, fits.view, fits.view, q.view,
                               AttentionParams{.scale = 1.f, .relative_bias = slopes}, this->stream),
               ShapeError);
}

}  // namespace
}  // namespace weft
