#pragma once

#include <filesystem>
#include <memory>
#include <span>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/seq2seq.hpp>
#include <weft/models/seq2seq_loader.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

namespace weft::inline v0 {

WEFT_INLINE Seq2Seq load_seq2seq(const Checkpoint& checkpoint, const LoadOptions& options,
                                 std::span<const Seq2SeqArchitecture* const> architectures) {
  const auto tokenizer = [&]() -> std::shared_ptr<const Tokenizer> {
    return options.tokenizer ? load_tokenizer(checkpoint) : nullptr;
  };
  return detail::load_seq2seq_with(tokenizer, checkpoint, options, architectures);
}
WEFT_INLINE Seq2Seq load_seq2seq(const std::filesystem::path& path, const LoadOptions& options,
                                 std::span<const Seq2SeqArchitecture* const> architectures) {
  return load_seq2seq(Checkpoint::open(path), options, architectures);
}

}  // namespace weft::inline v0
