#include <weft/tokenizers/chat_template.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <weft/formats/json.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::message_of;

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "chat_templates";

/// The clock of make_chat_template_fixtures.py.
std::tm fixture_time() {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 9;
  time.tm_wday = 2;
  time.tm_yday = 190;
  time.tm_hour = 13;
  time.tm_min = 5;
  return time;
}

/// What a template makes of one message, where it looks at variables alone.
std::string render(const std::string& text, const std::string& variables = "{}", weft::ChatTemplateLimits limits = {}) {
  weft::ChatTemplateOptions options;
  options.variables = weft::parse_json(variables, "variables");
  options.limits = limits;
  return weft::ChatTemplate(text).apply({{"user", "Hi"}}, options);
}

std::optional<std::string> text_or_error(const weft::ChatTemplate& chat, const weft::Json& messages,
                                         const weft::ChatTemplateOptions& options) {
  try {
    return chat.apply(messages, options);
  } catch (const weft::Error&) {
    return std::nullopt;
  }
}

class ChatTemplateStyles : public testing::TestWithParam<const char*> {};

TEST_P(ChatTemplateStyles, WriteWhatTransformersWrites) {
  const std::filesystem::path folder = fixtures / GetParam();
  const weft::Json reference = weft::parse_json_file((folder / "cases.json").string());
  std::map<std::string, std::string> tokens;
  for (const weft::Json& token : reference.at("tokens")) tokens[std::string(token.key())] = token.as_string();
  const weft::ChatTemplate chat(weft_tests::read_file(folder / "chat_template.jinja"), tokens);
  for (const weft::Json& one : reference.at("cases").as_array()) {
    const weft::Json& given = one.at("options");
    weft::ChatTemplateOptions options{.add_generation_prompt = given.get_or("add_generation_prompt", false)};
    if (const weft::Json* tools = given.given("tools")) options.tools = *tools;
    if (const weft::Json* documents = given.given("documents")) options.documents = *documents;
    if (const weft::Json* variables = given.given("variables")) options.variables = *variables;
    options.now = fixture_time();
    const weft::Json* text = one.given("text");
    const auto expected = text ? std::optional(std::string(text->as_string())) : std::nullopt;
    EXPECT_EQ(text_or_error(chat, one.at("messages"), options), expected) << weft::write_json(one);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ChatTemplateStyles,
                         testing::Values("chatml", "headers", "inst", "reasoning", "tools", "turns"),
                         [](const auto& style) { return std::string(style.param); });

TEST(ChatTemplate, SpeaksTheLanguageOfJinja) {
  const weft::Json reference = weft::parse_json_file((fixtures / "language.json").string());
  const weft::Json messages = weft::parse_json(R"([{"role": "user", "content": ""}])", "messages");
  weft::ChatTemplateOptions options;
  options.variables = reference.at("variables");
  options.now = fixture_time();
  for (const weft::Json& one : reference.at("cases").as_array()) {
    const std::string source(one.at(0).as_string());
    const auto expected = one.at(1).is_null() ? std::nullopt : std::optional(std::string(one.at(1).as_string()));
    std::optional<std::string> found;
    try {
      found = weft::ChatTemplate(source).apply(messages, options);
    } catch (const weft::Error&) {
    }
    EXPECT_EQ(found, expected) << source;
  }
}

TEST(ChatTemplate, TakesMessagesWithFurtherFields) {
  const weft::ChatTemplate chat("{% for m in messages %}{{ m | tojson }}{% endfor %}{{ tools }}{{ documents }}");
  EXPECT_EQ(chat.apply({{"user", "Hi"}}), R"({"role": "user", "content": "Hi"}NoneNone)");
  const weft::Json more = weft::parse_json(R"({"tool_calls": [{"x": 1}], "name": null})", "more");
  EXPECT_EQ(chat.apply({{"assistant", "", more}}),
            R"({"role": "assistant", "content": "", "tool_calls": [{"x": 1}]}NoneNone)");
  const weft::Json parts = weft::parse_json(R"({"content": [{"type": "text", "text": "a"}]})", "more");
  EXPECT_EQ(chat.apply({{"user", "replaced", parts}}),
            R"({"role": "user", "content": [{"type": "text", "text": "a"}]}NoneNone)");
}

TEST(ChatTemplate, GivesReasoningUnderEveryName) {
  const weft::ChatTemplate chat("{{ messages | tojson }}");
  const auto with = [&](const char* message) { return chat.apply(weft::parse_json(message, "messages")); };
  EXPECT_EQ(with(R"([{"role": "a", "reasoning": "r"}])"),
            R"([{"thinking": "r", "role": "a", "reasoning": "r", "reasoning_content": "r"}])");
  EXPECT_EQ(with(R"([{"role": "a", "reasoning_content": "r", "thinking": "t"}])"),
            R"([{"thinking": "t", "role": "a", "reasoning_content": "r"}])");
}

TEST(ChatTemplate, ReplacesWhatIsNoText) {
  EXPECT_EQ(weft::ChatTemplate("{{ messages[0].content }}").apply({{"user", "a\xFF"}}), "a\xEF\xBF\xBD");
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  const std::string text =
      "{% for m in messages %}<{{ m.role }}>{{ m.content | trim if m.content is string else m.content[0].text }}</{{ "
      "m.role }}>{% endfor %}";
  const weft::ChatTemplate chat(text);
  EXPECT_EQ(chat.apply({{"user", "q"}, {"assistant", "The answer"}}, {.continue_final_message = true}),
            "<user>q</user><assistant>The answer");
  EXPECT_EQ(chat.apply({{"assistant", "The answer  "}}, {.continue_final_message = true}), "<assistant>The answer");
  const weft::Json parts = weft::parse_json(R"([{"role": "a", "content": [{"type": "text", "text": "So"}]}])", "m");
  EXPECT_EQ(chat.apply(parts, {.continue_final_message = true}), "<a>So");
  const weft::ChatTemplateOptions both{.add_generation_prompt = true, .continue_final_message = true};
  EXPECT_THROW(chat.apply({{"a", "b"}}, both), weft::ConfigError);
  EXPECT_THROW(weft::ChatTemplate("content").apply({{"a", "b"}}, {.continue_final_message = true}), weft::ConfigError);
}

TEST(ChatTemplate, ChoosesAmongSeveral) {
  const weft::ChatTemplate chat(std::vector<weft::ChatTemplateText>{
      {.name = "default", .text = "D"}, {.name = "tool_use", .text = "T"}, {.name = "rag", .text = "R"}});
  EXPECT_EQ(chat.apply({{"user", ""}}), "D");
  EXPECT_EQ(chat.apply({{"user", ""}}, {.tools = weft::parse_json("[]", "tools")}), "T");
  EXPECT_EQ(chat.apply({{"user", ""}}, {.chat_template = "rag"}), "R");
  EXPECT_THAT(message_of<weft::ConfigError>([&] {
                chat.apply({{"user", ""}}, {.chat_template = "x"});
              }),
              AllOf(HasSubstr("\"x\""), HasSubstr("default, tool_use, rag")));
}

TEST(ChatTemplate, EncodesWithoutAddingSpecialTokens) {
  const auto tokenizer = weft::load_tokenizer(std::filesystem::path(WEFT_MODELS_DIR) / "tales");
  const weft::ChatTemplate chat("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
                                {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  const std::vector<weft::TokenId> ids = chat.encode(*tokenizer, {{"user", "Once upon a time"}});
  EXPECT_EQ(ids, tokenizer->encode("<s>Once upon a time</s>", {.add_special_tokens = false}));
  EXPECT_EQ(ids.front(), *tokenizer->bos());
  EXPECT_NE(ids[1], *tokenizer->bos());
  EXPECT_EQ(ids.back(), *tokenizer->eos());
}

TEST(ChatTemplate, NamesWhatIsWrong) {
  EXPECT_THAT(message_of<weft::FormatError>([] { weft::ChatTemplate("a\n{% if x"); }),
              AllOf(HasSubstr("line 2"), HasSubstr("the end of the template"), HasSubstr("\"%}\"")));
  EXPECT_THAT(message_of<weft::FormatError>([] { weft::ChatTemplate("{{ 1 + }}"); }), HasSubstr("an expression"));
  EXPECT_THAT(message_of<weft::UnsupportedError>([] { weft::ChatTemplate("{% include 'x' %}"); }),
              HasSubstr("include"));
  EXPECT_THAT(message_of<weft::TokenizerError>([] { render("\n\n{{ raise_exception('Only one user!') }}"); }),
              AllOf(HasSubstr("line 3"), HasSubstr("Only one user!")));
  EXPECT_THAT(message_of<weft::FormatError>([] { render("{{ messages[0].a.b }}"); }),
              HasSubstr("'dict object' has no attribute 'a'"));
  EXPECT_THAT(message_of<weft::FormatError>([] { render("{{ messages.append(1) }}"); }), HasSubstr("unsafe"));
  EXPECT_THROW(render("{{ 'a' | random }}"), weft::UnsupportedError);
  EXPECT_THROW(weft::ChatTemplate("x").apply(std::vector<weft::ChatMessage>{}), weft::ConfigError);
  EXPECT_THROW(weft::ChatTemplate("x").apply(weft::parse_json("[1]", "m")), weft::FormatError);
  EXPECT_THROW(weft::ChatTemplate("\xFF"), weft::FormatError);
}

TEST(ChatTemplate, EndsWhatWouldNotEnd) {
  const weft::ChatTemplateLimits limits{.steps = 1'000'000, .bytes = 1 << 24};
  for (const char* text : {
           "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
           "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
           "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
           "{{ 'a' * 1000000000000 }}",
           "{{ [1] * 1000000000000 }}",
           "{{ range(100001) }}",
           "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
           "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}",
           "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
           "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
           "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
           "{% set n = namespace() %}{% set n.x = n %}{{ n }}",
           "{% for i in range(99999) %}{{ ('a' * 99999).replace('a', 'b') }}{% endfor %}",
           "{{ ('ab' * 99999).replace('', 'x' * 99999) }}",
           "{{ '%99999999d' % 1 }}",
           "{{ 'a'.center(99999999999) }}",
           "{{ [1] | tojson(indent=99999) }}",
           "{{ 'a' | indent(99999) }}",
           "{{ (('a' * 999999 ~ 'b') * 9) is in ('a' * 9999999) }}",
           "{{ 9 ** 99 }}",
           "{{ [1] | batch(999999999999, 1) | list }}",
           "{{ [] | slice(999999999999) | list }}",
       })
    EXPECT_THROW(render(text, "{}", limits), weft::FormatError) << text;
}

TEST(ChatTemplate, LetsNothingNestTooDeep) {
  const auto repeated = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  for (const int count : {500, 100'000}) {
    for (const char* open : {"(", "[", "{1:", "-", "not ", "a[", "a(", "1 if 1 else ", "a is b(", "a|b("})
      EXPECT_THROW(weft::ChatTemplate("{{ " + repeated(open, count)), weft::FormatError) << open;
    for (const char* open : {"{% if 1 %}", "{% for a in b %}", "{% macro a() %}", "{% set a %}", "{% filter upper %}",
                             "{% call a() %}", "{% with a=1 %}"})
      EXPECT_THROW(weft::ChatTemplate(repeated(open, count)), weft::FormatError) << open;
    for (const char* chain : {" + 1", "|upper", ".a", "[0]", "()", " and 1", " ** 1"})
      EXPECT_THROW(weft::ChatTemplate("{{ 1" + repeated(chain, count) + " }}"), weft::FormatError) << chain;
  }
  EXPECT_EQ(render("{{ " + repeated("(", 100) + "1" + repeated(")", 100) + " }}"), "1");
  EXPECT_EQ(render("{% if 0 %}" + repeated("{% elif 0 %}", 10'000) + "{% else %}a{% endif %}"), "a");
  EXPECT_EQ(render("{{ 'a'" + repeated(" ~ 'a'", 5'000) + " }}").size(), 5'001u);
}

TEST(ChatTemplate, MacrosMayCallThemselvesAsDeepAsSchemasAre) {
  EXPECT_EQ(render("{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{% else %}end{% endif %}{% endmacro %}{{ m(60) }}"),
            "end");
}

TEST(ChatTemplate, IsSharedByThreads) {
  const weft::ChatTemplate chat(
      "{% set ns = namespace(n=0) %}{% for i in range(200) %}{% set ns.n = ns.n + i %}{% endfor %}"
      "{{ messages[0].content ~ 'x' ~ ns.n }}");
  std::vector<std::string> texts(4);
  std::vector<std::thread> threads;
  for (std::string& text : texts) threads.emplace_back([&] { text = chat.apply({{"user", "a"}}); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(texts, testing::Each("ax19900"));
}

}  // namespace
