#pragma once

#include <concepts>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include <weft/core/tensor_view.hpp>
#include <weft/core/token_id.hpp>

namespace weft::inline v0 {

/// Whatever changes the logits before a token is chosen: called as processor(logits, history) with the logits of every
/// token of the vocabulary, (vocab), to be changed in place (-inf bans a token), and the tokens so far, oldest first.
/// It may keep a state of its own. A lambda of these two parameters is one.
template <class P>
concept LogitsProcessor = std::invocable<P&, std::span<float>, std::span<const TokenId>>;

/// Owns any LogitsProcessor; movable. Pass std::ref(processor) to keep the processor outside.
class AnyLogitsProcessor {
 public:
  template <class P>
  requires(!std::same_as<std::remove_cvref_t<P>, AnyLogitsProcessor> && LogitsProcessor<std::remove_cvref_t<P>>)
      AnyLogitsProcessor(P&& processor)
      : holder_(std::make_unique<Holder<std::remove_cvref_t<P>>>(std::forward<P>(processor))) {}

  void operator()(std::span<float> logits, std::span<const TokenId> history) { holder_->process(logits, history); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void process(std::span<float> logits, std::span<const TokenId> history) = 0;
  };
  template <class P>
  struct Holder final : Base {
    template <class Q>
    explicit Holder(Q&& processor) : processor_(std::forward<Q>(processor)) {}
    void process(std::span<float> logits, std::span<const TokenId> history) override {
      static_cast<void>(processor_(logits, history));
    }
    P processor_;
  };

  std::unique_ptr<Base> holder_;
};

/// One row of floats as an argument: a std::vector, std::array or std::span of float, or a contiguous rank-1 tensor of
/// float. Throws ShapeError for a strided view (pass its contiguous() copy).
class FloatRow {
 public:
  template <class R>
  requires std::is_convertible_v<R&&, std::span<const float>> FloatRow(R&& row) : values_(std::forward<R>(row)) {}

  template <TensorLike X>
  requires(rank_of<const X> == 1 && std::same_as<value_t<const X>, float> &&
           !std::is_convertible_v<const X&, std::span<const float>>) FloatRow(const X& row) {
    const auto v = view(row);
    if (!v.is_contiguous()) raise<ShapeError>("sampling: the row is strided; pass its contiguous() copy");
    values_ = {v.data(), v.extent(0)};
  }

  std::span<const float> values() const noexcept { return values_; }

 private:
  std::span<const float> values_;
};

}  // namespace weft::inline v0
