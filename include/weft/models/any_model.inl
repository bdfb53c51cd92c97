#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/load.hpp>
#include <weft/models/load_encoder.inl>
#include <weft/models/load_seq2seq.hpp>
#include <weft/models/load_vision.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/seq2seq_registry.hpp>
#include <weft/models/vision_registry.hpp>

namespace weft::inline v0 {

WEFT_INLINE AnyModel load(const std::filesystem::path& path, const LoadOptions& options) {
  const std::optional<SentenceModules> modules = read_sentence_modules(path);
  const Checkpoint checkpoint = Checkpoint::open(modules ? modules->transformer : path);
  const Json& type = checkpoint.config().at("model_type");
  std::string known;
  const auto is_among = [&]<class A, std::size_t n>(const std::array<const A*, n>& architectures) {
    return detail::find_in<A>(architectures, type.as_string(), known) != nullptr;
  };
  if (is_among(decoder_architectures)) return load_causal_lm(checkpoint, options);
  const bool both_halves = !arch::is_encoder_half(checkpoint.config()) && is_among(seq2seq_architectures);
  if (both_halves) return load_seq2seq(checkpoint, options);
  if (is_among(encoder_architectures)) return detail::load_encoder_of(checkpoint, modules, path.string(), options, {});
  if (is_among(vision_architectures)) return load_vision(checkpoint, options);
  detail::unknown_model_type(type, known);
}

WEFT_INLINE std::string describe(const AnyModel& model) {
  return std::visit([](const auto& one) { return one.describe(); }, model);
}

}  // namespace weft::inline v0
