#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/models/encoder_pass.hpp>
#include <weft/models/load_encoder.hpp>

#include "fixtures.hpp"

// The encoders of tests/fixtures/encoders and what the reference implementation computed with them
// (tests/reference/README.md).
namespace weft_tests {

inline std::filesystem::path encoder_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "encoders" / name;
}

inline std::vector<std::string> encoder_fixture_names() { return directory_names(encoder_fixture("")); }

/// The sequences of a fixture and what the reference implementation said of them.
class EncoderReference {
 public:
  explicit EncoderReference(std::string_view name) : file_(encoder_fixture(name) / "reference.safetensors") {
    ids_ = numbers("input_ids");
    types_ = numbers("token_types");
    for (const weft::TokenId length : numbers("lengths")) lengths_.push_back(static_cast<std::size_t>(length));
  }

  std::size_t rows() const noexcept { return ids_.size(); }
  std::size_t sequences() const noexcept { return lengths_.size(); }
  /// The sequences, the first token of each at position 0 or after `padding`.
  std::vector<weft::EncoderInput> inputs(std::span<const weft::TokenId> padding = {}) const {
    std::vector<weft::EncoderInput> inputs;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < lengths_.size(); ++i) {
      const std::span<const weft::TokenId> types(types_);
      inputs.push_back({.tokens = std::span(ids_).subspan(begin, lengths_[i]),
                        .types = types.empty() ? types : types.subspan(begin, lengths_[i]),
                        .position = padding.empty() ? 0 : static_cast<std::size_t>(padding[i])});
      begin += lengths_[i];
    }
    return inputs;
  }
  /// A tensor of whole numbers; empty where there is none.
  std::vector<weft::TokenId> numbers(std::string_view name) const {
    std::vector<weft::TokenId> result;
    if (!file_.contains(name)) return result;
    const weft::AnyTensor tensor = file_.tensor(name);
    for (const std::int64_t id : tensor.elements<std::int64_t>()) result.push_back(static_cast<weft::TokenId>(id));
    return result;
  }
  bool has(std::string_view name) const { return file_.contains(name); }
  /// (rows or sequences, width)
  weft::AnyTensor tensor(std::string_view name) const { return file_.tensor(name); }

 private:
  weft::SafetensorsFile file_;
  std::vector<weft::TokenId> ids_, types_;
  std::vector<std::size_t> lengths_;
};

/// A copy of a fixture whose files a test may change.
class EncoderCopy : public DirectoryCopy {
 public:
  explicit EncoderCopy(std::string_view name = "bert") : DirectoryCopy(encoder_fixture(name)) {}

  weft::Encoder load(weft::LoadOptions options = {},
                     std::span<const weft::EncoderArchitecture* const> architectures = {}) const {
    if (options.threads == 0) options.threads = 1;
    return weft::load_encoder(path(), options, architectures);
  }
};

/// Everything that a model says of some sequences, one after the other.
inline std::vector<float> all_outputs(const weft::Encoder& model, std::span<const weft::EncoderInput> inputs) {
  weft::EncoderPass pass(model);
  const weft::TensorView<const float, 2> hidden = pass.forward(inputs);
  std::vector<float> said(hidden.data(), hidden.data() + hidden.size());
  const auto ask = [&](bool there, std::size_t rows, std::size_t width, auto head) {
    if (!there) return;
    weft::Tensor<float, 2> y({rows, width});
    head(y);
    said.insert(said.end(), y.data(), y.data() + y.size());
  };
  const weft::EncoderWeights& w = model.weights();
  const std::size_t rows = hidden.extent(0), sequences = inputs.size(), classes = model.config().classes;
  std::vector<std::size_t> all(rows);
  for (std::size_t i = 0; i < rows; ++i) all[i] = i;
  ask(bool(w.pooler), sequences, model.config().hidden, [&](auto& y) { pass.pool(y); });
  ask(bool(w.masked_word), rows, model.config().vocab, [&](auto& y) { pass.predict_words(all, y); });
  ask(bool(w.next_sentence), sequences, 2, [&](auto& y) { pass.classify_pairs(y); });
  ask(bool(w.sequence_classes), sequences, classes, [&](auto& y) { pass.classify_sequences(y); });
  ask(bool(w.token_classes), rows, classes, [&](auto& y) { pass.classify_tokens(y); });
  ask(bool(w.answer_ends), rows, 2, [&](auto& y) { pass.find_answers(y); });
  ask(bool(w.replaced_word), rows, 1, [&](auto& y) { pass.find_replaced_words(y); });
  ask(model.sentence().has_value(), sequences, model.sentence_width(), [&](auto& y) { pass.embed_sentences(y); });
  return said;
}

}  // namespace weft_tests
