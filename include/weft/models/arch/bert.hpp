#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0::arch {

/// What configs of BERT, RoBERTa and ELECTRA have in common.
inline EncoderConfig read_bert_sizes(ConfigReader& config) {
  EncoderConfig c = read_encoder_sizes(config);
  c.norm_eps = read_eps_or(config, "layer_norm_eps", 1e-12f);
  c.activation = read_activation(config, "hidden_act");
  c.token_types = config.count_or("type_vocab_size", 2);
  return c;
}

inline EncoderConfig read_bert(ConfigReader& config) {
  EncoderConfig c = read_bert_sizes(config);
  c.masked_activation = head_activation_of(c.activation);
  return c;
}

inline bool has_token_types(const EncoderConfig& c, std::size_t) { return c.token_types != 0; }

/// The model without its heads, which RoBERTa and ELECTRA have under another prefix.
inline constexpr auto bert_layers = std::to_array<EncoderRow>({
    in_gguf("token_embd.weight",
            lookup_row("bert.embeddings.word_embeddings.weight", in_encoder::embedding, dim::vocab, dim::embedding)),
    in_gguf("position_embd.weight", lookup_row("bert.embeddings.position_embeddings.weight", in_encoder::positions,
                                               dim::position_rows, dim::embedding)),
    in_gguf("token_types.weight", lookup_row("bert.embeddings.token_type_embeddings.weight", in_encoder::token_types,
                                             dim::token_types, dim::embedding, has_token_types)),
    in_gguf("token_embd_norm.weight",
            encoder_row("bert.embeddings.LayerNorm.weight", in_encoder::embedding_norm, dim::embedding)),
    in_gguf("token_embd_norm.bias",
            encoder_row("bert.embeddings.LayerNorm.bias", in_encoder::embedding_norm_bias, dim::embedding)),
    in_gguf("blk.{}.attn_q.weight",
            encoder_row("bert.encoder.layer.{}.attention.self.query.weight", in_encoder::q, dim::query, dim::hidden)),
    in_gguf("blk.{}.attn_q.bias",
            encoder_row("bert.encoder.layer.{}.attention.self.query.bias", in_encoder::q_bias, dim::query)),
    in_gguf("blk.{}.attn_k.weight",
            encoder_row("bert.encoder.layer.{}.attention.self.key.weight", in_encoder::k, dim::key_value, dim::hidden)),
    in_gguf("blk.{}.attn_k.bias",
            encoder_row("bert.encoder.layer.{}.attention.self.key.bias", in_encoder::k_bias, dim::key_value)),
    in_gguf("blk.{}.attn_v.weight", encoder_row("bert.encoder.layer.{}.attention.self.value.weight", in_encoder::v,
                                                dim::key_value, dim::hidden)),
    in_gguf("blk.{}.attn_v.bias",
            encoder_row("bert.encoder.layer.{}.attention.self.value.bias", in_encoder::v_bias, dim::key_value)),
    in_gguf("blk.{}.attn_output.weight",
            encoder_row("bert.encoder.layer.{}.attention.output.dense.weight", in_encoder::o, dim::hidden, dim::query)),
    in_gguf("blk.{}.attn_output.bias",
            encoder_row("bert.encoder.layer.{}.attention.output.dense.bias", in_encoder::o_bias, dim::hidden)),
    in_gguf("blk.{}.attn_output_norm.weight", encoder_row("bert.encoder.layer.{}.attention.output.LayerNorm.weight",
                                                          in_encoder::attention_norm, dim::hidden)),
    in_gguf("blk.{}.attn_output_norm.bias", encoder_row("bert.encoder.layer.{}.attention.output.LayerNorm.bias",
                                                        in_encoder::attention_norm_bias, dim::hidden)),
    in_gguf("blk.{}.ffn_up.weight", encoder_row("bert.encoder.layer.{}.intermediate.dense.weight", in_encoder::up,
                                                dim::intermediate, dim::hidden)),
    in_gguf("blk.{}.ffn_up.bias",
            encoder_row("bert.encoder.layer.{}.intermediate.dense.bias", in_encoder::up_bias, dim::intermediate)),
    in_gguf("blk.{}.ffn_down.weight",
            encoder_row("bert.encoder.layer.{}.output.dense.weight", in_encoder::down, dim::hidden, dim::intermediate)),
    in_gguf("blk.{}.ffn_down.bias",
            encoder_row("bert.encoder.layer.{}.output.dense.bias", in_encoder::down_bias, dim::hidden)),
    in_gguf("blk.{}.layer_output_norm.weight",
            encoder_row("bert.encoder.layer.{}.output.LayerNorm.weight", in_encoder::mlp_norm, dim::hidden)),
    in_gguf("blk.{}.layer_output_norm.bias",
            encoder_row("bert.encoder.layer.{}.output.LayerNorm.bias", in_encoder::mlp_norm_bias, dim::hidden)),
});

/// The pooler, which a task may need.
constexpr std::array<EncoderRow, 2> bert_pooler(TaskNeeds needs) {
  return head_rows(needs, true, "bert.pooler.dense.weight", "bert.pooler.dense.bias", in_encoder::pooler,
                   in_encoder::pooler_bias, dim::hidden);
}

/// The head of RoBERTa's classifiers, which is BERT in GGUF files and there alone.
inline constexpr auto gguf_classes_rows = dense_classes("", "", "", "");

inline constexpr auto bert_tensors =
    joined(bert_layers, bert_pooler(task::pooler), pooled_classes_rows, gguf_classes_rows, token_head_rows,
           masked_word_rows(task::masked_word, {.embedding = "bert.embeddings.word_embeddings.weight",
                                                .dense = "cls.predictions.transform.dense.weight",
                                                .dense_bias = "cls.predictions.transform.dense.bias",
                                                .norm = "cls.predictions.transform.LayerNorm.weight",
                                                .norm_bias = "cls.predictions.transform.LayerNorm.bias",
                                                .bias = "cls.predictions.bias"}),
           head_rows(task::next_sentence, true, "cls.seq_relationship.weight", "cls.seq_relationship.bias",
                     in_encoder::next_sentence, in_encoder::next_sentence_bias, dim::two));

inline constexpr auto bert_ignored_keys = joined(encoder_ignored_keys, std::to_array<std::string_view>({
                                                                           "emb_size",  // of TinyBERT: hidden_size
                                                                       }));

// The decoder of masked words, which is the embedding, a buffer that older versions of transformers saved, and what
// TinyBERT compared its layers with its teacher's by.
inline constexpr auto bert_ignored_tensors = std::to_array<std::string_view>({
    "cls.predictions.decoder.weight",
    "cls.predictions.decoder.bias",
    "bert.embeddings.position_ids",
    "fit_dense.weight",
    "fit_dense.bias",
    "fit_denses.{}.weight",
    "fit_denses.{}.bias",
});

/// BERT (Devlin et al. 2019, arXiv:1810.04805; transformers, models/bert/modeling_bert.py) and what shares its graph:
/// MiniLM, BGE, E5, GTE, TinyBERT.
inline constexpr EncoderArchitecture bert{.model_type = "bert",
                                          .read_config = read_bert,
                                          .tensors = bert_tensors,
                                          .ignored_keys = bert_ignored_keys,
                                          .ignored_tensors = bert_ignored_tensors,
                                          .prefix = "bert."};

}  // namespace weft::inline v0::arch
