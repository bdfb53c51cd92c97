#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/models/adapter_builder.hpp>
#include <weft/models/adapter_config.hpp>

namespace weft::inline v0::detail {

/// Reads a LoRA adapter as PEFT saves it.
class PeftAdapterReader {
 public:
  PeftAdapterReader(const CausalLM& model, const std::filesystem::path& directory)
      : PeftAdapterReader(model, LoraConfig(parse_json_file((directory / "adapter_config.json").string())),
                          open(directory)) {}
  PeftAdapterReader(const CausalLM& model, LoraConfig config, std::shared_ptr<const WeightsFile> file)
      : config_(std::move(config)), file_(std::move(file)), builder_(model, *file_, false, false) {}

  Adapter read() {
    for (const WeightsEntry& entry : file_->entries()) sort(entry.name);
    for (const auto& [module, stored] : low_rank_)
      builder_.add_low_rank(concat(module, ".weight"), stored, config_.rank(file_name_of(module)),
                            config_.scale(file_name_of(module)));
    check_complete();
    return builder_.build();
  }

 private:
  static std::shared_ptr<const WeightsFile> open(const std::filesystem::path& directory) {
    std::error_code ignored;
    const std::filesystem::path safetensors = directory / "adapter_model.safetensors";
    if (std::filesystem::exists(safetensors, ignored)) return std::make_shared<const SafetensorsFile>(safetensors);
    const std::filesystem::path pickle = directory / "adapter_model.bin";
    if (std::filesystem::exists(pickle, ignored)) return std::make_shared<const PytorchFile>(pickle);
    raise<FormatError>(directory.string(), ": there is neither adapter_model.safetensors nor adapter_model.bin");
  }

  [[noreturn]] void unexpected(std::string_view name, const auto&... why) const {
    raise<FormatError>(file_->path(), ": tensor ", name, ": ", why...);
  }

  /// Takes one tensor to where it belongs.
  void sort(const std::string& name) {
    constexpr std::string_view prefix = "base_model.model.";
    if (!name.starts_with(prefix)) unexpected(name, "its name does not begin with ", prefix);
    const std::string_view inner = std::string_view(name).substr(prefix.size());
    using Member = std::optional<AnyTensor> AdapterBuilder::LowRank::*;
    struct Part {
      std::string_view suffix;
      Member member;
      bool table;
    };
    constexpr auto parts = std::to_array<Part>({
        {".lora_A.weight", &AdapterBuilder::LowRank::a, false},
        {".lora_B.weight", &AdapterBuilder::LowRank::b, false},
        {".lora_B.bias", &AdapterBuilder::LowRank::bias, false},
        {".lora_embedding_A", &AdapterBuilder::LowRank::a, true},
        {".lora_embedding_B", &AdapterBuilder::LowRank::b, true},
        {".lora_magnitude_vector", &AdapterBuilder::LowRank::magnitude, false},
        {".lora_magnitude_vector.weight", &AdapterBuilder::LowRank::magnitude, false},
    });
    for (const Part& part : parts)
      if (inner.ends_with(part.suffix))
        return add_part(name, inner.substr(0, inner.size() - part.suffix.size()), part.member, part.table);
    replace(name, inner);
  }

  void add_part(const std::string& name, std::string_view module,
                std::optional<AnyTensor> AdapterBuilder::LowRank::*member, bool table) {
    const std::string_view full = builder_.full_name(concat(module, ".weight"));
    if (full.empty()) unexpected(name, "the model has no module ", module);
    if (!config_.targets(module)) unexpected(name, "adapter_config.json does not target ", module);
    if (member == &AdapterBuilder::LowRank::magnitude && !config_.dora())
      unexpected(name, "adapter_config.json does not say use_dora");
    if (member == &AdapterBuilder::LowRank::bias && !config_.lora_bias())
      unexpected(name, "adapter_config.json does not say lora_bias");
    const std::string_view own = full.substr(0, full.size() - std::string_view(".weight").size());
    file_names_.emplace(own, module);
    AdapterBuilder::LowRank& stored = low_rank_[std::string(own)];
    stored.*member = file_->tensor(name);
    stored.table = stored.table || table;
  }

  void replace(const std::string& name, std::string_view inner) {
    // Where a module has low-rank tensors too, its own are inside.
    std::string plain(inner);
    constexpr std::string_view base_layer = ".base_layer";
    if (const std::size_t at = plain.rfind(base_layer); at != plain.npos) plain.erase(at, base_layer.size());
    // The biases of a module that is saved may be there thrice: as it was, as it is, and under its own name.
    for (const std::string_view copy : {".original_module.", ".modules_to_save."})
      if (const std::size_t at = plain.find(copy); at != plain.npos && config_.saves(plain.substr(0, at))) return;
    const std::string_view full = builder_.full_name(plain);
    if (full.empty()) unexpected(name, "the model has no such tensor");
    const std::string_view module = std::string_view(plain).substr(0, plain.rfind('.'));
    if (!config_.saves(module) && !brings(full, module))
      unexpected(name, "adapter_config.json names it neither in modules_to_save nor by bias");
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
  std::map<std::string, AdapterBuilder::LowRank> low_rank_;  // by the module's name in the model
  std::map<std::string, std::string> file_names_;            // what the adapter calls it
  std::vector<std::string> saved_;
};

}  // namespace weft::inline v0::detail
