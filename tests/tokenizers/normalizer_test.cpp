#include <weft/tokenizers/normalizer.hpp>

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

// The text a step makes, and what each character of it stands for.
struct Result {
  std::string text;
  std::vector<std::string> origins;
};

Result run(const weft::Normalizer& step, std::string_view original) {
  weft::AlignedText text(original);
  step(text);
  Result result{text.text(), {}};
  for (std::uint32_t at = 0; at < text.size();) {
    const auto bytes = weft::first_code_point(std::string_view(text.text()).substr(at)).bytes;
    const auto [begin, end] = text.origin({at, at + static_cast<std::uint32_t>(bytes)});
    result.origins.emplace_back(original.substr(begin, end - begin));
    at += static_cast<std::uint32_t>(bytes);
  }
  return result;
}

using Strings = std::vector<std::string>;

TEST(Normalizer, MakesTheUnicodeForms) {
  const weft::UnicodeForm nfc{.composed = true}, nfd{}, nfkc{true, true}, nfkd{.compatibility = true};
  EXPECT_EQ(run(nfd, "\u00E9ﬁ").text, "e\u0301ﬁ");
  EXPECT_EQ(run(nfkd, "\u00E9ﬁ").text, "e\u0301fi");
  EXPECT_EQ(run(nfc, "e\u0301ﬁ").text, "\u00E9ﬁ");
  EXPECT_EQ(run(nfkc, "e\u0301ﬁ").text, "\u00E9fi");
  EXPECT_EQ(run(nfd, "한").text, "\u1112\u1161\u11AB");
  EXPECT_EQ(run(nfc, "\u1112\u1161\u11AB").text, "한");
  EXPECT_EQ(run(nfc, "q\u0307\u0323").text, "q\u0323\u0307");
  EXPECT_EQ(run(nfc, "\u1E9B\u0323").text, "\u1E9B\u0323");
  EXPECT_EQ(run(nfkc, "\u1E9B\u0323").text, "\u1E69");
  EXPECT_EQ(run(nfc, "\u0958").text, "\u0915\u093C");
  for (const auto& form : {nfc, nfd, nfkc, nfkd}) {
    EXPECT_EQ(run(form, "plain").text, "plain");
    EXPECT_EQ(run(form, "").text, "");
  }
}

TEST(Normalizer, KeepsTextAligned) {
  EXPECT_EQ(run(weft::UnicodeForm{}, "a\u00E9b").origins, (Strings{"a", "\u00E9", "\u00E9", "b"}));
  EXPECT_EQ(run(weft::UnicodeForm{.composed = true}, "ae\u0301b").origins, (Strings{"a", "e", "b"}));
  EXPECT_EQ(run(weft::Lowercase{}, "A\u0130").origins, (Strings{"A", "\u0130", "\u0130"}));
  EXPECT_EQ(run(weft::StripWhiteSpace{}, "  a b ").origins, (Strings{"a", " ", "b"}));
  EXPECT_EQ(run(weft::ReplaceText{"ab", "xyz"}, "cabd").origins, (Strings{"c", "b", "b", "b", "d"}));
  EXPECT_EQ(run(weft::Prepend{"__"}, "ab").origins, (Strings{"a", "a", "a", "b"}));
  EXPECT_EQ(run(weft::ByteLevelNormalizer{}, "\u00E9 ").origins, (Strings{"\u00E9", "\u00E9", " "}));
}

TEST(Normalizer, ChangesCase) {
  EXPECT_EQ(run(weft::Lowercase{}, "ABC").text, "abc");
  EXPECT_EQ(run(weft::Lowercase{}, "ÄΣİẞ").text, "äσi\u0307ß");
}

TEST(Normalizer, Strips) {
  EXPECT_EQ(run(weft::StripWhiteSpace{}, "\u3000\t a b\u00A0\n").text, "a b");
  EXPECT_EQ(run(weft::StripWhiteSpace{true, false}, "  a ").text, "a ");
  EXPECT_EQ(run(weft::StripWhiteSpace{false, true}, "  a ").text, "  a");
  EXPECT_EQ(run(weft::StripWhiteSpace{}, "   ").text, "");
  EXPECT_EQ(run(weft::StripAccents{}, "\u0301e\u0301\u0302x\u0903").text, "ex");
}

TEST(Normalizer, Replaces) {
  EXPECT_EQ(run(weft::ReplaceText{" ", "\u2581"}, " a  b").text, "\u2581a\u2581\u2581b");
  EXPECT_EQ(run(weft::ReplaceText{"aa", ""}, "aaab").text, "ab");
  EXPECT_EQ(run(weft::ReplaceMatches{weft::Regex(" {2,}", "t"), "-"}, "a   b c").text, "a-b c");
  EXPECT_EQ(run(weft::ReplaceMatches{weft::Regex("", "t"), "-"}, "ab").text, "-a-b-");
  EXPECT_EQ(run(weft::Prepend{"x"}, "").text, "");
}

TEST(Normalizer, CleansAsBert) {
  EXPECT_EQ(run(weft::BertNormalizer{}, "H\u00C9\x01\tLLO\uFFFD \u4E2DX").text, "he llo  \u4E2D x");
  EXPECT_EQ(run(weft::BertNormalizer{.strip_accents = false, .lowercase = false}, "\u00C9a").text, "\u00C9a");
  EXPECT_EQ(run(weft::BertNormalizer{.clean_text = false, .handle_chinese_chars = false}, "\t\u4E2D").text, "\t\u4E2D");
  EXPECT_EQ(run(weft::BertNormalizer{}, "a\u4E2Db").origins, (Strings{"a", "\u4E2D", "\u4E2D", "\u4E2D", "b"}));
}

TEST(Normalizer, CleansForBertAsItsStepsDo) {
  const std::vector<std::string> parts{"A",      "b ",     "\u00C9", "e\u0301", "\u0344\u0334", "\uAC01",     "\u4E00",
                                       "\u1E9B", "\u0130", "x\x01",  "\t",      "\u0327",       "\U0001D15E", "\u200D"};
  std::mt19937 random(5);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::size_t count = random() % 9; count > 0; --count) text += parts[random() % parts.size()];
    const Result found = run(weft::BertNormalizer{false, false, true, true}, text);
    const Result expected = run(
        [](weft::AlignedText& all) {
          weft::UnicodeForm{}(all);
          weft::detail::filter_characters(all, [](char32_t c) { return !weft::is_nonspacing_mark(c); });
          weft::Lowercase{}(all);
        },
        text);
    ASSERT_EQ(found.text, expected.text) << testing::PrintToString(text);
    ASSERT_EQ(found.origins, expected.origins) << testing::PrintToString(text);
  }
}

TEST(Normalizer, CleansAsNmt) { EXPECT_EQ(run(weft::Nmt{}, "a\x01\tb\u200B\u2581\uFEFFc\x7F").text, "a b   c"); }

TEST(Normalizer, SpellsBytes) { EXPECT_EQ(run(weft::ByteLevelNormalizer{}, "a \u00E9\n").text, "aĠÃ©Ċ"); }

}  // namespace
