#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>

#include <weft/core/config.hpp>
#include <weft/core/dtype.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/causal_lm.hpp>

namespace weft::inline v0 {

/// How save_pretrained() writes.
struct SaveOptions {
  /// f32, f16 or bf16, to which weights are rounded; null: the type of the embedding, f32 where that is none of these.
  std::optional<DType> weights = {};
  std::size_t max_shard_bytes = 5'000'000'000;  ///< of tensors in one file; a larger tensor has a file of its own
  std::function<void(const WriteProgress&)> progress = {};  ///< called after every tensor; what it throws ends writing
};

/// Writes a decoder as a directory that transformers loads with AutoModelForCausalLM.from_pretrained: config.json of
/// the checkpoint that it was loaded from (without its quantization_config), generation_config.json, the weights in
/// model.safetensors or, above options.max_shard_bytes, in shards with their index, and the tokenizer files of the
/// directory that it was loaded from. Quantised weights become floats, merged adapters are part of the weights, rows of
/// queries and keys that neighbours rotate in (GGUF, Meta) go where transformers has them. One tensor at a time is in
/// memory beside the model.
///
/// Throws ConfigError where the directory has a checkpoint already, UnsupportedError for models without a config.json,
/// with a rotary scaling or biases that transformers has no place for, and for another type of weights, FormatError
/// where a file cannot be written; what was written is then removed. A tokenizer inside a GGUF file is not written.
void save_pretrained(const CausalLM& model, const std::filesystem::path& directory, const SaveOptions& options = {});

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/save_pretrained.inl>
#endif
