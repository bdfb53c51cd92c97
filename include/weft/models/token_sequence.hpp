#pragma once

#include <cstddef>
#include <span>
#include <stop_token>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/encoded_source.hpp>

namespace weft::inline v0 {

/// One sequence of tokens in the making, wherever a model computes it: what a Generator writes text with. Session
/// states what the functions do.
class TokenSequence {
 public:
  virtual ~TokenSequence() = default;

  virtual const CausalLM& model() const noexcept = 0;
  virtual std::size_t position() const noexcept = 0;
  virtual std::size_t context() const noexcept = 0;
  virtual void truncate(std::size_t length) = 0;
  virtual std::span<const float> forward(std::span<const TokenId> tokens, std::stop_token stop = {}) = 0;

  /// Throws UnsupportedError where this computation knows no adapters.
  virtual void set_adapters(AdapterSet) { raise<UnsupportedError>("set_adapters: there are none here"); }
  /// Throws UnsupportedError where it reads no source.
  virtual void attend_to(EncodedSource) { raise<UnsupportedError>("attend_to: no source is read here"); }
  /// The same with a source that it encodes itself. Throws UnsupportedError where it does not.
  virtual void attend_to(std::span<const TokenId>, const std::stop_token&) {
    raise<UnsupportedError>("attend_to: no source is encoded here");
  }
};

}  // namespace weft::inline v0
