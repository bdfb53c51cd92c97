#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <weft/core/config.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/json_value.hpp>

namespace weft::inline v0 {

/// What parse_json() accepts.
struct JsonOptions {
  std::size_t max_depth = 64;  ///< containers inside one another
  std::size_t max_values = std::numeric_limits<std::uint32_t>::max();
  std::size_t origin = 0;  ///< where in the source the text begins, for the byte offsets in errors
};

/// Parses one JSON text; `source` names it in errors. Throws FormatError with the byte offset for anything that is not
/// RFC 8259 JSON in UTF-8, for a key given twice in one object, for NaN and Infinity, and past the limits of `options`.
Json parse_json(std::string_view text, std::string source, const JsonOptions& options = {});

/// The same of all that a source holds. Throws what Source::bytes() does, too.
Json parse_json(const Source& source, const JsonOptions& options = {});

/// Parses a file. Throws FormatError naming it, also where it cannot be read.
Json parse_json_file(const std::string& path, const JsonOptions& options = {});

/// A value as JSON text that reads back as the same value, keys in their order; `indent` spaces for every level, -1:
/// all in one line.
std::string write_json(const Json& value, int indent = -1);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/formats/json.inl>
#endif
