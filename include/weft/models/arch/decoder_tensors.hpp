#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <weft/models/architecture.hpp>

// What the tensor tables of decoders are made of: slots, extents, and conditions under which a tensor is there.
namespace weft::inline v0 {

namespace dim {

inline std::size_t embedding_width(const DecoderConfig& c) { return c.embedding_width(); }
inline std::size_t position_rows(const DecoderConfig& c) { return c.position_rows; }
inline std::size_t heads(const DecoderConfig& c) { return c.heads; }
inline std::size_t head(const DecoderConfig& c) { return c.head_dim; }
inline std::size_t experts(const DecoderConfig& c) { return c.experts; }
inline std::size_t expert_intermediate(const DecoderConfig& c) { return c.expert_intermediate; }
inline std::size_t shared_intermediate(const DecoderConfig& c) { return c.shared_intermediate; }
inline std::size_t one(const DecoderConfig&) { return 1; }

// Queries, keys and values in one tensor: for every key/value head its queries, its key and its value.
inline std::size_t qkv(const DecoderConfig& c) { return c.query() + 2 * c.key_value(); }
inline std::size_t group_keys(const DecoderConfig& c) { return c.query() / c.kv_heads; }
inline std::size_t group_values(const DecoderConfig& c) { return group_keys(c) + c.head_dim; }
inline std::size_t kv_heads(const DecoderConfig& c) { return c.kv_heads; }
// The same, one kind after the other.
inline std::size_t values_begin(const DecoderConfig& c) { return c.query() + c.key_value(); }

inline std::size_t gate_up(const DecoderConfig& c) { return 2 * c.intermediate; }

}  // namespace dim

namespace arch {
namespace slots {

inline constexpr auto embedding = slot<&DecoderWeights::embedding>;
inline constexpr auto embedding_in = slot<&DecoderWeights::embedding_in>;
inline constexpr auto embedding_out = slot<&DecoderWeights::embedding_out>;
inline constexpr auto positions = slot<&DecoderWeights::positions>;
inline constexpr auto embedding_norm = slot<&DecoderWeights::embedding_norm, &NormWeights::gain>;
inline constexpr auto embedding_norm_bias = slot<&DecoderWeights::embedding_norm, &NormWeights::bias>;
inline constexpr auto final_norm = slot<&DecoderWeights::final_norm, &NormWeights::gain>;
inline constexpr auto final_norm_bias = slot<&DecoderWeights::final_norm, &NormWeights::bias>;
inline constexpr auto output = slot<&DecoderWeights::output>;
inline constexpr auto output_bias = slot<&DecoderWeights::output_bias>;

template <auto... Members>
inline constexpr auto in_layer = slot<&DecoderWeights::layers, Members...>;
template <auto... Members>
inline constexpr auto in_attention = in_layer<&DecoderLayerWeights::attention, Members...>;
template <auto Member>
inline constexpr auto in_mlp = in_layer<&DecoderLayerWeights::mlp, Member>;
template <auto... Members>
inline constexpr auto in_moe = in_layer<&DecoderLayerWeights::moe, Members...>;

inline constexpr auto attention_norm = in_layer<&DecoderLayerWeights::attention_norm, &NormWeights::gain>;
inline constexpr auto attention_norm_bias = in_layer<&DecoderLayerWeights::attention_norm, &NormWeights::bias>;
inline constexpr auto attention_post_norm = in_layer<&DecoderLayerWeights::attention_post_norm, &NormWeights::gain>;
inline constexpr auto q = in_attention<&AttentionWeights::q>;
inline constexpr auto k = in_attention<&AttentionWeights::k>;
inline constexpr auto v = in_attention<&AttentionWeights::v>;
inline constexpr auto o = in_attention<&AttentionWeights::o>;
inline constexpr auto q_bias = in_attention<&AttentionWeights::q_bias>;
inline constexpr auto k_bias = in_attention<&AttentionWeights::k_bias>;
inline constexpr auto v_bias = in_attention<&AttentionWeights::v_bias>;
inline constexpr auto o_bias = in_attention<&AttentionWeights::o_bias>;
inline constexpr auto q_norm = in_attention<&AttentionWeights::q_norm, &NormWeights::gain>;
inline constexpr auto k_norm = in_attention<&AttentionWeights::k_norm, &NormWeights::gain>;
inline constexpr auto mlp_norm = in_layer<&DecoderLayerWeights::mlp_norm, &NormWeights::gain>;
inline constexpr auto mlp_norm_bias = in_layer<&DecoderLayerWeights::mlp_norm, &NormWeights::bias>;
inline constexpr auto mlp_post_norm = in_layer<&DecoderLayerWeights::mlp_post_norm, &NormWeights::gain>;
inline constexpr auto gate = in_mlp<&MlpWeights::gate>;
inline constexpr auto up = in_mlp<&MlpWeights::up>;
inline constexpr auto down = in_mlp<&MlpWeights::down>;
inline constexpr auto gate_bias = in_mlp<&MlpWeights::gate_bias>;
inline constexpr auto up_bias = in_mlp<&MlpWeights::up_bias>;
inline constexpr auto down_bias = in_mlp<&MlpWeights::down_bias>;
inline constexpr auto router = in_moe<&MoeWeights::router>;
inline constexpr auto expert_gate = in_moe<&MoeWeights::experts, &MlpWeights::gate>;
inline constexpr auto expert_up = in_moe<&MoeWeights::experts, &MlpWeights::up>;
inline constexpr auto expert_down = in_moe<&MoeWeights::experts, &MlpWeights::down>;
inline constexpr auto shared_gate = in_moe<&MoeWeights::shared, &MlpWeights::gate>;
inline constexpr auto shared_up = in_moe<&MoeWeights::shared, &MlpWeights::up>;
inline constexpr auto shared_down = in_moe<&MoeWeights::shared, &MlpWeights::down>;
inline constexpr auto shared_weight = in_moe<&MoeWeights::shared_gate>;

}  // namespace slots

namespace has {

constexpr auto always = static_cast<bool (*)(const DecoderConfig&, std::size_t)>(nullptr);

inline bool tied_output(const DecoderConfig& c, std::size_t) { return c.tied_embeddings; }
inline bool own_output(const DecoderConfig& c, std::size_t) { return !c.tied_embeddings; }
inline bool attention_bias(const DecoderConfig& c, std::size_t) { return c.attention_bias; }
inline bool attention_output_bias(const DecoderConfig& c, std::size_t) { return c.attention_output_bias; }
inline bool mlp_bias(const DecoderConfig& c, std::size_t) { return c.mlp_bias; }
inline bool experts(const DecoderConfig& c, std::size_t layer) { return c.has_experts(layer); }
inline bool no_experts(const DecoderConfig& c, std::size_t layer) { return !c.has_experts(layer); }
inline bool mlp_norm(const DecoderConfig& c, std::size_t) { return c.form != BlockForm::parallel_shared; }

}  // namespace has

/// The embedding and the output head, which may be the embedding.
constexpr std::array<DecoderRow, 3> token_rows(std::string_view embedding, std::string_view output) {
  return {{{.name = embedding,
            .gguf = "token_embd.weight",
            .slot = slots::embedding,
            .rows = dim::vocab,
            .columns = dim::embedding_width,
            .lookup = true},
           {output, "output.weight", slots::output, dim::vocab, dim::embedding_width, has::own_output},
           {.name = embedding,
            .gguf = "token_embd.weight",
            .slot = slots::output,
            .rows = dim::vocab,
            .columns = dim::embedding_width,
            .present = has::tied_output,
            .repeated = true}}};
}

/// A matrix that every expert has.
constexpr DecoderRow expert_row(std::string_view name, std::string_view gguf, DecoderRow::Matrix slot,
                                DecoderRow::Extent rows, DecoderRow::Extent columns) {
  return {.name = name,
          .gguf = gguf,
          .slot = slot,
          .rows = rows,
          .columns = columns,
          .present = has::experts,
          .experts = dim::experts};
}

/// Queries, keys and values in one tensor, for every key/value head its queries, its key and its value.
constexpr std::array<DecoderRow, 6> grouped_qkv_rows(std::string_view weight, std::string_view bias) {
  const DecoderRow::Part q{dim::qkv, nullptr, dim::kv_heads};
  const DecoderRow::Part k{dim::qkv, dim::group_keys, dim::kv_heads};
  const DecoderRow::Part v{dim::qkv, dim::group_values, dim::kv_heads};
  const std::string_view matrices = "blk.{}.attn_qkv.weight";
  const std::string_view vectors = "blk.{}.attn_qkv.bias";
  return {{{weight, matrices, slots::q, dim::query, dim::hidden, has::always, q},
           {weight, matrices, slots::k, dim::key_value, dim::hidden, has::always, k},
           {weight, matrices, slots::v, dim::key_value, dim::hidden, has::always, v},
           {bias, vectors, slots::q_bias, dim::query, nullptr, has::attention_bias, q},
           {bias, vectors, slots::k_bias, dim::key_value, nullptr, has::attention_bias, k},
           {bias, vectors, slots::v_bias, dim::key_value, nullptr, has::attention_bias, v}}};
}

/// The table of learned positions.
constexpr std::array<DecoderRow, 1> position_row(std::string_view name) {
  return {{{.name = name,
            .gguf = "position_embd.weight",
            .slot = slots::positions,
            .rows = dim::position_rows,
            .columns = dim::hidden,
            .lookup = true}}};
}
}  // namespace arch
}  // namespace weft::inline v0
