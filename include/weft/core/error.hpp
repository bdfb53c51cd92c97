#pragma once

#include <charconv>
#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>

namespace weft::inline v0 {

/// The root of everything weft throws about the outside world. Its message names what was wrong, where (file, tensor or
/// key, byte offset), what was found and what was expected.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file that is not what its format says: truncated, out of range, overlapping, malformed.
class FormatError : public Error {
 public:
  using Error::Error;
};

/// Tensors whose shapes, ranks or element types do not fit together, or an index outside a tensor.
class ShapeError : public Error {
 public:
  using Error::Error;
};

/// A configuration or parameter that is missing, out of range or contradicts the weights.
class ConfigError : public Error {
 public:
  using Error::Error;
};

/// Text or token ids that a tokenizer cannot take.
class TokenizerError : public Error {
 public:
  using Error::Error;
};

/// Something well formed that weft does not run.
class UnsupportedError : public Error {
 public:
  using Error::Error;
};

/// Logits no token can be drawn from, and other numbers that are not numbers.
class NumericError : public Error {
 public:
  using Error::Error;
};

/// A failed call of the CUDA runtime.
class CudaError : public Error {
 public:
  using Error::Error;
};

/// The work was stopped through its std::stop_token or progress callback.
class Cancelled : public Error {
 public:
  using Error::Error;
};

namespace detail {

inline void append(std::string& out, std::string_view text) { out += text; }
inline void append(std::string& out, const char* text) { out += text; }
inline void append(std::string& out, const std::string& text) { out += text; }
inline void append(std::string& out, char character) { out += character; }
inline void append(std::string& out, bool value) { out += value ? "true" : "false"; }
template <std::integral Number>
void append(std::string& out, Number value) {
  out += std::to_string(value);
}
/// The fewest digits that tell a number from all others.
template <std::floating_point Number>
void append(std::string& out, Number value) {
  char text[64];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

/// The arguments (text and numbers) joined into one string.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  (append(out, parts), ...);
  return out;
}

}  // namespace detail

/// Throws E with the arguments joined into its message.
template <std::derived_from<Error> E, class... Parts>
[[noreturn]] void raise(const Parts&... parts) {
  throw E(detail::concat(parts...));
}

}  // namespace weft::inline v0
