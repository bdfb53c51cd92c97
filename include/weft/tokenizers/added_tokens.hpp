#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/utf8.hpp>

namespace weft::inline v0 {

/// A token that is found in the text, before the vocabulary proper sees what lies between.
struct AddedToken {
  std::string content{};
  TokenId id = 0;
  bool special = false;      ///< left out of decoded text, and found in text only where special tokens are parsed
  bool strip_left = false;   ///< takes the white space before it with it
  bool strip_right = false;  ///< takes the white space after it with it
  bool whole_word = false;   ///< is ordinary text unless spaces or the ends of the text surround it
  bool normalized = false;   ///< is looked for in normalized text, not in the text as it stands
};

namespace detail {

/// The bytes of the white-space character (Unicode, as Python's str.isspace) that `text` starts with; 0 for all else.
constexpr std::size_t leading_white_space(std::string_view text) noexcept {
  if (text.empty()) return 0;
  const auto byte = static_cast<unsigned char>(text[0]);
  if ((byte >= 0x09 && byte <= 0x0D) || (byte >= 0x1C && byte <= 0x20)) return 1;
  constexpr std::array<std::string_view, 19> wide{"\u0085", "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
                                                  "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A",
                                                  "\u2028", "\u2029", "\u202F", "\u205F", "\u3000"};
  for (const std::string_view space : wide)
    if (text.starts_with(space)) return space.size();
  return 0;
}

inline std::string without_leading_white_space(std::string_view text) {
  while (const std::size_t bytes = leading_white_space(text)) text.remove_prefix(bytes);
  return std::string(text);
}

inline std::string without_trailing_white_space(std::string_view text) {
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0u) == 0x80u) --last;
    if (leading_white_space(text.substr(last)) != text.size() - last) break;
    text = text.substr(0, last);
  }
  return std::string(text);
}

}  // namespace detail

/// The added tokens of a tokenizer, by id and by text.
class AddedTokens {
 public:
  /// A part of a text: an added token, or what lies between two.
  struct Part {
    std::string text;
    const AddedToken* token = nullptr;
  };

  /// A token of the same id is replaced; of two tokens with the same text the later one is found.
  void add(AddedToken token) {
    const auto [place, is_new] = by_id_.emplace(token.id, tokens_.size());
    if (is_new) {
      tokens_.push_back(std::move(token));
    } else {
      forget(place->second);
      tokens_[place->second] = std::move(token);
    }
    const std::size_t index = place->second;
    const std::string& content = tokens_[index].content;
    if (content.empty()) return;
    by_content_[content] = index;
    std::vector<std::size_t>& same = by_first_byte_[static_cast<unsigned char>(content.front())];
    const auto longer = [&](std::size_t other) { return tokens_[other].content.size() > content.size(); };
    same.insert(std::partition_point(same.begin(), same.end(), longer), index);
  }

  const AddedToken* find(TokenId id) const noexcept {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : &tokens_[found->second];
  }
  const AddedToken* find(std::string_view content) const {
    const auto found = by_content_.find(std::string(content));
    return found == by_content_.end() ? nullptr : &tokens_[found->second];
  }
  const std::vector<AddedToken>& all() const noexcept { return tokens_; }

  /// Cuts a text at the added tokens in it, from left to right, the longest that fits first. Special tokens are text
  /// like any other unless `parse_special`.
  std::vector<Part> split(std::string_view text, bool parse_special) const {
    std::vector<Part> parts;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
      const AddedToken* token = match(text.substr(at), parse_special);
      if (!token) {
        ++at;
        continue;
      }
      if (at > begin) parts.push_back({std::string(text.substr(begin, at - begin)), nullptr});
      parts.push_back({token->content, token});
      begin = at += token->content.size();
    }
    if (begin < text.size()) parts.push_back({std::string(text.substr(begin)), nullptr});
    settle_surroundings(parts);
    // Text that turned out to be a token's once the white space around it was gone.
    for (Part& part : parts)
      if (const AddedToken* token = part.token ? nullptr : find(part.text); token && (parse_special || !token->special))
        part.token = token;
    std::erase_if(parts, [](const Part& part) { return part.text.empty(); });
    return parts;
  }

 private:
  const AddedToken* match(std::string_view text, bool parse_special) const noexcept {
    for (const std::size_t index : by_first_byte_[static_cast<unsigned char>(text.front())]) {
      const AddedToken& token = tokens_[index];
      if ((parse_special || !token.special) && text.starts_with(token.content)) return &token;
    }
    return nullptr;
  }
  /// White space around a token goes, or the token turns into text, as its flags say.
  static void settle_surroundings(std::vector<Part>& parts) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const AddedToken* token = parts[i].token;
      if (!token) continue;
      const std::string left = i > 0 ? parts[i - 1].text : std::string();
      const std::string right = i + 1 < parts.size() ? parts[i + 1].text : std::string();
      if (token->strip_right && !right.empty() && !parts[i + 1].token)
        parts[i + 1].text = detail::without_leading_white_space(right);
      if (token->strip_left && !left.empty() && !parts[i - 1].token)
        parts[i - 1].text = detail::without_trailing_white_space(left);
      if (!token->whole_word) continue;
      if (!left.empty() && left.back() != ' ') {
        parts[i - 1] = {parts[i - 1].text + parts[i].text, nullptr};
        parts[i] = {};
      } else if (!right.empty() && right.front() != ' ') {
        parts[i + 1] = {parts[i].text + parts[i + 1].text, nullptr};
        parts[i] = {};
      }
    }
  }

  void forget(std::size_t index) {
    const std::string& content = tokens_[index].content;
    if (content.empty()) return;
    if (const auto found = by_content_.find(content); found != by_content_.end() && found->second == index)
      by_content_.erase(found);
    std::erase(by_first_byte_[static_cast<unsigned char>(content.front())], index);
  }

  std::vector<AddedToken> tokens_;
  std::unordered_map<TokenId, std::size_t> by_id_;
  std::unordered_map<std::string, std::size_t> by_content_;
  std::array<std::vector<std::size_t>, 256> by_first_byte_;  // the longest first, the latest first
};

}  // namespace weft::inline v0
