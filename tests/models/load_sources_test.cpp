#include <weft/models/load.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

#include "encoder_fixtures.hpp"
#include "fixtures.hpp"
#include "seq2seq_fixtures.hpp"
#include "vision_fixtures.hpp"

// Models from memory, streams and callbacks.
namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

const LoadOptions exact{.threads = 1, .compute = Compute::f32};
const std::filesystem::path gguf_fixture = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / "llama.gguf";

using MakeSource = Source (*)(const std::string& name, const std::shared_ptr<const std::string>& bytes);

Source from_memory(const std::string& name, const std::shared_ptr<const std::string>& bytes) {
  return Source::memory(name, std::as_bytes(std::span(*bytes)), bytes);
}
/// Bytes that lie at an odd address.
Source from_odd_memory(const std::string& name, const std::shared_ptr<const std::string>& bytes) {
  const auto moved = std::make_shared<const std::string>(std::string(33, '-') + *bytes);
  return Source::memory(name, std::as_bytes(std::span(*moved)).subspan(33), moved);
}
Source from_stream(const std::string& name, const std::shared_ptr<const std::string>& bytes) {
  return Source::stream(name, std::make_shared<std::istringstream>(*bytes));
}
Source from_callback(const std::string& name, const std::shared_ptr<const std::string>& bytes) {
  return Source::callback(name, bytes->size(), [bytes](std::size_t offset, std::span<std::byte> to) {
    const std::size_t count = std::min({to.size(), bytes->size() - offset, std::size_t{1000}});
    std::memcpy(to.data(), bytes->data() + offset, count);
    return count;
  });
}

std::vector<Source> sources_of(const std::filesystem::path& directory, MakeSource make) {
  std::vector<Source> sources;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().filename() != "reference.safetensors")
      sources.push_back(
          make(entry.path().filename().string(), std::make_shared<const std::string>(read_file(entry.path()))));
  return sources;
}

class LoadSources : public testing::TestWithParam<MakeSource> {};

TEST_P(LoadSources, ComputesWhatFilesDo) {
  for (const char* name : {"llama-gqa", "llama-bf16", "llama-sharded", "gpt2"}) {
    const std::vector<TokenId> prompt = Reference(name).prompt();
    const Observed expected = observe(load_causal_lm(fixture(name), exact), prompt);
    for (const Load how : {Load::repack, Load::in_place}) {
      const CausalLM model = load_causal_lm(Checkpoint::open(sources_of(fixture(name), GetParam())),
                                            {.load = how, .threads = 1, .compute = Compute::f32});
      EXPECT_LE(max_difference(observe(model, prompt).logits, expected.logits), 2e-5f) << name;
      EXPECT_FALSE(model.has_tokenizer());
    }
  }
}

TEST_P(LoadSources, BringsItsTokenizer) {
  const std::filesystem::path tales = std::filesystem::path(WEFT_MODELS_DIR) / "tales";
  std::vector<Source> sources = sources_of(tales, GetParam());
  std::erase_if(sources,
                [](const Source& source) { return source.name() == "README.md" || source.name() == "train.py"; });
  const CausalLM model = load_causal_lm(Checkpoint::open(std::move(sources)), exact);
  ASSERT_TRUE(model.has_tokenizer());
  EXPECT_EQ(model.tokenizer().encode("Once upon a time"), load_tokenizer(tales)->encode("Once upon a time"));
}

TEST_P(LoadSources, ReadsPickles) {
  const std::filesystem::path layouts = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "layouts";
  const CausalLM file = load_causal_lm(layouts / "pickle", exact);
  const std::vector<TokenId> prompt = some_ids(9, file.config().vocab);
  for (const char* name : {"pickle", "pickle-sharded"}) {
    const CausalLM model = load_causal_lm(Checkpoint::open(sources_of(layouts / name, GetParam())), exact);
    EXPECT_TRUE(same_bits(observe(model, prompt), observe(file, prompt))) << name;
  }
}

TEST_P(LoadSources, ReadsGguf) {
  const CausalLM file = load_causal_lm(gguf_fixture, exact);
  const Checkpoint checkpoint =
      Checkpoint::open({GetParam()("any name", std::make_shared<const std::string>(read_file(gguf_fixture)))});
  const CausalLM model = load_causal_lm(checkpoint, exact);
  const std::vector<TokenId> prompt = some_ids(9, model.config().vocab);
  EXPECT_TRUE(same_bits(observe(model, prompt), observe(file, prompt)));
  EXPECT_EQ(model.parts().source, "any name");
}

/// Other kinds of models; those of images have no image processor then.
TEST_P(LoadSources, ServesAllKindsOfModels) {
  const auto open = [&](const std::filesystem::path& directory) {
    std::vector<Source> sources = sources_of(directory, GetParam());
    std::erase_if(sources, [](const Source& source) { return source.name() == "preprocessor_config.json"; });
    return Checkpoint::open(std::move(sources));
  };
  const EncoderReference texts("bert");
  const Encoder encoder = load_encoder(open(encoder_fixture("bert")), exact);
  EXPECT_LE(max_difference(all_outputs(encoder, texts.inputs()),
                           all_outputs(load_encoder(encoder_fixture("bert"), exact), texts.inputs())),
            2e-5f);
  const Seq2SeqReference pairs("t5");
  const Seq2Seq translator = load_seq2seq(open(seq2seq_fixture("t5")), exact);
  const Seq2Seq same = load_seq2seq(seq2seq_fixture("t5"), exact);
  EXPECT_LE(
      max_difference(all_outputs(translator.encoder(), pairs.inputs()), all_outputs(same.encoder(), pairs.inputs())),
      2e-5f);
  EXPECT_EQ(translator.decoder().parameters(), same.decoder().parameters());
  const VisionReference images("clip");
  const VisionModel vision = load_vision(open(vision_fixture("clip")), exact);
  EXPECT_LE(
      max_difference(all_outputs(vision, images), all_outputs(load_vision_text(vision_fixture("clip"), exact), images)),
      2e-5f);
  EXPECT_FALSE(vision.has_image_processor());
}

/// A file that ends early is a FormatError wherever it ends, and so is a source that delivers less than it said.
TEST_P(LoadSources, EndsAnywhere) {
  const std::string weights = read_file(fixture("llama-gqa") / "model.safetensors");
  const std::string gguf = read_file(gguf_fixture);
  const std::string pickle =
      read_file(std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "layouts" / "pickle" / "pytorch_model.bin");
  for (const std::string* whole : {&weights, &gguf, &pickle})
    for (std::size_t size = 0; size < whole->size(); size += size < 300 ? 7 : 1 + whole->size() / 97) {
      const auto bytes = std::make_shared<const std::string>(whole->substr(0, size));
      const auto open = [&]() -> std::shared_ptr<const WeightsFile> {
        const Source source = GetParam()("cut", bytes);
        if (whole == &gguf) return std::make_shared<const GgufFile>(source);
        if (whole == &pickle) return std::make_shared<const PytorchFile>(source);
        return std::make_shared<const SafetensorsFile>(source);
      };
      EXPECT_THAT(message_of<FormatError>(open), HasSubstr("cut: ")) << size;
      const Source lying = Source::callback("cut", whole->size(), [&](std::size_t offset, std::span<std::byte> to) {
        const std::string_view part = std::string_view(*bytes).substr(std::min(offset, size), to.size());
        std::memcpy(to.data(), part.data(), part.size());
        return part.size();
      });
      const auto read_all = [&] {
        const auto all = [](const WeightsFile& file) {
          for (const WeightsEntry& entry : file.entries()) static_cast<void>(file.tensor(entry.name));
        };
        if (whole == &pickle) return all(PytorchFile(lying));
        whole == &gguf ? all(GgufFile(lying)) : all(SafetensorsFile(lying));
      };
      EXPECT_THAT(message_of<FormatError>(read_all), HasSubstr("bytes were read")) << size;
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LoadSources, testing::Values(from_memory, from_odd_memory, from_stream, from_callback));

/// The header of a GGUF file that is not in memory is read in parts, its tensors one by one.
TEST(LoadSources, ReadsOfLargeGgufFilesWhatIsAskedFor) {
  const TemporaryDirectory directory;
  GgufWriter writer;
  writer.set("general.architecture", "llama");
  writer.set("long", std::string(3 << 20, 'x'));
  for (const char* name : {"a", "b"}) writer.add_tensor(name, zeros(DType::f32, {2 << 20}));
  writer.write(directory.path() / "m.gguf");
  const std::string bytes = read_file(directory.path() / "m.gguf");
  std::size_t read = 0;
  const auto count = [&](std::size_t offset, std::span<std::byte> to) {
    std::memcpy(to.data(), bytes.data() + offset, to.size());
    return read += to.size(), to.size();
  };
  const GgufFile file(Source::callback("g", bytes.size(), count));
  EXPECT_EQ(file.value("long").as_string().size(), std::size_t{3} << 20);
  EXPECT_LT(read, std::size_t{12} << 20);
  const std::size_t header = read;
  EXPECT_EQ(file.tensor("b").size(), std::size_t{2} << 20);
  EXPECT_EQ(read, header + (std::size_t{8} << 20));
}

/// A file that another program shortens after it was opened is an error, and the host lives on. Only bytes that are in
/// use from a mapping are beyond help: Source::read_file() maps nothing.
TEST(LoadSources, FilesThatShrinkAreErrors) {
  const TemporaryDirectory directory;
  const auto shrunk = [&](const std::filesystem::path& from, const auto& open) {
    const std::filesystem::path copy = directory.path() / from.filename();
    std::filesystem::copy_file(from, copy, std::filesystem::copy_options::overwrite_existing);
    const auto file = open(copy);
    const std::string name = file->entries().back().name;
    std::filesystem::resize_file(copy, std::filesystem::file_size(copy) / 2);
    return message_of<FormatError>([&] {
      for (const WeightsEntry& entry : file->entries()) static_cast<void>(file->tensor(entry.name));
    });
  };
  const std::filesystem::path weights = fixture("llama-gqa") / "model.safetensors";
  const std::filesystem::path pickle =
      std::filesystem::path(WEFT_TESTS_DIR) / "fixtures/layouts/pickle/pytorch_model.bin";
  const auto as = []<class File>(std::type_identity<File>, const std::filesystem::path& path) {
    return std::make_shared<const File>(path);
  };
  const auto safetensors = [&](const auto& path) { return as(std::type_identity<SafetensorsFile>{}, path); };
  const auto gguf = [&](const auto& path) { return as(std::type_identity<GgufFile>{}, path); };
  const auto pytorch = [&](const auto& path) { return as(std::type_identity<PytorchFile>{}, path); };
  for (const std::string& message : {shrunk(weights, safetensors), shrunk(gguf_fixture, gguf), shrunk(pickle, pytorch)})
    EXPECT_THAT(message, HasSubstr("was shortened while it was open"));
  const auto unmapped = [](const std::filesystem::path& path) {
    return std::make_shared<const SafetensorsFile>(Source::read_file(path.string()));
  };
  EXPECT_THAT(shrunk(weights, unmapped), HasSubstr("bytes were read"));
  EXPECT_THAT(message_of<FormatError>([&] { Source::read_file("/nonexistent"); }), HasSubstr("cannot be opened"));

  // Between opening a checkpoint and loading a model of it.
  const CheckpointCopy copy;
  const Checkpoint checkpoint = Checkpoint::open(copy.path());
  std::filesystem::resize_file(copy.path() / "model.safetensors", 5000);
  for (const Load how : {Load::repack, Load::in_place})
    EXPECT_THAT(message_of<FormatError>([&] { load_causal_lm(checkpoint, {.load = how, .threads = 1}); }),
                HasSubstr("model.safetensors: the file was shortened"));
}

TEST(LoadSources, SaysWhatIsMissingOrUnknown) {
  const auto error = [](std::vector<Source> sources) {
    return message_of<Error>([&] { Checkpoint::open(std::move(sources)); });
  };
  const auto text = [](const char* name, const char* content) {
    return from_memory(name, std::make_shared<const std::string>(content));
  };
  EXPECT_THAT(error({}), HasSubstr("there are no files"));
  EXPECT_THAT(error({text("README.md", "{}")}), HasSubstr("README.md: neither a GGUF file nor"));
  EXPECT_EQ(error({text("tokenizer.json", "{}")}), "tokenizer.json: there is no config.json");
  EXPECT_EQ(error({text("config.json", "{}"), text("config.json", "{}")}),
            "config.json: there are two files of this name");
  EXPECT_THAT(error({text("model.safetensors", "")}), HasSubstr("model.safetensors: there is no config.json"));
  EXPECT_THAT(error({text("config.json", "{}")}), HasSubstr("config.json: there is neither model.safetensors"));
  EXPECT_THAT(error({text("config.json", "")}), HasSubstr("config.json: byte"));
  EXPECT_THAT(error({text("config.json", "{}"), text("model.safetensors", "")}), HasSubstr("truncated: 0 bytes"));
  EXPECT_THAT(error({text("config.json", "{}"),
                     text("model.safetensors.index.json", R"({"weight_map":{"a":"x.safetensors"}})")}),
              HasSubstr("the file x.safetensors that it names is missing"));
  const std::filesystem::path split = gguf_fixture.parent_path() / "split-00001-of-00002.gguf";
  EXPECT_THAT(error({Source::file(split.string())}), HasSubstr("one of several files"));
}

}  // namespace
