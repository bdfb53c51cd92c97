#include <weft/tokenizers/byte_level_recipes.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <weft/tokenizers/byte_level.hpp>

namespace {

using namespace weft;
using Strings = std::vector<std::string>;

/// The pieces that a recipe cuts a text into, in the byte-level alphabet.
Strings cut(std::string_view recipe, std::string_view text, bool add_prefix_space = false) {
  PreTokens tokens{AlignedText(text), {}};
  tokens.pieces.push_back({{0, tokens.text.size()}});
  for (const PreTokenizer& step : byte_level_steps(find_byte_level_recipe(recipe)->patterns, add_prefix_space))
    step(tokens);
  Strings pieces;
  for (const PreToken& piece : tokens.pieces) pieces.emplace_back(tokens.text.view(piece.range));
  return pieces;
}

TEST(ByteLevelRecipes, AreFoundByTheirNames) {
  EXPECT_EQ(find_byte_level_recipe("no such name"), nullptr);
  EXPECT_EQ(find_byte_level_recipe(""), nullptr);
  std::set<std::string_view> names;
  for (const ByteLevelRecipe& recipe : detail::byte_level_recipes) {
    EXPECT_TRUE(names.insert(recipe.name).second) << recipe.name;
    EXPECT_EQ(find_byte_level_recipe(recipe.name), &recipe);
  }
}

// No pattern loses a byte: what matches none stays between the pieces that do.
TEST(ByteLevelRecipes, KeepEveryByte) {
  const std::string text = "I'LL be 1234567 \u00e9\u0301 \u4eca\u65e5 \u0e01\u0e33!?  \r\n\t(x|y) $a_b\U0001F600 ";
  for (const ByteLevelRecipe& recipe : detail::byte_level_recipes) {
    std::string all;
    for (const std::string& piece : cut(recipe.name, text)) all += piece;
    EXPECT_EQ(all, to_byte_level(text)) << recipe.name;
  }
}

// What tells the families apart: runs of digits, and letters after an apostrophe.
TEST(ByteLevelRecipes, CutAsTheirFamilies) {
  EXPECT_EQ(cut("gpt-2", "I'm 12345"), (Strings{"I", "'m", to_byte_level(" 12345")}));
  EXPECT_EQ(cut("llama-bpe", "I'M 12345"), (Strings{"I", "'M", to_byte_level(" "), "123", "45"}));
  EXPECT_EQ(cut("qwen2", "a12"), (Strings{"a", "1", "2"}));
  EXPECT_EQ(cut("smollm", "a 12"), (Strings{"a", to_byte_level(" "), "1", "2"}));
  EXPECT_EQ(cut("gpt-4o", "aBc"), (Strings{"a", "Bc"}));
  EXPECT_EQ(cut("deepseek-v3", "1234\u4eca\u65e5a"), (Strings{"123", "4", to_byte_level("\u4eca\u65e5"), "a"}));
  EXPECT_EQ(cut("gpt-2", "a", true), (Strings{to_byte_level(" a")}));
}

}  // namespace
