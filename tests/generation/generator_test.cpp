#include <weft/generation/generator.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <concepts>
#include <iterator>
#include <numeric>
#include <ranges>
#include <stop_token>
#include <thread>
#include <vector>

#include <weft/formats/json.hpp>

#include "../allocations.hpp"
#include "../models/fixtures.hpp"
#include "piece_tokenizer.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

static_assert(std::ranges::input_range<Generation>);
static_assert(std::movable<Generator>);

CausalLM load(std::string_view name, LoadOptions options = {}) {
  if (options.threads == 0) options.threads = 1;
  return load_causal_lm(fixture(name), options);
}

const PieceTokenizer& pieces() {
  static const PieceTokenizer tokenizer;
  return tokenizer;
}
CausalLM model_of_pieces(const CausalLM& model = load("llama-mha")) {
  return with_tokenizer(model, std::make_shared<const PieceTokenizer>());
}

std::vector<TokenId> run(Generation generation) {
  for ([[maybe_unused]] const std::string_view piece : generation) {
  }
  std::vector<TokenId> ids;
  for (const GeneratedToken& token : generation.tokens()) ids.push_back(token.id);
  return ids;
}

std::vector<std::string> pieces_of(Generation generation) {
  std::vector<std::string> result;
  for (const std::string_view piece : generation) result.emplace_back(piece);
  return result;
}
std::string joined(const std::vector<std::string>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::string());
}

// -- Sequences of the caller's.

/// A session that counts what it is asked for.
class CountingSequence final : public TokenSequence {
 public:
  CountingSequence(CausalLM model, std::size_t& calls) : session_(std::move(model)), calls_(calls) {}

  const CausalLM& model() const noexcept override { return session_.model(); }
  std::size_t position() const noexcept override { return session_.position(); }
  std::size_t context() const noexcept override { return session_.context(); }
  void truncate(std::size_t length) override { session_.truncate(length); }
  std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop) override {
    ++calls_;
    return session_.forward(tokens, stop);
  }

 private:
  Session session_;
  std::size_t& calls_;
};

TEST(Generator, WritesWithASequenceOfTheCallers) {
  const Reference reference("llama-mha");
  std::size_t calls = 0;
  Generator generate(
      std::make_unique<CountingSequence>(load("llama-mha", {.threads = 1, .compute = Compute::f32}), calls),
      {.temperature = 0.f});
  EXPECT_EQ(run(generate(reference.prompt(), {.max_new_tokens = 32})), reference.greedy());
  EXPECT_EQ(calls, reference.greedy().size());
  EXPECT_THROW(generate.set_adapters({}), UnsupportedError);
}

// -- Tokens.

TEST(Generator, GreedyIsTheReference) {
  for (const char* name : {"llama-mha", "llama-gqa", "mistral-window", "llama-long"}) {
    const Reference reference(name);
    const std::vector<TokenId> prompt = reference.prompt();
    const CausalLM model = load(name, {.threads = 2, .compute = Compute::f32});
    for (const std::size_t chunk : {1u, 7u, 512u}) {
      Generator generate(model, {.temperature = 0.f}, {.chunk = chunk});
      EXPECT_EQ(run(generate(prompt, {.max_new_tokens = 32})), reference.greedy()) << name << " " << chunk;
    }
  }
}

// Drawn once with these seeds; every compiler, instruction set and number of threads must draw the same.
TEST(Generator, SameSeedSameTokensEverywhere) {
  const std::vector<TokenId> prompt = Reference("llama-mha").prompt();
  const auto draw = [&](const CausalLM& model, const SamplingParams& params) {
    Generator generate(model, params);
    return run(generate(prompt, {.max_new_tokens = 100, .stop_at_eos = false}));
  };
  const auto hash = [](std::span<const TokenId> ids) {
    std::uint64_t value = 0xcbf29ce484222325u;  // FNV-1a with an id in place of a byte
    for (const TokenId id : ids) value = (value ^ static_cast<std::uint64_t>(id)) * 0x100000001b3u;
    return value;
  };
  for (const cpu::Kernels* kernels : all_kernels())
    for (const std::size_t threads : {1u, 2u}) {
      SCOPED_TRACE(detail::concat(kernels->name, ", threads ", threads));
      const CausalLM model = load("llama-mha", {.threads = threads, .compute = Compute::f32, .kernels = kernels});
      const std::vector<TokenId> first = draw(model, {.seed = 7});
      EXPECT_THAT(std::vector<TokenId>(first.begin(), first.begin() + 16),
                  ElementsAre(112, 2, 64, 26, 5, 92, 39, 15, 32, 75, 41, 78, 99, 12, 55, 114));
      EXPECT_EQ(hash(first), 18285448806389464822u);
      EXPECT_EQ(hash(draw(model, {.seed = 8})), 16862904994994474752u);
      EXPECT_EQ(hash(draw(model, {.temperature = 0.8f, .top_p = 0.95f, .seed = 7})), 414246425705797277u);
      EXPECT_EQ(hash(draw(model, {.temperature = 2.5f, .top_k = 20, .seed = 7})), 3851323057257363795u);
      EXPECT_EQ(hash(draw(model, {.temperature = 3.f, .min_p = 0.01f, .repetition_penalty = 1.2f, .seed = 9})),
                4873308423765161165u);
      EXPECT_EQ(hash(draw(model, {.temperature = 0.f})), 4051071279815904794u);
    }
}

TEST(Generator, DifferentSeedsDiffer) {
  const CausalLM model = load("llama-mha");
  const std::vector<TokenId> prompt = some_ids(10, 128);
  std::vector<std::vector<TokenId>> texts;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Generator generate(model, {.temperature = 1.5f, .seed = seed});
    texts.push_back(run(generate(prompt, {.max_new_tokens = 30, .stop_at_eos = false})));
  }
  std::sort(texts.begin(), texts.end());
  EXPECT_EQ(std::adjacent_find(texts.begin(), texts.end()), texts.end());
}

TEST(Generator, LogProbabilitiesAreThoseOfTheModel) {
  const CausalLM model = load("llama-gqa", {.compute = Compute::f32});
  std::vector<TokenId> ids = Reference("llama-gqa").prompt();
  const std::size_t vocab = model.config().vocab;
  for (const SamplingParams& params :
       {SamplingParams{.temperature = 0.f}, SamplingParams{.seed = 3},
        SamplingParams{.temperature = 1.7f, .top_k = 9, .top_p = 0.8f, .repetition_penalty = 1.3f, .seed = 4}}) {
    Generator generate(model, params);
    Generation generation = generate(ids, {.max_new_tokens = 25, .stop_at_eos = false});
    ASSERT_EQ(run(generation).size(), 25u);
    Session session(model);
    std::span<const float> logits = session.forward(ids);
    for (const GeneratedToken& token : generation.tokens()) {
      double sum = 0.0;
      for (std::size_t i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i]));
      const double expected = static_cast<double>(logits[static_cast<std::size_t>(token.id)]) - std::log(sum);
      EXPECT_NEAR(static_cast<double>(token.log_probability), expected, 1e-5);
      logits = session.forward(std::span(&token.id, 1));
    }
  }
}

TEST(Generator, RunsFromIdsWithoutATokenizer) {
  Generator generate(load("llama-mha"));
  const std::vector<TokenId> prompt = some_ids(4, 128);
  Generation generation = generate(prompt, {.max_new_tokens = 5, .stop_at_eos = false});
  EXPECT_TRUE(pieces_of(generation).empty());
  EXPECT_EQ(generation.tokens().size(), 5u);
  EXPECT_EQ(generation.finish_reason(), FinishReason::max_tokens);
  EXPECT_THROW(generate("a prompt"), TokenizerError);
  EXPECT_THROW(generate.text("a prompt"), TokenizerError);
  EXPECT_THAT(message_of<TokenizerError>([&] { generate(prompt, {.stop = {"x"}}); }), HasSubstr("stop strings"));
}

// -- Ends.

TEST(Generator, EndsAfterTheNumberOfTokens) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().bytes("abcdef")));
  for (const std::size_t count : {0u, 1u, 5u}) {
    Generation generation = generate("x", {.max_new_tokens = count});
    EXPECT_EQ(joined(pieces_of(generation)), std::string("abcdef").substr(0, count));
    EXPECT_EQ(generation.tokens().size(), count);
    EXPECT_EQ(generation.finish_reason(), FinishReason::max_tokens);
    EXPECT_EQ(name(generation.finish_reason()), "max_tokens");
  }
}

TEST(Generator, EndsAtAnyEosToken) {
  const CausalLM model = load("llama-mha");
  CausalLM two_ends({.model_type = "llama",
                     .source = "a fixture",
                     .config = model.config(),
                     .weights = model.weights(),
                     .generation = {.eos = {2, pieces().id_of(".").value()}, .bos = 1},
                     .tokenizer = std::make_shared<const PieceTokenizer>()});
  for (const char* last : {"</s>", "."}) {
    Generator generate(two_ends, {}, {}, saying(pieces().ids({"a", "b", last, "c"})));
    Generation generation = generate("x");
    EXPECT_EQ(joined(pieces_of(generation)), "ab");
    EXPECT_EQ(generation.finish_reason(), FinishReason::eos);
    ASSERT_EQ(generation.tokens().size(), 3u);
    EXPECT_EQ(generation.tokens()[2].id, pieces().id_of(last).value());
    Generation on = generate("x", {.max_new_tokens = 5, .stop_at_eos = false});
    EXPECT_EQ(joined(pieces_of(on)), last[0] == '.' ? "ab.cc" : "abcc");
    EXPECT_EQ(on.finish_reason(), FinishReason::max_tokens);
  }
}

TEST(Generator, EndsWhereTheContextIsFull) {
  Generator generate(model_of_pieces(), {}, {.context = 10}, saying(pieces().bytes("abcdefghijklmnopqrstuvwxyz")));
  Generation generation = generate("123", {.max_new_tokens = 100});  // 4 tokens with BOS
  // The token that the last position predicts is still there.
  EXPECT_EQ(joined(pieces_of(generation)), "abcdefg");
  EXPECT_EQ(generation.finish_reason(), FinishReason::context);
  Generation full = generate("123456789", {.max_new_tokens = 100});
  EXPECT_EQ(joined(pieces_of(full)), "a");
  EXPECT_EQ(full.finish_reason(), FinishReason::context);
  EXPECT_EQ(message_of<ConfigError>([&] { generate("1234567890"); }),
            "generate: the prompt has 11 tokens, the context holds 10");
}

TEST(Generator, EndsBeforeAStopStringAcrossTokens) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().ids({"a", " the", " ", "The end", ".", "b"})));
  const auto text = [&](std::vector<std::string> stop, FinishReason reason) {
    Generation generation = generate("x", {.max_new_tokens = 7, .stop = std::move(stop)});
    const std::string result = joined(pieces_of(generation));
    EXPECT_EQ(generation.finish_reason(), reason) << result;
    return result;
  };
  EXPECT_EQ(text({"end."}, FinishReason::stop_string), "a the The ");
  EXPECT_EQ(text({"e T"}, FinishReason::stop_string), "a th");
  EXPECT_EQ(text({"a"}, FinishReason::stop_string), "");
  EXPECT_EQ(text({"zzz", ".b", " the The"}, FinishReason::stop_string), "a");
  EXPECT_EQ(text({"bbz"}, FinishReason::max_tokens), "a the The end.bb");
  EXPECT_EQ(text({"x"}, FinishReason::max_tokens), "a the The end.bb");  // the prompt is not searched
  EXPECT_EQ(message_of<ConfigError>([&] {
              generate("x", {.stop = {"a", ""}});
            }),
            "stop string 1 is empty, expected at least one byte");
}

// What may be the beginning of a stop string is shown when the text ends otherwise.
TEST(Generator, ShowsWhatWasHeldBack) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().ids({"a", "b", "c", "</s>"})));
  Generation generation = generate("x", {.stop = {"bcd"}});
  EXPECT_THAT(pieces_of(generation), ElementsAre("a", "bc"));
  EXPECT_EQ(generation.finish_reason(), FinishReason::eos);
}

// -- Pieces.

TEST(Generator, PiecesNeverSplitACharacter) {
  const std::string text = "a\xed\x95\x9c b\xea\xb8\x80\xf0\x9f\x99\x82\xc3\xa9\xe2\x80\x9cz";  // a한 b글🙂é“z
  for (const std::vector<std::string>& stop : {std::vector<std::string>{}, {"zz", "\xf0\x9f\x99\x83"}}) {
    Generator generate(model_of_pieces(), {}, {}, saying(pieces().bytes(text)));
    const std::vector<std::string> parts = pieces_of(generate("x", {.max_new_tokens = text.size(), .stop = stop}));
    for (const std::string& part : parts) {
      EXPECT_TRUE(is_utf8(part)) << part;
      EXPECT_FALSE(part.empty());
    }
    EXPECT_EQ(joined(parts), text);
    if (stop.empty()) {
      EXPECT_EQ(parts.size(), 9u);
    }
  }
}

// Bytes that are no character become U+FFFD each, as they do when all is decoded at once.
TEST(Generator, RepairsWhatIsNoText) {
  for (const std::string text : {"a\xff\x80z", "a\xed\x95", "\xf0\x9f\x99", "\xed\x95z", "\xc3\xc3\xa9"}) {
    const std::vector<TokenId> ids = pieces().bytes(text);
    Generator generate(model_of_pieces(), {}, {}, saying(ids));
    const std::vector<std::string> parts = pieces_of(generate("x", {.max_new_tokens = ids.size()}));
    for (const std::string& part : parts) EXPECT_TRUE(is_utf8(part));
    EXPECT_EQ(joined(parts), pieces().decode(ids));
  }
}

// Embedding tables are often padded past the vocabulary of the tokenizer.
TEST(Generator, TokensBeyondTheTokenizerHaveNoText) {
  const CausalLM model = model_of_pieces(load("llama-tied"));
  ASSERT_GT(model.config().vocab, pieces().vocab_size());
  const TokenId a = pieces().id_of("a").value();
  const TokenId b = pieces().id_of("b").value();
  Generator generate(model, {}, {}, saying({a, 150, 159, b}));
  Generation generation = generate(std::vector<TokenId>{1, 150, a}, {.max_new_tokens = 4});
  EXPECT_THAT(pieces_of(generation), ElementsAre("a", "b"));
  EXPECT_EQ(generation.tokens().size(), 4u);
}

TEST(Generator, TextIsThePiecesJoined) {
  Generator generate(model_of_pieces(), {.temperature = 2.f, .seed = 5});
  const GenerateOptions options{.max_new_tokens = 60, .stop_at_eos = false};
  const std::string text = generate.text("abc", options);
  EXPECT_TRUE(is_utf8(text));
  EXPECT_FALSE(text.empty());
  EXPECT_EQ(joined(pieces_of(generate("abc", options))), text);
  // From the ids of the prompt as well.
  const std::vector<TokenId> ids = pieces().encode("abc");
  EXPECT_EQ(joined(pieces_of(generate(ids, options))), text);
}

TEST(Generator, FinishesTheCharacterThatThePromptBegan) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().ids({"\x9c. ", "a"})));
  const std::vector<TokenId> prompt = pieces().ids({"b", "\xed\x95"});
  EXPECT_THAT(pieces_of(generate(prompt, {.max_new_tokens = 2})), ElementsAre("\xed\x95\x9c. ", "a"));
}

TEST(Generator, EncodesThePromptAsAskedTo) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().bytes("a")));
  const auto prompt_tokens = [&](const GenerateOptions& options) {
    Generation generation = generate("b</s>", options);
    run(generation);
    return generation.timings().prompt_tokens;
  };
  EXPECT_EQ(prompt_tokens({.max_new_tokens = 1}), 3u);
  EXPECT_EQ(prompt_tokens({.max_new_tokens = 1, .add_special_tokens = false}), 2u);
  EXPECT_EQ(prompt_tokens({.max_new_tokens = 1, .parse_special_tokens = false}), 6u);
}

// -- Stopping and starting.

TEST(Generator, CanBeCancelled) {
  Generator generate(model_of_pieces(), {}, {.chunk = 4}, saying(pieces().bytes("abcdefgh")));
  std::stop_source before;
  before.request_stop();
  Generation none = generate("x", {.cancel = before.get_token()});
  EXPECT_TRUE(pieces_of(none).empty());
  EXPECT_EQ(none.finish_reason(), FinishReason::cancelled);
  EXPECT_EQ(none.tokens().size(), 0u);

  std::stop_source middle;
  Generation some = generate("x", {.cancel = middle.get_token()});
  std::string text;
  for (const std::string_view piece : some) {
    text += piece;
    if (text == "abc") middle.request_stop();
  }
  EXPECT_EQ(text, "abc");
  EXPECT_EQ(some.finish_reason(), FinishReason::cancelled);
  EXPECT_EQ(some.tokens().size(), 3u);

  EXPECT_EQ(generate.text("x", {.max_new_tokens = 4}), "abcd");
}

// An executor that asks for the end after some work, as another thread would in the middle of a long prompt.
class StoppingExecutor final : public Executor {
 public:
  std::size_t concurrency() const noexcept override { return 2; }
  void run(std::size_t tasks, FunctionRef<void(std::size_t)> task) override {
    if (++runs == stop_at) stop.request_stop();
    for (std::size_t i = 0; i < tasks; ++i) task(i);
  }
  std::stop_source stop;
  int runs = 0;
  int stop_at = 0;
};

TEST(Generator, CanBeCancelledWithinAPrompt) {
  const auto executor = std::make_shared<StoppingExecutor>();
  const CausalLM model = load("llama-mha", {.executor = executor});
  const std::vector<TokenId> prompt = some_ids(200, 128);
  Generator generate(model, {.temperature = 0.f}, {.chunk = 40});
  run(generate(prompt, {.max_new_tokens = 1}));
  const int whole = executor->runs;
  ASSERT_GT(whole, 10);
  executor->runs = 0;
  executor->stop_at = whole / 2;
  Generation generation = generate(prompt, {.cancel = executor->stop.get_token()});
  EXPECT_TRUE(run(generation).empty());
  EXPECT_EQ(generation.finish_reason(), FinishReason::cancelled);
  EXPECT_LT(executor->runs, whole);
}

TEST(Generator, MayBeLeftAndStartedAgain) {
  Generator generate(model_of_pieces(), {.temperature = 1.5f, .seed = 11});
  const GenerateOptions options{.max_new_tokens = 40, .stop_at_eos = false};
  const std::vector<TokenId> expected = run(generate("abc", options));
  int left = 3;
  for ([[maybe_unused]] const std::string_view piece : generate("something else", {.stop = {"qqq"}}))
    if (--left == 0) break;
  EXPECT_EQ(run(generate("abc", options)), expected);
  generate("never run");
  EXPECT_EQ(run(generate("abc", options)), expected);
}

// Leaving the loop keeps the place: iterating the same Generation again goes on.
TEST(Generator, IteratingAgainGoesOn) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().bytes("abcdef")));
  Generation generation = generate("x", {.max_new_tokens = 6});
  std::string text;
  for (const std::string_view piece : generation) {
    text += piece;
    if (text == "abc") break;
  }
  for (const std::string_view piece : generation) text += piece;
  EXPECT_EQ(text, "abcdef");
  EXPECT_TRUE(pieces_of(generation).empty());
}

TEST(Generator, Moves) {
  Generator first(model_of_pieces(), {}, {}, saying(pieces().bytes("abc")));
  Generation generation = first("x", {.max_new_tokens = 3});
  Generator second(std::move(first));
  EXPECT_EQ(joined(pieces_of(generation)), "abc");
  first = std::move(second);
  EXPECT_EQ(first.text("x", {.max_new_tokens = 2}), "ab");
  EXPECT_EQ(first.model().config().vocab, 128u);
}

TEST(Generator, TellsHowLongItTook) {
  Generator generate(model_of_pieces(), {}, {}, saying(pieces().bytes("abc")));
  Generation generation = generate("xyz", {.max_new_tokens = 20});
  run(generation);
  const GenerationTimings& timings = generation.timings();
  EXPECT_EQ(timings.prompt_tokens, 4u);
  EXPECT_GT(timings.prompt_seconds, 0.0);
  EXPECT_GE(timings.first_token_seconds, timings.prompt_seconds);
  EXPECT_GT(timings.generation_seconds, 0.0);
  EXPECT_LT(timings.generation_seconds, 60.0);
}

// -- Bad input.

TEST(Generator, RefusesSamplingParametersOutOfRange) {
  const CausalLM model = load("llama-mha");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const auto message = [&](const SamplingParams& params) {
    return message_of<ConfigError>([&] { Generator(model, params); });
  };
  for (const float bad : {-0.1f, -infinity, infinity, nan})
    EXPECT_THAT(message({.temperature = bad}), HasSubstr("temperature is ")) << bad;
  for (const float bad : {0.f, -0.5f, 1.0001f, infinity, nan})
    EXPECT_THAT(message({.top_p = bad}), HasSubstr("top_p is ")) << bad;
  for (const float bad : {-0.1f, 1.f, nan}) EXPECT_THAT(message({.min_p = bad}), HasSubstr("min_p is ")) << bad;
  for (const float bad : {0.f, -1.f, nan})
    EXPECT_THAT(message({.repetition_penalty = bad}), HasSubstr("repetition_penalty")) << bad;
}

TEST(Generator, RefusesSessionOptionsOutOfRange) {
  const CausalLM model = load("llama-mha");
  EXPECT_THAT(message_of<ConfigError>([&] { Generator(model, {}, {.context = 257}); }),
              HasSubstr("exceeds the model's"));
  EXPECT_THAT(message_of<ConfigError>([&] { Generator(model, {}, {.chunk = 0}); }), HasSubstr("chunk is 0"));
  EXPECT_THAT(message_of<UnsupportedError>([&] { Generator(model, {}, {.cache = DType::i8}); }), HasSubstr("i8"));
}

TEST(Generator, RefusesNoSequence) {
  EXPECT_THAT(message_of<ConfigError>([] { Generator(std::unique_ptr<TokenSequence>()); }), HasSubstr("null pointer"));
}

TEST(Generator, RefusesBadPrompts) {
  Generator generate(model_of_pieces(), {.temperature = 1.2f, .seed = 2}, {.context = 50});
  const GenerateOptions options{.max_new_tokens = 20, .stop_at_eos = false};
  const std::vector<TokenId> expected = run(generate("abc", options));
  EXPECT_EQ(message_of<ConfigError>([&] { generate(""); }), "generate: the prompt is empty");
  EXPECT_EQ(message_of<ConfigError>([&] { generate(std::span<const TokenId>()); }), "generate: the prompt is empty");
  EXPECT_EQ(message_of<ConfigError>([&] { generate(some_ids(51, 128)); }),
            "generate: the prompt has 51 tokens, the context holds 50");
  for (const TokenId bad : {-1, 128, std::numeric_limits<TokenId>::max()})
    EXPECT_EQ(message_of<ShapeError>([&] {
                generate(std::vector<TokenId>{1, bad});
              }),
              "generate: token id " + std::to_string(bad) + " at index 1 is outside the vocabulary of 128");
  EXPECT_EQ(message_of<ShapeError>([&] { generate(std::vector<TokenId>{1}, {.forced_bos = 128}); }),
            "generate: forced_bos: token id 128 at index 0 is outside the vocabulary of 128");
  EXPECT_EQ(run(generate("abc", options)), expected);
}

TEST(Generator, LogitsThatAreNoNumbersAreAnErrorEachTime) {
  const CheckpointCopy copy;
  copy.edit_tensors([](CheckpointCopy::Tensors& tensors) {
    AnyTensor& head = find_tensor(tensors, "lm_head.weight");
    head = with_element(head, 32 * 77, std::numeric_limits<float>::quiet_NaN());
  });
  const CausalLM model = model_of_pieces(copy.load());
  for (const float temperature : {0.f, 1.f}) {
    Generator generate(model, {.temperature = temperature});
    Generation generation = generate("abc");
    for (int attempt = 0; attempt < 2; ++attempt)
      EXPECT_THAT(message_of<NumericError>([&] { run(generation); }),
                  AllOf(HasSubstr("logit[77] is "), HasSubstr("nan")));
    EXPECT_TRUE(generation.tokens().empty());
    EXPECT_THROW(generate.text("abc"), NumericError);
  }
}

// -- Cost and sharing.

TEST(Generator, AllocatesNothingAfterTheFirstToken) {
  for (const std::size_t threads : {1u, 2u})
    for (const SamplingParams& params : {SamplingParams{.temperature = 0.f}, SamplingParams{.seed = 3},
                                         SamplingParams{.temperature = 1.5f,
                                         .top_k = 40,
                                         .top_p = 0.9f,
                                         .min_p = 0.01f,
                                         .repetition_penalty = 1.1f,
                                         .seed = 3}}) {
      const CausalLM fixture_model = load("llama-mha", {.threads = threads});
      const CausalLM model = with_tokenizer(fixture_model, std::make_shared<const PieceTokenizer>());
      Generator generate(model, params);
      std::size_t after_first = 0;
      std::size_t after_last = 0;
      std::size_t count = 0;
      Generation generation = generate("abc", {.max_new_tokens = 200, .stop = {"never seen"}, .stop_at_eos = false});
      for ([[maybe_unused]] const std::string_view piece : generation) {
        after_last = allocations.load();
        if (count++ == 0) after_first = after_last;
      }
      ASSERT_EQ(generation.tokens().size(), 200u);
      ASSERT_GT(count, 10u);
      EXPECT_GT(after_first, 0u);
      EXPECT_EQ(after_last, after_first) << threads << " threads, temperature " << params.temperature;

      Generator from_ids(fixture_model, params);
      const std::vector<TokenId> prompt = some_ids(20, 128);
      run(from_ids(prompt, {.max_new_tokens = 100, .stop_at_eos = false}));
      Generation silent = from_ids(prompt, {.max_new_tokens = 100, .stop_at_eos = false});
      const std::size_t before = allocations.load();
      for ([[maybe_unused]] const std::string_view piece : silent) {
      }
      EXPECT_EQ(allocations.load(), before);
    }
}

TEST(Generator, TwoOnTwoThreadsShareAModel) {
  const CausalLM model = load("llama-bf16", {.threads = 2});
  const std::vector<TokenId> prompt = some_ids(40, 128);
  const auto text = [&](std::uint64_t seed) {
    Generator generate(model, {.seed = seed});
    return run(generate(prompt, {.max_new_tokens = 60, .stop_at_eos = false}));
  };
  const std::vector<std::vector<TokenId>> expected{text(0), text(1)};
  std::vector<std::vector<TokenId>> found(2);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < 2; ++i) threads.emplace_back([&, i] { found[i] = text(i); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(found, expected);
}

// -- The model that ships.

class Tales : public testing::Test {
 protected:
  static std::filesystem::path directory() { return std::filesystem::path(WEFT_MODELS_DIR) / "tales"; }
  static std::filesystem::path greedy_file() {
    return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "tales" / "greedy.json";
  }
  static std::vector<TokenId> ids_of(const Json& array) {
    std::vector<TokenId> ids;
    for (const Json& id : array.as_array()) ids.push_back(static_cast<TokenId>(id.as_int()));
    return ids;
  }
};

TEST_F(Tales, GreedyTextIsTheReference) {
  const Json cases = parse_json_file(greedy_file().string()).at("cases");
  ASSERT_GE(cases.size(), 3u);
  for (const std::size_t threads : {1u, 2u}) {
    const CausalLM model = load_causal_lm(directory(), {.threads = threads, .compute = Compute::f32});
    Generator generate(model, {.temperature = 0.f});
    for (const Json& entry : cases.as_array()) {
      const std::string prompt(entry.at("prompt").as_string());
      SCOPED_TRACE(prompt);
      const std::vector<TokenId> input = ids_of(entry.at("input_ids"));
      const std::vector<TokenId> expected = ids_of(entry.at("greedy_ids"));
      ASSERT_EQ(expected.size(), 200u);
      EXPECT_EQ(model.tokenizer().encode(prompt), input);
      Generation generation = generate(prompt, {.max_new_tokens = 200});
      const std::string text = joined(pieces_of(generation));
      std::vector<TokenId> found;
      for (const GeneratedToken& token : generation.tokens()) found.push_back(token.id);
      EXPECT_EQ(found, expected);
      // The reference decodes the new tokens by themselves, which takes a leading space away.
      EXPECT_EQ(model.tokenizer().decode(expected), entry.at("text").as_string());
      std::vector<TokenId> all = input;
      all.insert(all.end(), expected.begin(), expected.end());
      EXPECT_EQ(model.tokenizer().decode(input) + text, model.tokenizer().decode(all));
      EXPECT_EQ(generate.text(prompt, {.max_new_tokens = 200}), text);
    }
  }
}

TEST_F(Tales, ContinuesAnyPromptInWholeCharacters) {
  const CausalLM model = load_causal_lm(directory());
  Generator generate(model, {.temperature = 1.5f, .seed = 1});
  for (const char* prompt : {"Once upon a time", "\xed\x95\x9c\xea\xb8\x80 \xf0\x9f\x99\x82", " ", "\n", "</s>"}) {
    std::string text;
    for (const std::string_view piece : generate(prompt, {.max_new_tokens = 40, .stop_at_eos = false})) {
      EXPECT_TRUE(is_utf8(piece)) << piece;
      text += piece;
    }
    EXPECT_FALSE(text.empty()) << prompt;
  }
}

}  // namespace
