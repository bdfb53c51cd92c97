#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/tokenizers/vocabulary.hpp>

namespace weft::inline v0 {

/// The tokens of whole words. Most words are short: those of up to 16 bytes lie in the table itself.
class WordTable {
 public:
  static constexpr TokenId none = -1;

  /// Of equal words the last stays; empty ones are left out.
  explicit WordTable(const std::vector<std::pair<std::string_view, TokenId>>& words) : long_words_(0, {}) {
    std::size_t slots = 16;
    while (slots < 2 * words.size()) slots *= 2, --shift_;
    slots_.resize(slots);
    for (const auto& [word, id] : words) {
      if (word.size() > max_bytes) {
        long_words_.add(word, id);
      } else if (!word.empty()) {
        const Key key = key_of(word);
        slots_[slot_of(key)] = {key, id};
      }
    }
  }

  /// `none` for a word that is no token; the word is not empty.
  TokenId find(std::string_view word) const noexcept {
    if (word.size() > max_bytes) return long_words_.find(word).value_or(none);
    return slots_[slot_of(key_of(word))].id;
  }

 private:
  static constexpr std::size_t max_bytes = 16;

  // The first and the last bytes, which overlap.
  struct Key {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint32_t size = 0;
    friend bool operator==(const Key&, const Key&) noexcept = default;
  };
  struct Slot {
    Key key{};
    TokenId id = none;
  };

  template <class Number>
  static std::uint64_t load(const char* bytes) noexcept {
    Number number;
    std::memcpy(&number, bytes, sizeof number);
    return number;
  }
  static Key key_of(std::string_view word) noexcept {
    const char* begin = word.data();
    const char* end = begin + word.size();
    const auto size = static_cast<std::uint32_t>(word.size());
    if (size >= 8) return {load<std::uint64_t>(begin), load<std::uint64_t>(end - 8), size};
    if (size >= 4) return {load<std::uint32_t>(begin), load<std::uint32_t>(end - 4), size};
    return {load<unsigned char>(begin) | load<unsigned char>(begin + size / 2) << 8, load<unsigned char>(end - 1),
            size};
  }
  /// The slot that has the key, or the free one that it would have.
  std::size_t slot_of(const Key& key) const noexcept {
    std::uint64_t hash = (key.first + key.size) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ hash >> 32 ^ key.last) * 0xD6E8FEB86659FD93u;
    std::size_t slot = hash >> shift_;
    while (slots_[slot].id != none && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }

  std::vector<Slot> slots_;  // a power of two, at most half full
  unsigned shift_ = 60;      // leaves as many bits of a hash as number the slots
  Vocabulary long_words_;
};

}  // namespace weft::inline v0
