#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

#include <weft/core/error.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_config.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/adapter_builder.hpp>
#include <weft/models/peft_adapter.hpp>

namespace weft::inline v0 {

namespace detail {

/// Reads an adapter in a GGUF file (llama.cpp, convert_lora_to_gguf.py).
inline Adapter read_gguf_adapter(const CausalLM& model, const GgufFile& file) {
  const auto require = [&](std::string_view key, std::string_view expected) {
    const GgufValue& value = file.value(key);
    if (value.as_string() != expected)
      raise<UnsupportedError>(value.location(), ": expected \"", expected, "\", found \"", value.as_string(), "\"");
  };
  require("general.type", "adapter");
  require("adapter.type", "lora");
  const std::string_view model_type = model.model_type() == "mistral" ? "llama" : std::string_view(model.model_type());
  const std::string_view name = file.architecture();
  if (std::none_of(gguf_architectures.begin(), gguf_architectures.end(), [&](const GgufArchitecture& architecture) {
        return architecture.name == name && architecture.model_type == model_type;
      }))
    raise<ConfigError>(file.value("general.architecture").location(), ": an adapter of a ", name,
                       " model, the model is ", model.model_type());
  for (const GgufValue& value : file.metadata())
    if (value.key().starts_with("adapter.") && value.key() != "adapter.type" && value.key() != "adapter.lora.alpha" &&
        !value.key().starts_with("adapter.lora.prompt_prefix"))
      raise<UnsupportedError>(value.location(),
                              ": the key is not understood, and running without it could change the "
                              "result");
  const auto alpha = static_cast<float>(file.value("adapter.lora.alpha").as_double());
  AdapterBuilder builder(model, file, true, name == "llama");
  std::map<std::string, StoredLowRank> low_rank;
  for (const WeightsEntry& entry : file.entries()) {
    const std::string_view stored = entry.name;
    const bool a = stored.ends_with(".lora_a"), b = stored.ends_with(".lora_b");
    const std::string_view full = builder.full_name(a || b ? stored.substr(0, stored.size() - 7) : stored);
    if (full.empty()) raise<FormatError>(file.path(), ": tensor ", stored, ": the model has no such tensor");
    if (!a && !b) {
      builder.replace(full, file.tensor(stored));
      continue;
    }
    StoredLowRank& change = low_rank[std::string(full)];
    (a ? change.a : change.b) = file.tensor(stored);
    const DecoderRow& row = *builder.places().find(full)->second[0].row;
    change.table = row.lookup;
  }
  for (const auto& [tensor, change] : low_rank) {
    const std::size_t rank = change.b && change.b->rank() == 2 ? change.b->extent(1) : 0;
    if (change.b && rank == 0) raise<FormatError>(file.path(), ": ", tensor, ".lora_b has no rank");
    builder.add_low_rank(tensor, change, rank, alpha != 0.f ? alpha / static_cast<float>(rank) : 1.f);
  }
  return builder.build();
}

}  // namespace detail

WEFT_INLINE Adapter load_adapter(const CausalLM& model, const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return detail::PeftAdapterReader(model, path).read();
  if (!std::filesystem::exists(path, ignored))
    raise<FormatError>(path.string(), ": there is no such file or directory");
  if (is_gguf_file(path)) return detail::read_gguf_adapter(model, GgufFile(path));
  raise<UnsupportedError>(path.string(), ": neither the directory of an adapter nor a GGUF file");
}

}  // namespace weft::inline v0
