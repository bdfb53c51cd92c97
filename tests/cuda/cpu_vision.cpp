#include "cpu_vision.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/models/vision_registry.hpp>
#include <weft/models/weight_loader.hpp>

namespace weft::testing {

namespace {

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "vision";

}  // namespace

std::vector<std::string> vision_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> vision_families() {
  std::vector<std::string> families;
  for (const VisionArchitecture* architecture : vision_architectures) families.emplace_back(architecture->model_type);
  return families;
}

VisionModel load_vision_fixture(std::string_view name) {
  const Checkpoint checkpoint = Checkpoint::open(fixtures / name);
  const VisionArchitecture& architecture = find_vision(checkpoint.config());
  ConfigReader reader(checkpoint.config());
  VisionModel::Parts parts{.model_type = std::string(architecture.model_type),
                           .source = checkpoint.location(),
                           .config = architecture.read_config(reader),
                           .compute = Compute::f32};
  const LoadOptions options{.load = Load::in_place};
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return VisionModel(std::move(parts));
}

ImagesAndTexts images_and_texts(std::string_view name) {
  const SafetensorsFile file(fixtures / name / "reference.safetensors");
  ImagesAndTexts result;
  if (file.contains("pixel_values")) {
    const AnyTensor pixels = file.tensor("pixel_values");
    result.pixels = Tensor<float, 4>({pixels.extent(0), pixels.extent(1), pixels.extent(2), pixels.extent(3)});
    std::copy_n(pixels.elements<float>().data(), pixels.size(), result.pixels.data());
  }
  if (!file.contains("input_ids")) return result;
  const AnyTensor ids = file.tensor("input_ids"), lengths = file.tensor("lengths");
  auto at = ids.elements<std::int64_t>().begin();
  for (const std::int64_t length : lengths.elements<std::int64_t>()) {
    std::vector<TokenId>& text = result.texts.emplace_back();
    for (std::int64_t i = 0; i < length; ++i) text.push_back(static_cast<TokenId>(*at++));
  }
  return result;
}

}  // namespace weft::testing
