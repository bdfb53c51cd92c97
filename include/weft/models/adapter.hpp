#pragma once

#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/tensor.hpp>
#include <weft/layers/adapted_rows.hpp>
#include <weft/models/causal_lm.hpp>

namespace weft::inline v0 {

/// What was trained on top of a model: changes of low rank, and weights that replace others. Immutable, cheap to copy
/// (copies share the tensors), shared freely between threads; it keeps its model alive.
class Adapter {
 public:
  /// What DoRA scales the rows r of W + scale * BA to, and what their lengths are made of.
  struct Magnitude {
    Tensor<float, 1> length{};      // (rows); none: rows are left as they are
    std::vector<double> weight{};   // |W_r|^2
    std::vector<double> product{};  // W_r (BA)_r
    std::vector<double> change{};   // |(BA)_r|^2

    /// length / |W + scale * BA|.
    Tensor<float, 1> gain(float scale) const {
      auto gains = Tensor<float, 1>::uninitialised({weight.size()});
      const auto s = static_cast<double>(scale);
      for (std::size_t r = 0; r < weight.size(); ++r)
        gains(r) = static_cast<float>(static_cast<double>(length(r)) /
                                      std::sqrt(weight[r] + 2 * s * product[r] + s * s * change[r]));
      return gains;
    }
  };

  /// A change of one matrix of the model: LowRankChange, or another in its place.
  struct Matrix {
    DecoderRow::Matrix slot;
    TensorIndex index;
    bool table = false;    ///< its rows are looked up: LowRankChange::a is (vocab, rank)
    AnyTensor replaced{};  ///< none: the matrix itself
    AnyTensor a{};         ///< none: nothing is added
    AnyTensor b{};
    float scale = 1.f;                       ///< alpha / rank
    Tensor<float, 1> bias{};                 ///< of `b`, or none
    DecoderRow::Vector bias_slot = nullptr;  ///< where the model has, or would have, the bias of the matrix; or null
    Magnitude magnitude{};
  };
  /// Another vector in the place of one of the model's.
  struct Vector {
    DecoderRow::Vector slot;
    TensorIndex index;
    Tensor<float, 1> replaced;
  };
  /// What load_adapter() puts together.
  struct Parts {
    CausalLM model;
    std::string source;  ///< where it came from, for messages
    std::vector<Matrix> matrices{};
    std::vector<Vector> vectors{};
  };

  explicit Adapter(Parts parts) : parts_(std::make_shared<const Parts>(std::move(parts))) {}

  /// The model that it was loaded for.
  const CausalLM& model() const noexcept { return parts_->model; }
  const std::string& source() const noexcept { return parts_->source; }
  std::span<const Matrix> matrices() const noexcept { return parts_->matrices; }
  std::span<const Vector> vectors() const noexcept { return parts_->vectors; }

  /// Numbers that were trained.
  std::size_t parameters() const {
    std::size_t count = 0;
    for (const Matrix& m : matrices())
      count += m.replaced.size() + m.a.size() + m.b.size() + m.bias.size() + m.magnitude.length.size();
    for (const Vector& v : vectors()) count += v.replaced.size();
    return count;
  }

 private:
  std::shared_ptr<const Parts> parts_;
};

/// An adapter, and what its low-rank changes are multiplied with. What it replaces it replaces whatever the scale.
struct ScaledAdapter {
  Adapter adapter;
  float scale = 1.f;
};

namespace detail {

/// The weight that a slot of the tensor table names.
template <class Slot>
const auto& weight_at(const DecoderWeights& weights, Slot slot, const TensorIndex& index) {
  return slot(const_cast<DecoderWeights&>(weights), index);
}

}  // namespace detail

/// Adapters of one model that work together, in their order: changes of low rank add up, those with magnitudes (DoRA)
/// scale what those before them have given, as PEFT does with several active adapters. Immutable; copies share
/// everything. Sessions of one Batch that share a set are computed fastest.
class AdapterSet {
 public:
  AdapterSet() = default;
  /// Throws ConfigError for adapters of different models, two that replace the same weight, and scales that are not
  /// finite.
  explicit AdapterSet(std::span<const ScaledAdapter> adapters) {
    if (adapters.empty()) return;
    auto state = std::make_shared<State>();
    state->weights = &adapters[0].adapter.model().weights();
    for (const ScaledAdapter& scaled : adapters) {
      if (&scaled.adapter.model().weights() != state->weights)
        raise<ConfigError>(scaled.adapter.source(), ": the adapter was loaded for another model than ",
                           adapters[0].adapter.source());
      if (!std::isfinite(scaled.scale))
        raise<ConfigError>(scaled.adapter.source(), ": the scale of the adapter is not a number");
      add(*state, scaled);
    }
    state_ = std::move(state);
  }
  AdapterSet(std::initializer_list<ScaledAdapter> adapters)
      : AdapterSet(std::span<const ScaledAdapter>(adapters.begin(), adapters.size())) {}

  bool empty() const noexcept { return state_ == nullptr; }
  /// The weights of the model that the adapters were loaded for; null for an empty set.
  const DecoderWeights* weights() const noexcept { return state_ ? state_->weights : nullptr; }
  /// What they change; null for an empty set.
  const WeightChanges* changes() const noexcept { return state_ ? &state_->changes : nullptr; }

 private:
  struct State {
    const DecoderWeights* weights = nullptr;
    WeightChanges changes{};
  };

  static void add(State& state, const ScaledAdapter& scaled) {
    const auto twice = [&] {
      raise<ConfigError>(scaled.adapter.source(), ": the adapter replaces a weight that another one replaces too");
    };
    for (const Adapter::Matrix& m : scaled.adapter.matrices()) {
      WeightChanges::Matrix& to = state.changes.of(detail::weight_at(*state.weights, m.slot, m.index));
      if (m.replaced) {
        if (to.replaced) twice();
        to.replaced = m.replaced;
      }
      if (!m.a) continue;
      LowRankChange change{.a = m.a, .b = m.b, .scale = m.scale * scaled.scale};
      if (!m.magnitude.length.empty()) change.gain = m.magnitude.gain(change.scale);
      if (!m.bias.empty()) {
        change.bias = m.bias;
        for (float& value : change.bias.elements()) value *= change.scale;
      }
      to.low_rank.push_back(std::move(change));
    }
    for (const Adapter::Vector& v : scaled.adapter.vectors()) {
      Tensor<float, 1>& to = state.changes.of(detail::weight_at(*state.weights, v.slot, v.index).data());
      if (!to.empty()) twice();
      to = v.replaced;
    }
  }

  std::shared_ptr<const State> state_;
};

}  // namespace weft::inline v0
