#pragma once

#include <vector>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

/// Sets the metadata of `writer` to those of a checkpoint and lists its tensors, for a GGUF file that holds the same
/// model: those of a GGUF checkpoint as they are, those of a Hugging Face directory as llama.cpp's converter writes
/// them: under GGUF's names, queries and keys of Llama and OLMo in the order of that format, kinds of rows in one
/// tensor one after the other, all experts in one tensor, gains whole, vectors as f32. Matrices keep their type, and
/// read from the checkpoint when they are asked to. RoBERTa, CamemBERT and DistilBERT are written as BERT, with the
/// pooling of sentence-transformers; the pooler and the heads of pre-training are left out. Throws UnsupportedError for
/// families, choices of a config.json, heads and tokenizers that GGUF, or weft, has no place for, ConfigError for a
/// tensor of another shape than config.json says.
std::vector<TensorToWrite> export_gguf(const Checkpoint& checkpoint, GgufWriter& writer);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/export_gguf.inl>
#endif
