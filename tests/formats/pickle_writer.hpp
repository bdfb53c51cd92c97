#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "zip_writer.hpp"

// Pickles as torch.save writes them, opcode by opcode, and the archives around them.
namespace weft_tests::pickle {

using namespace std::string_literals;

inline std::string text(std::string_view value) {
  std::string out = "X";
  append_numbers(out, static_cast<std::uint32_t>(value.size()));
  return out.append(value);
}
/// An integer of 8 bytes.
inline std::string integer(std::int64_t value) {
  std::string out = "\x8a\x08";
  append_numbers(out, value);
  return out;
}
inline std::string global(std::string_view name) {
  std::string out = "c" + std::string(name) + "\n";
  out[1 + name.find(' ')] = '\n';
  return out;
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline std::string integers(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (const std::int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string out = "}(";
  for (const auto& [key, value] : items) out += text(key) + value;
  return out + "u";
}
inline const std::string ordered_dict = global("collections OrderedDict") + ")R";

inline std::string storage(std::string_view type, std::string_view key, std::int64_t elements) {
  return tuple({text("storage"), global("torch " + std::string(type)), text(key), text("cpu"), integer(elements)}) +
         "Q";
}
inline std::string tensor(const std::string& storage, std::int64_t offset, const std::vector<std::int64_t>& extents,
                          const std::vector<std::int64_t>& strides) {
  return global("torch._utils _rebuild_tensor_v2") +
         tuple({storage, integer(offset), integers(extents), integers(strides), "\x89", ordered_dict}) + "R";
}
inline std::string whole(const std::string& value) { return "\x80\x02" + value + "."; }

/// The files of a checkpoint: a pickle of `value` and the contents of storages by their keys.
inline std::vector<std::pair<std::string, std::string>> archive(
    const std::string& value, const std::vector<std::pair<std::string, std::string>>& storages) {
  std::vector<std::pair<std::string, std::string>> files{{"m/data.pkl", whole(value)}, {"m/byteorder", "little"}};
  for (const auto& [key, content] : storages) files.emplace_back("m/data/" + key, content);
  files.emplace_back("m/version", "3\n");
  return files;
}

}  // namespace weft_tests::pickle
