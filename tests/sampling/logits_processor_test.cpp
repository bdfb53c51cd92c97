#include <weft/sampling/logits_processor.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include <weft/core/tensor.hpp>

namespace {

using namespace weft;

struct CountCalls {
  int calls = 0;
  void operator()(std::span<float>, std::span<const TokenId>) { ++calls; }
};

static_assert(LogitsProcessor<CountCalls>);
static_assert(LogitsProcessor<AnyLogitsProcessor>);
static_assert(!LogitsProcessor<int>);
static_assert(!LogitsProcessor<decltype([](std::span<float>) {})>);
static_assert(std::is_constructible_v<FloatRow, const std::vector<float>&>);
static_assert(std::is_constructible_v<FloatRow, Tensor<float, 1>&>);
static_assert(std::is_constructible_v<FloatRow, TensorView<float, 1>>);
static_assert(!std::is_constructible_v<FloatRow, std::vector<double>>);
static_assert(!std::is_constructible_v<FloatRow, Tensor<float, 2>&>);

TEST(AnyLogitsProcessor, OwnsACopy) {
  CountCalls mine;
  AnyLogitsProcessor any(mine);
  std::vector<float> logits{1.f};
  any(logits, {});
  EXPECT_EQ(mine.calls, 0);
}

TEST(AnyLogitsProcessor, RefersThroughStdRef) {
  CountCalls mine;
  AnyLogitsProcessor any(std::ref(mine));
  std::vector<float> logits{1.f};
  any(logits, {});
  any(logits, {});
  EXPECT_EQ(mine.calls, 2);
}

TEST(AnyLogitsProcessor, TakesWhatCanOnlyBeMoved) {
  auto bonus = std::make_unique<float>(3.f);
  AnyLogitsProcessor any([bonus = std::move(bonus)](std::span<float> logits, std::span<const TokenId> history) {
    logits[static_cast<std::size_t>(history.back())] += *bonus;
  });
  AnyLogitsProcessor moved = std::move(any);
  std::vector<float> logits{0.f, 0.f};
  const std::vector<TokenId> history{0, 1};
  moved(logits, history);
  EXPECT_EQ(logits, (std::vector<float>{0.f, 3.f}));
}

TEST(FloatRow, SeesTheSameMemory) {
  Tensor<float, 2> matrix({3, 4});
  const FloatRow row(view(matrix)[1]);
  EXPECT_EQ(row.values().data(), &matrix(1, 0));
  EXPECT_EQ(row.values().size(), 4u);
  EXPECT_THROW(FloatRow(view(matrix).select(1, 0)), ShapeError);
}

}  // namespace
