#pragma once

#include <atomic>
#include <cstddef>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <weft/formats/checkpoint.hpp>

namespace weft::inline v0::detail {

/// Reads the tensors of a checkpoint into the system's memory, in the order in which they will be worked on and at most
/// `window` bytes ahead, in a thread of its own. Where no thread is to be had, and for files that are not mapped, it
/// does nothing.
class ReadAhead {
 public:
  static constexpr std::size_t window = std::size_t{512} << 20;

  /// The checkpoint outlives this and has all the tensors.
  ReadAhead(const Checkpoint& checkpoint, const std::vector<std::string>& names) {
    std::size_t begin = 0;
    for (const std::string& name : names) {
      tensors_.push_back({name, begin});
      begin += checkpoint.entry(name).bytes;
    }
    try {
      reader_ = std::jthread([this, &checkpoint](const std::stop_token& stop) { read(checkpoint, stop); });
    } catch (const std::system_error&) {
      read_ = tensors_.size();
    }
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ~ReadAhead() {
    reader_.request_stop();
    begun_ = tensors_.size();
    begun_.notify_one();
  }

  /// Before a tensor is worked on: returns when it has been read, at once where another is next in the order. Those
  /// before it are done. Who touched what has not been read would have the disk read in two places in turn.
  void wait(std::string_view name) noexcept {
    const std::size_t next = begun_;
    if (next == tensors_.size() || tensors_[next].name != name) return;
    begun_ = next + 1;
    begun_.notify_one();
    for (std::size_t read = read_; read <= next; read = read_) read_.wait(read);
  }

 private:
  struct Tensor {
    std::string name;
    std::size_t begin;  // the bytes of those before
  };

  void read(const Checkpoint& checkpoint, const std::stop_token& stop) noexcept {
    for (const Tensor& tensor : tensors_) {
      for (std::size_t begun = begun_; begun < tensors_.size() && tensor.begin > tensors_[begun].begin + window;
           begun = begun_)
        begun_.wait(begun);
      if (stop.stop_requested()) return;
      checkpoint.fetch(tensor.name, stop);
      ++read_;
      read_.notify_one();
    }
  }

  std::vector<Tensor> tensors_;
  std::atomic<std::size_t> begun_ = 0;  // of tensors_, to be worked on
  std::atomic<std::size_t> read_ = 0;   // of tensors_
  std::jthread reader_;
};

}  // namespace weft::inline v0::detail
