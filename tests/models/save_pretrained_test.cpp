#include <weft/models/save_pretrained.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <weft/models/export_gguf.hpp>
#include <weft/models/load.hpp>
#include <weft/models/load_adapter.hpp>
#include <weft/models/merge_adapter.hpp>
#include <weft/tokenizers/load_chat_template.hpp>

#include "adapter_fixtures.hpp"
#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::AllOf;
using ::testing::HasSubstr;

const LoadOptions exact{.threads = 1, .compute = Compute::f32};

Json config_of(const std::filesystem::path& directory) { return parse_json_file((directory / "config.json").string()); }

std::vector<float> logits_of_saved(const std::filesystem::path& directory, const std::vector<TokenId>& prompt) {
  return observe(load_causal_lm(directory, exact), prompt).logits;
}

class SavePretrained : public testing::TestWithParam<std::string> {};

/// The tensors are those that were loaded, bit for bit, and so is what is computed.
TEST_P(SavePretrained, KeepsTheModel) {
  const TemporaryDirectory directory;
  const CausalLM model = load_causal_lm(fixture(GetParam()), exact);
  save_pretrained(model, directory.path() / "saved");
  const Checkpoint before = Checkpoint::open(fixture(GetParam()));
  const Checkpoint after = Checkpoint::open(directory.path() / "saved");
  for (const std::string& name : after.tensor_names()) {
    ASSERT_TRUE(before.contains(name)) << name;
    EXPECT_EQ(after.tensor(name).shape(), before.tensor(name).shape()) << name;
    EXPECT_EQ(after.tensor(name).dtype(), before.tensor(name).dtype()) << name;
    EXPECT_TRUE(std::ranges::equal(after.tensor(name).bytes(), before.tensor(name).bytes())) << name;
  }
  EXPECT_EQ(after.bytes(), before.bytes());
  EXPECT_EQ(write_json(after.config()), write_json(before.config()));
  EXPECT_EQ(write_json(*after.generation_config()), write_json(*before.generation_config()));
}

TEST_P(SavePretrained, KeepsTheLogitsInFloatsAndShards) {
  const TemporaryDirectory directory;
  const CausalLM model = load_causal_lm(fixture(GetParam()), exact);
  std::size_t bytes = 0, tensors = 0;
  save_pretrained(model, directory.path(),
                  {.weights = DType::f32, .max_shard_bytes = 20000, .progress = [&](const WriteProgress& progress) {
                     EXPECT_GT(progress.bytes_done, bytes);
                     bytes = progress.bytes_done;
                     EXPECT_LE(bytes, progress.bytes_total);
                     if (bytes == progress.bytes_total) bytes = 0;
                     ++tensors;
                   }});
  EXPECT_EQ(bytes, 0u);
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "model.safetensors"));
  const Checkpoint after = Checkpoint::open(directory.path());
  EXPECT_EQ(after.tensor_names().size(), tensors);
  EXPECT_EQ(after.bytes(), model.parameters() * sizeof(float));
  const std::vector<TokenId> prompt = Reference(GetParam()).prompt();
  EXPECT_LE(max_difference(logits_of_saved(directory.path(), prompt), observe(model, prompt).logits), 2e-5f);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, SavePretrained, testing::ValuesIn(fixture_names()),
                         [](const auto& fixture) { return test_name(fixture.param); });

TEST(SavePretrained, RoundsWeights) {
  const TemporaryDirectory directory;
  const CausalLM model = load_causal_lm(fixture("llama-gqa"), exact);
  const std::vector<TokenId> prompt = Reference("llama-gqa").prompt();
  for (const DType dtype : {DType::f16, DType::bf16}) {
    const std::filesystem::path path = directory.path() / name(dtype);
    save_pretrained(model, path, {.weights = dtype});
    EXPECT_EQ(config_of(path).at("dtype").as_string(), dtype == DType::f16 ? "float16" : "bfloat16");
    const Checkpoint saved = Checkpoint::open(path);
    for (const std::string& tensor : saved.tensor_names()) EXPECT_EQ(saved.tensor(tensor).dtype(), dtype);
    EXPECT_LE(max_difference(logits_of_saved(path, prompt), observe(model, prompt).logits), 0.2f);
  }
}

TEST(SavePretrained, QuantisedCheckpointsBecomeFloats) {
  for (const char* name : {"gptq", "bnb-nf4", "fp8-block"}) {
    const TemporaryDirectory directory;
    const CausalLM model =
        load_causal_lm(std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "quantized" / name, exact);
    save_pretrained(model, directory.path(), {.weights = DType::f32});
    EXPECT_FALSE(config_of(directory.path()).contains("quantization_config"));
    const std::vector<TokenId> prompt = some_ids(9, model.config().vocab);
    EXPECT_LE(max_difference(logits_of_saved(directory.path(), prompt), observe(model, prompt).logits), 2e-5f) << name;
  }
}

TEST(SavePretrained, GgufAndMetaGetTheirRowsBack) {
  const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures";
  const TemporaryDirectory directory;
  const Checkpoint original = Checkpoint::open(fixtures / "layouts" / "hugging-face");
  save_pretrained(load_causal_lm(fixtures / "layouts" / "meta", exact), directory.path() / "meta");
  const Checkpoint meta = Checkpoint::open(directory.path() / "meta");
  EXPECT_FALSE(meta.config().contains("rope_interleave"));
  ASSERT_TRUE(std::ranges::equal(meta.tensor_names(), original.tensor_names()));
  for (const std::string& name : meta.tensor_names())
    EXPECT_TRUE(std::ranges::equal(meta.tensor(name).bytes(), original.tensor(name).bytes())) << name;

  GgufWriter writer;
  const Checkpoint floats = Checkpoint::open(fixture("llama-bias"));
  for (const TensorToWrite& tensor : export_gguf(floats, writer)) writer.add_tensor(tensor.name, tensor.read());
  writer.set("tokenizer.ggml.bos_token_id", std::uint32_t{1});
  writer.set("tokenizer.ggml.eos_token_id", std::uint32_t{2});
  writer.set("tokenizer.ggml.eot_token_id", std::uint32_t{5});
  writer.write(directory.path() / "m.gguf");
  const CausalLM model = load_causal_lm(directory.path() / "m.gguf", exact);
  ASSERT_EQ(model.config().rope.pairing, RopePairing::interleaved);
  save_pretrained(model, directory.path() / "gguf");
  const Checkpoint gguf = Checkpoint::open(directory.path() / "gguf");
  ASSERT_TRUE(std::ranges::equal(gguf.tensor_names(), floats.tensor_names()));
  for (const std::string& name : gguf.tensor_names())
    EXPECT_TRUE(std::ranges::equal(gguf.tensor(name).bytes(), floats.tensor(name).bytes())) << name;
  const CausalLM saved = load_causal_lm(directory.path() / "gguf", exact);
  EXPECT_EQ(saved.config().rope.pairing, RopePairing::halves);
  EXPECT_EQ(saved.generation_config().eos, (std::vector<TokenId>{2, 5}));
  EXPECT_EQ(saved.generation_config().bos, 1);

  // Llama 3.1's rotary scaling is a table of factors in GGUF.
  EXPECT_THAT(message_of<UnsupportedError>([&] {
                save_pretrained(load_causal_lm(fixtures / "gguf" / "llama.gguf", exact), directory.path() / "factors");
              }),
              HasSubstr("no rotary scaling by a table of factors"));
}

TEST(SavePretrained, MergedAdaptersArePartOfTheWeights) {
  for (const char* name : {"dora", "embedding-tied", "fused", "conv1d", "experts"}) {
    const TemporaryDirectory directory;
    const CausalLM model = model_of(name);
    const CausalLM merged = merge(model, load_fixture_adapter(model, name));
    save_pretrained(merged, directory.path());
    const std::vector<TokenId> prompt = AdapterReference(name).prompt();
    EXPECT_LE(max_difference(logits_of_saved(directory.path(), prompt), logits_of(merged, prompt)), 2e-4f) << name;
  }
}

TEST(SavePretrained, CopiesTheTokenizer) {
  const TemporaryDirectory directory;
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  const CausalLM before = load_causal_lm(tales, exact);
  save_pretrained(before, directory.path());
  const CausalLM after = load_causal_lm(directory.path(), exact);
  EXPECT_EQ(after.tokenizer().encode("Once upon a time"), before.tokenizer().encode("Once upon a time"));
  EXPECT_EQ(read_file(directory.path() / "tokenizer_config.json"), read_file(tales / "tokenizer_config.json"));
}

TEST(SavePretrained, CopiesChatTemplates) {
  const TemporaryDirectory directory;
  const std::filesystem::path copy = directory.path() / "copy", saved = directory.path() / "saved";
  std::filesystem::copy(std::filesystem::path(WEFT_MODELS_DIR) / "tales", copy);
  directory.write("copy/chat_template.jinja", "D");
  std::filesystem::create_directory(copy / "additional_chat_templates");
  directory.write("copy/additional_chat_templates/rag.jinja", "R");
  const CausalLM model = load_causal_lm(copy, exact);
  save_pretrained(model, saved);
  EXPECT_EQ(load_chat_template(saved)->apply({{"user", "Hi"}}, {.chat_template = "rag"}), "R");
  // Where it fails, the folder goes with its files.
  std::filesystem::remove_all(saved);
  std::filesystem::create_directories(saved / "chat_template.jinja");
  EXPECT_THROW(save_pretrained(model, saved), Error);
  EXPECT_FALSE(std::filesystem::exists(saved / "additional_chat_templates"));
}

TEST(SavePretrained, LeavesNothingBehindWhereItFails) {
  const TemporaryDirectory directory;
  const CausalLM model = load_causal_lm(fixture("llama-gqa"), exact);
  const auto fail = [](const WriteProgress& progress) {
    if (progress.bytes_done > 20000) throw std::runtime_error("enough");
  };
  EXPECT_THROW(save_pretrained(model, directory.path(), {.max_shard_bytes = 5000, .progress = fail}),
               std::runtime_error);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(SavePretrained, TakesAwayNothingButItsOwnWhereItFails) {
  const TemporaryDirectory directory;
  directory.write("generation_config.json", "mine");
  std::filesystem::create_directory(directory.path() / "tokenizer_config.json");
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  EXPECT_THROW(save_pretrained(load_causal_lm(tales, exact), directory.path()), FormatError);
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "generation_config.json"));
  EXPECT_TRUE(std::filesystem::is_directory(directory.path() / "tokenizer_config.json"));
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "model.safetensors"));
}

TEST(SavePretrained, SaysWhatItCannotSave) {
  const TemporaryDirectory directory;
  const CausalLM model = load_causal_lm(fixture("llama-gqa"), exact);
  const auto refusal = [&](const CausalLM& refused, const SaveOptions& options = {}) {
    return message_of<UnsupportedError>([&] { save_pretrained(refused, directory.path() / "new", options); });
  };
  EXPECT_THAT(refusal(model, {.weights = DType::q8_0}), HasSubstr("weights cannot be saved as q8_0"));
  EXPECT_THAT(refusal(with_tokenizer(model, nullptr)), HasSubstr("has no config.json"));
  CausalLM::Parts more = model.parts();
  more.weights.layers[1].attention.q_bias = Tensor<float, 1>({model.config().query()});
  EXPECT_THAT(refusal(CausalLM(more)), AllOf(HasSubstr("has a place for"), HasSubstr("biases")));
  EXPECT_FALSE(std::filesystem::exists(directory.path() / "new" / "model.safetensors"));

  directory.write("config.json", "{}");
  EXPECT_THAT(message_of<ConfigError>([&] { save_pretrained(model, directory.path()); }),
              HasSubstr("config.json: there is a checkpoint already"));
  const TemporaryDirectory meta;
  meta.write("params.json", "{}");
  EXPECT_THAT(message_of<ConfigError>([&] { save_pretrained(model, meta.path()); }),
              HasSubstr("params.json: there is a checkpoint already"));
  directory.write("file", "");
  EXPECT_THROW(save_pretrained(model, directory.path() / "file"), FormatError);
}

}  // namespace
