#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>

namespace weft::inline v0 {

namespace detail {

/// A number that spreads byte strings evenly over its high bits.
inline std::uint64_t hash_of(std::string_view bytes) noexcept {
  constexpr std::uint64_t odd = 0x9E3779B97F4A7C15u;
  std::uint64_t hash = bytes.size() * odd;
  const auto mix = [&](std::uint64_t word) {
    hash = (hash ^ word) * odd;
    hash ^= hash >> 32;
  };
  std::uint64_t word = 0;
  for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
    std::memcpy(&word, bytes.data(), sizeof word);
    mix(word);
  }
  word = 0;
  if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
  mix(word);
  return hash * odd;
}

}  // namespace detail

/// The tokens of a model by id and by spelling.
class Vocabulary {
 public:
  Vocabulary() : Vocabulary(0, {}) {}
  /// `source` names the file in errors. `size` is how many tokens are to be added, about; ids far beyond it are
  /// refused.
  Vocabulary(std::size_t size, std::string source)
      : source_(std::move(source)), id_limit_(2 * size + (std::size_t{1} << 20)) {
    std::size_t slots = 64;
    while (slots < 2 * size) slots *= 2;
    slots_.resize(slots);
    entries_.reserve(size);
  }

  /// Two spellings may have one id; its first is its token. Throws FormatError for an id that is negative or far beyond
  /// the size.
  void add(std::string_view token, std::int64_t id) {
    if (id < 0 || static_cast<std::size_t>(id) >= id_limit_)
      raise<FormatError>(source_, ": the token \"", token, "\" has the id ", id,
                         ", which no vocabulary of this size has");
    const auto entry = static_cast<std::uint32_t>(entries_.size());
    entries_.push_back({text_.size(), static_cast<std::uint32_t>(token.size()), static_cast<TokenId>(id)});
    text_ += token;
    if (static_cast<std::size_t>(id) >= by_id_.size()) by_id_.resize(static_cast<std::size_t>(id) + 1, nothing);
    if (by_id_[static_cast<std::size_t>(id)] == nothing) by_id_[static_cast<std::size_t>(id)] = entry;
    if (2 * (used_slots_ + 1) > slots_.size()) grow();
    place(entry);
  }

  /// The id of a token; of several with one spelling, the one added last.
  std::optional<TokenId> find(std::string_view token) const noexcept {
    const std::uint64_t hash = detail::hash_of(token);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t slot = hash & mask; slots_[slot].entry != nothing; slot = (slot + 1) & mask)
      if (slots_[slot].check == static_cast<std::uint32_t>(hash >> 32) && spelling(slots_[slot].entry) == token)
        return entries_[slots_[slot].entry].id;
    return std::nullopt;
  }

  bool contains(TokenId id) const noexcept {
    return id >= 0 && static_cast<std::size_t>(id) < by_id_.size() && by_id_[static_cast<std::size_t>(id)] != nothing;
  }
  /// The spelling of a token; empty for an id that has none.
  std::string_view token(TokenId id) const noexcept {
    return contains(id) ? spelling(by_id_[static_cast<std::size_t>(id)]) : std::string_view();
  }

  /// Calls `visit(spelling, id)` for every spelling, in the order they were added.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::uint32_t entry = 0; entry < entries_.size(); ++entry) visit(spelling(entry), entries_[entry].id);
  }

  /// How many spellings there are.
  std::size_t size() const noexcept { return entries_.size(); }
  /// One more than the largest id.
  std::size_t end_id() const noexcept { return by_id_.size(); }
  /// The file, for the errors of those who find a token missing.
  const std::string& source() const noexcept { return source_; }

 private:
  static constexpr std::uint32_t nothing = std::numeric_limits<std::uint32_t>::max();
  struct Entry {
    std::size_t begin;
    std::uint32_t size;
    TokenId id;
  };
  struct Slot {
    std::uint32_t entry = nothing;
    std::uint32_t check = 0;
  };

  std::string_view spelling(std::uint32_t entry) const noexcept {
    return std::string_view(text_).substr(entries_[entry].begin, entries_[entry].size);
  }
  void place(std::uint32_t entry) noexcept {
    const std::string_view token = spelling(entry);
    const std::uint64_t hash = detail::hash_of(token);
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot].entry != nothing && spelling(slots_[slot].entry) != token)
      slot = (slot + 1) & (slots_.size() - 1);
    used_slots_ += slots_[slot].entry == nothing;
    slots_[slot] = {entry, static_cast<std::uint32_t>(hash >> 32)};
  }
  void grow() {
    std::vector<Slot> old(2 * slots_.size());
    old.swap(slots_);
    used_slots_ = 0;
    for (const Slot& slot : old)
      if (slot.entry != nothing) place(slot.entry);
  }

  std::string source_;
  std::string text_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> by_id_;
  std::vector<Slot> slots_;  // a power of two, at most half full
  std::size_t id_limit_ = 0;
  std::size_t used_slots_ = 0;
};

/// "<0x0A>": how vocabularies with byte fallback spell a byte.
inline std::string spell_byte(unsigned char byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return {'<', '0', 'x', digits[byte >> 4], digits[byte & 0xFu], '>'};
}

}  // namespace weft::inline v0
