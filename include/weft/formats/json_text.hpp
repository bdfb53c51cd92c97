#pragma once

#include <array>
#include <charconv>
#include <string>
#include <string_view>

namespace weft::inline v0::detail {

/// Appends a text in quotes; it must be UTF-8.
inline void append_json_string(std::string& out, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += digits[byte >> 4];
      out += digits[byte & 15u];
    } else {
      out += c;
    }
  }
  out += '"';
}

/// The shortest text that reads back as the same finite number.
inline std::string json_number(double value) {
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific).ptr;
  return {text.data(), end};
}

/// Writes one JSON object.
class JsonObjectText {
 public:
  /// Members as they stand.
  void add_members(std::string_view members) {
    text_ += text_.size() > 1 && !members.empty() ? "," : "";
    text_ += members;
  }
  /// A member whose value is JSON text.
  void add(std::string_view key, std::string_view value) {
    text_ += text_.size() > 1 ? "," : "";
    append_json_string(text_, key);
    text_ += ':';
    text_ += value;
  }
  std::string finish() const { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

}  // namespace weft::inline v0::detail
