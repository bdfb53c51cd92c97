#include <weft/generation/stop.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/rng.hpp>

namespace {

using weft::StopStrings;

struct Outcome {
  std::string text;
  std::optional<std::size_t> match;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

// The definition, tried at every byte of the whole text.
Outcome naive(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    const std::string_view so_far = std::string_view(text).substr(0, end);
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < stops.size(); ++i)
      if (so_far.ends_with(stops[i]) && (!best || stops[i].size() > stops[*best].size())) best = i;
    if (best) return {text.substr(0, end - stops[*best].size()), best};
  }
  return {text, std::nullopt};
}

Outcome in_pieces(StopStrings& stop, const std::vector<std::string>& pieces) {
  Outcome outcome;
  for (const std::string& piece : pieces) outcome.text += stop.push(piece);
  outcome.text += stop.finish();
  outcome.match = stop.match();
  return outcome;
}

TEST(StopStrings, CutsBeforeAStopStringAcrossPieces) {
  StopStrings stop({"The end", "\n\n"});
  EXPECT_EQ(stop.push("They lived. Th"), "They lived. ");
  EXPECT_EQ(stop.push("e "), "");
  EXPECT_EQ(stop.push("en"), "");
  EXPECT_FALSE(stop.match());
  EXPECT_EQ(stop.push("d. More"), "");
  EXPECT_EQ(stop.match(), 0u);
  EXPECT_EQ(stop.push("after"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, ReleasesWhatTurnsOutToBeText) {
  StopStrings stop({"abcd"});
  EXPECT_EQ(stop.push("abc"), "");
  EXPECT_EQ(stop.push("x"), "abcx");
  EXPECT_EQ(stop.push("aab"), "a");
  EXPECT_EQ(stop.finish(), "ab");
  EXPECT_EQ(stop.finish(), "");
  EXPECT_FALSE(stop.match());
}

TEST(StopStrings, EmitsTheTextBeforeAStopStringInsideOnePiece) {
  StopStrings stop({"</s>"});
  EXPECT_EQ(stop.push("one</s>two"), "one");
  EXPECT_EQ(stop.match(), 0u);
}

TEST(StopStrings, TheFirstToBeCompleteWins) {
  StopStrings stop({"abcd", "bc"});
  EXPECT_EQ(stop.push("xab"), "x");
  EXPECT_EQ(stop.push("cd"), "a");
  EXPECT_EQ(stop.match(), 1u);
}

TEST(StopStrings, TheLongestOfThoseCompleteAtOnceWins) {
  StopStrings stop({"c", "abc", "bc"});
  EXPECT_EQ(stop.push("ab"), "");
  EXPECT_EQ(stop.push("c"), "");
  EXPECT_EQ(stop.match(), 1u);
}

TEST(StopStrings, SelfOverlappingStrings) {
  StopStrings twice({"aabaaac"});
  EXPECT_EQ(twice.push("aabaaabaaac"), "aaba");
  EXPECT_EQ(twice.match(), 0u);
  StopStrings stop({"aabaaab"});
  EXPECT_EQ(stop.push("aabaa"), "");
  EXPECT_EQ(stop.push("baaab"), "aab");
  EXPECT_EQ(stop.match(), 0u);
}

TEST(StopStrings, ComparesBytesOfUtf8) {
  StopStrings stop({"\xEB\x81\x9D"});                    // one Korean character
  EXPECT_EQ(stop.push("\xEB\x81\x9C"), "\xEB\x81\x9C");  // another with the same first two bytes
  EXPECT_EQ(stop.push("\xEB"), "");
  EXPECT_EQ(stop.push("\x81"), "");
  EXPECT_EQ(stop.push("\x9D"), "");
  EXPECT_EQ(stop.match(), 0u);
}

TEST(StopStrings, TextMayHoldZeroBytes) {
  StopStrings stop({std::string("\0\0", 2)});
  EXPECT_EQ(stop.push(std::string_view("a\0b", 3)), std::string_view("a\0b", 3));
  EXPECT_EQ(stop.push(std::string_view("\0\0", 2)), "");
  EXPECT_TRUE(stop.match());
}

TEST(StopStrings, NoneLetsEverythingThrough) {
  StopStrings none;
  EXPECT_EQ(none.push("text"), "text");
  EXPECT_EQ(none.push(""), "");
  StopStrings empty_list(std::vector<std::string>{});
  EXPECT_EQ(empty_list.push("text"), "text");
  EXPECT_EQ(empty_list.finish(), "");
}

TEST(StopStrings, ResetStartsOver) {
  StopStrings stop({"ab"});
  EXPECT_EQ(stop.push("xab"), "x");
  stop.reset();
  EXPECT_FALSE(stop.match());
  EXPECT_EQ(stop.push("b"), "b");
  EXPECT_EQ(stop.push("a"), "");
  stop.reset();
  EXPECT_EQ(stop.push("b"), "b");
}

TEST(StopStrings, AnEmptyStopStringIsAnError) {
  try {
    StopStrings stop({"a", ""});
    FAIL() << "expected ConfigError";
  } catch (const weft::ConfigError& error) {
    EXPECT_STREQ(error.what(), "stop string 1 is empty, expected at least one byte");
  }
}

TEST(StopStrings, HoldsBackNoMoreThanIsNeeded) {
  const std::vector<std::string> stops{"abab", "ba"};
  weft::Philox rng(11);
  for (int round = 0; round < 2000; ++round) {
    StopStrings stop(stops);
    std::string text;
    std::string shown;
    for (int i = 0; i < 12 && !stop.match(); ++i) {
      const char byte = "abx"[rng() % 3];
      text += byte;
      shown += stop.push(std::string_view(&byte, 1));
      if (stop.match()) break;
      std::size_t pending = 0;
      for (const std::string& s : stops)
        for (std::size_t length = 1; length < s.size(); ++length)
          if (text.ends_with(s.substr(0, length))) pending = std::max(pending, length);
      ASSERT_EQ(shown, text.substr(0, text.size() - pending)) << text;
    }
  }
}

TEST(StopStrings, AgreesWithASearchOfTheWholeTextHoweverItIsCut) {
  weft::Philox rng(5);
  int found = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto letter = [&] { return static_cast<char>('a' + rng() % (2 + static_cast<unsigned>(round) % 3)); };
    std::vector<std::string> stops(rng() % 4);
    for (std::string& stop : stops)
      for (std::size_t length = 1 + rng() % 9; length > 0; --length) stop += letter();
    std::string text;
    while (text.size() < 40 && rng() % 16 != 0) {  // letters and beginnings of stop strings
      if (stops.empty() || rng() % 2 != 0) {
        text += letter();
      } else {
        const std::string& stop = stops[rng() % stops.size()];
        text += stop.substr(0, rng() % stop.size());
      }
    }
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = rng() % 7;  // pieces may be empty
      pieces.push_back(text.substr(at, length));
      at += length;
    }
    const Outcome expected = naive(text, stops);
    StopStrings stop(stops);
    ASSERT_EQ(in_pieces(stop, pieces), expected) << "round " << round << ": " << text;
    stop.reset();
    ASSERT_EQ(in_pieces(stop, {text}), expected) << "round " << round << ": " << text;
    found += expected.match ? 1 : 0;
  }
  EXPECT_GT(found, 5000);
  EXPECT_LT(found, 19000);
}

TEST(StopStrings, KeepsItsBuffer) {
  StopStrings stop({"never found", "nothing"});
  const char* buffer = stop.push("n").data();
  for (int i = 0; i < 10000; ++i) {
    const std::string_view shown = stop.push("a never fou");
    ASSERT_EQ(shown.data(), buffer);
  }
}

}  // namespace
