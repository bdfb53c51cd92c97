#include <weft/core/function_ref.hpp>

#include <memory>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace {

using weft::FunctionRef;

int twice(int x) { return 2 * x; }

TEST(FunctionRef, CallsWhatItRefersTo) {
  int sum = 0;
  auto add = [&](int x) { return sum += x; };
  const FunctionRef<int(int)> f = add;
  EXPECT_EQ(f(3), 3);
  EXPECT_EQ(f(4), 7);
  EXPECT_EQ(sum, 7);
  const FunctionRef<int(int)> copy = f;
  EXPECT_EQ(copy(1), 8);
}

TEST(FunctionRef, RefersToTheObjectNotACopy) {
  struct Counter {
    int calls = 0;
    void operator()() { ++calls; }
  } counter;
  const FunctionRef<void()> f = counter;
  f();
  f();
  EXPECT_EQ(counter.calls, 2);
}

TEST(FunctionRef, PassesArgumentsOn) {
  const auto take = [](std::unique_ptr<int> p, int& out) { out = *p; };
  int out = 0;
  const FunctionRef<void(std::unique_ptr<int>, int&)> f = take;
  f(std::make_unique<int>(9), out);
  EXPECT_EQ(out, 9);
  const auto function = &twice;
  EXPECT_EQ((FunctionRef<double(int)>(function)(4)), 8.0);
}

TEST(FunctionRef, TakesOnlyWhatCanBeCalled) {
  static_assert(!std::is_constructible_v<FunctionRef<void(int)>, void (*)(const char*)>);
  static_assert(std::is_constructible_v<FunctionRef<void(int)>, int (*)(int)>);
  static_assert(std::is_trivially_copyable_v<FunctionRef<void()>>);
  SUCCEED();
}

}  // namespace
