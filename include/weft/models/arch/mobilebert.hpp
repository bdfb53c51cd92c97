#pragma once

#include <array>
#include <string_view>

#include <weft/models/arch/encoder_common.hpp>
#include <weft/models/arch/encoder_tensors.hpp>

namespace weft::inline v0 {

namespace dim {

inline std::size_t bottleneck(const EncoderConfig& c) { return c.bottleneck; }
inline std::size_t feed_forward(const EncoderConfig& c) { return c.feed_forward; }
inline std::size_t projected(const EncoderConfig& c) { return c.trigrams ? 3 * c.embedding : c.embedding; }
inline std::size_t valued(const EncoderConfig& c) {
  return c.bottleneck_form == BottleneckForm::query_key ? c.hidden : c.bottleneck;
}
inline std::size_t after_embedding(const EncoderConfig& c) { return c.hidden - c.embedding; }

}  // namespace dim

namespace arch {

/// Throws UnsupportedError for queries, keys and values that are all made of what is not narrowed: their weights, which
/// are as narrow as the bottleneck, do not fit.
inline BottleneckForm read_bottleneck_form(ConfigReader& config) {
  const bool any = config.flag_or("use_bottleneck", true);
  const bool query_key = config.flag_or("key_query_shared_bottleneck", true);
  const bool one = config.flag_or("use_bottleneck_attention", false);
  if (!any) return BottleneckForm::none;
  if (one) return BottleneckForm::one;
  if (!query_key)
    raise<UnsupportedError>(config.object().location(),
                            ": MobileBERT with neither key_query_shared_bottleneck nor use_bottleneck_attention is not "
                            "supported");
  return BottleneckForm::query_key;
}

inline EncoderConfig read_mobilebert(ConfigReader& config) {
  EncoderConfig c = read_encoder_sizes(config);
  c.norm_eps = read_eps_or(config, "layer_norm_eps", 1e-12f);
  c.activation = read_activation(config, "hidden_act");
  c.token_types = config.positive_or("type_vocab_size", 2);
  c.embedding = config.positive("embedding_size");
  c.projected_first = true;
  c.trigrams = config.flag_or("trigram_input", true);
  c.bottleneck_form = read_bottleneck_form(config);
  const std::size_t bottleneck = config.positive_or("intra_bottleneck_size", 128);
  c.bottleneck = c.bottleneck_form == BottleneckForm::none ? c.hidden : bottleneck;
  c.feed_forward = config.positive("num_feedforward_networks") - 1;
  c.plain_pooler = !config.flag_or("classifier_activation", true);
  c.masked_activation = head_activation_of(c.activation);
  c.modules = {.embedding = "mobilebert.embeddings", .layer = "mobilebert.encoder.layer.{}"};
  const std::string_view norm = config.text_or("normalization_type", "no_norm");
  if (norm != "no_norm" && norm != "layer_norm")
    raise<UnsupportedError>(config.object().location(), ": the normalization_type \"", norm,
                            "\" is not supported (no_norm and layer_norm are)");
  c.norm = norm == "no_norm" ? NormKind::scaled : NormKind::layer;
  c.outer_norm_eps = 1e-5f;  // in no config
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
inline bool bottleneck(const EncoderConfig& c, std::size_t) { return c.bottleneck_form != BottleneckForm::none; }
inline bool query_key(const EncoderConfig& c, std::size_t) { return c.bottleneck_form == BottleneckForm::query_key; }

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

/// A tensor into or out of a bottleneck.
constexpr EncoderRow bottleneck_row(std::string_view name, TaskNeeds present, EncoderSlot slot, EncoderRow::Extent rows,
                                    EncoderRow::Extent columns = nullptr) {
  return {.name = name, .gguf = "", .slot = slot, .rows = rows, .columns = columns, .present = present};
}

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
                dim::projected),
    encoder_row("mobilebert.embeddings.embedding_transformation.bias", in_encoder::projection_bias, dim::hidden),
    encoder_row("mobilebert.embeddings.LayerNorm.weight", in_encoder::embedding_norm, dim::hidden),
    encoder_row("mobilebert.embeddings.LayerNorm.bias", in_encoder::embedding_norm_bias, dim::hidden),
});

inline constexpr auto mobilebert_attention = std::to_array<EncoderRow>({
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.input.dense.weight", task::bottleneck,
                   in_encoder::bottleneck_weight<&BottleneckLayerWeights::input>, dim::bottleneck, dim::hidden),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.input.dense.bias", task::bottleneck,
                   in_encoder::bottleneck_bias<&BottleneckLayerWeights::input>, dim::bottleneck),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.input.LayerNorm.weight", task::bottleneck,
                   in_encoder::bottleneck_gain<&BottleneckLayerWeights::input>, dim::bottleneck),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.input.LayerNorm.bias", task::bottleneck,
                   in_encoder::bottleneck_shift<&BottleneckLayerWeights::input>, dim::bottleneck),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.attention.dense.weight", task::query_key,
                   in_encoder::bottleneck_weight<&BottleneckLayerWeights::query_key>, dim::bottleneck, dim::hidden),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.attention.dense.bias", task::query_key,
                   in_encoder::bottleneck_bias<&BottleneckLayerWeights::query_key>, dim::bottleneck),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.attention.LayerNorm.weight", task::query_key,
                   in_encoder::bottleneck_gain<&BottleneckLayerWeights::query_key>, dim::bottleneck),
    bottleneck_row("mobilebert.encoder.layer.{}.bottleneck.attention.LayerNorm.bias", task::query_key,
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
                in_encoder::narrow_attention<&AttentionWeights::v>, dim::key_value, dim::valued),
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
    bottleneck_row("mobilebert.encoder.layer.{}.output.bottleneck.dense.weight", task::bottleneck,
                   in_encoder::bottleneck_weight<&BottleneckLayerWeights::output>, dim::hidden, dim::bottleneck),
    bottleneck_row("mobilebert.encoder.layer.{}.output.bottleneck.dense.bias", task::bottleneck,
                   in_encoder::bottleneck_bias<&BottleneckLayerWeights::output>, dim::hidden),
    bottleneck_row("mobilebert.encoder.layer.{}.output.bottleneck.LayerNorm.weight", task::bottleneck,
                   in_encoder::bottleneck_gain<&BottleneckLayerWeights::output>, dim::hidden),
    bottleneck_row("mobilebert.encoder.layer.{}.output.bottleneck.LayerNorm.bias", task::bottleneck,
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

// Among them the bottleneck of queries and keys, which a model may hold although it uses the other for all.
inline constexpr auto mobilebert_ignored_tensors = std::to_array<std::string_view>(
    {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "mobilebert.embeddings.position_ids",
     "mobilebert.encoder.layer.{}.bottleneck.attention.dense.weight",
     "mobilebert.encoder.layer.{}.bottleneck.attention.dense.bias",
     "mobilebert.encoder.layer.{}.bottleneck.attention.LayerNorm.weight",
     "mobilebert.encoder.layer.{}.bottleneck.attention.LayerNorm.bias"});

/// MobileBERT (Sun et al. 2020, arXiv:2004.02984; transformers, models/mobilebert/modeling_mobilebert.py).
inline constexpr EncoderArchitecture mobilebert{.model_type = "mobilebert",
                                                .read_config = read_mobilebert,
                                                .tensors = mobilebert_tensors,
                                                .ignored_keys = mobilebert_ignored_keys,
                                                .ignored_tensors = mobilebert_ignored_tensors,
                                                .prefix = "mobilebert."};

}  // namespace arch
}  // namespace weft::inline v0
