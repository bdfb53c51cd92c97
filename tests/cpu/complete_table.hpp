#pragma once

#include <gtest/gtest.h>

#include <weft/cpu/kernels.hpp>

namespace weft::testing {

/// Expects every kernel that all instruction sets have. What they calculate is tested by kernels_test.cpp and by the
/// tests of the ops.
inline void expect_complete(const cpu::Kernels& table, const char* name) {
  EXPECT_STREQ(table.name, name);
  EXPECT_NE(table.interleave, nullptr);
  EXPECT_NE(table.pair_blocks, nullptr);
  EXPECT_GE(table.f32.most, 1u);
  EXPECT_NE(table.f32.pack, nullptr);
  EXPECT_NE(table.tile_f32, nullptr);
  for (const cpu::F32Weights& weights : {table.f16, table.bf16_as_f32}) {
    EXPECT_NE(weights.expand, nullptr);
    EXPECT_NE(weights.direct, nullptr);
  }
  EXPECT_GE(table.i8.tokens.most, 1u);
  EXPECT_NE(table.i8.tokens.pack, nullptr);
  for (const cpu::I8Weights& weights : table.i8.weights) {
    EXPECT_NE(weights.expand, nullptr);
    EXPECT_EQ(weights.direct != nullptr, table.i8.direct_tokens > 0);
    EXPECT_NE(weights.panels->tile, nullptr);
    EXPECT_NE(weights.panels->widen, nullptr);
  }
  EXPECT_NE(table.attention.f32, nullptr);
  EXPECT_NE(table.attention.f16, nullptr);
  EXPECT_NE(table.attention.bf16, nullptr);
  EXPECT_NE(table.attention.q8_0, nullptr);
  EXPECT_NE(table.attention.merge, nullptr);
  EXPECT_NE(table.attention.finish, nullptr);
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
