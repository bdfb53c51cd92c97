#pragma once

#include <weft/sampling/logits_processor.hpp>
#include <weft/sampling/params.hpp>

namespace weft::inline v0 {

/// logits / temperature: below 1 the likely tokens become likelier, above 1 all become more alike. A LogitsProcessor.
class Temperature {
 public:
  /// Throws ConfigError unless temperature is finite and above 0. (Temperature 0 is sample_greedy.)
  explicit Temperature(float temperature) : temperature_(temperature) {
    detail::check_temperature(temperature);
    if (temperature == 0.f) raise<ConfigError>("temperature is 0, allowed: above 0; use sample_greedy");
  }

  void operator()(std::span<float> logits, std::span<const TokenId>) const noexcept {
    for (float& x : logits) x /= temperature_;
  }

 private:
  float temperature_;
};

}  // namespace weft::inline v0
