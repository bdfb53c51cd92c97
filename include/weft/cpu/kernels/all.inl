// Included by generic.hpp, avx2.hpp and avx512.hpp inside their namespace and target region: every kernel, in the order
// in which they build on each other, and the table of them.

// clang-format off
#include <weft/cpu/kernels/row.inl>
#include <weft/cpu/kernels/linear.inl>
#include <weft/cpu/kernels/linear_loop.inl>
#include <weft/cpu/kernels/attention.inl>
// clang-format on

inline constexpr Kernels table{
    .name = isa_name,
    .linear_tokens = linear_tokens,
    .pack_tokens = pack_tokens,
    .linear_f32 = linear<float, float>,
    .linear_f16 = linear<half, float>,
    .linear_bf16 = linear<bfloat16, float>,
    .pack_tokens_bf16 = nullptr,
    .linear_bf16_dot = nullptr,
    .attention_f32 = attention<float>,
    .attention_f16 = attention<half>,
    .attention_bf16 = attention<bfloat16>,
    .softmax = softmax,
    .log_sum_exp = log_sum_exp,
    .exp = exp,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .rope = rope,
    .activation = activation,
    .add = add_row,
    .to_f16 = convert<float, half>,
    .to_bf16 = convert<float, bfloat16>,
    .from_f16 = convert<half, float>,
    .from_bf16 = convert<bfloat16, float>,
};
