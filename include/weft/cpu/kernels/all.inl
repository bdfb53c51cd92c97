// Included by generic.hpp, avx2.hpp, avx512.hpp and neon.hpp inside their namespace and target region: every kernel, in
// the order in which they build on each other, and the table of them.

// clang-format off
#include <weft/cpu/kernels/row.inl>
#include <weft/cpu/kernels/panel.inl>
#include <weft/cpu/kernels/linear.inl>
#include <weft/cpu/kernels/attention_products.inl>
#include <weft/cpu/kernels/attention.inl>
// clang-format on

inline constexpr Kernels table{
    .name = isa_name,
    .interleave = interleave,
    .pair_blocks = pair_blocks,
    .f32 = {.most = f32_tokens, .elements = 2, .bytes = 2 * sizeof(float), .pack = pack_f32},
    .tile_f32 = tiles<TilePanels<TileF32>, f32_tokens>,
    .f16 = {expand_pairs<half>, tiles<TilePanels<TilePairs<half>>, f32_tokens, 8>},
    .bf16_as_f32 = {expand_pairs<bfloat16>, tiles<TilePanels<TilePairs<bfloat16>>, f32_tokens, 8>},
    .bf16 = {},
    .tile_bf16 = nullptr,
    .i8 = i8_kernels,
    .attention = {.f32 = attend<CachedElements<float>>,
                  .f16 = attend<CachedElements<half>>,
                  .bf16 = attend<CachedElements<bfloat16>>,
                  .bf16_native = nullptr,
                  .q8_0 = attend<CachedQ8_0>,
                  .merge = attention_merge,
                  .finish = attention_finish},
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
