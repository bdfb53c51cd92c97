#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/arch/decoder_tensors.hpp>
#include <weft/models/merged_matrix.hpp>
#include <weft/models/paired_rows.hpp>
#include <weft/models/peft_tensors.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/quantize.hpp>
#include <weft/quant/quantize.hpp>

namespace weft::inline v0::detail {

/// Builds an adapter from the tensors of a file, whose names are those of one kind of checkpoint.
class AdapterBuilder {
 public:
  /// Where a tensor of a checkpoint goes.
  struct Place {
    const DecoderRow* row;
    TensorIndex index;
  };
  AdapterBuilder(const CausalLM& model, const WeightsFile& file, bool gguf, bool neighbours)
      : parts_{.model = model, .source = file.path()}, file_(file), gguf_(gguf) {
    const DecoderArchitecture* architecture = model.parts().architecture;
    if (!architecture) raise<ConfigError>(file.path(), ": the model was not loaded from a checkpoint");
    const bool model_neighbours = model.parts().checkpoint_config.get_or("rope_interleave", false);
    if (neighbours != model_neighbours) pairing_ = model_neighbours ? RopePairing::interleaved : RopePairing::halves;
    prefix_ = gguf ? std::string_view() : architecture->prefix;
    for (const DecoderRow& row : architecture->tensors) list(row);
  }

  /// All places by the names of their tensors.
  const std::map<std::string, std::vector<Place>, std::less<>>& places() const noexcept { return places_; }
  const DecoderConfig& config() const noexcept { return parts_.model.config(); }

  /// The name in a checkpoint of the whole model of what the file calls `name`; empty where there is none.
  std::string_view full_name(std::string_view name) const {
    auto found = places_.find(name);
    if (found == places_.end()) found = places_.find(concat(prefix_, name));
    return found == places_.end() ? std::string_view() : std::string_view(found->first);
  }

  void add_low_rank(std::string_view tensor, const StoredLowRank& stored, std::size_t rank, float scale) {
    const auto missing = [&](const char* what) {
      raise<FormatError>(file_.path(), ": there is no ", what, " for ", tensor);
    };
    if (!stored.a) missing(stored.table ? "lora_embedding_A" : "lora_A");
    if (!stored.b) missing(stored.table ? "lora_embedding_B" : "lora_B");
    const std::vector<Place>& places = places_.find(tensor)->second;
    const DecoderRow& first = *places[0].row;
    if (!first.matrix() || first.lookup != stored.table)
      raise<FormatError>(file_.path(), ": ", tensor, " is ",
                         !first.matrix() ? "a vector"
                         : first.lookup  ? "a table"
                                         : "a matrix that is multiplied",
                         ", which cannot be changed by this kind of tensors");
    const std::size_t rows = first.part.stored ? first.part.stored(config()) : first.rows(config());
    const std::size_t columns = first.columns(config());
    const bool by_token = stored.table && gguf_;
    // Of a table, the roles of rows and columns are exchanged.
    const std::size_t out = stored.table ? columns : rows, in = stored.table ? rows : columns;
    expect(*stored.a, by_token ? Shape{in, rank} : Shape{rank, in}, tensor, "first");
    expect(*stored.b, Shape{out, rank}, tensor, "second");
    if (stored.bias) expect(*stored.bias, Shape{out}, tensor, "bias of the second");
    if (stored.magnitude && stored.magnitude->size() != out) expect(*stored.magnitude, Shape{out}, tensor, "magnitude");
    const cpu::Context ctx = context();
    const AnyTensor a = !stored.table ? to_panels(*stored.a, ctx) : by_token ? *stored.a : transposed_copy(*stored.a);
    for (const Place& place : places) {
      Adapter::Matrix& matrix = matrix_at(place);
      const auto part = [&](const AnyTensor& whole) { return stored.table ? whole : part_of(*place.row, whole); };
      matrix.table = stored.table;
      matrix.a = a;
      matrix.b = to_panels(part(*stored.b), ctx);
      matrix.scale = scale;
      if (stored.bias) matrix.bias = float_copy(part(*stored.bias));
      if (stored.magnitude) matrix.magnitude.length = float_copy(part(stored.magnitude->reshaped(Shape{out})));
      matrix.bias_slot = bias_slot_of(tensor, place);
    }
  }

  /// Another tensor in the place of one of the model's.
  void replace(std::string_view name, const AnyTensor& stored) {
    if (!replaced_.emplace(name).second) raise<FormatError>(file_.path(), ": ", name, " is there twice");
    for (const Place& place : places_.find(name)->second) {
      const DecoderRow& row = *place.row;
      const std::size_t rows = row.part.stored ? row.part.stored(config()) : row.rows(config());
      const bool transposed = row.transposed && !gguf_;
      if (!row.matrix()) {
        expect(stored, Shape{rows}, name, "replacing");
        parts_.vectors.push_back(
            {std::get<DecoderRow::Vector>(row.slot), place.index, float_copy(part_of(row, stored))});
        continue;
      }
      const std::size_t columns = row.columns(config());
      expect(stored, transposed ? Shape{columns, rows} : Shape{rows, columns}, name, "replacing");
      matrix_at(place).replaced = convert_weight(part_of(row, transposed ? transposed_copy(stored) : stored),
                                                 stored.dtype(), row.lookup ? Layout::rows : Layout::panels, context());
    }
  }

  Adapter build() {
    if (parts_.matrices.empty() && parts_.vectors.empty())
      raise<FormatError>(parts_.source, ": the adapter has no tensors, it would change nothing");
    for (Adapter::Matrix& matrix : parts_.matrices)
      if (!matrix.magnitude.length.empty())
        measure_magnitude(
            matrix.replaced ? matrix.replaced : weight_at(parts_.model.weights(), matrix.slot, matrix.index), matrix,
            context());
    return Adapter(std::move(parts_));
  }

 private:
  void list(const DecoderRow& row) {
    const std::string_view pattern = gguf_ ? row.gguf : row.name;
    if (pattern.empty() || row.repeated) return;
    for (std::size_t layer = 0; layer < row.layer_count(config()); ++layer) {
      // A head that is the embedding may become another.
      if (row.present && row.present != arch::has::own_output && !row.present(config(), layer)) {
        if (!row.matrix()) absent_.push_back({&row, {layer, 0}});
        continue;
      }
      for (std::size_t expert = 0; expert < row.expert_count(config()); ++expert) {
        const TensorIndex index{layer, expert};
        places_[tensor_name(pattern, index)].push_back({&row, index});
      }
    }
  }

  cpu::Context context() const { return {.kernels = &parts_.model.kernels(), .executor = &parts_.model.executor()}; }

  void expect(const AnyTensor& tensor, const Shape& shape, std::string_view name, const char* what) const {
    if (tensor.shape() != shape)
      raise<ConfigError>(file_.path(), ": the ", what, " tensor of ", name, " has shape ", to_string(tensor.shape()),
                         ", model and adapter say ", to_string(shape));
    if (tensor.dtype() != DType::f32 && tensor.dtype() != DType::f16 && tensor.dtype() != DType::bf16)
      raise<FormatError>(file_.path(), ": the ", what, " tensor of ", name, " has element type ",
                         weft::name(tensor.dtype()), ", expected f32, f16 or bf16");
  }

  /// The rows of a stored tensor that belong to one row of the table, in the order in which the model has them.
  AnyTensor part_of(const DecoderRow& row, const AnyTensor& stored) const {
    AnyTensor part = stored;
    if (row.part.stored) {
      const std::size_t groups = row.part.groups ? row.part.groups(config()) : 1;
      const std::size_t begin = row.part.begin ? row.part.begin(config()) : 0;
      part = gguf_ ? rows_of_groups(stored, 1, begin * groups, row.rows(config()))
                   : rows_of_groups(stored, groups, begin, row.rows(config()));
    }
    const bool rotates = row.gguf.find(".attn_q.") != row.gguf.npos || row.gguf.find(".attn_k.") != row.gguf.npos;
    return pairing_ && rotates ? paired_rows(part, config().head_dim, *pairing_) : part;
  }

  Adapter::Matrix& matrix_at(const Place& place) {
    const auto slot = std::get<DecoderRow::Matrix>(place.row->slot);
    const AnyTensor* weight = &weight_at(parts_.model.weights(), slot, place.index);
    const auto [found, added] = matrix_of_.emplace(weight, parts_.matrices.size());
    if (added) parts_.matrices.push_back({.slot = slot, .index = place.index});
    return parts_.matrices[found->second];
  }

  /// The slot of the bias beside a matrix, present in the model or not.
  DecoderRow::Vector bias_slot_of(std::string_view tensor, const Place& place) const {
    if (!tensor.ends_with(".weight")) return nullptr;
    const std::string name = concat(tensor.substr(0, tensor.size() - 7), ".bias");
    const auto fits = [&](const Place& other) {
      return !other.row->matrix() && other.row->rows == place.row->rows &&
             other.row->part.begin == place.row->part.begin;
    };
    const auto slot_of = [](const Place& found) { return std::get<DecoderRow::Vector>(found.row->slot); };
    if (const auto found = places_.find(name); found != places_.end())
      for (const Place& other : found->second)
        if (fits(other)) return slot_of(other);
    for (const Place& other : absent_)
      if (fits(other) && tensor_name(gguf_ ? other.row->gguf : other.row->name, other.index) == name)
        return slot_of(other);
    return nullptr;
  }

  Adapter::Parts parts_;
  const WeightsFile& file_;
  bool gguf_;
  std::optional<RopePairing> pairing_;  // to which the rows of queries and keys are brought
  std::string_view prefix_;
  std::map<std::string, std::vector<Place>, std::less<>> places_;
  std::vector<Place> absent_;  // vectors that other models of the family have
  std::map<const AnyTensor*, std::size_t> matrix_of_;
  std::set<std::string, std::less<>> replaced_;
};

}  // namespace weft::inline v0::detail
