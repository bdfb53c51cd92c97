#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include <weft/core/config.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/encoder.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/vision.hpp>

namespace weft::inline v0 {

/// A model of any kind that weft runs; std::visit or std::get_if tell which. All kinds have model_type(), parameters(),
/// describe() and what else their classes have in common.
using AnyModel = std::variant<CausalLM, Encoder, Seq2Seq, VisionModel>;

/// Loads what a checkpoint holds, going by the model_type of its config.json: a Hugging Face directory as downloaded,
/// one of sentence-transformers, or a GGUF file. Options and what is thrown are those of load_causal_lm(), which is the
/// one to use where the kind is known; UnsupportedError for an unknown model_type lists those of all kinds.
AnyModel load(const std::filesystem::path& path, const LoadOptions& options = {});

/// CausalLM::describe() and so on, of whatever it is.
std::string describe(const AnyModel& model);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/any_model.inl>
#endif
