#include <weft/models/load_seq2seq.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include <weft/models/arch/bart.hpp>

#include "encoder_fixtures.hpp"
#include "int8_copies.hpp"
#include "seq2seq_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::HasSubstr;

/// The logits of a fixture's first target.
std::vector<float> logits_of(const Seq2Seq& model, std::string_view fixture) {
  const Seq2SeqReference reference(fixture);
  Session session(model.decoder());
  session.attend_to(SourceEncoder(model).encode(reference.sources[0]));
  const std::span<const float> logits = session.forward(reference.targets[0]);
  return {logits.begin(), logits.end()};
}

TEST(LoadSeq2Seq, Describes) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("marian-separate"), {.threads = 1});
  EXPECT_EQ(model.model_type(), "marian");
  EXPECT_EQ(model.source(), seq2seq_fixture("marian-separate").string());
  EXPECT_FALSE(model.has_tokenizer());
  EXPECT_THROW(static_cast<void>(model.tokenizer()), TokenizerError);
  EXPECT_EQ(model.generation_config().decoder_start, 47);
  EXPECT_EQ(model.describe(),
            model.source() + ": marian, " + std::to_string(model.parameters()) + " parameters (f16, " +
                std::to_string(model.tensors()) + " tensors, " + std::to_string(model.weight_bytes()) + " bytes)\n" +
                "  encoder: layers 1, hidden 24, intermediate 40, heads 3, head_dim 8, vocab 48, context 32\n"
                "  decoder: layers 2, hidden 24, intermediate 36, heads 4, head_dim 6, vocab 50, context 32\n"
                "  kernels " +
                model.encoder().kernels().name + ", threads 1\n");
}

// Vectors are floats in memory, whatever they are in the file. Computed positions are no weights, but lie in memory.
TEST(LoadSeq2Seq, CountsTensorsAndBytes) {
  for (const std::string name : {"t5", "mt5", "bart", "marian", "marian-separate"}) {
    const Seq2Seq model = load_seq2seq(seq2seq_fixture(name), {.load = Load::in_place, .threads = 1});
    const SafetensorsFile file(seq2seq_fixture(name) / "model.safetensors");
    std::size_t parameters = 0, bytes = 0;
    for (const WeightsEntry& entry : file.entries()) {
      const AnyTensor tensor = file.tensor(entry.name);
      const bool vector = tensor.rank() == 1 || tensor.extent(0) == 1;
      parameters += tensor.size();
      bytes += vector ? tensor.size() * sizeof(float) : tensor.bytes().size();
    }
    if (name.starts_with("marian")) bytes += model.encoder().weights().positions.bytes().size();
    EXPECT_EQ(model.tensors(), file.entries().size()) << name;
    EXPECT_EQ(model.parameters(), parameters) << name;
    EXPECT_EQ(model.weight_bytes(), bytes) << name;
  }
}

TEST(LoadSeq2Seq, AModelWithoutItsPrefixAndWithCopiesOfTheEmbedding) {
  const std::vector<float> expected = logits_of(Seq2SeqCopy("bart").load(), "bart");
  const Seq2SeqCopy copies("bart");
  copies.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    const AnyTensor shared = find_tensor(tensors, "model.shared.weight");
    for (const char* name :
         {"lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"})
      tensors.emplace_back(name, shared);
  });
  EXPECT_EQ(logits_of(copies.load(), "bart"), expected);
  const Seq2SeqCopy headless("bart");
  headless.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    for (auto& [name, tensor] : tensors)
      if (name.starts_with("model.")) name.erase(0, 6);
  });
  EXPECT_EQ(logits_of(headless.load(), "bart"), expected);
}

TEST(LoadSeq2Seq, TablesOfTheirOwnAreReadWhateverTheConfigSays) {
  const std::vector<float> expected = logits_of(Seq2SeqCopy("bart-untied").load(), "bart-untied");
  const Seq2SeqCopy copy("bart-untied");
  copy.set_config("tie_word_embeddings", true);
  EXPECT_EQ(logits_of(copy.load(), "bart-untied"), expected);
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.first == "model.shared.weight"; });
    for (auto& [name, tensor] : tensors)
      if (name.starts_with("model.")) name.erase(0, 6);
  });
  EXPECT_EQ(logits_of(copy.load(), "bart-untied"), expected);
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.first == "lm_head.weight"; });
  });
  EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
            copy.path().string() + ": the tensor lm_head.weight is missing");
}

TEST(LoadSeq2Seq, EveryFamilyReadsTablesOfItsOwn) {
  for (const std::string name : {"t5-gated", "mbart", "marian", "m2m-100"}) {
    const std::string prefix = name == "t5-gated" ? "" : "model.";
    const std::vector<float> expected = logits_of(Seq2SeqCopy(name).load(), name);
    const Seq2SeqCopy copy(name);
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      const AnyTensor shared = find_tensor(tensors, prefix + "shared.weight");
      if (name != "t5-gated") tensors.emplace_back("lm_head.weight", shared);
      for (auto& [tensor, value] : tensors)
        if (tensor == prefix + "shared.weight") value = zeros(shared.dtype(), shared.shape());
      for (const char* half : {"encoder", "decoder"})
        tensors.emplace_back(prefix + half + ".embed_tokens.weight", shared);
    });
    EXPECT_EQ(logits_of(copy.load(), name), expected) << name;
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      std::erase_if(tensors,
                    [&](const auto& tensor) { return tensor.first == prefix + "encoder.embed_tokens.weight"; });
    });
    EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
              copy.path().string() + ": the tensor " + prefix + "encoder.embed_tokens.weight is missing");
  }
}

TEST(LoadSeq2Seq, TheBiasOfLogitsIsOptional) {
  const std::vector<float> with = logits_of(Seq2SeqCopy("mbart").load(), "mbart");
  const Seq2SeqCopy copy("mbart");
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.first == "final_logits_bias"; });
  });
  EXPECT_NE(logits_of(copy.load(), "mbart"), with);
}

TEST(LoadSeq2Seq, AHeadOfItsOwnIsUsedWhateverTheConfigSays) {
  const std::vector<float> own = logits_of(Seq2SeqCopy("mt5").load(), "mt5");
  const Seq2SeqCopy copy("mt5");
  copy.set_config("tie_word_embeddings", true);
  EXPECT_EQ(logits_of(copy.load(), "mt5"), own);
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.first == "lm_head.weight"; });
  });
  EXPECT_NE(logits_of(copy.load(), "mt5"), own);
  copy.set_config("tie_word_embeddings", false);
  EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
            copy.path().string() + ": the tensor lm_head.weight is missing");
}

TEST(LoadSeq2Seq, HalvesShareOneTable) {
  const Seq2Seq model = load_seq2seq(seq2seq_fixture("t5"), {.threads = 1});
  EXPECT_EQ(model.encoder().weights().embedding.bytes().data(), model.decoder().weights().embedding.bytes().data());
  const Seq2Seq computed = load_seq2seq(seq2seq_fixture("m2m-100"), {.threads = 1});
  EXPECT_EQ(computed.encoder().weights().positions.bytes().data(),
            computed.decoder().weights().positions.bytes().data());
}

TEST(LoadSeq2Seq, RefusesWhatItCannotRun) {
  const Seq2SeqCopy copy("m2m-100");
  copy.edit_config([](nlohmann::json& config) {
    config["d_model"] = 27;
    config["encoder_attention_heads"] = config["decoder_attention_heads"] = 3;
  });
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.load(); }),
              HasSubstr("sinusoidal positions of an odd width, 27"));
  EXPECT_THROW(load_seq2seq(fixture("llama-mha")), UnsupportedError);
  EXPECT_THROW(load_causal_lm(seq2seq_fixture("t5")), UnsupportedError);
}

TEST(LoadSeq2Seq, ACallersOwnFamily) {
  static constexpr Seq2SeqArchitecture mine{.model_type = "my_bart",
                                            .read_config = arch::read_bart,
                                            .tensors = arch::bart_tensors,
                                            .ignored_keys = arch::bart_ignored_keys,
                                            .ignored_tensors = arch::bart_ignored_tensors,
                                            .prefix = "model."};
  static constexpr std::array<const Seq2SeqArchitecture*, 1> own{&mine};
  const Seq2SeqCopy copy("bart");
  copy.set_config("model_type", "my_bart");
  EXPECT_EQ(copy.load({}, own).model_type(), "my_bart");
  EXPECT_THROW(copy.load(), UnsupportedError);
}

/// A quantised model computes what one with the weights that are meant does.
TEST(LoadSeq2Seq, ReadsQuantisedWeights) {
  for (const char* name : {"t5", "bart"}) {
    const Seq2SeqCopy quantised(name), plain(name);
    round_to_int8(quantised, plain, "encoder");
    const Seq2SeqReference reference(name);
    const LoadOptions options{.threads = 1, .compute = Compute::f32};
    EXPECT_LE(max_difference(all_outputs(quantised.load(options).encoder(), reference.inputs()),
                             all_outputs(plain.load(options).encoder(), reference.inputs())),
              1e-5f);
  }
}

}  // namespace
