#include "read_image.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#include <stb/stb_image.h>

weft::Tensor<std::uint8_t, 3> read_image(const std::string& path) {
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> bytes(stbi_load(path.c_str(), &width, &height, &channels, 3),
                                                        stbi_image_free);
  if (!bytes) weft::raise<weft::FormatError>(path, ": no PNG or JPEG image (", stbi_failure_reason(), ")");
  weft::Tensor<std::uint8_t, 3> image({static_cast<std::size_t>(height), static_cast<std::size_t>(width), 3});
  std::copy_n(bytes.get(), image.size(), image.data());
  return image;
}
