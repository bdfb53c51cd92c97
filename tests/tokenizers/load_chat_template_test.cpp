#include <weft/tokenizers/load_chat_template.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "../formats/gguf_bytes.hpp"
#include "../formats/temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::message_of;
using weft_tests::TemporaryDirectory;

std::string hello(const weft::ChatTemplate& chat, const weft::ChatTemplateOptions& options = {}) {
  return chat.apply({{"user", "Hi"}}, options);
}

TEST(LoadChatTemplate, ReadsTheConfigOfTheTokenizer) {
  const TemporaryDirectory directory;
  directory.write("tokenizer.json", "{}");
  directory.write("tokenizer_config.json",
                  R"({"chat_template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}",
                      "bos_token": "<a>", "eos_token": {"content": "<b>", "lstrip": false}, "pad_token": null})");
  EXPECT_EQ(hello(*weft::load_chat_template(directory.path())), "<a>Hi<b>");
}

TEST(LoadChatTemplate, ReadsSeveralByName) {
  const TemporaryDirectory directory;
  directory.write("tokenizer.json", "{}");
  directory.write("tokenizer_config.json", R"({"chat_template": [{"name": "default", "template": "D"},
                                                                 {"name": "rag", "template": "R"}]})");
  const auto chat = weft::load_chat_template(directory.path());
  EXPECT_EQ(hello(*chat), "D");
  EXPECT_EQ(hello(*chat, {.chat_template = "rag"}), "R");
}

TEST(LoadChatTemplate, PrefersTheFileOfItsOwn) {
  const TemporaryDirectory directory;
  directory.write("chat_template.json", R"({"chat_template": "J"})");
  EXPECT_EQ(hello(*weft::load_chat_template(directory.path())), "J");
  directory.write("tokenizer_config.json", R"({"chat_template": "C"})");
  EXPECT_EQ(hello(*weft::load_chat_template(directory.path())), "C");
  directory.write("chat_template.jinja", "F{{ bos_token }}\n");
  EXPECT_EQ(hello(*weft::load_chat_template(directory.path())), "F");
  std::filesystem::create_directory(directory.path() / "additional_chat_templates");
  directory.write("additional_chat_templates/tool_use.jinja", "T");
  const auto chat = weft::load_chat_template(directory.path());
  EXPECT_EQ(chat->templates().size(), 2u);
  EXPECT_EQ(hello(*chat, {.chat_template = "tool_use"}), "T");
}

TEST(LoadChatTemplate, ReadsSources) {
  const auto source = [](const char* name, std::string_view text) {
    return weft::Source::memory(name, std::as_bytes(std::span(text)));
  };
  const auto config = source("tokenizer_config.json", R"({"chat_template": "C", "bos_token": "<a>"})");
  EXPECT_EQ(hello(*weft::load_chat_template({config})), "C");
  const auto chat = weft::load_chat_template(
      {config, source("chat_template.jinja", "F{{ bos_token }}"), source("additional_chat_templates/rag.jinja", "R")});
  EXPECT_EQ(hello(*chat), "F<a>");
  EXPECT_EQ(hello(*chat, {.chat_template = "rag"}), "R");
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_chat_template({source("config.json", "{}")}); }),
              HasSubstr("config.json: there is no chat template"));
}

TEST(LoadChatTemplate, KnowsTheUsualTokensOfSentencePiece) {
  const TemporaryDirectory directory;
  directory.write("tokenizer.model",
                  weft_tests::read_file(std::filesystem::path(WEFT_MODELS_DIR) / "tales" / "tokenizer.model"));
  directory.write("chat_template.jinja", "{{ bos_token }}{{ eos_token }}");
  EXPECT_EQ(hello(*weft::load_chat_template(directory.path())), "<s></s>");
}

TEST(LoadChatTemplate, NamesFileAndLine) {
  const TemporaryDirectory directory;
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_chat_template(directory.path()); }),
              AllOf(HasSubstr(directory.path().string()), HasSubstr("chat_template.jinja")));
  directory.write("tokenizer_config.json", R"({"chat_template": "a\n{% nope %}"})");
  EXPECT_THAT(
      message_of<weft::FormatError>([&] { weft::load_chat_template(directory.path()); }),
      AllOf(HasSubstr("tokenizer_config.json"), HasSubstr("chat_template"), HasSubstr("line 2"), HasSubstr("nope")));
  directory.write("tokenizer_config.json", R"({"chat_template": 1})");
  EXPECT_THROW(weft::load_chat_template(directory.path()), weft::FormatError);
  EXPECT_THROW(weft::load_chat_template(directory.path() / "no.gguf"), weft::FormatError);
}

std::string gguf_strings(std::initializer_list<std::string_view> texts) {
  std::string out = weft_tests::u32(8) + weft_tests::u64(texts.size());
  for (const std::string_view one : texts) out += weft_tests::text(one);
  return out;
}

TEST(LoadChatTemplate, ReadsGgufFiles) {
  const TemporaryDirectory directory;
  weft_tests::GgufBytes file;
  file.value("general.architecture", 8, weft_tests::text("llama"));
  file.value("tokenizer.chat_template", 8, weft_tests::text("{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"));
  file.value("tokenizer.chat_template.rag", 8, weft_tests::text("R"));
  file.value("tokenizer.ggml.model", 8, weft_tests::text("gpt2"));
  file.value("tokenizer.ggml.tokens", 9, gguf_strings({"x", "<a>", "<b>"}));
  file.value("tokenizer.ggml.bos_token_id", 4, weft_tests::u32(1));
  file.value("tokenizer.ggml.eos_token_id", 4, weft_tests::u32(2));
  file.value("tokenizer.ggml.padding_token_id", 4, weft_tests::u32(99));
  const auto path = directory.write("model.gguf", file.with());
  const auto chat = weft::load_chat_template(path);
  EXPECT_EQ(hello(*chat), "<a>Hi<b>");
  EXPECT_EQ(hello(*chat, {.chat_template = "rag"}), "R");
  EXPECT_EQ(chat->special_tokens().contains("pad_token"), false);
}

TEST(LoadChatTemplate, SaysThatAGgufFileHasNone) {
  const TemporaryDirectory directory;
  const auto path = directory.write("model.gguf", weft_tests::GgufBytes().with());
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::load_chat_template(path); }),
              HasSubstr("tokenizer.chat_template"));
}

TEST(LoadChatTemplate, GivesNothingForACheckpointWithout) {
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  EXPECT_EQ(weft::load_chat_template(weft::Checkpoint::open(tales)), nullptr);
}

}  // namespace
