#include <weft/tokenizers/pretokenizer.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace {

using Strings = std::vector<std::string>;

weft::PreTokens whole(std::string_view text) {
  weft::PreTokens tokens{weft::AlignedText(text), {}};
  if (!text.empty()) tokens.pieces.push_back({{0, tokens.text.size()}});
  return tokens;
}
Strings pieces(const weft::PreTokens& tokens) {
  Strings out;
  for (const weft::PreToken& piece : tokens.pieces) out.emplace_back(tokens.text.view(piece.range));
  return out;
}
Strings split(const weft::PreTokenizer& step, std::string_view text) {
  weft::PreTokens tokens = whole(text);
  step(tokens);
  return pieces(tokens);
}

TEST(PreTokenizer, KnowsFiveBehaviors) {
  using enum weft::SplitBehavior;
  const char* text = "the-final--cut";
  const auto at = [&](weft::SplitBehavior behavior) { return split(weft::SplitText{"-", behavior}, text); };
  EXPECT_EQ(at(removed), (Strings{"the", "final", "cut"}));
  EXPECT_EQ(at(isolated), (Strings{"the", "-", "final", "-", "-", "cut"}));
  EXPECT_EQ(at(merged_with_previous), (Strings{"the-", "final-", "-", "cut"}));
  EXPECT_EQ(at(merged_with_next), (Strings{"the", "-final", "-", "-cut"}));
  EXPECT_EQ(at(contiguous), (Strings{"the", "-", "final", "--", "cut"}));
  EXPECT_EQ(split(weft::SplitText{"-", removed, true}, text), (Strings{"-", "-", "-"}));
  EXPECT_EQ(split(weft::SplitText{"-", merged_with_next}, "a-"), (Strings{"a", "-"}));
  EXPECT_EQ(split(weft::SplitText{"-", merged_with_previous}, "-a"), (Strings{"-", "a"}));
  EXPECT_EQ(split(weft::SplitText{"-"}, ""), Strings{});
}

TEST(PreTokenizer, CutsAtEmptyMatches) {
  using enum weft::SplitBehavior;
  for (const auto behavior : {removed, isolated, merged_with_next, contiguous})
    EXPECT_EQ(split(weft::SplitMatches{weft::Regex("(?=[A-Z])", "t"), behavior}, "oneTwoThree"),
              (Strings{"one", "Two", "Three"}));
}

TEST(PreTokenizer, CutsAtKindsOfCharacters) {
  EXPECT_EQ(split(weft::SplitWords{}, "Hey, you! \u00E9\u0301_1"), (Strings{"Hey", ",", "you", "!", "\u00E9\u0301_1"}));
  EXPECT_EQ(split(weft::SplitWhiteSpace{}, " a\u3000b\tc\n"), (Strings{"a", "b", "c"}));
  EXPECT_EQ(split(weft::SplitPunctuation{}, "a$b\u3002\u20AC"), (Strings{"a", "$", "b", "\u3002", "\u20AC"}));
  EXPECT_EQ(split(weft::BertPreTokenizer{}, "can't  stop"), (Strings{"can", "'", "t", "stop"}));
  EXPECT_EQ(split(weft::SplitDigits{}, "a12b\u0663"), (Strings{"a", "12", "b", "\u0663"}));
  EXPECT_EQ(split(weft::SplitDigits{.individual = true}, "a12"), (Strings{"a", "1", "2"}));
  EXPECT_EQ(split(weft::SplitCharacter{U'\u00E9'}, "a\u00E9\u00E9b"), (Strings{"a", "b"}));
}

TEST(PreTokenizer, PutsSpacesInFrontAsAsked) {
  using enum weft::Metaspace::Prepend;
  const auto run = [](weft::Metaspace::Prepend prepend, std::string_view text) {
    return split(weft::Metaspace{.prepend = prepend}, text);
  };
  EXPECT_EQ(run(always, "a b"), (Strings{"\u2581a", "\u2581b"}));
  EXPECT_EQ(run(always, " a  b"), (Strings{"\u2581a", "\u2581", "\u2581b"}));
  EXPECT_EQ(run(never, "a b"), (Strings{"a", "\u2581b"}));
  EXPECT_EQ(split(weft::Metaspace{.split = false}, "a b"), (Strings{"\u2581a\u2581b"}));
  weft::PreTokens tokens = whole("ab");
  tokens.pieces = {{{0, 1}}, {{1, 2}}};
  weft::Metaspace{.prepend = first}(tokens);
  EXPECT_EQ(pieces(tokens), (Strings{"\u2581a", "b"}));
}

TEST(PreTokenizer, SpellsBytes) {
  EXPECT_EQ(split(weft::ByteLevelPreTokenizer{.add_prefix_space = false}, "a \u00E9"), (Strings{"aĠÃ©"}));
  const weft::ByteLevelPreTokenizer gpt2{true, {weft::Regex(weft::WordPattern::gpt2, "t")}};
  EXPECT_EQ(split(gpt2, "Hello I'm  ok\n"), (Strings{"ĠHello", "ĠI", "'m", "Ġ", "Ġok", "Ċ"}));
  EXPECT_EQ(split(gpt2, " a"), (Strings{"Ġa"}));
}

TEST(PreTokenizer, LeavesTokensThatWereFoundAlone) {
  weft::PreTokens tokens = whole("a b c d");
  tokens.pieces = {{{0, 2}}, {{2, 5}, 9}, {{5, 7}}};
  weft::SplitWhiteSpace{}(tokens);
  weft::Metaspace{}(tokens);
  EXPECT_EQ(pieces(tokens), (Strings{"\u2581a", "b c", "\u2581d"}));
  EXPECT_EQ(tokens.pieces[1].token, 9);
  EXPECT_EQ(tokens.text.origin(tokens.pieces[1].range), (weft::TextRange{2, 5}));
}

}  // namespace
