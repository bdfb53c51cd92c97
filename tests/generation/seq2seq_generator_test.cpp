#include <weft/generation/seq2seq_generator.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <concepts>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "../models/seq2seq_fixtures.hpp"
#include "piece_tokenizer.hpp"

namespace {

using namespace weft;
using namespace weft_tests;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

static_assert(std::movable<Seq2SeqGenerator>);

Seq2Seq load(std::string_view name, LoadOptions options = {}) {
  if (options.threads == 0) options.threads = 1;
  return load_seq2seq(seq2seq_fixture(name), options);
}

std::vector<TokenId> run(Generation generation) {
  for ([[maybe_unused]] const std::string_view piece : generation) {
  }
  std::vector<TokenId> ids;
  for (const GeneratedToken& token : generation.tokens()) ids.push_back(token.id);
  return ids;
}

std::span<const TokenId> ids_of(const std::vector<TokenId>& ids) { return ids; }

class Seq2SeqTexts : public ::testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Fixtures, Seq2SeqTexts, ::testing::ValuesIn(seq2seq_fixture_names()),
                         [](const auto& name_of) { return test_name(name_of.param); });

// Forced first and last tokens, banned words and ends included.
TEST_P(Seq2SeqTexts, GreedyTextsAreTheReferences) {
  const Seq2SeqReference reference(GetParam());
  Seq2SeqGenerator generate(load(GetParam(), {.compute = Compute::f32}), {.temperature = 0.f}, {.context = 32});
  for (std::size_t i = 0; i < reference.sources.size(); ++i)
    EXPECT_EQ(run(generate(ids_of(reference.sources[i]), {.max_new_tokens = 12})), reference.texts[i]) << i;
}

/// A sequence that encodes sources itself, as one on a device.
class OwnSequence final : public TokenSequence {
 public:
  explicit OwnSequence(const Seq2Seq& model) : encoder_(model), session_(model.decoder(), {.context = 32}) {}

  const CausalLM& model() const noexcept override { return session_.model(); }
  std::size_t position() const noexcept override { return session_.position(); }
  std::size_t context() const noexcept override { return session_.context(); }
  void truncate(std::size_t length) override { session_.truncate(length); }
  std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop = {}) override {
    return session_.forward(tokens, std::move(stop));
  }
  using TokenSequence::attend_to;
  void attend_to(std::span<const TokenId> source, const std::stop_token& stop) override {
    session_.attend_to(encoder_.encode(source, stop));
  }

 private:
  SourceEncoder encoder_;
  Session session_;
};

TEST(Seq2SeqGenerator, WritesWithASequenceOfTheCallers) {
  const Seq2SeqReference reference("bart");
  const Seq2Seq model = load("bart", {.compute = Compute::f32});
  Seq2SeqGenerator generate(model, std::make_unique<OwnSequence>(model), {.temperature = 0.f});
  EXPECT_EQ(run(generate(ids_of(reference.sources[0]), {.max_new_tokens = 12})), reference.texts[0]);
  EXPECT_THROW(generate(EncodedSource(), {}), UnsupportedError);
  Session session(model.decoder(), {.context = 32});
  EXPECT_THROW(session.attend_to(ids_of(reference.sources[0]), {}), UnsupportedError);
}

TEST_P(Seq2SeqTexts, TheSeedDecidesWhateverTheThreads) {
  const Seq2SeqReference reference(GetParam());
  std::vector<TokenId> first;
  for (const std::size_t threads : {1u, 3u}) {
    Seq2SeqGenerator generate(load(GetParam(), {.threads = threads}), {.temperature = 1.5f, .seed = 3});
    for (int again = 0; again < 2; ++again) {
      const std::vector<TokenId> ids = run(generate(ids_of(reference.sources[0]), {.max_new_tokens = 20}));
      if (first.empty()) first = ids;
      EXPECT_EQ(ids, first);
    }
  }
  EXPECT_NE(first, reference.texts[0]);
}

TEST(Seq2SeqGenerator, EncodedSourcesAreReadAgain) {
  const Seq2SeqReference reference("bart");
  const Seq2Seq model = load("bart");
  SourceEncoder encode(model);
  const EncodedSource source = encode.encode(reference.sources[0]);
  Seq2SeqGenerator generate(model, {.temperature = 0.f});
  for (int again = 0; again < 2; ++again) EXPECT_EQ(run(generate(source, {.max_new_tokens = 12})), reference.texts[0]);
}

TEST(Seq2SeqGenerator, TheCallerMayForceOtherTokens) {
  const Seq2SeqReference reference("mbart");
  Seq2SeqGenerator generate(load("mbart"), {.temperature = 0.f});
  const auto text = [&](GenerateOptions options) {
    options.max_new_tokens = 6;
    return run(generate(ids_of(reference.sources[0]), options));
  };
  EXPECT_EQ(text({})[0], 40);
  EXPECT_EQ(text({}).back(), 2);
  EXPECT_EQ(text({.forced_bos = 7})[0], 7);
  for (const TokenId outside : {-1, 1 << 30}) EXPECT_THROW(text({.forced_bos = outside}), ShapeError);
  EXPECT_NE(text({.decoder_start = 7}), text({}));
}

TEST(Seq2SeqGenerator, ForcedTokensHaveTheirOwnProbability) {
  const Seq2SeqReference reference("mbart");
  const Seq2Seq model = load("mbart");
  Seq2SeqGenerator generate(model, {.temperature = 0.f});
  Generation generation = generate(ids_of(reference.sources[0]), {.max_new_tokens = 1, .forced_bos = 7});
  run(generation);
  Session session(model.decoder());
  session.attend_to(SourceEncoder(model).encode(reference.sources[0]));
  const std::vector<TokenId> start{2};
  double sum = 0.0;
  const std::span<const float> logits = session.forward(start);
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  EXPECT_NEAR(generation.tokens()[0].log_probability, static_cast<double>(logits[7]) - std::log(sum), 1e-4);
}

TEST(Seq2SeqGenerator, BannedWordsNeverOccur) {
  Seq2SeqGenerator generate(load("marian"), {.temperature = 5.f, .seed = 1});
  const Seq2SeqReference reference("marian");
  const std::vector<TokenId> ids =
      run(generate(ids_of(reference.sources[0]), {.max_new_tokens = 30, .stop_at_eos = false}));
  EXPECT_THAT(ids, ::testing::Not(::testing::Contains(47)));
  for (std::size_t i = 1; i < ids.size(); ++i) EXPECT_FALSE(ids[i - 1] == 5 && ids[i] == 6);
}

TEST(Seq2SeqGenerator, SaysWhatIsMissing) {
  const Seq2SeqCopy copy("t5");
  copy.edit_json("generation_config.json", [](nlohmann::json& json) { json.erase("decoder_start_token_id"); });
  copy.edit_config([](nlohmann::json& json) { json.erase("decoder_start_token_id"); });
  Seq2SeqGenerator generate(copy.load());
  const std::vector<TokenId> source{5, 1};
  EXPECT_EQ(message_of<ConfigError>([&] { generate(ids_of(source)); }),
            copy.path().string() + ": nothing says which token a text begins with (decoder_start_token_id)");
  EXPECT_EQ(run(generate(ids_of(source), {.max_new_tokens = 1, .decoder_start = 0})).size(), 1u);
  EXPECT_THROW(generate("some text", {.decoder_start = 0}), TokenizerError);
  EXPECT_THROW(generate(std::span<const TokenId>(), {.decoder_start = 0}), ShapeError);
  EXPECT_THROW(generate(ids_of(source), {.decoder_start = 48}), ShapeError);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(generate(ids_of(source), {.decoder_start = 0, .cancel = stop.get_token()}), Cancelled);
}

}  // namespace
