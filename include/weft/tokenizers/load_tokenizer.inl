#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/tokenizers/gguf_tokenizer.hpp>
#include <weft/tokenizers/piece_vocabulary.hpp>
#include <weft/tokenizers/piece_vocabulary_files.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>
#include <weft/tokenizers/sentencepiece.hpp>
#include <weft/tokenizers/tiktoken.hpp>
#include <weft/tokenizers/tokenizer.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>
#include <weft/tokenizers/tokenizer_json.hpp>
#include <weft/tokenizers/vocabulary_files.hpp>

namespace weft::inline v0 {

WEFT_INLINE bool has_tokenizer_files(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const char* name : {"tokenizer.model", "tokenizer.json", "vocab.json", "vocab.txt", "spiece.model",
                           "sentencepiece.bpe.model", "source.spm"})
    if (std::filesystem::exists(directory / name, ignored)) return true;
  return false;
}

WEFT_INLINE std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& directory) {
  const auto pipeline = [](TokenizerParts parts) {
    return std::make_shared<const PipelineTokenizer>(std::move(parts));
  };
  const auto exists = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::exists(directory / name, ignored);
  };
  if (exists("tokenizer.json"))
    return pipeline(read_tokenizer_json(directory / "tokenizer.json", read_stated_tokenizer_config(directory)));
  if (exists("tokenizer.model")) {
    const std::filesystem::path model = directory / "tokenizer.model";
    if (detail::is_tiktoken_file(model.string())) return pipeline(read_llama3_tiktoken(model));
    return std::make_shared<const SentencePieceTokenizer>(model, read_tokenizer_config(directory));
  }
  if (exists("vocab.txt"))
    return pipeline(read_vocab_txt(directory / "vocab.txt", read_stated_tokenizer_config(directory)));
  if (exists("vocab.json") && exists("merges.txt"))
    return pipeline(
        read_vocab_json(directory / "vocab.json", directory / "merges.txt", read_stated_tokenizer_config(directory)));
  const auto pieces = [](PieceVocabulary vocabulary) {
    return std::make_shared<const PieceVocabularyTokenizer>(std::move(vocabulary));
  };
  const TokenizerConfig stated = read_stated_tokenizer_config(directory);
  if (exists("source.spm") && exists("vocab.json")) return pieces(read_marian_vocabulary(directory, stated));
  if (exists("sentencepiece.bpe.model"))
    return pieces(exists("vocab.json") ? read_m2m_100_vocabulary(directory, stated)
                                       : read_fairseq_vocabulary(directory / "sentencepiece.bpe.model", stated));
  if (exists("spiece.model")) return pieces(read_t5_vocabulary(directory / "spiece.model", stated));
  if (exists("vocab.json"))
    raise<UnsupportedError>((directory / "vocab.json").string(),
                            ": tokenizers of this kind are not supported; expected tokenizer.json, or merges.txt, "
                            "source.spm or sentencepiece.bpe.model beside it");
  raise<FormatError>(directory.string(), ": there is no tokenizer; expected tokenizer.json or tokenizer.model");
}

WEFT_INLINE std::shared_ptr<const Tokenizer> load_tokenizer(const Checkpoint& checkpoint) {
  if (const GgufFile* file = checkpoint.gguf()) {
    const std::optional<GgufVocabulary> vocabulary = read_gguf_vocabulary(*file);
    return vocabulary ? make_gguf_tokenizer(*vocabulary) : nullptr;
  }
  const bool there = !checkpoint.directory().empty() && has_tokenizer_files(checkpoint.directory());
  return there ? load_tokenizer(checkpoint.directory()) : nullptr;
}

}  // namespace weft::inline v0
