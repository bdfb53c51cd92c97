#pragma once

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <weft/core/error.hpp>
#include <weft/formats/json.hpp>
#include <weft/models/adapted_weights.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/adapter_config.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/merged_matrix.hpp>
#include <weft/models/peft_tensors.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/stored_names.hpp>

namespace weft::inline v0 {

namespace detail {

/// The biases of a product after those of its second low-rank matrix, scaled.
inline void merge_bias(const Adapter& adapter, const Adapter::Matrix& change, float scale, DecoderWeights& weights) {
  if (change.bias.empty()) return;
  if (!change.bias_slot)
    raise<UnsupportedError>(adapter.source(), ": lora_bias cannot be merged into a layer that has no bias");
  Tensor<float, 1>& bias = change.bias_slot(weights, change.index);
  if (bias.empty()) bias = Tensor<float, 1>({change.bias.size()});
  for (std::size_t i = 0; i < bias.size(); ++i) bias(i) += scale * change.bias(i);
}

inline void check_merge(const char* what, const CausalLM& model, const Adapter& adapter, float scale) {
  if (&adapter.model().weights() != &model.weights())
    raise<ConfigError>(what, ": ", adapter.source(), " was loaded for another model");
  if (!std::isfinite(scale)) raise<ConfigError>(what, ": the scale of ", adapter.source(), " is not a number");
}

inline cpu::Context context_of(const CausalLM& model) {
  return {.kernels = &model.kernels(), .executor = &model.executor()};
}

/// An adapter changes the embedding of a decoder and not the output head that is the same tensor.
inline void check_tied_head(const Checkpoint& checkpoint, const WeightsFile& merged) {
  const std::string_view type = checkpoint.config().get_or("model_type", "");
  std::string known;
  const auto* architecture = find_in<DecoderArchitecture>(decoder_architectures, type, known);
  if (!architecture) return;
  ConfigReader reader(checkpoint.config());
  const DecoderConfig config = architecture->read_config(reader);
  const StoredNames names(checkpoint, *architecture);
  for (const DecoderRow& row : architecture->tensors)
    if (row.present == arch::has::tied_output && config.tied_embeddings && merged.contains(names.name_of(row, {0, 0})))
      raise<UnsupportedError>(merged.path(), ": cannot be merged into ", names.name_of(row, {0, 0}), " of ",
                              checkpoint.location(), ", which is the output head too; load_adapter() keeps them apart");
}

}  // namespace detail

WEFT_INLINE CausalLM merge(const CausalLM& model, const Adapter& adapter, float scale) {
  detail::check_merge("merge", model, adapter, scale);
  CausalLM::Parts parts = model.parts();
  for (const Adapter::Matrix& m : adapter.matrices()) {
    AnyTensor& weight = m.slot(parts.weights, m.index);
    if (m.replaced) weight = m.replaced;
    if (!m.a) continue;
    weight = detail::merged_matrix(weight, m, scale * m.scale, detail::context_of(model));
    detail::merge_bias(adapter, m, scale * m.scale, parts.weights);
  }
  for (const Adapter::Vector& v : adapter.vectors()) v.slot(parts.weights, v.index) = v.replaced;
  const auto changed = [&](const AnyTensor DecoderWeights::*matrix) {
    return (parts.weights.*matrix).bytes().data() != (model.weights().*matrix).bytes().data();
  };
  if (changed(&DecoderWeights::embedding) || changed(&DecoderWeights::output)) parts.config.tied_embeddings = false;
  return CausalLM(std::move(parts));
}

WEFT_INLINE CausalLM unmerge(const CausalLM& model, const Adapter& adapter, float scale) {
  detail::check_merge("unmerge", model, adapter, scale);
  bool lost = !adapter.vectors().empty();
  for (const Adapter::Matrix& m : adapter.matrices()) lost = lost || m.replaced || !m.magnitude.length.empty();
  if (lost)
    raise<UnsupportedError>("unmerge: ", adapter.source(),
                            " replaces weights or scales them by magnitudes, which merging does not keep");
  return merge(model, adapter, -scale);
}

WEFT_INLINE Checkpoint merge(const Checkpoint& checkpoint, const std::filesystem::path& adapter, float scale) {
  if (!std::isfinite(scale)) raise<ConfigError>("merge: the scale of ", adapter.string(), " is not a number");
  LoraConfig config(parse_json_file((adapter / "adapter_config.json").string()));
  auto merged = std::make_shared<const detail::AdaptedWeights>(checkpoint, std::move(config),
                                                               detail::open_peft_weights(adapter), scale);
  detail::check_tied_head(checkpoint, *merged);
  return checkpoint.with(std::move(merged));
}

}  // namespace weft::inline v0
