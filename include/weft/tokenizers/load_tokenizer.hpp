#pragma once

#include <filesystem>
#include <memory>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// Whether a directory holds any of the files that tokenizers are saved in, of whatever kind.
bool has_tokenizer_files(const std::filesystem::path& directory);

/// The tokenizer of a directory, by the files that are there: tokenizer.json, else tokenizer.model (SentencePiece, or
/// the "base64 rank" lines of Llama 3 as Meta publishes it), else vocab.txt (WordPiece), else vocab.json with
/// merges.txt (byte-level BPE), with source.spm (Marian) or with sentencepiece.bpe.model (M2M-100), else spiece.model
/// (T5) or sentencepiece.bpe.model (mBART, NLLB). Throws UnsupportedError naming the file for a kind of tokenizer that
/// is not built, FormatError where there is none or it is malformed.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& directory);

/// The tokenizer of a checkpoint: of its directory, or of the metadata of a GGUF file. Null where there is none at all,
/// as in a checkpoint that was opened from sources.
std::shared_ptr<const Tokenizer> load_tokenizer(const Checkpoint& checkpoint);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/tokenizers/load_tokenizer.inl>
#endif
