#include "cpu_seq2seq.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/generation/seq2seq_generator.hpp>
#include <weft/models/seq2seq_loader.hpp>
#include <weft/models/source_encoder.hpp>

namespace weft::testing {

namespace {

const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "seq2seq";

}  // namespace

std::vector<std::string> seq2seq_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> seq2seq_families() {
  std::vector<std::string> families;
  for (const Seq2SeqArchitecture* architecture : seq2seq_architectures) families.emplace_back(architecture->model_type);
  return families;
}

Seq2Seq load_seq2seq_fixture(std::string_view name) {
  const auto no_tokenizer = [] { return std::shared_ptr<const Tokenizer>(); };
  return detail::load_seq2seq_with(no_tokenizer, Checkpoint::open(fixtures / name),
                                   {.load = Load::in_place, .threads = 1, .compute = Compute::f32});
}

SourcesAndTargets sources_and_targets(std::string_view name) {
  const SafetensorsFile file(fixtures / name / "reference.safetensors");
  const auto numbers = [&](const char* tensor_name) {
    const AnyTensor tensor = file.tensor(tensor_name);
    return std::vector<TokenId>(tensor.elements<std::int64_t>().begin(), tensor.elements<std::int64_t>().end());
  };
  const auto parts = [&](const char* ids, const char* lengths) {
    const std::vector<TokenId> all = numbers(ids);
    std::vector<std::vector<TokenId>> result;
    auto at = all.begin();
    for (const TokenId length : numbers(lengths)) {
      result.emplace_back(at, at + length);
      at += length;
    }
    return result;
  };
  return {.sources = parts("input_ids", "lengths"), .targets = parts("target_ids", "target_lengths")};
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

}  // namespace weft::testing
