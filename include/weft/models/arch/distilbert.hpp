#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0::arch {

inline EncoderConfig read_distilbert(ConfigReader& config) {
  EncoderConfig c = read_encoder_sizes(
      config, {.hidden = "dim", .intermediate = "hidden_dim", .layers = "n_layers", .heads = "n_heads"});
  c.norm_eps = 1e-12f;  // of the code, not of the config
  c.activation = read_activation(config, "activation");
  c.pooler_activation = HeadActivation::relu;
  c.masked_activation = head_activation_of(c.activation);
  c.modules = {.embedding = "distilbert.embeddings",
               .layer = "distilbert.transformer.layer.{}",
               .attention = "attention",
               .mlp = "ffn"};
  return c;
}

inline constexpr auto distilbert_layers = std::to_array<EncoderRow>({
    in_gguf("token_embd.weight", lookup_row("distilbert.embeddings.word_embeddings.weight", in_encoder::embedding,
                                            dim::vocab, dim::embedding)),
    in_gguf("position_embd.weight", lookup_row("distilbert.embeddings.position_embeddings.weight",
                                               in_encoder::positions, dim::position_rows, dim::embedding)),
    in_gguf("token_embd_norm.weight",
            encoder_row("distilbert.embeddings.LayerNorm.weight", in_encoder::embedding_norm, dim::embedding)),
    in_gguf("token_embd_norm.bias",
            encoder_row("distilbert.embeddings.LayerNorm.bias", in_encoder::embedding_norm_bias, dim::embedding)),
    in_gguf("blk.{}.attn_q.weight", encoder_row("distilbert.transformer.layer.{}.attention.q_lin.weight", in_encoder::q,
                                                dim::query, dim::hidden)),
    in_gguf("blk.{}.attn_q.bias",
            encoder_row("distilbert.transformer.layer.{}.attention.q_lin.bias", in_encoder::q_bias, dim::query)),
    in_gguf("blk.{}.attn_k.weight", encoder_row("distilbert.transformer.layer.{}.attention.k_lin.weight", in_encoder::k,
                                                dim::key_value, dim::hidden)),
    in_gguf("blk.{}.attn_k.bias",
            encoder_row("distilbert.transformer.layer.{}.attention.k_lin.bias", in_encoder::k_bias, dim::key_value)),
    in_gguf("blk.{}.attn_v.weight", encoder_row("distilbert.transformer.layer.{}.attention.v_lin.weight", in_encoder::v,
                                                dim::key_value, dim::hidden)),
    in_gguf("blk.{}.attn_v.bias",
            encoder_row("distilbert.transformer.layer.{}.attention.v_lin.bias", in_encoder::v_bias, dim::key_value)),
    in_gguf("blk.{}.attn_output.weight", encoder_row("distilbert.transformer.layer.{}.attention.out_lin.weight",
                                                     in_encoder::o, dim::hidden, dim::query)),
    in_gguf("blk.{}.attn_output.bias",
            encoder_row("distilbert.transformer.layer.{}.attention.out_lin.bias", in_encoder::o_bias, dim::hidden)),
    in_gguf("blk.{}.attn_output_norm.weight", encoder_row("distilbert.transformer.layer.{}.sa_layer_norm.weight",
                                                          in_encoder::attention_norm, dim::hidden)),
    in_gguf("blk.{}.attn_output_norm.bias", encoder_row("distilbert.transformer.layer.{}.sa_layer_norm.bias",
                                                        in_encoder::attention_norm_bias, dim::hidden)),
    in_gguf("blk.{}.ffn_up.weight", encoder_row("distilbert.transformer.layer.{}.ffn.lin1.weight", in_encoder::up,
                                                dim::intermediate, dim::hidden)),
    in_gguf("blk.{}.ffn_up.bias",
            encoder_row("distilbert.transformer.layer.{}.ffn.lin1.bias", in_encoder::up_bias, dim::intermediate)),
    in_gguf("blk.{}.ffn_down.weight", encoder_row("distilbert.transformer.layer.{}.ffn.lin2.weight", in_encoder::down,
                                                  dim::hidden, dim::intermediate)),
    in_gguf("blk.{}.ffn_down.bias",
            encoder_row("distilbert.transformer.layer.{}.ffn.lin2.bias", in_encoder::down_bias, dim::hidden)),
    in_gguf("blk.{}.layer_output_norm.weight",
            encoder_row("distilbert.transformer.layer.{}.output_layer_norm.weight", in_encoder::mlp_norm, dim::hidden)),
    in_gguf("blk.{}.layer_output_norm.bias", encoder_row("distilbert.transformer.layer.{}.output_layer_norm.bias",
                                                         in_encoder::mlp_norm_bias, dim::hidden)),
});

inline constexpr auto distilbert_tensors =
    joined(distilbert_layers, pooled_classes_rows, token_head_rows,
           head_rows(task::sequences, false, "pre_classifier.weight", "pre_classifier.bias", in_encoder::sequence_dense,
                     in_encoder::sequence_dense_bias, dim::hidden),
           masked_word_rows(task::masked_word, {.embedding = "distilbert.embeddings.word_embeddings.weight",
                                                .dense = "vocab_transform.weight",
                                                .dense_bias = "vocab_transform.bias",
                                                .norm = "vocab_layer_norm.weight",
                                                .norm_bias = "vocab_layer_norm.bias",
                                                .bias = "vocab_projector.bias"}));

inline constexpr auto distilbert_ignored_keys =
    joined(encoder_ignored_keys, std::to_array<std::string_view>({
                                     "qa_dropout",
                                     "seq_classif_dropout",
                                     "sinusoidal_pos_embds",  // how the table of positions was made
                                     "tie_weights_",
                                 }));

inline constexpr auto distilbert_ignored_tensors =
    std::to_array<std::string_view>({"vocab_projector.weight", "distilbert.embeddings.position_ids"});

/// DistilBERT (Sanh et al. 2019, arXiv:1910.01108; transformers, models/distilbert/modeling_distilbert.py): no
/// segments, no pooler.
inline constexpr EncoderArchitecture distilbert{.model_type = "distilbert",
                                                .read_config = read_distilbert,
                                                .tensors = distilbert_tensors,
                                                .ignored_keys = distilbert_ignored_keys,
                                                .ignored_tensors = distilbert_ignored_tensors,
                                                .prefix = "distilbert."};

}  // namespace weft::inline v0::arch
