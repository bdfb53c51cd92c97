#pragma once

#include <weft/core/config.hpp>
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

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/models/merge_adapter.inl>
#endif
