#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <variant>

#include <weft/models/arch/common.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/seq2seq_weights.hpp>

// What encoder-decoders have in common: parts of config.json, extents, slots, rows.
namespace weft::inline v0 {

namespace dim {

inline std::size_t source_vocab(const Seq2SeqConfig& c) { return c.encoder.vocab; }
inline std::size_t target_vocab(const Seq2SeqConfig& c) { return c.decoder.vocab; }
inline std::size_t model_width(const Seq2SeqConfig& c) { return c.encoder.hidden; }
inline std::size_t encoder_layers(const Seq2SeqConfig& c) { return c.encoder.layers; }
inline std::size_t encoder_query(const Seq2SeqConfig& c) { return c.encoder.query(); }
inline std::size_t encoder_intermediate(const Seq2SeqConfig& c) { return c.encoder.intermediate; }
inline std::size_t encoder_heads(const Seq2SeqConfig& c) { return c.encoder.heads; }
inline std::size_t encoder_buckets(const Seq2SeqConfig& c) { return c.encoder.buckets.buckets; }
inline std::size_t encoder_positions(const Seq2SeqConfig& c) { return c.encoder.position_rows; }
inline std::size_t decoder_layers(const Seq2SeqConfig& c) { return c.decoder.layers; }
inline std::size_t decoder_query(const Seq2SeqConfig& c) { return c.decoder.query(); }
inline std::size_t decoder_intermediate(const Seq2SeqConfig& c) { return c.decoder.intermediate; }
inline std::size_t decoder_heads(const Seq2SeqConfig& c) { return c.decoder.heads; }
inline std::size_t decoder_buckets(const Seq2SeqConfig& c) { return c.decoder.buckets.buckets; }
inline std::size_t decoder_positions(const Seq2SeqConfig& c) { return c.decoder.position_rows; }

}  // namespace dim

namespace arch {
namespace in_seq2seq {

template <auto... Members>
inline constexpr auto encoder = slot<&Seq2SeqWeights::encoder, Members...>;
template <auto... Members>
inline constexpr auto decoder = slot<&Seq2SeqWeights::decoder, Members...>;
template <auto... Members>
inline constexpr auto encoder_layer = encoder<&EncoderWeights::layers, Members...>;
template <auto... Members>
inline constexpr auto decoder_layer = decoder<&DecoderWeights::layers, Members...>;
template <auto Member>
inline constexpr auto encoder_attention = encoder_layer<&EncoderLayerWeights::attention, Member>;
template <auto Member>
inline constexpr auto encoder_mlp = encoder_layer<&EncoderLayerWeights::mlp, Member>;
template <auto Member>
inline constexpr auto decoder_attention = decoder_layer<&DecoderLayerWeights::attention, Member>;
template <auto Member>
inline constexpr auto cross_attention = decoder_layer<&DecoderLayerWeights::cross, Member>;
template <auto Member>
inline constexpr auto decoder_mlp = decoder_layer<&DecoderLayerWeights::mlp, Member>;

}  // namespace in_seq2seq

using Seq2SeqSlot = std::variant<Seq2SeqRow::Matrix, Seq2SeqRow::Vector>;
using Seq2SeqHas = bool (*)(const Seq2SeqConfig&, std::size_t);

namespace has {

inline bool one_embedding(const Seq2SeqConfig& c, std::size_t) { return c.shared_embedding; }
inline bool two_embeddings(const Seq2SeqConfig& c, std::size_t) { return !c.shared_embedding; }
inline bool head_is_shared(const Seq2SeqConfig& c, std::size_t) {
  return c.decoder.tied_embeddings && c.shared_embedding;
}
inline bool head_is_decoders(const Seq2SeqConfig& c, std::size_t) {
  return c.decoder.tied_embeddings && !c.shared_embedding;
}
inline bool own_head(const Seq2SeqConfig& c, std::size_t) { return !c.decoder.tied_embeddings; }
inline bool nothing(const Seq2SeqConfig&, std::size_t) { return false; }

}  // namespace has

/// A tensor that there is once.
constexpr Seq2SeqRow seq2seq_row(std::string_view name, Seq2SeqSlot slot, Seq2SeqRow::Extent rows,
                                 Seq2SeqRow::Extent columns = nullptr, Seq2SeqHas present = nullptr) {
  return {.name = name, .gguf = "", .slot = slot, .rows = rows, .columns = columns, .present = present};
}

/// A table whose rows are looked up, which another row may read as well.
constexpr Seq2SeqRow seq2seq_table(std::string_view name, Seq2SeqSlot slot, Seq2SeqRow::Extent rows,
                                   Seq2SeqRow::Extent columns, Seq2SeqHas present = nullptr, bool repeated = false) {
  Seq2SeqRow row = seq2seq_row(name, slot, rows, columns, present);
  row.lookup = true;
  row.repeated = repeated;
  return row;
}

/// A tensor of every layer of one half.
constexpr Seq2SeqRow encoder_layer_row(std::string_view name, Seq2SeqSlot slot, Seq2SeqRow::Extent rows,
                                       Seq2SeqRow::Extent columns = nullptr, Seq2SeqHas present = nullptr) {
  Seq2SeqRow row = seq2seq_row(name, slot, rows, columns, present);
  row.layers = dim::encoder_layers;
  return row;
}
constexpr Seq2SeqRow decoder_layer_row(std::string_view name, Seq2SeqSlot slot, Seq2SeqRow::Extent rows,
                                       Seq2SeqRow::Extent columns = nullptr, Seq2SeqHas present = nullptr) {
  Seq2SeqRow row = seq2seq_row(name, slot, rows, columns, present);
  row.layers = dim::decoder_layers;
  return row;
}

/// One table of embeddings for both halves or one of each, and the output head, which may be the one for both.
constexpr std::array<Seq2SeqRow, 6> seq2seq_token_rows(std::string_view shared, std::string_view of_encoder,
                                                       std::string_view of_decoder) {
  constexpr auto source = in_seq2seq::encoder<&EncoderWeights::embedding>;
  constexpr auto target = in_seq2seq::decoder<&DecoderWeights::embedding>;
  constexpr auto output = in_seq2seq::decoder<&DecoderWeights::output>;
  Seq2SeqRow tied = seq2seq_row(shared, output, dim::target_vocab, dim::model_width, has::head_is_shared);
  tied.repeated = true;
  return {in_gguf("token_embd.weight",
                  seq2seq_table(shared, source, dim::source_vocab, dim::model_width, has::one_embedding)),
          in_gguf("token_embd.weight",
                  seq2seq_table(shared, target, dim::target_vocab, dim::model_width, has::one_embedding, true)),
          seq2seq_table(of_encoder, source, dim::source_vocab, dim::model_width, has::two_embeddings),
          seq2seq_table(of_decoder, target, dim::target_vocab, dim::model_width, has::two_embeddings),
          in_gguf("output.weight",
                  seq2seq_row("lm_head.weight", output, dim::target_vocab, dim::model_width, has::own_head)),
          in_gguf("token_embd.weight", tied)};
}

/// Throws UnsupportedError for a model that is no encoder-decoder with an output head.
inline void check_seq2seq(ConfigReader& config) {
  if (!config.flag_or("is_encoder_decoder", true))
    raise<UnsupportedError>(config.object().location(),
                            ": a decoder alone (is_encoder_decoder is false) is not supported");
  const Json* names = config.optional("architectures");
  if (!names || names->as_array().empty()) return;
  const std::string_view name = names->at(0).as_string();
  for (const std::string_view ending : {"ForConditionalGeneration", "MTModel"})
    if (name.ends_with(ending)) return;
  raise<UnsupportedError>(names->at(0).location(), ": models of class \"", name, "\" are not supported");
}

/// Keys that every encoder-decoder may carry and that do not change what it computes.
inline constexpr auto seq2seq_ignored_keys = joined(common_ignored_keys, std::to_array<std::string_view>({
                                                                             "dropout_rate",
                                                                             "activation_dropout",
                                                                             "classif_dropout",
                                                                             "encoder_layerdrop",
                                                                             "decoder_layerdrop",
                                                                             "initializer_factor",
                                                                             "num_hidden_layers",
                                                                             "output_past",
                                                                             "n_positions",
                                                                         }));

}  // namespace arch
}  // namespace weft::inline v0
