#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/tensor.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/models/config_reader.hpp>

// The tensor table: what a checkpoint of a family holds and where it goes, as data, for any kind of model.
namespace weft::inline v0 {

/// The number of the layer, and that of the expert in it.
using TensorIndex = std::array<std::size_t, 2>;

/// One row of a family's tensor table. Matrices (AnyTensor) stay as they are in the file; vectors become float.
///
/// Weights: what the rows fill; Config: the sizes that shapes are made of.
template <class Weights, class Config>
struct TensorRow {
  using Extent = std::size_t (*)(const Config&);
  using Matrix = AnyTensor& (*)(Weights&, const TensorIndex&);
  using Vector = Tensor<float, 1>& (*)(Weights&, const TensorIndex&);

  /// The stored tensor holds ours among others: in each of `groups` runs of equally many of its rows, ours begin at row
  /// `begin` of the run. Queries, keys and values that lie one after the other are parts of one group, those that lie
  /// head by head are parts of as many groups as there are heads.
  struct Part {
    Extent stored = nullptr;  ///< rows of the stored tensor; null: it is ours alone
    Extent begin = nullptr;   ///< null: 0
    Extent groups = nullptr;  ///< null: 1. GGUF files have one group: all of a kind lie one after the other there
  };

  std::string_view name;  ///< as Hugging Face names it; the first "{}" stands for the layer, the second for the expert
  std::string_view gguf;  ///< as GGUF files name it; empty: they have none
  std::variant<Matrix, Vector> slot;
  Extent rows;
  Extent columns = nullptr;                                     ///< of matrices
  bool (*present)(const Config&, std::size_t layer) = nullptr;  ///< null: in every layer of every checkpoint
  Part part = {};
  bool transposed = false;     ///< stored as (columns, rows), as by GPT-2's Conv1D; never in GGUF files
  bool reshaped = false;       ///< stored in any shape of as many elements, as kernels of convolutions are
  bool lookup = false;         ///< a table whose rows are looked up, not multiplied
  bool repeated = false;       ///< a tensor that another row reads as well: the output head that is the embedding
  Extent layers = nullptr;     ///< how many layers have it where the name has a "{}"; null: Config::layers
  Extent experts = nullptr;    ///< null: it belongs to no expert. All experts in one tensor where the name has one "{}"
  std::string_view with = {};  ///< of an optional part: there also where the checkpoint has the tensor of this name

  bool matrix() const noexcept { return slot.index() == 0; }
  bool per_layer() const noexcept { return name.find("{}") != std::string_view::npos; }
  std::size_t layer_count(const Config& config) const {
    if (!per_layer()) return 1;
    if (layers) return layers(config);
    if constexpr (requires { config.layers; }) return config.layers;
    raise<ConfigError>("the row of ", name, " does not say how many layers have it");
  }
  std::size_t expert_count(const Config& config) const { return experts ? experts(config) : 1; }
};

/// A family as data: how its config.json is read and which tensors it has. What runs it is the same for all families of
/// a kind of model (decoders, encoders, ...), which has one Weights and one Config. Weights::resize(config) makes room
/// for the layers.
template <class WeightsOfKind, class ConfigOfKind>
struct Architecture {
  using Weights = WeightsOfKind;
  using Config = ConfigOfKind;
  using Row = TensorRow<Weights, Config>;

  std::string_view model_type;           ///< config.json's "model_type"
  Config (*read_config)(ConfigReader&);  ///< reads every key that matters; unknown ones are found after it
  std::span<const Row> tensors;
  std::span<const std::string_view> ignored_keys;     ///< config keys that do not change inference
  std::span<const std::string_view> ignored_tensors;  ///< names (with "{}") that a checkpoint may hold and nobody needs
  std::string_view prefix = {};         ///< "model.": what names lack in checkpoints of the model without its head
  std::string_view stored_prefix = {};  ///< what stands in place of `prefix` in its checkpoints; empty: that does
};

namespace detail {

/// "model.layers.{}.experts.{}.x" with the numbers in place of {}.
inline std::string tensor_name(std::string_view pattern, const TensorIndex& index) {
  std::string name;
  for (const std::size_t number : index) {
    const std::size_t at = pattern.find("{}");
    if (at == std::string_view::npos) break;
    name += concat(pattern.substr(0, at), number);
    pattern.remove_prefix(at + 2);
  }
  return name += pattern;
}

/// Whether `name` is `pattern` with some number in place of every {}.
inline bool matches_pattern(std::string_view name, std::string_view pattern) {
  for (std::size_t at; (at = pattern.find("{}")) != std::string_view::npos; pattern.remove_prefix(at + 2)) {
    if (!name.starts_with(pattern.substr(0, at))) return false;
    name.remove_prefix(at);
    const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
    if (digits == 0) return false;
    name.remove_prefix(digits);
  }
  return name == pattern;
}

inline std::size_t bytes_of_weight(const AnyTensor& matrix) noexcept { return matrix.bytes().size(); }
inline std::size_t bytes_of_weight(const Tensor<float, 1>& vector) noexcept { return vector.size() * sizeof(float); }

/// Numbers in all weights of a model, as its for_each_weight() goes through them.
template <class Weights>
std::size_t count_parameters(const Weights& weights) {
  std::size_t count = 0;
  for_each_weight(weights, [&](const auto& weight) { count += weight.size(); });
  return count;
}
/// Matrices and vectors.
template <class Weights>
std::size_t count_tensors(const Weights& weights) {
  std::size_t count = 0;
  for_each_weight(weights, [&](const auto& weight) { count += weight.size() != 0; });
  return count;
}
/// Bytes as they lie in memory or in mapped files.
template <class Weights>
std::size_t count_bytes(const Weights& weights) {
  std::size_t count = 0;
  for_each_weight(weights, [&](const auto& weight) { count += bytes_of_weight(weight); });
  return count;
}
/// Those that two matrices which lie in the same memory are counted too often.
inline std::size_t shared_bytes(const AnyTensor& a, const AnyTensor& b) noexcept {
  return a && b && a.bytes().data() == b.bytes().data() ? a.bytes().size() : 0;
}

/// The first line of describe(): family, numbers of parameters and tensors, memory, and the type that most numbers in
/// the matrices of `weights` have.
template <class Model, class... Weights>
std::string describe_weights(const Model& model, std::string_view source, const Weights&... weights) {
  std::array<std::size_t, dtype_table.size()> counts{};
  const auto count = [&](const auto& weight) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(weight)>, AnyTensor>)
      if (weight) counts[static_cast<std::size_t>(weight.dtype())] += weight.size();
  };
  (for_each_weight(weights, count), ...);
  const auto type = static_cast<DType>(std::max_element(counts.begin(), counts.end()) - counts.begin());
  return concat(source, ": ", model.model_type(), ", ", model.parameters(), " parameters (", name(type), ", ",
                model.tensors(), " tensors, ", model.weight_bytes(), " bytes)\n");
}

/// The architecture of a model_type; null where the list has none, and then `known` has the names of those it has.
template <class A>
const A* find_in(std::span<const A* const> list, std::string_view model_type, std::string& known) {
  for (const A* architecture : list) {
    if (!architecture || !architecture->read_config)
      raise<ConfigError>("load: an architecture is a null pointer or has no read_config");
    if (architecture->model_type == model_type) return architecture;
    known += known.empty() ? "" : ", ";
    known += architecture->model_type;
  }
  return nullptr;
}

[[noreturn]] inline void unknown_model_type(const Json& type, std::string_view known) {
  raise<UnsupportedError>(type.location(), ": the model type \"", type.as_string(), "\" is not supported (", known,
                          " are)");
}

/// The architecture of a config.json's model_type, looked up among `own` first, then among `built_in`.
template <class A>
const A& find_among(const Json& config, std::span<const A* const> own, std::span<const A* const> built_in) {
  const Json& type = config.at("model_type");
  std::string known;
  for (const std::span<const A* const> list : {own, built_in})
    if (const A* architecture = find_in(list, type.as_string(), known)) return *architecture;
  unknown_model_type(type, known);
}

template <class T>
T& entered(T& value, const std::size_t*&) {
  return value;
}
template <class T>
T& entered(std::vector<T>& values, const std::size_t*& index) {
  return values[*index++];
}

template <auto Member, auto... Rest, class T>
auto& follow_members(T& object, const std::size_t* index) {
  auto& next = entered(object.*Member, index);
  if constexpr (sizeof...(Rest) > 0) {
    return follow_members<Rest...>(next, index);
  } else {
    return next;
  }
}

template <class Weights, auto... Members>
auto& follow_slot(Weights& weights, const TensorIndex& index) {
  return follow_members<Members...>(weights, index.data());
}

template <class Weights, class T>
Weights owner_of(T Weights::*);

}  // namespace detail

/// TensorRow::slot as a chain of members: slot<&DecoderWeights::layers, &DecoderLayerWeights::mlp, &MlpWeights::up>.
/// The first vector on the way holds the layers, the second the experts of one.
template <auto First, auto... Rest>
inline constexpr auto slot = &detail::follow_slot<decltype(detail::owner_of(First)), First, Rest...>;

/// The extents that the configs of all kinds of models have: TensorRow::rows and columns.
namespace dim {

template <class Config>
std::size_t vocab(const Config& config) {
  return config.vocab;
}
template <class Config>
std::size_t hidden(const Config& config) {
  return config.hidden;
}
template <class Config>
std::size_t intermediate(const Config& config) {
  return config.intermediate;
}
template <class Config>
std::size_t query(const Config& config) {
  return config.query();
}
template <class Config>
std::size_t key_value(const Config& config) {
  return config.key_value();
}

}  // namespace dim

namespace arch {

/// A row with the name that GGUF files have for its tensor.
template <class Row>
constexpr Row in_gguf(std::string_view gguf, Row row) {
  row.gguf = gguf;
  return row;
}

/// Several tables as one.
template <class T, std::size_t... N>
constexpr auto joined(const std::array<T, N>&... tables) {
  std::array<T, (N + ...)> all{};
  std::size_t at = 0;
  const auto append = [&](const auto& table) {
    for (const T& row : table) all[at++] = row;
  };
  (append(tables), ...);
  return all;
}

}  // namespace arch
}  // namespace weft::inline v0
