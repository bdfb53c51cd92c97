#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/models/load_seq2seq.hpp>
#include <weft/models/source_encoder.hpp>

#include "fixtures.hpp"

// The encoder-decoders of tests/fixtures/seq2seq and what the reference implementation computed with them
// (tests/reference/README.md).
namespace weft_tests {

inline std::filesystem::path seq2seq_fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "seq2seq" / name;
}

inline std::vector<std::string> seq2seq_fixture_names() { return directory_names(seq2seq_fixture("")); }

/// Whether no half reads a tensor that is stored: the table for both, where both have their own.
inline bool is_unread(const weft::SafetensorsFile& file, std::string_view name) {
  return name == "model.shared.weight" && file.contains("model.encoder.embed_tokens.weight");
}

/// The sources and targets of a fixture and what the reference implementation said of them.
class Seq2SeqReference {
 public:
  using Ids = std::vector<weft::TokenId>;

  explicit Seq2SeqReference(std::string_view name)
      : sources(parts(name, "input_ids", "lengths")),
        targets(parts(name, "target_ids", "target_lengths")),
        texts(parts(name, "greedy_ids", "greedy_lengths")),
        file_(seq2seq_fixture(name) / "reference.safetensors") {}

  /// The sources, the first token of each at position 0 or after as many as the reference padded it with.
  std::vector<weft::EncoderInput> inputs(bool padded = false) const {
    const Ids padding = padded ? numbers(file_, "left_padding") : Ids(sources.size());
    std::vector<weft::EncoderInput> inputs;
    for (std::size_t i = 0; i < sources.size(); ++i)
      inputs.push_back({.tokens = sources[i], .position = static_cast<std::size_t>(padding[i])});
    return inputs;
  }
  bool has(std::string_view name) const { return file_.contains(name); }
  weft::AnyTensor tensor(std::string_view name) const { return file_.tensor(name); }

  std::vector<Ids> sources;
  std::vector<Ids> targets;  ///< what the decoder is given
  std::vector<Ids> texts;    ///< what it answers by argmax, without the first token

 private:
  static Ids numbers(const weft::SafetensorsFile& file, std::string_view name) {
    Ids result;
    const weft::AnyTensor tensor = file.tensor(name);
    for (const std::int64_t id : tensor.elements<std::int64_t>()) result.push_back(static_cast<weft::TokenId>(id));
    return result;
  }
  static std::vector<Ids> parts(std::string_view name, std::string_view ids, std::string_view lengths) {
    const weft::SafetensorsFile file(seq2seq_fixture(name) / "reference.safetensors");
    const Ids all = numbers(file, ids);
    std::vector<Ids> result;
    auto at = all.begin();
    for (const weft::TokenId length : numbers(file, lengths)) {
      result.emplace_back(at, at + length);
      at += length;
    }
    return result;
  }

  weft::SafetensorsFile file_;
};

/// A copy of a fixture whose files a test may change.
class Seq2SeqCopy : public DirectoryCopy {
 public:
  explicit Seq2SeqCopy(std::string_view name = "bart") : DirectoryCopy(seq2seq_fixture(name)) {}

  weft::Seq2Seq load(weft::LoadOptions options = {},
                     std::span<const weft::Seq2SeqArchitecture* const> architectures = {}) const {
    if (options.threads == 0) options.threads = 1;
    return weft::load_seq2seq(path(), options, architectures);
  }
};

}  // namespace weft_tests
