#include <weft/models/encoder_pass.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include <weft/models/load_encoder.hpp>
#include <weft/tokenizers/tokenizer.hpp>

#include <nlohmann/json.hpp>

// The classifier in examples/models/books on paragraphs that it was not trained on, against what the reference
// implementation says of them in float32 (tests/reference/make_books_fixture.py).
namespace {

using namespace weft;

struct Paragraph {
  std::string text;
  std::size_t book;
  std::vector<float> logits;  // (classes)
};

struct HeldOut {
  std::size_t right = 0;  ///< for how many the reference names the book
  std::vector<Paragraph> paragraphs{};
};

HeldOut held_out() {
  std::ifstream file(WEFT_TESTS_DIR "/fixtures/books/held-out.json");
  const nlohmann::json json = nlohmann::json::parse(file);
  HeldOut result{.right = json.at("right").get<std::size_t>()};
  for (const nlohmann::json& one : json.at("cases"))
    result.paragraphs.push_back({one.at("text").get<std::string>(), one.at("book").get<std::size_t>(),
                                 one.at("logits").get<std::vector<float>>()});
  return result;
}

/// The logits (paragraphs, classes), `batch` paragraphs a pass.
Tensor<float, 2> classify(const Encoder& model, const std::vector<Paragraph>& paragraphs, std::size_t batch) {
  Tensor<float, 2> logits({paragraphs.size(), model.config().classes});
  EncoderPass pass(model);
  for (std::size_t begin = 0; begin < paragraphs.size(); begin += batch) {
    const std::size_t count = std::min(batch, paragraphs.size() - begin);
    std::vector<Encoding> encodings;
    for (std::size_t i = 0; i < count; ++i)
      encodings.push_back(model.tokenizer().tokenize(
          paragraphs[begin + i].text, {.max_length = model.config().context, .truncation = Truncation::longest_first}));
    std::vector<EncoderInput> inputs;
    for (const Encoding& encoding : encodings) inputs.push_back({.tokens = encoding.ids});
    pass.forward(inputs);
    pass.classify_sequences(logits.narrow(0, begin, count));
  }
  return logits;
}

std::size_t best_of(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Comparison {
  std::size_t right = 0;    ///< for how many paragraphs the model names the book
  std::size_t changed = 0;  ///< for how many it names another than the reference
  float difference = 0.f;   ///< of logits, at most
};

Comparison compare(const Tensor<float, 2>& logits, const std::vector<Paragraph>& paragraphs) {
  Comparison result;
  for (std::size_t i = 0; i < paragraphs.size(); ++i) {
    const std::span<const float> row(&logits(i, 0), logits.extent(1));
    result.right += best_of(row) == paragraphs[i].book;
    result.changed += best_of(row) != best_of(paragraphs[i].logits);
    for (std::size_t c = 0; c < row.size(); ++c)
      result.difference = std::max(result.difference, std::abs(row[c] - paragraphs[i].logits[c]));
  }
  return result;
}

TEST(Books, NamesTheBooksThatTheReferenceNames) {
  const HeldOut expected = held_out();
  ASSERT_GT(expected.paragraphs.size(), 150u);
  const Encoder model = load_encoder(WEFT_MODELS_DIR "/books", {.threads = 1, .compute = Compute::f32});
  ASSERT_EQ(model.config().labels.size(), 22u);
  EXPECT_EQ(model.config().labels[expected.paragraphs[0].book], "Alice's Adventures in Wonderland");
  for (const std::size_t batch : {std::size_t{1}, std::size_t{32}}) {
    const Comparison found = compare(classify(model, expected.paragraphs, batch), expected.paragraphs);
    EXPECT_LE(found.difference, 2e-4f) << batch;
    EXPECT_EQ(found.changed, 0u) << batch;
    EXPECT_EQ(found.right, expected.right) << batch;
  }
}

// Activations are rounded to bfloat16 where the processor multiplies that: 8 bits, over two layers.
TEST(Books, IsAsGoodInTheWeightsOwnType) {
  const HeldOut expected = held_out();
  const Encoder model = load_encoder(WEFT_MODELS_DIR "/books", {.threads = 1});
  const Comparison found = compare(classify(model, expected.paragraphs, 32), expected.paragraphs);
  EXPECT_LE(found.difference, 0.05f);
  EXPECT_EQ(found.right, expected.right);
}

}  // namespace
