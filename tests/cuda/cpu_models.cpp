#include "cpu_models.hpp"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/generation/seq2seq_generator.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/seq2seq_loader.hpp>
#include <weft/models/source_encoder.hpp>
#include <weft/models/vision_registry.hpp>
#include <weft/models/weight_loader.hpp>

namespace weft::testing {

namespace {

std::filesystem::path fixture(std::string_view folder, std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / folder / name;
}

SafetensorsFile reference(std::string_view folder, std::string_view name) {
  return SafetensorsFile(fixture(folder, name) / "reference.safetensors");
}

/// The numbers of a tensor, as many after each other as `lengths` says; none where there is no such tensor.
std::vector<std::vector<TokenId>> parts(const SafetensorsFile& file, std::string_view ids, std::string_view lengths) {
  std::vector<std::vector<TokenId>> result;
  const AnyTensor counts = file.tensor(lengths);
  if (!file.contains(ids)) return result;
  const AnyTensor all = file.tensor(ids);
  auto at = all.elements<std::int64_t>().begin();
  for (const std::int64_t length : counts.elements<std::int64_t>()) {
    std::vector<TokenId>& part = result.emplace_back();
    for (std::int64_t i = 0; i < length; ++i) part.push_back(static_cast<TokenId>(*at++));
  }
  return result;
}

template <class Registry>
std::vector<std::string> families_of(const Registry& architectures) {
  std::vector<std::string> families;
  for (const auto* architecture : architectures) families.emplace_back(architecture->model_type);
  return families;
}

/// An Encoder or a VisionModel.
template <class Model, class Architecture>
Model load_fixture(const Checkpoint& checkpoint, const Architecture& architecture) {
  ConfigReader reader(checkpoint.config());
  typename Model::Parts parts{.model_type = std::string(architecture.model_type),
                              .source = checkpoint.location(),
                              .config = architecture.read_config(reader)};
  parts.compute = Compute::f32;
  const LoadOptions options{.load = Load::in_place};
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return Model(std::move(parts));
}

}  // namespace

std::vector<std::string> fixtures_of(std::string_view folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixture(folder, "")))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> encoder_families() { return families_of(encoder_architectures); }
std::vector<std::string> seq2seq_families() { return families_of(seq2seq_architectures); }
std::vector<std::string> vision_families() { return families_of(vision_architectures); }

Encoder load_encoder_fixture(std::string_view name) {
  const Checkpoint checkpoint = Checkpoint::open(fixture("encoders", name));
  return load_fixture<Encoder>(checkpoint, find_encoder(checkpoint.config()));
}

Seq2Seq load_seq2seq_fixture(std::string_view name) {
  const auto no_tokenizer = [] { return std::shared_ptr<const Tokenizer>(); };
  return detail::load_seq2seq_with(no_tokenizer, Checkpoint::open(fixture("seq2seq", name)),
                                   {.load = Load::in_place, .threads = 1, .compute = Compute::f32});
}

VisionModel load_vision_fixture(std::string_view name) {
  const Checkpoint checkpoint = Checkpoint::open(fixture("vision", name));
  return load_fixture<VisionModel>(checkpoint, find_vision(checkpoint.config()));
}

std::vector<EncoderInput> EncoderSequences::inputs() const {
  std::vector<EncoderInput> result;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    result.push_back({.tokens = tokens[i], .types = types.empty() ? std::span<const TokenId>() : types[i]});
  return result;
}

EncoderSequences encoder_sequences(std::string_view name) {
  const SafetensorsFile file = reference("encoders", name);
  return {.tokens = parts(file, "input_ids", "lengths"), .types = parts(file, "token_types", "lengths")};
}

std::vector<float> cpu_hidden(const Encoder& model, std::span<const EncoderInput> inputs) {
  EncoderPass pass(model);
  const TensorView<const float, 2> hidden = pass.forward(inputs);
  return {hidden.data(), hidden.data() + hidden.size()};
}

std::vector<std::vector<float>> heads_of(EncoderPass& pass) {
  std::vector<std::vector<float>> said;
  const auto ask = [&](bool there, std::size_t rows, std::size_t width, auto head) {
    if (!there) return;
    Tensor<float, 2> y({rows, width});
    head(y.view());
    said.emplace_back(y.elements().begin(), y.elements().end());
  };
  const EncoderConfig& c = pass.model().config();
  const EncoderWeights& w = pass.model().weights();
  const std::size_t rows = pass.hidden().extent(0), sequences = pass.sequences().size();
  std::vector<std::size_t> all(rows);
  std::iota(all.begin(), all.end(), std::size_t{0});
  const auto has = [](const auto& head) { return static_cast<bool>(head); };
  ask(has(w.pooler), sequences, c.hidden, [&](auto y) { pass.pool(y); });
  ask(has(w.masked_word), rows, c.vocab, [&](auto y) { pass.predict_words(all, y); });
  ask(has(w.next_sentence), sequences, 2, [&](auto y) { pass.classify_pairs(y); });
  ask(has(w.sequence_classes), sequences, c.classes, [&](auto y) { pass.classify_sequences(y); });
  ask(has(w.token_classes), rows, c.classes, [&](auto y) { pass.classify_tokens(y); });
  ask(has(w.answer_ends), rows, 2, [&](auto y) { pass.find_answers(y); });
  ask(has(w.replaced_word), rows, 1, [&](auto y) { pass.find_replaced_words(y); });
  ask(true, sequences, c.hidden, [&](auto y) { pass.embed_sentences(SentenceEmbedding{}, y); });
  return said;
}

SourcesAndTargets sources_and_targets(std::string_view name) {
  const SafetensorsFile file = reference("seq2seq", name);
  return {.sources = parts(file, "input_ids", "lengths"), .targets = parts(file, "target_ids", "target_lengths")};
}

std::vector<float> cpu_logits(const Seq2Seq& model, std::span<const TokenId> source, std::span<const TokenId> target) {
  SourceEncoder encoder(model);
  Session session(model.decoder(), {.context = target.size()});
  session.attend_to(encoder.encode(source));
  Tensor<float, 2> logits({target.size(), model.decoder().config().vocab});
  session.forward_all(target, logits);
  return {logits.elements().begin(), logits.elements().end()};
}

std::vector<TokenId> answer(const Seq2Seq& model, std::unique_ptr<TokenSequence> sequence,
                            std::span<const TokenId> source, std::size_t tokens) {
  const SamplingParams argmax{.temperature = 0.f};
  Seq2SeqGenerator generate = sequence ? Seq2SeqGenerator(model, std::move(sequence), argmax)
                                       : Seq2SeqGenerator(model, argmax, SessionOptions{.context = tokens + 1});
  Generation generation = generate(source, {.max_new_tokens = tokens});
  for ([[maybe_unused]] const std::string_view piece : generation) continue;
  std::vector<TokenId> ids;
  for (const GeneratedToken& token : generation.tokens()) ids.push_back(token.id);
  return ids;
}

ImagesAndTexts images_and_texts(std::string_view name) {
  const SafetensorsFile file = reference("vision", name);
  ImagesAndTexts result;
  if (file.contains("pixel_values")) {
    const AnyTensor pixels = file.tensor("pixel_values");
    result.pixels = Tensor<float, 4>({pixels.extent(0), pixels.extent(1), pixels.extent(2), pixels.extent(3)});
    std::copy_n(pixels.elements<float>().data(), pixels.size(), result.pixels.data());
  }
  if (file.contains("input_ids")) result.texts = parts(file, "input_ids", "lengths");
  return result;
}

}  // namespace weft::testing
