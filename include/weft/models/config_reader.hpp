#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>

namespace weft::inline v0 {

/// Reads an object of config.json key by key and remembers which keys were read, so that in the end a key that nobody
/// knows is an error and never a silent default. Null counts as not given.
class ConfigReader {
 public:
  explicit ConfigReader(Json object) : object_(std::move(object)) { object_.as_object(); }

  /// A whole number, at least 1. Throws ConfigError where it is missing or out of range, FormatError for another type.
  std::size_t positive(std::string_view key) { return checked_positive(required(key)); }
  std::size_t positive_or(std::string_view key, std::size_t fallback) {
    const Json* value = optional(key);
    return value ? checked_positive(*value) : fallback;
  }
  /// A whole number, 0 too. Throws as positive() does.
  std::size_t count_or(std::string_view key, std::size_t fallback) {
    const Json* value = optional(key);
    return !value ? fallback : value->is_int() && value->as_int() == 0 ? 0 : checked_positive(*value);
  }
  /// A finite number. Throws ConfigError where it is missing, FormatError for another type.
  float number(std::string_view key) { return checked_number(required(key)); }
  float number_or(std::string_view key, float fallback) {
    const Json* value = optional(key);
    return value ? checked_number(*value) : fallback;
  }
  /// An array of finite numbers. Throws as number() does.
  std::vector<float> numbers(std::string_view key) {
    std::vector<float> values;
    for (const Json& value : required(key).as_array()) values.push_back(checked_number(value));
    return values;
  }
  bool flag_or(std::string_view key, bool fallback) {
    const Json* value = optional(key);
    return value ? value->as_bool() : fallback;
  }
  std::string_view text_or(std::string_view key, std::string_view fallback) {
    const Json* value = optional(key);
    return value ? value->as_string() : fallback;
  }
  std::string_view text(std::string_view key) { return required(key).as_string(); }

  /// The value of a key, or null where it is absent or JSON null; counts as read.
  const Json* optional(std::string_view key) {
    used_.emplace_back(key);
    return object_.given(key);
  }
  const Json& required(std::string_view key) {
    if (const Json* value = optional(key)) return *value;
    raise<ConfigError>(object_.location(), ": the key \"", key, "\" is missing");
  }

  /// A key that this family does not implement: UnsupportedError unless it is absent, null, false, zero or
  /// empty.
  void refuse(std::string_view key) {
    const Json* value = optional(key);
    if (value && !neutral(*value)) unsupported(*value, key);
  }

  /// Ends the reading: throws UnsupportedError naming the first key that was neither read nor is listed in `ignored`
  /// nor begins with an underscore nor has a value that says nothing (null, false, 0, empty).
  void finish(std::span<const std::string_view> ignored) const {
    for (const Json& member : object_) {
      const std::string_view key = member.key();
      const bool known = std::find(used_.begin(), used_.end(), key) != used_.end() ||
                         std::find(ignored.begin(), ignored.end(), key) != ignored.end() || key.starts_with('_');
      if (!known && !neutral(member)) unsupported(member, key);
    }
  }

  const Json& object() const noexcept { return object_; }

 private:
  static bool neutral(const Json& value) {
    return value.is_null() || (value.is_bool() && !value.as_bool()) ||
           (value.is_number() && value.as_double() == 0.0) ||
           ((value.is_array() || value.is_object()) && value.empty()) ||
           (value.is_string() && value.as_string().empty());
  }
  [[noreturn]] static void unsupported(const Json& value, std::string_view key) {
    raise<UnsupportedError>(value.location(), ": the key \"", key,
                            "\" is not understood, and running without it could change the result");
  }
  static std::size_t checked_positive(const Json& value) {
    const std::int64_t number = value.as_int();
    constexpr std::int64_t most = std::int64_t{1} << 31;
    if (number < 1 || number > most)
      raise<ConfigError>(value.location(), ": expected a number from 1 to ", most, ", found ", number);
    return static_cast<std::size_t>(number);
  }
  static float checked_number(const Json& value) {
    const auto number = static_cast<float>(value.as_double());
    if (!std::isfinite(number)) raise<ConfigError>(value.location(), ": the number does not fit a float");
    return number;
  }

  Json object_;
  std::vector<std::string> used_;
};

}  // namespace weft::inline v0
