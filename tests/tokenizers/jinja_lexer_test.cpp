#include <weft/tokenizers/jinja/lexer.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../formats/temporary_directory.hpp"

namespace {

namespace jinja = weft::detail::jinja;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::message_of;

/// The tokens as text: data in brackets, tags as they are written.
std::vector<std::string> tokens(const std::string& text) {
  std::vector<std::string> out;
  for (const jinja::Token& token : jinja::Lexer(text, "t").tokens()) {
    switch (token.type) {
      case jinja::Token::Type::data: out.push_back('[' + token.text + ']'); break;
      case jinja::Token::Type::variable_begin: out.emplace_back("{{"); break;
      case jinja::Token::Type::variable_end: out.emplace_back("}}"); break;
      case jinja::Token::Type::block_begin: out.emplace_back("{%"); break;
      case jinja::Token::Type::block_end: out.emplace_back("%}"); break;
      case jinja::Token::Type::end: break;
      default: out.push_back(token.text);
    }
  }
  return out;
}

TEST(JinjaLexer, CutsTags) {
  EXPECT_THAT(tokens("a {{ b.c|d(1, 2.5) }} e"),
              ElementsAre("[a ]", "{{", "b", ".", "c", "|", "d", "(", "1", ",", "2.5", ")", "}}", "[ e]"));
  EXPECT_THAT(tokens("{{ {'a': {}} }}"), ElementsAre("{{", "{", "a", ":", "{", "}", "}", "}}"));
  EXPECT_THAT(tokens("{{ a//b**c!=d }}"), ElementsAre("{{", "a", "//", "b", "**", "c", "!=", "d", "}}"));
  EXPECT_THAT(tokens("{{ a.0.1 }}"), ElementsAre("{{", "a", ".", "0", ".", "1", "}}"));
}

TEST(JinjaLexer, TakesWhiteSpaceAroundTags) {
  EXPECT_THAT(tokens("a \n {%- b -%} \n c"), ElementsAre("[a]", "{%", "b", "%}", "[c]"));
  EXPECT_THAT(tokens("a\n  {% b %}\n  c"), ElementsAre("[a\n]", "{%", "b", "%}", "[  c]"));
  EXPECT_THAT(tokens("a\n  {%+ b +%}\n  c"), ElementsAre("[a\n  ]", "{%", "b", "%}", "[\n  c]"));
  EXPECT_THAT(tokens("a\n  {{ b }}\n"), ElementsAre("[a\n  ]", "{{", "b", "}}"));
  EXPECT_THAT(tokens("a {#- b -#} c{# d #}\ne"), ElementsAre("[a]", "[c]", "[e]"));
  EXPECT_THAT(tokens("{% raw %} {{ a }} {% endraw %}"), ElementsAre("[ {{ a }} ]"));
  EXPECT_THAT(tokens("a\r\nb\rc\n\n"), ElementsAre("[a\nb\nc\n]"));
}

TEST(JinjaLexer, ReadsStrings) {
  EXPECT_THAT(tokens(R"({{ 'a\'b\n\\\q' "\x41\u00e9\101" }})"), ElementsAre("{{", "a'b\n\\\\q", "A\u00e9A", "}}"));
}

TEST(JinjaLexer, NamesTheLine) {
  EXPECT_THAT(message_of<weft::FormatError>([] { tokens("\n\n{{ ? }}"); }),
              AllOf(HasSubstr("t: line 3"), HasSubstr("?")));
  EXPECT_THAT(message_of<weft::FormatError>([] { tokens("\n{{ (] }}"); }),
              AllOf(HasSubstr("line 2"), HasSubstr("\")\"")));
  for (const char* text : {"{{ 'a }}", "{# a", "{% raw %} a", "{{ ) }}", "{{ '\\ud800' }}", "{{ '\\N{DASH}' }}",
                           "{{ 99999999999999999999 }}", "\xFF"})
    EXPECT_THROW(tokens(text), weft::FormatError) << text;
}

}  // namespace
