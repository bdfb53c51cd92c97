#pragma once

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <system_error>

#include <weft/core/error.hpp>

namespace weft::inline v0::detail {

/// A file in the making. It has its name only when it is complete, so that what is written may come from a file of that
/// name, and nothing is left of one that is not completed. All methods throw FormatError where it cannot be written.
class OutputFile {
 public:
  /// Throws FormatError, too, where something of that name is no regular file: a device would be replaced.
  explicit OutputFile(const std::filesystem::path& path) : path_(path), unfinished_(path) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(path, ignored);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      raise<FormatError>(path.string(), ": cannot be written: not a regular file");
    unfinished_ += ".part";
    errno = 0;
    file_.open(unfinished_, std::ios::binary | std::ios::trunc);
    check();
    open_ = true;
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (!open_) return;
    file_.close();
    std::error_code ignored;
    std::filesystem::remove(unfinished_, ignored);
  }

  void write(const void* bytes, std::size_t size) {
    errno = 0;
    file_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
    check();
  }

  /// Gives the file its name. Nothing is written after it.
  void finish() {
    errno = 0;
    file_.close();
    check();
    std::error_code failed;
    std::filesystem::rename(unfinished_, path_, failed);
    if (failed) raise<FormatError>(path_.string(), ": cannot be written: ", failed.message());
    open_ = false;
  }

 private:
  void check() const {
    if (file_) return;
    const int code = errno;
    raise<FormatError>(path_.string(), ": cannot be written", code != 0 ? ": " : "",
                       code != 0 ? std::generic_category().message(code) : std::string());
  }

  std::filesystem::path path_, unfinished_;
  std::ofstream file_;
  bool open_ = false;
};

}  // namespace weft::inline v0::detail
