#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/aligned_text.hpp>
#include <weft/tokenizers/byte_level.hpp>
#include <weft/tokenizers/regex.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// A step that rewrites a text before it is cut into words. The steps carry the names and do what the normalizers of
/// tokenizer.json do, to the offsets.
using Normalizer = std::function<void(AlignedText&)>;

namespace detail {

template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.substr(at));
    visit(c.value);
    at += c.bytes;
  }
}

inline bool is_ascii(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

/// Keeps the characters that pass.
template <class Keep>
void filter_characters(AlignedText& text, Keep&& keep) {
  std::vector<CharacterChange> changes;
  changes.reserve(text.size());
  std::size_t removed_first = 0;
  bool changed = false;
  for_each_character(text.text(), [&](char32_t c) {
    if (keep(c)) return void(changes.push_back({c, 0}));
    changed = true;
    if (changes.empty()) {
      ++removed_first;
    } else {
      --changes.back().change;
    }
  });
  if (changed) text.rewrite(changes, removed_first);
}

/// Replaces characters one for one.
template <class Map>
void map_characters(AlignedText& text, Map&& map) {
  std::vector<CharacterChange> changes;
  changes.reserve(text.size());
  bool changed = false;
  for_each_character(text.text(), [&](char32_t c) {
    changes.push_back({map(c), 0});
    changed = changed || changes.back().character != c;
  });
  if (changed) text.rewrite(changes);
}

/// Decomposes: the characters in canonical order, each with the change that keeps the text aligned.
inline std::vector<CharacterChange> decomposed(std::string_view text, bool compatibility) {
  std::vector<CharacterChange> out;
  std::size_t pending = 0;  // the first that may still be reordered
  const auto by_class = [](const CharacterChange& a, const CharacterChange& b) {
    return combining_class(a.character) < combining_class(b.character);
  };
  const auto settle = [&] {
    if (out.size() - pending > 1)
      std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(pending), out.end(), by_class);
    pending = out.size();
  };
  for_each_character(text, [&](char32_t c) {
    const CharacterDecomposition parts =
        c < 0xA0 ? CharacterDecomposition{{static_cast<std::int32_t>(c)}, 1} : decompose_character(c, compatibility);
    for (std::size_t i = 0; i < parts.size; ++i) {
      const auto part = static_cast<char32_t>(parts.characters[i]);
      if (combining_class(part) == 0) settle();
      out.push_back({part, i == 0 ? 0 : 1});
    }
  });
  settle();
  return out;
}

/// Composes what decomposed() gives.
inline std::vector<CharacterChange> recomposed(const std::vector<CharacterChange>& parts) {
  std::vector<CharacterChange> out;
  std::size_t starter = parts.size();  // in out
  int last_class = 0;                  // of what stands between the starter and the next; 0 for nothing
  for (const CharacterChange& part : parts) {
    const int part_class = combining_class(part.character);
    if (starter < out.size() && (last_class == 0 || last_class < part_class)) {
      if (const auto composed = compose_characters(out[starter].character, part.character)) {
        out[starter] = {*composed, out[starter].change + part.change - 1};
        continue;
      }
    }
    if (part_class == 0) starter = out.size();
    last_class = part_class;
    out.push_back(part);
  }
  return out;
}

}  // namespace detail

/// NFC, NFD, NFKC and NFKD (UAX 15).
struct UnicodeForm {
  bool compatibility = false;
  bool composed = false;

  void operator()(AlignedText& text) const {
    if (detail::is_ascii(text.text())) return;
    if (composed && !compatibility) {
      bool inert = true;
      detail::for_each_character(text.text(), [&](char32_t c) { inert = inert && is_inert_in_nfc(c); });
      if (inert) return;
    }
    const std::vector<CharacterChange> parts = detail::decomposed(text.text(), compatibility);
    text.rewrite(composed ? detail::recomposed(parts) : parts);
  }
};

struct Lowercase {
  void operator()(AlignedText& text) const {
    if (detail::is_ascii(text.text())) {
      text.map_bytes([](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
      return;
    }
    std::vector<CharacterChange> changes;
    detail::for_each_character(text.text(), [&](char32_t c) {
      const auto [first, second] = lower_case(c);
      changes.push_back({first, 0});
      if (second) changes.push_back({second, 1});
    });
    text.rewrite(changes);
  }
};

/// Takes white space from the ends.
struct StripWhiteSpace {
  bool left = true;
  bool right = true;

  void operator()(AlignedText& text) const {
    std::vector<CharacterChange> changes;
    detail::for_each_character(text.text(), [&](char32_t c) { changes.push_back({c, 0}); });
    const auto ends = [](const CharacterChange& c) { return !is_white_space(c.character); };
    const auto first = left ? std::find_if(changes.begin(), changes.end(), ends) : changes.begin();
    const auto last =
        right ? std::find_if(changes.rbegin(), std::make_reverse_iterator(first), ends).base() : changes.end();
    if (first == changes.begin() && last == changes.end()) return;
    const auto removed = static_cast<std::size_t>(first - changes.begin());
    text.rewrite({first, last}, removed);
  }
};

/// Takes the combining marks away.
struct StripAccents {
  void operator()(AlignedText& text) const {
    detail::filter_characters(text, [](char32_t c) { return !is_mark(c); });
  }
};

/// Puts `content` for every occurrence of `pattern`, which is not empty.
struct ReplaceText {
  std::string pattern;
  std::string content;

  void operator()(AlignedText& text) const {
    std::vector<TextRange> found;
    for (std::size_t at = text.text().find(pattern); at != std::string::npos;
         at = text.text().find(pattern, at + pattern.size()))
      found.push_back({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at + pattern.size())});
    text.replace(found, content);
  }
};

/// Puts `content` for every match of `pattern`.
struct ReplaceMatches {
  Regex pattern;
  std::string content;

  void operator()(AlignedText& text) const {
    std::vector<TextRange> found;
    if (text.empty()) return;
    pattern.for_each_match(text.text(), [&](std::size_t begin, std::size_t end) {
      found.push_back({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
    });
    text.replace(found, content);
  }
};

struct Prepend {
  std::string front;

  void operator()(AlignedText& text) const { text.prepend(front); }
};

/// The basic cleaning of BERT (BasicTokenizer): control characters go and white space becomes a space, a space is put
/// on both sides of Chinese characters, accents go, letters become lower case.
struct BertNormalizer {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;

  void operator()(AlignedText& text) const {
    const auto is_plain = [&](char c) { return is_plain_ascii(static_cast<unsigned char>(c)); };
    const std::string& all = text.text();
    if (std::all_of(all.begin(), all.end(), is_plain)) return text.map_bytes([&](char c) { return cleaned(c); });
    // Nothing moves between plain characters and the others.
    AlignedText out;
    for (auto at = all.begin(); at != all.end();) {
      const bool plain = is_plain(*at);
      const auto end = std::find_if(at, all.end(), [&](char c) { return is_plain(c) != plain; });
      const TextRange run{static_cast<std::uint32_t>(at - all.begin()), static_cast<std::uint32_t>(end - all.begin())};
      if (plain) {
        const std::uint32_t begin = out.size();
        out.append(text, run);
        out.map_bytes([&](char c) { return cleaned(c); }, begin);
      } else {
        AlignedText others = text.slice(run);
        clean(others);
        out.append(others, {0, others.size()});
      }
      at = end;
    }
    text = std::move(out);
  }

 private:
  /// ASCII that is cleaned byte by byte.
  bool is_plain_ascii(unsigned char c) const noexcept {
    return c < 0x80 && (!clean_text || (c >= 0x20 && c != 0x7F) || c == '\t' || c == '\n' || c == '\r');
  }
  char cleaned(char c) const noexcept {
    if (clean_text && is_white_space(static_cast<unsigned char>(c))) return ' ';
    return lowercase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }

  void clean(AlignedText& text) const {
    if (clean_text) {
      detail::filter_characters(text, [](char32_t c) {
        return c == '\t' || c == '\n' || c == '\r' || !(c == 0 || c == 0xFFFD || is_control(c));
      });
      detail::map_characters(text, [](char32_t c) { return is_white_space(c) ? U' ' : c; });
    }
    if (handle_chinese_chars) separate_chinese(text);
    if (strip_accents) {
      UnicodeForm{}(text);
      detail::filter_characters(text, [](char32_t c) { return !is_nonspacing_mark(c); });
    }
    if (lowercase) Lowercase{}(text);
  }

  static bool is_chinese(char32_t c) noexcept {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
  }
  static void separate_chinese(AlignedText& text) {
    if (detail::is_ascii(text.text())) return;
    std::vector<CharacterChange> changes;
    detail::for_each_character(text.text(), [&](char32_t c) {
      if (is_chinese(c)) {
        changes.insert(changes.end(), {{' ', 0}, {c, 1}, {' ', 1}});
      } else {
        changes.push_back({c, 0});
      }
    });
    text.rewrite(changes);
  }
};

/// The cleaning of SentencePiece's "nmt" rules: control characters go, other white space and invisible characters
/// become a space.
struct Nmt {
  void operator()(AlignedText& text) const {
    detail::filter_characters(text, [](char32_t c) {
      return !((c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F ||
               c == 0x9F);
    });
    detail::map_characters(text, [](char32_t c) {
      const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF ||
                         c == 0xFFFD;
      return space ? U' ' : c;
    });
  }
};

/// Spells the bytes of the text as the characters of byte-level vocabularies.
struct ByteLevelNormalizer {
  void operator()(AlignedText& text) const {
    AlignedText out;
    std::string spelled;
    for (std::uint32_t i = 0; i < text.size(); ++i) {
      spelled.clear();
      append_code_point(byte_alphabet.character(static_cast<unsigned char>(text.text()[i])), spelled);
      out.push(spelled, text.origin(i));
    }
    text = std::move(out);
  }
};

}  // namespace weft::inline v0
