#pragma once

#include <vector>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

/// Sets the metadata of `writer` to those of a checkpoint and lists its tensors, for a GGUF file that holds the same
/// model: those of a GGUF checkpoint as they are, those of a Hugging Face directory under GGUF's names, with queries
/// and keys of Llama in the order of that format and vectors as f32. The tensors read from the checkpoint when they are
/// asked to. Throws UnsupportedError for families and tokenizers that GGUF, or weft, has no place for.
std::vector<TensorToWrite> export_gguf(const Checkpoint& checkpoint, GgufWriter& writer);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/export_gguf.inl>
#endif
