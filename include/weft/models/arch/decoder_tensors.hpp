#pragma once

#include <cstddef>

#include <weft/models/architecture.hpp>

// What the tensor tables of decoders are made of: slots, and conditions under which a tensor is there.
namespace weft::inline v0::arch {

namespace slots {

inline constexpr auto embedding = slot<&DecoderWeights::embedding>;
inline constexpr auto final_norm = slot<&DecoderWeights::final_norm>;
inline constexpr auto output = slot<&DecoderWeights::output>;

template <auto... Members>
inline constexpr auto in_layer = slot<&DecoderWeights::layers, Members...>;
template <auto Member>
inline constexpr auto in_attention = in_layer<&DecoderLayerWeights::attention, Member>;
template <auto Member>
inline constexpr auto in_mlp = in_layer<&DecoderLayerWeights::mlp, Member>;

inline constexpr auto attention_norm = in_layer<&DecoderLayerWeights::attention_norm>;
inline constexpr auto q = in_attention<&AttentionWeights::q>;
inline constexpr auto k = in_attention<&AttentionWeights::k>;
inline constexpr auto v = in_attention<&AttentionWeights::v>;
inline constexpr auto o = in_attention<&AttentionWeights::o>;
inline constexpr auto q_bias = in_attention<&AttentionWeights::q_bias>;
inline constexpr auto k_bias = in_attention<&AttentionWeights::k_bias>;
inline constexpr auto v_bias = in_attention<&AttentionWeights::v_bias>;
inline constexpr auto o_bias = in_attention<&AttentionWeights::o_bias>;
inline constexpr auto mlp_norm = in_layer<&DecoderLayerWeights::mlp_norm>;
inline constexpr auto gate = in_mlp<&MlpWeights::gate>;
inline constexpr auto up = in_mlp<&MlpWeights::up>;
inline constexpr auto down = in_mlp<&MlpWeights::down>;
inline constexpr auto gate_bias = in_mlp<&MlpWeights::gate_bias>;
inline constexpr auto up_bias = in_mlp<&MlpWeights::up_bias>;
inline constexpr auto down_bias = in_mlp<&MlpWeights::down_bias>;

}  // namespace slots

namespace has {

constexpr bool tied_output(const DecoderConfig& c, std::size_t) { return c.tied_embeddings; }
constexpr bool own_output(const DecoderConfig& c, std::size_t) { return !c.tied_embeddings; }
constexpr bool attention_bias(const DecoderConfig& c, std::size_t) { return c.attention_bias; }
constexpr bool attention_output_bias(const DecoderConfig& c, std::size_t) { return c.attention_output_bias; }
constexpr bool mlp_bias(const DecoderConfig& c, std::size_t) { return c.mlp_bias; }

}  // namespace has
}  // namespace weft::inline v0::arch
