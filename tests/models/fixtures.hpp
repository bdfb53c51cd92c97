#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/formats/safetensors.hpp>
#include <weft/models/load.hpp>
#include <weft/models/session.hpp>

#include "../formats/temporary_directory.hpp"

// The models of tests/fixtures/models, what the reference implementation computed with them
// (tests/reference/README.md), and copies of them that a test may break.
namespace weft_tests {

inline std::filesystem::path fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "models" / name;
}

/// The names of the directories in a folder of fixtures, sorted; none where the folder is missing.
inline std::vector<std::string> directory_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}
inline std::vector<std::string> fixture_names() { return directory_names(fixture("")); }

/// The name of a fixture or anything like it as GoogleTest wants it.
inline std::string test_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

/// The kernels that this machine can run, the simplest first.
inline std::vector<const weft::cpu::Kernels*> all_kernels() {
  std::vector<const weft::cpu::Kernels*> kernels;
  for (const weft::cpu::Isa isa : weft::cpu::all_isas)
    if (weft::cpu::supported(isa)) kernels.push_back(&weft::cpu::kernels_for(isa));
  return kernels;
}

/// Token ids for a model of which only the shape of the computation matters.
inline std::vector<weft::TokenId> some_ids(std::size_t count, std::size_t vocab) {
  std::vector<weft::TokenId> ids(count);
  for (std::size_t i = 0; i < count; ++i) ids[i] = static_cast<weft::TokenId>((7 * i + 1) % vocab);
  return ids;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

/// The largest distance of two elements; infinity where one of them is not a number or the sizes differ.
inline float max_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<float>::infinity();
  float most = 0.f;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float difference = std::fabs(a[i] - b[i]);
    if (!(difference <= most)) most = std::isnan(difference) ? std::numeric_limits<float>::infinity() : difference;
  }
  return most;
}

inline weft::TokenId argmax(std::span<const float> logits) {
  return static_cast<weft::TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// Continues a session by argmax.
inline std::vector<weft::TokenId> greedy(weft::Session& session, std::span<const weft::TokenId> prompt,
                                         std::size_t count) {
  std::vector<weft::TokenId> ids;
  std::span<const float> logits = session.forward(prompt);
  while (ids.size() < count) {
    ids.push_back(argmax(logits));
    if (ids.size() < count) logits = session.forward(std::span(&ids.back(), 1));
  }
  return ids;
}

/// What the reference implementation computed.
class Reference {
 public:
  explicit Reference(std::string_view name) : file_(fixture(name) / "reference.safetensors") {}

  std::vector<weft::TokenId> prompt() const { return ids("input_ids"); }
  std::vector<weft::TokenId> greedy() const { return ids("greedy_ids"); }
  /// (rows, vocab): the logits of the last `rows` positions of the prompt.
  weft::AnyTensor logits() const { return file_.tensor("logits"); }
  bool has_hidden(std::size_t index) const { return file_.contains(hidden_name(index)); }
  /// (tokens, hidden): after `index` layers, the last of them after the final norm.
  std::span<const float> hidden(std::size_t index) const { return file_.tensor(hidden_name(index)).elements<float>(); }

 private:
  static std::string hidden_name(std::size_t index) { return "hidden_states." + std::to_string(index); }
  std::vector<weft::TokenId> ids(std::string_view name) const {
    const weft::AnyTensor tensor = file_.tensor(name);
    std::vector<weft::TokenId> result;
    for (const std::int64_t id : tensor.elements<std::int64_t>()) result.push_back(static_cast<weft::TokenId>(id));
    return result;
  }

  weft::SafetensorsFile file_;
};

/// What a model computes for a prompt: hidden states as the reference names them, (tokens, hidden) each, and logits
/// (tokens, vocab).
struct Observed {
  std::vector<std::vector<float>> hidden;
  std::vector<float> logits;
};

inline bool same_bits(const Observed& a, const Observed& b) {
  return a.hidden.size() == b.hidden.size() && same_bits(a.logits, b.logits) &&
         std::equal(a.hidden.begin(), a.hidden.end(), b.hidden.begin(),
                    [](const auto& x, const auto& y) { return same_bits(x, y); });
}

inline Observed observe(const weft::CausalLM& model, std::span<const weft::TokenId> prompt,
                        const weft::SessionOptions& options = {}) {
  const std::size_t layers = model.config().layers;
  const weft::DecoderModules& modules = model.config().modules;
  Observed observed;
  observed.hidden.resize(layers + 1);
  weft::Session session(model, options);
  session.set_tap([&](std::string_view name, weft::TensorView<const float, 2> values) {
    std::size_t index = layers + 1;
    if (name == modules.embedding) index = 0;
    if (name == modules.norm) index = layers;
    for (std::size_t i = 0; i + model.config().final_norm < layers; ++i)
      if (name == weft::detail::tensor_name(modules.layer, {i, 0})) index = i + 1;
    if (index > layers) return;
    for (std::size_t t = 0; t < values.extent(0); ++t)
      observed.hidden[index].insert(observed.hidden[index].end(), &values(t, 0), &values(t, 0) + values.extent(1));
  });
  weft::Tensor<float, 2> logits({prompt.size(), model.config().vocab});
  session.forward_all(prompt, logits);
  observed.logits.assign(logits.elements().begin(), logits.elements().end());
  return observed;
}

/// The model with another tokenizer, and on the calling thread.
inline weft::CausalLM with_tokenizer(const weft::CausalLM& model, std::shared_ptr<const weft::Tokenizer> tokenizer) {
  return weft::CausalLM({.model_type = model.model_type(),
                         .source = "a fixture",
                         .config = model.config(),
                         .weights = model.weights(),
                         .generation = model.generation_config(),
                         .tokenizer = std::move(tokenizer),
                         .compute = model.compute(),
                         .kernels = &model.kernels()});
}

/// A copy of a directory whose files a test may change.
class DirectoryCopy {
 public:
  using Tensors = std::vector<std::pair<std::string, weft::AnyTensor>>;

  explicit DirectoryCopy(const std::filesystem::path& original) {
    for (const auto& entry : std::filesystem::directory_iterator(original))
      if (entry.path().filename() != "reference.safetensors")
        std::filesystem::copy(entry.path(), path() / entry.path().filename(), std::filesystem::copy_options::recursive);
  }

  const std::filesystem::path& path() const noexcept { return directory_.path(); }
  std::string file(std::string_view name) const { return (path() / name).string(); }
  void write(std::string_view name, std::string_view content) const { directory_.write(name, content); }
  void remove(std::string_view name) const { std::filesystem::remove(path() / name); }

  /// Calls edit(nlohmann::json&) on a file.
  template <class Edit>
  void edit_json(std::string_view name, Edit&& edit) const {
    nlohmann::json json = nlohmann::json::parse(read_file(path() / name));
    edit(json);
    write(name, json.dump(1));
  }
  template <class Edit>
  void edit_config(Edit&& edit) const {
    edit_json("config.json", std::forward<Edit>(edit));
  }
  void set_config(const char* key, const nlohmann::json& value) const {
    edit_config([&](nlohmann::json& config) { config[key] = value; });
  }

  /// Calls edit(Tensors&) on the tensors of model.safetensors.
  template <class Edit>
  void edit_tensors(Edit&& edit) const {
    Tensors tensors;
    {
      const weft::SafetensorsFile file(path() / "model.safetensors");
      for (const weft::WeightsEntry& entry : file.entries()) tensors.emplace_back(entry.name, file.tensor(entry.name));
    }
    edit(tensors);
    // The tensors lie in the file that is replaced: the new one is another.
    weft::write_safetensors(path() / "new.safetensors", tensors);
    std::filesystem::rename(path() / "new.safetensors", path() / "model.safetensors");
  }

 private:
  TemporaryDirectory directory_;
};

/// A copy of a fixture whose files a test may change.
class CheckpointCopy : public DirectoryCopy {
 public:
  explicit CheckpointCopy(std::string_view name = "llama-mha") : DirectoryCopy(fixture(name)) {}

  weft::CausalLM load(weft::LoadOptions options = {},
                      std::span<const weft::DecoderArchitecture* const> architectures = {}) const {
    if (options.threads == 0) options.threads = 1;
    return weft::load_causal_lm(path(), options, architectures);
  }
};

inline weft::AnyTensor& find_tensor(CheckpointCopy::Tensors& tensors, std::string_view name) {
  for (auto& [key, tensor] : tensors)
    if (key == name) return tensor;
  throw std::runtime_error("the fixture has no tensor " + std::string(name));
}

inline weft::AnyTensor zeros(weft::DType dtype, const weft::Shape& shape) {
  return weft::AnyTensor::make(dtype, shape,
                               [](std::span<std::byte> bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{}); });
}

/// A copy of a float tensor with one element replaced.
inline weft::AnyTensor with_element(const weft::AnyTensor& tensor, std::size_t index, float value) {
  return weft::AnyTensor::make(tensor.dtype(), tensor.shape(), [&](std::span<std::byte> bytes) {
    std::copy(tensor.bytes().begin(), tensor.bytes().end(), bytes.begin());
    std::memcpy(bytes.data() + index * sizeof value, &value, sizeof value);
  });
}

}  // namespace weft_tests
