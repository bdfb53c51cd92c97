#pragma once

#include <filesystem>
#include <span>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/encoder.hpp>
#include <weft/models/encoder_weights.hpp>
#include <weft/models/load_options.hpp>

namespace weft::inline v0 {

/// Loads an encoder with the heads that its checkpoint has: a Hugging Face directory as downloaded, or one of
/// sentence-transformers, whose modules.json then says how sentences become vectors, or what else Checkpoint opens: of
/// GGUF files, those of BERT and what is BERT there, whose pooling_type says it.
/// Options and what is thrown are those of load_causal_lm(). architectures: the caller's own families, looked up first.
Encoder load_encoder(const Checkpoint& checkpoint, const LoadOptions& options = {},
                     std::span<const EncoderArchitecture* const> architectures = {});
Encoder load_encoder(const std::filesystem::path& path, const LoadOptions& options = {},
                     std::span<const EncoderArchitecture* const> architectures = {});

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/load_encoder.inl>
#endif
