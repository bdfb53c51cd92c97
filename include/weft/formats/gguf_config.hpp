#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/function_ref.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_architectures.hpp>
#include <weft/formats/gguf_value.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/json_text.hpp>

namespace weft::inline v0 {

/// Looks a tensor up by its name in all files of a model; empty where there is none.
using GgufTensors = FunctionRef<std::optional<AnyTensor>(std::string_view)>;

namespace detail {

inline std::string json_number(double value, const GgufValue& at) {
  if (!std::isfinite(value)) raise<FormatError>(at.location(), ": expected a number, found infinity or NaN");
  return json_number(value);
}

/// A value of the metadata as JSON; an array whose elements are all equal as one of them, as some files repeat a number
/// for every layer.
inline std::string json_of(const GgufValue& value) {
  switch (value.type()) {
    case GgufType::boolean: return value.as_bool() ? "true" : "false";
    case GgufType::f32:
    case GgufType::f64: return json_number(value.as_double(), value);
    case GgufType::string: {
      std::string text;
      append_json_string(text, value.as_string());
      return text;
    }
    case GgufType::array: break;
    default: return std::to_string(value.as_int());
  }
  std::vector<std::string> elements;
  value.for_each([&](const GgufValue& element) { elements.push_back(json_of(element)); });
  if (!elements.empty() && std::count(elements.begin(), elements.end(), elements[0]) == std::ssize(elements))
    return elements[0];
  std::string text = "[";
  for (const std::string& element : elements) text += (text.size() > 1 ? "," : "") + element;
  return text + "]";
}

/// Reads the metadata of one file.
class GgufConfigReader {
 public:
  GgufConfigReader(const GgufFile& file, const GgufTensors& tensors)
      : file_(file), tensors_(tensors), architecture_(find_architecture()) {}

  Json config() {
    check_keys();
    config_.add("model_type", concat('"', architecture_.model_type, '"'));
    config_.add_members(architecture_.constants);
    const std::optional<AnyTensor> embedding = tensors_("token_embd.weight");
    if (!embedding || embedding->rank() != 2)
      raise<FormatError>(file_.path(), ": there is no matrix token_embd.weight");
    config_.add("vocab_size", std::to_string(embedding->extent(0)));
    config_.add("tie_word_embeddings", tensors_("output.weight") ? "false" : "true");
    for (const GgufConfigTensor& said : architecture_.tensors)
      config_.add(said.config, tensors_(said.tensor).has_value() == said.there ? "true" : "false");
    for (const auto& keys : {architecture_.sizes, architecture_.keys, architecture_.expert_keys})
      for (const GgufConfigKey& key : keys) copy(key);
    if (architecture_.name == "mpt") mpt();
    if (architecture_.name == "falcon")
      config_.add("num_ln_in_parallel_attn", tensors_("blk.0.attn_norm_2.weight") ? "2" : "1");
    if (architecture_.name == "gemma2") gemma(46);
    if (architecture_.name == "gemma3") gemma(62);
    if (architecture_.name == "bert") bert();
    if (architecture_.model_type == "t5")
      config_.add("feed_forward_proj", tensors_("enc.blk.0.ffn_gate.weight") ? R"("gated-gelu")" : R"("relu")");
    if (architecture_.name.starts_with("qwen") && !architecture_.expert_keys.empty()) experts();
    rope();
    return parse_json(config_.finish(), file_.path() + " (metadata)");
  }

 private:
  const GgufArchitecture& find_architecture() const {
    const std::string_view name = file_.architecture();
    const GgufValue* experts = file_.find_value(concat(name, ".expert_count"));
    const bool has_experts = experts && experts->as_size() > 0;
    std::string known;
    for (const GgufArchitecture& architecture : gguf_architectures) {
      if (architecture.name == name && architecture.expert_keys.empty() != has_experts) return architecture;
      known += concat(known.empty() ? "" : ", ", architecture.model_type);
    }
    raise<UnsupportedError>(file_.value("general.architecture").location(), ": the architecture \"", name,
                            has_experts ? "\" with experts" : "\"", " is not supported (", known, " are)");
  }

  const GgufValue* find(std::string_view key) const { return file_.find_value(concat(architecture_.name, ".", key)); }

  std::size_t size_of(std::string_view key) const {
    return file_.value(concat(architecture_.name, ".", key)).as_size();
  }

  /// A window of 0 is none, which config.json has another word for.
  void copy(const GgufConfigKey& key) {
    const GgufValue* value = key.config.empty() ? nullptr : find(key.gguf);
    if (!value) return;
    const bool none = key.config == "sliding_window" && value->as_size() == 0;
    config_.add(key.config, none ? "null" : json_of(*value));
  }

  /// As in config.json, a key that nobody knows is an error and never a silent default.
  void check_keys() const {
    const std::string prefix = concat(architecture_.name, ".");
    const auto in = [](std::span<const GgufConfigKey> keys, std::string_view key) {
      return std::any_of(keys.begin(), keys.end(), [&](const GgufConfigKey& known) { return known.gguf == key; });
    };
    for (const GgufValue& value : file_.metadata()) {
      if (!value.key().starts_with(prefix)) continue;
      const std::string_view key = value.key().substr(prefix.size());
      const bool known = in(architecture_.sizes, key) || in(architecture_.keys, key) ||
                         std::find(gguf_other_keys.begin(), gguf_other_keys.end(), key) != gguf_other_keys.end();
      if (!known)
        raise<UnsupportedError>(value.location(),
                                ": the key is not understood, and running without it could change the result");
    }
  }

  std::size_t head_dim() const {
    if (const GgufValue* given = find("attention.key_length")) return given->as_size();
    const std::size_t heads = size_of("attention.head_count");
    return heads == 0 ? 0 : size_of("embedding_length") / heads;
  }

  /// Widths of experts, which older files do not say.
  void experts() {
    const auto width = [&](std::string_view key, std::string_view gguf, const char* name, std::size_t axis) {
      if (const GgufValue* value = find(gguf)) return config_.add(key, json_of(*value));
      const std::optional<AnyTensor> tensor = tensors_(name);
      if (tensor && tensor->rank() > axis) config_.add(key, std::to_string(tensor->extent(axis)));
    };
    width("moe_intermediate_size", "expert_feed_forward_length", "blk.0.ffn_up_exps.weight", 1);
    width("shared_expert_intermediate_size", "expert_shared_feed_forward_length", "blk.0.ffn_up_shexp.weight", 0);
  }

  /// Scores are divided by the root of head_dim, in the model of the most layers by that of hidden / heads. Files may
  /// say which layers have a window: every layer but each n-th one, or one by one.
  void gemma(std::size_t most_layers) {
    const std::size_t layers = size_of("block_count");
    const std::size_t scalar =
        layers == most_layers ? size_of("embedding_length") / size_of("attention.head_count") : head_dim();
    config_.add("query_pre_attn_scalar", std::to_string(scalar));
    const GgufValue* pattern = find("attention.sliding_window_pattern");
    if (!pattern) return;
    std::vector<bool> windows;
    if (pattern->is_array()) {
      pattern->for_each([&](const GgufValue& window) { windows.push_back(window.as_bool()); });
    } else {
      const std::size_t period = pattern->as_size();
      for (std::size_t i = 0; i < layers; ++i) windows.push_back(period == 0 || (i + 1) % period != 0);
    }
    std::string types;
    for (const bool window : windows)
      types += concat(types.empty() ? "" : ",", window ? R"("sliding_attention")" : R"("full_attention")");
    config_.add("layer_types", concat("[", types, "]"));
  }

  /// Of a table; 0 where there is none.
  std::size_t rows_of(std::string_view name) const {
    const std::optional<AnyTensor> table = tensors_(name);
    return table && table->rank() > 0 ? table->extent(0) : 0;
  }

  /// A head that classifies sequences is that of RoBERTa: of BERT's, files lack the pooler.
  void bert() {
    config_.add("type_vocab_size", std::to_string(rows_of("token_types.weight")));
    if (!tensors_("cls.weight") || !tensors_("cls.output.weight")) return;
    config_.add("architectures", R"(["BertForSequenceClassification"])");
    config_.add("num_labels", std::to_string(rows_of("cls.output.weight")));
    const GgufValue* names = find("classifier.output_labels");
    if (!names) return;
    JsonObjectText labels;
    std::size_t count = 0;
    names->for_each([&](const GgufValue& name) { labels.add(std::to_string(count++), json_of(name)); });
    config_.add("id2label", labels.finish());
  }

  void mpt() {
    const std::size_t hidden = size_of("embedding_length");
    config_.add("expansion_ratio", std::to_string(hidden == 0 ? 0 : size_of("feed_forward_length") / hidden));
    JsonObjectText attention;
    const GgufValue* slope = find("attention.max_alibi_bias");
    attention.add("alibi", slope && slope->as_double() > 0.0 ? "true" : "false");
    if (slope) attention.add("alibi_bias_max", json_of(*slope));
    if (const GgufValue* clip = find("attention.clamp_kqv")) attention.add("clip_qkv", json_of(*clip));
    config_.add("attn_config", attention.finish());
  }

  void rope() {
    const GgufValue* rotary = find("rope.dimension_count");
    const std::size_t whole = head_dim();
    if (whole == 0) raise<FormatError>(file_.path(), ": heads have no elements");
    const std::size_t part = rotary ? rotary->as_size() : whole;
    if (part != whole || !architecture_.partial_rotary.empty())
      config_.add(architecture_.partial_rotary.empty() ? "partial_rotary_factor" : architecture_.partial_rotary,
                  json_number(static_cast<double>(part) / static_cast<double>(whole)));
    const std::optional<AnyTensor> longer = tensors_("rope_factors_long.weight");
    const std::optional<AnyTensor> shorter = tensors_("rope_factors_short.weight");
    const GgufValue* type = find("rope.scaling.type");
    if (longer && shorter) {
      config_.add("rope_scaling", long_rope(*longer, *shorter));
    } else if (type && type->as_string() != "none") {
      JsonObjectText scaling;
      scaling.add("rope_type", json_of(*type));
      if (const GgufValue* factor = find("rope.scaling.factor")) scaling.add("factor", json_of(*factor));
      if (const GgufValue* context = find("rope.scaling.original_context_length"))
        scaling.add("original_max_position_embeddings", json_of(*context));
      config_.add("rope_scaling", scaling.finish());
    } else if (const std::optional<AnyTensor> factors = tensors_("rope_freqs.weight")) {
      config_.add("rope_scaling", with_factors(*factors));
    }
  }

  /// Factors of their own for short and for long texts, as Phi-3's config.json has them: older versions of transformers
  /// take these three members alone, and the context of the training beside them.
  std::string long_rope(const AnyTensor& longer, const AnyTensor& shorter) {
    JsonObjectText scaling;
    scaling.add("type", R"("longrope")");
    scaling.add("long_factor", list_of(longer, "rope_factors_long.weight"));
    scaling.add("short_factor", list_of(shorter, "rope_factors_short.weight"));
    const GgufValue* context = find("rope.scaling.original_context_length");
    if (context) config_.add("original_max_position_embeddings", json_of(*context));
    const GgufValue* factor = find("rope.scaling.attn_factor");
    const bool usual = factor && context && static_cast<float>(factor->as_double()) == attention_factor(*context);
    if (factor && !usual) scaling.add("attention_factor", json_of(*factor));
    return scaling.finish();
  }

  /// What scores are multiplied with where config.json says nothing of it.
  float attention_factor(const GgufValue& original) const {
    const auto context = static_cast<float>(original.as_size());
    const float longer = static_cast<float>(size_of("context_length")) / context;
    if (!(longer > 1.f)) return 1.f;
    return static_cast<float>(
        std::sqrt(1.0 + std::log(static_cast<double>(longer)) / std::log(static_cast<double>(context))));
  }

  /// What Llama 3.1's rule comes to: every frequency is divided by a factor of its own.
  std::string with_factors(const AnyTensor& factors) const {
    return concat(R"({"rope_type":"factors","factors":)", list_of(factors, "rope_freqs.weight"), "}");
  }

  std::string list_of(const AnyTensor& vector, std::string_view tensor) const {
    if (vector.dtype() != DType::f32)
      raise<FormatError>(file_.path(), ": tensor ", tensor, " has element type ", name(vector.dtype()),
                         ", expected f32");
    std::string list;
    for (const float value : vector.elements<float>())
      list += (list.empty() ? "" : ",") + json_number(static_cast<double>(value), file_.value("general.architecture"));
    return concat("[", list, "]");
  }

  const GgufFile& file_;
  const GgufTensors& tensors_;
  const GgufArchitecture& architecture_;
  JsonObjectText config_;
};

}  // namespace detail

/// The metadata of a GGUF file as the config.json that Hugging Face would have written. Throws UnsupportedError for an
/// architecture that is not in the table and for keys of the architecture that are not understood, FormatError for
/// values of another type.
inline Json gguf_config(const GgufFile& file, const GgufTensors& tensors) {
  return detail::GgufConfigReader(file, tensors).config();
}

/// The recommendations of a GGUF file (general.sampling, tokenizer.ggml) as a generation_config.json.
inline Json gguf_generation_config(const GgufFile& file) {
  detail::JsonObjectText config;
  const auto copy = [&](std::string_view key, std::string_view gguf) {
    const GgufValue* value = file.find_value(gguf);
    if (value) config.add(key, detail::json_of(*value));
    return value;
  };
  copy("bos_token_id", "tokenizer.ggml.bos_token_id");
  std::string ends;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
    if (const GgufValue* value = file.find_value(key)) ends += (ends.empty() ? "" : ",") + detail::json_of(*value);
  if (!ends.empty()) config.add("eos_token_id", "[" + ends + "]");
  const GgufValue* temperature = copy("temperature", "general.sampling.temp");
  if (temperature && temperature->as_double() > 0.0) config.add("do_sample", "true");
  copy("top_k", "general.sampling.top_k");
  copy("top_p", "general.sampling.top_p");
  copy("repetition_penalty", "general.sampling.penalty_repeat");
  return parse_json(config.finish(), file.path() + " (metadata)");
}

}  // namespace weft::inline v0
