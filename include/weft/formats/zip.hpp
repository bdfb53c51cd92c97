#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/utf8.hpp>

namespace weft::inline v0 {

static_assert(std::endian::native == std::endian::little, "archives are used in place: little-endian machines only");

/// One file inside a ZIP archive.
struct ZipEntry {
  std::string_view name;   ///< lies in the archive
  std::size_t offset = 0;  ///< of the first byte of the content, from the start of the archive
  std::size_t bytes = 0;
};

/// A ZIP archive whose entries are stored without compression (PKWARE APPNOTE.TXT 6.3.10, ZIP64 included): what PyTorch
/// saves checkpoints in. A path is mapped and memory is used in place, other sources are read as a whole.
///
/// Opening checks the central directory against the local headers: FormatError names the file, the entry, the byte,
/// what was found and what was expected. Entries may not overlap, leave the file or share a name; the directory must
/// end where the records after it begin, and the archive with the file. UnsupportedError refuses compressed and
/// encrypted entries, archives in several parts and archive comments. Checksums are not computed.
class ZipArchive {
 public:
  explicit ZipArchive(const std::filesystem::path& path) : ZipArchive(Source::file(path.string())) {}
  explicit ZipArchive(Source source)
      : path_(source.name()), source_(std::move(source)), bytes_(source_.bytes(0, source_.size())) {
    read_directory(find_directory());
    check_layout();
    std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    const auto twice = std::adjacent_find(entries_.begin(), entries_.end(),
                                          [](const ZipEntry& a, const ZipEntry& b) { return a.name == b.name; });
    if (twice != entries_.end()) raise<FormatError>(path_, ": two entries are named ", shown(twice->name));
  }

  const std::string& path() const noexcept { return path_; }
  /// The whole archive, and what keeps everything in it alive. Throws FormatError where a mapped file was shortened.
  const Source::Bytes& bytes() const {
    source_.check_whole();
    return bytes_;
  }
  /// The entries in the order of their names.
  std::span<const ZipEntry> entries() const noexcept { return entries_; }
  /// The entry of that name, or null.
  const ZipEntry* find(std::string_view name) const noexcept {
    const auto found = std::lower_bound(entries_.begin(), entries_.end(), name,
                                        [](const ZipEntry& entry, std::string_view n) { return entry.name < n; });
    return found != entries_.end() && found->name == name ? &*found : nullptr;
  }
  std::span<const std::byte> content(const ZipEntry& entry) const noexcept {
    return bytes_.span.subspan(entry.offset, entry.bytes);
  }
  std::string_view text(const ZipEntry& entry) const noexcept {
    return {reinterpret_cast<const char*>(content(entry).data()), entry.bytes};
  }

  /// Has the system read a part of the archive that is wanted soon.
  void fetch(std::size_t offset, std::size_t bytes, const std::stop_token& stop) const noexcept {
    source_.fetch(offset, bytes, stop);
  }
  /// Lets go of the memory of a part of the archive that is not wanted soon; touching it reads it again.
  void release(std::span<const std::byte> part) const noexcept { source_.release(part); }

 private:
  // Signatures of the records, and their sizes without what varies.
  static constexpr std::uint32_t local_signature = 0x04034b50;
  static constexpr std::uint32_t central_signature = 0x02014b50;
  static constexpr std::uint32_t end_signature = 0x06054b50;
  static constexpr std::uint32_t end64_signature = 0x06064b50;
  static constexpr std::uint32_t locator64_signature = 0x07064b50;
  static constexpr std::size_t local_bytes = 30;
  static constexpr std::size_t central_bytes = 46;
  static constexpr std::size_t end_bytes = 22;
  static constexpr std::size_t end64_bytes = 56;
  static constexpr std::size_t locator64_bytes = 20;
  static constexpr std::uint32_t in_zip64 = 0xffffffff;  // the field is in a ZIP64 record

  static constexpr std::uint16_t flag_sizes_follow = 1u << 3;
  static constexpr std::uint16_t flag_utf8 = 1u << 11;

  struct Directory {
    std::size_t begin;
    std::size_t end;
    std::size_t entries;
  };

  /// The fields of an entry in the central directory.
  struct Central {
    std::uint16_t flags;
    std::uint16_t method;
    std::uint64_t stored;
    std::uint64_t bytes;
    std::uint64_t header;
  };

  template <class T>
  T read(std::size_t offset) const noexcept {
    T value{};
    std::memcpy(&value, bytes_.span.data() + offset, sizeof value);
    return value;
  }
  std::string_view read_text(std::size_t offset, std::size_t bytes) const noexcept {
    return {reinterpret_cast<const char*>(bytes_.span.data()) + offset, bytes};
  }
  /// Whether a record of that signature and size lies before `end`.
  bool is_record(std::size_t offset, std::size_t bytes, std::uint32_t signature, std::size_t end) const noexcept {
    return offset <= end && bytes <= end - offset && read<std::uint32_t>(offset) == signature;
  }
  static std::string shown(std::string_view name) {
    std::string printable;
    append_repaired(name.substr(0, 200), true, printable);
    return printable;
  }

  /// The end records: the plain one is the end of the file, and the ZIP64 ones before it win where they are.
  Directory find_directory() const {
    const std::size_t size = bytes_.span.size();
    if (size < end_bytes || read<std::uint32_t>(size - end_bytes) != end_signature)
      raise<FormatError>(path_, ": not a ZIP archive, or truncated: byte ", size < end_bytes ? 0 : size - end_bytes,
                         ": expected the end of a central directory");
    const std::size_t at = size - end_bytes;
    if (read<std::uint16_t>(at + 20) != 0)
      raise<FormatError>(path_, ": byte ", at + 20, ": found an archive comment of ", read<std::uint16_t>(at + 20),
                         " bytes after the end of the file");
    if (read<std::uint16_t>(at + 4) != 0 || read<std::uint16_t>(at + 6) != 0)
      raise<UnsupportedError>(path_, ": byte ", at + 4, ": archives in several parts are not supported");
    std::uint64_t entries = read<std::uint16_t>(at + 10);
    std::uint64_t bytes = read<std::uint32_t>(at + 12);
    std::uint64_t begin = read<std::uint32_t>(at + 16);
    std::size_t end = at;
    if (at >= locator64_bytes && read<std::uint32_t>(at - locator64_bytes) == locator64_signature) {
      const std::size_t locator = at - locator64_bytes;
      const std::uint64_t record = read<std::uint64_t>(locator + 8);
      if (record > locator || !is_record(record, end64_bytes, end64_signature, locator))
        raise<FormatError>(path_, ": byte ", locator + 8, ": there is no ZIP64 record at byte ", record);
      if (read<std::uint32_t>(record + 16) != 0 || read<std::uint32_t>(record + 20) != 0)
        raise<UnsupportedError>(path_, ": byte ", record + 16, ": archives in several parts are not supported");
      const auto agree = [&](std::uint64_t plain, std::uint64_t sentinel, std::uint64_t wide, const char* what) {
        if (plain != sentinel && plain != wide)
          raise<FormatError>(path_, ": byte ", at, ": ", what, " is ", plain, ", the ZIP64 record says ", wide);
        return wide;
      };
      entries = agree(entries, 0xffff, read<std::uint64_t>(record + 32), "the number of entries");
      bytes = agree(bytes, in_zip64, read<std::uint64_t>(record + 40), "the size of the central directory");
      begin = agree(begin, in_zip64, read<std::uint64_t>(record + 48), "the start of the central directory");
      end = record;
    }
    if (begin > end || bytes != end - begin)
      raise<FormatError>(path_, ": byte ", at, ": the central directory is said to take ", bytes, " bytes from byte ",
                         begin, " on, but the record after it begins at byte ", end);
    if (entries > bytes / central_bytes)
      raise<FormatError>(path_, ": byte ", at, ": ", entries, " entries do not fit in a central directory of ", bytes,
                         " bytes");
    return {.begin = begin, .end = end, .entries = entries};
  }

  void read_directory(const Directory& directory) {
    entries_.reserve(directory.entries);
    begins_.reserve(directory.entries);
    std::size_t at = directory.begin;
    for (std::size_t i = 0; i < directory.entries; ++i) {
      if (!is_record(at, central_bytes, central_signature, directory.end))
        raise<FormatError>(path_, ": byte ", at, ": expected entry ", i, " of the central directory");
      const std::size_t name = read<std::uint16_t>(at + 28);
      const std::size_t extra = read<std::uint16_t>(at + 30);
      const std::size_t comment = read<std::uint16_t>(at + 32);
      if (name + extra + comment > directory.end - at - central_bytes)
        raise<FormatError>(path_, ": byte ", at, ": entry ", i, " leaves the central directory");
      Central central{.flags = read<std::uint16_t>(at + 8),
                      .method = read<std::uint16_t>(at + 10),
                      .stored = read<std::uint32_t>(at + 20),
                      .bytes = read<std::uint32_t>(at + 24),
                      .header = read<std::uint32_t>(at + 42)};
      const std::string_view called = read_text(at + central_bytes, name);
      widen(central, at + central_bytes + name, extra, called);
      add(central, called, at, directory.begin);
      at += central_bytes + name + extra + comment;
    }
    if (at != directory.end)
      raise<FormatError>(path_, ": byte ", at, ": the central directory has more bytes than its ", directory.entries,
                         " entries");
  }

  /// Takes the fields that do not fit in 32 bits from the ZIP64 part (id 1) of an entry's extra bytes.
  void widen(Central& central, std::size_t at, std::size_t bytes, std::string_view name) const {
    const std::size_t end = at + bytes;
    while (end - at >= 4) {
      const std::uint16_t id = read<std::uint16_t>(at);
      const std::size_t length = read<std::uint16_t>(at + 2);
      at += 4;
      if (length > end - at) break;
      std::size_t field = at;
      at += length;
      if (id != 1) continue;
      for (std::uint64_t* value : {&central.bytes, &central.stored, &central.header}) {
        if (*value != in_zip64) continue;
        if (at - field < sizeof *value) return;
        *value = read<std::uint64_t>(field);
        field += sizeof *value;
      }
      return;
    }
    if (at != end) raise<FormatError>(path_, ": byte ", at, ": entry ", shown(name), ": malformed extra bytes");
  }

  void add(const Central& central, std::string_view name, std::size_t at, std::size_t directory) {
    const std::string where = detail::concat(path_, ": byte ", at, ": entry ", shown(name));
    constexpr unsigned compression_hints = 6;
    if ((central.flags & 1u) != 0) raise<UnsupportedError>(where, " is encrypted");
    if ((central.flags & ~(compression_hints | flag_sizes_follow | flag_utf8)) != 0)
      raise<UnsupportedError>(where, " has the flags ", central.flags, ", which are not supported");
    if (central.method != 0)
      raise<UnsupportedError>(where, " is compressed (method ", central.method, "); only stored entries are supported");
    if (central.stored != central.bytes)
      raise<FormatError>(where, " is stored, but its ", central.bytes, " bytes take ", central.stored);
    if (central.header > directory || directory - central.header < local_bytes ||
        read<std::uint32_t>(central.header) != local_signature)
      raise<FormatError>(where, ": there is no local header at byte ", central.header);
    const auto header = static_cast<std::size_t>(central.header);
    const std::size_t names = read<std::uint16_t>(header + 26);
    const std::size_t extra = read<std::uint16_t>(header + 28);
    const std::size_t room = directory - header - local_bytes;
    if (names + extra > room || central.bytes > room - names - extra)
      raise<FormatError>(where, ": ", central.bytes, " bytes from byte ", header,
                         " on reach into the central directory", " at byte ", directory);
    check_local(central, header, name, where);
    entries_.push_back({.name = name,
                        .offset = header + local_bytes + names + extra,
                        .bytes = static_cast<std::size_t>(central.bytes)});
    begins_.push_back(header);
  }

  /// The local header must say what the directory says, where it says anything.
  void check_local(const Central& central, std::size_t header, std::string_view name, const std::string& where) const {
    const std::string_view local_name = read_text(header + local_bytes, read<std::uint16_t>(header + 26));
    if (local_name != name)
      raise<FormatError>(where, ": the local header at byte ", header, " is that of ", shown(local_name));
    const std::uint16_t flags = read<std::uint16_t>(header + 6);
    const std::uint16_t method = read<std::uint16_t>(header + 8);
    if (method != central.method || ((flags ^ central.flags) & 1u) != 0)
      raise<FormatError>(where, ": the local header at byte ", header, " has method ", method, " and flags ", flags,
                         ", the central directory ", central.method, " and ", central.flags);
    for (const std::size_t field : {header + 18, header + 22}) {
      const std::uint32_t bytes = read<std::uint32_t>(field);
      const bool elsewhere = bytes == in_zip64 || (bytes == 0 && (flags & flag_sizes_follow) != 0);
      if (!elsewhere && bytes != central.bytes)
        raise<FormatError>(where, ": byte ", field, ": found ", bytes, " bytes, expected ", central.bytes);
    }
  }

  void check_layout() const {
    std::vector<std::size_t> order(entries_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return begins_[a] < begins_[b]; });
    std::size_t reached = 0;
    for (const std::size_t i : order) {
      if (begins_[i] < reached)
        raise<FormatError>(path_, ": byte ", begins_[i], ": entry ", shown(entries_[i].name),
                           " overlaps the one that ends at byte ", reached);
      reached = entries_[i].offset + entries_[i].bytes;
    }
  }

  std::string path_;
  Source source_;
  Source::Bytes bytes_;
  std::vector<ZipEntry> entries_;
  std::vector<std::size_t> begins_;  // of the local headers, in the order of the directory
};

}  // namespace weft::inline v0
