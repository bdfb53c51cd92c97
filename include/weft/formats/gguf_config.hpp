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
#include <weft/formats/gguf_value.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/json_text.hpp>

namespace weft::inline v0 {

/// Looks a tensor up by its name in all files of a model; empty where there is none.
using GgufTensors = FunctionRef<std::optional<AnyTensor>(std::string_view)>;

namespace detail {

/// A key of config.json and the one of a GGUF file that means the same, without the name of the architecture.
struct GgufConfigKey {
  std::string_view config;
  std::string_view gguf;
};

/// How the metadata of an architecture become a config.json.
struct GgufArchitecture {
  std::string_view name;                  ///< general.architecture
  std::string_view model_type;            ///< config.json's
  std::string_view constants;             ///< members of config.json that the architecture implies
  std::span<const GgufConfigKey> keys{};  ///< beside gguf_common_keys
  bool experts = false;                   ///< for files that have some
};

inline constexpr auto gguf_common_keys = std::to_array<GgufConfigKey>({
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_hidden_layers", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "attention.key_length"},
    {"max_position_embeddings", "context_length"},
    {"rms_norm_eps", "attention.layer_norm_rms_epsilon"},
    {"rope_theta", "rope.freq_base"},
});

// Keys that change nothing beyond what tensors and other keys say, or that this header reads by name.
inline constexpr auto gguf_other_keys = std::to_array<std::string_view>({
    "vocab_size",
    "attention.value_length",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "expert_feed_forward_length",
});

inline constexpr auto gguf_expert_keys = std::to_array<GgufConfigKey>({
    {"num_local_experts", "expert_count"},
    {"num_experts_per_tok", "expert_used_count"},
});

/// Llama's rows of queries and keys are in the order in which neighbours rotate together.
inline constexpr auto gguf_architectures = std::to_array<GgufArchitecture>({
    {"llama", "llama", R"("hidden_act":"silu","rope_interleave":true)"},
    {"llama", "mixtral", R"("hidden_act":"silu","rope_interleave":true)", gguf_expert_keys, true},
    {"qwen2", "qwen2", R"("hidden_act":"silu")"},
    {"qwen3", "qwen3", R"("hidden_act":"silu")"},
});

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
    if (tensors_("blk.0.attn_q.bias") && !architecture_.name.starts_with("qwen2"))
      config_.add("attention_bias", "true");
    if (tensors_("blk.0.ffn_up.bias")) config_.add("mlp_bias", "true");
    for (const GgufConfigKey& key : gguf_common_keys) copy(key);
    for (const GgufConfigKey& key : architecture_.keys) copy(key);
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
      if (architecture.name == name && architecture.experts == has_experts) return architecture;
      known += concat(known.empty() ? "" : ", ", architecture.model_type);
    }
    raise<UnsupportedError>(file_.value("general.architecture").location(), ": the architecture \"", name,
                            has_experts ? "\" with experts" : "\"", " is not supported (", known, " are)");
  }

  const GgufValue* find(std::string_view key) const { return file_.find_value(concat(architecture_.name, ".", key)); }

  void copy(const GgufConfigKey& key) {
    if (const GgufValue* value = find(key.gguf)) config_.add(key.config, json_of(*value));
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
      const bool known = in(gguf_common_keys, key) || in(architecture_.keys, key) || in(gguf_expert_keys, key) ||
                         std::find(gguf_other_keys.begin(), gguf_other_keys.end(), key) != gguf_other_keys.end();
      if (!known)
        raise<UnsupportedError>(value.location(),
                                ": the key is not understood, and running without it could change the result");
    }
  }

  std::size_t head_dim() const {
    if (const GgufValue* given = find("attention.key_length")) return given->as_size();
    const std::size_t heads = file_.value(concat(architecture_.name, ".attention.head_count")).as_size();
    return heads == 0 ? 0 : file_.value(concat(architecture_.name, ".embedding_length")).as_size() / heads;
  }

  void rope() {
    const GgufValue* rotary = find("rope.dimension_count");
    if (rotary && rotary->as_size() != head_dim())
      config_.add("partial_rotary_factor",
                  json_number(static_cast<double>(rotary->as_size()) / static_cast<double>(head_dim()), *rotary));
    const GgufValue* type = find("rope.scaling.type");
    if (type && type->as_string() != "none") {
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

  /// What Llama 3.1's rule comes to: every frequency is divided by a factor of its own.
  std::string with_factors(const AnyTensor& factors) const {
    if (factors.dtype() != DType::f32)
      raise<FormatError>(file_.path(), ": tensor rope_freqs.weight has element type ", name(factors.dtype()),
                         ", expected f32");
    std::string list = "[";
    for (const float factor : factors.elements<float>())
      list +=
          (list.size() > 1 ? "," : "") + json_number(static_cast<double>(factor), file_.value("general.architecture"));
    list += "]";
    return concat(R"({"rope_type":"factors","factors":)", list, "}");
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
