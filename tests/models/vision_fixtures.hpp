#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/models/load_vision.hpp>
#include <weft/models/text_pass.hpp>
#include <weft/models/vision_pass.hpp>

#include "fixtures.hpp"

// The models of tests/fixtures/vision and what the reference implementation computed with them
// (tests/reference/README.md).
namespace weft_tests {

inline std::filesystem::path vision_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "vision" / name;
}

inline std::vector<std::string> vision_fixture_names() { return directory_names(vision_fixture("")); }
/// Those whose reference has a tensor: pixel_values, input_ids.
inline std::vector<std::string> vision_fixtures_with(std::string_view tensor) {
  std::vector<std::string> names = vision_fixture_names();
  std::erase_if(names, [&](const std::string& name) {
    return !weft::SafetensorsFile(vision_fixture(name) / "reference.safetensors").contains(tensor);
  });
  return names;
}

/// The images and texts of a fixture and what the reference implementation said of them.
class VisionReference {
 public:
  explicit VisionReference(std::string_view name) : file_(vision_fixture(name) / "reference.safetensors") {
    if (has("pixel_values")) pixels_ = tensor("pixel_values");
    if (has("resized_pixel_values")) resized_ = tensor("resized_pixel_values");
    if (!has("input_ids")) return;
    const weft::AnyTensor ids = tensor("input_ids"), lengths = tensor("lengths");
    std::size_t begin = 0;
    for (const std::int64_t length : lengths.elements<std::int64_t>()) {
      std::vector<weft::TokenId>& text = texts_.emplace_back();
      for (std::int64_t i = 0; i < length; ++i)
        text.push_back(static_cast<weft::TokenId>(ids.elements<std::int64_t>()[begin++]));
    }
  }

  /// (images, channels, height, width)
  weft::TensorView<const float, 4> pixels() const { return images_of(pixels_); }
  /// Those of another size.
  weft::TensorView<const float, 4> resized_pixels() const { return images_of(resized_); }
  const std::vector<std::vector<weft::TokenId>>& texts() const noexcept { return texts_; }
  bool has(std::string_view name) const { return file_.contains(name); }
  weft::AnyTensor tensor(std::string_view name) const { return file_.tensor(name); }

 private:
  static weft::TensorView<const float, 4> images_of(const weft::AnyTensor& tensor) {
    return {tensor.elements<float>().data(), {tensor.extent(0), tensor.extent(1), tensor.extent(2), tensor.extent(3)}};
  }

  weft::SafetensorsFile file_;
  weft::AnyTensor pixels_, resized_;
  std::vector<std::vector<weft::TokenId>> texts_;
};

/// A copy of a fixture whose files a test may change.
class VisionCopy : public DirectoryCopy {
 public:
  explicit VisionCopy(std::string_view name = "vit") : DirectoryCopy(vision_fixture(name)) {}

  weft::VisionModel load(weft::LoadOptions options = {},
                         std::span<const weft::VisionArchitecture* const> architectures = {}) const {
    if (options.threads == 0) options.threads = 1;
    return weft::load_vision(path(), options, architectures);
  }
};

/// The rows of a tensor as a test compares them.
inline std::vector<float> values_of(weft::TensorView<const float, 2> x) {
  std::vector<float> values;
  for (std::size_t i = 0; i < x.extent(0); ++i) values.insert(values.end(), &x(i, 0), &x(i, 0) + x.extent(1));
  return values;
}

/// Everything that a model says of some images and texts, one after the other.
inline std::vector<float> all_outputs(const weft::VisionModel& model, const VisionReference& reference) {
  const weft::VisionConfig& c = model.config();
  std::vector<float> said;
  const auto ask = [&](bool there, std::size_t rows, std::size_t width, auto part) {
    if (!there) return;
    weft::Tensor<float, 2> y({rows, width});
    part(y);
    said.insert(said.end(), y.data(), y.data() + y.size());
  };
  if (c.has_images()) {
    weft::VisionPass pass(model);
    said = values_of(pass.forward(reference.pixels()));
    const std::size_t images = pass.images();
    const bool pooled =
        c.pooling == weft::ImagePooling::dense ? bool(model.weights().pooler) : c.pooling != weft::ImagePooling::none;
    ask(pooled, images, model.features(), [&](auto& y) { pass.features(y); });
    ask(c.classifier != weft::ImageClassifier::none, images, c.classes, [&](auto& y) { pass.classify(y); });
  }
  if (!c.has_text()) return said;
  weft::TextPass texts(model);
  const std::vector<float> hidden = values_of(texts.forward(reference.texts()));
  said.insert(said.end(), hidden.begin(), hidden.end());
  ask(true, texts.texts(), c.projection, [&](auto& y) { texts.features(y); });
  return said;
}

}  // namespace weft_tests
