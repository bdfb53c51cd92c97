#include "cpu_decoder.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <type_traits>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/session.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/quantize.hpp>

namespace weft::testing {

namespace {

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "models";

}  // namespace

std::vector<std::string> decoder_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> decoder_families() {
  std::vector<std::string> families;
  for (const DecoderArchitecture* architecture : decoder_architectures) families.emplace_back(architecture->model_type);
  return families;
}

CausalLM load_decoder(std::string_view name) {
  const Checkpoint checkpoint = Checkpoint::open(fixtures / name);
  const DecoderArchitecture& architecture = find_architecture(checkpoint.config());
  ConfigReader reader(checkpoint.config());
  CausalLM::Parts parts{.model_type = std::string(architecture.model_type),
                        .source = checkpoint.location(),
                        .config = architecture.read_config(reader),
                        .compute = Compute::f32,
                        .architecture = &architecture};
  const LoadOptions options{.load = Load::in_place};
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return CausalLM(std::move(parts));
}

CausalLM with_weights_of(const CausalLM& model, DType dtype) {
  CausalLM::Parts parts = model.parts();
  for_each_weight(parts.weights, [&](const auto& weight) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(weight)>, AnyTensor>)
      if (weight && weight.extent(1) % block_elements(dtype) == 0)
        const_cast<AnyTensor&>(weight) = convert_weight(weight, dtype, Layout::rows);
  });
  return CausalLM(std::move(parts));
}

CausalLM with_first_experts(const CausalLM& model) {
  const auto filled = [](const AnyTensor& like, float value) {
    return AnyTensor::make(DType::f32, like.shape(), [&](std::span<std::byte> bytes) {
      std::fill_n(reinterpret_cast<float*>(bytes.data()), bytes.size() / sizeof(float), value);
    });
  };
  CausalLM::Parts parts = model.parts();
  for (DecoderLayerWeights& layer : parts.weights.layers) {
    if (layer.moe.experts.empty()) continue;
    layer.moe.router = filled(layer.moe.router, 0.f);
    for (std::size_t e = parts.config.moe.experts_per_token; e < layer.moe.experts.size(); ++e)
      layer.moe.experts[e].up = filled(layer.moe.experts[e].up, std::numeric_limits<float>::quiet_NaN());
  }
  return CausalLM(std::move(parts));
}

std::vector<TokenId> decoder_prompt(std::string_view name) {
  const SafetensorsFile file(fixtures / name / "reference.safetensors");
  const AnyTensor ids = file.tensor("input_ids");
  std::vector<TokenId> result;
  for (const std::int64_t id : ids.elements<std::int64_t>()) result.push_back(static_cast<TokenId>(id));
  return result;
}

std::string tales() {
  return (std::filesystem::path(WEFT_TESTS_DIR).parent_path() / "examples" / "models" / "tales").string();
}

std::vector<TokenId> cpu_greedy(const CausalLM& model, std::span<const TokenId> prompt, std::size_t count) {
  Session session(model, {.context = prompt.size() + count});
  std::vector<TokenId> tokens(prompt.begin(), prompt.end());
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<const float> logits = session.forward(std::span(tokens).subspan(session.position()));
    tokens.push_back(static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()), tokens.end()};
}

std::vector<float> cpu_logits(const CausalLM& model, std::span<const TokenId> tokens) {
  Session session(model, {.context = tokens.size()});
  Tensor<float, 2> logits({tokens.size(), model.config().vocab});
  session.forward_all(tokens, logits);
  return {logits.elements().begin(), logits.elements().end()};
}

}  // namespace weft::testing
