#include <weft/models/session.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <set>
#include <stop_token>
#include <thread>
#include <vector>

#include <weft/models/batch.hpp>
#include <weft/models/registry.hpp>

#include "../allocations.hpp"
#include "adapter_fixtures.hpp"
#include "fixtures.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::Test;

constexpr float tolerance = 2e-4f;

CausalLM load(const std::string& name, LoadOptions options = {}) {
  if (options.threads == 0) options.threads = 1;
  options.tokenizer = false;
  return load_causal_lm(fixture(name), options);
}

void expect_parity(const Reference& reference, const Observed& observed, const DecoderConfig& config, float most) {
  const std::vector<TokenId> prompt = reference.prompt();
  std::size_t compared = 0;
  for (std::size_t i = 0; i <= config.layers; ++i) {
    if (!reference.has_hidden(i)) continue;
    ++compared;
    EXPECT_LE(max_difference(observed.hidden[i], reference.hidden(i)), most) << "hidden states " << i;
  }
  EXPECT_GE(compared, 1u);
  const AnyTensor logits = reference.logits();
  ASSERT_LE(logits.extent(0), prompt.size());
  EXPECT_LE(max_difference(std::span(observed.logits).last(logits.size()), logits.elements<float>()), most) << "logits";
}

class Parity : public testing::TestWithParam<std::string> {};

std::vector<float> all_logits(const CausalLM& model, std::span<const TokenId> prompt, const SessionOptions& options) {
  Session session(model, options);
  Tensor<float, 2> logits({prompt.size(), model.config().vocab});
  session.forward_all(prompt, logits);
  return {logits.elements().begin(), logits.elements().end()};
}

TEST_P(Parity, HiddenStatesLogitsAndGreedyText) {
  const Reference reference(GetParam());
  const std::vector<TokenId> prompt = reference.prompt();
  ASSERT_EQ(reference.greedy().size(), 32u);
  for (const cpu::Kernels* kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name);
    const CausalLM model = load(GetParam(), {.compute = Compute::f32, .kernels = kernels});
    expect_parity(reference, observe(model, prompt), model.config(), tolerance);
    Session session(model);
    EXPECT_EQ(greedy(session, prompt, 32), reference.greedy());
  }
}

TEST_P(Parity, SameBitsForAnyChunkAndThreads) {
  const std::vector<TokenId> prompt = Reference(GetParam()).prompt();
  for (const cpu::Kernels* kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name);
    for (const Compute compute : {Compute::f32, Compute::native}) {
      const CausalLM serial = load(GetParam(), {.compute = compute, .kernels = kernels});
      const std::size_t vocab = serial.config().vocab;
      const Observed whole = observe(serial, prompt);
      const CausalLM two = load(GetParam(), {.threads = 2, .compute = compute, .kernels = kernels});
      EXPECT_TRUE(same_bits(whole, observe(two, prompt)));
      const CausalLM in_place =
          load(GetParam(), {.load = Load::in_place, .threads = 2, .compute = compute, .kernels = kernels});
      EXPECT_TRUE(same_bits(whole, observe(in_place, prompt))) << "in place";
      for (const std::size_t chunk : {1u, 7u, 64u}) {
        EXPECT_TRUE(same_bits(whole, observe(serial, prompt, {.chunk = chunk}))) << chunk;
        EXPECT_TRUE(same_bits(whole, observe(two, prompt, {.chunk = chunk}))) << chunk << ", two threads";
      }
      Session session(two);
      for (std::size_t t = 0; t < prompt.size(); ++t)
        ASSERT_TRUE(same_bits(session.forward(std::span(prompt).subspan(t, 1)),
                              std::span(whole.logits).subspan(t * vocab, vocab)))
            << "token by token, " << t;
    }
  }
}

// Rounding keys and values moves the logits, the largest of which are about 20: f16 keeps 11 bits, bf16 8.
TEST_P(Parity, HalfPrecisionCaches) {
  const Reference reference(GetParam());
  const std::vector<TokenId> prompt = reference.prompt();
  for (const cpu::Kernels* kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name);
    const CausalLM model = load(GetParam(), {.threads = 2, .compute = Compute::f32, .kernels = kernels});
    const Observed exact = observe(model, prompt);
    for (const auto& [cache, most] : {std::pair{DType::f16, 0.04f}, std::pair{DType::bf16, 0.32f}}) {
      SCOPED_TRACE(name(cache));
      const Observed whole = observe(model, prompt, {.cache = cache});
      const float difference = max_difference(whole.logits, exact.logits);
      EXPECT_GT(difference, 0.f);
      expect_parity(reference, whole, model.config(), most);
      for (const std::size_t chunk : {1u, 7u, 64u})
        EXPECT_TRUE(same_bits(whole, observe(model, prompt, {.cache = cache, .chunk = chunk}))) << chunk;
    }
  }
}

// Products in the weights' own type exist for bfloat16 alone; activations are rounded to 8 bits for them.
TEST_P(Parity, NativeProductsStayClose) {
  const Reference reference(GetParam());
  const std::vector<TokenId> prompt = reference.prompt();
  for (const cpu::Kernels* kernels : all_kernels()) {
    SCOPED_TRACE(kernels->name);
    const CausalLM exact = load(GetParam(), {.compute = Compute::f32, .kernels = kernels});
    const CausalLM native = load(GetParam(), {.compute = Compute::native, .kernels = kernels});
    const Observed observed = observe(native, prompt);
    if (exact.weights().embedding.dtype() == DType::bf16 && kernels->tile_bf16) {
      EXPECT_FALSE(same_bits(observed, observe(exact, prompt)));
      expect_parity(reference, observed, native.config(), 0.2f);
    } else {
      EXPECT_TRUE(same_bits(observed, observe(exact, prompt)));
    }
  }
}

TEST(QuantizedWeights, SameBitsForAnyChunkThreadsAndDivision) {
  const std::string tales = WEFT_MODELS_DIR "/tales";
  const std::vector<TokenId> prompt = some_ids(45, 4096);
  for (const DType dtype : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q4_k, DType::q5_k,
                            DType::q6_k, DType::q8_128, DType::q8_row, DType::f16, DType::bf16}) {
    SCOPED_TRACE(name(dtype));
    for (const Compute compute : {Compute::f32, Compute::native}) {
      const CausalLM one =
          load_causal_lm(tales, {.weights = dtype, .threads = 1, .compute = compute, .tokenizer = false});
      const CausalLM two =
          load_causal_lm(tales, {.weights = dtype, .threads = 2, .compute = compute, .tokenizer = false});
      const std::vector<float> whole = all_logits(one, prompt, {});
      for (const std::size_t chunk : {1u, 7u, 64u})
        EXPECT_TRUE(same_bits(whole, all_logits(two, prompt, {.chunk = chunk})));
    }
  }
}

TEST(BlockedCache, StaysCloseAndGivesTheSameBitsForAnyChunk) {
  const CausalLM model = load_causal_lm(WEFT_MODELS_DIR "/tales", {.threads = 2, .tokenizer = false});
  const std::vector<TokenId> prompt = some_ids(90, 4096);
  const std::vector<float> exact = all_logits(model, prompt, {}),
                           whole = all_logits(model, prompt, {.cache = DType::q8_0});
  const float difference = max_difference(whole, exact);
  EXPECT_GT(difference, 0.f);
  EXPECT_LT(difference, 0.3f);
  for (const std::size_t chunk : {1u, 7u, 64u})
    EXPECT_TRUE(same_bits(whole, all_logits(model, prompt, {.cache = DType::q8_0, .chunk = chunk}))) << chunk;
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Parity, testing::ValuesIn(fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

TEST(Fixtures, CoverEveryArchitecture) {
  std::set<std::string> found;
  for (const std::string& name : fixture_names()) found.insert(load(name).model_type());
  for (const DecoderArchitecture* architecture : decoder_architectures)
    EXPECT_TRUE(found.contains(std::string(architecture->model_type)))
        << architecture->model_type << " has no fixture in " << fixture("");
}

TEST(Fixtures, CoverWhatTheyAreFor) {
  const std::vector<std::string> names = fixture_names();
  for (const char* name : {"llama-mha", "llama-gqa", "llama-mqa", "llama-tied", "llama-head-dim", "llama3-rope",
                           "llama-linear-rope", "llama-bias", "llama-bf16", "llama-f16", "llama-sharded", "llama-odd",
                           "llama-long", "mistral-window", "llama-v5", "mistral-v5"})
    EXPECT_TRUE(std::binary_search(names.begin(), names.end(), name)) << name;
  const DecoderConfig mistral = load("mistral-window").config();
  EXPECT_LT(mistral.window, Reference("mistral-window").prompt().size());
  EXPECT_TRUE(load("llama-tied").config().tied_embeddings);
  const DecoderConfig wide = load("llama-head-dim").config();
  EXPECT_NE(wide.head_dim, wide.hidden / wide.heads);
  EXPECT_EQ(load("llama-bf16").weights().embedding.dtype(), DType::bf16);
  EXPECT_EQ(load("llama-f16").weights().embedding.dtype(), DType::f16);
}

TEST(Session, BeginsEmptyWithTheModelsContext) {
  const CausalLM model = load("llama-mha");
  Session session(model);
  EXPECT_EQ(session.position(), 0u);
  EXPECT_EQ(session.context(), 256u);
  EXPECT_EQ(session.cache().context(), 256u);
  EXPECT_EQ(session.model().config().vocab, 128u);
  EXPECT_EQ(Session(model, {.context = 10}).context(), 10u);
}

// Models made for very long contexts do not take all of it unless they are asked to.
TEST(Session, TakesAtMostTheUsualContextByDefault) {
  const CheckpointCopy copy;
  copy.set_config("max_position_embeddings", 1 << 20);
  const CausalLM model = copy.load();
  EXPECT_EQ(Session(model).context(), 8192u);
  EXPECT_EQ(Session(model, {.context = 9000}).context(), 9000u);
}

TEST(Session, TruncateGoesBack) {
  const CausalLM model = load("llama-gqa");
  const std::vector<TokenId> ids = some_ids(20, model.config().vocab);
  Session straight(model);
  const auto expected = straight.forward(ids);
  Session session(model);
  session.forward(some_ids(50, 60));
  session.truncate(0);
  session.forward(std::span(ids).first(12));
  session.forward(std::vector<TokenId>{5, 6, 7});
  EXPECT_EQ(session.position(), 15u);
  session.truncate(12);
  EXPECT_TRUE(same_bits(session.forward(std::span(ids).subspan(12)), expected));
  EXPECT_EQ(session.position(), 20u);
}

TEST(Session, SurvivesMoving) {
  const CausalLM model = load("llama-gqa");
  const std::vector<TokenId> ids = some_ids(20, model.config().vocab);
  Session straight(model);
  const auto expected = straight.forward(ids);
  Session first(model);
  first.forward(std::span(ids).first(7));
  Session second(std::move(first));
  second.forward(std::span(ids).subspan(7, 6));
  Session third(model, {.context = 3});
  third = std::move(second);
  EXPECT_TRUE(same_bits(third.forward(std::span(ids).subspan(13)), expected));
}

TEST(Session, FillsTheContextToTheLastToken) {
  const CausalLM model = load("llama-mha");
  Session session(model, {.context = 8, .chunk = 3});
  session.forward(some_ids(8, 128));
  EXPECT_EQ(session.position(), 8u);
  EXPECT_EQ(message_of<ShapeError>([&] { session.forward(some_ids(1, 128)); }),
            "forward: 1 tokens after 8 exceed the context of 8");
}

TEST(Session, TapsEveryModuleUnderItsName) {
  const CausalLM model = load("llama-mha");
  Session session(model);
  std::vector<std::string> names;
  session.set_tap([&](std::string_view name, TensorView<const float, 2> values) {
    EXPECT_EQ(values.extent(0), name == "model.norm" || name == "lm_head" ? 1u : 3u) << name;
    EXPECT_EQ(values.extent(1), name == "lm_head" ? 128u : 32u) << name;
    names.emplace_back(name);
  });
  session.forward(some_ids(3, 128));
  EXPECT_EQ(names, (std::vector<std::string>{"model.embed_tokens", "model.layers.0.self_attn", "model.layers.0.mlp",
                                             "model.layers.0", "model.layers.1.self_attn", "model.layers.1.mlp",
                                             "model.layers.1", "model.norm", "lm_head"}));
  session.set_tap({});
  session.forward(some_ids(3, 128));
  EXPECT_EQ(names.size(), 9u);
}

// Every failure leaves the session as it was: the same next logits, bit for bit.
class FailingForward : public Test {
 protected:
  FailingForward() : session(model, {.context = 40, .chunk = 4}) {
    session.forward(std::span(ids).first(10));
    Session straight(model, {.context = 40});
    straight.forward(std::span(ids).first(10));
    const std::span<const float> logits = straight.forward(std::span(ids).subspan(10));
    expected.assign(logits.begin(), logits.end());
  }
  ~FailingForward() override {
    EXPECT_EQ(session.position(), 10u);
    session.set_tap({});
    EXPECT_TRUE(same_bits(session.forward(std::span(ids).subspan(10)), expected));
  }

  CausalLM model = load("llama-gqa");
  std::vector<TokenId> ids = some_ids(30, 97);
  std::vector<float> expected;
  Session session;
};

TEST_F(FailingForward, NoTokens) {
  EXPECT_EQ(message_of<ShapeError>([&] { session.forward({}); }), "forward: there are no tokens");
  Tensor<float, 2> logits({0, 97});
  EXPECT_EQ(message_of<ShapeError>([&] { session.forward_all({}, logits); }), "forward: there are no tokens");
}

TEST_F(FailingForward, IdsOutsideTheVocabulary) {
  for (const TokenId bad : {-1, 97, std::numeric_limits<TokenId>::min(), std::numeric_limits<TokenId>::max()})
    EXPECT_EQ(message_of<ShapeError>([&] {
                session.forward(std::vector<TokenId>{1, 2, bad});
              }),
              "forward: token id " + std::to_string(bad) + " at index 2 is outside the vocabulary of 97");
}

TEST_F(FailingForward, MoreTokensThanTheContextHasRoomFor) {
  EXPECT_EQ(message_of<ShapeError>([&] { session.forward(some_ids(31, 97)); }),
            "forward: 31 tokens after 10 exceed the context of 40");
}

TEST_F(FailingForward, LogitsOfAnotherShape) {
  Tensor<float, 2> logits({3, 96});
  EXPECT_EQ(message_of<ShapeError>([&] { session.forward_all(some_ids(3, 97), logits); }),
            "forward_all: logits has shape (3, 96), expected (3, 97)");
}

TEST_F(FailingForward, TruncatingToMoreThanThereIs) {
  EXPECT_EQ(message_of<ShapeError>([&] { session.truncate(11); }), "truncate: to 11 tokens, the session has 10");
}

TEST_F(FailingForward, StoppedBeforeItBegins) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(message_of<Cancelled>([&] { session.forward(std::span(ids).subspan(10), stop.get_token()); }),
            "forward: stopped before layer 0");
}

TEST_F(FailingForward, StoppedWithinALongPrompt) {
  std::stop_source stop;
  int embeddings = 0;
  session.set_tap([&](std::string_view name, TensorView<const float, 2>) {
    if (name == "model.embed_tokens") ++embeddings;
    if (embeddings == 3 && name == "model.layers.0") stop.request_stop();
  });
  EXPECT_EQ(message_of<Cancelled>([&] { session.forward(std::span(ids).subspan(10), stop.get_token()); }),
            "forward: stopped before layer 1");
  EXPECT_EQ(embeddings, 3);
  session.set_tap({});
  Tensor<float, 2> logits({20, 97});
  EXPECT_NE(message_of<Cancelled>([&] { session.forward_all(std::span(ids).subspan(10), logits, stop.get_token()); }),
            "no exception");
}

TEST_F(FailingForward, ATapThatThrows) {
  session.set_tap([&](std::string_view name, TensorView<const float, 2>) {
    if (name == "model.layers.1.mlp" && session.position() == 14) throw std::runtime_error("enough");
  });
  EXPECT_THROW(session.forward(std::span(ids).subspan(10)), std::runtime_error);
}

TEST(Session, RefusesOptionsOutOfRange) {
  const CausalLM model = load("llama-mha");
  EXPECT_EQ(message_of<ConfigError>([&] { Session(model, {.context = 257}); }),
            "Session: a context of 257 tokens exceeds the model's 256");
  EXPECT_EQ(message_of<ConfigError>([&] { Session(model, {.chunk = 0}); }),
            "Session: chunk is 0, expected at least one token");
  for (const DType dtype : {DType::i8, DType::f64})
    EXPECT_EQ(message_of<UnsupportedError>([&] { Session(model, {.cache = dtype}); }),
              "key/value cache: element type " + std::string(name(dtype)) + " (f32, f16, bf16 and q8_0 are supported)");
}

TEST(Session, AllocatesNothingPerToken) {
  for (const std::size_t threads : {1u, 2u})
    for (const char* name :
         {"llama-gqa", "llama-bf16", "mistral-window", "bloom", "gemma2", "gpt2", "gpt-neox", "olmo2", "qwen2-moe"})
      for (const DType cache : {DType::f32, DType::f16, DType::bf16}) {
        const CausalLM model = load(name, {.threads = threads});
        Session session(model, {.cache = cache, .chunk = 16});
        const std::vector<TokenId> prompt = some_ids(40, 90);
        session.forward(prompt);
        const std::size_t before = allocations.load();
        ASSERT_GT(before, 0u);
        TokenId id = 3;
        for (int i = 0; i < 80; ++i) {
          const std::span<const float> logits = session.forward(std::span(&id, 1));
          id = static_cast<TokenId>(logits[0] > 0.f ? 5 : 9);
        }
        session.truncate(0);
        session.forward(prompt);
        EXPECT_EQ(allocations.load(), before) << name << ", " << threads << " threads";
      }
}

// Attention takes more threads, and longer caches in more spans, as they fill.
TEST(Session, AllocatesNothingAsTheContextFills) {
  const CheckpointCopy copy("llama-gqa");
  constexpr std::size_t context = 1100;
  static_assert(context > 2 * cpu::attention_span);
  copy.set_config("max_position_embeddings", context);
  for (const std::size_t threads : {1u, 2u, 5u})
    for (const DType cache : {DType::f32, DType::bf16}) {
      const CausalLM model = load_causal_lm(copy.path(), {.threads = threads, .tokenizer = false});
      Session session(model, {.context = context, .cache = cache}), other(model, {.context = context, .cache = cache});
      const TokenId id = 5;
      const std::array<BatchEntry, 2> entries{BatchEntry{&session, std::span(&id, 1)},
                                              BatchEntry{&other, std::span(&id, 1)}};
      session.forward(std::span(&id, 1));
      std::size_t before = allocations.load();
      while (session.position() < context) session.forward(std::span(&id, 1));
      EXPECT_EQ(allocations.load(), before) << threads << " threads, " << name(cache);
      session.truncate(0);
      Batch batch(model, {.sequences = 2, .context = context});
      batch.forward(entries);
      before = allocations.load();
      while (session.position() < context) batch.forward(entries);
      EXPECT_EQ(allocations.load(), before) << threads << " threads, " << name(cache) << ", a batch";
    }
}

/// Counts how often threads are called together and wait for each other.
class CountingExecutor final : public Executor {
 public:
  std::size_t concurrency() const noexcept override { return pool_.concurrency(); }
  void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) override {
    ++runs;
    pool_.run(tasks, task);
  }
  std::size_t runs = 0;

 private:
  ThreadPool pool_{2};
};

TEST(Session, ThreadsMeetAtMostFiveTimesALayer) {
  for (const DType weights : {DType::bf16, DType::q8_0, DType::q4_k}) {
    const auto executor = std::make_shared<CountingExecutor>();
    const CausalLM model =
        load_causal_lm(WEFT_MODELS_DIR "/tales", {.weights = weights, .executor = executor, .tokenizer = false});
    Session session(model, {.context = 512});
    session.forward(some_ids(400, 90));
    const std::size_t layers = model.config().layers;
    const TokenId id = 5;
    executor->runs = 0;
    session.forward(std::span(&id, 1));
    EXPECT_LE(executor->runs, 5 * layers + 1) << name(weights);
    EXPECT_GE(executor->runs, 4 * layers + 1) << name(weights) << ": nothing runs in parallel";
    executor->runs = 0;
    session.forward(some_ids(100, 90));
    EXPECT_LE(executor->runs, 12 * layers + 1) << name(weights) << ", a prompt";
  }
}

/// What the products of a set of kernels read of weights, panel by panel.
struct WeightTraffic {
  static inline std::size_t bytes = 0;
  static inline cpu::I8Weights weights{};

  static void direct(const cpu::TileArgs& args) noexcept {
    bytes += bytes_of(DType::q8_0, args.k) * panel_rows;
    weights.direct(args);
  }
};

TEST(Session, ATokenReadsEveryWeightOnce) {
  cpu::Kernels kernels = cpu::best_kernels();
  WeightTraffic::weights = kernels.i8.weights[0];
  kernels.i8.weights[0].direct = WeightTraffic::direct;
  const CausalLM model = load_causal_lm(
      WEFT_MODELS_DIR "/tales", {.weights = DType::q8_0, .threads = 1, .tokenizer = false, .kernels = &kernels});
  const DecoderConfig& c = model.config();
  const std::size_t multiplied =
      c.layers * (2 * c.query() * c.hidden + 2 * c.key_value() * c.hidden + 3 * c.intermediate * c.hidden) +
      c.vocab * c.hidden;
  Session session(model);
  const TokenId id = 5;
  WeightTraffic::bytes = 0;
  session.forward(std::span(&id, 1));
  EXPECT_EQ(WeightTraffic::bytes, bytes_of(DType::q8_0, multiplied));
  if (kernels.i8.direct_tokens < 2) return;
  // Two sessions of a batch read them once as well.
  Session other(model);
  Batch batch(model, {.sequences = 2});
  WeightTraffic::bytes = 0;
  const std::array<BatchEntry, 2> entries{BatchEntry{&session, std::span(&id, 1)},
                                          BatchEntry{&other, std::span(&id, 1)}};
  batch.forward(entries);
  EXPECT_EQ(WeightTraffic::bytes, bytes_of(DType::q8_0, multiplied));
}

TEST(Batch, AllocatesNothingPerStep) {
  const CausalLM model =
      load_causal_lm(WEFT_MODELS_DIR "/tales", {.weights = DType::q8_0, .threads = 2, .tokenizer = false});
  std::vector<std::unique_ptr<Session>> sessions;
  std::vector<BatchEntry> entries;
  const std::vector<TokenId> prompt = some_ids(40, 90), token{5};
  for (int i = 0; i < 4; ++i) {
    sessions.push_back(std::make_unique<Session>(model, SessionOptions{.context = 128, .cache = DType::q8_0}));
    entries.push_back({sessions.back().get(), prompt});
  }
  Batch batch(model);
  batch.forward(entries);
  const std::size_t before = allocations.load();
  for (BatchEntry& entry : entries) entry.tokens = token;
  for (int step = 0; step < 40; ++step) batch.forward(entries);
  EXPECT_EQ(allocations.load(), before);
}

TEST(Session, ManyShareAModelOnSeveralThreads) {
  const CausalLM model = load("llama-bf16", {.threads = 2});
  const std::vector<TokenId> ids = some_ids(60, 128);
  Session straight(model);
  const auto expected = straight.forward(ids);
  std::vector<std::vector<float>> results(3);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&, i] {
      Session session(model, {.chunk = i + 5});
      const std::span<const float> logits = session.forward(ids);
      results[i].assign(logits.begin(), logits.end());
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& result : results) EXPECT_TRUE(same_bits(result, expected));
}

TEST(Session, AllocatesNothingPerTokenWithAdapters) {
  for (const char* name : {"dora", "saved", "embedding", "experts"}) {
    const CausalLM model = model_of(name);
    const Adapter adapter = load_fixture_adapter(model, name);
    Session session(model, {.context = 64});
    session.set_adapters({{adapter}});
    const std::vector<TokenId> token{3};
    session.forward(some_ids(7, model.config().vocab));
    session.forward(token);
    const std::size_t before = allocations.load();
    for (int i = 0; i < 8; ++i) session.forward(token);
    EXPECT_EQ(allocations.load(), before) << name;
  }
}

}  // namespace
