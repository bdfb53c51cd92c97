#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0 {

namespace dim {

inline std::size_t bottleneck(const EncoderConfig& c) { return c.bottleneck; }
inline std::size_t feed_forward(const EncoderConfig& c) { return c.feed_forward; }
inline std::size_t trigram(const EncoderConfig& c) { return 3 * c.embedding; }
inline std::size_t after_embedding(const EncoderConfig& c) { return c.hidden - c.embedding; }

}  // namespace dim

namespace arch {

inline EncoderConfig read_mobilebert(ConfigReader& config) {
  EncoderConfig c = read_encoder_sizes(config);
  c.norm_eps = read_eps_or(config, "layer_norm_eps", 1e-12f);
  c.activation = read_activation(config, "hidden_act");
  c.token_types = config.positive_or("type_vocab_size", 2);
  c.embedding = config.positive("embedding_size");
  c.trigrams = true;
  c.bottleneck = config.positive("intra_bottleneck_size");
  c.feed_forward = config.positive("num_feedforward_networks") - 1;
  c.plain_pooler = !config.flag_or("classifier_activation", true);
  c.masked_activation = head_activation_of(c.activation);
  c.modules = {.embedding = "mobilebert.embeddings", .layer = "mobilebert.encoder.layer.{}"};
  const bool usual = config.flag_or("trigram_input", true) && config.flag_or("use_bottleneck", true) &&
                     config.flag_or("key_query_shared_bottleneck", true) &&
                     !config.flag_or("use_bottleneck_attention", false) &&
                     config.text_or("normalization_type", "no_norm") == "no_norm";
  if (!usual)
    raise<UnsupportedError>(config.object().location(),
                            ": MobileBERT with another trigram_input, use_bottleneck, key_query_shared_bottleneck, "
                            "use_bottleneck_attention or normalization_type than the published "
                            "model is not supported");
  if (c.bottleneck % c.heads != 0)
    raise<ConfigError>(config.object().location(), ": intra_bottleneck_size ", c.bottleneck,
                       " is not a multiple of num_attention_heads ", c.heads);
  c.head_dim = c.bottleneck / c.heads;
  if (c.embedding >= c.hidden)
    raise<ConfigError>(config.object().location(), ": embedding_size ", c.embedding, " is not below hidden_size ",
                       c.hidden);
  return c;
}

namespace task {

inline bool dense_pooler(const EncoderConfig& c, std::size_t layer) { return !c.plain_pooler && pooler(c, layer); }

}  // namespace task

namespace in_encoder {

template <auto... Members>
inline constexpr auto in_bottleneck = slot<&EncoderWeights::bottleneck_layers, Members...>;
template <auto Member>
inline constexpr auto bottleneck_weight = in_bottleneck<Member, &BottleneckWeights::weight>;
template <auto Member>
inline constexpr auto bottleneck_bias = in_bottleneck<Member, &BottleneckWeights::bias>;
template <auto Member>
inline constexpr auto bottleneck_gain = in_bottleneck<Member, &BottleneckWeights::norm, &NormWeights::gain>;
template <auto Member>
inline constexpr auto bottleneck_shift = in_bottleneck<Member, &BottleneckWeights::norm, &NormWeights::bias>;
template <auto Member>
inline constexpr auto narrow_attention = in_bottleneck<&BottleneckLayerWeights::attention, Member>;
template <auto Part, auto Member>
inline constexpr auto narrow_mlp = in_bottleneck<Part, &NormedMlpWeights::mlp, Member>;
template <auto Part, auto Member>
inline constexpr auto narrow_mlp_norm = in_bottleneck<Part, &NormedMlpWeights::norm, Member>;

}  // namespace in_encoder

/// One of the feed-forward layers before the last.
constexpr EncoderRow feed_forward_row(std::string_view name, EncoderSlot slot, EncoderRow::Extent rows,
                                      EncoderRow::Extent columns = nullptr) {
  return {.name = name, .gguf = "", .slot = slot, .rows = rows, .columns = columns, .experts = dim::feed_forward};
}

inline constexpr auto mobilebert_embeddings = std::to_array<EncoderRow>({
    lookup_row("mobilebert.embeddings.word_embeddings.weight", in_encoder::embedding, dim::vocab, dim::embedding),
    lookup_row("mobilebert.embeddings.position_embeddings.weight", in_encoder::positions, dim::position_rows,
               dim::hidden),
    lookup_row("mobilebert.embeddings.token_type_embeddings.weight", in_encoder::token_types, dim::token_types,
               dim::hidden),
    encoder_row("mobilebert.embeddings.embedding_transformation.weight", in_encoder::projection, dim::hidden,
                dim::trigram),
    encoder_row("mobilebert.embeddings.embedding_transformation.bias", in_encoder::projection_bias, dim::hidden),
    encoder_row("mobilebert.embeddings.LayerNorm.weight", in_encoder::embedding_norm, dim::hidden),
    encoder_row("mobilebert.embeddings.LayerNorm.bias", in_encoder::embedding_norm_bias, dim::hidden),
});

inline constexpr auto mobilebert_attention = std::to_array<EncoderRow>({
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.input.dense.weight",
                in_encoder::bottleneck_weight<&BottleneckLayerWeights::input>, dim::bottleneck, dim::hidden),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.input.dense.bias",
                in_encoder::bottleneck_bias<&BottleneckLayerWeights::input>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.input.LayerNorm.weight",
                in_encoder::bottleneck_gain<&BottleneckLayerWeights::input>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.input.LayerNorm.bias",
                in_encoder::bottleneck_shift<&BottleneckLayerWeights::input>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.attention.dense.weight",
                in_encoder::bottleneck_weight<&BottleneckLayerWeights::query_key>, dim::bottleneck, dim::hidden),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.attention.dense.bias",
                in_encoder::bottleneck_bias<&BottleneckLayerWeights::query_key>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.attention.LayerNorm.weight",
                in_encoder::bottleneck_gain<&BottleneckLayerWeights::query_key>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.bottleneck.attention.LayerNorm.bias",
                in_encoder::bottleneck_shift<&BottleneckLayerWeights::query_key>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.attention.self.query.weight",
                in_encoder::narrow_attention<&AttentionWeights::q>, dim::query, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.attention.self.query.bias",
                in_encoder::narrow_attention<&AttentionWeights::q_bias>, dim::query),
    encoder_row("mobilebert.encoder.layer.{}.attention.self.key.weight",
                in_encoder::narrow_attention<&AttentionWeights::k>, dim::key_value, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.attention.self.key.bias",
                in_encoder::narrow_attention<&AttentionWeights::k_bias>, dim::key_value),
    encoder_row("mobilebert.encoder.layer.{}.attention.self.value.weight",
                in_encoder::narrow_attention<&AttentionWeights::v>, dim::key_value, dim::hidden),
    encoder_row("mobilebert.encoder.layer.{}.attention.self.value.bias",
                in_encoder::narrow_attention<&AttentionWeights::v_bias>, dim::key_value),
    encoder_row("mobilebert.encoder.layer.{}.attention.output.dense.weight",
                in_encoder::narrow_attention<&AttentionWeights::o>, dim::bottleneck, dim::query),
    encoder_row("mobilebert.encoder.layer.{}.attention.output.dense.bias",
                in_encoder::narrow_attention<&AttentionWeights::o_bias>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.attention.output.LayerNorm.weight",
                in_encoder::in_bottleneck<&BottleneckLayerWeights::attention_norm, &NormWeights::gain>,
                dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.attention.output.LayerNorm.bias",
                in_encoder::in_bottleneck<&BottleneckLayerWeights::attention_norm, &NormWeights::bias>,
                dim::bottleneck),
});

inline constexpr auto mobilebert_mlp = std::to_array<EncoderRow>({
    feed_forward_row("mobilebert.encoder.layer.{}.ffn.{}.intermediate.dense.weight",
                     in_encoder::narrow_mlp<&BottleneckLayerWeights::feed_forward, &MlpWeights::up>, dim::intermediate,
                     dim::bottleneck),
    feed_forward_row("mobilebert.encoder.layer.{}.ffn.{}.intermediate.dense.bias",
                     in_encoder::narrow_mlp<&BottleneckLayerWeights::feed_forward, &MlpWeights::up_bias>,
                     dim::intermediate),
    feed_forward_row("mobilebert.encoder.layer.{}.ffn.{}.output.dense.weight",
                     in_encoder::narrow_mlp<&BottleneckLayerWeights::feed_forward, &MlpWeights::down>, dim::bottleneck,
                     dim::intermediate),
    feed_forward_row("mobilebert.encoder.layer.{}.ffn.{}.output.dense.bias",
                     in_encoder::narrow_mlp<&BottleneckLayerWeights::feed_forward, &MlpWeights::down_bias>,
                     dim::bottleneck),
    feed_forward_row("mobilebert.encoder.layer.{}.ffn.{}.output.LayerNorm.weight",
                     in_encoder::narrow_mlp_norm<&BottleneckLayerWeights::feed_forward, &NormWeights::gain>,
                     dim::bottleneck),
    feed_forward_row("mobilebert.encoder.layer.{}.ffn.{}.output.LayerNorm.bias",
                     in_encoder::narrow_mlp_norm<&BottleneckLayerWeights::feed_forward, &NormWeights::bias>,
                     dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.intermediate.dense.weight",
                in_encoder::narrow_mlp<&BottleneckLayerWeights::last, &MlpWeights::up>, dim::intermediate,
                dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.intermediate.dense.bias",
                in_encoder::narrow_mlp<&BottleneckLayerWeights::last, &MlpWeights::up_bias>, dim::intermediate),
    encoder_row("mobilebert.encoder.layer.{}.output.dense.weight",
                in_encoder::narrow_mlp<&BottleneckLayerWeights::last, &MlpWeights::down>, dim::bottleneck,
                dim::intermediate),
    encoder_row("mobilebert.encoder.layer.{}.output.dense.bias",
                in_encoder::narrow_mlp<&BottleneckLayerWeights::last, &MlpWeights::down_bias>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.output.LayerNorm.weight",
                in_encoder::narrow_mlp_norm<&BottleneckLayerWeights::last, &NormWeights::gain>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.output.LayerNorm.bias",
                in_encoder::narrow_mlp_norm<&BottleneckLayerWeights::last, &NormWeights::bias>, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.output.bottleneck.dense.weight",
                in_encoder::bottleneck_weight<&BottleneckLayerWeights::output>, dim::hidden, dim::bottleneck),
    encoder_row("mobilebert.encoder.layer.{}.output.bottleneck.dense.bias",
                in_encoder::bottleneck_bias<&BottleneckLayerWeights::output>, dim::hidden),
    encoder_row("mobilebert.encoder.layer.{}.output.bottleneck.LayerNorm.weight",
                in_encoder::bottleneck_gain<&BottleneckLayerWeights::output>, dim::hidden),
    encoder_row("mobilebert.encoder.layer.{}.output.bottleneck.LayerNorm.bias",
                in_encoder::bottleneck_shift<&BottleneckLayerWeights::output>, dim::hidden),
});

inline constexpr auto mobilebert_heads =
    joined(head_rows(task::dense_pooler, true, "mobilebert.pooler.dense.weight", "mobilebert.pooler.dense.bias",
                     in_encoder::pooler, in_encoder::pooler_bias, dim::hidden),
           pooled_classes_rows, token_head_rows,
           masked_word_rows(task::masked_word, {.embedding = "mobilebert.embeddings.word_embeddings.weight",
                                                .dense = "cls.predictions.transform.dense.weight",
                                                .dense_bias = "cls.predictions.transform.dense.bias",
                                                .norm = "cls.predictions.transform.LayerNorm.weight",
                                                .norm_bias = "cls.predictions.transform.LayerNorm.bias",
                                                .bias = "cls.predictions.bias",
                                                .width = dim::hidden}),
           std::to_array<EncoderRow>({{.name = "cls.predictions.dense.weight",
                                       .gguf = "",
                                       .slot = in_encoder::in_masked<&MaskedWordHead::rest>,
                                       .rows = dim::vocab,
                                       .columns = dim::after_embedding,
                                       .present = task::masked_word,
                                       .transposed = true,
                                       .with = "cls.predictions.bias"}}),
           head_rows(task::next_sentence, true, "cls.seq_relationship.weight", "cls.seq_relationship.bias",
                     in_encoder::next_sentence, in_encoder::next_sentence_bias, dim::two));

inline constexpr auto mobilebert_tensors =
    joined(mobilebert_embeddings, mobilebert_attention, mobilebert_mlp, mobilebert_heads);

inline constexpr auto mobilebert_ignored_keys =
    joined(encoder_ignored_keys, std::to_array<std::string_view>({"true_hidden_size"}));

inline constexpr auto mobilebert_ignored_tensors = std::to_array<std::string_view>(
    {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "mobilebert.embeddings.position_ids"});

/// MobileBERT (Sun et al. 2020, arXiv:2004.02984; transformers, models/mobilebert/modeling_mobilebert.py).
inline constexpr EncoderArchitecture mobilebert{.model_type = "mobilebert",
                                                .read_config = read_mobilebert,
                                                .tensors = mobilebert_tensors,
                                                .ignored_keys = mobilebert_ignored_keys,
                                                .ignored_tensors = mobilebert_ignored_tensors,
                                                .prefix = "mobilebert."};

}  // namespace arch
}  // namespace weft::inline v0
