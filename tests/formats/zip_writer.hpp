#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// ZIP archives as PyTorch writes them, byte by byte, so that tests can write wrong ones too.
namespace weft_tests {

/// Appends the bytes of numbers, little-endian.
template <class... Numbers>
void append_numbers(std::string& out, Numbers... numbers) {
  (out.append(reinterpret_cast<const char*>(&numbers), sizeof numbers), ...);
}

template <class Number>
void overwrite(std::string& out, std::size_t offset, Number number) {
  std::memcpy(out.data() + offset, &number, sizeof number);
}

struct ZipParts {
  std::string bytes;                  ///< the archive, without the hole
  std::size_t hole = 0;               ///< where that is left out
  std::vector<std::size_t> locals;    ///< where the local headers begin
  std::vector<std::size_t> centrals;  ///< where the entries of the central directory begin
  std::size_t directory = 0;
  std::size_t end64 = 0;  ///< the ZIP64 record, where there is one
  std::size_t end = 0;
};

struct ZipOptions {
  bool zip64 = true;         ///< write the ZIP64 records
  bool wide = false;         ///< and the sizes in them alone
  bool sizes_follow = true;  ///< leave the sizes out of the local headers
  std::size_t multiple = 1;  ///< contents begin at a multiple of this
  std::size_t hole = 0;      ///< the content of the first file goes on with so many zeros, which are left out
};

inline ZipParts make_zip(const std::vector<std::pair<std::string, std::string>>& files,
                         const ZipOptions& options = {}) {
  using u16 = std::uint16_t;
  using u32 = std::uint32_t;
  using u64 = std::uint64_t;
  constexpr u32 elsewhere = 0xffffffff;
  ZipParts zip;
  std::string& out = zip.bytes;
  const u16 flags = options.sizes_follow ? u16{0x808} : u16{0x800};
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& [name, content] = files[i];
    zip.locals.push_back(out.size());
    const std::size_t unpadded = out.size() + 30 + name.size() + 4;
    const auto padding = static_cast<u16>((options.multiple - unpadded % options.multiple) % options.multiple);
    const u64 bytes = content.size() + (i == 0 ? options.hole : 0);
    const u32 size = options.sizes_follow ? 0 : options.wide ? elsewhere : static_cast<u32>(bytes);
    append_numbers(out, u32{0x04034b50}, u16{20}, flags, u16{0}, u32{0}, u32{0}, size, size,
                   static_cast<u16>(name.size()), static_cast<u16>(4 + padding));
    out += name;
    append_numbers(out, u16{0x4246}, padding);
    out.append(padding, 'Z');
    out += content;
    if (i == 0) zip.hole = out.size();
    if (!options.sizes_follow) continue;
    append_numbers(out, u32{0x08074b50}, u32{0});
    if (bytes < elsewhere) {
      append_numbers(out, static_cast<u32>(bytes), static_cast<u32>(bytes));
    } else {
      append_numbers(out, bytes, bytes);
    }
  }
  zip.directory = out.size();
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto& [name, content] = files[i];
    zip.centrals.push_back(out.size());
    const u64 bytes = content.size() + (i == 0 ? options.hole : 0);
    const u64 local = zip.locals[i] + (i == 0 ? 0 : options.hole);
    const bool wide_size = options.wide || bytes >= elsewhere, wide_local = options.wide || local >= elsewhere;
    const u32 size = wide_size ? elsewhere : static_cast<u32>(bytes);
    const auto extra = static_cast<u16>((wide_size ? 16 : 0) + (wide_local ? 8 : 0));
    append_numbers(out, u32{0x02014b50}, u16{0}, u16{20}, flags, u16{0}, u32{0}, u32{0}, size, size,
                   static_cast<u16>(name.size()), static_cast<u16>(extra != 0 ? extra + 4 : 0), u16{0}, u16{0}, u16{0},
                   u32{0}, wide_local ? elsewhere : static_cast<u32>(local));
    out += name;
    if (extra != 0) append_numbers(out, u16{1}, extra);
    if (wide_size) append_numbers(out, bytes, bytes);
    if (wide_local) append_numbers(out, local);
  }
  const u64 directory = zip.directory + options.hole;
  const u64 directory_bytes = out.size() - zip.directory;
  if (options.zip64) {
    zip.end64 = out.size();
    append_numbers(out, u32{0x06064b50}, u64{44}, u16{45}, u16{45}, u32{0}, u32{0}, u64{files.size()},
                   u64{files.size()}, directory_bytes, directory);
    append_numbers(out, u32{0x07064b50}, u32{0}, u64{zip.end64 + options.hole}, u32{1});
  }
  zip.end = out.size();
  const auto count = options.wide ? u16{0xffff} : static_cast<u16>(files.size());
  append_numbers(out, u32{0x06054b50}, u16{0}, u16{0}, count, count,
                 options.wide ? elsewhere : static_cast<u32>(directory_bytes),
                 options.wide || directory >= elsewhere ? elsewhere : static_cast<u32>(directory), u16{0});
  return zip;
}

}  // namespace weft_tests
