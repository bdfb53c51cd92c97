#include <weft/sampling/chain.hpp>

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>
#include <thread>
#include <vector>

#include <weft/core/half.hpp>

#include "../allocations.hpp"
#include "reference.hpp"

namespace {

using namespace weft;
using namespace weft_tests;

static_assert(LogitsProcessor<LogitsChain>);

std::vector<TokenId> draw_ids(Sampler& sampler, std::span<const float> logits, int count) {
  std::vector<TokenId> ids;
  for (int i = 0; i < count; ++i) ids.push_back(sampler(logits).id);
  return ids;
}

TEST(LogitsChain, RunsInOrder) {
  LogitsChain chain;
  EXPECT_TRUE(chain.empty());
  chain.add(Temperature(0.5f)).add([](std::span<float> logits, std::span<const TokenId>) { logits[0] += 1.f; });
  EXPECT_EQ(chain.size(), 2u);
  std::vector<float> logits{3.f, 1.f};
  chain(logits, {});
  EXPECT_EQ(logits, (std::vector<float>{7.f, 2.f}));
}

TEST(LogitsChain, OfTheProcessorsKeepsWhatTheSamplerKeeps) {
  Philox rng(51);
  const std::vector<float> logits = random_logits(rng, 200, 5.f);
  LogitsChain chain;
  chain.add(Temperature(1.5f)).add(TopK(50)).add(TopP(0.8f)).add(MinP(0.1f));
  std::vector<float> masked = logits;
  chain(masked, {});
  Sampler sampler({.temperature = 1.5f, .top_k = 50, .top_p = 0.8f, .min_p = 0.1f}, logits.size());
  std::vector<bool> drawn(logits.size(), false);
  for (int i = 0; i < 20000; ++i) drawn[static_cast<std::size_t>(sampler(logits).id)] = true;
  for (std::size_t i = 0; i < logits.size(); ++i) EXPECT_EQ(drawn[i], masked[i] != -infinity) << i;
}

TEST(Sampler, GreedyTakesTheLargestAndDrawsNothing) {
  Philox rng(52);
  for (const SamplingParams& params :
       {SamplingParams{.temperature = 0.f}, SamplingParams{.temperature = 2.f, .top_k = 1},
        SamplingParams{.top_p = std::numeric_limits<float>::denorm_min()}}) {
    for (int round = 0; round < 200; ++round) {
      std::vector<float> logits = random_logits(rng, 1 + rng() % 200);
      logits[rng() % logits.size()] = logits[rng() % logits.size()] = 9.f;
      Sampler sampler(params, logits.size());
      const Sampler::Draw draw = sampler(logits);
      ASSERT_EQ(draw.id, std::ranges::max_element(logits) - logits.begin());
      ASSERT_EQ(draw.probability, 1.f);
    }
  }
}

TEST(Sampler, LogProbabilityIsTheLogSoftmaxOfTheLogitsPassedIn) {
  Philox rng(53);
  const std::vector<float> logits = random_logits(rng, 1000, 10.f);
  const std::vector<double> p = softmax(logits);
  std::vector<TokenId> history{3, 4};
  for (const SamplingParams& params :
       {SamplingParams{}, SamplingParams{.temperature = 0.f}, SamplingParams{.temperature = 3.f},
        SamplingParams{.top_k = 20}, SamplingParams{.top_p = 0.5f}, SamplingParams{.repetition_penalty = 1.5f}}) {
    Sampler sampler(params, logits.size());
    for (int i = 0; i < 50; ++i) {
      const Sampler::Draw draw = sampler(logits, history);
      ASSERT_NEAR(draw.log_probability, std::log(p[static_cast<std::size_t>(draw.id)]), 2e-6);
    }
  }
}

TEST(Sampler, ProbabilityIsThatOfTheDistributionDrawnFrom) {
  Philox rng(54);
  const std::vector<float> logits = random_logits(rng, 300, 5.f);
  const std::vector<double> p = renormalised(softmax(logits, 0.7), kept_by_top_k(logits, 30));
  Sampler sampler({.temperature = 0.7f, .top_k = 30}, logits.size());
  for (int i = 0; i < 100; ++i) {
    const Sampler::Draw draw = sampler(logits);
    ASSERT_NEAR(draw.probability, p[static_cast<std::size_t>(draw.id)], 1e-6);
  }
}

TEST(Sampler, FollowsTheDistribution) {
  Philox rng(55);
  const std::vector<float> logits = random_logits(rng, 120, 4.f);
  const std::vector<SamplingParams> cases{{},
                                          {.temperature = 0.5f},
                                          {.temperature = 2.f},
                                          {.top_k = 10},
                                          {.top_p = 0.7f},
                                          {.min_p = 0.2f},
                                          {.temperature = 1.3f, .top_k = 60, .top_p = 0.8f, .min_p = 0.05f}};
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const SamplingParams& params = cases[c];
    std::vector<double> p = softmax(logits, static_cast<double>(params.temperature));
    if (params.top_k != 0) p = renormalised(p, kept_by_top_k(logits, params.top_k));
    std::vector<bool> kept(p.size(), false);
    double before = 0;
    for (const std::size_t i : descending(as_floats(p))) {
      kept[i] = before <= static_cast<double>(params.top_p);
      before += p[i];
    }
    p = renormalised(p, kept);
    const double max = *std::ranges::max_element(p);
    for (std::size_t i = 0; i < p.size(); ++i) kept[i] = p[i] >= static_cast<double>(params.min_p) * max;
    p = renormalised(p, kept);
    Sampler sampler(params, logits.size());
    const auto counts = tally(p.size(), 40000, [&] { return sampler(logits).id; });
    const ChiSquare test = chi_square(counts, p);
    EXPECT_LT(test.statistic, test.threshold) << "case " << c;
    EXPECT_FALSE(test.impossible) << "case " << c;
  }
}

TEST(Sampler, AgreesWithTheFreeFunctions) {
  Philox logits_rng(56);
  const std::vector<float> logits = random_logits(logits_rng, 500, 6.f);
  std::vector<float> weights(logits.size());
  const float max = *std::ranges::max_element(logits);
  cpu::best_sampling_kernels().weigh(logits.data(), logits.size(), max, 1.f, weights.data());
  Philox a(99);
  Philox b(99);
  Philox c(99);
  Sampler plain({.seed = 99}, logits.size());
  Sampler top_p({.top_p = 0.6f, .seed = 99}, logits.size());
  Sampler top_k({.top_k = 25, .seed = 99}, logits.size());
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(plain(logits).id, sample_categorical(weights, a));
    ASSERT_EQ(top_p(logits).id, sample_top_p(weights, 0.6f, b));
    ASSERT_EQ(top_k(logits).id, sample_top_k(weights, 25, c));
  }
}

TEST(Sampler, PenaltiesSeeTheHistory) {
  const std::vector<float> logits{2.f, 1.9f, 0.f};
  Sampler sampler({.temperature = 0.f, .repetition_penalty = 1.2f}, 3);
  const std::vector<TokenId> once{0};
  const std::vector<TokenId> twice{0, 1};
  EXPECT_EQ(sampler(logits).id, 0);
  EXPECT_EQ(sampler(logits, once).id, 1);
  EXPECT_EQ(sampler(logits, twice).id, 0);
  Sampler latest({.temperature = 0.f, .presence_penalty = 5.f, .penalty_window = 1}, 3);
  EXPECT_EQ(latest(logits, twice).id, 0);
  EXPECT_EQ(latest(logits, once).id, 1);
}

TEST(Sampler, RunsTheCallersProcessorBeforeTheTemperature) {
  const std::vector<float> logits{5.f, 0.f, 0.f};
  std::vector<float> seen;
  std::size_t tokens = 0;
  LogitsChain chain;
  chain.add([&](std::span<float> row, std::span<const TokenId> history) {
    seen.assign(row.begin(), row.end());
    tokens = history.size();
    row[0] = -infinity;
    row[2] = -infinity;
  });
  Sampler sampler({.temperature = 0.5f, .presence_penalty = 1.f}, 3, std::move(chain));
  const std::vector<TokenId> history{0};
  const Sampler::Draw draw = sampler(logits, history);
  EXPECT_EQ(seen, (std::vector<float>{4.f, 0.f, 0.f}));
  EXPECT_EQ(tokens, 1u);
  EXPECT_EQ(draw.id, 1);
  EXPECT_EQ(draw.probability, 1.f);
  EXPECT_NEAR(draw.log_probability, std::log(softmax(logits)[1]), 1e-6);
}

TEST(Sampler, TheSameSeedGivesTheSameTokens) {
  Philox rng(57);
  const std::vector<float> logits = random_logits(rng, 400);
  Sampler a({.seed = 7}, 400);
  Sampler b({.seed = 7}, 400);
  Sampler other_seed({.seed = 8}, 400);
  Sampler other_stream({.seed = 7}, 400, {}, 1);
  const std::vector<TokenId> ids = draw_ids(a, logits, 50);
  EXPECT_EQ(draw_ids(b, logits, 50), ids);
  EXPECT_NE(draw_ids(other_seed, logits, 50), ids);
  EXPECT_NE(draw_ids(other_stream, logits, 50), ids);
  EXPECT_NE(draw_ids(a, logits, 50), ids);
  a.reset();
  EXPECT_EQ(draw_ids(a, logits, 50), ids);
}

TEST(Sampler, ThreadsDoNotChangeTheTokens) {
  Philox rng(58);
  const std::vector<float> logits = random_logits(rng, 3000);
  const SamplingParams params{.temperature = 0.9f, .top_p = 0.9f, .seed = 5};
  Sampler alone(params, logits.size());
  const std::vector<TokenId> expected = draw_ids(alone, logits, 100);
  std::array<std::vector<TokenId>, 2> found;
  {
    std::array<std::thread, 2> threads;
    for (std::size_t i = 0; i < 2; ++i)
      threads[i] = std::thread([&, i] {
        Sampler sampler(params, logits.size());
        found[i] = draw_ids(sampler, logits, 100);
      });
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(found[0], expected);
  EXPECT_EQ(found[1], expected);
}

TEST(Sampler, GivesTheRecordedTokens) {
  // Recorded once; equal with g++ 12 and clang 14 at -O0, -O2, -O3 and -O2 -march=native (AVX-512, FMA).
  Philox rng(2024);
  const std::vector<float> logits = random_logits(rng, 5003, 9.f);
  struct Case {
    SamplingParams params;
    std::vector<TokenId> ids;
  };
  const std::vector<Case> cases{
      {{.seed = 1}, {4489, 2997, 3407, 2518, 1332, 3554, 3703, 733, 1332, 3337, 828, 532, 2380, 3315, 2557, 2880}},
      {{.temperature = 0.8f, .seed = 2},
       {2328, 4856, 396, 4803, 2794, 3359, 965, 148, 793, 4488, 4763, 1726, 41, 301, 1759, 918}},
      {{.temperature = 1.7f, .seed = 3},
       {4011, 3314, 1397, 1155, 3787, 4045, 690, 3400, 4616, 1756, 2787, 4127, 4239, 2317, 4635, 1172}},
      {{.top_k = 40, .seed = 4},
       {1477, 3816, 4699, 4823, 4699, 2729, 83, 4856, 4381, 2880, 2188, 2880, 3339, 4642, 1651, 4642}},
      {{.temperature = 0.8f, .top_p = 0.95f, .seed = 5},
       {3747, 4871, 1921, 2981, 4803, 1636, 3411, 107, 3443, 1841, 2729, 143, 4984, 1756, 3296, 4778}},
      {{.temperature = 1.3f, .min_p = 0.02f, .seed = 6},
       {1256, 1250, 400, 798, 107, 3695, 3097, 3812, 3970, 2072, 2816, 2158, 2119, 1236, 3608, 4011}},
      {{.temperature = 1.1f, .top_k = 1000, .top_p = 0.9f, .min_p = 0.01f, .seed = 18446744073709551615u},
       {2419, 3155, 532, 3105, 497, 4487, 2880, 1836, 3045, 4586, 2330, 4489, 2175, 4045, 2330, 2910}}};
  for (std::size_t c = 0; c < cases.size(); ++c) {
    Sampler sampler(cases[c].params, logits.size());
    EXPECT_EQ(draw_ids(sampler, logits, 16), cases[c].ids) << "case " << c;
  }
}

// The vocabulary of Llama 3, with logits as flat as they come, peaked, with one certain token, rounded to bfloat16
// (many ties), all equal, partly banned, and all but one banned; and odd vocabularies.
std::vector<std::vector<float>> many_rows() {
  Philox rng(61);
  std::vector<std::vector<float>> rows;
  for (const std::size_t vocab : {1u, 2u, 31u, 33u, 1000u, 128256u}) {
    for (int kind = 0; kind < 7; ++kind) {
      std::vector<float> row(vocab);
      for (float& x : row) {
        x = static_cast<float>(normal_double(rng) * (kind == 1 ? 3.0 : 1.0));
        if (kind == 3) x = static_cast<float>(bfloat16(x));
        if (kind == 4) x = 2.f;
        if ((kind == 5 && rng() % 3 != 0) || kind == 6) x = -infinity;
      }
      if (kind == 2) row[rng() % vocab] = 30.f;
      row[rng() % vocab] = 3.f;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

const std::vector<SamplingParams> many_params{{},
                                              {.temperature = 0.f},
                                              {.temperature = 0.8f},
                                              {.top_k = 40},
                                              {.top_k = 3000},
                                              {.top_p = 0.9f},
                                              {.temperature = 0.8f, .top_p = 0.95f},
                                              {.min_p = 0.05f},
                                              {.temperature = 1.2f, .top_k = 500, .top_p = 0.8f, .min_p = 0.01f}};

TEST(Sampler, EveryInstructionSetGivesTheSameBits) {
  for (const std::vector<float>& row : many_rows()) {
    for (const SamplingParams& params : many_params) {
      Sampler portable(params, row.size(), {}, 0, cpu::sampling_kernels_for(cpu::Isa::generic));
      std::array<Sampler::Draw, 4> expected;
      for (Sampler::Draw& draw : expected) draw = portable(row);
      for (const cpu::SamplingKernels* kernels : every_kernels()) {
        Sampler sampler(params, row.size(), {}, 0, *kernels);
        for (const Sampler::Draw& draw : expected) {
          const Sampler::Draw found = sampler(row);
          ASSERT_EQ(found.id, draw.id);
          ASSERT_EQ(found.probability, draw.probability);
          ASSERT_EQ(found.log_probability, draw.log_probability);
        }
      }
    }
  }
}

TEST(Sampler, DrawsByTheDefinition) {
  // The whole chain written out: a full sort for every filter, then the sum in order of the id.
  for (const std::vector<float>& row : many_rows()) {
    for (const SamplingParams& params : many_params) {
      if (params.temperature == 0.f) continue;
      std::vector<float> weights(row.size());
      const float max = *std::ranges::max_element(row);
      cpu::best_sampling_kernels().weigh(row.data(), row.size(), max, params.temperature, weights.data());
      const auto keep = [&](const std::vector<bool>& kept) {
        for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = kept[i] ? weights[i] : 0.f;
      };
      if (params.top_k != 0) keep(kept_by_top_k(row, params.top_k));
      if (params.top_p < 1.f) keep(kept_by_top_p(weights, params.top_p));
      std::uint64_t total = 0;
      for (float& w : weights) total += count_units(w = w >= params.min_p ? w : 0.f);
      Philox rng(params.seed);
      Sampler sampler(params, row.size());
      for (int round = 0; round < 4; ++round) {
        const auto target = static_cast<std::uint64_t>(uniform_double(rng) * static_cast<double>(total));
        std::size_t expected = 0;
        for (std::uint64_t sum = 0; (sum += count_units(weights[expected])) <= target;) ++expected;
        const Sampler::Draw draw = sampler(row);
        ASSERT_EQ(static_cast<std::size_t>(draw.id), expected) << row.size();
        ASSERT_EQ(draw.probability,
                  static_cast<float>(static_cast<double>(count_units(weights[expected])) / static_cast<double>(total)));
      }
    }
  }
}

TEST(Sampler, AllocatesNothingAfterConstruction) {
  Philox rng(59);
  constexpr std::size_t vocab = 20000;
  std::vector<std::vector<float>> rows;
  for (int i = 0; i < 8; ++i) rows.push_back(random_logits(rng, vocab, 1.f + static_cast<float>(i) * 3.f));
  rows.emplace_back(vocab, 0.f);  // all equal: the widest set of candidates everywhere
  const std::vector<TokenId> history{1, 2, 3, 2, 1};
  for (const SamplingParams& params :
       {SamplingParams{}, SamplingParams{.temperature = 0.f}, SamplingParams{.top_k = 40},
        SamplingParams{.top_k = 15000}, SamplingParams{.top_p = 0.9f}, SamplingParams{.min_p = 0.1f},
        SamplingParams{.temperature = 0.7f,
        .top_k = 5000,
        .top_p = 0.95f,
        .min_p = 0.02f,
        .repetition_penalty = 1.1f,
        .frequency_penalty = 0.1f,
        .presence_penalty = 0.1f}}) {
    LogitsChain chain;
    chain.add([](std::span<float> logits, std::span<const TokenId>) { logits[0] = -infinity; });
    Sampler plain(params, vocab);
    Sampler with_processor(params, vocab, std::move(chain));
    const std::size_t before = allocations.load();
    for (const std::vector<float>& row : rows) {
      plain(row, history);
      with_processor(row, history);
    }
    EXPECT_EQ(allocations.load(), before);
  }
  const std::size_t before = allocations.load();
  ::operator delete(::operator new(8));
  EXPECT_GT(allocations.load(), before) << "the count sees allocations";
}

TEST(Sampler, AnErrorDrawsNothing) {
  Philox rng(60);
  const std::vector<float> logits = random_logits(rng, 100);
  std::vector<float> bad = logits;
  bad[42] = not_a_number;
  Sampler disturbed({.repetition_penalty = 1.1f, .seed = 3}, 100);
  Sampler undisturbed({.repetition_penalty = 1.1f, .seed = 3}, 100);
  const std::vector<TokenId> outside{100};
  for (int i = 0; i < 20; ++i) {
    EXPECT_THROW(disturbed(bad), NumericError);
    EXPECT_THROW(disturbed(logits, outside), ShapeError);
    EXPECT_EQ(disturbed(logits).id, undisturbed(logits).id);
  }
}

TEST(Sampler, NamesBadLogits) {
  Sampler sampler({}, 3);
  const auto message = [&](const std::vector<float>& logits) {
    return message_of<NumericError>([&] { sampler(logits); });
  };
  EXPECT_EQ(message({0.f, 1.f, infinity}), "logit[2] is inf, expected a finite number or -inf");
  EXPECT_EQ(message({0.f, not_a_number, 1.f}).find("logit[1] is "), 0u);
  EXPECT_EQ(message({-infinity, -infinity, -infinity}), "logit: all 3 are -inf, no token can be chosen");
  EXPECT_EQ(message_of<ShapeError>([&] { sampler(std::vector<float>{1.f}); }), "sampler: 1 logits, expected 3 (vocab)");
  LogitsChain chain;
  chain.add([](std::span<float> logits, std::span<const TokenId>) { std::ranges::fill(logits, -infinity); });
  Sampler banning({}, 3, std::move(chain));
  EXPECT_EQ(message_of<NumericError>([&] {
              banning(std::vector<float>{1.f, 2.f, 3.f});
            }),
            "logit after penalties and processors: all 3 are -inf, no token can be chosen");
}

TEST(Sampler, NamesBadParameters) {
  const auto message = [](const SamplingParams& params) {
    return message_of<ConfigError>([&] { Sampler sampler(params, 10); });
  };
  EXPECT_EQ(message({.temperature = -1.f}), "temperature is -1, allowed: finite and at least 0");
  EXPECT_EQ(message({.temperature = not_a_number}).find("temperature is "), 0u);
  EXPECT_EQ(message({.temperature = infinity}).find("temperature is inf"), 0u);
  EXPECT_EQ(message({.top_p = 0.f}), "top_p is 0, allowed: above 0 and at most 1");
  EXPECT_EQ(message({.top_p = 1.0001f}).find("top_p is 1.0001"), 0u);
  EXPECT_EQ(message({.top_p = not_a_number}).find("top_p is "), 0u);
  EXPECT_EQ(message({.min_p = 1.f}), "min_p is 1, allowed: at least 0 and below 1");
  EXPECT_EQ(message({.min_p = -0.5f}).find("min_p is -0.5"), 0u);
  EXPECT_EQ(message({.min_p = not_a_number}).find("min_p is "), 0u);
  EXPECT_EQ(message({.repetition_penalty = 0.f}).find("repetition_penalty is 0"), 0u);
  EXPECT_EQ(message({.frequency_penalty = not_a_number}).find("frequency_penalty is "), 0u);
  EXPECT_EQ(message({.presence_penalty = infinity}).find("presence_penalty is inf"), 0u);
  EXPECT_EQ(message_of<ConfigError>([] { Sampler sampler({}, 0); }), "vocab is 0, allowed: 1 to 1048576");
  EXPECT_EQ(message_of<ConfigError>([] { Sampler sampler({}, detail::max_sampling_vocab + 1); }),
            "vocab is 1048577, allowed: 1 to 1048576");
  EXPECT_THROW(validate({.top_p = 2.f}), ConfigError);
  EXPECT_NO_THROW(validate({}));
}

}  // namespace
