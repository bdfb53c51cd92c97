#pragma once

#include <gtest/gtest.h>

#include <weft/cpu/kernels.hpp>

namespace weft::testing {

/// Expects every kernel that all instruction sets have. What they calculate is tested by kernels_test.cpp and by the
/// tests of the ops.
inline void expect_complete(const cpu::Kernels& table, const char* name) {
  EXPECT_STREQ(table.name, name);
  EXPECT_GE(table.linear_tokens, 1u);
  EXPECT_NE(table.pack_tokens, nullptr);
  EXPECT_NE(table.linear_f32, nullptr);
  EXPECT_NE(table.linear_f16, nullptr);
  EXPECT_NE(table.linear_bf16, nullptr);
  EXPECT_NE(table.attention_f32, nullptr);
  EXPECT_NE(table.attention_f16, nullptr);
  EXPECT_NE(table.attention_bf16, nullptr);
  EXPECT_NE(table.softmax, nullptr);
  EXPECT_NE(table.log_sum_exp, nullptr);
  EXPECT_NE(table.exp, nullptr);
  EXPECT_NE(table.rms_norm, nullptr);
  EXPECT_NE(table.layer_norm, nullptr);
  EXPECT_NE(table.rope, nullptr);
  EXPECT_NE(table.activation, nullptr);
  EXPECT_NE(table.add, nullptr);
  EXPECT_NE(table.to_f16, nullptr);
  EXPECT_NE(table.to_bf16, nullptr);
  EXPECT_NE(table.from_f16, nullptr);
  EXPECT_NE(table.from_bf16, nullptr);
}

}  // namespace weft::testing
