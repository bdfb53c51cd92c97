#include "cpu_encoder.hpp"

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/weight_loader.hpp>

namespace weft::testing {

namespace {

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "encoders";

}  // namespace

std::vector<std::string> encoder_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> encoder_families() {
  std::vector<std::string> families;
  for (const EncoderArchitecture* architecture : encoder_architectures) families.emplace_back(architecture->model_type);
  return families;
}

Encoder load_encoder_fixture(std::string_view name) {
  const Checkpoint checkpoint = Checkpoint::open(fixtures / name);
  const EncoderArchitecture& architecture = find_encoder(checkpoint.config());
  ConfigReader reader(checkpoint.config());
  Encoder::Parts parts{.model_type = std::string(architecture.model_type),
                       .source = checkpoint.location(),
                       .config = architecture.read_config(reader),
                       .compute = Compute::f32};
  const LoadOptions options{.load = Load::in_place};
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return Encoder(std::move(parts));
}

std::vector<EncoderInput> EncoderSequences::inputs() const {
  std::vector<EncoderInput> result;
  for (std::size_t i = 0; i < tokens.size(); ++i) result.push_back({.tokens = tokens[i], .types = types[i]});
  return result;
}

EncoderSequences encoder_sequences(std::string_view name) {
  const SafetensorsFile file(fixtures / name / "reference.safetensors");
  EncoderSequences result;
  std::size_t begin = 0;
  const auto part = [&](const char* tensor_name, std::size_t length) {
    std::vector<TokenId> ids;
    if (!file.contains(tensor_name)) return ids;
    const AnyTensor tensor = file.tensor(tensor_name);
    for (const std::int64_t id : tensor.elements<std::int64_t>().subspan(begin, length))
      ids.push_back(static_cast<TokenId>(id));
    return ids;
  };
  const AnyTensor lengths = file.tensor("lengths");
  for (const std::int64_t length : lengths.elements<std::int64_t>()) {
    result.tokens.push_back(part("input_ids", static_cast<std::size_t>(length)));
    result.types.push_back(part("token_types", static_cast<std::size_t>(length)));
    begin += static_cast<std::size_t>(length);
  }
  return result;
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

}  // namespace weft::testing
