#include <weft/models/load.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <limits>
#include <stop_token>
#include <vector>

#include <weft/models/arch/llama.hpp>
#include <weft/models/plan.hpp>
#include <weft/sampling/chain.hpp>

#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// -- What loading can be told.

TEST(LoadCausalLM, TakesADirectoryAsDownloaded) {
  const CausalLM model = load_causal_lm(fixture("llama-gqa"));
  EXPECT_EQ(model.model_type(), "llama");
  EXPECT_EQ(model.compute(), Compute::native);
  EXPECT_EQ(&model.kernels(), &cpu::best_kernels());
  EXPECT_EQ(model.executor().concurrency(), available_processors());
  EXPECT_FALSE(model.has_tokenizer());
  EXPECT_EQ(model.config().kv_heads, 2u);
  EXPECT_EQ(model.generation_config().eos, std::vector<TokenId>{2});
}

// The weights are mapped, not copied: a second tensor of the same file lies where the file says.
TEST(LoadCausalLM, UsesTheWeightsInPlaceOnDemand) {
  const CausalLM model = load_causal_lm(fixture("llama-tied"), {.load = Load::in_place, .threads = 1});
  const SafetensorsFile file(fixture("llama-tied") / "model.safetensors");
  const auto distance = model.weights().layers[1].mlp.down.bytes().data() - model.weights().embedding.bytes().data();
  EXPECT_EQ(distance, static_cast<std::ptrdiff_t>(file.find("model.layers.1.mlp.down_proj.weight")->offset) -
                          static_cast<std::ptrdiff_t>(file.find("model.embed_tokens.weight")->offset));
  EXPECT_EQ(model.weights().output.bytes().data(), model.weights().embedding.bytes().data());
}

TEST(LoadCausalLM, RepacksMatricesAndLeavesTheEmbedding) {
  for (const char* name : {"llama-tied", "llama-gqa"}) {
    const CausalLM model = load_causal_lm(fixture(name));
    EXPECT_EQ(model.weights().embedding.layout(), Layout::rows);
    EXPECT_EQ(model.weights().output.layout(), Layout::panels);
    EXPECT_EQ(model.weights().layers[1].attention.o.layout(), Layout::panels);
    const CausalLM in_place = load_causal_lm(fixture(name), {.load = Load::in_place});
    EXPECT_EQ(model.parameters(), in_place.parameters());
    EXPECT_EQ(in_place.weights().output.layout(), Layout::rows);
  }
}

TEST(LoadCausalLM, QuantizesWhileLoading) {
  const CausalLM plain = load_causal_lm(fixture("llama-gqa"));
  const std::size_t hidden = plain.config().hidden;
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q5_1, DType::q8_128, DType::q8_row, DType::f16}) {
    std::size_t calls = 0;
    const CausalLM model =
        load_causal_lm(fixture("llama-gqa"), {.weights = dtype, .progress = [&](const LoadProgress&) { ++calls; }});
    EXPECT_GT(calls, 10u);
    EXPECT_EQ(model.parameters(), plain.parameters());
    EXPECT_EQ(model.weights().embedding.dtype(), plain.weights().embedding.dtype());
    const AnyTensor& q = model.weights().layers[0].attention.q;
    EXPECT_EQ(q.dtype(), hidden % block_elements(dtype) == 0 ? dtype
                         : hidden % 32 == 0                  ? DType::q8_0
                                                             : plain.weights().embedding.dtype());
    EXPECT_EQ(q.layout(), Layout::panels);
  }
}

TEST(LoadCausalLM, TakesTheNearestTypeWhoseBlocksFillTheRows) {
  const CausalLM tales = load_causal_lm(WEFT_MODELS_DIR "/tales", {.weights = DType::q4_k, .tokenizer = false});
  const DecoderConfig& c = tales.config();
  EXPECT_EQ(tales.weights().layers[0].attention.q.dtype(), c.hidden % 256 == 0 ? DType::q4_k : DType::q5_0);
  EXPECT_EQ(tales.weights().layers[0].mlp.down.dtype(), c.intermediate % 256 == 0 ? DType::q4_k : DType::q5_0);
}

TEST(LoadCausalLM, ReportsProgressToTheEnd) {
  for (const char* name : {"llama-mha", "llama-sharded", "llama-tied"}) {
    std::vector<LoadProgress> steps;
    std::vector<std::string> tensors;
    load_causal_lm(fixture(name), {.threads = 1, .preload = true, .progress = [&](const LoadProgress& progress) {
                                     steps.push_back(progress);
                                     tensors.emplace_back(progress.tensor);
                                   }});
    ASSERT_GE(steps.size(), 10u) << name;
    std::size_t before = 0;
    for (const LoadProgress& step : steps) {
      EXPECT_GT(step.bytes_done, before);
      EXPECT_EQ(step.bytes_total, steps.front().bytes_total);
      before = step.bytes_done;
    }
    EXPECT_EQ(before, steps.back().bytes_total) << name;
    // In the order of the files, which is the fastest to read.
    const Checkpoint checkpoint = Checkpoint::open(fixture(name));
    EXPECT_TRUE(std::is_sorted(tensors.begin(), tensors.end(), [&](const std::string& a, const std::string& b) {
      return checkpoint.position(a) < checkpoint.position(b);
    })) << name;
    std::sort(tensors.begin(), tensors.end());
    EXPECT_EQ(std::adjacent_find(tensors.begin(), tensors.end()), tensors.end());
  }
}

TEST(LoadCausalLM, AnExceptionFromProgressEndsIt) {
  for (int last = 1; last < 5; ++last) {
    int calls = 0;
    const auto load = [&] {
      load_causal_lm(fixture("llama-mha"), {.progress = [&](const LoadProgress&) {
                       if (++calls == last) throw std::domain_error("no more");
                     }});
    };
    EXPECT_THROW(load(), std::domain_error);
    EXPECT_EQ(calls, last);
  }
}

TEST(LoadCausalLM, StopsWhenAskedTo) {
  std::stop_source stop;
  const auto load = [&] {
    load_causal_lm(fixture("llama-mha"), {.progress =
                                              [&](const LoadProgress& progress) {
                                                if (progress.tensor == "model.embed_tokens.weight") stop.request_stop();
                                              },
                                          .stop = stop.get_token()});
  };
  EXPECT_EQ(message_of<Cancelled>(load), "loading was stopped before model.layers.0.input_layernorm.weight");
  EXPECT_EQ(message_of<Cancelled>(load), "loading was stopped before lm_head.weight");
}

class CountingExecutor final : public Executor {
 public:
  std::size_t concurrency() const noexcept override { return 3; }
  void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) override {
    ++runs;
    for (std::size_t i = tasks; i-- > 0;) task(i);
  }
  std::atomic<int> runs{0};
};

TEST(LoadCausalLM, RunsOnTheHostsExecutor) {
  const std::vector<TokenId> ids = some_ids(70, 128);
  const auto executor = std::make_shared<CountingExecutor>();
  const CausalLM model = load_causal_lm(fixture("llama-mha"), {.executor = executor});
  EXPECT_EQ(&model.executor(), executor.get());
  const Observed observed = observe(model, ids);
  EXPECT_GT(executor->runs, 0);
  EXPECT_TRUE(same_bits(observed, observe(load_causal_lm(fixture("llama-mha"), {.threads = 1}), ids)));
}

TEST(LoadCausalLM, RefusesAnExecutorWithoutThreads) {
  struct NoThreads final : Executor {
    std::size_t concurrency() const noexcept override { return 0; }
    void run(std::size_t, FunctionRef<void(std::size_t)>) override {}
  };
  EXPECT_EQ(message_of<ConfigError>(
                [] { load_causal_lm(fixture("llama-mha"), {.executor = std::make_shared<NoThreads>()}); }),
            "LoadOptions: the executor's concurrency is 0, expected at least 1");
}

TEST(LoadCausalLM, MakesAsManyThreadsAsAskedFor) {
  for (const std::size_t threads : {1u, 2u, 3u})
    EXPECT_EQ(load_causal_lm(fixture("llama-mha"), {.threads = threads}).executor().concurrency(), threads);
}

TEST(LoadCausalLM, TakesTheTokenizerUnlessToldNotTo) {
  const CheckpointCopy copy;
  const auto tokenizers = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizers";
  std::filesystem::copy_file(tokenizers / "bare" / "tokenizer.model", copy.path() / "tokenizer.model");
  EXPECT_TRUE(copy.load().has_tokenizer());
  const CausalLM without = copy.load({.tokenizer = false});
  EXPECT_FALSE(without.has_tokenizer());
  EXPECT_EQ(message_of<TokenizerError>([&] { without.tokenizer(); }),
            copy.path().string() + ": the checkpoint was loaded without a tokenizer");
}

TEST(LoadCausalLM, RefusesTokenizersThatAreNotBuilt) {
  const CheckpointCopy copy;
  copy.write("vocab.json", "{}");
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.load(); }), StartsWith(copy.file("vocab.json") + ": "));
  EXPECT_FALSE(copy.load({.tokenizer = false}).has_tokenizer());
}

TEST(LoadCausalLM, RunsAFamilyOfTheCallers) {
  constexpr auto rename = [](std::string_view type) {
    DecoderArchitecture own = arch::llama;
    own.model_type = type;
    return own;
  };
  static constexpr DecoderArchitecture alpaca = rename("alpaca");
  static constexpr std::array<const DecoderArchitecture*, 1> own{&alpaca};
  const CheckpointCopy copy;
  copy.set_config("model_type", "alpaca");
  EXPECT_THAT(message_of<UnsupportedError>([&] { copy.load(); }),
              AllOf(StartsWith(copy.file("config.json")), HasSubstr("\"alpaca\""), HasSubstr("llama, mistral")));
  const CausalLM model = copy.load({}, own);
  EXPECT_EQ(model.model_type(), "alpaca");
  const std::vector<TokenId> ids = some_ids(9, 128);
  EXPECT_TRUE(same_bits(observe(model, ids), observe(load_causal_lm(fixture("llama-mha"), {.threads = 1}), ids)));
  static constexpr std::array<const DecoderArchitecture*, 1> none{nullptr};
  EXPECT_EQ(message_of<ConfigError>([&] { copy.load({}, none); }),
            "load: an architecture is a null pointer or has no read_config");
}

// -- One model in every layout that its weights are published in.

std::filesystem::path layout(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "layouts" / name;
}

class Layouts : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(OfOneModel, Layouts,
                         ::testing::Values("hugging-face", "pickle", "pickle-sharded", "meta", "meta-columns",
                                           "meta-rows"),
                         [](const auto& layout_info) { return test_name(layout_info.param); });

TEST_P(Layouts, ComputeTheSame) {
  const SafetensorsFile reference(layout("reference.safetensors"));
  std::vector<TokenId> ids;
  for (const std::int64_t id : reference.tensor("input_ids").elements<std::int64_t>())
    ids.push_back(static_cast<TokenId>(id));
  for (const Load load : {Load::repack, Load::in_place}) {
    const CausalLM model = load_causal_lm(layout(GetParam()), {.load = load, .threads = 1, .compute = Compute::f32});
    EXPECT_EQ(model.model_type(), "llama");
    EXPECT_EQ(model.config().intermediate, 64u);
    EXPECT_EQ(model.config().context, 4096u);
    EXPECT_EQ(model.generation_config().eos, std::vector<TokenId>{2});
    const AnyTensor logits = reference.tensor("logits");
    EXPECT_LE(max_difference(observe(model, ids).logits, logits.elements<float>()), 2e-4f);
  }
}

TEST(LayoutOfMeta, BringsItsTokenizer) {
  const TemporaryDirectory directory;
  for (const auto& entry : std::filesystem::directory_iterator(layout("meta")))
    std::filesystem::copy_file(entry.path(), directory.path() / entry.path().filename());
  std::filesystem::copy_file(
      std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tokenizers" / "bare" / "tokenizer.model",
      directory.path() / "tokenizer.model");
  EXPECT_TRUE(load_causal_lm(directory.path(), {.threads = 1}).has_tokenizer());
}

// -- What older programs wrote.

/// Changes a copy of a fixture in a way that must not change what it computes.
void expect_the_same(std::string_view name, const std::function<void(const CheckpointCopy&)>& change) {
  const CheckpointCopy copy(name);
  change(copy);
  const CausalLM expected = load_causal_lm(fixture(name), {.threads = 1});
  const std::vector<TokenId> ids = some_ids(30, expected.config().vocab);
  std::size_t done = 0;
  std::size_t total = 1;
  const CausalLM model = copy.load({.progress = [&](const LoadProgress& progress) {
    done = progress.bytes_done;
    total = progress.bytes_total;
  }});
  EXPECT_TRUE(same_bits(observe(model, ids), observe(expected, ids)));
  EXPECT_EQ(done, total);
}

TEST(OlderCheckpoints, TorchDtype) {
  expect_the_same("llama-mha", [](const CheckpointCopy& copy) {
    copy.edit_config([](json& config) {
      config.erase("dtype");
      config["torch_dtype"] = "float32";
    });
  });
}

TEST(OlderCheckpoints, RotaryFrequenciesAmongTheTensors) {
  expect_the_same("llama-mha", [](const CheckpointCopy& copy) {
    copy.edit_tensors([](CheckpointCopy::Tensors& tensors) {
      for (const char* layer : {"0", "1"})
        tensors.emplace_back(detail::concat("model.layers.", layer, ".self_attn.rotary_emb.inv_freq"),
                             zeros(DType::f32, {4}));
    });
  });
}

TEST(OlderCheckpoints, AnOutputHeadAlthoughItIsTied) {
  expect_the_same("llama-tied", [](const CheckpointCopy& copy) {
    copy.edit_tensors([](CheckpointCopy::Tensors& tensors) {
      const AnyTensor embedding = find_tensor(tensors, "model.embed_tokens.weight");
      tensors.emplace_back("lm_head.weight", zeros(DType::f32, embedding.shape()));
    });
  });
}

TEST(OlderCheckpoints, FirstLlamaStyle) {
  expect_the_same("llama-mha", [](const CheckpointCopy& copy) {
    copy.edit_config([](json& config) {
      for (const char* key : {"num_key_value_heads", "head_dim", "rope_theta", "rope_scaling", "attention_bias",
                              "mlp_bias", "tie_word_embeddings"})
        config.erase(key);
      config["max_sequence_length"] = 256;
      config["pad_token_id"] = -1;
      config["max_position_embeddings"] = nullptr;
    });
    copy.remove("generation_config.json");
    EXPECT_EQ(copy.load().config().context, 2048u);
  });
}

TEST(OlderCheckpoints, NullHeadDim) {
  expect_the_same("mistral-window",
                  [](const CheckpointCopy& copy) { copy.edit_config([](json& config) { config.erase("head_dim"); }); });
}

TEST(OlderCheckpoints, LinearScalingUnderTheOldKeyAlone) {
  expect_the_same("llama-linear-rope", [](const CheckpointCopy& copy) {
    copy.set_config("rope_scaling", {{"type", "linear"}, {"factor", 4.0}});
  });
}

/// rope_parameters as transformers 4 wrote them, with the type under `type_key`.
void write_older_rope(json& config, const char* type_key) {
  json rope = config["rope_parameters"];
  config.erase("rope_parameters");
  config["rope_theta"] = rope["rope_theta"];
  if (rope.contains("partial_rotary_factor")) config["partial_rotary_factor"] = rope["partial_rotary_factor"];
  rope[type_key] = rope["rope_type"];
  for (const char* key : {"rope_theta", "partial_rotary_factor", *type_key == 't' ? "rope_type" : "type"})
    rope.erase(key);
  config["rope_scaling"] = rope;
}

TEST(OlderCheckpoints, RopesOfEveryKind) {
  for (const char* name : {"qwen2-yarn", "phi3-long", "phi", "stablelm", "llama-v5"})
    for (const char* type_key : {"type", "rope_type"})
      expect_the_same(name, [&](const CheckpointCopy& copy) {
        copy.edit_config([&](json& config) { write_older_rope(config, type_key); });
      });
  for (const bool twice : {false, true})  // as the last of transformers 4 wrote it
    expect_the_same("gpt-neox", [&](const CheckpointCopy& copy) {
      copy.edit_config([&](json& config) {
        config.erase("rope_parameters");
        config["rotary_pct"] = 0.25;
        config["rotary_emb_base"] = 10000;
        if (twice) config.update({{"partial_rotary_factor", 0.25}, {"rope_theta", 10000}, {"rope_scaling", nullptr}});
      });
    });
  expect_the_same("gemma3", [](const CheckpointCopy& copy) {
    copy.edit_config([](json& config) {
      config["rope_theta"] = config["rope_parameters"]["full_attention"]["rope_theta"];
      config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
      config["rope_local_base_freq"] = config["rope_parameters"]["sliding_attention"]["rope_theta"];
      config.erase("rope_parameters");
    });
  });
}

TEST(OlderCheckpoints, WindowsByPattern) {
  const auto erase = [](const char* key) {
    return [=](const CheckpointCopy& copy) { copy.edit_config([=](json& config) { config.erase(key); }); };
  };
  expect_the_same("qwen2-window", erase("layer_types"));
  expect_the_same("gemma2", erase("layer_types"));
  expect_the_same("gpt-neo", erase("attention_layers"));
  expect_the_same("gemma3", [](const CheckpointCopy& copy) {
    copy.edit_config([](json& config) {
      config.erase("layer_types");
      config["sliding_window_pattern"] = 2;
    });
  });
}

TEST(OlderCheckpoints, ActivationOfTheFirstGemma) {
  for (const json& newer : {json(), json("gelu_pytorch_tanh")})
    expect_the_same("gemma", [&](const CheckpointCopy& copy) {
      copy.edit_config([&](json& config) {
        config["hidden_act"] = "gelu";
        config["hidden_activation"] = newer;
      });
    });
}

TEST(OlderCheckpoints, SoftCapOfGemma3ThatNobodyApplies) {
  expect_the_same("gemma3", [](const CheckpointCopy& copy) { copy.set_config("attn_logit_softcapping", 3.0); });
}

TEST(OlderCheckpoints, OtherNamesOfTheSameKeys) {
  expect_the_same("bloom", [](const CheckpointCopy& copy) {
    copy.edit_config([](json& config) {
      config["n_embed"] = config["hidden_size"];
      config["num_attention_heads"] = config["n_head"];
      config.erase("hidden_size");
      config.erase("n_head");
      config["attention_softmax_in_fp32"] = true;
    });
  });
  expect_the_same("qwen3-moe", [](const CheckpointCopy& copy) {
    copy.edit_config([](json& config) {
      config["num_experts"] = config["num_local_experts"];
      config.erase("num_local_experts");
    });
  });
}

TEST(OlderCheckpoints, NamesWithoutTheirPrefix) {
  for (const auto& [name, prefix] : {std::pair{"gpt2", "transformer."}, {"bloom", "transformer."}, {"opt", "model."}})
    expect_the_same(name, [&, prefix = std::string_view(prefix)](const CheckpointCopy& copy) {
      copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
        for (auto& [key, tensor] : tensors) key = key.substr(prefix.size());
      });
    });
}

TEST(OlderCheckpoints, CausalMasksAmongTheTensors) {
  expect_the_same("gpt2", [](const CheckpointCopy& copy) {
    copy.edit_tensors([](CheckpointCopy::Tensors& tensors) {
      for (const char* name : {"transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias", "lm_head.weight"})
        tensors.emplace_back(name, zeros(DType::f32, {1, 1, 4, 4}));
    });
  });
}

// -- Files that are not there or are not what they say.

TEST(BadCheckpoint, NothingThere) {
  const TemporaryDirectory directory;
  const std::string nowhere = (directory.path() / "nowhere").string();
  EXPECT_EQ(message_of<FormatError>([&] { load_causal_lm(nowhere); }),
            nowhere + ": there is no such file or directory");
  EXPECT_EQ(message_of<FormatError>([&] { load_causal_lm(directory.path()); }),
            directory.path().string() + ": there is neither config.json nor params.json");
}

TEST(BadCheckpoint, NoWeights) {
  const CheckpointCopy copy;
  copy.remove("model.safetensors");
  EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
            copy.path().string() + ": there is neither model.safetensors nor pytorch_model.bin nor an index of either");
  copy.write("pytorch_model.bin", "pickled");
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), StartsWith(copy.file("pytorch_model.bin")));
}

TEST(BadCheckpoint, AShardIsMissing) {
  const CheckpointCopy copy("llama-sharded");
  copy.remove("model-00003-of-00005.safetensors");
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }),
              AllOf(StartsWith(copy.file("model.safetensors.index.json")),
                    HasSubstr("model-00003-of-00005.safetensors that it names is missing")));
}

TEST(BadCheckpoint, ConfigIsNoJson) {
  const CheckpointCopy copy;
  for (const char* text : {"", "{", "[]", "{\"model_type\": \"llama\",}", "\xff"}) {
    copy.write("config.json", text);
    EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), StartsWith(copy.file("config.json"))) << text;
  }
}

TEST(BadCheckpoint, EmptyWeights) {
  const CheckpointCopy copy;
  copy.write("model.safetensors", "");
  EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }), copy.file("model.safetensors") + ": the file is empty");
}

TEST(BadCheckpoint, WeightsCutOffAnywhere) {
  const CheckpointCopy copy;
  const std::string whole = read_file(copy.path() / "model.safetensors");
  for (const std::size_t length : {std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{9}, std::size_t{500},
                                   whole.size() / 2, whole.size() - 4, whole.size() - 1}) {
    copy.write("model.safetensors", whole.substr(0, length));
    EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), StartsWith(copy.file("model.safetensors"))) << length;
  }
  copy.write("model.safetensors", whole + "x");
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), HasSubstr("the tensors end at byte"));
}

TEST(BadCheckpoint, WeightsThatLieAboutTheirHeader) {
  const CheckpointCopy copy;
  const std::string whole = read_file(copy.path() / "model.safetensors");
  for (const char byte : {'\xff', '\x7f', '\x01'}) {
    std::string lying = whole;
    lying[7] = byte;
    copy.write("model.safetensors", lying);
    EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }),
                StartsWith(copy.file("model.safetensors") + ": byte 0: the header length says"));
  }
  std::string swapped = whole;
  const std::size_t shape = swapped.find("\"shape\":[128,32]");
  ASSERT_NE(shape, std::string::npos);
  swapped.replace(shape, 16, "\"shape\":[129,32]");
  copy.write("model.safetensors", swapped);
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), HasSubstr("takes 16512 bytes, the offsets span 16384"));
}

TEST(BadCheckpoint, ATensorIsMissing) {
  for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight",
                           "model.layers.1.self_attn.k_proj.weight", "model.layers.0.mlp.down_proj.weight"}) {
    const CheckpointCopy copy;
    copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
      std::erase_if(tensors, [&](const auto& entry) { return entry.first == name; });
    });
    EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
              copy.path().string() + ": the tensor " + name + " is missing");
  }
}

TEST(BadCheckpoint, ATensorTooMany) {
  for (const char* name : {"model.layers.2.input_layernorm.weight", "model.layers.0.self_attn.q_proj.bias", "extra",
                           "model.layers.x.self_attn.rotary_emb.inv_freq"}) {
    const CheckpointCopy copy;
    copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) { tensors.emplace_back(name, zeros(DType::f32, {32})); });
    EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
              copy.file("model.safetensors") + ": tensor " + name +
                  ": a llama model with this config.json has no such tensor");
  }
}

TEST(Load, RefusesTypesThatNoProductReads) {
  const CheckpointCopy copy;
  for (const DType dtype : {DType::q2_k, DType::q3_k, DType::iq4_nl, DType::i8, DType::f64})
    EXPECT_EQ(message_of<UnsupportedError>([&] { copy.load({.weights = dtype}); }),
              copy.path().string() + ": weights cannot be loaded as " + std::string(name(dtype)) +
                  " (f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k, q6_k, q8_128, q8_row are possible)");
}

TEST(BadCheckpoint, ATensorOfAnotherType) {
  for (const char* name : {"model.norm.weight", "lm_head.weight"})
    for (const DType dtype : {DType::i32, DType::i8}) {
      const CheckpointCopy copy;
      copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
        AnyTensor& tensor = find_tensor(tensors, name);
        tensor = zeros(dtype, tensor.shape());
      });
      EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
                copy.file("model.safetensors") + ": tensor " + name + " has element type " +
                    std::string(weft::name(dtype)) + ", expected f32, f16, bf16 or f64");
    }
}

/// Weights in double precision are rounded, as transformers rounds them to the type of config.json; progress and plan
/// count what becomes of them.
TEST(Load, RoundsDoubles) {
  const CheckpointCopy copy;
  copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
    for (auto& [name, tensor] : tensors) {
      ASSERT_EQ(tensor.dtype(), DType::f32);
      const std::vector<double> wide(tensor.elements<float>().begin(), tensor.elements<float>().end());
      tensor = AnyTensor::make(DType::f64, tensor.shape(),
                               [&](std::span<std::byte> to) { std::memcpy(to.data(), wide.data(), to.size()); });
    }
  });
  const std::vector<TokenId> prompt = some_ids(9, 64);
  for (const Load how : {Load::repack, Load::in_place}) {
    LoadProgress last{};
    const LoadOptions options{.load = how, .threads = 1, .progress = [&](const LoadProgress& p) { last = p; }};
    const CausalLM model = copy.load(options);
    EXPECT_TRUE(same_bits(observe(model, prompt),
                          observe(load_causal_lm(fixture("llama-mha"), {.load = how, .threads = 1}), prompt)));
    EXPECT_EQ(last.bytes_done, last.bytes_total);
    EXPECT_EQ(plan(copy.path(), options).weights, model.weight_bytes());
  }
}

TEST(BadCheckpoint, ATensorOfAnotherShape) {
  for (const Shape& shape : {Shape{16, 64}, Shape{1024}, Shape{32, 32, 1}, Shape{32, 33}}) {
    const CheckpointCopy copy;
    copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
      find_tensor(tensors, "model.layers.1.self_attn.o_proj.weight") = zeros(DType::f32, shape);
    });
    EXPECT_EQ(message_of<ConfigError>([&] { copy.load(); }),
              copy.file("model.safetensors") + ": tensor model.layers.1.self_attn.o_proj.weight has shape " +
                  to_string(shape) + ", config.json says (32, 32)");
  }
}

// -- A config that contradicts the weights, itself or reason.

TEST(ConfigAgainstWeights, EverySize) {
  const std::vector<std::pair<const char*, int>> wrong{
      {"vocab_size", 127},        {"vocab_size", 129},        {"hidden_size", 64}, {"intermediate_size", 81},
      {"num_attention_heads", 8}, {"num_key_value_heads", 2}, {"head_dim", 16}};
  for (const auto& [key, value] : wrong) {
    const CheckpointCopy copy;
    copy.set_config(key, value);
    EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }),
                AllOf(StartsWith(copy.file("model.safetensors") + ": tensor "), HasSubstr(", config.json says (")))
        << key;
  }
}

TEST(ConfigAgainstWeights, NumberOfLayers) {
  const CheckpointCopy copy;
  copy.set_config("num_hidden_layers", 1);
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }),
              AllOf(HasSubstr("tensor model.layers.1."), HasSubstr("has no such tensor")));
  // Nothing is allocated for what is not in the file.
  for (const std::int64_t layers : {std::int64_t{3}, std::int64_t{1} << 31}) {
    copy.set_config("num_hidden_layers", layers);
    EXPECT_EQ(message_of<FormatError>([&] { copy.load(); }),
              copy.path().string() + ": the tensor model.layers.2.input_layernorm.weight is missing");
  }
}

TEST(ConfigAgainstWeights, BiasesAndTiedEmbeddings) {
  const CheckpointCopy copy;
  for (const char* key : {"attention_bias", "mlp_bias"}) {
    copy.set_config(key, true);
    EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), HasSubstr(".bias is missing"));
    copy.set_config(key, false);
  }
  const CheckpointCopy tied("llama-tied");
  tied.set_config("tie_word_embeddings", false);
  EXPECT_EQ(message_of<FormatError>([&] { tied.load(); }),
            tied.path().string() + ": the tensor lm_head.weight is missing");
  const CheckpointCopy biased("llama-bias");
  biased.set_config("mlp_bias", false);
  EXPECT_THAT(message_of<FormatError>([&] { biased.load(); }), HasSubstr("mlp.down_proj.bias: a llama model"));
}

TEST(ConfigAgainstWeights, TokenIdsOutsideTheVocabulary) {
  const CheckpointCopy copy;
  copy.edit_json("generation_config.json", [](json& config) { config["eos_token_id"] = {2, 128}; });
  EXPECT_THAT(message_of<ConfigError>([&] { copy.load(); }),
              AllOf(StartsWith(copy.file("generation_config.json") + ": eos_token_id[1]"),
                    HasSubstr("token id 128 is outside the vocabulary of 128")));
}

template <class E>
void expect_config_error(const char* key, const json& value, std::string_view message,
                         std::string_view name = "llama-mha") {
  const CheckpointCopy copy(name);
  copy.edit_config([&](json& config) {
    if (value.is_discarded()) {
      config.erase(key);
    } else {
      config[key] = value;
    }
  });
  EXPECT_THAT(message_of<E>([&] { copy.load(); }),
              AllOf(StartsWith(copy.file("config.json") + ": "), HasSubstr(std::string(message))))
      << key << ": " << value;
}
const json absent = json(json::value_t::discarded);

TEST(BadConfig, SizesThatAreNone) {
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                          "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    const std::string where = std::string(key) + " (byte ";
    expect_config_error<ConfigError>(key, 0, where);
    expect_config_error<ConfigError>(key, -4, "expected a number from 1 to 2147483648, found -4");
    expect_config_error<ConfigError>(key, (std::int64_t{1} << 31) + 1, "found 2147483649");
    expect_config_error<ConfigError>(key, std::numeric_limits<std::int64_t>::max(), where);
    expect_config_error<FormatError>(key, 32.0, "expected an integer, found a number");
    expect_config_error<FormatError>(key, 1e30, where);
    expect_config_error<FormatError>(key, std::numeric_limits<std::uint64_t>::max(), where);
    expect_config_error<FormatError>(key, "32", "expected an integer, found a string");
    expect_config_error<FormatError>(key, true, where);
    expect_config_error<FormatError>(key, json::array({32}), where);
  }
  for (const char* key : {"vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"})
    for (const json& value : {absent, json()})
      expect_config_error<ConfigError>(key, value, "the key \"" + std::string(key) + "\" is missing");
}

TEST(BadConfig, MoreHeadsThanAnyModelHas) {
  expect_config_error<UnsupportedError>("num_attention_heads", 1 << 30,
                                        "num_attention_heads 1073741824, at most 65536 are supported");
}

TEST(BadConfig, SizesThatDoNotDivide) {
  expect_config_error<ConfigError>("num_key_value_heads", 3,
                                   "num_attention_heads 4 is not a multiple of num_key_value_heads 3");
  expect_config_error<ConfigError>("num_attention_heads", 5,
                                   "hidden_size 32 is not a multiple of num_attention_heads 5", "mistral-window");
  expect_config_error<ConfigError>("head_dim", 7, "head_dim 7 is odd");
}

TEST(BadConfig, NormEpsilon) {
  expect_config_error<ConfigError>("rms_norm_eps", absent, "the key \"rms_norm_eps\" is missing");
  expect_config_error<ConfigError>("rms_norm_eps", json(), "the key \"rms_norm_eps\" is missing");
  expect_config_error<ConfigError>("rms_norm_eps", -1e-5, "rms_norm_eps");
  expect_config_error<ConfigError>("rms_norm_eps", 1e300, "the number does not fit a float");
  expect_config_error<FormatError>("rms_norm_eps", "1e-5", "expected a number, found a string");
  for (const char* number : {"NaN", "Infinity"}) {
    const CheckpointCopy copy;
    std::string text = read_file(copy.path() / "config.json");
    text.replace(text.find("1e-05"), 5, number);
    copy.write("config.json", text);
    EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }),
                AllOf(StartsWith(copy.file("config.json")), HasSubstr("NaN and Infinity are no JSON numbers")));
  }
}

TEST(BadConfig, ModelType) {
  expect_config_error<UnsupportedError>("model_type", "mamba",
                                        "the model type \"mamba\" is not supported (bloom, falcon, ");
  expect_config_error<FormatError>("model_type", absent, "the key \"model_type\" is missing");
  expect_config_error<FormatError>("model_type", 7, "expected a string");
}

TEST(BadConfig, Activation) {
  expect_config_error<UnsupportedError>("hidden_act", "xielu", "the activation \"xielu\" is not supported");
  expect_config_error<ConfigError>("hidden_act", absent, "the key \"hidden_act\" is missing");
}

TEST(BadConfig, Rope) {
  expect_config_error<UnsupportedError>("rope_scaling", {{"rope_type", "xpos"}, {"factor", 4.0}},
                                        "the rope type \"xpos\" is not supported");
  expect_config_error<ConfigError>("rope_scaling", {{"type", "dynamic"}}, "the key \"factor\" is missing");
  expect_config_error<ConfigError>("rope_scaling", {{"type", "yarn"}, {"factor", -1.0}}, "factor is -1");
  expect_config_error<UnsupportedError>("rope_parameters", {{"rope_type", "other"}, {"rope_theta", 1e4}},
                                        "rope_parameters (byte ");
  expect_config_error<ConfigError>("rope_scaling", {{"type", "longrope"}, {"short_factor", json::array({1.0})}},
                                   "the key \"long_factor\" is missing");
  expect_config_error<ConfigError>(
      "rope_scaling", {{"type", "longrope"}, {"short_factor", json::array({1.0})}, {"long_factor", json::array({1.0})}},
      "there are 1 factors for 4 pairs");
  expect_config_error<ConfigError>("rope_parameters", {{"partial_rotary_factor", 1.5}}, "rope_parameters (byte ");
  expect_config_error<ConfigError>("rope_parameters", {{"partial_rotary_factor", 0.4}}, "3 elements of head_dim 8");
  expect_config_error<UnsupportedError>("rope_scaling", {{"type", "linear"}, {"factor", 4.0}, {"beta_fast", 32}},
                                        "\"beta_fast\" is not understood");
  expect_config_error<ConfigError>("rope_scaling", {{"type", "linear"}}, "the key \"factor\" is missing");
  expect_config_error<ConfigError>("rope_scaling", {{"type", "linear"}, {"factor", 0.0}}, "factor is 0");
  expect_config_error<FormatError>("rope_scaling", {{"type", "linear"}, {"factor", "4"}}, "rope_scaling.factor");
  expect_config_error<FormatError>("rope_scaling", "linear", "expected an object");
  expect_config_error<ConfigError>("rope_theta", 0, "theta is 0");
  expect_config_error<ConfigError>("rope_theta", -10000.0, "theta is -10000");
  json llama3{{"rope_type", "llama3"},
              {"factor", 8.0},
              {"low_freq_factor", 1.0},
              {"high_freq_factor", 4.0},
              {"original_max_position_embeddings", 64}};
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}) {
    json without = llama3;
    without.erase(key);
    expect_config_error<ConfigError>("rope_scaling", without, "the key \"" + std::string(key) + "\" is missing");
  }
  llama3["high_freq_factor"] = 1.0;
  expect_config_error<ConfigError>("rope_scaling", llama3, "must be above low_freq_factor");
}

TEST(BadConfig, KeysThatNobodyKnows) {
  expect_config_error<UnsupportedError>("logit_scale", 0.5, "the key \"logit_scale\" is not understood");
  expect_config_error<UnsupportedError>("sliding_window", 16, "the key \"sliding_window\" is not understood");
  expect_config_error<UnsupportedError>("quantization_config", {{"quant_method", "aqlm"}},
                                        "the quantisation method \"aqlm\" is not supported");
  expect_config_error<ConfigError>("sliding_window", 0, "sliding_window", "mistral-window");
  expect_config_error<FormatError>("tie_word_embeddings", 1, "expected a boolean");
  expect_config_error<FormatError>("attention_bias", "yes", "expected a boolean");
  // What says nothing is no reason to refuse a model.
  const CheckpointCopy copy;
  copy.edit_config([](json& config) {
    config["logit_scale"] = nullptr;
    config["use_qk_norm"] = false;
    config["final_soft_cap"] = 0.0;
    config["quantization_config"] = nullptr;
    config["_private"] = 3;
    config["extra_layers"] = json::array();
    config["note"] = "";
  });
  EXPECT_EQ(copy.load().config().vocab, 128u);
}

// -- Weights that are no numbers are found when a token is to be chosen.

TEST(BadWeights, NanIsFoundBySampling) {
  for (const char* name : {"lm_head.weight", "model.layers.0.self_attn.v_proj.weight", "model.norm.weight",
                           "model.layers.1.mlp.up_proj.weight"})
    for (const cpu::Kernels* kernels : all_kernels()) {
      const CheckpointCopy copy;
      copy.edit_tensors([&](CheckpointCopy::Tensors& tensors) {
        AnyTensor& tensor = find_tensor(tensors, name);
        tensor = with_element(tensor, 5, std::numeric_limits<float>::quiet_NaN());
      });
      const CausalLM model = copy.load({.kernels = kernels});
      Session session(model);
      const std::span<const float> logits = session.forward(some_ids(5, 128));
      for (const float temperature : {0.f, 1.f}) {
        Sampler sampler({.temperature = temperature}, logits.size());
        EXPECT_THAT(message_of<NumericError>([&] { sampler(logits); }), AllOf(StartsWith("logit["), HasSubstr("nan")))
            << name << " " << kernels->name;
      }
    }
}

}  // namespace
