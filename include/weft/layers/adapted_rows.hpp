#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>
#include <weft/core/token_id.hpp>
#include <weft/cpu/context.hpp>
#include <weft/ops/embedding.hpp>
#include <weft/ops/linear.hpp>
#include <weft/ops/rows.hpp>

namespace weft::inline v0 {

/// A change of a product of low rank (Hu et al. 2021, arXiv:2106.09685): y += scale * (x a^T) b^T, then y *= gain (Liu
/// et al. 2024, arXiv:2402.09353), then y += bias. Of a table of embeddings, a[id] stands for x a^T.
struct LowRankChange {
  AnyTensor a;  // (rank, k), or (vocab, rank) of a table
  AnyTensor b;  // (rows, rank)
  float scale = 1.f;
  Tensor<float, 1> gain{};  // (rows), or none
  Tensor<float, 1> bias{};  // (rows), or none
};

/// What adapters change of the weights of a model.
class WeightChanges {
 public:
  struct Matrix {
    AnyTensor replaced{};                   ///< none: the matrix itself
    std::vector<LowRankChange> low_rank{};  ///< one after the other
  };

  /// The changes of a matrix, or null. Matrices are told apart by where they are, vectors by where their elements are.
  const Matrix* find(const AnyTensor& matrix) const noexcept {
    const auto found = matrices_.find(&matrix);
    return found != matrices_.end() ? &found->second : nullptr;
  }
  /// What stands in the place of a vector, or null.
  const Tensor<float, 1>* find(const float* vector) const noexcept {
    const auto found = vectors_.find(vector);
    return found != vectors_.end() ? &found->second : nullptr;
  }
  Matrix& of(const AnyTensor& matrix) { return matrices_[&matrix]; }
  Tensor<float, 1>& of(const float* vector) { return vectors_[vector]; }
  bool empty() const noexcept { return matrices_.empty() && vectors_.empty(); }

 private:
  std::unordered_map<const AnyTensor*, Matrix> matrices_;
  std::unordered_map<const float*, Tensor<float, 1>> vectors_;
};

/// Some rows of a pass one after the other, and what is changed for them; null: nothing.
struct AdaptedRows {
  std::size_t begin;
  std::size_t rows;
  const WeightChanges* changes;
};

/// Appends rows to those before, as part of the last run where that has the same changes.
inline void append_rows(std::vector<AdaptedRows>& runs, std::size_t rows, const WeightChanges* changes) {
  if (!runs.empty() && runs.back().changes == changes) {
    runs.back().rows += rows;
  } else {
    runs.push_back({runs.empty() ? 0 : runs.back().begin + runs.back().rows, rows, changes});
  }
}

/// What products with adapters need, kept from one to the next: after the first pass nothing is allocated.
struct AdapterScratch {
  struct Product {
    const LowRankChange* change;
    std::size_t begin;  // in `values`
  };
  std::vector<Product> products;           // of every run of rows one after the other
  std::vector<std::size_t> first_product;  // of every run
  std::vector<float> values;               // x a^T
  std::vector<LinearUpdate> updates;
  std::vector<LinearOutput> outputs;
  std::vector<AdaptedRows> gathered;
};

/// The adapters of all rows of a pass.
struct RowAdapters {
  std::span<const AdaptedRows> runs;
  AdapterScratch* scratch;

  /// Those of the rows that are `chosen`, which lie one after the other; until the next call.
  template <class Chosen>
  RowAdapters gather(Chosen&& chosen) const {
    scratch->gathered.clear();
    std::size_t count = 0;
    for (const AdaptedRows& run : runs) {
      const std::size_t begin = count;
      for (std::size_t row = run.begin; row < run.begin + run.rows; ++row) count += chosen(row) ? 1 : 0;
      if (count > begin) scratch->gathered.push_back({begin, count - begin, run.changes});
    }
    return {scratch->gathered, scratch};
  }
};

/// Where and how a layer runs: the context of its ops, and the adapters of its rows, null where none has any.
struct LayerContext : cpu::Context {
  LayerContext(const cpu::Context& ctx = {}, const RowAdapters* row_adapters = nullptr) noexcept
      : cpu::Context(ctx), adapters(row_adapters) {}

  const RowAdapters* adapters;
};

namespace detail {

/// Products of the same rows with the adapters of each.
class AdaptedLinear {
 public:
  AdaptedLinear(TensorView<const float, 2> x, std::span<const LinearOutput> outputs, const LayerContext& ctx)
      : x_(x), outputs_(outputs), ctx_(ctx), scratch_(*ctx.adapters->scratch) {}

  /// One product for all rows, unless some have weights of their own.
  void run(std::optional<LinearEpilogue> epilogue) {
    const std::span<const AdaptedRows> runs = ctx_.adapters->runs;
    if (runs.size() <= 1 || std::none_of(runs.begin(), runs.end(), [&](const auto& rows) { return replaces(rows); }))
      return multiply(runs, epilogue);
    for (std::size_t i = 0; i < runs.size(); ++i) multiply(runs.subspan(i, 1), std::nullopt);
    if (epilogue && !outputs_.empty()) (*epilogue)(0, outputs_[0].weight.extent(0));
  }

 private:
  bool replaces(const AdaptedRows& rows) const noexcept {
    return rows.changes && std::any_of(outputs_.begin(), outputs_.end(), [&](const LinearOutput& output) {
             const WeightChanges::Matrix* matrix = rows.changes->find(output.weight);
             return (matrix && matrix->replaced) || rows.changes->find(output.bias);
           });
  }

  static std::span<const LowRankChange> changes_of(const AdaptedRows& rows, const LinearOutput& output) noexcept {
    const WeightChanges::Matrix* matrix = rows.changes ? rows.changes->find(output.weight) : nullptr;
    return matrix ? std::span<const LowRankChange>(matrix->low_rank) : std::span<const LowRankChange>();
  }

  /// The product of x with `a` of a change, which several outputs may share.
  const AdapterScratch::Product* find(std::size_t first, const LowRankChange& change) const noexcept {
    for (std::size_t i = first; i < scratch_.products.size(); ++i) {
      const LowRankChange& other = *scratch_.products[i].change;
      if (other.a.bytes().data() == change.a.bytes().data() && other.scale == change.scale)
        return &scratch_.products[i];
    }
    return nullptr;
  }

  TensorView<float, 2> values(const AdapterScratch::Product& product, const AdaptedRows& rows) const noexcept {
    return {scratch_.values.data() + product.begin, {rows.rows, product.change->a.extent(0)}};
  }

  /// scale * (x a^T) of all changes.
  void multiply_first(std::span<const AdaptedRows> runs) {
    scratch_.products.clear();
    scratch_.first_product.clear();
    std::size_t size = 0;
    for (const AdaptedRows& rows : runs) {
      const std::size_t first = scratch_.products.size();
      scratch_.first_product.push_back(first);
      for (const LinearOutput& output : outputs_)
        for (const LowRankChange& change : changes_of(rows, output)) {
          if (find(first, change)) continue;
          scratch_.products.push_back({&change, size});
          size += rows.rows * change.a.extent(0);
        }
    }
    if (size > scratch_.values.size()) scratch_.values.resize(size);
    cpu::Context exact = ctx_;
    exact.compute = Compute::f32;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const std::size_t end = i + 1 < runs.size() ? scratch_.first_product[i + 1] : scratch_.products.size();
      scratch_.outputs.clear();
      for (std::size_t p = scratch_.first_product[i]; p < end; ++p)
        scratch_.outputs.push_back({scratch_.products[p].change->a, values(scratch_.products[p], runs[i])});
      linear(x_.narrow(0, runs[i].begin, runs[i].rows), scratch_.outputs, exact);
      for (std::size_t p = scratch_.first_product[i]; p < end; ++p)
        scale_rows(values(scratch_.products[p], runs[i]), scratch_.products[p].change->scale, ctx_);
    }
  }

  void multiply(std::span<const AdaptedRows> runs, std::optional<LinearEpilogue> epilogue) {
    if (runs.empty()) return;
    multiply_first(runs);
    const std::size_t begin = runs.front().begin;
    const std::size_t rows = runs.back().begin + runs.back().rows - begin;
    std::size_t count = 0;
    for (const AdaptedRows& run : runs)
      for (const LinearOutput& output : outputs_) count += changes_of(run, output).size();
    scratch_.updates.clear();
    scratch_.updates.reserve(count);
    scratch_.outputs.clear();
    for (const LinearOutput& output : outputs_) {
      const std::size_t first = scratch_.updates.size();
      for (std::size_t i = 0; i < runs.size(); ++i)
        for (const LowRankChange& change : changes_of(runs[i], output))
          scratch_.updates.push_back({.begin = runs[i].begin - begin,
                                      .tokens = runs[i].rows,
                                      .x = values(*find(scratch_.first_product[i], change), runs[i]),
                                      .weight = &change.b,
                                      .gain = change.gain.data(),
                                      .bias = change.bias.data()});
      // Rows with weights of their own are alone.
      const WeightChanges* changes = runs.front().changes;
      const WeightChanges::Matrix* matrix = changes ? changes->find(output.weight) : nullptr;
      const Tensor<float, 1>* bias = changes ? changes->find(output.bias) : nullptr;
      scratch_.outputs.push_back({matrix && matrix->replaced && runs.size() == 1 ? matrix->replaced : output.weight,
                                  output.y.narrow(0, begin, rows),
                                  bias && runs.size() == 1 ? bias->data() : output.bias,
                                  std::span(scratch_.updates).subspan(first)});
    }
    linear(x_.narrow(0, begin, rows), scratch_.outputs, static_cast<const cpu::Context&>(ctx_), epilogue);
  }

  TensorView<const float, 2> x_;
  std::span<const LinearOutput> outputs_;
  const LayerContext& ctx_;
  AdapterScratch& scratch_;
};

}  // namespace detail

/// linear() with the adapters of each row.
inline void linear(TensorView<const float, 2> x, std::span<const LinearOutput> outputs, const LayerContext& ctx,
                   std::optional<LinearEpilogue> epilogue = std::nullopt) {
  if (!ctx.adapters) return linear(x, outputs, static_cast<const cpu::Context&>(ctx), epilogue);
  detail::AdaptedLinear(x, outputs, ctx).run(epilogue);
}

inline void linear(TensorView<const float, 2> x, const AnyTensor& weight, TensorView<float, 2> y,
                   const LayerContext& ctx, const float* bias = nullptr) {
  const LinearOutput output{weight, y, bias};
  linear(x, std::span<const LinearOutput>(&output, 1), ctx);
}

/// embedding() with the adapters of each row.
inline void embedding(std::span<const TokenId> ids, const AnyTensor& table, TensorView<float, 2> y,
                      const LayerContext& ctx) {
  const cpu::Context& plain = ctx;
  if (!ctx.adapters) return embedding(ids, table, y, plain);
  for (const AdaptedRows& run : ctx.adapters->runs) {
    const std::span<const TokenId> some = ids.subspan(run.begin, run.rows);
    const TensorView<float, 2> to = y.narrow(0, run.begin, run.rows);
    const WeightChanges::Matrix* matrix = run.changes ? run.changes->find(table) : nullptr;
    embedding(some, matrix && matrix->replaced ? matrix->replaced : table, to, plain);
    if (!matrix) continue;
    std::vector<float>& values = ctx.adapters->scratch->values;
    for (const LowRankChange& change : matrix->low_rank) {
      values.resize(std::max(values.size(), run.rows * change.b.extent(1)));
      const TensorView<float, 2> x(values.data(), {run.rows, change.b.extent(1)});
      embedding(some, change.a, x, plain);
      detail::scale_rows(x, change.scale, plain);
      const LinearUpdate update{
          .tokens = run.rows, .x = x, .weight = &change.b, .gain = change.gain.data(), .bias = change.bias.data()};
      detail::update_product(to, std::span(&update, 1), plain);
    }
  }
}

}  // namespace weft::inline v0
