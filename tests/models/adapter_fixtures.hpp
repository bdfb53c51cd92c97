#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/models/load_adapter.hpp>

#include "fixtures.hpp"

// The adapters of tests/fixtures/adapters, what PEFT computed with them (tests/reference/README.md), and copies of them
// that a test may break.
namespace weft_tests {

inline std::filesystem::path adapter_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "adapters" / name;
}

/// The adapters that PEFT saved.
inline std::vector<std::string> adapter_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(adapter_fixture(""), ignored))
    if (std::filesystem::exists(entry.path() / "adapter_config.json"))
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// What PEFT computed.
class AdapterReference {
 public:
  explicit AdapterReference(std::string_view name) : file_(adapter_fixture(name) / "reference.safetensors") {}

  std::vector<weft::TokenId> prompt() const {
    std::vector<weft::TokenId> ids;
    const weft::AnyTensor tensor = file_.tensor("input_ids");
    for (const std::int64_t id : tensor.elements<std::int64_t>()) ids.push_back(static_cast<weft::TokenId>(id));
    return ids;
  }
  nlohmann::json about() const { return nlohmann::json::parse(file_.metadata()[0].second); }
  bool contains(std::string_view name) const { return file_.contains(name); }
  weft::AnyTensor tensor(std::string_view name) const { return file_.tensor(name); }

 private:
  weft::SafetensorsFile file_;
};

/// The model that an adapter of the fixtures is for.
inline weft::CausalLM model_of(std::string_view adapter, weft::LoadOptions options = {}) {
  options.tokenizer = false;
  if (options.threads == 0) options.threads = 1;
  return weft::load_causal_lm(fixture(AdapterReference(adapter).about().at("model").get<std::string>()), options);
}

inline weft::Adapter load_fixture_adapter(const weft::CausalLM& model, std::string_view name) {
  return weft::load_adapter(model, adapter_fixture(name));
}

/// (tokens, vocab).
inline std::vector<float> logits_of(const weft::CausalLM& model, std::span<const weft::TokenId> prompt,
                                    const weft::AdapterSet& adapters = {}, std::size_t chunk = 512) {
  weft::Session session(model, {.context = 64, .chunk = chunk});
  session.set_adapters(adapters);
  weft::Tensor<float, 2> logits({prompt.size(), model.config().vocab});
  session.forward_all(prompt, logits);
  return {logits.elements().begin(), logits.elements().end()};
}

/// A copy of an adapter whose files a test may change.
class AdapterCopy {
 public:
  explicit AdapterCopy(std::string_view name = "lora") {
    for (const auto& entry : std::filesystem::directory_iterator(adapter_fixture(name)))
      std::filesystem::copy_file(entry.path(), path() / entry.path().filename());
  }

  const std::filesystem::path& path() const noexcept { return directory_.path(); }

  AdapterCopy& set(const char* key, const nlohmann::json& value) {
    nlohmann::json config = nlohmann::json::parse(read_file(path() / "adapter_config.json"));
    config[key] = value;
    directory_.write("adapter_config.json", config.dump());
    return *this;
  }
  /// Calls edit(CheckpointCopy::Tensors&).
  template <class Edit>
  AdapterCopy& edit_tensors(Edit&& edit) {
    CheckpointCopy::Tensors tensors;
    {
      const weft::SafetensorsFile file(path() / "adapter_model.safetensors");
      for (const weft::WeightsEntry& entry : file.entries()) tensors.emplace_back(entry.name, file.tensor(entry.name));
    }
    edit(tensors);
    weft::write_safetensors(path() / "new.safetensors", tensors);
    std::filesystem::rename(path() / "new.safetensors", path() / "adapter_model.safetensors");
    return *this;
  }
  void write(std::string_view name, std::string_view content) const { directory_.write(name, content); }

 private:
  TemporaryDirectory directory_;
};

}  // namespace weft_tests
