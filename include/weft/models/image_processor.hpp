#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/core/tensor.hpp>
#include <weft/cpu/context.hpp>
#include <weft/formats/json.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/ops/resize.hpp>

namespace weft::inline v0 {

/// Which of transformers' two implementations of every image processor is followed; both are matched to the bit. The
/// first resizes with Pillow and calculates with NumPy: ViTImageProcessor, CLIPFeatureExtractor and so on up to
/// transformers 4, and the classes ending in Pil since. The second is built on torchvision: ViTImageProcessorFast and
/// so on up to transformers 4, ViTImageProcessor and so on in 5. Bytes after resizing differ by one as a rule, and
/// where an odd number of pixels is missing from a crop, it lies one pixel apart.
///
/// A config that names a class ending in Fast means the second; any other is taken to mean the first, although
/// transformers 5 runs the second on it where torchvision is installed. A program that wants that sets
/// ImageProcessorParams::backend.
enum class ImageBackend : unsigned char { pillow, torchvision };

struct ImageSize {
  std::size_t height = 0;
  std::size_t width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// What a preprocessor_config.json says is done with an image, in this order.
struct ImageProcessorParams {
  ImageBackend backend;
  bool resize = true;
  ImageSize size{};               ///< what it is resized to, where shortest_edge is 0
  std::size_t shortest_edge = 0;  ///< of what it is resized to, which keeps its aspect ratio
  ResizeFilter filter = ResizeFilter::bilinear;
  bool center_crop = false;
  ImageSize crop{};  ///< the middle of the image; what is beyond its edges is 0
  bool rescale = true;
  double rescale_factor = 1.0 / 255.0;
  bool normalize = true;
  std::array<float, 3> mean{};  ///< subtracted from what was rescaled
  std::array<float, 3> std{};   ///< what that is divided by
};

/// Makes what image models take of an image: resizes, crops, rescales and normalises it (transformers,
/// image_processing_backends.py). Immutable.
class ImageProcessor {
 public:
  explicit ImageProcessor(const ImageProcessorParams& params) : params_(params) {
    for (std::size_t channel = 0; channel < 3; ++channel)
      for (std::size_t level = 0; level < 256; ++level) values_[channel][level] = value_of(channel, level);
  }

  const ImageProcessorParams& params() const noexcept { return params_; }

  /// The size of what is made of an image of some size.
  ImageSize output_size(ImageSize image) const noexcept {
    return params_.center_crop ? params_.crop : params_.resize ? resized_size(image) : image;
  }

  /// image: (height, width, 3) red, green and blue, contiguous. pixels: (3, height, width) as output_size() says.
  /// Throws ShapeError for other shapes and for an image without pixels.
  void operator()(TensorView<const std::uint8_t, 3> image, TensorView<float, 3> pixels,
                  const cpu::Context& ctx = {}) const {
    detail::require_extent("ImageProcessor", "the number of channels", image.extent(2), 3);
    if (image.empty()) raise<ShapeError>("ImageProcessor: an image of shape ", to_string(image.extents()));
    const ImageSize size{image.extent(0), image.extent(1)}, made = output_size(size);
    detail::require_shape("ImageProcessor", "pixels", pixels.extents(), Dims<3>{3, made.height, made.width});
    const ImageSize resized = params_.resize ? resized_size(size) : size;
    if (resized == size) return fill(image, pixels);
    auto bytes = Tensor<std::uint8_t, 3>::uninitialised({resized.height, resized.width, 3});
    const bool pillow = params_.backend == ImageBackend::pillow;
    weft::resize(image, bytes,
                 {.filter = params_.filter, .rounding = pillow ? ResizeRounding::pillow : ResizeRounding::torch}, ctx);
    fill(bytes.view(), pixels);
  }
  /// The same as a new tensor (3, height, width).
  Tensor<float, 3> operator()(TensorView<const std::uint8_t, 3> image, const cpu::Context& ctx = {}) const {
    const ImageSize size = output_size({image.extent(0), image.extent(1)});
    auto pixels = Tensor<float, 3>::uninitialised({3, size.height, size.width});
    (*this)(image, pixels, ctx);
    return pixels;
  }

 private:
  ImageSize resized_size(ImageSize image) const noexcept {
    const std::size_t edge = params_.shortest_edge;
    if (edge == 0) return params_.size;
    const bool upright = image.width <= image.height;
    const std::size_t shorter = std::max<std::size_t>(1, std::min(image.height, image.width));
    const std::size_t other = edge * std::max(image.height, image.width) / shorter;
    return upright ? ImageSize{other, edge} : ImageSize{edge, other};
  }

  /// What becomes of a byte.
  float value_of(std::size_t channel, std::size_t level) const noexcept {
    const ImageProcessorParams& p = params_;
    float value = static_cast<float>(level), mean = p.mean[channel], deviation = p.std[channel];
    if (p.rescale && p.backend == ImageBackend::pillow) {
      value = static_cast<float>(static_cast<double>(level) * p.rescale_factor);
    } else if (p.rescale && p.normalize) {
      mean *= static_cast<float>(1.0 / p.rescale_factor);
      deviation *= static_cast<float>(1.0 / p.rescale_factor);
    } else if (p.rescale) {
      value *= static_cast<float>(p.rescale_factor);
    }
    return p.normalize ? (value - mean) / deviation : value;
  }

  /// Where along an edge the crop begins, which is below 0 where the image is smaller; of an odd rest, Pillow's has one
  /// more pixel there, torchvision's one less.
  std::ptrdiff_t crop_begin(std::size_t image, std::size_t crop) const noexcept {
    const auto rest = static_cast<std::ptrdiff_t>(image) - static_cast<std::ptrdiff_t>(crop);
    return params_.backend == ImageBackend::pillow ? (rest - (rest < 0 ? 1 : 0)) / 2 : rest / 2;
  }

  void fill(TensorView<const std::uint8_t, 3> image, TensorView<float, 3> pixels) const {
    const std::size_t height = image.extent(0), width = image.extent(1);
    const std::ptrdiff_t top = crop_begin(height, pixels.extent(1)), left = crop_begin(width, pixels.extent(2));
    for (std::size_t channel = 0; channel < 3; ++channel)
      for (std::size_t y = 0; y < pixels.extent(1); ++y)
        for (std::size_t x = 0; x < pixels.extent(2); ++x) {
          // What is before the first pixel wraps around to what is far beyond the last.
          const std::size_t row = y + static_cast<std::size_t>(top), column = x + static_cast<std::size_t>(left);
          const std::size_t level = row < height && column < width ? image(row, column, channel) : 0;
          pixels(channel, y, x) = values_[channel][level];
        }
  }

  ImageProcessorParams params_;
  std::array<std::array<float, 256>, 3> values_{};
};

namespace detail {

/// What the processors of a family do where their config does not say.
struct ImageProcessorFamily {
  std::string_view name;        // ViT of ViTImageProcessor
  std::string_view model_type;  // and of its image tower, with _vision_model behind it
  ImageProcessorParams params;
  bool square;  // what one number as "size" means: both edges, or the shortest
};

inline constexpr std::array<float, 3> halves{0.5f, 0.5f, 0.5f};
inline constexpr auto image_processor_families = std::to_array<ImageProcessorFamily>({
    {"ViT",
     "vit",
     {.backend = {}, .size = {224, 224}, .filter = ResizeFilter::bilinear, .mean = halves, .std = halves},
     true},
    {"DeiT",
     "deit",
     {.backend = {},
      .size = {256, 256},
      .filter = ResizeFilter::bicubic,
      .center_crop = true,
      .crop = {224, 224},
      .mean = halves,
      .std = halves},
     true},
    {"CLIP",
     "clip",
     {.backend = {},
      .shortest_edge = 224,
      .filter = ResizeFilter::bicubic,
      .center_crop = true,
      .crop = {224, 224},
      .mean = {0.48145466f, 0.4578275f, 0.40821073f},
      .std = {0.26862954f, 0.26130258f, 0.27577711f}},
     false},
    {"Siglip",
     "siglip",
     {.backend = {}, .size = {224, 224}, .filter = ResizeFilter::bicubic, .mean = halves, .std = halves},
     false},
});

/// Keys that do not change what is made of red, green and blue bytes.
inline constexpr auto image_processor_ignored_keys = std::to_array<std::string_view>(
    {"do_convert_rgb", "processor_class", "image_processor_type", "feature_extractor_type", "data_format", "device",
     "disable_grouping", "input_data_format", "return_tensors", "model_input_names", "auto_map"});

/// The family by the class that the config names, or by the type of the model.
inline const ImageProcessorFamily& find_image_processor(const Json& config, std::string_view model_type,
                                                        ImageBackend& backend) {
  const Json* type = config.given("image_processor_type");
  if (!type) type = config.given("feature_extractor_type");
  std::string_view name = type ? type->as_string() : model_type;
  backend = ImageBackend::pillow;
  const auto ends = [&](std::string_view ending) {
    const bool found = name.ends_with(ending);
    if (found) name.remove_suffix(ending.size());
    return found;
  };
  if (type && ends("Fast")) backend = ImageBackend::torchvision;
  if (type && !ends("ImageProcessor") && !ends("FeatureExtractor") && !ends("ImageProcessorPil")) name = {};
  if (!type) ends("_vision_model");
  for (const ImageProcessorFamily& family : image_processor_families)
    if (name == (type ? family.name : family.model_type)) return family;
  raise<UnsupportedError>(type ? type->location() : config.location(), ": image processors of type \"",
                          type ? type->as_string() : model_type,
                          "\" are not supported (ViT, DeiT, CLIP and Siglip are)");
}

/// A size as {"height": 224, "width": 224}, as {"shortest_edge": 224} where that may be, or, in older files, as 224,
/// which then means both edges where `square`, otherwise the shortest.
inline void read_image_size(ConfigReader& config, std::string_view key, bool square, ImageSize& size,
                            std::size_t* shortest_edge) {
  const Json* value = config.optional(key);
  if (!value) return;
  size = {};
  if (shortest_edge) *shortest_edge = 0;
  if (value->is_number()) {
    const std::size_t edge = config.positive(key);
    if (square || !shortest_edge) {
      size = {edge, edge};
    } else {
      *shortest_edge = edge;
    }
    return;
  }
  ConfigReader reader(*value);
  if (shortest_edge && reader.optional("shortest_edge")) {
    *shortest_edge = reader.positive("shortest_edge");
  } else {
    size = {reader.positive("height"), reader.positive("width")};
  }
  reader.finish({});
}

inline void read_channels(ConfigReader& config, std::string_view key, std::array<float, 3>& channels) {
  const Json* value = config.optional(key);
  if (!value) return;
  const std::vector<float> numbers = config.numbers(key);
  if (numbers.size() != channels.size())
    raise<UnsupportedError>(value->location(), ": expected 3 numbers, one for each of red, green and blue, found ",
                            numbers.size());
  std::copy(numbers.begin(), numbers.end(), channels.begin());
}

}  // namespace detail

/// The content of a preprocessor_config.json. model_type: that of the model, for a config that names no class. What the
/// config does not state is as in the class. Throws UnsupportedError naming a class, key or filter that is not
/// supported, ConfigError for values that make no sense, FormatError for values of another type.
inline ImageProcessorParams read_image_processor(const Json& object, std::string_view model_type) {
  ImageBackend backend{};
  const detail::ImageProcessorFamily& family = detail::find_image_processor(object, model_type, backend);
  ImageProcessorParams p = family.params;
  p.backend = backend;
  ConfigReader config(object);
  p.resize = config.flag_or("do_resize", p.resize);
  p.center_crop = config.flag_or("do_center_crop", p.center_crop);
  p.rescale = config.flag_or("do_rescale", p.rescale);
  p.normalize = config.flag_or("do_normalize", p.normalize);
  const bool square = config.flag_or("default_to_square", family.square);
  detail::read_image_size(config, "size", square, p.size, &p.shortest_edge);
  detail::read_image_size(config, "crop_size", true, p.crop, nullptr);
  if (const Json* factor = config.optional("rescale_factor")) p.rescale_factor = factor->as_double();
  if (const Json* filter = config.optional("resample")) {
    if (filter->as_int() != 2 && filter->as_int() != 3)
      raise<UnsupportedError>(filter->location(), ": the filter ", filter->as_int(),
                              " is not supported (2, bilinear, and 3, bicubic, are)");
    p.filter = filter->as_int() == 2 ? ResizeFilter::bilinear : ResizeFilter::bicubic;
  }
  detail::read_channels(config, "image_mean", p.mean);
  detail::read_channels(config, "image_std", p.std);
  config.finish(detail::image_processor_ignored_keys);
  if (p.center_crop && p.crop == ImageSize{}) raise<ConfigError>(object.location(), ": there is no crop_size");
  for (const float deviation : p.std)
    if (p.normalize && deviation == 0.f) raise<ConfigError>(object.location(), ": image_std has a zero");
  if (p.rescale && p.rescale_factor == 0.0) raise<ConfigError>(object.location(), ": rescale_factor is zero");
  return p;
}

/// The image processor of a directory: what processor_config.json says under "image_processor", else
/// preprocessor_config.json; nothing where neither is there. Throws what read_image_processor() throws.
inline std::optional<ImageProcessor> load_image_processor(const std::filesystem::path& directory,
                                                          std::string_view model_type) {
  for (const char* name : {"processor_config.json", "preprocessor_config.json"}) {
    const std::filesystem::path path = directory / name;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) continue;
    const Json config = parse_json_file(path.string());
    if (name == std::string_view("preprocessor_config.json"))
      return ImageProcessor(read_image_processor(config, model_type));
    if (const Json* nested = config.as_object().given("image_processor"))
      return ImageProcessor(read_image_processor(*nested, model_type));
  }
  return std::nullopt;
}

}  // namespace weft::inline v0
