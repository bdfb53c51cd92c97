#pragma once

#include <filesystem>

#include <weft/core/config.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/causal_lm.hpp>

namespace weft::inline v0 {

/// A model that computes what `model` does with the adapter: W + scale * BA, scaled by rows where the adapter has
/// magnitudes (DoRA), and what the adapter replaces. Matrices keep their type, to which sums are rounded: of block
/// formats as quantize_row() says. All other weights are shared with `model`, which stays as it is: who merges to try
/// goes back to it. Throws ConfigError for an adapter of another model and for a scale that is not finite,
/// UnsupportedError for a bias that the model has no place for, std::bad_alloc.
CausalLM merge(const CausalLM& model, const Adapter& adapter, float scale = 1.f);

/// A model from which an adapter is taken out that was merged into its checkpoint: W - scale * BA, rounded as merge()
/// does. `adapter` was loaded for `model`, the merged one. Throws what merge() throws, and UnsupportedError for what
/// merging loses: the weights that an adapter replaces, and the lengths of the rows that DoRA scales.
CausalLM unmerge(const CausalLM& model, const Adapter& adapter, float scale = 1.f);

/// A checkpoint of a model of any kind, with the LoRA adapter in a directory that PEFT saved merged into its weights:
/// what load_encoder(), load_seq2seq() and load_vision() run adapters by. Each weight that it changes becomes
/// W + scale * BA in its own type when it is read, scaled where the adapter has magnitudes (DoRA), of quantised layers
/// in the type that they stand for; what the adapter replaces or brings, as the head of a classifier, is there in its
/// place. config.json stays as it is: where the adapter brings a head, it must be that of a model with the head.
/// Adapters can be merged one after the other.
///
/// Throws FormatError for files that are missing or malformed and for tensors that are missing, or that checkpoint or
/// adapter_config.json do not know, ConfigError for shapes that do not fit and for a scale that is not finite, and
/// UnsupportedError as load_adapter() does, for a bias of a layer that has none, and for a decoder's embedding that is
/// its output head too, of which an adapter changes the one and not the other.
Checkpoint merge(const Checkpoint& checkpoint, const std::filesystem::path& adapter, float scale = 1.f);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/merge_adapter.inl>
#endif
