#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/aligned_text.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// The normalization rules that SentencePiece compiles into a model (NormalizerSpec.precompiled_charsmap): 32 bits for
/// the size of a double-array trie in bytes, its 32-bit units, and the zero-terminated replacements that the trie's
/// values point to, all little-endian. Applied as the tokenizers library does: to a grapheme cluster of less than 6
/// bytes as a whole, else to its characters; of the rules that match the beginning of either, the shortest decides.
class PrecompiledCharsmap {
 public:
  /// Throws FormatError naming `where` for bytes that are no such rules.
  PrecompiledCharsmap(std::string_view bytes, std::string_view where) {
    if (bytes.size() < 4) raise<FormatError>(where, ": ", bytes.size(), " bytes are no precompiled rules");
    std::uint32_t size = 0;
    std::memcpy(&size, bytes.data(), sizeof size);
    if (size > bytes.size() - 4 || size % 4 != 0 || size == 0)
      raise<FormatError>(where, ": a trie of ", size, " bytes in ", bytes.size(), " bytes of precompiled rules");
    auto rules = std::make_shared<Rules>();
    rules->units.resize(size / 4);
    std::memcpy(rules->units.data(), bytes.data() + 4, size);
    rules->replacements = bytes.substr(4 + std::size_t{size});
    if (!is_utf8(rules->replacements)) raise<FormatError>(where, ": the replacements are not UTF-8");
    rules_ = std::move(rules);
  }

  /// Throws TokenizerError where rules make a text many times longer.
  void operator()(AlignedText& text) const {
    const std::string& all = text.text();
    std::vector<CharacterChange> changes;
    bool changed = false;
    const auto rule = [&](std::string_view part) {
      const auto replacement = find(part);
      if (!replacement) return false;
      append(part, *replacement, changes);
      return changed = true;
    };
    for (std::size_t at = 0; at < all.size();) {
      if (changes.size() > max_growth * all.size())
        raise<TokenizerError>("a text of ", all.size(), " bytes grows more than ", max_growth,
                              " times longer when it is normalized");
      const std::size_t bytes = first_grapheme(std::string_view(all).substr(at));
      const std::string_view grapheme = std::string_view(all).substr(at, bytes);
      at += bytes;
      if (bytes < 6 && rule(grapheme)) continue;
      for (std::size_t i = 0; i < bytes;) {
        const CodePoint c = first_code_point(grapheme.substr(i));
        if (!rule(grapheme.substr(i, c.bytes))) changes.push_back({c.value, 0});
        i += c.bytes;
      }
    }
    if (changed) text.rewrite(changes);
  }

  /// What the shortest rule that matches the beginning of the text puts for it.
  std::optional<std::string_view> find(std::string_view text) const {
    const std::vector<std::uint32_t>& units = rules_->units;
    std::size_t node = offset(units[0]);
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return std::nullopt;
      node ^= byte;
      if (node >= units.size()) return std::nullopt;
      const std::uint32_t unit = units[node];
      if ((unit & 0x800000FFu) != byte) return std::nullopt;
      node ^= offset(unit);
      if (node >= units.size()) return std::nullopt;
      if ((unit >> 8 & 1u) != 0) return replacement(units[node] & 0x7FFFFFFFu);
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t max_growth = 64;

  struct Rules {
    std::vector<std::uint32_t> units;
    std::string replacements;
  };

  static std::size_t offset(std::uint32_t unit) noexcept { return std::size_t{unit >> 10} << ((unit & 0x200u) >> 6); }

  std::optional<std::string_view> replacement(std::size_t begin) const {
    const std::string_view all = rules_->replacements;
    if (begin > all.size() || (begin < all.size() && (static_cast<unsigned char>(all[begin]) & 0xC0u) == 0x80u))
      return std::nullopt;
    return all.substr(begin, std::min(all.find('\0', begin), all.size()) - begin);
  }

  /// The first characters stand for the old ones one by one; what is left of the old ones vanishes after the last, what
  /// is left of the others is inserted.
  static void append(std::string_view old, std::string_view replacement, std::vector<CharacterChange>& changes) {
    const auto old_size = static_cast<std::int32_t>(count_characters(old));
    std::int32_t size = 0;
    for (std::size_t at = 0; at < replacement.size(); ++size) {
      const CodePoint c = first_code_point(replacement.substr(at));
      changes.push_back({c.value, size < old_size ? 0 : 1});
      at += c.bytes;
    }
    if (size < old_size && !changes.empty()) changes.back().change += size - old_size;
  }

  std::shared_ptr<const Rules> rules_;
};

}  // namespace weft::inline v0
