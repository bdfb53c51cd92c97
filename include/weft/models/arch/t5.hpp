#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <weft/models/arch/seq2seq_common.hpp>

namespace weft::inline v0::arch {

inline bool has_t5_gate(const Seq2SeqConfig& c, std::size_t) { return c.encoder.gated; }
inline bool has_no_t5_gate(const Seq2SeqConfig& c, std::size_t) { return !c.encoder.gated; }

/// "relu", "gated-gelu", ...: an activation, and whether the feed-forward layer has a gate. What "gated-gelu" says is
/// the tanh form (transformers, models/t5/configuration_t5.py). What dense_act_fn and is_gated_act say beside it
/// counts.
inline void read_t5_feed_forward(ConfigReader& config, std::string_view fallback, EncoderConfig& c) {
  const Json* value = config.optional("feed_forward_proj");
  std::string_view kind = value ? value->as_string() : fallback;
  constexpr std::string_view gate = "gated-";
  c.gated = kind.starts_with(gate);
  if (c.gated) kind.remove_prefix(gate.size());
  if (c.gated && kind == "gelu") kind = "gelu_new";
  if (const Json* activation = config.optional("dense_act_fn")) kind = (value = activation)->as_string();
  c.gated = config.flag_or("is_gated_act", c.gated);
  c.activation = activation_named(value ? *value : config.object(), kind);
}

inline void read_t5_half(ConfigReader& config, auto& half) {
  half.vocab = config.positive("vocab_size");
  half.hidden = config.positive("d_model");
  half.intermediate = config.positive("d_ff");
  half.layers = config.positive("num_layers");
  half.heads = config.positive("num_heads");
  half.head_dim = config.positive("d_kv");
  half.context = std::size_t{1} << 20;  // positions are relative: there is no last one
  half.norm = NormKind::rms;
  half.norm_eps = read_eps_or(config, "layer_norm_epsilon", 1e-6f);
  half.attention_scale = 1.f;
  half.relative_bias = true;
  half.buckets.buckets = config.positive_or("relative_attention_num_buckets", 32);
  half.buckets.max_distance = config.positive_or("relative_attention_max_distance", 128);
  if (half.buckets.buckets % 4 != 0 || half.buckets.buckets / 2 >= half.buckets.max_distance)
    raise<ConfigError>(config.object().location(), ": ", half.buckets.buckets, " buckets of distances up to ",
                       half.buckets.max_distance, ", expected a multiple of 4 below twice the distance");
  if (half.buckets.max_distance > half.context)  // a table of biases has a place for every distance
    raise<UnsupportedError>(config.object().location(), ": relative_attention_max_distance is ",
                            half.buckets.max_distance, ", at most ", half.context, " is supported");
}

/// The first half, which T5EncoderModel is alone.
inline EncoderConfig read_t5_encoder_half(ConfigReader& config, std::string_view feed_forward) {
  EncoderConfig c;
  read_t5_half(config, c);
  read_t5_feed_forward(config, feed_forward, c);
  c.form = EncoderForm::pre_norm;
  c.embedding = c.hidden;
  c.modules = {.embedding = "encoder.embed_tokens",
               .layer = "encoder.block.{}",
               .attention = "layer.0.SelfAttention",
               .mlp = "layer.1.DenseReluDense",
               .norm = "encoder.final_layer_norm"};
  return c;
}

inline Seq2SeqConfig read_t5_family(ConfigReader& config, std::string_view feed_forward) {
  check_seq2seq(config);
  Seq2SeqConfig c;
  c.encoder = read_t5_encoder_half(config, feed_forward);
  read_t5_half(config, c.decoder);
  c.decoder.activation = c.encoder.activation;
  c.decoder.layers = config.positive_or("num_decoder_layers", c.encoder.layers);
  c.decoder.kv_heads = c.decoder.heads;
  c.decoder.buckets.bidirectional = false;
  c.decoder.cross_attention = true;
  c.decoder.modules = {.embedding = "decoder.embed_tokens",
                       .layer = "decoder.block.{}",
                       .attention = "layer.0.SelfAttention",
                       .cross = "layer.1.EncDecAttention",
                       .mlp = "layer.2.DenseReluDense",
                       .norm = "decoder.final_layer_norm"};
  return c;
}

/// T5 scales what enters its output head, T5 v1.1 and Flan-T5, whose head is not the embedding, do not.
inline Seq2SeqConfig read_t5(ConfigReader& config) {
  Seq2SeqConfig c = read_t5_family(config, "relu");
  c.decoder.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  if (config.flag_or("scale_decoder_outputs", c.decoder.tied_embeddings))
    c.decoder.output_scale = 1.f / std::sqrt(static_cast<float>(c.decoder.hidden));
  return c;
}

inline Seq2SeqConfig read_mt5(ConfigReader& config) {
  Seq2SeqConfig c = read_t5_family(config, "gated-gelu");
  c.decoder.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  return c;
}

namespace t5_slots {

using in_seq2seq::cross_attention;
using in_seq2seq::decoder;
using in_seq2seq::decoder_attention;
using in_seq2seq::decoder_layer;
using in_seq2seq::decoder_mlp;
using in_seq2seq::encoder;
using in_seq2seq::encoder_attention;
using in_seq2seq::encoder_layer;
using in_seq2seq::encoder_mlp;
using A = AttentionWeights;
using M = MlpWeights;
using E = EncoderLayerWeights;
using D = DecoderLayerWeights;

inline constexpr auto tensors = joined(
    seq2seq_token_rows("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    std::to_array<Seq2SeqRow>({
        in_gguf("enc.blk.0.attn_rel_b.weight",
                seq2seq_table("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                              encoder<&EncoderWeights::relative_bias>, dim::encoder_buckets, dim::encoder_heads)),
        in_gguf("enc.output_norm.weight",
                seq2seq_row("encoder.final_layer_norm.weight", encoder<&EncoderWeights::final_norm, &NormWeights::gain>,
                            dim::model_width)),
        in_gguf("enc.blk.{}.attn_norm.weight",
                encoder_layer_row("encoder.block.{}.layer.0.layer_norm.weight",
                                  encoder_layer<&E::attention_norm, &NormWeights::gain>, dim::model_width)),
        in_gguf("enc.blk.{}.attn_q.weight",
                encoder_layer_row("encoder.block.{}.layer.0.SelfAttention.q.weight", encoder_attention<&A::q>,
                                  dim::encoder_query, dim::model_width)),
        in_gguf("enc.blk.{}.attn_k.weight",
                encoder_layer_row("encoder.block.{}.layer.0.SelfAttention.k.weight", encoder_attention<&A::k>,
                                  dim::encoder_query, dim::model_width)),
        in_gguf("enc.blk.{}.attn_v.weight",
                encoder_layer_row("encoder.block.{}.layer.0.SelfAttention.v.weight", encoder_attention<&A::v>,
                                  dim::encoder_query, dim::model_width)),
        in_gguf("enc.blk.{}.attn_o.weight",
                encoder_layer_row("encoder.block.{}.layer.0.SelfAttention.o.weight", encoder_attention<&A::o>,
                                  dim::model_width, dim::encoder_query)),
        in_gguf("enc.blk.{}.ffn_norm.weight",
                encoder_layer_row("encoder.block.{}.layer.1.layer_norm.weight",
                                  encoder_layer<&E::mlp_norm, &NormWeights::gain>, dim::model_width)),
        in_gguf("enc.blk.{}.ffn_up.weight",
                encoder_layer_row("encoder.block.{}.layer.1.DenseReluDense.wi.weight", encoder_mlp<&M::up>,
                                  dim::encoder_intermediate, dim::model_width, has_no_t5_gate)),
        in_gguf("enc.blk.{}.ffn_gate.weight",
                encoder_layer_row("encoder.block.{}.layer.1.DenseReluDense.wi_0.weight", encoder_mlp<&M::gate>,
                                  dim::encoder_intermediate, dim::model_width, has_t5_gate)),
        in_gguf("enc.blk.{}.ffn_up.weight",
                encoder_layer_row("encoder.block.{}.layer.1.DenseReluDense.wi_1.weight", encoder_mlp<&M::up>,
                                  dim::encoder_intermediate, dim::model_width, has_t5_gate)),
        in_gguf("enc.blk.{}.ffn_down.weight",
                encoder_layer_row("encoder.block.{}.layer.1.DenseReluDense.wo.weight", encoder_mlp<&M::down>,
                                  dim::model_width, dim::encoder_intermediate)),
        in_gguf("dec.blk.0.attn_rel_b.weight",
                seq2seq_table("decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                              decoder<&DecoderWeights::relative_bias>, dim::decoder_buckets, dim::decoder_heads)),
        in_gguf("dec.output_norm.weight",
                seq2seq_row("decoder.final_layer_norm.weight", decoder<&DecoderWeights::final_norm, &NormWeights::gain>,
                            dim::model_width)),
        in_gguf("dec.blk.{}.attn_norm.weight",
                decoder_layer_row("decoder.block.{}.layer.0.layer_norm.weight",
                                  decoder_layer<&D::attention_norm, &NormWeights::gain>, dim::model_width)),
        in_gguf("dec.blk.{}.attn_q.weight",
                decoder_layer_row("decoder.block.{}.layer.0.SelfAttention.q.weight", decoder_attention<&A::q>,
                                  dim::decoder_query, dim::model_width)),
        in_gguf("dec.blk.{}.attn_k.weight",
                decoder_layer_row("decoder.block.{}.layer.0.SelfAttention.k.weight", decoder_attention<&A::k>,
                                  dim::decoder_query, dim::model_width)),
        in_gguf("dec.blk.{}.attn_v.weight",
                decoder_layer_row("decoder.block.{}.layer.0.SelfAttention.v.weight", decoder_attention<&A::v>,
                                  dim::decoder_query, dim::model_width)),
        in_gguf("dec.blk.{}.attn_o.weight",
                decoder_layer_row("decoder.block.{}.layer.0.SelfAttention.o.weight", decoder_attention<&A::o>,
                                  dim::model_width, dim::decoder_query)),
        in_gguf("dec.blk.{}.cross_attn_norm.weight",
                decoder_layer_row("decoder.block.{}.layer.1.layer_norm.weight",
                                  decoder_layer<&D::cross_norm, &NormWeights::gain>, dim::model_width)),
        in_gguf("dec.blk.{}.cross_attn_q.weight",
                decoder_layer_row("decoder.block.{}.layer.1.EncDecAttention.q.weight", cross_attention<&A::q>,
                                  dim::decoder_query, dim::model_width)),
        in_gguf("dec.blk.{}.cross_attn_k.weight",
                decoder_layer_row("decoder.block.{}.layer.1.EncDecAttention.k.weight", cross_attention<&A::k>,
                                  dim::decoder_query, dim::model_width)),
        in_gguf("dec.blk.{}.cross_attn_v.weight",
                decoder_layer_row("decoder.block.{}.layer.1.EncDecAttention.v.weight", cross_attention<&A::v>,
                                  dim::decoder_query, dim::model_width)),
        in_gguf("dec.blk.{}.cross_attn_o.weight",
                decoder_layer_row("decoder.block.{}.layer.1.EncDecAttention.o.weight", cross_attention<&A::o>,
                                  dim::model_width, dim::decoder_query)),
        in_gguf("dec.blk.{}.ffn_norm.weight",
                decoder_layer_row("decoder.block.{}.layer.2.layer_norm.weight",
                                  decoder_layer<&D::mlp_norm, &NormWeights::gain>, dim::model_width)),
        in_gguf("dec.blk.{}.ffn_up.weight",
                decoder_layer_row("decoder.block.{}.layer.2.DenseReluDense.wi.weight", decoder_mlp<&M::up>,
                                  dim::decoder_intermediate, dim::model_width, has_no_t5_gate)),
        in_gguf("dec.blk.{}.ffn_gate.weight",
                decoder_layer_row("decoder.block.{}.layer.2.DenseReluDense.wi_0.weight", decoder_mlp<&M::gate>,
                                  dim::decoder_intermediate, dim::model_width, has_t5_gate)),
        in_gguf("dec.blk.{}.ffn_up.weight",
                decoder_layer_row("decoder.block.{}.layer.2.DenseReluDense.wi_1.weight", decoder_mlp<&M::up>,
                                  dim::decoder_intermediate, dim::model_width, has_t5_gate)),
        in_gguf("dec.blk.{}.ffn_down.weight",
                decoder_layer_row("decoder.block.{}.layer.2.DenseReluDense.wo.weight", decoder_mlp<&M::down>,
                                  dim::model_width, dim::decoder_intermediate)),
    }));

}  // namespace t5_slots

// Tables of embeddings beside those that are read.
inline constexpr auto t5_ignored_tensors =
    std::to_array<std::string_view>({"shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight",
                                     "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"});

/// T5, T5 v1.1 and Flan-T5 (Raffel et al. 2020, arXiv:1910.10683; transformers, models/t5/modeling_t5.py).
inline constexpr Seq2SeqArchitecture t5{.model_type = "t5",
                                        .read_config = read_t5,
                                        .tensors = t5_slots::tensors,
                                        .ignored_keys = seq2seq_ignored_keys,
                                        .ignored_tensors = t5_ignored_tensors};

/// mT5 (Xue et al. 2021, arXiv:2010.11934; transformers, models/mt5/modeling_mt5.py).
inline constexpr Seq2SeqArchitecture mt5{.model_type = "mt5",
                                         .read_config = read_mt5,
                                         .tensors = t5_slots::tensors,
                                         .ignored_keys = seq2seq_ignored_keys,
                                         .ignored_tensors = t5_ignored_tensors};

}  // namespace weft::inline v0::arch
