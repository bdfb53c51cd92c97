#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/trie.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// Finds added tokens in a text as the tokenizers library does: from left to right, at each place the longest; one that
/// is not to be parsed, or must be a whole word and is none, is passed over. A token of white space is also found in
/// the white space that the token before it takes with it.
class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  /// Tokens with the text that stands for each.
  explicit AddedTokenFinder(std::vector<std::pair<std::string, AddedToken>> tokens) : tokens_(std::move(tokens)) {
    std::vector<Trie::Entry> entries;
    for (std::size_t i = 0; i < tokens_.size(); ++i)
      entries.push_back({tokens_[i].first, static_cast<std::uint32_t>(i)});
    trie_ = Trie(std::move(entries));
  }

  /// Calls `found(begin, end, token)`; the range has the white space in it that the token takes with it.
  template <class Found>
  void for_each(std::string_view text, bool parse_special, Found&& found) const {
    if (trie_.empty()) return;
    std::size_t done = 0;
    for (std::size_t at = 0; at < text.size();) {
      const auto [bytes, index] = trie_.longest_prefix(text.substr(at));
      if (bytes == 0) {
        ++at;
        continue;
      }
      const AddedToken& token = tokens_[index].second;
      std::size_t begin = at;
      std::size_t end = at + bytes;
      at = end;
      if (token.special && !parse_special) continue;
      if (token.whole_word && (ends_in_word(text.substr(0, begin)) || begins_with_word(text.substr(end)))) continue;
      while (token.strip_left && begin > done && is_white_space(last_code_point(text.substr(0, begin)).value))
        begin -= last_code_point(text.substr(0, begin)).bytes;
      if (token.strip_left) begin = std::max(begin, done);
      if (begin > end) continue;
      while (token.strip_right && end < text.size() && is_white_space(first_code_point(text.substr(end)).value))
        end += first_code_point(text.substr(end)).bytes;
      found(begin, end, token);
      done = end;
    }
  }

 private:
  static bool ends_in_word(std::string_view text) {
    return !text.empty() && is_word_character(last_code_point(text).value);
  }
  static bool begins_with_word(std::string_view text) {
    return !text.empty() && is_word_character(first_code_point(text).value);
  }

  std::vector<std::pair<std::string, AddedToken>> tokens_;
  Trie trie_;
};

}  // namespace weft::inline v0
