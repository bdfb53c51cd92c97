#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>

namespace weft::inline v0 {

/// Finds stop strings in text that arrives in pieces, wherever the pieces are cut, and lets through the text before the
/// first of them. Text that may be the beginning of a stop string is held back until it is known.
///
/// The first stop string to be complete wins, the longest where several are complete at the same byte, so that the
/// result does not depend on the pieces. Bytes are compared: text and stop strings are taken to be in the same
/// encoding. After the first pieces nothing is allocated.
///
///   weft::StopStrings stop({"\n\n", "The end"});
///   while (!stop.match()) std::cout << stop.push(next_piece());
class StopStrings {
 public:
  StopStrings() = default;

  /// Throws ConfigError naming the position of an empty stop string.
  explicit StopStrings(std::vector<std::string> strings) {
    std::size_t longest = 0;
    for (std::size_t i = 0; i < strings.size(); ++i) {
      if (strings[i].empty()) raise<ConfigError>("stop string ", i, " is empty, expected at least one byte");
      longest = std::max(longest, strings[i].size());
      patterns_.emplace_back(std::move(strings[i]));
    }
    text_.reserve(longest + 256);
  }

  /// Takes the next piece of text and returns what may be shown, which is valid until the next call; nothing once a
  /// stop string has been found. `piece` must not be what an earlier call returned.
  std::string_view push(std::string_view piece) {
    text_.erase(0, released_);
    released_ = 0;
    if (match_) return {};
    const std::size_t held = text_.size();
    text_ += piece;
    for (std::size_t i = held; i < text_.size(); ++i) {
      if (!advance(text_[i])) continue;
      text_.resize(i + 1 - patterns_[*match_].text.size());
      return release(0);
    }
    std::size_t pending = 0;
    for (const Pattern& pattern : patterns_) pending = std::max(pending, pattern.matched);
    return release(pending);
  }

  /// The text held back, once no more will come; valid until the next call.
  std::string_view finish() {
    text_.erase(0, released_);
    for (Pattern& pattern : patterns_) pattern.matched = 0;
    return release(0);
  }

  /// The position of the stop string that was found.
  std::optional<std::size_t> match() const noexcept { return match_; }

  /// Starts over with the same stop strings.
  void reset() noexcept {
    text_.clear();
    released_ = 0;
    match_.reset();
    for (Pattern& pattern : patterns_) pattern.matched = 0;
  }

 private:
  // Knuth, Morris and Pratt 1977: `matched` bytes of `text` end where the text so far ends; where the next byte does
  // not continue them, border[matched - 1] of them still do.
  struct Pattern {
    explicit Pattern(std::string string) : text(std::move(string)), border(text.size()) {
      for (std::size_t i = 1, length = 0; i < text.size(); ++i) {
        while (length != 0 && text[i] != text[length]) length = border[length - 1];
        if (text[i] == text[length]) ++length;
        border[i] = length;
      }
    }

    bool advance(char byte) noexcept {
      while (matched != 0 && text[matched] != byte) matched = border[matched - 1];
      if (text[matched] == byte) ++matched;
      return matched == text.size();
    }

    std::string text;
    std::vector<std::size_t> border;
    std::size_t matched = 0;
  };

  // Whether a stop string ends with this byte; sets match_.
  bool advance(char byte) noexcept {
    for (std::size_t i = 0; i < patterns_.size(); ++i)
      if (patterns_[i].advance(byte) && (!match_ || patterns_[i].text.size() > patterns_[*match_].text.size()))
        match_ = i;
    return match_.has_value();
  }

  std::string_view release(std::size_t held) noexcept {
    released_ = text_.size() - held;
    return std::string_view(text_).substr(0, released_);
  }

  std::vector<Pattern> patterns_;
  std::string text_;          // what the last call returned, then what is held back
  std::size_t released_ = 0;  // bytes of text_ that the last call returned
  std::optional<std::size_t> match_;
};

}  // namespace weft::inline v0
