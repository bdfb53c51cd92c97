#include <weft/models/image_processor.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "vision_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::filesystem::path processor_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "image_processors" / name;
}

ImageProcessorParams read(const std::string& text, std::string_view model_type = "vit") {
  return read_image_processor(parse_json(text, "preprocessor_config.json"), model_type);
}

/// The message of the E that reading throws.
template <class E>
std::string refused(const std::string& text, std::string_view model_type = "vit") {
  return message_of<E>([&] { static_cast<void>(read(text, model_type)); });
}

// -- Every fixture against both implementations of transformers.

class ImageProcessors : public ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Fixtures, ImageProcessors, ::testing::ValuesIn(directory_names(processor_fixture(""))),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST_P(ImageProcessors, MakeOfImagesWhatTheReferenceMakes) {
  const std::filesystem::path directory = processor_fixture(GetParam());
  const SafetensorsFile file(directory / "reference.safetensors");
  const auto saved = load_image_processor(directory, "vit");
  ASSERT_TRUE(saved.has_value());
  EXPECT_EQ(saved->params().backend, ImageBackend::pillow);
  for (const auto& [backend, name] :
       {std::pair{ImageBackend::pillow, "pillow."}, {ImageBackend::torchvision, "torchvision."}}) {
    ImageProcessorParams params = saved->params();
    params.backend = backend;
    const ImageProcessor processor(params);
    for (std::size_t i = 0; i < 4; ++i) {
      SCOPED_TRACE(name + std::to_string(i));
      const AnyTensor image = file.tensor("image." + std::to_string(i));
      const AnyTensor expected = file.tensor(name + std::to_string(i));
      const Tensor<float, 3> pixels = processor(TensorView<const std::uint8_t, 3>(
          image.elements<std::uint8_t>().data(), {image.extent(0), image.extent(1), image.extent(2)}));
      ASSERT_EQ(pixels.shape(), expected.shape());
      EXPECT_EQ(max_difference(pixels.elements(), expected.elements<float>()), 0.f);
    }
  }
}

// -- Configs.

TEST(ImageProcessorConfig, StatesWhatDiffersFromTheClass) {
  const ImageProcessorParams vit = read("{}");
  EXPECT_EQ(vit.size, (ImageSize{224, 224}));
  EXPECT_EQ(vit.filter, ResizeFilter::bilinear);
  EXPECT_FALSE(vit.center_crop);
  EXPECT_EQ(vit.mean, (std::array<float, 3>{0.5f, 0.5f, 0.5f}));
  const ImageProcessorParams deit = read(R"({"feature_extractor_type": "DeiTFeatureExtractor", "size": 232})", "vit");
  EXPECT_EQ(deit.size, (ImageSize{232, 232}));
  EXPECT_EQ(deit.crop, (ImageSize{224, 224}));
  EXPECT_TRUE(deit.center_crop);
  EXPECT_EQ(deit.filter, ResizeFilter::bicubic);
  const ImageProcessorParams clip = read(R"({"crop_size": 30, "size": 32, "resample": 2})", "clip_vision_model");
  EXPECT_EQ(clip.shortest_edge, 32u);
  EXPECT_EQ(clip.crop, (ImageSize{30, 30}));
  EXPECT_EQ(clip.filter, ResizeFilter::bilinear);
  EXPECT_FLOAT_EQ(clip.mean[0], 0.48145466f);
  EXPECT_EQ(read(R"({"size": 32, "default_to_square": true})", "clip").size, (ImageSize{32, 32}));
  EXPECT_EQ(read(R"({"size": 32, "default_to_square": false})", "vit").shortest_edge, 32u);
  const ImageProcessorParams siglip =
      read(R"({"image_processor_type": "SiglipImageProcessor", "size": {"height": 8, "width": 9}, "do_normalize": false,
               "rescale_factor": 0.5, "do_resize": null})");
  EXPECT_EQ(siglip.size, (ImageSize{8, 9}));
  EXPECT_TRUE(siglip.resize);
  EXPECT_FALSE(siglip.normalize);
  EXPECT_EQ(siglip.rescale_factor, 0.5);
}

TEST(ImageProcessorConfig, NamesTheImplementation) {
  EXPECT_EQ(read("{}").backend, ImageBackend::pillow);
  EXPECT_EQ(read(R"({"image_processor_type": "ViTImageProcessor"})").backend, ImageBackend::pillow);
  EXPECT_EQ(read(R"({"image_processor_type": "ViTImageProcessorPil"})").backend, ImageBackend::pillow);
  EXPECT_EQ(read(R"({"image_processor_type": "CLIPImageProcessorFast", "data_format": "channels_first",
                     "default_to_square": false, "device": null, "disable_grouping": null})")
                .backend,
            ImageBackend::torchvision);
}

TEST(ImageProcessorConfig, RefusesWhatIsNotSupported) {
  EXPECT_THAT(refused<UnsupportedError>(R"({"image_processor_type": "BitImageProcessor"})"),
              HasSubstr("image processors of type \"BitImageProcessor\" are not supported"));
  EXPECT_THAT(refused<UnsupportedError>(R"({"image_processor_type": "ViT"})"), HasSubstr("of type \"ViT\""));
  EXPECT_THAT(refused<UnsupportedError>("{}", "swin"), HasSubstr("of type \"swin\""));
  EXPECT_THAT(refused<UnsupportedError>(R"({"resample": 1})"),
              AllOf(HasSubstr("preprocessor_config.json: resample"), HasSubstr("the filter 1 is not supported")));
  EXPECT_THAT(refused<UnsupportedError>(R"({"do_flip_channel_order": true})"), HasSubstr("do_flip_channel_order"));
  EXPECT_THAT(refused<UnsupportedError>(R"({"size": {"shortest_edge": 9, "longest_edge": 12}})"),
              HasSubstr("size.longest_edge"));
  EXPECT_THAT(refused<UnsupportedError>(R"({"crop_size": {"height": 9, "width": 9, "depth": 9}})"),
              HasSubstr("crop_size.depth"));
  EXPECT_THAT(refused<UnsupportedError>(R"({"image_mean": [0.5]})"), HasSubstr("expected 3 numbers"));
  EXPECT_THAT(refused<ConfigError>(R"({"image_std": [0.5, 0, 0.5]})"), HasSubstr("image_std has a zero"));
  EXPECT_THAT(refused<ConfigError>(R"({"rescale_factor": 0})"), HasSubstr("rescale_factor is zero"));
  EXPECT_THAT(refused<ConfigError>(R"({"do_center_crop": true})"), HasSubstr("there is no crop_size"));
  EXPECT_THAT(refused<ConfigError>(R"({"size": {"height": 9}})"), HasSubstr("\"width\" is missing"));
  EXPECT_THAT(refused<ConfigError>(R"({"size": 0})"), HasSubstr("expected a number from 1"));
  EXPECT_THAT(refused<FormatError>(R"({"size": "large"})"), HasSubstr("expected an object, found a string"));
}

TEST(ImageProcessorConfig, IsNestedInThatOfTheProcessor) {
  const VisionCopy copy("clip");
  const auto size = [&] { return load_image_processor(copy.path(), "clip")->params().shortest_edge; };
  EXPECT_EQ(size(), 12u);
  copy.write("processor_config.json", R"({"processor_class": "CLIPProcessor"})");
  EXPECT_EQ(size(), 12u);
  copy.write("processor_config.json",
             R"({"image_processor": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 20}}})");
  EXPECT_EQ(size(), 20u);
  copy.remove("processor_config.json");
  copy.remove("preprocessor_config.json");
  EXPECT_FALSE(load_image_processor(copy.path(), "clip").has_value());
}

// -- Images.

TEST(ImageProcessorSizes, AreThoseOfTheReference) {
  const ImageProcessor clip(read(R"({"size": {"shortest_edge": 10}, "do_center_crop": false})", "clip"));
  EXPECT_EQ(clip.output_size({20, 33}), (ImageSize{10, 16}));
  EXPECT_EQ(clip.output_size({33, 20}), (ImageSize{16, 10}));
  EXPECT_EQ(clip.output_size({7, 7}), (ImageSize{10, 10}));
  const ImageProcessor none(read(R"({"do_resize": false})"));
  EXPECT_EQ(none.output_size({3, 4}), (ImageSize{3, 4}));
}

TEST(ImageProcessorImages, MustHaveThreeChannelsAndPixels) {
  const ImageProcessor vit(read(R"({"size": {"height": 4, "width": 4}})"));
  const Tensor<std::uint8_t, 3> grey({5, 5, 1}), none({0, 5, 3}), image({5, 5, 3});
  EXPECT_THROW(vit(grey), ShapeError);
  EXPECT_THROW(vit(none), ShapeError);
  Tensor<float, 3> pixels({3, 4, 5});
  EXPECT_THROW(vit(image, pixels), ShapeError);
}

}  // namespace
