#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/models/vision.hpp>

// Models of tests/fixtures/vision on the CPU, compiled by the C++ compiler, and without tokenizers, as cpu_decoder.hpp
// has decoders.
namespace weft::testing {

/// The names of all fixtures, sorted.
std::vector<std::string> vision_names();
/// The families of the registry.
std::vector<std::string> vision_families();
/// One of the fixtures, its matrices where the file has them.
VisionModel load_vision_fixture(std::string_view name);

/// What a fixture is about; one of them may be empty.
struct ImagesAndTexts {
  Tensor<float, 4> pixels;  // (images, channels, height, width)
  std::vector<std::vector<TokenId>> texts;
};
ImagesAndTexts images_and_texts(std::string_view name);

}  // namespace weft::testing
