#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// Whether there is any of the files that tokenizers are saved in, of whatever kind.
bool has_tokenizer_files(const FileSet& files);

/// The tokenizer of a directory, by the files that are there: tokenizer.json, else tokenizer.model (SentencePiece, or
/// the "base64 rank" lines of Llama 3 as Meta publishes it), else vocab.txt (WordPiece), else vocab.json with
/// merges.txt (byte-level BPE), with source.spm (Marian) or with sentencepiece.bpe.model (M2M-100), else spiece.model
/// (T5) or sentencepiece.bpe.model (mBART, NLLB). Throws UnsupportedError naming the file for a kind of tokenizer that
/// is not built, FormatError where there is none or it is malformed.
std::shared_ptr<const Tokenizer> load_tokenizer(const FileSet& files);
inline std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
  return load_tokenizer(FileSet(directory));
}

/// The same from sources in place of files, named as in such a directory, or of one GGUF file, whatever its name: bytes
/// in memory, streams, callbacks.
std::shared_ptr<const Tokenizer> load_tokenizer(std::vector<Source> files);

/// The tokenizer of a checkpoint: of its files, or of the metadata of a GGUF file. Null where there is none at all.
std::shared_ptr<const Tokenizer> load_tokenizer(const Checkpoint& checkpoint);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/tokenizers/load_tokenizer.inl>
#endif
