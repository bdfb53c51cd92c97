#!/usr/bin/env python3
"""Makes include/weft/tokenizers/unicode_tables.hpp: where the tables of Unicode in the tokenizers package differ from
those of Unicode 14, the oldest that utf8proc and PCRE2 come with.

Needs: pip install -r tests/reference/requirements-v5.txt, and Python 3.11 for its tables of Unicode 14
Run:   python tests/reference/make_unicode_tables.py

Every character is shown to the package by itself. Its regular expressions know Unicode 16, its lower case and numbers
Unicode 17, its normalization forms Unicode 9, its cleaning for BERT and its punctuation Unicode 8.
"""

import pathlib
import unicodedata

from tokenizers import Regex, normalizers, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parents[2] / "include" / "weft" / "tokenizers" / "unicode_tables.hpp"
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = ("Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cf", "Co")

HEAD = """#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

// Made by tests/reference/make_unicode_tables.py: do not edit.
namespace weft::inline v0 {

namespace detail {

/// Characters side by side; the last is one of them.
struct CharacterRange {
  char32_t first = 0;
  char32_t last = 0;
};

constexpr bool contains(std::span<const CharacterRange> ranges, char32_t c) noexcept {
  const auto found = std::partition_point(ranges.begin(), ranges.end(), [&](CharacterRange r) { return r.last < c; });
  return found != ranges.end() && found->first <= c;
}

"""


def ranges(characters):
    found = []
    for c in map(ord, characters):
        if found and found[-1][1] == c - 1:
            found[-1][1] = c
        else:
            found.append([c, c])
    return found


def wrapped(entries):
    lines = [""]
    for entry in entries:
        if len(lines[-1]) + len(entry) + 6 > 120:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + entry + ","
    return "\n".join("    " + line for line in lines).rstrip(",")


def table(comment, name, characters):
    entries = (f"CharacterRange{{0x{a:X}, 0x{b:X}}}" for a, b in ranges(characters))
    return f"/// {comment}\ninline constexpr std::array {name}{{\n{wrapped(entries)}}};\n\n"


def main():
    assert unicodedata.unidata_version == "14.0.0"
    category = {}
    for name in CATEGORIES:
        split = pre_tokenizers.Split(Regex(rf"\p{{{name}}}"), "removed")
        category |= {c: name for c in CHARACTERS if not split.pre_tokenize_str(c)}
    of = lambda kinds: [c for c in CHARACTERS if category.get(c, "Cn")[:len(kinds)] == kinds]
    kept = lambda normalizer, characters: [c for c in characters if normalizer.normalize_str(c) == c]
    bert = lambda **on: normalizers.BertNormalizer(**(dict(clean_text=False, handle_chinese_chars=False,
                                                           strip_accents=False, lowercase=False) | on))
    punctuation = pre_tokenizers.Punctuation("removed")
    digits = pre_tokenizers.Digits(individual_digits=False)
    is_numeric = lambda c: len(digits.pre_tokenize_str("a" + c)) == 2
    unassigned = [c for c in CHARACTERS if unicodedata.category(c) == "Cn"]

    out = HEAD
    out += "/// A general category of characters that later versions than Unicode 14 have.\n"
    out += "struct CategoryRange {\n  CharacterRange range;\n  std::string_view category;\n};\n"
    entries = sorted((a, b, name) for name in CATEGORIES
                     for a, b in ranges(c for c in unassigned if category.get(c) == name))
    out += "inline constexpr std::array later_categories{\n" + wrapped(
        f'CategoryRange{{{{0x{a:X}, 0x{b:X}}}, "{name}"}}' for a, b, name in entries) + "};\n\n"
    out += table("Numbers that Unicode 16 does not have.", "later_numbers",
                 [c for c in unassigned if c not in category and is_numeric(c)])
    out += table("Marks that Unicode 9 does not have.", "later_marks", kept(normalizers.StripAccents(), of("M")))
    out += table("Nonspacing marks that Unicode 8 does not have.", "later_nonspacing_marks",
                 kept(bert(strip_accents=True), of("Mn")))
    out += table("Controls, formats and the like that Unicode 8 does not have.", "later_controls",
                 kept(bert(clean_text=True), of("Cf")))
    out += table("Punctuation that Unicode 8 does not have.", "later_punctuation",
                 [c for c in of("P") if punctuation.pre_tokenize_str(c)])
    # Unicode 16 and 17 by name: Python has no table of them.
    decomposed = {chr(c) for first, last in ((0x105C9, 0x105C9), (0x105E4, 0x105E4), (0x11383, 0x11385),
                                             (0x1138E, 0x1138E), (0x11391, 0x11391), (0x113C5, 0x113C8),
                                             (0x16121, 0x16128), (0x16D68, 0x16D6A), (0x1CCD6, 0x1CCF9),
                                             (0xA7F1, 0xA7F1), (0x1E030, 0x1E06D)) for c in range(first, last + 1)}
    decomposed |= {c for c in CHARACTERS if unicodedata.normalize("NFKD", c) != c
                   and normalizers.NFKD().normalize_str(c) == c}
    out += table("Characters with decompositions that Unicode 9 does not have.", "later_decompositions",
                 sorted(decomposed))
    lower = {c: normalizers.Lowercase().normalize_str(c) for c in unassigned}
    steps = []
    for c, small in lower.items():
        if small == c:
            continue
        if steps and steps[-1][1] == ord(c) - 1 and steps[-1][2] == ord(small) - ord(c):
            steps[-1][1] = ord(c)
        else:
            steps.append([ord(c), ord(c), ord(small) - ord(c)])
    out += "/// Capital letters that later versions than Unicode 14 have, and how far their small letters are from them.\n"
    out += "struct LowerCaseRange {\n  CharacterRange range;\n  int distance;\n};\n"
    out += "inline constexpr std::array later_lower_cases{\n" + wrapped(
        f"LowerCaseRange{{{{0x{a:X}, 0x{b:X}}}, {step}}}" for a, b, step in steps) + "};\n\n"
    out += "}  // namespace detail\n\n}  // namespace weft::inline v0\n"
    OUT.write_text(out)


if __name__ == "__main__":
    main()
