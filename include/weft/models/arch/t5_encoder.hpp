#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <weft/models/arch/encoder_tensors.hpp>
#include <weft/models/arch/t5.hpp>

namespace weft::inline v0::arch {

/// Whether a checkpoint is the first half alone of a family of encoder-decoders.
inline bool is_encoder_half(const Json& config) {
  const Json* names = config.given("architectures");
  return names && !names->as_array().empty() && names->at(0).as_string().ends_with("EncoderModel");
}

/// Throws UnsupportedError for models that are more than an encoder.
inline EncoderConfig read_t5_encoder_family(ConfigReader& config, std::string_view feed_forward) {
  const Json* names = config.optional("architectures");
  if (names && !names->as_array().empty() && !is_encoder_half(config.object()))
    raise<UnsupportedError>(names->location(), ": a model of class \"", names->at(0).as_string(),
                            "\" is no encoder alone");
  config.refuse("is_decoder");
  return read_t5_encoder_half(config, feed_forward);
}
inline EncoderConfig read_t5_encoder(ConfigReader& config) { return read_t5_encoder_family(config, "relu"); }
inline EncoderConfig read_mt5_encoder(ConfigReader& config) { return read_t5_encoder_family(config, "gated-gelu"); }

namespace t5_encoder_slots {

inline bool gated(const EncoderConfig& c, std::size_t) { return c.gated; }
inline bool not_gated(const EncoderConfig& c, std::size_t) { return !c.gated; }
inline constexpr auto gate = in_encoder::in_mlp<&MlpWeights::gate>;
inline constexpr auto final_norm = slot<&EncoderWeights::final_norm, &NormWeights::gain>;

/// A matrix of feed-forward layers with a gate, or of those without.
constexpr EncoderRow mlp_row(std::string_view name, EncoderSlot slot, TaskNeeds present) {
  EncoderRow row = encoder_row(name, slot, dim::intermediate, dim::hidden);
  row.present = present;
  return row;
}

inline constexpr auto tensors = std::to_array<EncoderRow>({
    in_gguf("token_embd.weight", lookup_row("shared.weight", in_encoder::embedding, dim::vocab, dim::embedding)),
    in_gguf("enc.blk.0.attn_rel_b.weight",
            lookup_row("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                       in_encoder::relative_bias, dim::buckets, dim::heads)),
    in_gguf("enc.output_norm.weight", encoder_row("encoder.final_layer_norm.weight", final_norm, dim::hidden)),
    in_gguf("enc.blk.{}.attn_norm.weight",
            encoder_row("encoder.block.{}.layer.0.layer_norm.weight", in_encoder::attention_norm, dim::hidden)),
    in_gguf("enc.blk.{}.attn_q.weight",
            encoder_row("encoder.block.{}.layer.0.SelfAttention.q.weight", in_encoder::q, dim::query, dim::hidden)),
    in_gguf("enc.blk.{}.attn_k.weight",
            encoder_row("encoder.block.{}.layer.0.SelfAttention.k.weight", in_encoder::k, dim::key_value, dim::hidden)),
    in_gguf("enc.blk.{}.attn_v.weight",
            encoder_row("encoder.block.{}.layer.0.SelfAttention.v.weight", in_encoder::v, dim::key_value, dim::hidden)),
    in_gguf("enc.blk.{}.attn_o.weight",
            encoder_row("encoder.block.{}.layer.0.SelfAttention.o.weight", in_encoder::o, dim::hidden, dim::query)),
    in_gguf("enc.blk.{}.ffn_norm.weight",
            encoder_row("encoder.block.{}.layer.1.layer_norm.weight", in_encoder::mlp_norm, dim::hidden)),
    in_gguf("enc.blk.{}.ffn_up.weight",
            mlp_row("encoder.block.{}.layer.1.DenseReluDense.wi.weight", in_encoder::up, not_gated)),
    in_gguf("enc.blk.{}.ffn_gate.weight", mlp_row("encoder.block.{}.layer.1.DenseReluDense.wi_0.weight", gate, gated)),
    in_gguf("enc.blk.{}.ffn_up.weight",
            mlp_row("encoder.block.{}.layer.1.DenseReluDense.wi_1.weight", in_encoder::up, gated)),
    in_gguf("enc.blk.{}.ffn_down.weight", encoder_row("encoder.block.{}.layer.1.DenseReluDense.wo.weight",
                                                      in_encoder::down, dim::hidden, dim::intermediate)),
});

}  // namespace t5_encoder_slots

// What is said of the other half.
inline constexpr auto t5_encoder_ignored_keys =
    joined(seq2seq_ignored_keys, std::to_array<std::string_view>({"num_decoder_layers", "scale_decoder_outputs",
                                                                  "tie_word_embeddings", "sentence_transformers"}));
inline constexpr auto t5_encoder_ignored_tensors = std::to_array<std::string_view>({"encoder.embed_tokens.weight"});

/// T5's first half (transformers, models/t5/modeling_t5.py, T5EncoderModel): T5 v1.1, Sentence-T5.
inline constexpr EncoderArchitecture t5_encoder{.model_type = "t5",
                                                .read_config = read_t5_encoder,
                                                .tensors = t5_encoder_slots::tensors,
                                                .ignored_keys = t5_encoder_ignored_keys,
                                                .ignored_tensors = t5_encoder_ignored_tensors};

/// mT5's (transformers, models/mt5/modeling_mt5.py, MT5EncoderModel).
inline constexpr EncoderArchitecture mt5_encoder{.model_type = "mt5",
                                                 .read_config = read_mt5_encoder,
                                                 .tensors = t5_encoder_slots::tensors,
                                                 .ignored_keys = t5_encoder_ignored_keys,
                                                 .ignored_tensors = t5_encoder_ignored_tensors};

}  // namespace weft::inline v0::arch
