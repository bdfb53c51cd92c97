#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/byte_level.hpp>
#include <weft/tokenizers/regex.hpp>
#include <weft/tokenizers/tokenizer.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// Turns the spelling of a token, which is out[begin...], into the bytes it stands for, in place. `first` is true for
/// the first token of a sequence. The steps do what the decoders of tokenizer.json do, token by token.
using DecodeStep = std::function<void(std::string& out, std::size_t begin, bool first)>;

namespace detail {

/// The byte that a token stands for as "<0x0A>" does.
inline std::optional<char> fallback_byte(std::string_view token) noexcept {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
  };
  const int high = digit(token[3]);
  const int low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(static_cast<unsigned char>(high * 16 + low));
}

}  // namespace detail

/// How tokens become text again.
struct TokenDecoder {
  /// What tells the beginning of a sequence from the rest.
  enum class Start {
    first_token,  ///< the steps ask for the first token
    strip,        ///< one `stripped` is taken from the beginning of the text
    word          ///< `suffix` behind a token ends a word; words are joined by spaces
  };
  std::vector<DecodeStep> steps{};
  bool byte_fallback = false;            ///< tokens like "<0x0A>" side by side are the bytes of a text, or U+FFFD each
  std::vector<DecodeStep> text_steps{};  ///< after that, on such a text as on any other token
  Start start = Start::first_token;
  std::string stripped{};
  std::string suffix{};
  Utf8Repair repair = Utf8Repair::bytes;

  /// Decodes out[begin...]. state.at_start: for first_token and strip, nothing came before; for word, no space is due.
  /// state.run: the bytes before `begin` that a run of tokens like "<0x0A>" stands for.
  void operator()(std::string& out, std::size_t begin, DecodeState& state) const {
    const bool first = state.at_start && state.run == 0 && start == Start::first_token;
    for (const DecodeStep& step : steps) step(out, begin, first);
    if (const auto byte = byte_fallback ? detail::fallback_byte(std::string_view(out).substr(begin)) : std::nullopt) {
      out.resize(begin);
      out += *byte;
      ++state.run;
      return;
    }
    if (state.run != 0) {
      const std::string token = out.substr(begin);
      out.resize(begin);
      end(out, state);
      begin = out.size();
      out += token;
    }
    settle(out, begin, state.at_start);
  }

  /// Ends a run of bytes, if there is one.
  void end(std::string& out, DecodeState& state) const {
    if (state.run == 0) return;
    const std::size_t begin = out.size() - state.run;
    if (!is_utf8(std::string_view(out).substr(begin))) {
      out.resize(begin);
      for (std::size_t i = 0; i < state.run; ++i) out += replacement_character;
    }
    state.run = 0;
    settle(out, begin, state.at_start);
  }

 private:
  void settle(std::string& out, std::size_t begin, bool& at_start) const {
    const bool first = at_start && start == Start::first_token;
    for (const DecodeStep& step : text_steps) step(out, begin, first);
    if (start == Start::first_token) {
      at_start = false;
    } else if (start == Start::strip) {
      const bool any = out.size() > begin;
      if (at_start && std::string_view(out).substr(begin).starts_with(stripped)) out.erase(begin, stripped.size());
      at_start = at_start && !any;
    } else {
      const bool ends_word = !suffix.empty() && std::string_view(out).substr(begin).ends_with(suffix);
      if (ends_word) out.erase(out.size() - suffix.size());
      if (!at_start) out.insert(begin, 1, ' ');
      at_start = !ends_word;
    }
  }
};

namespace detail {

inline void replace_all(std::string& out, std::size_t begin, std::string_view pattern, std::string_view content) {
  for (std::size_t at = out.find(pattern, begin); at != out.npos; at = out.find(pattern, at + content.size()))
    out.replace(at, pattern.size(), content);
}

}  // namespace detail

/// The tokens with spaces between them, which is what becomes of tokens without a decoder.
struct DecodeJoined {
  void operator()(std::string& out, std::size_t begin, bool first) const {
    if (!first) out.insert(begin, 1, ' ');
  }
};

/// A token spelled in the byte-level alphabet becomes its bytes; another stays.
struct DecodeByteLevel {
  void operator()(std::string& out, std::size_t begin, bool) const {
    std::size_t end = begin;
    for (std::size_t at = begin; at < out.size(); at += first_code_point(std::string_view(out).substr(at)).bytes)
      if (!byte_alphabet.byte(first_code_point(std::string_view(out).substr(at)).value)) return;
    for (std::size_t at = begin; at < out.size();) {
      const CodePoint c = first_code_point(std::string_view(out).substr(at));
      out[end++] = static_cast<char>(*byte_alphabet.byte(c.value));
      at += c.bytes;
    }
    out.resize(end);
  }
};

/// Adds the step that makes bytes of the byte-level alphabet, and what becomes of those that are no text.
inline void decode_byte_level(TokenDecoder& decoder) {
  decoder.steps.emplace_back(DecodeByteLevel{});
  decoder.repair = Utf8Repair::beginnings;
}

/// Tokens that continue a word lose their prefix, others get a space in front. `cleanup` takes the space from
/// punctuation.
struct DecodeWordPiece {
  std::string prefix = "##";
  bool cleanup = true;

  void operator()(std::string& out, std::size_t begin, bool first) const {
    if (!first) {
      if (std::string_view(out).substr(begin).starts_with(prefix)) {
        out.erase(begin, prefix.size());
      } else {
        out.insert(begin, 1, ' ');
      }
    }
    if (!cleanup) return;
    constexpr std::array<std::pair<std::string_view, std::string_view>, 11> artifacts{{{" .", "."},
                                                                                       {" ?", "?"},
                                                                                       {" !", "!"},
                                                                                       {" ,", ","},
                                                                                       {" ' ", "'"},
                                                                                       {" n't", "n't"},
                                                                                       {" 'm", "'m"},
                                                                                       {" do not", " don't"},
                                                                                       {" 's", "'s"},
                                                                                       {" 've", "'ve"},
                                                                                       {" 're", "'re"}}};
    for (const auto& [artifact, clean] : artifacts) detail::replace_all(out, begin, artifact, clean);
  }
};

/// `replacement` becomes a space, and in the first token nothing where `prepends`.
struct DecodeMetaspace {
  std::string replacement = "\xE2\x96\x81";
  bool prepends = true;

  void operator()(std::string& out, std::size_t begin, bool first) const {
    detail::replace_all(out, begin, replacement, first && prepends ? "" : " ");
  }
};

struct DecodeReplace {
  std::string pattern;
  std::string content;

  void operator()(std::string& out, std::size_t begin, bool) const {
    detail::replace_all(out, begin, pattern, content);
  }
};

struct DecodeReplaceMatches {
  Regex pattern;
  std::string content;

  void operator()(std::string& out, std::size_t begin, bool) const {
    const std::string token = out.substr(begin);
    std::size_t done = 0;
    out.resize(begin);
    if (token.empty()) return;
    pattern.for_each_match(token, [&](std::size_t from, std::size_t to) {
      out.append(token, done, from - done).append(content);
      done = to;
    });
    out.append(token, done);
  }
};

/// Takes up to `left` and `right` times `content` from the ends of every token.
struct DecodeStrip {
  std::string content;
  std::size_t left = 0;
  std::size_t right = 0;

  void operator()(std::string& out, std::size_t begin, bool) const {
    std::size_t kept = begin;
    for (std::size_t i = 0; i < left && std::string_view(out).substr(kept).starts_with(content); ++i)
      kept += content.size();
    out.erase(begin, kept - begin);
    for (std::size_t i = 0; i < right && std::string_view(out).substr(begin).ends_with(content); ++i)
      out.resize(out.size() - content.size());
  }
};

}  // namespace weft::inline v0
