#pragma once

#include <filesystem>

#include <weft/core/config.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/causal_lm.hpp>

namespace weft::inline v0 {

/// Reads an adapter for a model: a directory that PEFT saved (adapter_config.json beside adapter_model.safetensors or
/// adapter_model.bin), or a GGUF file whose general.type is "adapter". The model may be loaded from any kind of
/// checkpoint and in any type. Tensors keep the type that they are stored in; products with them are computed in float.
///
/// Throws FormatError for files that are missing or malformed, tensors that are missing, or that model or config do not
/// know, ConfigError for shapes and settings that do not fit the model, UnsupportedError for other kinds of adapters
/// and for keys of adapter_config.json that change what it computes and are not understood.
Adapter load_adapter(const CausalLM& model, const std::filesystem::path& path);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/load_adapter.inl>
#endif
