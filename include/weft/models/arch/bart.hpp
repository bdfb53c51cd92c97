#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <string_view>

#include <weft/models/arch/seq2seq_common.hpp>

namespace weft::inline v0::arch {

/// What configs of BART and of the families that share its layers have in common: sizes, biases everywhere, learned
/// positions from row 2 on.
inline Seq2SeqConfig read_bart_family(ConfigReader& config, bool scales_embedding) {
  check_seq2seq(config);
  Seq2SeqConfig c;
  const auto read_half = [&](auto& half, std::string_view layers, std::string_view heads, std::string_view width) {
    half.vocab = config.positive("vocab_size");
    half.hidden = config.positive("d_model");
    half.layers = config.positive(layers);
    half.heads = config.positive(heads);
    half.intermediate = config.positive(width);
    half.context = config.positive("max_position_embeddings");
    half.position_offset = 2;
    half.position_rows = half.context + half.position_offset;
    half.norm = NormKind::layer;
    half.norm_eps = 1e-5f;  // in no config
    half.activation = read_activation(config, "activation_function");
    if (half.hidden % half.heads != 0)
      raise<ConfigError>(config.object().location(), ": d_model ", half.hidden, " is not a multiple of ", heads, " ",
                         half.heads);
    half.head_dim = half.hidden / half.heads;
    if (config.flag_or("scale_embedding", scales_embedding))
      half.embedding_scale = std::sqrt(static_cast<float>(half.hidden));
  };
  read_half(c.encoder, "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim");
  read_half(c.decoder, "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim");
  c.encoder.embedding = c.encoder.hidden;
  c.encoder.form = EncoderForm::post_norm;
  c.encoder.modules = {.embedding = "model.encoder.layernorm_embedding",
                       .layer = "model.encoder.layers.{}",
                       .attention = "self_attn",
                       .mlp = "fc2",
                       .norm = "model.encoder.layer_norm"};
  c.decoder.form = BlockForm::residual_norm;
  c.decoder.final_norm = false;
  c.decoder.kv_heads = c.decoder.heads;
  c.decoder.cross_attention = true;
  c.decoder.tied_embeddings = config.flag_or("tie_word_embeddings", true);
  c.decoder.modules = {.embedding = "model.decoder.layernorm_embedding",
                       .layer = "model.decoder.layers.{}",
                       .attention = "self_attn",
                       .cross = "encoder_attn",
                       .mlp = "fc2",
                       .norm = "model.decoder.layer_norm",
                       .output = "logits"};  // with final_logits_bias, which is added after lm_head
  return c;
}

/// Norms before each part of a layer and after the last layer, as in mBART.
inline void set_pre_norm(Seq2SeqConfig& c) {
  c.encoder.form = EncoderForm::pre_norm;
  c.decoder.form = BlockForm::pre_norm;
  c.decoder.final_norm = true;
}

inline Seq2SeqConfig read_bart(ConfigReader& config) { return read_bart_family(config, false); }

namespace bart_rows {

using in_seq2seq::cross_attention;
using in_seq2seq::decoder;
using in_seq2seq::decoder_attention;
using in_seq2seq::decoder_layer;
using in_seq2seq::decoder_mlp;
using in_seq2seq::encoder;
using in_seq2seq::encoder_attention;
using in_seq2seq::encoder_layer;
using in_seq2seq::encoder_mlp;

inline constexpr auto tokens =
    seq2seq_token_rows("model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight");

/// All layers of both halves.
inline constexpr auto layers = std::to_array<Seq2SeqRow>({
    encoder_layer_row("model.encoder.layers.{}.self_attn.q_proj.weight", encoder_attention<&AttentionWeights::q>,
                      dim::encoder_query, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.self_attn.q_proj.bias", encoder_attention<&AttentionWeights::q_bias>,
                      dim::encoder_query),
    encoder_layer_row("model.encoder.layers.{}.self_attn.k_proj.weight", encoder_attention<&AttentionWeights::k>,
                      dim::encoder_query, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.self_attn.k_proj.bias", encoder_attention<&AttentionWeights::k_bias>,
                      dim::encoder_query),
    encoder_layer_row("model.encoder.layers.{}.self_attn.v_proj.weight", encoder_attention<&AttentionWeights::v>,
                      dim::encoder_query, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.self_attn.v_proj.bias", encoder_attention<&AttentionWeights::v_bias>,
                      dim::encoder_query),
    encoder_layer_row("model.encoder.layers.{}.self_attn.out_proj.weight", encoder_attention<&AttentionWeights::o>,
                      dim::model_width, dim::encoder_query),
    encoder_layer_row("model.encoder.layers.{}.self_attn.out_proj.bias", encoder_attention<&AttentionWeights::o_bias>,
                      dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.self_attn_layer_norm.weight",
                      encoder_layer<&EncoderLayerWeights::attention_norm, &NormWeights::gain>, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.self_attn_layer_norm.bias",
                      encoder_layer<&EncoderLayerWeights::attention_norm, &NormWeights::bias>, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.fc1.weight", encoder_mlp<&MlpWeights::up>, dim::encoder_intermediate,
                      dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.fc1.bias", encoder_mlp<&MlpWeights::up_bias>, dim::encoder_intermediate),
    encoder_layer_row("model.encoder.layers.{}.fc2.weight", encoder_mlp<&MlpWeights::down>, dim::model_width,
                      dim::encoder_intermediate),
    encoder_layer_row("model.encoder.layers.{}.fc2.bias", encoder_mlp<&MlpWeights::down_bias>, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.final_layer_norm.weight",
                      encoder_layer<&EncoderLayerWeights::mlp_norm, &NormWeights::gain>, dim::model_width),
    encoder_layer_row("model.encoder.layers.{}.final_layer_norm.bias",
                      encoder_layer<&EncoderLayerWeights::mlp_norm, &NormWeights::bias>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.self_attn.q_proj.weight", decoder_attention<&AttentionWeights::q>,
                      dim::decoder_query, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.self_attn.q_proj.bias", decoder_attention<&AttentionWeights::q_bias>,
                      dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.self_attn.k_proj.weight", decoder_attention<&AttentionWeights::k>,
                      dim::decoder_query, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.self_attn.k_proj.bias", decoder_attention<&AttentionWeights::k_bias>,
                      dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.self_attn.v_proj.weight", decoder_attention<&AttentionWeights::v>,
                      dim::decoder_query, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.self_attn.v_proj.bias", decoder_attention<&AttentionWeights::v_bias>,
                      dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.self_attn.out_proj.weight", decoder_attention<&AttentionWeights::o>,
                      dim::model_width, dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.self_attn.out_proj.bias", decoder_attention<&AttentionWeights::o_bias>,
                      dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.self_attn_layer_norm.weight",
                      decoder_layer<&DecoderLayerWeights::attention_norm, &NormWeights::gain>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.self_attn_layer_norm.bias",
                      decoder_layer<&DecoderLayerWeights::attention_norm, &NormWeights::bias>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.q_proj.weight", cross_attention<&AttentionWeights::q>,
                      dim::decoder_query, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.q_proj.bias", cross_attention<&AttentionWeights::q_bias>,
                      dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.k_proj.weight", cross_attention<&AttentionWeights::k>,
                      dim::decoder_query, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.k_proj.bias", cross_attention<&AttentionWeights::k_bias>,
                      dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.v_proj.weight", cross_attention<&AttentionWeights::v>,
                      dim::decoder_query, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.v_proj.bias", cross_attention<&AttentionWeights::v_bias>,
                      dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.out_proj.weight", cross_attention<&AttentionWeights::o>,
                      dim::model_width, dim::decoder_query),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn.out_proj.bias", cross_attention<&AttentionWeights::o_bias>,
                      dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn_layer_norm.weight",
                      decoder_layer<&DecoderLayerWeights::cross_norm, &NormWeights::gain>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.encoder_attn_layer_norm.bias",
                      decoder_layer<&DecoderLayerWeights::cross_norm, &NormWeights::bias>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.fc1.weight", decoder_mlp<&MlpWeights::up>, dim::decoder_intermediate,
                      dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.fc1.bias", decoder_mlp<&MlpWeights::up_bias>, dim::decoder_intermediate),
    decoder_layer_row("model.decoder.layers.{}.fc2.weight", decoder_mlp<&MlpWeights::down>, dim::model_width,
                      dim::decoder_intermediate),
    decoder_layer_row("model.decoder.layers.{}.fc2.bias", decoder_mlp<&MlpWeights::down_bias>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.final_layer_norm.weight",
                      decoder_layer<&DecoderLayerWeights::mlp_norm, &NormWeights::gain>, dim::model_width),
    decoder_layer_row("model.decoder.layers.{}.final_layer_norm.bias",
                      decoder_layer<&DecoderLayerWeights::mlp_norm, &NormWeights::bias>, dim::model_width),
});

/// A norm of each half, by the names of gain and bias.
constexpr std::array<Seq2SeqRow, 4> norms(std::string_view encoder_gain, std::string_view encoder_bias,
                                          Seq2SeqRow::Vector encoder_gains, Seq2SeqRow::Vector encoder_biases,
                                          std::string_view decoder_gain, std::string_view decoder_bias,
                                          Seq2SeqRow::Vector decoder_gains, Seq2SeqRow::Vector decoder_biases) {
  return {seq2seq_row(encoder_gain, encoder_gains, dim::model_width),
          seq2seq_row(encoder_bias, encoder_biases, dim::model_width),
          seq2seq_row(decoder_gain, decoder_gains, dim::model_width),
          seq2seq_row(decoder_bias, decoder_biases, dim::model_width)};
}

/// The norms of what enters the first layers.
inline constexpr auto embedding_norms =
    norms("model.encoder.layernorm_embedding.weight", "model.encoder.layernorm_embedding.bias",
          encoder<&EncoderWeights::embedding_norm, &NormWeights::gain>,
          encoder<&EncoderWeights::embedding_norm, &NormWeights::bias>, "model.decoder.layernorm_embedding.weight",
          "model.decoder.layernorm_embedding.bias", decoder<&DecoderWeights::embedding_norm, &NormWeights::gain>,
          decoder<&DecoderWeights::embedding_norm, &NormWeights::bias>);

/// The norms after the last layers.
inline constexpr auto final_norms = norms(
    "model.encoder.layer_norm.weight", "model.encoder.layer_norm.bias",
    encoder<&EncoderWeights::final_norm, &NormWeights::gain>, encoder<&EncoderWeights::final_norm, &NormWeights::bias>,
    "model.decoder.layer_norm.weight", "model.decoder.layer_norm.bias",
    decoder<&DecoderWeights::final_norm, &NormWeights::gain>, decoder<&DecoderWeights::final_norm, &NormWeights::bias>);

/// Tables of learned positions.
inline constexpr auto positions = std::to_array<Seq2SeqRow>({
    seq2seq_table("model.encoder.embed_positions.weight", encoder<&EncoderWeights::positions>, dim::encoder_positions,
                  dim::model_width),
    seq2seq_table("model.decoder.embed_positions.weight", decoder<&DecoderWeights::positions>, dim::decoder_positions,
                  dim::model_width),
});

/// What is added to logits, (1, vocab), which not all checkpoints have.
inline constexpr auto logits_bias = std::to_array<Seq2SeqRow>({{.name = "final_logits_bias",
                                                                .gguf = "",
                                                                .slot = decoder<&DecoderWeights::output_bias>,
                                                                .rows = dim::target_vocab,
                                                                .present = has::nothing,
                                                                .reshaped = true,
                                                                .with = "final_logits_bias"}});

}  // namespace bart_rows

inline constexpr auto bart_tensors = joined(bart_rows::tokens, bart_rows::positions, bart_rows::embedding_norms,
                                            bart_rows::layers, bart_rows::logits_bias);

// Options of fairseq that transformers reads in no version it can still load, and what follows from other keys.
inline constexpr auto bart_ignored_keys = joined(seq2seq_ignored_keys, std::to_array<std::string_view>({
                                                                           "normalize_before",
                                                                           "normalize_embedding",
                                                                           "add_final_layer_norm",
                                                                           "add_bias_logits",
                                                                           "static_position_embeddings",
                                                                           "extra_pos_embeddings",
                                                                           "force_bos_token_to_be_generated",
                                                                           "save_step",
                                                                       }));

// Tables of embeddings beside those that are read, positions that are computed, and what fairseq saved.
inline constexpr auto bart_ignored_tensors = std::to_array<std::string_view>(
    {"model.shared.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight",
     "model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight",
     "model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights", "model.encoder.version",
     "model.decoder.version", "final_logits_bias"});

/// BART (Lewis et al. 2020, arXiv:1910.13461; transformers, models/bart/modeling_bart.py).
inline constexpr Seq2SeqArchitecture bart{.model_type = "bart",
                                          .read_config = read_bart,
                                          .tensors = bart_tensors,
                                          .ignored_keys = bart_ignored_keys,
                                          .ignored_tensors = bart_ignored_tensors,
                                          .prefix = "model."};

}  // namespace weft::inline v0::arch
