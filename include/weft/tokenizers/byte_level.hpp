#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// The visible character that stands for a byte in byte-level vocabularies (bytes_to_unicode of GPT-2): the printable
/// characters of Latin-1 stand for themselves, the other bytes, in order, for U+0100 and up.
class ByteAlphabet {
 public:
  constexpr ByteAlphabet() noexcept {
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
      const unsigned character = printable ? byte : next++;
      characters_[byte] = static_cast<std::uint16_t>(character);
      bytes_[character] = static_cast<std::int16_t>(byte);
    }
  }

  constexpr char32_t character(unsigned char byte) const noexcept { return characters_[byte]; }
  /// The byte that a character stands for.
  constexpr std::optional<unsigned char> byte(char32_t character) const noexcept {
    if (character >= bytes_.size() || (bytes_[character] == 0 && character != characters_[0])) return std::nullopt;
    return static_cast<unsigned char>(bytes_[character]);
  }

 private:
  std::array<std::uint16_t, 256> characters_{};
  std::array<std::int16_t, 0x144> bytes_{};
};

inline constexpr ByteAlphabet byte_alphabet{};

/// Text as it is spelled in a byte-level vocabulary.
inline std::string to_byte_level(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) append_code_point(byte_alphabet.character(static_cast<unsigned char>(c)), out);
  return out;
}

}  // namespace weft::inline v0
