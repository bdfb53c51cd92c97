#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/adapter_builder.hpp>
#include <weft/models/adapter_config.hpp>
#include <weft/models/peft_tensors.hpp>

namespace weft::inline v0::detail {

/// Reads a LoRA adapter as PEFT saves it.
class PeftAdapterReader {
 public:
  PeftAdapterReader(const CausalLM& model, const std::filesystem::path& directory)
      : PeftAdapterReader{model, LoraConfig(parse_json_file((directory / "adapter_config.json").string())),
                          open_peft_weights(directory)} {}  // in this order
  PeftAdapterReader(const CausalLM& model, LoraConfig config, std::shared_ptr<const WeightsFile> file)
      : config_(std::move(config)), file_(std::move(file)), builder_(model, *file_, false, false) {}

  Adapter read() {
    sort_peft_tensors(
        *file_, config_,
        [&](const std::string& name, std::string_view module) -> StoredLowRank& { return change(name, module); },
        [&](const std::string& name, const std::string& plain) { replace(name, plain); });
    for (const auto& [module, stored] : low_rank_)
      builder_.add_low_rank(concat(module, ".weight"), stored, config_.rank(file_name_of(module)),
                            config_.scale(file_name_of(module)));
    check_complete();
    return builder_.build();
  }

 private:
  StoredLowRank& change(const std::string& name, std::string_view module) {
    const std::string_view full = builder_.full_name(concat(module, ".weight"));
    if (full.empty()) unexpected_in_adapter(*file_, name, "the model has no module ", module);
    const std::string_view own = full.substr(0, full.size() - std::string_view(".weight").size());
    file_names_.emplace(own, module);
    return low_rank_[std::string(own)];
  }

  void replace(const std::string& name, const std::string& plain) {
    const std::string_view full = builder_.full_name(plain);
    if (full.empty()) unexpected_in_adapter(*file_, name, "the model has no such tensor");
    const std::string_view module = std::string_view(plain).substr(0, plain.rfind('.'));
    if (!config_.saves(module) && !brings(full, module))
      unexpected_in_adapter(*file_, name, "adapter_config.json names it neither in modules_to_save nor by bias");
    saved_.emplace_back(module);
    builder_.replace(full, file_->tensor(name));
  }

  /// Whether a tensor comes with the adapter although nobody saves its module: a bias, or, as PEFT saves those of
  /// embeddings that are targeted or resized, an embedding or an output head.
  bool brings(std::string_view full, std::string_view module) const {
    const DecoderRow& row = *builder_.places().find(full)->second[0].row;
    if (row.matrix()) return row.lookup || std::get<DecoderRow::Matrix>(row.slot) == arch::slots::output;
    if (!full.ends_with("bias")) return false;
    return config_.bias() == AdapterBias::all || (config_.bias() == AdapterBias::lora_only && config_.targets(module));
  }

  std::string_view file_name_of(const std::string& module) const { return file_names_.find(module)->second; }

  /// Every module that adapter_config.json names is there.
  void check_complete() const {
    for (const auto& [tensor, places] : builder_.places()) {
      if (!tensor.ends_with(".weight") || !places[0].row->matrix() || config_.all_linear()) continue;
      const std::string module = tensor.substr(0, tensor.size() - std::string_view(".weight").size());
      if (config_.targets(module) && !config_.saves(module) && !low_rank_.contains(module))
        raise<FormatError>(file_->path(), ": adapter_config.json targets ", module, ", of which there are no tensors");
    }
    for (const auto& [module, stored] : low_rank_)
      if (config_.dora() && !stored.magnitude)
        raise<FormatError>(file_->path(), ": there is no lora_magnitude_vector for ", module);
    for (const std::string& name : config_.saved_modules())
      if (std::none_of(saved_.begin(), saved_.end(),
                       [&](const std::string& module) { return LoraConfig::inside(module, name); }))
        raise<FormatError>(file_->path(), ": adapter_config.json saves ", name, ", of which there are no tensors");
  }

  LoraConfig config_;
  std::shared_ptr<const WeightsFile> file_;
  AdapterBuilder builder_;
  std::map<std::string, StoredLowRank> low_rank_;  // by the module's name in the model
  std::map<std::string, std::string> file_names_;  // what the adapter calls it
  std::vector<std::string> saved_;
};

}  // namespace weft::inline v0::detail
