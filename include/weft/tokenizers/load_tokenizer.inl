#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

WEFT_INLINE bool has_tokenizer_files(const FileSet& files) {
  for (const char* name : {"tokenizer.model", "tokenizer.json", "vocab.json", "vocab.txt", "spiece.model",
                           "sentencepiece.bpe.model", "source.spm"})
    if (files.contains(name)) return true;
  return false;
}

WEFT_INLINE std::shared_ptr<const Tokenizer> load_tokenizer(const FileSet& files) {
  const auto pipeline = [](TokenizerParts parts) {
    return std::make_shared<const PipelineTokenizer>(std::move(parts));
  };
  const auto exists = [&](const char* name) { return files.contains(name); };
  if (exists("tokenizer.json"))
    return pipeline(read_tokenizer_json(parse_json(files.open("tokenizer.json")), read_stated_tokenizer_config(files)));
  if (exists("tokenizer.model")) {
    const Source model = files.open("tokenizer.model");
    if (detail::is_tiktoken_file(model)) return pipeline(read_llama3_tiktoken(model));
    return std::make_shared<const SentencePieceTokenizer>(model, read_tokenizer_config(files));
  }
  const TokenizerConfig stated = read_stated_tokenizer_config(files);
  if (exists("vocab.txt")) return pipeline(read_vocab_txt(files, stated));
  if (exists("vocab.json") && exists("merges.txt")) return pipeline(read_vocab_json(files, stated));
  const auto pieces = [](PieceVocabulary vocabulary) {
    return std::make_shared<const PieceVocabularyTokenizer>(std::move(vocabulary));
  };
  if (exists("source.spm") && exists("vocab.json")) return pieces(read_marian_vocabulary(files, stated));
  if (exists("sentencepiece.bpe.model"))
    return pieces(exists("vocab.json") ? read_m2m_100_vocabulary(files, stated)
                                       : read_fairseq_vocabulary(files, stated));
  if (exists("spiece.model")) return pieces(read_t5_vocabulary(files, stated));
  if (exists("vocab.json"))
    raise<UnsupportedError>(files.location_of("vocab.json"),
                            ": tokenizers of this kind are not supported; expected tokenizer.json, or merges.txt, "
                            "source.spm or sentencepiece.bpe.model beside it");
  raise<FormatError>(files.location(), ": there is no tokenizer; expected tokenizer.json or tokenizer.model");
}

WEFT_INLINE std::shared_ptr<const Tokenizer> load_tokenizer(std::vector<Source> files) {
  if (files.size() != 1 || !is_gguf_file(files[0])) return load_tokenizer(FileSet(std::move(files)));
  const std::optional<GgufVocabulary> vocabulary = read_gguf_vocabulary(GgufFile(files[0]));
  if (!vocabulary) raise<FormatError>(files[0].name(), ": there is no tokenizer in its metadata");
  return make_gguf_tokenizer(*vocabulary);
}

WEFT_INLINE std::shared_ptr<const Tokenizer> load_tokenizer(const Checkpoint& checkpoint) {
  if (const GgufFile* file = checkpoint.gguf()) {
    const std::optional<GgufVocabulary> vocabulary = read_gguf_vocabulary(*file);
    return vocabulary ? make_gguf_tokenizer(*vocabulary) : nullptr;
  }
  const FileSet files = checkpoint.files();
  return has_tokenizer_files(files) ? load_tokenizer(files) : nullptr;
}

}  // namespace weft::inline v0
