#include <weft/models/export_gguf.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/models/load.hpp>
#include <weft/tokenizers/load_chat_template.hpp>

#include "encoder_fixtures.hpp"
#include "seq2seq_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

void write(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Checkpoint checkpoint = Checkpoint::open(from);
  GgufWriter writer;
  for (const TensorToWrite& tensor : export_gguf(checkpoint, writer))
    writer.add_tensor(tensor.name, tensor.dtype, tensor.shape, tensor.read);
  writer.write(to);
}

/// A model, and changes of its config.json without which GGUF has no place for it.
struct Exported {
  const char* name;
  std::vector<std::pair<const char*, nlohmann::json>> changes = {};
};

/// The file computes what the directory does.
TEST(ExportGguf, KeepsTheModel) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "m.gguf";
  const std::vector<Exported> models{
      {"llama-gqa"},
      {"llama-tied"},
      {"llama-head-dim"},
      {"llama3-rope"},
      {"llama-linear-rope"},
      {"llama-bias"},
      {"llama-f16"},
      {"llama-sharded"},
      {"llama-v5"},
      {"mixtral"},
      {"qwen2"},
      {"qwen2-yarn"},
      {"qwen3"},
      {"granite"},
      {"smollm3", {{"layer_types", std::vector<std::string>(4, "full_attention")}}},
      {"gemma"},
      {"gemma2", {{"query_pre_attn_scalar", 12}}},
      {"gemma3", {{"query_pre_attn_scalar", 12}}},
      {"phi"},
      {"phi3"},
      {"phi3-long"},
      {"olmo"},
      {"olmo2"},
      {"olmoe", {{"clip_qkv", nullptr}}},
      {"stablelm"},
      {"stablelm-parallel"},
      {"gpt-neox"},
      {"gpt-neox-sequential"},
      {"falcon"},
      {"falcon-grouped"},
      {"falcon-one-norm"},
      {"gpt2"},
      {"bloom"},
      {"mpt"},
  };
  for (const auto& [name, changes] : models) {
    const CheckpointCopy copy(name);
    for (const auto& [key, value] : changes) copy.set_config(key, value);
    write(copy.path(), path);
    const std::vector<TokenId> prompt = Reference(name).prompt();
    const LoadOptions options{.threads = 1, .compute = Compute::f32};
    const CausalLM before = load_causal_lm(copy.path(), options);
    const CausalLM after = load_causal_lm(path, options);
    EXPECT_LE(max_difference(observe(after, prompt).logits, observe(before, prompt).logits), 2e-4f) << name;
    EXPECT_FALSE(after.has_tokenizer());
  }
}

TEST(ExportGguf, KeepsEncoders) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "m.gguf";
  const LoadOptions options{.load = Load::in_place, .threads = 1, .compute = Compute::f32};
  for (const char* name : {"bert", "bert-mean", "roberta", "roberta-pooler", "roberta-sequences", "xlm-roberta",
                           "camembert", "distilbert", "tinybert", "t5-encoder", "t5-encoder-gated", "mt5-encoder"}) {
    const EncoderCopy copy(name);
    if (std::string_view(name) == "tinybert") copy.set_config("architectures", {"BertModel"});
    if (std::string_view(name) == "tinybert")
      copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
        std::erase_if(tensors, [](const auto& tensor) { return tensor.first.starts_with("classifier"); });
      });
    write(copy.path(), path);
    const Encoder before = load_encoder(copy.path(), options), after = load_encoder(path, options);
    const EncoderReference reference(name);
    EncoderPass pass(before), written(after);
    const auto states = [&](EncoderPass& of) {
      const TensorView<const float, 2> x = of.forward(reference.inputs());
      return std::vector<float>(x.data(), x.data() + x.size());
    };
    EXPECT_EQ(states(written), states(pass)) << name;
    ASSERT_EQ(after.sentence().has_value(), before.sentence().has_value()) << name;
    if (before.sentence()) {
      EXPECT_EQ(after.sentence()->pooling, before.sentence()->pooling) << name;
      EXPECT_EQ(after.sentence()->normalize, before.sentence()->normalize) << name;
    }
    EXPECT_EQ(static_cast<bool>(after.weights().sequence_classes),
              name == std::string_view("roberta-sequences") || name == std::string_view("camembert"));
    if (after.weights().sequence_classes) {
      EXPECT_EQ(after.config().labels, before.config().labels);
    }
  }
}

TEST(ExportGguf, KeepsEncoderDecoders) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "m.gguf";
  const LoadOptions options{.load = Load::in_place, .threads = 1, .compute = Compute::f32};
  for (const char* name : {"t5", "t5-gated", "t5-long", "mt5"}) {
    write(seq2seq_fixture(name), path);
    const Seq2Seq before = load_seq2seq(seq2seq_fixture(name), options), after = load_seq2seq(path, options);
    const Seq2SeqReference reference(name);
    const auto logits = [&](const Seq2Seq& model) {
      SourceEncoder encode(model);
      Session session(model.decoder());
      session.attend_to(encode.encode(reference.sources[0]));
      Tensor<float, 2> y({reference.targets[0].size(), model.decoder().config().vocab});
      session.forward_all(reference.targets[0], y);
      return std::vector<float>(y.data(), y.data() + y.size());
    };
    EXPECT_EQ(logits(after), logits(before)) << name;
    EXPECT_EQ(after.generation_config().decoder_start, before.generation_config().decoder_start) << name;
    EXPECT_EQ(after.parameters(), before.parameters()) << name;
  }
}

/// What the converter wrote from the fixtures of these names is written here as well.
TEST(ExportGguf, WritesWhatTheConverterDoes) {
  const std::filesystem::path files = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf";
  const TemporaryDirectory directory;
  for (const char* folder : {"encoders", "seq2seq"})
    for (const auto& entry : std::filesystem::directory_iterator(files / folder)) {
      const std::string name = entry.path().stem().string();
      write(files.parent_path() / folder / name, directory.path() / "m.gguf");
      const GgufFile written(directory.path() / "m.gguf"), original(entry.path());
      for (const GgufValue& value : original.metadata())
        if (value.key().starts_with(original.architecture())) {
          const GgufValue* other = written.find_value(value.key());
          ASSERT_NE(other, nullptr) << name << " " << value.key();
          EXPECT_TRUE(std::ranges::equal(other->bytes(), value.bytes())) << name << " " << value.key();
        }
      ASSERT_EQ(written.entries().size(), original.entries().size()) << name;
      for (const WeightsEntry& tensor : original.entries()) {
        EXPECT_EQ(written.tensor(tensor.name).dtype(), original.tensor(tensor.name).dtype()) << name << tensor.name;
        EXPECT_TRUE(std::ranges::equal(written.tensor(tensor.name).bytes(), original.tensor(tensor.name).bytes()))
            << name << " " << tensor.name;
      }
    }
}

/// Published checkpoints of GPT-2 are of the model without its head.
TEST(ExportGguf, TakesModelsWithoutTheirHead) {
  const CheckpointCopy copy("gpt2");
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    for (auto& [name, tensor] : tensors)
      if (name.starts_with("transformer.")) name.erase(0, std::string_view("transformer.").size());
  });
  const TemporaryDirectory directory;
  write(copy.path(), directory.path() / "m.gguf");
  const LoadOptions options{.threads = 1, .compute = Compute::f32};
  const std::vector<TokenId> prompt = Reference("gpt2").prompt();
  EXPECT_EQ(observe(load_causal_lm(directory.path() / "m.gguf", options), prompt).logits,
            observe(load_causal_lm(fixture("gpt2"), options), prompt).logits);
}

TEST(ExportGguf, KeepsGgufAsItIs) {
  const std::filesystem::path original = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / "llama.gguf";
  const TemporaryDirectory directory;
  write(original, directory.path() / "m.gguf");
  const GgufFile before(original), after(directory.path() / "m.gguf");
  ASSERT_EQ(after.metadata().size(), before.metadata().size());
  for (const GgufValue& value : before.metadata())
    EXPECT_TRUE(std::ranges::equal(after.value(value.key()).bytes(), value.bytes())) << value.key();
  ASSERT_EQ(after.entries().size(), before.entries().size());
  for (const WeightsEntry& entry : before.entries())
    EXPECT_TRUE(std::ranges::equal(after.tensor(entry.name).bytes(), before.tensor(entry.name).bytes())) << entry.name;
}

TEST(ExportGguf, WritesTheTokenizer) {
  const TemporaryDirectory directory;
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  write(tales, directory.path() / "m.gguf");
  const CausalLM before = load_causal_lm(tales, {.threads = 1});
  const CausalLM after = load_causal_lm(directory.path() / "m.gguf", {.threads = 1});
  for (const char* text : {"Once upon a time", "  two spaces", "\xC3\xA9t\xC3\xA9 \xF0\x9F\x90\xB1\n", ""})
    EXPECT_EQ(after.tokenizer().encode(text), before.tokenizer().encode(text)) << text;
  EXPECT_EQ(after.generation_config().eos, before.generation_config().eos);
}

TEST(ExportGguf, WritesChatTemplates) {
  const TemporaryDirectory directory;
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales",
                              copy = directory.path() / "copy";
  std::filesystem::copy(tales, copy);
  directory.write("copy/chat_template.jinja", "{{ bos_token }}{{ messages[0].content }}");
  std::filesystem::create_directory(copy / "additional_chat_templates");
  directory.write("copy/additional_chat_templates/tool-use.jinja", "T");
  write(copy, directory.path() / "m.gguf");
  const GgufFile file(directory.path() / "m.gguf");
  EXPECT_EQ(file.find_value("tokenizer.chat_template")->as_string(), "{{ bos_token }}{{ messages[0].content }}");
  EXPECT_EQ(file.find_value("tokenizer.chat_template.tool_use")->as_string(), "T");
  const auto before = load_chat_template(copy), after = load_chat_template(directory.path() / "m.gguf");
  EXPECT_EQ(after->apply({{"user", "Hi"}}), before->apply({{"user", "Hi"}}));
  EXPECT_EQ(after->apply({{"user", "Hi"}}, {.chat_template = "tool_use"}), "T");
}

TEST(ExportGguf, RefusesWhatGgufHasNoPlaceFor) {
  const TemporaryDirectory directory;
  const auto refused = [&](const char* name) {
    return message_of<UnsupportedError>([&] { write(fixture(name), directory.path() / "m.gguf"); });
  };
  EXPECT_THAT(refused("mistral-window"), HasSubstr("models of type \"mistral\" cannot be written as GGUF"));
  EXPECT_THAT(refused("opt"), HasSubstr("models of type \"opt\" cannot be written as GGUF"));
  EXPECT_THAT(refused("qwen2-window"), HasSubstr("a sliding window in these layers cannot be written as GGUF"));
  EXPECT_THAT(refused("gemma2"), HasSubstr("a factor of scores other than the root of head_dim cannot be"));
  EXPECT_THAT(refused("gpt2-layer-scales"), HasSubstr("scores that are scaled layer by layer cannot be written"));
  EXPECT_THAT(refused("olmoe"), HasSubstr("clipped queries, keys and values cannot be written as GGUF"));
  EXPECT_THAT(refused("falcon-alibi"), HasSubstr("cannot be written as GGUF"));
  EXPECT_THAT(refused("qwen2-moe"), HasSubstr("layers without experts, or these weights of experts, cannot be"));
  const auto refused_of = [&](const std::filesystem::path& path) {
    return message_of<UnsupportedError>([&] { write(path, directory.path() / "m.gguf"); });
  };
  EXPECT_THAT(refused_of(encoder_fixture("electra")),
              HasSubstr("models of type \"electra\" cannot be written as GGUF"));
  EXPECT_THAT(refused_of(encoder_fixture("bert-bf16")), HasSubstr("this activation cannot be written as GGUF"));
  EXPECT_THAT(refused_of(encoder_fixture("bert-tokens")), HasSubstr("the head of this model cannot be written"));
  EXPECT_THAT(refused_of(encoder_fixture("bert-sequences")), HasSubstr("the head of this model cannot be written"));
  EXPECT_THAT(refused_of(encoder_fixture("distilbert-dense")), HasSubstr("a dense layer of sentences cannot be"));
  EXPECT_THAT(refused_of(encoder_fixture("t5-encoder-long")), HasSubstr("a dense layer of sentences cannot be"));
  const EncoderCopy silu("t5-encoder");
  silu.set_config("dense_act_fn", "silu");
  EXPECT_THAT(refused_of(silu.path()), HasSubstr("this activation cannot be written as GGUF"));
  EXPECT_THAT(refused_of(seq2seq_fixture("bart")), HasSubstr("models of type \"bart\" cannot be written as GGUF"));
  EXPECT_THAT(refused_of(seq2seq_fixture("t5-silu")), HasSubstr("this activation cannot be written as GGUF"));
  EXPECT_THAT(refused_of(seq2seq_fixture("t5-buckets")), HasSubstr("distances in these buckets cannot be written"));
  const CheckpointCopy other("gpt-neox");
  other.set_config("hidden_act", "relu");
  EXPECT_THAT(message_of<UnsupportedError>([&] { write(other.path(), directory.path() / "m.gguf"); }),
              HasSubstr("config.json: byte 1: this activation cannot be written as GGUF"));
}

}  // namespace
