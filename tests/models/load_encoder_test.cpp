#include <weft/models/load_encoder.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include <weft/models/arch/bert.hpp>

#include "encoder_fixtures.hpp"
#include "int8_copies.hpp"
#include "seq2seq_fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(LoadEncoder, TakesADirectoryAsDownloaded) {
  const Encoder model = load_encoder(encoder_fixture("bert-sequences"));
  EXPECT_EQ(model.model_type(), "bert");
  EXPECT_EQ(model.compute(), Compute::native);
  EXPECT_EQ(&model.kernels(), &cpu::best_kernels());
  EXPECT_EQ(model.executor().concurrency(), available_processors());
  EXPECT_FALSE(model.has_tokenizer());
  EXPECT_EQ(model.config().task, EncoderTask::sequence_classification);
  EXPECT_EQ(model.config().labels, (std::vector<std::string>{"bad", "good", "neither", "both"}));
  EXPECT_FALSE(model.sentence().has_value());
  EXPECT_EQ(message_of<TokenizerError>([&] { model.tokenizer(); }),
            encoder_fixture("bert-sequences").string() + ": the checkpoint was loaded without a tokenizer");
}

TEST(LoadEncoder, DescribesWhatItLoaded) {
  const LoadOptions options{.load = Load::in_place, .threads = 1, .kernels = &cpu::kernels_for(cpu::Isa::generic)};
  const std::string at = encoder_fixture("").string();
  EXPECT_EQ(load_encoder(at + "bert-sequences", options).describe(),
            at + "bert-sequences: bert, 4280 parameters (f16, 25 tensors, 9056 bytes)\n"
                 "  layers 1, hidden 18, intermediate 28, heads 3, head_dim 6, vocab 48, context 24\n"
                 "  for hidden states, sequences (4 classes)\n"
                 "  kernels generic, threads 1\n");
  const auto heads = [&](const char* name) {
    const std::string text = load_encoder(at + name, options).describe();
    return text.substr(text.find("  for "), text.find("  kernels") - text.find("  for "));
  };
  EXPECT_EQ(heads("bert"), "  for hidden states, masked words, pairs of sentences\n");
  EXPECT_EQ(heads("bert-mean"), "  for hidden states, sentence embeddings\n");
  EXPECT_EQ(heads("bert-answers"), "  for hidden states, answers\n");
  EXPECT_EQ(heads("electra-discriminator"), "  for hidden states, replaced words\n");
}

// The decoder of masked words, which is the embedding, lies in memory a second time where matrices are repacked.
TEST(LoadEncoder, CountsBytes) {
  const Encoder in_place = load_encoder(encoder_fixture("bert"), {.load = Load::in_place, .threads = 1});
  std::size_t total = 0;
  const SafetensorsFile file(encoder_fixture("bert") / "model.safetensors");
  for (const WeightsEntry& entry : file.entries()) {
    const AnyTensor tensor = file.tensor(entry.name);
    total += tensor.rank() == 1 ? tensor.size() * sizeof(float) : tensor.bytes().size();
  }
  EXPECT_EQ(in_place.weight_bytes(), total);
  EXPECT_EQ(in_place.tensors(), file.entries().size());
}

/// A quantised encoder computes what one with the weights that are meant does.
TEST(LoadEncoder, ReadsQuantisedWeights) {
  const EncoderCopy quantised("bert-sequences"), plain("bert-sequences");
  round_to_int8(quantised, plain, "encoder.layer");
  const EncoderReference reference("bert-sequences");
  const LoadOptions options{.threads = 1, .compute = Compute::f32};
  EXPECT_LE(max_difference(all_outputs(quantised.load(options), reference.inputs()),
                           all_outputs(plain.load(options), reference.inputs())),
            1e-5f);
}

TEST(LoadEncoder, StopsWhenAskedTo) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(load_encoder(encoder_fixture("bert"), {.stop = stop.get_token()}), Cancelled);
}

TEST(LoadEncoder, RunsAFamilyOfTheCallers) {
  static constexpr EncoderArchitecture own = [] {
    EncoderArchitecture renamed = arch::bert;
    renamed.model_type = "scibert";
    return renamed;
  }();
  static constexpr std::array<const EncoderArchitecture*, 1> list{&own};
  const EncoderCopy copy;
  copy.set_config("model_type", "scibert");
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.load(); }), HasSubstr("\"scibert\""));
  EXPECT_EQ(copy.load({}, list).model_type(), "scibert");
}

TEST(LoadEncoder, RefusesDecoders) {
  EXPECT_THAT(message_of<UnsupportedError>([] { load_encoder(fixture("llama-mha")); }),
              HasSubstr("the model type \"llama\" is not supported (albert, bert, "));
}

// -- What older programs wrote.

/// Changes a copy of a fixture in a way that must not change what it computes.
void expect_the_same(std::string_view name, const std::function<void(const EncoderCopy&)>& change) {
  const EncoderCopy copy(name), kept(name);
  change(copy);
  const EncoderReference reference(name);
  const std::vector<EncoderInput> inputs = reference.inputs();
  EXPECT_TRUE(same_bits(all_outputs(copy.load(), inputs), all_outputs(kept.load(), inputs))) << name;
}

TEST(OlderEncoders, NormsWithGammaAndBeta) {
  for (const char* name : {"bert", "bert-sequences", "electra"})
    expect_the_same(name, [](const EncoderCopy& copy) {
      copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
        for (auto& [key, tensor] : tensors) {
          if (key.ends_with("LayerNorm.weight")) key.replace(key.size() - 6, 6, "gamma");
          if (key.ends_with("LayerNorm.bias")) key.replace(key.size() - 4, 4, "beta");
        }
      });
    });
}

TEST(OlderEncoders, BuffersAndTiedDecodersAmongTheTensors) {
  const auto with = [](std::initializer_list<const char*> names) {
    return [names](const EncoderCopy& copy) {
      copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
        for (const char* name : names) tensors.emplace_back(name, zeros(DType::f32, {48, 18}));
      });
    };
  };
  expect_the_same(
      "bert", with({"bert.embeddings.position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}));
  expect_the_same("bert-bf16", with({"embeddings.position_ids"}));
  expect_the_same("tinybert", with({"fit_denses.0.weight", "fit_denses.12.bias", "fit_dense.weight"}));
  expect_the_same("roberta",
                  with({"roberta.embeddings.position_ids", "lm_head.decoder.weight", "lm_head.decoder.bias"}));
  expect_the_same("distilbert", with({"vocab_projector.weight"}));
  expect_the_same("electra", with({"electra.embeddings.position_ids", "generator_lm_head.weight"}));
  expect_the_same("albert",
                  with({"albert.embeddings.position_ids", "predictions.decoder.weight", "predictions.decoder.bias"}));
  expect_the_same("mpnet", with({"mpnet.embeddings.position_ids", "lm_head.decoder.weight", "lm_head.decoder.bias"}));
  expect_the_same("t5-encoder", with({"encoder.embed_tokens.weight"}));
}

TEST(OlderEncoders, ConfigsThatSayLess) {
  expect_the_same("bert", [](const EncoderCopy& copy) {
    copy.edit_config([](json& config) {
      for (const char* key : {"layer_norm_eps", "type_vocab_size", "tie_word_embeddings", "id2label"})
        config.erase(key);
      config["position_embedding_type"] = "absolute";
      config["gradient_checkpointing"] = true;
      config["pooler_type"] = "first_token_transform";
    });
  });
}

// Published checkpoints of pre-trained models have more heads than their class.
TEST(OlderEncoders, MoreHeadsThanTheClassHas) {
  const EncoderCopy copy("bert");
  copy.set_config("architectures", json::array({"BertForMaskedLM"}));
  const Encoder model = copy.load();
  EXPECT_EQ(model.config().task, EncoderTask::masked_word);
  EXPECT_TRUE(model.weights().masked_word);
  EXPECT_TRUE(model.weights().pooler);
  EXPECT_TRUE(model.weights().next_sentence);
  copy.edit_config([](json& config) { config.erase("architectures"); });
  EXPECT_TRUE(copy.load().weights().masked_word);
  copy.edit_tensors([](DirectoryCopy::Tensors& tensors) {
    std::erase_if(tensors, [](const auto& tensor) { return tensor.first == "cls.predictions.transform.dense.weight"; });
  });
  EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
            copy.path().string() + ": the tensor cls.predictions.transform.dense.weight is missing");
}

// The classes of tokens and of sequences have the same name in BERT: without a class it is not known what they are.
TEST(LoadEncoder, RefusesAHeadOfUnknownKind) {
  const EncoderCopy copy("bert-tokens");
  copy.edit_config([](json& config) { config.erase("architectures"); });
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), HasSubstr("tensor classifier."));
}

TEST(LoadEncoder, RefusesBothHalves) {
  EXPECT_THAT(message_of<UnsupportedError>([&] { load_encoder(seq2seq_fixture("t5"), {.threads = 1}); }),
              HasSubstr("a model of class \"T5ForConditionalGeneration\" is no encoder alone"));
}

TEST(LoadEncoder, LabelsMustBeComplete) {
  const EncoderCopy copy("bert-tokens");
  copy.set_config("id2label", {{"0", "a"}, {"2", "b"}});
  EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }),
              AllOf(StartsWith(copy.file("config.json")), HasSubstr("there is no class 1 of 2")));
}

TEST(LoadEncoder, PositionsMustLeaveRoomForPadding) {
  const EncoderCopy copy("roberta");
  copy.set_config("pad_token_id", 23);
  EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }), HasSubstr("leaves no position"));
}

TEST(LoadEncoder, AlbertsGroupsHaveAllTheirLayers) {
  const EncoderCopy copy("albert");
  copy.set_config("inner_group_num", 2);
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }),
              HasSubstr("albert_layer_groups.0.albert_layers.1.attention.query.weight is missing"));
}

TEST(LoadEncoder, MpnetsBucketsAreThirtyTwo) {
  const EncoderCopy copy("mpnet");
  copy.set_config("relative_attention_num_buckets", 16);
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.load(); }), HasSubstr("relative_attention_num_buckets"));
}

TEST(LoadEncoder, KeysOfPublishedCheckpoints) {
  expect_the_same("bert-sequences", [](const EncoderCopy& copy) {
    copy.set_config("sbert_ce_default_activation_function", "torch.nn.modules.linear.Identity");
    copy.set_config("language", "english");
    copy.set_config("name", "Bert");
  });
}

// -- Directories of sentence-transformers.

TEST(SentenceTransformers, SayHowSentencesBecomeVectors) {
  const Encoder mean = load_encoder(encoder_fixture("bert-mean"), {.threads = 1});
  ASSERT_TRUE(mean.sentence().has_value());
  EXPECT_EQ(mean.sentence()->pooling, Pooling::mean);
  EXPECT_TRUE(mean.sentence()->normalize);
  const Encoder first = load_encoder(encoder_fixture("roberta-pooler"), {.threads = 1});
  EXPECT_EQ(first.sentence()->pooling, Pooling::first);
  EXPECT_FALSE(first.sentence()->normalize);
}

TEST(SentenceTransformers, TheTransformerMayHaveAFolder) {
  expect_the_same("bert-mean", [](const EncoderCopy& copy) {
    std::filesystem::create_directory(copy.path() / "0_Transformer");
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::rename(copy.path() / name, copy.path() / "0_Transformer" / name);
    copy.edit_json("modules.json", [](json& modules) { modules[0]["path"] = "0_Transformer"; });
  });
}

TEST(SentenceTransformers, TheDenseLayerIsChecked) {
  EXPECT_EQ(load_encoder(encoder_fixture("distilbert-dense"), {.threads = 1}).sentence_width(), 11u);
  const auto refused = [](const char* key, const json& value) {
    const EncoderCopy copy("distilbert-dense");
    copy.edit_json("2_Dense/config.json", [&](json& config) { config[key] = value; });
    return message_of<Error>([&] { copy.load(); });
  };
  EXPECT_THAT(refused("in_features", 24), AllOf(HasSubstr("2_Dense"), HasSubstr("in_features is 24"), HasSubstr("18")));
  EXPECT_THAT(refused("out_features", 12), AllOf(HasSubstr("linear.bias"), HasSubstr("(11)")));
  EXPECT_THAT(refused("bias", false), HasSubstr("linear.bias"));
  EXPECT_THAT(refused("activation_function", "torch.nn.Mish"), HasSubstr("\"torch.nn.Mish\" is not supported"));
  EXPECT_THAT(refused("module_input_name", "token_embeddings"), HasSubstr("\"token_embeddings\""));
  EXPECT_THAT(refused("odd", 1), HasSubstr("\"odd\""));
}

TEST(SentenceTransformers, ThePoolingIsOfTheModelsWidth) {
  const EncoderCopy copy("bert-mean");
  copy.edit_json("1_Pooling/config.json", [](json& config) { config["word_embedding_dimension"] = 384; });
  EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }),
              AllOf(StartsWith(copy.file("1_Pooling/config.json")), HasSubstr("is of 384 elements"), HasSubstr("18")));
}

}  // namespace
