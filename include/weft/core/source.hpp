#pragma once

#include <cstddef>
#include <fstream>
#include <functional>
#include <ios>
#include <istream>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/error.hpp>
#include <weft/core/memory.hpp>

namespace weft::inline v0 {

/// The bytes of one file, wherever they are: on disk, in memory, or where only the host knows. Copies share what is
/// open; all methods may be called from several threads.
class Source {
 public:
  /// Bytes, and what keeps them alive.
  struct Bytes {
    std::span<const std::byte> span;
    std::shared_ptr<const void> owner;

    std::string_view text() const noexcept { return {reinterpret_cast<const char*>(span.data()), span.size()}; }
  };
  /// Writes the bytes from `offset` on to `to` and returns how many: at least one, and fewer than there is room for
  /// where no more are at hand; 0 where the file ends. Called from one thread at a time. What it throws goes through.
  using Read = std::function<std::size_t(std::size_t offset, std::span<std::byte> to)>;

  /// A file that is mapped. Throws as MappedFile does.
  static Source file(const std::string& path) {
    auto mapped = std::make_shared<const MappedFile>(path);
    Source source(path, mapped->bytes().size());
    source.memory_ = mapped->bytes();
    source.owner_ = mapped;
    source.mapped_ = std::move(mapped);
    return source;
  }
  /// A file that is read when its bytes are needed, never mapped: for files that other programs may shorten, which is
  /// a FormatError then. Throws as MappedFile does.
  static Source read_file(const std::string& path) {
    auto file = std::make_shared<std::ifstream>(path, std::ios::binary);
    const MappedFile checked(path);
    return stream(path, std::move(file));
  }
  /// Bytes in memory, used in place. `owner` keeps them alive; null: the caller does, longer than everything that is
  /// made of them. `name` is what errors call it.
  static Source memory(std::string name, std::span<const std::byte> bytes, std::shared_ptr<const void> owner = {}) {
    Source source(std::move(name), bytes.size());
    source.memory_ = bytes;
    source.owner_ = std::move(owner);
    return source;
  }
  /// `size` bytes that a callback reads when they are needed. Throws ConfigError for an empty callback.
  static Source callback(std::string name, std::size_t size, Read read) {
    if (!read) raise<ConfigError>(name, ": the callback is empty");
    Source source(std::move(name), size);
    source.reader_ = std::make_shared<Reader>();
    source.reader_->read = std::move(read);
    return source;
  }
  /// What a stream holds from its beginning on, read when it is needed; nobody else may use the stream as long. Throws
  /// FormatError for a stream that has no positions, such as a pipe, ConfigError for a null pointer.
  static Source stream(std::string name, std::shared_ptr<std::istream> stream) {
    if (!stream) raise<ConfigError>(name, ": the stream is a null pointer");
    const auto failed = [name](const char* what) { raise<FormatError>(name, ": the stream ", what); };
    std::size_t size = 0;
    try {
      stream->clear();
      const std::istream::pos_type end = stream->seekg(0, std::ios::end).tellg();
      if (end == std::istream::pos_type(-1)) failed("has no positions to read from");
      size = static_cast<std::size_t>(static_cast<std::streamoff>(end));
    } catch (const std::ios_base::failure&) {
      failed("has no positions to read from");
    }
    return callback(std::move(name), size, [=](std::size_t offset, std::span<std::byte> to) -> std::size_t {
      try {
        stream->clear();
        stream->seekg(static_cast<std::streamoff>(offset));
      } catch (const std::ios_base::failure&) {
        return 0;
      }
      try {
        stream->read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
      } catch (const std::ios_base::failure&) {  // also at the end where the stream was told so
      }
      return static_cast<std::size_t>(stream->gcount());
    });
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t size() const noexcept { return size_; }
  bool in_memory() const noexcept { return !reader_; }

  /// The bytes [offset, offset + count): in place where they are in memory, otherwise read into memory of their own,
  /// 64-byte aligned. Throws FormatError beyond the end and where the source ends before its size or a mapped file was
  /// shortened since it was opened, std::bad_alloc. A mapped file must not be shortened as long as bytes are in use.
  Bytes bytes(std::size_t offset, std::size_t count) const {
    if (offset > size_ || count > size_ - offset)
      raise<FormatError>(name_, ": ", count, " bytes from byte ", offset, " on are beyond the end at byte ", size_);
    check_whole();
    if (!reader_) return {memory_.subspan(offset, count), owner_};
    const std::shared_ptr<std::byte[]> memory = allocate_aligned(count);
    const std::lock_guard lock(reader_->mutex);
    for (std::size_t done = 0; done < count;) {
      const std::size_t read = reader_->read(offset + done, {memory.get() + done, count - done});
      if (read == 0 || read > count - done)
        raise<FormatError>(name_, ": byte ", offset + done, ": ", read, " bytes were read, expected ",
                           read == 0 ? "" : "at most ", count - done, read == 0 ? " more" : "");
      done += read;
    }
    return {{memory.get(), count}, memory};
  }

  /// All bytes. Throws as above.
  Bytes bytes() const { return bytes(0, size_); }

  /// Throws FormatError where a mapped file was shortened since it was opened: bytes that are gone cannot be touched.
  void check_whole() const {
    if (mapped_ && !mapped_->whole())
      raise<FormatError>(name_, ": the file was shortened while it was open; it had ", size_, " bytes");
  }

  /// Reads a part of a mapped file that is wanted soon into the system's memory, until it is stopped.
  void fetch(std::size_t offset, std::size_t count, const std::stop_token& stop) const noexcept {
    if (mapped_) mapped_->fetch(offset, count, stop);
  }

  /// Lets go of the memory of bytes of a mapped file that are not wanted soon; touching them reads them again.
  void release(std::span<const std::byte> part) const noexcept {
    if (mapped_) mapped_->release(part);
  }

 private:
  struct Reader {
    std::mutex mutex;
    Read read;
  };

  Source(std::string name, std::size_t size) : name_(std::move(name)), size_(size) {}

  std::string name_;
  std::size_t size_;
  std::span<const std::byte> memory_;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<const MappedFile> mapped_;
  std::shared_ptr<Reader> reader_;
};

}  // namespace weft::inline v0
