#pragma once

#include <filesystem>
#include <span>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/architecture.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/load_options.hpp>

namespace weft::inline v0 {

/// Loads a decoder from a checkpoint that somebody trained: a Hugging Face directory as downloaded, a GGUF file, or
/// whatever else Checkpoint opens. Files are mapped; LoadOptions::load and LoadOptions::weights say where matrices are
/// used from and in which type. architectures: the caller's own families, looked up first.
///
/// Throws FormatError for files that are missing or malformed and tensors that are missing or too many, ConfigError for
/// a config.json that contradicts itself or the weights, UnsupportedError for families, config keys and tokenizers that
/// weft does not run, Cancelled when options.stop is requested.
CausalLM load_causal_lm(const Checkpoint& checkpoint, const LoadOptions& options = {},
                        std::span<const DecoderArchitecture* const> architectures = {});
CausalLM load_causal_lm(const std::filesystem::path& path, const LoadOptions& options = {},
                        std::span<const DecoderArchitecture* const> architectures = {});

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/load.inl>
#endif
