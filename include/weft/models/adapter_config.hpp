#pragma once

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/tokenizers/regex.hpp>

namespace weft::inline v0 {

/// Which biases of the model an adapter brings with it.
enum class AdapterBias : unsigned char {
  none,
  all,
  lora_only,  ///< those of the modules that it targets
};

/// adapter_config.json of a LoRA adapter (PEFT, tuners/lora/config.py). Modules have the names of the base model:
/// "model.layers.0.self_attn.q_proj".
class LoraConfig {
 public:
  /// Throws UnsupportedError for other kinds of adapters and for keys that change what it computes and are not
  /// understood, ConfigError and FormatError for values that are out of range, malformed or contradict each other.
  explicit LoraConfig(const Json& json);

  bool dora() const noexcept { return dora_; }
  /// Whether the base model stores its matrices as (inputs, outputs), which its family says too.
  bool fan_in_fan_out() const noexcept { return fan_in_fan_out_; }
  /// Whether the second matrices have biases.
  bool lora_bias() const noexcept { return lora_bias_; }
  AdapterBias bias() const noexcept { return bias_; }
  std::size_t rank(std::string_view module) const { return value_for(rank_pattern_, module, rank_); }
  /// What the product of both matrices is multiplied with: alpha / rank, or alpha / sqrt(rank) (Kalajdzievski 2023,
  /// arXiv:2312.03732).
  float scale(std::string_view module) const {
    const auto rank = static_cast<float>(this->rank(module));
    return value_for(alpha_pattern_, module, alpha_) / (rslora_ ? std::sqrt(rank) : rank);
  }

  /// Whether the config says that a linear layer or an embedding is adapted. "all-linear" says it of all but the output
  /// head, and leaves open which other modules are linear.
  bool targets(std::string_view module) const {
    if (exclude_.matches(module)) return false;
    return all_linear_ || (targets_.matches(module) && in_layers(module));
  }
  bool all_linear() const noexcept { return all_linear_; }
  /// Whether a module is, or is inside, one that is saved as a whole: one whose name ends as the config says.
  bool saves(std::string_view module) const {
    return std::any_of(saved_.begin(), saved_.end(), [&](const std::string& name) { return inside(module, name); });
  }
  const std::vector<std::string>& saved_modules() const noexcept { return saved_; }
  /// Whether the name of `module`, or of a module that it is inside, ends with `end`.
  static bool inside(std::string_view module, std::string_view end) {
    for (std::size_t at = module.find(end); at != module.npos; at = module.find(end, at + 1))
      if (at + end.size() == module.size() || module[at + end.size()] == '.') return true;
    return false;
  }

 private:
  /// A regular expression for a whole text.
  struct Pattern {
    Regex regex;

    Pattern(std::string_view pattern, const std::string& where)
        : regex(detail::concat("\\A(?:", pattern, ")\\z"), where) {}
    bool matches(std::string_view text) const {
      bool found = false;
      regex.for_each_match(text, [&](std::size_t, std::size_t) { found = true; });
      return found;
    }
  };

  /// Modules by a pattern for the whole name, or by names that they end with.
  struct Modules {
    std::vector<std::string> names{};
    std::optional<Pattern> pattern{};

    bool matches(std::string_view module) const {
      if (pattern) return pattern->matches(module);
      return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return module == name || (module.ends_with(name) && module[module.size() - name.size() - 1] == '.');
      });
    }
  };

  template <class T>
  using Patterns = std::vector<std::pair<Pattern, T>>;

  template <class T>
  static T value_for(const Patterns<T>& patterns, std::string_view module, T otherwise) {
    for (const auto& [pattern, value] : patterns)
      if (pattern.matches(module)) return value;
    return otherwise;
  }

  static std::vector<std::string> read_names(const Json& value) {
    std::vector<std::string> names;
    if (value.is_string()) return {std::string(value.as_string())};
    for (const Json& name : value.as_array()) names.emplace_back(name.as_string());
    return names;
  }

  static Modules read_modules(const Json& value) {
    Modules modules;
    if (value.is_string()) {
      modules.pattern.emplace(value.as_string(), value.location());
    } else {
      modules.names = read_names(value);
    }
    return modules;
  }

  /// Keys that end a module's name, each with a number.
  template <class T, class Read>
  static Patterns<T> read_patterns(const Json* object, Read&& read) {
    Patterns<T> patterns;
    if (object)
      for (const Json& member : object->as_object())
        patterns.emplace_back(Pattern(detail::concat("(?:.*\\.)?(?:", member.key(), ")"), member.location()),
                              read(member));
    return patterns;
  }

  void read_targets(ConfigReader& config);
  void read_layers(ConfigReader& config);
  static void check_initialisation(ConfigReader& config);

  /// Whether a module is in one of the layers that are adapted.
  bool in_layers(std::string_view module) const {
    if (layers_.empty()) return true;
    // The number after the name of the list of layers, or after any name.
    for (std::size_t at = module.find('.'); at != module.npos; at = module.find('.', at + 1)) {
      const std::size_t end = std::min(module.find('.', at + 1), module.size());
      const std::string_view number = module.substr(at + 1, end - at - 1);
      if (end == module.size() || number.empty() || number.find_first_not_of("0123456789") != number.npos) continue;
      const std::size_t name = module.rfind('.', at - 1);
      if (at == 0 || name == module.npos) continue;
      const std::string_view list = module.substr(name + 1, at - name - 1);
      if (!layers_pattern_.empty() && std::none_of(layers_pattern_.begin(), layers_pattern_.end(),
                                                   [&](const Pattern& pattern) { return pattern.matches(list); }))
        continue;
      return std::any_of(layers_.begin(), layers_.end(),
                         [&](std::size_t layer) { return number == std::to_string(layer); });
    }
    return false;
  }

  std::size_t rank_ = 0;
  float alpha_ = 0.f;
  bool rslora_ = false;
  bool dora_ = false;
  bool fan_in_fan_out_ = false;
  bool lora_bias_ = false;
  AdapterBias bias_ = AdapterBias::none;
  bool all_linear_ = false;
  Modules targets_{};
  Modules exclude_{};
  std::vector<std::size_t> layers_{};
  std::vector<Pattern> layers_pattern_{};
  std::vector<std::string> saved_{};
  Patterns<std::size_t> rank_pattern_{};
  Patterns<float> alpha_pattern_{};
};

namespace detail {

/// Keys that say how the adapter was trained or where it came from.
inline constexpr auto lora_ignored_keys = std::to_array<std::string_view>({
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
});

}  // namespace detail

inline LoraConfig::LoraConfig(const Json& json) {
  ConfigReader config(json);
  const Json& type = config.required("peft_type");
  if (type.as_string() != "LORA")
    raise<UnsupportedError>(type.location(), ": adapters of type \"", type.as_string(),
                            "\" are not supported (LORA is)");
  rank_ = config.positive("r");
  alpha_ = config.number("lora_alpha");
  rslora_ = config.flag_or("use_rslora", false);
  dora_ = config.flag_or("use_dora", false);
  fan_in_fan_out_ = config.flag_or("fan_in_fan_out", false);
  lora_bias_ = config.flag_or("lora_bias", false);
  if (dora_ && lora_bias_) raise<ConfigError>(json.location(), ": use_dora and lora_bias exclude each other");
  const std::string_view bias = config.text_or("bias", "none");
  if (bias != "none" && bias != "all" && bias != "lora_only")
    raise<ConfigError>(json.at("bias").location(), ": expected none, all or lora_only, found \"", bias, "\"");
  bias_ = bias == "none" ? AdapterBias::none : bias == "all" ? AdapterBias::all : AdapterBias::lora_only;
  rank_pattern_ = read_patterns<std::size_t>(config.optional("rank_pattern"), [](const Json& value) {
    if (value.as_size() == 0) raise<ConfigError>(value.location(), ": a rank of 0");
    return value.as_size();
  });
  alpha_pattern_ = read_patterns<float>(config.optional("alpha_pattern"),
                                        [](const Json& value) { return static_cast<float>(value.as_double()); });
  if (const Json* saved = config.optional("modules_to_save")) saved_ = read_names(*saved);
  read_targets(config);
  read_layers(config);
  check_initialisation(config);
  config.finish(detail::lora_ignored_keys);
}

inline void LoraConfig::read_targets(ConfigReader& config) {
  const Json& targets = config.required("target_modules");
  std::string word(targets.is_string() ? targets.as_string() : std::string_view());
  std::transform(word.begin(), word.end(), word.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  all_linear_ = word == "all-linear";
  if (!all_linear_) targets_ = read_modules(targets);
  if (const Json* exclude = config.optional("exclude_modules")) exclude_ = read_modules(*exclude);
}

inline void LoraConfig::read_layers(ConfigReader& config) {
  const Json* layers = config.optional("layers_to_transform");
  const Json* pattern = config.optional("layers_pattern");
  if (!layers) return;
  if (layers->is_array()) {
    for (const Json& layer : *layers) layers_.push_back(layer.as_size());
  } else {
    layers_.push_back(layers->as_size());
  }
  if (all_linear_ || targets_.pattern)
    raise<ConfigError>(layers->location(), ": layers are chosen of target modules that are given as a list only");
  if (!pattern) return;
  for (const std::string& name : read_names(*pattern))
    if (!name.empty()) layers_pattern_.emplace_back(name, pattern->location());
}

/// Some ways to begin take away from the base model what the adapter begins with: it is no longer the one that was
/// published.
inline void LoraConfig::check_initialisation(ConfigReader& config) {
  const Json* init = config.optional("init_lora_weights");
  if (!init || init->is_bool()) return;
  const std::string_view kind = init->as_string();
  if (kind != "gaussian" && kind != "eva" && kind != "orthogonal")
    raise<UnsupportedError>(init->location(), ": adapters that begin as \"", kind,
                            "\" change the base model, which is not supported; PEFT converts them to plain ones "
                            "(path_initial_model_for_weight_conversion)");
}

}  // namespace weft::inline v0
