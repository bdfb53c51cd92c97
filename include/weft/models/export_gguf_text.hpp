#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/generation_config.hpp>
#include <weft/models/gguf_export_parts.hpp>
#include <weft/models/sentence_embedding.hpp>
#include <weft/models/seq2seq_registry.hpp>

// From Hugging Face directories of encoders and encoder-decoders to metadata and tensors of GGUF files.
namespace weft::inline v0::detail {

/// Sets "<architecture>.<key>".
class GgufKeys {
 public:
  GgufKeys(GgufWriter& writer, std::string_view architecture) : writer_(writer), prefix_(concat(architecture, ".")) {
    writer_.set("general.architecture", architecture);
  }
  template <class T>
  void set(std::string_view key, const T& value) {
    writer_.set(concat(prefix_, key), value);
  }
  void set_size(std::string_view key, std::size_t value) { set(key, static_cast<std::uint32_t>(value)); }

 private:
  GgufWriter& writer_;
  std::string prefix_;
};

/// What modules.json says of sentences.
inline void set_sentence_keys(const Checkpoint& checkpoint, GgufKeys& keys) {
  const std::optional<SentenceModules> modules = read_sentence_modules(checkpoint.directory());
  if (!modules) return;
  if (!modules->dense.empty()) refuse_gguf(checkpoint, "a dense layer of sentences");
  const Pooling pooling = modules->embedding.pooling;
  if (pooling != Pooling::mean && pooling != Pooling::first && pooling != Pooling::last)
    raise<UnsupportedError>(modules->source, ": this pooling cannot be written as GGUF");
  keys.set_size("pooling_type", pooling == Pooling::mean ? 1 : pooling == Pooling::first ? 2 : 3);
  if (modules->embedding.normalize) keys.set("normalize_embeddings", true);
}

/// BERT, and the families that are BERT in GGUF files.
class GgufEncoderExport {
 public:
  GgufEncoderExport(const Checkpoint& checkpoint, GgufWriter& writer)
      : checkpoint_(checkpoint),
        writer_(writer),
        keys_(writer, "bert"),
        architecture_(find_encoder(checkpoint.config())),
        config_(read_family_config(architecture_, checkpoint.config())) {}

  std::vector<TensorToWrite> run() {
    constexpr auto families =
        std::to_array<std::string_view>({"bert", "camembert", "distilbert", "roberta", "xlm-roberta"});
    if (std::find(families.begin(), families.end(), architecture_.model_type) == families.end())
      refuse_gguf(checkpoint_, concat("models of type \"", architecture_.model_type, '"'));
    metadata();
    set_sentence_keys(checkpoint_, keys_);
    std::vector<TensorToWrite> tensors = gguf_tensors(checkpoint_, architecture_, config_);
    for (TensorToWrite& tensor : tensors) {
      if (tensor.name == "position_embd.weight") as_float_rows(tensor, config_.position_offset);
      if (tensor.name == "token_types.weight") as_float_rows(tensor, 0);
    }
    classes(tensors);
    check_choices(tensors);
    write_gguf_tokenizer(checkpoint_, config_.vocab, writer_);
    writer_.set("tokenizer.ggml.token_type_count",
                static_cast<std::uint32_t>(std::max<std::size_t>(config_.token_types, 1)));
    return tensors;
  }

 private:
  void metadata() {
    writer_.set("general.name", checkpoint_.directory().filename().string());
    keys_.set_size("block_count", config_.layers);
    keys_.set_size("context_length", config_.context);
    keys_.set_size("embedding_length", config_.hidden);
    keys_.set_size("feed_forward_length", config_.intermediate);
    keys_.set_size("attention.head_count", config_.heads);
    keys_.set("attention.layer_norm_epsilon", config_.norm_eps);
    keys_.set("attention.causal", false);
    keys_.set_size("vocab_size", config_.vocab);
  }

  /// A table as f32, from the row of the first token on.
  static void as_float_rows(TensorToWrite& tensor, std::size_t begin) {
    const AnyTensor table = tensor.read();
    const AnyTensor rows = as_floats(table.rows(begin, table.extent(0)));
    tensor = {tensor.name, rows.dtype(), rows.shape(), [rows] { return rows; }};
  }

  /// The heads that answer with classes are what their models are for; those that models were trained with are not.
  void classes(const std::vector<TensorToWrite>& tensors) {
    using Task = EncoderTask;
    const bool written = std::any_of(tensors.begin(), tensors.end(),
                                     [](const TensorToWrite& tensor) { return tensor.name == "cls.output.weight"; });
    if (config_.task == Task::token_classification || config_.task == Task::question_answering ||
        (config_.task == Task::sequence_classification && !written))
      refuse_gguf(checkpoint_, "the head of this model");
    if (!written) return;
    std::vector<std::string> labels = config_.labels;
    for (std::size_t i = labels.size(); i < config_.classes; ++i) labels.push_back(concat("LABEL_", i));
    keys_.set("classifier.output_labels", labels);
  }

  /// What the file says of the model must be all there is to say, but for the heads that are left out.
  void check_choices(const std::vector<TensorToWrite>& tensors) const {
    const Json json = config_of_written(writer_, tensors);
    const EncoderConfig read = read_family_config(find_encoder(json), json);
    EncoderConfig wanted = config_;
    wanted.position_rows = wanted.context;
    wanted.position_offset = 0;
    wanted.modules = read.modules;
    wanted.masked_activation = read.masked_activation;
    wanted.replaced_activation = read.replaced_activation;
    if (wanted.labels.empty()) wanted.labels = read.labels;
    if (wanted.task != EncoderTask::sequence_classification) {
      wanted.task = read.task;
      wanted.classes = read.classes;
      wanted.labels = read.labels;
      wanted.pooler_activation = read.pooler_activation;
    }
    if (wanted.activation != read.activation) refuse_gguf(checkpoint_, "this activation");
    if (wanted != read) refuse_gguf(checkpoint_, "a model with this config.json");
  }

  const Checkpoint& checkpoint_;
  GgufWriter& writer_;
  GgufKeys keys_;
  const EncoderArchitecture& architecture_;
  EncoderConfig config_;
};

/// What T5's encoder is, alone or in front of a decoder.
inline void set_t5_keys(const Checkpoint& checkpoint, const EncoderConfig& c, GgufKeys& keys) {
  const Json* positions = checkpoint.config().given("n_positions");
  keys.set_size("context_length", positions ? positions->as_size() : 512);
  keys.set_size("embedding_length", c.hidden);
  keys.set_size("feed_forward_length", c.intermediate);
  keys.set_size("block_count", c.layers);
  keys.set_size("attention.head_count", c.heads);
  keys.set_size("attention.key_length", c.head_dim);
  keys.set_size("attention.value_length", c.head_dim);
  keys.set("attention.layer_norm_epsilon", c.norm_eps);
  keys.set_size("attention.relative_buckets_count", c.buckets.buckets);
  keys.set("attention.layer_norm_rms_epsilon", c.norm_eps);
  keys.set_size("vocab_size", c.vocab);
}

/// Throws UnsupportedError where a T5 encoder is read otherwise than it was.
inline void check_t5_encoder(const Checkpoint& checkpoint, const EncoderConfig& wanted, const EncoderConfig& read) {
  if (wanted.activation != read.activation) refuse_gguf(checkpoint, "this activation");
  if (wanted.buckets != read.buckets) refuse_gguf(checkpoint, "distances in these buckets");
  if (wanted != read) refuse_gguf(checkpoint, "a model with this config.json");
}

/// The encoders of T5 and mT5 alone.
class GgufT5EncoderExport {
 public:
  GgufT5EncoderExport(const Checkpoint& checkpoint, GgufWriter& writer)
      : checkpoint_(checkpoint),
        writer_(writer),
        keys_(writer, "t5encoder"),
        architecture_(find_encoder(checkpoint.config())),
        config_(read_family_config(architecture_, checkpoint.config())) {}

  std::vector<TensorToWrite> run() {
    writer_.set("general.name", checkpoint_.directory().filename().string());
    set_t5_keys(checkpoint_, config_, keys_);
    set_sentence_keys(checkpoint_, keys_);
    std::vector<TensorToWrite> tensors = gguf_tensors(checkpoint_, architecture_, config_);
    const Json json = config_of_written(writer_, tensors);
    check_t5_encoder(checkpoint_, config_, read_family_config(find_encoder(json), json));
    write_gguf_tokenizer(checkpoint_, config_.vocab, writer_);
    return tensors;
  }

 private:
  const Checkpoint& checkpoint_;
  GgufWriter& writer_;
  GgufKeys keys_;
  const EncoderArchitecture& architecture_;
  EncoderConfig config_;
};

/// T5 and mT5.
class GgufSeq2SeqExport {
 public:
  GgufSeq2SeqExport(const Checkpoint& checkpoint, GgufWriter& writer)
      : checkpoint_(checkpoint),
        writer_(writer),
        keys_(writer, "t5"),
        architecture_(find_seq2seq(checkpoint.config())),
        config_(read_family_config(architecture_, checkpoint.config())) {}

  std::vector<TensorToWrite> run() {
    if (architecture_.model_type != "t5" && architecture_.model_type != "mt5")
      refuse_gguf(checkpoint_, concat("models of type \"", architecture_.model_type, '"'));
    if (has_separate_tables(checkpoint_, architecture_))
      refuse_gguf(checkpoint_, "tables of embeddings of their own for both halves");
    config_.decoder.tied_embeddings = config_.decoder.tied_embeddings && !has_own_head();
    metadata();
    std::vector<TensorToWrite> tensors = gguf_tensors(checkpoint_, architecture_, config_);
    check_choices(tensors);
    write_gguf_tokenizer(checkpoint_, config_.decoder.vocab, writer_);
    return tensors;
  }

 private:
  /// Some checkpoints hold the output head although it is the embedding.
  bool has_own_head() const {
    return checkpoint_.contains("lm_head.weight") && !are_equal(checkpoint_, "lm_head.weight", "shared.weight");
  }

  void metadata() {
    writer_.set("general.name", checkpoint_.directory().filename().string());
    set_t5_keys(checkpoint_, config_.encoder, keys_);
    keys_.set_size("decoder_block_count", config_.decoder.layers);
    const GenerationConfig generation =
        read_generation_config(checkpoint_.config(), checkpoint_.generation_config(), config_.decoder.vocab);
    if (generation.decoder_start)
      keys_.set_size("decoder_start_token_id", static_cast<std::size_t>(*generation.decoder_start));
  }

  void check_choices(const std::vector<TensorToWrite>& tensors) const {
    const Json json = config_of_written(writer_, tensors);
    const Seq2SeqConfig read = read_family_config(find_seq2seq(json), json);
    check_t5_encoder(checkpoint_, config_.encoder, read.encoder);
    if (config_.decoder != read.decoder) refuse_gguf(checkpoint_, "a model with this config.json");
  }

  const Checkpoint& checkpoint_;
  GgufWriter& writer_;
  GgufKeys keys_;
  const Seq2SeqArchitecture& architecture_;
  Seq2SeqConfig config_;
};

}  // namespace weft::inline v0::detail
