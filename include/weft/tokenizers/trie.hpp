#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

namespace weft::inline v0 {

/// A set of byte strings, each with a number, for finding those that a text begins with.
class Trie {
 public:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  struct Entry {
    std::string_view key;
    std::uint32_t value = none;
  };

  Trie() : Trie(std::vector<Entry>{}) {}
  /// Empty keys are left out; of equal keys the last stays.
  explicit Trie(std::vector<Entry> entries) {
    std::erase_if(entries, [](const Entry& entry) { return entry.key.empty(); });
    std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.key < b.key; });
    struct Open {  // a node whose children are still to be made: the entries that begin with it
      std::size_t begin, end, depth;
    };
    std::vector<Open> open{{0, entries.size(), 0}};
    nodes_.push_back({});
    for (std::size_t node = 0; node < nodes_.size(); ++node) {
      auto [begin, end, depth] = open[node];
      for (; begin < end && entries[begin].key.size() == depth; ++begin) nodes_[node].value = entries[begin].value;
      nodes_[node].first_child = static_cast<std::uint32_t>(nodes_.size());
      while (begin < end) {
        const char label = entries[begin].key[depth];
        std::size_t same = begin;
        while (same < end && entries[same].key[depth] == label) ++same;
        nodes_.push_back({.label = static_cast<unsigned char>(label)});
        open.push_back({begin, same, depth + 1});
        ++nodes_[node].children;
        begin = same;
      }
    }
    for (std::size_t i = 0; i < nodes_[0].children; ++i)
      first_level_[nodes_[nodes_[0].first_child + i].label] = static_cast<std::uint32_t>(nodes_[0].first_child + i);
  }

  /// Calls `visit(bytes, value)` for every key that the text begins with, the shortest first.
  template <class Visit>
  void for_each_prefix(std::string_view text, Visit&& visit) const {
    if (text.empty()) return;
    std::uint32_t node = first_level_[static_cast<unsigned char>(text[0])];
    for (std::size_t depth = 1; node != 0; ++depth) {
      if (nodes_[node].value != none) visit(depth, nodes_[node].value);
      if (depth == text.size()) return;
      node = child(nodes_[node], static_cast<unsigned char>(text[depth]));
    }
  }

  /// The longest key that the text begins with: its bytes, 0 where there is none, and its number.
  std::pair<std::size_t, std::uint32_t> longest_prefix(std::string_view text) const {
    std::pair<std::size_t, std::uint32_t> longest{0, none};
    for_each_prefix(text, [&](std::size_t bytes, std::uint32_t value) { longest = {bytes, value}; });
    return longest;
  }

  bool empty() const noexcept { return nodes_.size() == 1; }

 private:
  struct Node {
    std::uint32_t first_child = 0;
    std::uint32_t value = none;
    std::uint16_t children = 0;
    unsigned char label = 0;
  };

  /// The child of that label; 0, which is no child, where there is none.
  std::uint32_t child(const Node& node, unsigned char label) const noexcept {
    std::uint32_t first = node.first_child;
    std::uint32_t count = node.children;
    while (count > 0) {
      const std::uint32_t half = count / 2;
      const unsigned char middle = nodes_[first + half].label;
      if (middle == label) return first + half;
      if (middle < label) {
        first += half + 1;
        count -= half + 1;
      } else {
        count = half;
      }
    }
    return 0;
  }

  std::vector<Node> nodes_;  // the root first, the children of a node side by side
  std::array<std::uint32_t, 256> first_level_{};
};

}  // namespace weft::inline v0
