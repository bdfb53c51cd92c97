#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/paired_rows.hpp>
#include <weft/models/registry.hpp>
#include <weft/ops/rope.hpp>
#include <weft/quant/quantize.hpp>
#include <weft/tokenizers/gguf_vocabulary_files.hpp>

namespace weft::inline v0 {

namespace detail {

inline AnyTensor as_floats(const AnyTensor& vector) {
  return AnyTensor::make(DType::f32, vector.shape(), [&](std::span<std::byte> to) {
    dequantize_row(vector.dtype(), vector.bytes().data(), vector.size(), reinterpret_cast<float*>(to.data()));
  });
}

/// Turns a Hugging Face directory into metadata and tensors of a GGUF file.
class GgufExport {
 public:
  GgufExport(const Checkpoint& checkpoint, GgufWriter& writer)
      : checkpoint_(checkpoint),
        writer_(writer),
        architecture_(find_architecture(checkpoint.config())),
        config_(read_config()) {}

  std::vector<TensorToWrite> run() {
    name_ = gguf_name();
    check_choices();
    metadata();
    if (const auto vocabulary = gguf_vocabulary_of(checkpoint_.directory(), config_.vocab)) {
      set_gguf_vocabulary(*vocabulary, writer_);
    } else {
      writer_.set("tokenizer.ggml.model", "none");
    }
    for (const DecoderRow& row : architecture_.tensors)
      if (!row.per_layer()) add_row(row, 0);
    for (std::size_t layer = 0; layer < config_.layers; ++layer)
      for (const DecoderRow& row : architecture_.tensors)
        if (row.per_layer()) add_row(row, layer);
    return std::move(tensors_);
  }

 private:
  DecoderConfig read_config() const {
    ConfigReader reader(checkpoint_.config());
    DecoderConfig config = architecture_.read_config(reader);
    reader.finish(architecture_.ignored_keys);
    return config;
  }

  /// What the metadata of these architectures cannot say must be as they take it.
  void check_choices() const {
    const auto refuse = [&](const char* what) {
      raise<UnsupportedError>(checkpoint_.config().location(), ": ", what, " cannot be written as GGUF");
    };
    if (config_.window != 0 && config_.window < config_.context) refuse("a sliding window");
    if (config_.activation != Activation::silu) refuse("an activation other than silu");
    if (name_ == "llama" ? rotary() != config_.head_dim : config_.rope.pairing != RopePairing::halves)
      refuse("this kind of rotary positions");
  }

  /// Mistral without a window is Llama.
  std::string_view gguf_name() const {
    const bool llama =
        architecture_.model_type == "mistral" && (config_.window == 0 || config_.window >= config_.context);
    for (const GgufArchitecture& architecture : gguf_architectures)
      if (architecture.expert_keys.empty() && architecture.model_type == (llama ? "llama" : architecture_.model_type))
        return architecture.name;
    raise<UnsupportedError>(checkpoint_.config().location(), ": models of type \"", architecture_.model_type,
                            "\" cannot be written as GGUF");
  }

  void metadata() {
    writer_.set("general.architecture", name_);
    writer_.set("general.name", checkpoint_.directory().filename().string());
    const std::pair<const char*, std::size_t> sizes[]{{"block_count", config_.layers},
                                                      {"context_length", config_.context},
                                                      {"embedding_length", config_.hidden},
                                                      {"feed_forward_length", config_.intermediate},
                                                      {"attention.head_count", config_.heads},
                                                      {"attention.head_count_kv", config_.kv_heads},
                                                      {"attention.key_length", config_.head_dim},
                                                      {"attention.value_length", config_.head_dim},
                                                      {"rope.dimension_count", rotary()},
                                                      {"vocab_size", config_.vocab}};
    for (const auto& [key, value] : sizes) writer_.set(concat(name_, ".", key), static_cast<std::uint32_t>(value));
    writer_.set(concat(name_, ".attention.layer_norm_rms_epsilon"), config_.norm_eps);
    writer_.set(concat(name_, ".rope.freq_base"), config_.rope.theta);
    rope_scaling();
  }

  std::size_t rotary() const noexcept { return config_.rope.rotary_dim ? config_.rope.rotary_dim : config_.head_dim; }

  void rope_scaling() {
    const RopeScaling& scaling = config_.rope.scaling;
    if (std::holds_alternative<std::monostate>(scaling)) return;
    if (const auto* linear = std::get_if<LinearRopeScaling>(&scaling)) {
      writer_.set(concat(name_, ".rope.scaling.type"), "linear");
      writer_.set(concat(name_, ".rope.scaling.factor"), linear->factor);
      return;
    }
    if (!std::holds_alternative<Llama3RopeScaling>(scaling) && !std::holds_alternative<FactorsRopeScaling>(scaling))
      raise<UnsupportedError>(checkpoint_.config().location(), ": this rotary scaling cannot be written as GGUF");
    const std::vector<float> plain = rope_frequencies(rotary(), {.theta = config_.rope.theta});
    const std::vector<float> scaled = rope_frequencies(rotary(), config_.rope);
    add("rope_freqs.weight", AnyTensor::make(DType::f32, {plain.size()}, [&](std::span<std::byte> to) {
          for (std::size_t i = 0; i < plain.size(); ++i) {
            const float factor = plain[i] / scaled[i];
            std::memcpy(to.data() + i * sizeof factor, &factor, sizeof factor);
          }
        }));
  }

  void add(std::string name, const AnyTensor& tensor) {
    tensors_.push_back({std::move(name), tensor.dtype(), tensor.shape(), [tensor] { return tensor; }});
  }

  void add_row(const DecoderRow& row, std::size_t layer) {
    if (row.repeated || layer >= row.layer_count(config_) || (row.present && !row.present(config_, layer))) return;
    if (row.gguf.empty() || row.part.stored || row.transposed || row.reshaped || row.experts)
      raise<UnsupportedError>(checkpoint_.directory().string(), ": the tensor ", row.name,
                              " cannot be written as GGUF");
    std::string name = tensor_name(row.gguf, {layer, 0});
    const AnyTensor stored = checkpoint_.tensor(tensor_name(row.name, {layer, 0}));
    const std::size_t head_dim = rotates(row) ? config_.head_dim : 0;
    const auto read = [stored, head_dim] {
      return head_dim ? paired_rows(stored, head_dim, RopePairing::interleaved) : stored;
    };
    if (row.matrix()) {
      tensors_.push_back({std::move(name), stored.dtype(), stored.shape(), read});
    } else {
      add(std::move(name), as_floats(read()));
    }
  }

  /// Whether the order of its rows is another in GGUF.
  bool rotates(const DecoderRow& row) const noexcept {
    return name_ == "llama" && config_.rope.pairing == RopePairing::halves &&
           (row.gguf.find(".attn_q.") != row.gguf.npos || row.gguf.find(".attn_k.") != row.gguf.npos);
  }

  const Checkpoint& checkpoint_;
  GgufWriter& writer_;
  const DecoderArchitecture& architecture_;
  DecoderConfig config_;
  std::string_view name_;  // of the architecture in GGUF
  std::vector<TensorToWrite> tensors_;
};

}  // namespace detail

WEFT_INLINE std::vector<TensorToWrite> export_gguf(const Checkpoint& checkpoint, GgufWriter& writer) {
  if (!checkpoint.gguf()) return detail::GgufExport(checkpoint, writer).run();
  for (const GgufValue& value : checkpoint.gguf()->metadata())
    if (!value.key().starts_with("split.") && value.key() != "general.alignment") writer.set(value);
  std::vector<TensorToWrite> tensors;
  for (const std::string& name : checkpoint.tensor_names()) {
    const AnyTensor tensor = checkpoint.tensor(name);
    tensors.push_back({name, tensor.dtype(), tensor.shape(), [tensor] { return tensor; }});
  }
  return tensors;
}

}  // namespace weft::inline v0
