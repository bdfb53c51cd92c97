#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/tensor.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/adapter_config.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0::detail {

/// One low-rank change as it is stored.
struct StoredLowRank {
  std::optional<AnyTensor> a{}, b{}, bias{}, magnitude{};
  bool table = false;  ///< of rows that are looked up: a is (rank, vocab), in GGUF files (vocab, rank)
};

/// The elements of a tensor as floats.
inline Tensor<float, 1> float_copy(const AnyTensor& stored) {
  auto vector = Tensor<float, 1>::uninitialised({stored.size()});
  dequantize_row(stored.dtype(), stored.bytes().data(), stored.size(), vector.data());
  return vector;
}

/// The weights in the directory of an adapter that PEFT saved.
inline std::shared_ptr<const WeightsFile> open_peft_weights(const std::filesystem::path& directory) {
  std::error_code ignored;
  const std::filesystem::path safetensors = directory / "adapter_model.safetensors";
  if (std::filesystem::exists(safetensors, ignored)) return std::make_shared<const SafetensorsFile>(safetensors);
  const std::filesystem::path pickle = directory / "adapter_model.bin";
  if (std::filesystem::exists(pickle, ignored)) return std::make_shared<const PytorchFile>(pickle);
  raise<FormatError>(directory.string(), ": there is neither adapter_model.safetensors nor adapter_model.bin");
}

[[noreturn]] inline void unexpected_in_adapter(const WeightsFile& file, std::string_view name, const auto&... why) {
  raise<FormatError>(file.path(), ": tensor ", name, ": ", why...);
}

/// Goes through the tensors of an adapter as PEFT names them: change(name, module) gives the low-rank change of a
/// module that one belongs to, replace(name, plain) takes one that stands in the place of the model's tensor `plain`.
/// Throws FormatError for a name of another kind, and for what adapter_config.json does not say.
template <class Change, class Replace>
void sort_peft_tensors(const WeightsFile& file, const LoraConfig& config, Change&& change, Replace&& replace) {
  constexpr std::string_view prefix = "base_model.model.";
  using Member = std::optional<AnyTensor> StoredLowRank::*;
  struct Part {
    std::string_view suffix;
    Member member;
    bool table;
  };
  constexpr auto parts = std::to_array<Part>({
      {".lora_A.weight", &StoredLowRank::a, false},
      {".lora_B.weight", &StoredLowRank::b, false},
      {".lora_B.bias", &StoredLowRank::bias, false},
      {".lora_embedding_A", &StoredLowRank::a, true},
      {".lora_embedding_B", &StoredLowRank::b, true},
      {".lora_magnitude_vector", &StoredLowRank::magnitude, false},
      {".lora_magnitude_vector.weight", &StoredLowRank::magnitude, false},
  });
  for (const WeightsEntry& entry : file.entries()) {
    const std::string& name = entry.name;
    if (!name.starts_with(prefix)) unexpected_in_adapter(file, name, "its name does not begin with ", prefix);
    const std::string_view inner = std::string_view(name).substr(prefix.size());
    const auto part =
        std::find_if(parts.begin(), parts.end(), [&](const Part& p) { return inner.ends_with(p.suffix); });
    if (part != parts.end()) {
      const std::string_view module = inner.substr(0, inner.size() - part->suffix.size());
      StoredLowRank& stored = change(name, module);
      if (!config.targets(module)) unexpected_in_adapter(file, name, "adapter_config.json does not target ", module);
      if (part->member == &StoredLowRank::magnitude && !config.dora())
        unexpected_in_adapter(file, name, "adapter_config.json does not say use_dora");
      if (part->member == &StoredLowRank::bias && !config.lora_bias())
        unexpected_in_adapter(file, name, "adapter_config.json does not say lora_bias");
      stored.*part->member = file.tensor(name);
      stored.table = stored.table || part->table;
      continue;
    }
    // Where a module has low-rank tensors too, its own are inside.
    std::string plain(inner);
    constexpr std::string_view base_layer = ".base_layer";
    if (const std::size_t at = plain.rfind(base_layer); at != plain.npos) plain.erase(at, base_layer.size());
    // The biases of a module that is saved may be there thrice: as it was, as it is, and under its own name.
    const auto copy = [&](std::string_view mark) {
      const std::size_t at = plain.find(mark);
      return at != plain.npos && config.saves(std::string_view(plain).substr(0, at));
    };
    if (!copy(".original_module.") && !copy(".modules_to_save.")) replace(name, plain);
  }
}

}  // namespace weft::inline v0::detail
