// Writes every intermediate that weft's taps see, for parity.py:
//
//   dump_taps CHECKPOINT IN.safetensors OUT.safetensors
//
// Runs a model, whatever kind it is, in float32 over what IN.safetensors has for it: input_ids, I64 (tokens), which an
// encoder-decoder gets in both halves, and pixel_values, F32 (images, channels, height, width). The tensors of
// OUT.safetensors are called "NUMBER NAME" in the order in which they were computed, NAME being that of the reference's
// module; the answers of heads follow, called "NUMBER =HEAD".
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/weft.hpp>

namespace {

using Dump = std::vector<std::pair<std::string, weft::AnyTensor>>;

void append(Dump& dump, std::string_view name, weft::TensorView<const float, 2> values) {
  const std::size_t rows = values.extent(0), width = values.extent(1);
  dump.emplace_back(std::to_string(dump.size()) + ' ' + std::string(name),
                    weft::AnyTensor::make(weft::DType::f32, {rows, width}, [&](std::span<std::byte> bytes) {
                      for (std::size_t row = 0; row < rows; ++row)
                        std::memcpy(&bytes[row * width * sizeof(float)], &values(row, 0), width * sizeof(float));
                    }));
}

weft::Tap tap_into(Dump& dump) {
  return [&dump](std::string_view name, weft::TensorView<const float, 2> values) { append(dump, name, values); };
}

struct Inputs {
  std::vector<weft::TokenId> ids;
  weft::Tensor<float, 4> pixels;
};

Inputs read_inputs(const char* path) {
  const weft::SafetensorsFile file(path);
  Inputs inputs;
  if (file.contains("input_ids"))
    for (const std::int64_t id : file.tensor("input_ids").elements<std::int64_t>())
      inputs.ids.push_back(static_cast<weft::TokenId>(id));
  if (file.contains("pixel_values")) {
    const weft::AnyTensor pixels = file.tensor("pixel_values");
    inputs.pixels = weft::Tensor<float, 4>({pixels.extent(0), pixels.extent(1), pixels.extent(2), pixels.extent(3)});
    std::ranges::copy(pixels.elements<float>(), inputs.pixels.data());
  }
  return inputs;
}

void run(const weft::CausalLM& model, const Inputs& inputs, Dump& dump) {
  const std::vector<weft::TokenId>& ids = inputs.ids;
  weft::Session session(model, {.context = ids.size(), .chunk = ids.size()});
  session.set_tap(tap_into(dump));
  weft::Tensor<float, 2> logits({ids.size(), model.config().vocab});
  session.forward_all(ids, logits);
  append(dump, "=logits", logits);
}

void run(const weft::Encoder& model, const Inputs& inputs, Dump& dump) {
  const std::vector<weft::TokenId>& ids = inputs.ids;
  weft::EncoderPass pass(model);
  pass.set_tap(tap_into(dump));
  const weft::EncoderInput input{.tokens = ids};
  append(dump, "=last_hidden_state", pass.forward(std::span(&input, 1)));

  const weft::EncoderWeights& w = model.weights();
  const auto ask = [&](bool there, const char* name, std::size_t rows, std::size_t width, auto&& head) {
    if (!there) return;
    weft::Tensor<float, 2> y({rows, width});
    head(y);
    append(dump, name, y);
  };
  std::vector<std::size_t> rows(ids.size());
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  const std::size_t classes = model.config().classes;
  ask(bool(w.masked_word), "=masked_word", ids.size(), model.config().vocab,
      [&](auto& y) { pass.predict_words(rows, y); });
  ask(bool(w.next_sentence), "=next_sentence", 1, 2, [&](auto& y) { pass.classify_pairs(y); });
  ask(bool(w.sequence_classes), "=classes", 1, classes, [&](auto& y) { pass.classify_sequences(y); });
  ask(bool(w.token_classes), "=classes", ids.size(), classes, [&](auto& y) { pass.classify_tokens(y); });
  ask(bool(w.answer_ends), "=answer_ends", ids.size(), 2, [&](auto& y) { pass.find_answers(y); });
  ask(bool(w.replaced_word), "=replaced_word", ids.size(), 1, [&](auto& y) { pass.find_replaced_words(y); });
}

void run(const weft::Seq2Seq& model, const Inputs& inputs, Dump& dump) {
  const std::vector<weft::TokenId>& ids = inputs.ids;
  weft::SourceEncoder encoder(model);
  encoder.set_tap(tap_into(dump));
  const weft::EncodedSource source = encoder.encode(ids);
  weft::Session session(model.decoder(), {.context = ids.size(), .chunk = ids.size()});
  session.attend_to(source);
  session.set_tap(tap_into(dump));
  weft::Tensor<float, 2> logits({ids.size(), model.decoder().config().vocab});
  session.forward_all(ids, logits);
  append(dump, "=logits", logits);
}

void run(const weft::VisionModel& model, const Inputs& inputs, Dump& dump) {
  const weft::VisionConfig& c = model.config();
  weft::Tensor<float, 2> images, texts;
  if (c.has_images()) {
    weft::VisionPass pass(model);
    pass.set_tap(tap_into(dump));
    append(dump, "=last_hidden_state", pass.forward(inputs.pixels));
    if (c.pooling != weft::ImagePooling::none && (c.pooling != weft::ImagePooling::dense || model.weights().pooler)) {
      images = weft::Tensor<float, 2>({pass.images(), model.features()});
      pass.features(images);
      if (!c.has_text()) append(dump, "=pooled", images);
    }
    if (c.classifier != weft::ImageClassifier::none) {
      weft::Tensor<float, 2> classes({pass.images(), c.classes});
      pass.classify(classes);
      append(dump, "=classes", classes);
    }
  }
  if (!c.has_text()) return;
  weft::TextPass pass(model);
  pass.set_tap(tap_into(dump));
  append(dump, "=last_hidden_state", pass.forward(std::span(&inputs.ids, 1)));
  texts = weft::Tensor<float, 2>({1, c.projection});
  pass.features(texts);
  if (!c.has_images()) return append(dump, "=pooled", texts);
  weft::Tensor<float, 2> matches({images.extent(0), 1});
  weft::match_logits(model, images, texts, matches);
  append(dump, "=matches", matches);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fputs("usage: dump_taps CHECKPOINT IN.safetensors OUT.safetensors\n", stderr);
    return 2;
  }
  const Inputs inputs = read_inputs(argv[2]);
  const weft::AnyModel model =
      weft::load(argv[1], {.weights = weft::DType::f32, .compute = weft::Compute::f32, .tokenizer = false});
  std::fputs(weft::describe(model).c_str(), stderr);
  Dump dump;
  std::visit([&](const auto& one) { run(one, inputs, dump); }, model);
  weft::write_safetensors(argv[3], dump);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
