#pragma once

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

/// A general category of characters that later versions than Unicode 14 have.
struct CategoryRange {
  CharacterRange range;
  std::string_view category;
};
inline constexpr std::array later_categories{
    CategoryRange{{0x897, 0x897}, "Mn"},     CategoryRange{{0xCF3, 0xCF3}, "Mc"},
    CategoryRange{{0xECE, 0xECE}, "Mn"},     CategoryRange{{0x1B4E, 0x1B4F}, "Po"},
    CategoryRange{{0x1B7F, 0x1B7F}, "Po"},   CategoryRange{{0x1C89, 0x1C89}, "Lu"},
    CategoryRange{{0x1C8A, 0x1C8A}, "Ll"},   CategoryRange{{0x2427, 0x2429}, "So"},
    CategoryRange{{0x2FFC, 0x2FFF}, "So"},   CategoryRange{{0x31E4, 0x31E5}, "So"},
    CategoryRange{{0x31EF, 0x31EF}, "So"},   CategoryRange{{0xA7CB, 0xA7CC}, "Lu"},
    CategoryRange{{0xA7CD, 0xA7CD}, "Ll"},   CategoryRange{{0xA7DA, 0xA7DA}, "Lu"},
    CategoryRange{{0xA7DB, 0xA7DB}, "Ll"},   CategoryRange{{0xA7DC, 0xA7DC}, "Lu"},
    CategoryRange{{0x105C0, 0x105F3}, "Lo"}, CategoryRange{{0x10D40, 0x10D49}, "Nd"},
    CategoryRange{{0x10D4A, 0x10D4D}, "Lo"}, CategoryRange{{0x10D4E, 0x10D4E}, "Lm"},
    CategoryRange{{0x10D4F, 0x10D4F}, "Lo"}, CategoryRange{{0x10D50, 0x10D65}, "Lu"},
    CategoryRange{{0x10D69, 0x10D6D}, "Mn"}, CategoryRange{{0x10D6E, 0x10D6E}, "Pd"},
    CategoryRange{{0x10D6F, 0x10D6F}, "Lm"}, CategoryRange{{0x10D70, 0x10D85}, "Ll"},
    CategoryRange{{0x10D8E, 0x10D8F}, "Sm"}, CategoryRange{{0x10EC2, 0x10EC4}, "Lo"},
    CategoryRange{{0x10EFC, 0x10EFF}, "Mn"}, CategoryRange{{0x1123F, 0x11240}, "Lo"},
    CategoryRange{{0x11241, 0x11241}, "Mn"}, CategoryRange{{0x11380, 0x11389}, "Lo"},
    CategoryRange{{0x1138B, 0x1138B}, "Lo"}, CategoryRange{{0x1138E, 0x1138E}, "Lo"},
    CategoryRange{{0x11390, 0x113B5}, "Lo"}, CategoryRange{{0x113B7, 0x113B7}, "Lo"},
    CategoryRange{{0x113B8, 0x113BA}, "Mc"}, CategoryRange{{0x113BB, 0x113C0}, "Mn"},
    CategoryRange{{0x113C2, 0x113C2}, "Mc"}, CategoryRange{{0x113C5, 0x113C5}, "Mc"},
    CategoryRange{{0x113C7, 0x113CA}, "Mc"}, CategoryRange{{0x113CC, 0x113CD}, "Mc"},
    CategoryRange{{0x113CE, 0x113CE}, "Mn"}, CategoryRange{{0x113CF, 0x113CF}, "Mc"},
    CategoryRange{{0x113D0, 0x113D0}, "Mn"}, CategoryRange{{0x113D1, 0x113D1}, "Lo"},
    CategoryRange{{0x113D2, 0x113D2}, "Mn"}, CategoryRange{{0x113D3, 0x113D3}, "Lo"},
    CategoryRange{{0x113D4, 0x113D5}, "Po"}, CategoryRange{{0x113D7, 0x113D8}, "Po"},
    CategoryRange{{0x113E1, 0x113E2}, "Mn"}, CategoryRange{{0x116D0, 0x116E3}, "Nd"},
    CategoryRange{{0x11B00, 0x11B09}, "Po"}, CategoryRange{{0x11BC0, 0x11BE0}, "Lo"},
    CategoryRange{{0x11BE1, 0x11BE1}, "Po"}, CategoryRange{{0x11BF0, 0x11BF9}, "Nd"},
    CategoryRange{{0x11F00, 0x11F01}, "Mn"}, CategoryRange{{0x11F02, 0x11F02}, "Lo"},
    CategoryRange{{0x11F03, 0x11F03}, "Mc"}, CategoryRange{{0x11F04, 0x11F10}, "Lo"},
    CategoryRange{{0x11F12, 0x11F33}, "Lo"}, CategoryRange{{0x11F34, 0x11F35}, "Mc"},
    CategoryRange{{0x11F36, 0x11F3A}, "Mn"}, CategoryRange{{0x11F3E, 0x11F3F}, "Mc"},
    CategoryRange{{0x11F40, 0x11F40}, "Mn"}, CategoryRange{{0x11F41, 0x11F41}, "Mc"},
    CategoryRange{{0x11F42, 0x11F42}, "Mn"}, CategoryRange{{0x11F43, 0x11F4F}, "Po"},
    CategoryRange{{0x11F50, 0x11F59}, "Nd"}, CategoryRange{{0x11F5A, 0x11F5A}, "Mn"},
    CategoryRange{{0x1342F, 0x1342F}, "Lo"}, CategoryRange{{0x13439, 0x1343F}, "Cf"},
    CategoryRange{{0x13440, 0x13440}, "Mn"}, CategoryRange{{0x13441, 0x13446}, "Lo"},
    CategoryRange{{0x13447, 0x13455}, "Mn"}, CategoryRange{{0x13460, 0x143FA}, "Lo"},
    CategoryRange{{0x16100, 0x1611D}, "Lo"}, CategoryRange{{0x1611E, 0x16129}, "Mn"},
    CategoryRange{{0x1612A, 0x1612C}, "Mc"}, CategoryRange{{0x1612D, 0x1612F}, "Mn"},
    CategoryRange{{0x16130, 0x16139}, "Nd"}, CategoryRange{{0x16D40, 0x16D42}, "Lm"},
    CategoryRange{{0x16D43, 0x16D6A}, "Lo"}, CategoryRange{{0x16D6B, 0x16D6C}, "Lm"},
    CategoryRange{{0x16D6D, 0x16D6F}, "Po"}, CategoryRange{{0x16D70, 0x16D79}, "Nd"},
    CategoryRange{{0x18CFF, 0x18CFF}, "Lo"}, CategoryRange{{0x1B132, 0x1B132}, "Lo"},
    CategoryRange{{0x1B155, 0x1B155}, "Lo"}, CategoryRange{{0x1CC00, 0x1CCEF}, "So"},
    CategoryRange{{0x1CCF0, 0x1CCF9}, "Nd"}, CategoryRange{{0x1CD00, 0x1CEB3}, "So"},
    CategoryRange{{0x1D2C0, 0x1D2D3}, "No"}, CategoryRange{{0x1DF25, 0x1DF2A}, "Ll"},
    CategoryRange{{0x1E030, 0x1E06D}, "Lm"}, CategoryRange{{0x1E08F, 0x1E08F}, "Mn"},
    CategoryRange{{0x1E4D0, 0x1E4EA}, "Lo"}, CategoryRange{{0x1E4EB, 0x1E4EB}, "Lm"},
    CategoryRange{{0x1E4EC, 0x1E4EF}, "Mn"}, CategoryRange{{0x1E4F0, 0x1E4F9}, "Nd"},
    CategoryRange{{0x1E5D0, 0x1E5ED}, "Lo"}, CategoryRange{{0x1E5EE, 0x1E5EF}, "Mn"},
    CategoryRange{{0x1E5F0, 0x1E5F0}, "Lo"}, CategoryRange{{0x1E5F1, 0x1E5FA}, "Nd"},
    CategoryRange{{0x1E5FF, 0x1E5FF}, "Po"}, CategoryRange{{0x1F6DC, 0x1F6DC}, "So"},
    CategoryRange{{0x1F774, 0x1F776}, "So"}, CategoryRange{{0x1F77B, 0x1F77F}, "So"},
    CategoryRange{{0x1F7D9, 0x1F7D9}, "So"}, CategoryRange{{0x1F8B2, 0x1F8BB}, "So"},
    CategoryRange{{0x1F8C0, 0x1F8C1}, "So"}, CategoryRange{{0x1FA75, 0x1FA77}, "So"},
    CategoryRange{{0x1FA87, 0x1FA89}, "So"}, CategoryRange{{0x1FA8F, 0x1FA8F}, "So"},
    CategoryRange{{0x1FAAD, 0x1FAAF}, "So"}, CategoryRange{{0x1FABB, 0x1FABF}, "So"},
    CategoryRange{{0x1FAC6, 0x1FAC6}, "So"}, CategoryRange{{0x1FACE, 0x1FACF}, "So"},
    CategoryRange{{0x1FADA, 0x1FADC}, "So"}, CategoryRange{{0x1FADF, 0x1FADF}, "So"},
    CategoryRange{{0x1FAE8, 0x1FAE9}, "So"}, CategoryRange{{0x1FAF7, 0x1FAF8}, "So"},
    CategoryRange{{0x1FBCB, 0x1FBEF}, "So"}, CategoryRange{{0x2B739, 0x2B739}, "Lo"},
    CategoryRange{{0x2EBF0, 0x2EE5D}, "Lo"}, CategoryRange{{0x31350, 0x323AF}, "Lo"}};

/// Numbers that Unicode 16 does not have.
inline constexpr std::array later_numbers{CharacterRange{0x11DE0, 0x11DE9}, CharacterRange{0x16FF4, 0x16FF6}};

/// Marks that Unicode 9 does not have.
inline constexpr std::array later_marks{
    CharacterRange{0x7FD, 0x7FD},     CharacterRange{0x897, 0x89F},     CharacterRange{0x8CA, 0x8D3},
    CharacterRange{0x9FE, 0x9FE},     CharacterRange{0xAFA, 0xAFF},     CharacterRange{0xB55, 0xB55},
    CharacterRange{0xC04, 0xC04},     CharacterRange{0xC3C, 0xC3C},     CharacterRange{0xCF3, 0xCF3},
    CharacterRange{0xD00, 0xD00},     CharacterRange{0xD3B, 0xD3C},     CharacterRange{0xD81, 0xD81},
    CharacterRange{0xEBA, 0xEBA},     CharacterRange{0xECE, 0xECE},     CharacterRange{0x1715, 0x1715},
    CharacterRange{0x180F, 0x180F},   CharacterRange{0x1ABF, 0x1ACE},   CharacterRange{0x1CF7, 0x1CF7},
    CharacterRange{0x1DF6, 0x1DFA},   CharacterRange{0xA82C, 0xA82C},   CharacterRange{0xA8FF, 0xA8FF},
    CharacterRange{0x10D24, 0x10D27}, CharacterRange{0x10D69, 0x10D6D}, CharacterRange{0x10EAB, 0x10EAC},
    CharacterRange{0x10EFC, 0x10EFF}, CharacterRange{0x10F46, 0x10F50}, CharacterRange{0x10F82, 0x10F85},
    CharacterRange{0x11070, 0x11070}, CharacterRange{0x11073, 0x11074}, CharacterRange{0x110C2, 0x110C2},
    CharacterRange{0x11145, 0x11146}, CharacterRange{0x111C9, 0x111C9}, CharacterRange{0x111CE, 0x111CF},
    CharacterRange{0x11241, 0x11241}, CharacterRange{0x1133B, 0x1133B}, CharacterRange{0x113B8, 0x113C0},
    CharacterRange{0x113C2, 0x113C2}, CharacterRange{0x113C5, 0x113C5}, CharacterRange{0x113C7, 0x113CA},
    CharacterRange{0x113CC, 0x113D0}, CharacterRange{0x113D2, 0x113D2}, CharacterRange{0x113E1, 0x113E2},
    CharacterRange{0x1145E, 0x1145E}, CharacterRange{0x1182C, 0x1183A}, CharacterRange{0x11930, 0x11935},
    CharacterRange{0x11937, 0x11938}, CharacterRange{0x1193B, 0x1193E}, CharacterRange{0x11940, 0x11940},
    CharacterRange{0x11942, 0x11943}, CharacterRange{0x119D1, 0x119D7}, CharacterRange{0x119DA, 0x119E0},
    CharacterRange{0x119E4, 0x119E4}, CharacterRange{0x11A01, 0x11A0A}, CharacterRange{0x11A33, 0x11A39},
    CharacterRange{0x11A3B, 0x11A3E}, CharacterRange{0x11A47, 0x11A47}, CharacterRange{0x11A51, 0x11A5B},
    CharacterRange{0x11A8A, 0x11A99}, CharacterRange{0x11D31, 0x11D36}, CharacterRange{0x11D3A, 0x11D3A},
    CharacterRange{0x11D3C, 0x11D3D}, CharacterRange{0x11D3F, 0x11D45}, CharacterRange{0x11D47, 0x11D47},
    CharacterRange{0x11D8A, 0x11D8E}, CharacterRange{0x11D90, 0x11D91}, CharacterRange{0x11D93, 0x11D97},
    CharacterRange{0x11EF3, 0x11EF6}, CharacterRange{0x11F00, 0x11F01}, CharacterRange{0x11F03, 0x11F03},
    CharacterRange{0x11F34, 0x11F3A}, CharacterRange{0x11F3E, 0x11F42}, CharacterRange{0x11F5A, 0x11F5A},
    CharacterRange{0x13440, 0x13440}, CharacterRange{0x13447, 0x13455}, CharacterRange{0x1611E, 0x1612F},
    CharacterRange{0x16F4F, 0x16F4F}, CharacterRange{0x16F7F, 0x16F87}, CharacterRange{0x16FE4, 0x16FE4},
    CharacterRange{0x16FF0, 0x16FF1}, CharacterRange{0x1CF00, 0x1CF2D}, CharacterRange{0x1CF30, 0x1CF46},
    CharacterRange{0x1E08F, 0x1E08F}, CharacterRange{0x1E130, 0x1E136}, CharacterRange{0x1E2AE, 0x1E2AE},
    CharacterRange{0x1E2EC, 0x1E2EF}, CharacterRange{0x1E4EC, 0x1E4EF}, CharacterRange{0x1E5EE, 0x1E5EF}};

/// Nonspacing marks that Unicode 8 does not have.
inline constexpr std::array later_nonspacing_marks{
    CharacterRange{0x7FD, 0x7FD},     CharacterRange{0x897, 0x89F},     CharacterRange{0x8CA, 0x8E1},
    CharacterRange{0x9FE, 0x9FE},     CharacterRange{0xAFA, 0xAFF},     CharacterRange{0xB55, 0xB55},
    CharacterRange{0xC04, 0xC04},     CharacterRange{0xC3C, 0xC3C},     CharacterRange{0xD00, 0xD00},
    CharacterRange{0xD3B, 0xD3C},     CharacterRange{0xD81, 0xD81},     CharacterRange{0xEBA, 0xEBA},
    CharacterRange{0xECE, 0xECE},     CharacterRange{0x180F, 0x180F},   CharacterRange{0x1885, 0x1886},
    CharacterRange{0x1ABF, 0x1ACE},   CharacterRange{0x1DF6, 0x1DFB},   CharacterRange{0xA82C, 0xA82C},
    CharacterRange{0xA8C5, 0xA8C5},   CharacterRange{0xA8FF, 0xA8FF},   CharacterRange{0xA9BD, 0xA9BD},
    CharacterRange{0x10D24, 0x10D27}, CharacterRange{0x10D69, 0x10D6D}, CharacterRange{0x10EAB, 0x10EAC},
    CharacterRange{0x10EFC, 0x10EFF}, CharacterRange{0x10F46, 0x10F50}, CharacterRange{0x10F82, 0x10F85},
    CharacterRange{0x11070, 0x11070}, CharacterRange{0x11073, 0x11074}, CharacterRange{0x110C2, 0x110C2},
    CharacterRange{0x111C9, 0x111C9}, CharacterRange{0x111CF, 0x111CF}, CharacterRange{0x1123E, 0x1123E},
    CharacterRange{0x11241, 0x11241}, CharacterRange{0x1133B, 0x1133B}, CharacterRange{0x113BB, 0x113C0},
    CharacterRange{0x113CE, 0x113CE}, CharacterRange{0x113D0, 0x113D0}, CharacterRange{0x113D2, 0x113D2},
    CharacterRange{0x113E1, 0x113E2}, CharacterRange{0x11438, 0x1143F}, CharacterRange{0x11442, 0x11444},
    CharacterRange{0x11446, 0x11446}, CharacterRange{0x1145E, 0x1145E}, CharacterRange{0x1182F, 0x11837},
    CharacterRange{0x11839, 0x1183A}, CharacterRange{0x1193B, 0x1193C}, CharacterRange{0x1193E, 0x1193E},
    CharacterRange{0x11943, 0x11943}, CharacterRange{0x119D4, 0x119D7}, CharacterRange{0x119DA, 0x119DB},
    CharacterRange{0x119E0, 0x119E0}, CharacterRange{0x11A01, 0x11A0A}, CharacterRange{0x11A33, 0x11A38},
    CharacterRange{0x11A3B, 0x11A3E}, CharacterRange{0x11A47, 0x11A47}, CharacterRange{0x11A51, 0x11A56},
    CharacterRange{0x11A59, 0x11A5B}, CharacterRange{0x11A8A, 0x11A96}, CharacterRange{0x11A98, 0x11A99},
    CharacterRange{0x11C30, 0x11C36}, CharacterRange{0x11C38, 0x11C3D}, CharacterRange{0x11C3F, 0x11C3F},
    CharacterRange{0x11C92, 0x11CA7}, CharacterRange{0x11CAA, 0x11CB0}, CharacterRange{0x11CB2, 0x11CB3},
    CharacterRange{0x11CB5, 0x11CB6}, CharacterRange{0x11D31, 0x11D36}, CharacterRange{0x11D3A, 0x11D3A},
    CharacterRange{0x11D3C, 0x11D3D}, CharacterRange{0x11D3F, 0x11D45}, CharacterRange{0x11D47, 0x11D47},
    CharacterRange{0x11D90, 0x11D91}, CharacterRange{0x11D95, 0x11D95}, CharacterRange{0x11D97, 0x11D97},
    CharacterRange{0x11EF3, 0x11EF4}, CharacterRange{0x11F00, 0x11F01}, CharacterRange{0x11F36, 0x11F3A},
    CharacterRange{0x11F40, 0x11F40}, CharacterRange{0x11F42, 0x11F42}, CharacterRange{0x11F5A, 0x11F5A},
    CharacterRange{0x13440, 0x13440}, CharacterRange{0x13447, 0x13455}, CharacterRange{0x1611E, 0x16129},
    CharacterRange{0x1612D, 0x1612F}, CharacterRange{0x16F4F, 0x16F4F}, CharacterRange{0x16FE4, 0x16FE4},
    CharacterRange{0x1CF00, 0x1CF2D}, CharacterRange{0x1CF30, 0x1CF46}, CharacterRange{0x1E000, 0x1E006},
    CharacterRange{0x1E008, 0x1E018}, CharacterRange{0x1E01B, 0x1E021}, CharacterRange{0x1E023, 0x1E024},
    CharacterRange{0x1E026, 0x1E02A}, CharacterRange{0x1E08F, 0x1E08F}, CharacterRange{0x1E130, 0x1E136},
    CharacterRange{0x1E2AE, 0x1E2AE}, CharacterRange{0x1E2EC, 0x1E2EF}, CharacterRange{0x1E4EC, 0x1E4EF},
    CharacterRange{0x1E5EE, 0x1E5EF}, CharacterRange{0x1E944, 0x1E94A}};

/// Controls, formats and the like that Unicode 8 does not have.
inline constexpr std::array later_controls{CharacterRange{0x890, 0x891}, CharacterRange{0x8E2, 0x8E2},
                                           CharacterRange{0x110CD, 0x110CD}, CharacterRange{0x13430, 0x1343F}};

/// Punctuation that Unicode 8 does not have.
inline constexpr std::array later_punctuation{
    CharacterRange{0x61D, 0x61D},     CharacterRange{0x9FD, 0x9FD},     CharacterRange{0xA76, 0xA76},
    CharacterRange{0xC77, 0xC77},     CharacterRange{0xC84, 0xC84},     CharacterRange{0x1B4E, 0x1B4F},
    CharacterRange{0x1B7D, 0x1B7F},   CharacterRange{0x2E43, 0x2E4F},   CharacterRange{0x2E52, 0x2E5D},
    CharacterRange{0x10D6E, 0x10D6E}, CharacterRange{0x10EAD, 0x10EAD}, CharacterRange{0x10F55, 0x10F59},
    CharacterRange{0x10F86, 0x10F89}, CharacterRange{0x113D4, 0x113D5}, CharacterRange{0x113D7, 0x113D8},
    CharacterRange{0x1144B, 0x1144F}, CharacterRange{0x1145A, 0x1145B}, CharacterRange{0x1145D, 0x1145D},
    CharacterRange{0x11660, 0x1166C}, CharacterRange{0x116B9, 0x116B9}, CharacterRange{0x1183B, 0x1183B},
    CharacterRange{0x11944, 0x11946}, CharacterRange{0x119E2, 0x119E2}, CharacterRange{0x11A3F, 0x11A46},
    CharacterRange{0x11A9A, 0x11A9C}, CharacterRange{0x11A9E, 0x11AA2}, CharacterRange{0x11B00, 0x11B09},
    CharacterRange{0x11BE1, 0x11BE1}, CharacterRange{0x11C41, 0x11C45}, CharacterRange{0x11C70, 0x11C71},
    CharacterRange{0x11EF7, 0x11EF8}, CharacterRange{0x11F43, 0x11F4F}, CharacterRange{0x11FFF, 0x11FFF},
    CharacterRange{0x12FF1, 0x12FF2}, CharacterRange{0x16D6D, 0x16D6F}, CharacterRange{0x16E97, 0x16E9A},
    CharacterRange{0x16FE2, 0x16FE2}, CharacterRange{0x1E5FF, 0x1E5FF}, CharacterRange{0x1E95E, 0x1E95F}};

/// Characters with decompositions that Unicode 9 does not have.
inline constexpr std::array later_decompositions{
    CharacterRange{0x32FF, 0x32FF},   CharacterRange{0xA7F1, 0xA7F4},   CharacterRange{0xAB69, 0xAB69},
    CharacterRange{0x105C9, 0x105C9}, CharacterRange{0x105E4, 0x105E4}, CharacterRange{0x10781, 0x10785},
    CharacterRange{0x10787, 0x107B0}, CharacterRange{0x107B2, 0x107BA}, CharacterRange{0x11383, 0x11385},
    CharacterRange{0x1138E, 0x1138E}, CharacterRange{0x11391, 0x11391}, CharacterRange{0x113C5, 0x113C8},
    CharacterRange{0x11938, 0x11938}, CharacterRange{0x16121, 0x16128}, CharacterRange{0x16D68, 0x16D6A},
    CharacterRange{0x1CCD6, 0x1CCF9}, CharacterRange{0x1E030, 0x1E06D}, CharacterRange{0x1F16C, 0x1F16C},
    CharacterRange{0x1FBF0, 0x1FBF9}};

/// Capital letters that later versions than Unicode 14 have, and how far their small letters are from them.
struct LowerCaseRange {
  CharacterRange range;
  int distance;
};
inline constexpr std::array later_lower_cases{
    LowerCaseRange{{0x1C89, 0x1C89}, 1},    LowerCaseRange{{0xA7CB, 0xA7CB}, -42343},
    LowerCaseRange{{0xA7CC, 0xA7CC}, 1},    LowerCaseRange{{0xA7CE, 0xA7CE}, 1},
    LowerCaseRange{{0xA7D2, 0xA7D2}, 1},    LowerCaseRange{{0xA7D4, 0xA7D4}, 1},
    LowerCaseRange{{0xA7DA, 0xA7DA}, 1},    LowerCaseRange{{0xA7DC, 0xA7DC}, -42561},
    LowerCaseRange{{0x10D50, 0x10D65}, 32}, LowerCaseRange{{0x16EA0, 0x16EB8}, 27}};

}  // namespace detail

}  // namespace weft::inline v0
