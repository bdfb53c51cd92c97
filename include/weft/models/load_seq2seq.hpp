#pragma once

#include <filesystem>
#include <span>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/seq2seq_weights.hpp>

namespace weft::inline v0 {

/// Loads an encoder-decoder from a Hugging Face directory as downloaded, or what else Checkpoint opens. An output head
/// of its own is used where the checkpoint has one, whatever config.json says. Options and what is thrown are those of
/// load_causal_lm(). architectures: the caller's own families, looked up first.
Seq2Seq load_seq2seq(const Checkpoint& checkpoint, const LoadOptions& options = {},
                     std::span<const Seq2SeqArchitecture* const> architectures = {});
Seq2Seq load_seq2seq(const std::filesystem::path& path, const LoadOptions& options = {},
                     std::span<const Seq2SeqArchitecture* const> architectures = {});

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/load_seq2seq.inl>
#endif
