#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <weft/formats/checkpoint.hpp>

namespace weft::inline v0::detail {

/// Has the system read the tensors of a checkpoint from the disk, in the order in which they will be wanted and at most
/// `window` bytes ahead, in a thread of its own, while those before are worked on. Where no thread is to be had, and
/// for files that are not mapped, it does nothing.
class ReadAhead {
 public:
  static constexpr std::size_t window = std::size_t{512} << 20;

  /// The checkpoint outlives this.
  ReadAhead(const Checkpoint& checkpoint, std::vector<std::string> names) {
    try {
      reader_ = std::thread([this, &checkpoint, names = std::move(names)] { read(checkpoint, names); });
    } catch (const std::system_error&) {
    }
  }
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  ~ReadAhead() {
    stopped_ = true;
    finish(0);
    if (reader_.joinable()) reader_.join();
  }

  /// A tensor of so many bytes has been worked on.
  void finish(std::size_t bytes) noexcept {
    finished_ += bytes + 1;  // also of none: the reader looks again
    finished_.notify_one();
  }

 private:
  void read(const Checkpoint& checkpoint, const std::vector<std::string>& names) noexcept {
    std::size_t asked = 0;
    for (const std::string& name : names) {
      for (std::size_t finished = finished_; asked > finished + window && !stopped_; finished = finished_)
        finished_.wait(finished);
      if (stopped_) return;
      asked += checkpoint.fetch(name);
    }
  }

  std::atomic<bool> stopped_ = false;
  std::atomic<std::size_t> finished_ = 0;
  std::thread reader_;
};

}  // namespace weft::inline v0::detail
