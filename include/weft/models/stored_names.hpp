#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/tensor_table.hpp>

namespace weft::inline v0::detail {

/// "blk.{}.ffn_up.{}.weight" for "blk.{}.ffn_up_exps.weight": older GGUF files have a tensor for every expert.
inline std::string pattern_of_one_expert(std::string_view gguf) {
  constexpr std::string_view all = "_exps";
  const std::size_t at = gguf.find(all);
  return at == gguf.npos ? std::string() : concat(gguf.substr(0, at), ".{}", gguf.substr(at + all.size()));
}

/// What a checkpoint calls the tensors of an architecture's table. `A` is an Architecture<...>.
template <class A>
class StoredNames {
 public:
  StoredNames(const Checkpoint& checkpoint, const A& architecture)
      : checkpoint_(checkpoint), architecture_(architecture), gguf_(checkpoint.gguf() != nullptr) {
    // A model saved without its head has no prefix in its names.
    const std::span<const std::string> names = checkpoint.tensor_names();
    const std::string_view prefix =
        architecture.stored_prefix.empty() ? architecture.prefix : architecture.stored_prefix;
    const bool headless = !gguf_ && std::none_of(names.begin(), names.end(),
                                                 [&](const std::string& name) { return name.starts_with(prefix); });
    prefix_ = headless ? std::string_view() : prefix;
  }

  /// With "{}" for the numbers; empty for a row that checkpoints of this kind do not have.
  std::string pattern_of(const typename A::Row& row) const {
    if (!gguf_) return pattern_of(row.name);
    const std::string older = row.experts ? pattern_of_one_expert(row.gguf) : std::string();
    return !older.empty() && checkpoint_.contains(tensor_name(older, {0, 0})) ? older : std::string(row.gguf);
  }
  std::string pattern_of(std::string_view name) const {
    if (!name.starts_with(architecture_.prefix)) return std::string(name);
    return concat(prefix_, name.substr(architecture_.prefix.size()));
  }

  /// Checkpoints that were converted from TensorFlow may call the parameters of norms gamma and beta.
  std::string name_of(const typename A::Row& row, const TensorIndex& index) const {
    std::string name = tensor_name(pattern_of(row), index);
    if (gguf_ || checkpoint_.contains(name)) return name;
    constexpr std::array<std::array<std::string_view, 2>, 2> older{{{".weight", ".gamma"}, {".bias", ".beta"}}};
    for (const auto& [ours, theirs] : older) {
      if (!name.ends_with(ours)) continue;
      std::string other = concat(std::string_view(name).substr(0, name.size() - ours.size()), theirs);
      if (checkpoint_.contains(other)) return other;
    }
    return name;
  }

  /// Whether a layer has the tensor of a row.
  template <class Config>
  bool has(const typename A::Row& row, const Config& config, std::size_t layer) const {
    return !row.present || row.present(config, layer) ||
           (!row.with.empty() && checkpoint_.contains(pattern_of(row.with)));
  }

 private:
  const Checkpoint& checkpoint_;
  const A& architecture_;
  bool gguf_;
  std::string_view prefix_;  // what this checkpoint has in place of the architecture's
};

/// Whether two tensors of a checkpoint have the same type, shape and elements.
inline bool are_equal(const Checkpoint& checkpoint, const std::string& first, const std::string& second) {
  const AnyTensor a = checkpoint.tensor(first), b = checkpoint.tensor(second);
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::ranges::equal(a.bytes(), b.bytes());
}

/// Whether a checkpoint of an encoder-decoder holds a table of embeddings of one half that is another than the one for
/// both, as an untied model of transformers 5 does.
template <class A>
bool has_separate_tables(const Checkpoint& checkpoint, const A& architecture) {
  const StoredNames<A> names(checkpoint, architecture);
  const auto stored = [&](std::string_view table) { return names.pattern_of(concat(architecture.prefix, table)); };
  const auto differs = [&, shared = stored("shared.weight")](std::string_view table) {
    const std::string own = stored(table);
    return checkpoint.contains(own) && (!checkpoint.contains(shared) || !are_equal(checkpoint, own, shared));
  };
  return differs("encoder.embed_tokens.weight") || differs("decoder.embed_tokens.weight");
}

}  // namespace weft::inline v0::detail
