#pragma once

#include <algorithm>
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
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_architectures.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/export_gguf_text.hpp>
#include <weft/models/gguf_export_parts.hpp>
#include <weft/models/paired_rows.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/seq2seq_registry.hpp>
#include <weft/models/stored_names.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/rope.hpp>

namespace weft::inline v0 {

namespace detail {

/// Several kinds of rows in one tensor: in each of `groups` runs, every kind from its first row on.
struct KindsOfRows {
  struct Kind {
    std::size_t begin;
    std::size_t rows;  // of all runs
  };
  std::size_t groups = 1;
  std::vector<Kind> kinds;
};

/// The rows of one kind after the other.
inline AnyTensor by_kind(const AnyTensor& stored, const KindsOfRows& rows) {
  if (rows.groups == 1) return stored;
  return AnyTensor::make(stored.dtype(), stored.shape(), [&](std::span<std::byte> to) {
    for (const KindsOfRows::Kind& kind : rows.kinds) {
      const AnyTensor part = rows_of_groups(stored, rows.groups, kind.begin, kind.rows);
      std::memcpy(to.data(), part.bytes().data(), part.bytes().size());
      to = to.subspan(part.bytes().size());
    }
  });
}

/// Matrices of one shape as one tensor.
inline AnyTensor stacked(std::span<const AnyTensor> matrices) {
  const Shape shape{matrices.size(), matrices[0].extent(0), matrices[0].extent(1)};
  return AnyTensor::make(matrices[0].dtype(), shape, [&](std::span<std::byte> to) {
    for (const AnyTensor& matrix : matrices) {
      std::memcpy(to.data(), matrix.bytes().data(), matrix.bytes().size());
      to = to.subspan(matrix.bytes().size());
    }
  });
}

/// Turns a Hugging Face directory into metadata and tensors of a GGUF file.
class GgufExport {
 public:
  GgufExport(const Checkpoint& checkpoint, GgufWriter& writer)
      : checkpoint_(checkpoint),
        writer_(writer),
        architecture_(find_architecture(checkpoint.config())),
        config_(read_family_config(architecture_, checkpoint.config())),
        gguf_(find_gguf()),
        names_(checkpoint, architecture_),
        name_(gguf_.name),
        interleaved_(gguf_.constants.find("rope_interleave") != gguf_.constants.npos) {}

  std::vector<TensorToWrite> run() {
    metadata();
    rope();
    for (const DecoderRow& row : architecture_.tensors)
      if (!row.per_layer()) add_row(row, 0);
    for (std::size_t layer = 0; layer < config_.layers; ++layer)
      for (const DecoderRow& row : architecture_.tensors)
        if (row.per_layer()) add_row(row, layer);
    check_choices();
    write_gguf_tokenizer(checkpoint_, config_.vocab, writer_);
    return std::move(tensors_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const { refuse_gguf(checkpoint_, what); }

  /// Mistral without a window is Llama.
  const GgufArchitecture& find_gguf() const {
    const bool llama = architecture_.model_type == "mistral" && !has_window();
    for (const GgufArchitecture& architecture : gguf_architectures)
      if (architecture.model_type == (llama ? "llama" : architecture_.model_type)) return architecture;
    refuse(concat("models of type \"", architecture_.model_type, '"'));
  }

  bool has_window() const noexcept {
    for (std::size_t i = 0; i < config_.layers; ++i)
      if (const std::size_t window = config_.window_of(i); window != 0 && window < config_.context) return true;
    return false;
  }
  std::size_t rotary() const noexcept { return config_.rope.rotary_dim ? config_.rope.rotary_dim : config_.head_dim; }

  /// Whether files of the architecture have a key.
  bool has_key(std::string_view key) const {
    return std::any_of(gguf_.keys.begin(), gguf_.keys.end(), [&](const auto& known) { return known.gguf == key; }) ||
           std::any_of(gguf_.sizes.begin(), gguf_.sizes.end(), [&](const auto& known) { return known.gguf == key; });
  }
  template <class T>
  void set(std::string_view key, const T& value) {
    writer_.set(concat(name_, ".", key), value);
  }
  void set_size(std::string_view key, std::size_t value) { set(key, static_cast<std::uint32_t>(value)); }
  /// A choice that 0 leaves out.
  void set_choice(std::string_view key, float value) {
    if (has_key(key) && value != 0.f) set(key, value);
  }

  void metadata() {
    writer_.set("general.architecture", name_);
    writer_.set("general.name", checkpoint_.directory().filename().string());
    set_size("block_count", config_.layers);
    set_size("context_length", config_.context);
    set_size("embedding_length", config_.hidden);
    set_size("feed_forward_length", config_.intermediate);
    set_size("attention.head_count", config_.heads);
    set_size("attention.head_count_kv", config_.kv_heads);
    set_size("attention.key_length", config_.head_dim);
    set_size("attention.value_length", config_.head_dim);
    set_size("vocab_size", config_.vocab);
    set(config_.norm == NormKind::rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
        config_.norm_eps);
    if (config_.experts != 0) {
      set_size("expert_count", config_.experts);
      set_size("expert_used_count", config_.moe.experts_per_token);
      set_size("expert_feed_forward_length", config_.expert_intermediate);
      if (config_.shared_intermediate != 0) set_size("expert_shared_feed_forward_length", config_.shared_intermediate);
    }
    set_factors();
    set_choice("attn_logit_softcapping", config_.attention_soft_cap);
    set_choice("final_logit_softcapping", config_.logit_soft_cap);
    set_choice("attention.clamp_kqv", config_.qkv_clip);
    if (has_key("attention.max_alibi_bias")) set("attention.max_alibi_bias", alibi_bias_max());
    if (has_key("use_parallel_residual")) set("use_parallel_residual", config_.form != BlockForm::pre_norm);
    if (has_key("tensor_data_layout")) set("tensor_data_layout", "jploski");
    if (has_key("attention.sliding_window")) set_size("attention.sliding_window", config_.window);
    if (has_key("attention.sliding_window_pattern")) window_pattern();
  }

  /// Granite's factors, as config.json has them.
  void set_factors() {
    for (const GgufConfigKey& key : gguf_.keys)
      if (const Json* factor = checkpoint_.config().given(key.config); factor && key.gguf.ends_with("scale"))
        set(key.gguf, static_cast<float>(factor->as_double()));
  }

  float alibi_bias_max() const {
    if (config_.alibi_slopes.empty()) return 0.f;
    const Json* attention = checkpoint_.config().given("attn_config");
    const Json* most = attention ? attention->given("alibi_bias_max") : nullptr;
    return most ? static_cast<float>(most->as_double()) : 8.f;
  }

  /// The period where every n-th layer has no window, otherwise layer by layer.
  void window_pattern() {
    const auto every = [&](std::size_t n) {
      for (std::size_t i = 0; i < config_.layers; ++i)
        if (config_.full_attention[i] != ((i + 1) % n == 0)) return false;
      return true;
    };
    for (std::size_t n = 1; n <= config_.layers + 1; ++n)
      if (every(n)) return set_size("attention.sliding_window_pattern", n);
    std::vector<bool> windows(config_.full_attention);
    windows.flip();
    set("attention.sliding_window_pattern", windows);
  }

  void rope() {
    if (config_.rope.theta == 0.f) return;
    if (interleaved_ && rotary() != config_.head_dim) refuse("a part of a head that rotates");
    set_size("rope.dimension_count", rotary());
    set("rope.freq_base", config_.rope.theta);
    if (config_.window_rope && has_key("rope.freq_base_swa")) set("rope.freq_base_swa", config_.window_rope->theta);
    const RopeScaling& scaling = config_.rope.scaling;
    if (const auto* linear = std::get_if<LinearRopeScaling>(&scaling)) {
      set("rope.scaling.type", "linear");
      set("rope.scaling.factor", linear->factor);
    } else if (const auto* yarn = std::get_if<YarnRopeScaling>(&scaling)) {
      set("rope.scaling.type", "yarn");
      set("rope.scaling.factor", yarn->factor);
      set_size("rope.scaling.original_context_length", yarn->original_context);
    } else if (const auto* longer = std::get_if<LongRopeScaling>(&scaling)) {
      set_size("rope.scaling.original_context_length", longer->original_context);
      set("rope.scaling.attn_factor", longer->attention_factor);
      add_floats("rope_factors_long.weight", longer->long_factor);
      add_floats("rope_factors_short.weight", longer->short_factor);
    } else if (std::holds_alternative<Llama3RopeScaling>(scaling) ||
               std::holds_alternative<FactorsRopeScaling>(scaling)) {
      std::vector<float> factors = rope_frequencies(rotary(), {.theta = config_.rope.theta});
      const std::vector<float> scaled = rope_frequencies(rotary(), config_.rope);
      for (std::size_t i = 0; i < factors.size(); ++i) factors[i] /= scaled[i];
      add_floats("rope_freqs.weight", factors);
    }
  }

  /// What the file says of the model must be all there is to say.
  void check_choices() const {
    const Json json = config_of_written(writer_, tensors_);
    const DecoderConfig read = read_family_config(find_architecture(json), json);
    DecoderConfig wanted = config_;
    wanted.norm_gain_offset = read.norm_gain_offset;  // which is in the gains
    wanted.rope.pairing = read.rope.pairing;          // which is in the order of rows
    if (std::holds_alternative<FactorsRopeScaling>(read.rope.scaling)) wanted.rope.scaling = read.rope.scaling;
    if (!has_window() && read.window == 0) {
      wanted.window = 0;
      wanted.full_attention = read.full_attention;
    }
    const auto same = [&](std::string_view what, const auto&... members) {
      if (!((wanted.*members == read.*members) && ...)) refuse(what);
    };
    using C = DecoderConfig;
    same("a sliding window in these layers", &C::window, &C::full_attention);
    same("this activation", &C::activation);
    same("this kind of rotary positions", &C::rope, &C::window_rope);
    same("a factor of scores other than the root of head_dim", &C::attention_scale);
    same("scores that are scaled layer by layer", &C::inverse_layer_scale);
    same("clipped queries, keys and values", &C::qkv_clip);
    same("biases in these layers", &C::attention_bias, &C::attention_output_bias, &C::mlp_bias);
    same("layers without experts, or these weights of experts,", &C::dense_layers, &C::moe);
    if (wanted != read) refuse("a model with this config.json");
  }

  void add(std::string name, const AnyTensor& tensor) {
    tensors_.push_back({std::move(name), tensor.dtype(), tensor.shape(), [tensor] { return tensor; }});
  }
  void add_floats(std::string name, std::span<const float> values) {
    add(std::move(name), AnyTensor::make(DType::f32, {values.size()}, [&](std::span<std::byte> to) {
          std::memcpy(to.data(), values.data(), to.size());
        }));
  }

  Shape shape_of(const DecoderRow& row, bool transposed) const {
    const std::size_t rows = row.part.stored ? row.part.stored(config_) : row.rows(config_);
    if (!row.matrix()) return {rows};
    const std::size_t columns = row.columns(config_);
    return transposed ? Shape{columns, rows} : Shape{rows, columns};
  }

  /// The stored tensor of a row, of the shape that the table says.
  AnyTensor stored(const DecoderRow& row, const TensorIndex& index, bool transposed) const {
    return stored_of_shape(checkpoint_, names_.name_of(row, index), shape_of(row, transposed));
  }

  /// Rows that read the same tensor of the checkpoint are one tensor here too, in the order of the table.
  void add_row(const DecoderRow& row, std::size_t layer) {
    if (row.repeated || layer >= row.layer_count(config_) || (row.present && !row.present(config_, layer))) return;
    if (row.part.stored && row.part.begin) return;
    const std::string tensor = names_.name_of(row, {layer, 0});
    if (row.gguf.empty()) refuse(concat("the tensor ", row.name));
    const bool transposed = row.transposed && !checkpoint_.is_quantized(tensor);
    const KindsOfRows kinds = kinds_of(row);
    const std::size_t head_dim = rotates(row) ? config_.head_dim : 0;
    const auto read = [kinds, head_dim, transposed](const AnyTensor& matrix) {
      const AnyTensor rows = by_kind(transposed ? transposed_copy(matrix) : matrix, kinds);
      return head_dim ? paired_rows(rows, head_dim, RopePairing::interleaved) : rows;
    };
    std::string name = tensor_name(row.gguf, {layer, 0});
    const AnyTensor first = stored(row, {layer, 0}, transposed);
    if (!row.matrix()) return add_floats(std::move(name), gains(row, as_floats(read(first))));
    if (row.experts) return add_experts(row, std::move(name), layer);
    tensors_.push_back({std::move(name), first.dtype(), shape_of(row, false), [first, read] { return read(first); }});
  }

  void add_experts(const DecoderRow& row, std::string name, std::size_t layer) {
    std::vector<AnyTensor> experts;
    for (std::size_t expert = 0; expert < row.expert_count(config_); ++expert) {
      experts.push_back(stored(row, {layer, expert}, false));
      if (experts.back().dtype() != experts[0].dtype())
        raise<FormatError>(checkpoint_.source_of(names_.name_of(row, {layer, expert})), " has another type than ",
                           names_.name_of(row, {layer, 0}));
    }
    const Shape shape{experts.size(), experts[0].extent(0), experts[0].extent(1)};
    tensors_.push_back({std::move(name), experts[0].dtype(), shape, [experts] { return stacked(experts); }});
  }

  KindsOfRows kinds_of(const DecoderRow& row) const {
    KindsOfRows kinds;
    if (!row.part.groups) return kinds;
    kinds.groups = row.part.groups(config_);
    for (const DecoderRow& other : architecture_.tensors)
      if (other.name == row.name)
        kinds.kinds.push_back({other.part.begin ? other.part.begin(config_) : 0, other.rows(config_)});
    return kinds;
  }

  /// Gains that transformers has less one are whole here.
  std::vector<float> gains(const DecoderRow& row, const AnyTensor& vector) const {
    std::vector<float> values(vector.elements<float>().begin(), vector.elements<float>().end());
    if (row.name.ends_with("norm.weight"))
      for (float& value : values) value += config_.norm_gain_offset;
    return values;
  }

  /// Whether the order of its rows is another in GGUF.
  bool rotates(const DecoderRow& row) const noexcept {
    return interleaved_ && config_.rope.pairing == RopePairing::halves &&
           (row.gguf.find(".attn_q.") != row.gguf.npos || row.gguf.find(".attn_k.") != row.gguf.npos);
  }

  const Checkpoint& checkpoint_;
  GgufWriter& writer_;
  const DecoderArchitecture& architecture_;
  DecoderConfig config_;
  const GgufArchitecture& gguf_;
  StoredNames<DecoderArchitecture> names_;
  std::string_view name_;  // of the architecture in GGUF
  bool interleaved_;       // neighbours rotate together there
  std::vector<TensorToWrite> tensors_;
};

}  // namespace detail

WEFT_INLINE std::vector<TensorToWrite> export_gguf(const Checkpoint& checkpoint, GgufWriter& writer) {
  const auto is_among = [&](const auto& architectures) {
    const std::string_view type = checkpoint.config().at("model_type").as_string();
    return std::any_of(architectures.begin(), architectures.end(),
                       [&](const auto* architecture) { return architecture->model_type == type; });
  };
  if (!checkpoint.gguf()) {
    if (is_among(seq2seq_architectures)) {
      if (arch::is_encoder_half(checkpoint.config())) return detail::GgufT5EncoderExport(checkpoint, writer).run();
      return detail::GgufSeq2SeqExport(checkpoint, writer).run();
    }
    if (is_among(encoder_architectures)) return detail::GgufEncoderExport(checkpoint, writer).run();
    return detail::GgufExport(checkpoint, writer).run();
  }
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
