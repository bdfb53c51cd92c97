#include <weft/core/error.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace {

using namespace weft;

static_assert(std::is_base_of_v<std::runtime_error, Error>);

TEST(Error, RaiseJoinsTextAndNumbers) {
  try {
    raise<FormatError>("file ", std::string("a.bin"), ": found ", std::size_t{3}, ", expected ", -4, ' ', true, ' ',
                       std::uint8_t{65}, ' ', std::string_view("end"));
    FAIL() << "raise returned";
  } catch (const FormatError& error) {
    EXPECT_STREQ(error.what(), "file a.bin: found 3, expected -4 true 65 end");
  }
  EXPECT_EQ(detail::concat(), "");
  EXPECT_EQ(detail::concat(0.5, " ", 0.1f, " ", -1e-9, " ", 1.f), "0.5 0.1 -1e-09 1");
}

template <class E>
class EveryError : public ::testing::Test {};
using Errors = ::testing::Types<FormatError, ShapeError, ConfigError, TokenizerError, UnsupportedError, NumericError,
                                CudaError, Cancelled>;
TYPED_TEST_SUITE(EveryError, Errors);

TYPED_TEST(EveryError, IsCaughtAsError) {
  EXPECT_THROW(raise<TypeParam>("why"), Error);
  EXPECT_THROW(raise<TypeParam>("why"), TypeParam);
}

}  // namespace
