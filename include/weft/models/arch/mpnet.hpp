#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>
#include <weft/models/arch/roberta.hpp>

namespace weft::inline v0::arch {

inline EncoderConfig read_mpnet(ConfigReader& config) {
  EncoderConfig c = read_encoder_sizes(config);
  c.norm_eps = read_eps_or(config, "layer_norm_eps", 1e-12f);
  c.activation = read_activation(config, "hidden_act");
  read_positions_after_padding(config, c, 1);  // of the code, whatever pad_token_id is
  c.relative_bias = true;
  if (config.positive_or("relative_attention_num_buckets", c.buckets.buckets) != c.buckets.buckets)
    raise<UnsupportedError>(config.object().location(), ": relative_attention_num_buckets other than ",
                            c.buckets.buckets, " is not supported");
  c.modules = {.embedding = "mpnet.embeddings",
               .layer = "mpnet.encoder.layer.{}",
               .attention = "attention.attn",
               .mlp = "output.dense"};
  return c;
}

inline constexpr auto mpnet_layers = std::to_array<EncoderRow>({
    lookup_row("mpnet.embeddings.word_embeddings.weight", in_encoder::embedding, dim::vocab, dim::embedding),
    lookup_row("mpnet.embeddings.position_embeddings.weight", in_encoder::positions, dim::position_rows,
               dim::embedding),
    encoder_row("mpnet.embeddings.LayerNorm.weight", in_encoder::embedding_norm, dim::embedding),
    encoder_row("mpnet.embeddings.LayerNorm.bias", in_encoder::embedding_norm_bias, dim::embedding),
    lookup_row("mpnet.encoder.relative_attention_bias.weight", in_encoder::relative_bias, dim::buckets, dim::heads),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.q.weight", in_encoder::q, dim::query, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.q.bias", in_encoder::q_bias, dim::query),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.k.weight", in_encoder::k, dim::key_value, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.k.bias", in_encoder::k_bias, dim::key_value),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.v.weight", in_encoder::v, dim::key_value, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.v.bias", in_encoder::v_bias, dim::key_value),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.o.weight", in_encoder::o, dim::hidden, dim::query),
    encoder_row("mpnet.encoder.layer.{}.attention.attn.o.bias", in_encoder::o_bias, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.attention.LayerNorm.weight", in_encoder::attention_norm, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.attention.LayerNorm.bias", in_encoder::attention_norm_bias, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.intermediate.dense.weight", in_encoder::up, dim::intermediate, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.intermediate.dense.bias", in_encoder::up_bias, dim::intermediate),
    encoder_row("mpnet.encoder.layer.{}.output.dense.weight", in_encoder::down, dim::hidden, dim::intermediate),
    encoder_row("mpnet.encoder.layer.{}.output.dense.bias", in_encoder::down_bias, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.output.LayerNorm.weight", in_encoder::mlp_norm, dim::hidden),
    encoder_row("mpnet.encoder.layer.{}.output.LayerNorm.bias", in_encoder::mlp_norm_bias, dim::hidden),
});

inline constexpr auto mpnet_tensors =
    joined(mpnet_layers,
           head_rows(task::none, true, "mpnet.pooler.dense.weight", "mpnet.pooler.dense.bias", in_encoder::pooler,
                     in_encoder::pooler_bias, dim::hidden),
           dense_classes_rows, token_head_rows, lm_head_rows("mpnet.embeddings.word_embeddings.weight"));

inline constexpr auto mpnet_ignored_tensors = std::to_array<std::string_view>(
    {"lm_head.decoder.weight", "lm_head.decoder.bias", "mpnet.embeddings.position_ids"});

/// MPNet (Song et al. 2020, arXiv:2004.09297; transformers, models/mpnet/modeling_mpnet.py): scores are biased by
/// buckets of distances.
inline constexpr EncoderArchitecture mpnet{.model_type = "mpnet",
                                           .read_config = read_mpnet,
                                           .tensors = mpnet_tensors,
                                           .ignored_keys = encoder_ignored_keys,
                                           .ignored_tensors = mpnet_ignored_tensors,
                                           .prefix = "mpnet."};

}  // namespace weft::inline v0::arch
