#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/rng.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/models/load.hpp>
#include <weft/ops/quantize.hpp>

#include "fixtures.hpp"

// Models in GGUF files: the fixture that llama.cpp's converter wrote, and files made here.
namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

std::filesystem::path gguf_fixture(const char* name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / name;
}

/// A copy of the fixture with changes.
class GgufCopy {
 public:
  using Change = std::function<std::optional<AnyTensor>(const std::string& name, AnyTensor tensor)>;

  std::filesystem::path path() const { return directory_.path() / "m.gguf"; }
  void write(const std::function<void(GgufWriter&)>& metadata, const Change& change = {}) const {
    const GgufFile file(gguf_fixture("llama.gguf"));
    GgufWriter writer;
    for (const GgufValue& value : file.metadata()) writer.set(value);
    if (metadata) metadata(writer);
    for (const WeightsEntry& entry : file.entries()) {
      const AnyTensor tensor = file.tensor(entry.name);
      if (const auto kept = change ? change(entry.name, tensor) : tensor) writer.add_tensor(entry.name, *kept);
    }
    writer.write(path());
  }

 private:
  TemporaryDirectory directory_;
};

TEST(LoadGguf, ComputesWhatTheReferenceDoes) {
  const SafetensorsFile reference(gguf_fixture("llama.safetensors"));
  std::vector<TokenId> prompt, continuation;
  for (const std::int64_t id : reference.tensor("input_ids").elements<std::int64_t>())
    prompt.push_back(static_cast<TokenId>(id));
  for (const std::int64_t id : reference.tensor("greedy_ids").elements<std::int64_t>())
    continuation.push_back(static_cast<TokenId>(id));
  const AnyTensor logits = reference.tensor("logits");
  for (const Load load : {Load::repack, Load::in_place})
    for (const cpu::Kernels* kernels : all_kernels()) {
      const CausalLM model = load_causal_lm(gguf_fixture("llama.gguf"),
                                            {.load = load, .threads = 1, .compute = Compute::f32, .kernels = kernels});
      const std::vector<float> all = observe(model, prompt).logits;
      EXPECT_LE(max_difference(std::span(all).last(logits.size()), logits.elements<float>()), 2e-4f) << kernels->name;
      Session session(model);
      EXPECT_EQ(greedy(session, prompt, continuation.size()), continuation) << kernels->name;
    }
}

TEST(LoadGguf, ReadsConfigurationTokenizerAndRecommendations) {
  const CausalLM model = load_causal_lm(gguf_fixture("llama.gguf"));
  EXPECT_EQ(model.model_type(), "llama");
  const DecoderConfig& c = model.config();
  EXPECT_EQ(c.vocab, 560u);
  EXPECT_EQ(c.head_dim, 8u);
  EXPECT_EQ(c.kv_heads, 2u);
  EXPECT_EQ(c.context, 256u);
  EXPECT_EQ(c.norm_eps, 1e-5f);
  EXPECT_EQ(c.rope.theta, 500.f);
  EXPECT_EQ(c.rope.pairing, RopePairing::interleaved);
  EXPECT_TRUE(c.tied_embeddings);
  EXPECT_EQ(model.generation_config().eos, std::vector<TokenId>{2});
  const SafetensorsFile reference(gguf_fixture("llama.safetensors"));
  ASSERT_EQ(reference.metadata()[0].first, "text");
  const std::string& text = reference.metadata()[0].second;
  std::vector<std::int64_t> ids;
  for (const TokenId id : model.tokenizer().encode(text)) ids.push_back(id);
  const AnyTensor expected = reference.tensor("input_ids");
  EXPECT_TRUE(std::ranges::equal(ids, expected.elements<std::int64_t>()));
}

TEST(LoadGguf, UsesTheFileInPlace) {
  const CausalLM model = load_causal_lm(gguf_fixture("llama.gguf"), {.load = Load::in_place, .threads = 1});
  const GgufFile file(gguf_fixture("llama.gguf"));
  const auto distance = model.weights().layers[1].attention.q.bytes().data() - model.weights().embedding.bytes().data();
  EXPECT_EQ(distance, static_cast<std::ptrdiff_t>(file.find("blk.1.attn_q.weight")->offset) -
                          static_cast<std::ptrdiff_t>(file.find("token_embd.weight")->offset));
}

TEST(LoadGguf, TakesSamplingRecommendationsAndMoreEndsOfText) {
  const GgufCopy copy;
  copy.write([](GgufWriter& writer) {
    writer.set("general.sampling.temp", 0.5f);
    writer.set("general.sampling.top_k", 40);
    writer.set("general.sampling.top_p", 0.75f);
    writer.set("tokenizer.ggml.eot_token_id", std::uint32_t{3});
  });
  const GenerationConfig generation = load_causal_lm(copy.path()).generation_config();
  EXPECT_TRUE(generation.do_sample);
  EXPECT_EQ(generation.temperature, 0.5f);
  EXPECT_EQ(generation.top_k, 40u);
  EXPECT_EQ(generation.top_p, 0.75f);
  EXPECT_EQ(generation.eos, (std::vector<TokenId>{2, 3}));
}

/// Older files of Mixtral have a tensor for every expert.
TEST(LoadGguf, TakesATensorForEveryExpert) {
  const TemporaryDirectory directory;
  const std::filesystem::path stacked = gguf_fixture("decoders/mixtral.gguf"), apart = directory.path() / "m.gguf";
  const GgufFile file(stacked);
  GgufWriter writer;
  for (const GgufValue& value : file.metadata()) writer.set(value);
  std::size_t split = 0;
  for (const WeightsEntry& entry : file.entries()) {
    const AnyTensor tensor = file.tensor(entry.name);
    const std::size_t at = entry.name.find("_exps");
    for (std::size_t i = 0; at != entry.name.npos && i < tensor.extent(0); ++i, ++split)
      writer.add_tensor(detail::concat(entry.name.substr(0, at), ".", i, ".weight"),
                        tensor.rows(i, i + 1).reshaped({tensor.extent(1), tensor.extent(2)}));
    if (at == entry.name.npos) writer.add_tensor(entry.name, tensor);
  }
  writer.write(apart);
  EXPECT_EQ(split, 2u * 3u * 4u);
  const LoadOptions options{.threads = 1, .compute = Compute::f32};
  const std::vector<TokenId> prompt = some_ids(20, 64);
  EXPECT_EQ(observe(load_causal_lm(apart, options), prompt).logits,
            observe(load_causal_lm(stacked, options), prompt).logits);
}

TEST(LoadGguf, RunsWithoutATokenizer) {
  const GgufCopy copy;
  copy.write([](GgufWriter& writer) { writer.set("tokenizer.ggml.model", "none"); });
  EXPECT_FALSE(load_causal_lm(copy.path()).has_tokenizer());
  EXPECT_FALSE(load_causal_lm(gguf_fixture("llama.gguf"), {.tokenizer = false}).has_tokenizer());
}

/// A one-layer Llama of random numbers, whose matrices `matrix` makes of floats.
void write_random_llama(const std::filesystem::path& path, const std::function<AnyTensor(const AnyTensor&)>& matrix) {
  constexpr std::size_t hidden = 256, vocab = 64;
  GgufWriter writer;
  writer.set("general.architecture", "llama");
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::uint32_t>>{{"block_count", 1},
                                                                                     {"context_length", 64},
                                                                                     {"embedding_length", hidden},
                                                                                     {"feed_forward_length", hidden},
                                                                                     {"attention.head_count", 4},
                                                                                     {"attention.head_count_kv", 2}})
    writer.set("llama." + key, value);
  writer.set("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  std::uint64_t seed = 1;
  const auto add = [&](const std::string& name, std::size_t rows, std::size_t columns) {
    Philox rng(seed++);
    const Shape shape = columns ? Shape{rows, columns} : Shape{rows};
    const AnyTensor values = AnyTensor::make(DType::f32, shape, [&](std::span<std::byte> out) {
      auto* floats = reinterpret_cast<float*>(out.data());
      for (std::size_t i = 0; i < shape.elements(); ++i)
        floats[i] = columns ? (uniform_float(rng) - 0.5f) * 0.2f : 0.5f + uniform_float(rng);
    });
    writer.add_tensor(name, columns ? matrix(values) : values);
  };
  add("token_embd.weight", vocab, hidden);
  add("output.weight", vocab, hidden);
  add("output_norm.weight", hidden, 0);
  for (const char* norm : {"attn_norm", "ffn_norm"}) add(detail::concat("blk.0.", norm, ".weight"), hidden, 0);
  for (const char* name : {"attn_q", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
    add(detail::concat("blk.0.", name, ".weight"), hidden, hidden);
  for (const char* name : {"attn_k", "attn_v"}) add(detail::concat("blk.0.", name, ".weight"), hidden / 2, hidden);
  writer.write(path);
}

TEST(LoadGguf, ComputesWithEveryTypeOfWeights) {
  const TemporaryDirectory directory;
  const std::vector<TokenId> prompt = some_ids(11, 64);
  for (const DType dtype : {DType::f16, DType::bf16, DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1,
                            DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k, DType::iq4_nl}) {
    const auto rounded = [&](const AnyTensor& m) { return convert_weight(m, dtype, Layout::rows); };
    write_random_llama(directory.path() / "rounded.gguf", rounded);
    write_random_llama(directory.path() / "floats.gguf", [&](const AnyTensor& m) {
      return convert_weight(convert_weight(rounded(m), kernel_dtype(dtype), Layout::rows), DType::f32, Layout::rows);
    });
    const auto logits = [&](const char* name, Load load) {
      return observe(load_causal_lm(directory.path() / name, {.load = load, .threads = 1, .compute = Compute::f32}),
                     prompt)
          .logits;
    };
    const std::vector<float> expected = logits("floats.gguf", Load::repack);
    EXPECT_LE(max_difference(logits("rounded.gguf", Load::repack), expected), 1e-4f) << name(dtype);
    EXPECT_LE(max_difference(logits("rounded.gguf", Load::in_place), expected), 1e-4f) << name(dtype);
  }
}

TEST(LoadGguf, RefusesWhatItDoesNotUnderstand) {
  const GgufCopy copy;
  const auto unsupported = [&](const std::function<void(GgufWriter&)>& metadata) {
    copy.write(metadata);
    return message_of<UnsupportedError>([&] { load_causal_lm(copy.path()); });
  };
  EXPECT_THAT(unsupported([](GgufWriter& w) { w.set("llama.unknown", std::uint32_t{1}); }),
              HasSubstr("m.gguf: llama.unknown"));
  EXPECT_THAT(unsupported([](GgufWriter& w) { w.set("general.architecture", "mamba"); }),
              HasSubstr("the architecture \"mamba\" is not supported (llama"));
  EXPECT_THAT(unsupported([](GgufWriter& w) { w.set("llama.rope.scaling.type", "other"); }), HasSubstr("\"other\""));
  // The file has factors for every pair of whole heads.
  copy.write([](GgufWriter& w) { w.set("llama.rope.dimension_count", std::uint32_t{4}); });
  EXPECT_THAT(message_of<ConfigError>([&] { load_causal_lm(copy.path()); }), HasSubstr("4 factors for 2 pairs"));
}

TEST(LoadGguf, FindsTensorsThatAreMissingTooManyOrOfAnotherShape) {
  const GgufCopy copy;
  const auto message = [&](const GgufCopy::Change& change) {
    copy.write({}, change);
    return message_of<Error>([&] { load_causal_lm(copy.path()); });
  };
  EXPECT_THAT(message([](const std::string& name, AnyTensor tensor) {
                return name == "blk.1.attn_k.weight" ? std::nullopt : std::optional(tensor);
              }),
              HasSubstr("the tensor blk.1.attn_k.weight is missing"));
  EXPECT_THAT(message([](const std::string& name, AnyTensor tensor) {
                return name == "blk.1.attn_k.weight" ? tensor.rows(0, 8) : tensor;
              }),
              HasSubstr("tensor blk.1.attn_k.weight has shape (8, 24), m.gguf (metadata) says (16, 24)"));
  EXPECT_THAT(message([](const std::string& name, AnyTensor tensor) {
                return name == "token_embd.weight" ? std::nullopt : std::optional(tensor);
              }),
              HasSubstr("there is no matrix token_embd.weight"));
  copy.write([](GgufWriter& writer) { writer.set("llama.block_count", std::uint32_t{1}); });
  EXPECT_THAT(message_of<FormatError>([&] { load_causal_lm(copy.path()); }),
              HasSubstr("tensor blk.1.attn_k.weight: a llama model with this metadata has no such tensor"));
}

}  // namespace
