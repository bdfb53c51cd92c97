#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_value.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

namespace detail {

/// "-00002-of-00005.gguf": what the name of the file `number` (from 1) of `count` ends with.
inline std::string gguf_split_ending(std::size_t number, std::size_t count) {
  return shard_number(number, count) + ".gguf";
}

inline std::size_t gguf_split_value(const GgufFile& file, std::string_view key, std::size_t fallback) {
  const GgufValue* value = file.find_value(key);
  return value ? value->as_size() : fallback;
}

}  // namespace detail

/// All files of a model that is in one GGUF file, or in several that say so under split.count; the first holds the
/// metadata. `path` is the first: its name ends with "-00001-of-00005.gguf", those of the others lie beside it. Throws
/// FormatError where a file is missing or another than its place asks for, and what GgufFile throws.
inline std::vector<std::shared_ptr<const GgufFile>> open_gguf(const std::filesystem::path& path) {
  std::vector<std::shared_ptr<const GgufFile>> files{std::make_shared<const GgufFile>(path)};
  const std::size_t count = detail::gguf_split_value(*files[0], "split.count", 0);
  if (count <= 1) return files;
  const std::string name = path.string();
  const std::string ending = detail::gguf_split_ending(1, count);
  if (detail::gguf_split_value(*files[0], "split.no", 0) != 0 || !name.ends_with(ending))
    raise<FormatError>(name, ": one of ", count, " files; expected the first, whose name ends with ", ending);
  std::size_t tensors = files[0]->entries().size();
  for (std::size_t i = 1; i < count; ++i) {
    const std::string other = name.substr(0, name.size() - ending.size()) + detail::gguf_split_ending(i + 1, count);
    std::error_code ignored;
    if (!std::filesystem::exists(other, ignored)) raise<FormatError>(name, ": the file ", other, " is missing");
    files.push_back(std::make_shared<const GgufFile>(other));
    const GgufFile& file = *files.back();
    if (file.value("split.no").as_size() != i || file.value("split.count").as_size() != count)
      raise<FormatError>(file.value("split.no").location(), ": found file ", file.value("split.no").as_size(), " of ",
                         file.value("split.count").as_size(), ", expected ", i, " of ", count);
    tensors += file.entries().size();
  }
  const std::size_t expected = detail::gguf_split_value(*files[0], "split.tensors.count", tensors);
  if (tensors != expected)
    raise<FormatError>(name, ": the files hold ", tensors, " tensors, split.tensors.count says ", expected);
  return files;
}

}  // namespace weft::inline v0
