#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/token_id.hpp>
#include <weft/tokenizers/aligned_text.hpp>
#include <weft/tokenizers/byte_level.hpp>
#include <weft/tokenizers/regex.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// A piece of a normalized text: a word for the model, or a token that was found in the text.
struct PreToken {
  TextRange range{};
  TokenId token = no_token;
  static constexpr TokenId no_token = -1;
  friend bool operator==(const PreToken&, const PreToken&) noexcept = default;
};

/// A normalized text and its pieces, none of them empty, in order and without overlap.
struct PreTokens {
  AlignedText text{};
  std::vector<PreToken> pieces{};
};

/// A step that cuts the pieces that are no tokens into smaller ones. The steps carry the names and do what the
/// pre-tokenizers of tokenizer.json do, to the offsets.
using PreTokenizer = std::function<void(PreTokens&)>;

/// What becomes of the places at which a text is cut, shown at "-" in "the-final--cut".
enum class SplitBehavior {
  removed,               ///< the, final, cut
  isolated,              ///< the, -, final, -, -, cut
  merged_with_previous,  ///< the-, final-, -, cut
  merged_with_next,      ///< the, -final, -, -cut
  contiguous             ///< the, -, final, --, cut
};

namespace detail {

/// Takes the parts of a piece in turn, delimiters and what lies between, and appends what they become.
class SplitSink {
 public:
  SplitSink(std::vector<PreToken>& out, SplitBehavior behavior, std::uint32_t base) noexcept
      : out_(out), first_(out.size()), behavior_(behavior), base_(base) {}

  void add(std::size_t begin, std::size_t end, bool is_delimiter) {
    const TextRange part{base_ + static_cast<std::uint32_t>(begin), base_ + static_cast<std::uint32_t>(end)};
    const bool joins = (behavior_ == SplitBehavior::contiguous && is_delimiter == after_delimiter_) ||
                       (behavior_ == SplitBehavior::merged_with_previous && is_delimiter && !after_delimiter_) ||
                       (behavior_ == SplitBehavior::merged_with_next && !is_delimiter && after_delimiter_);
    after_delimiter_ = is_delimiter;
    if (is_delimiter && behavior_ == SplitBehavior::removed) return;
    if (joins && out_.size() > first_ && !after_empty_) {
      out_.back().range.end = part.end;
    } else if (part.begin < part.end) {
      out_.push_back({part});
    }
    after_empty_ = !joins && part.begin == part.end;
  }

 private:
  std::vector<PreToken>& out_;
  std::size_t first_;
  SplitBehavior behavior_;
  std::uint32_t base_;
  bool after_delimiter_ = false;
  bool after_empty_ = false;
};

/// Cuts every piece; `find(text, delimiter)` calls `delimiter(begin, end)` from left to right. `invert` swaps the
/// delimiters and what lies between.
template <class Find>
void split_pieces(PreTokens& tokens, SplitBehavior behavior, bool invert, Find&& find) {
  std::vector<PreToken> out;
  out.reserve(tokens.pieces.size());
  for (const PreToken& piece : tokens.pieces) {
    if (piece.token != PreToken::no_token) {
      out.push_back(piece);
      continue;
    }
    const std::string_view text = tokens.text.view(piece.range);
    SplitSink sink(out, behavior, piece.range.begin);
    std::size_t done = 0;
    find(text, [&](std::size_t begin, std::size_t end) {
      if (done < begin) sink.add(done, begin, invert);
      sink.add(begin, end, !invert);
      done = end;
    });
    if (done < text.size()) sink.add(done, text.size(), invert);
  }
  tokens.pieces = std::move(out);
}

/// Cuts at every character that passes.
template <class Passes>
void split_at_characters(PreTokens& tokens, SplitBehavior behavior, Passes&& passes) {
  split_pieces(tokens, behavior, false, [&](std::string_view text, auto&& delimiter) {
    for (std::size_t at = 0; at < text.size();) {
      const CodePoint c = first_code_point(text.substr(at));
      if (passes(c.value)) delimiter(at, at + c.bytes);
      at += c.bytes;
    }
  });
}

/// Builds the text anew: `rewrite(range, out)` appends what becomes of one piece that is no token.
template <class Rewrite>
void rewrite_pieces(PreTokens& tokens, Rewrite&& rewrite) {
  AlignedText out;
  for (PreToken& piece : tokens.pieces) {
    const std::uint32_t begin = out.size();
    if (piece.token != PreToken::no_token) {
      out.append(tokens.text, piece.range);
    } else {
      rewrite(piece.range, out);
    }
    piece.range = {begin, out.size()};
  }
  tokens.text = std::move(out);
}

}  // namespace detail

/// Cuts at the matches of a pattern.
struct SplitMatches {
  Regex pattern;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;

  void operator()(PreTokens& tokens) const {
    detail::split_pieces(tokens, behavior, invert,
                         [&](std::string_view text, auto&& delimiter) { pattern.for_each_match(text, delimiter); });
  }
};

/// Cuts at the occurrences of a text that is not empty.
struct SplitText {
  std::string pattern;
  SplitBehavior behavior = SplitBehavior::isolated;
  bool invert = false;

  void operator()(PreTokens& tokens) const {
    detail::split_pieces(tokens, behavior, invert, [&](std::string_view text, auto&& delimiter) {
      for (std::size_t at = text.find(pattern); at != text.npos; at = text.find(pattern, at + pattern.size()))
        delimiter(at, at + pattern.size());
    });
  }
};

/// Runs of characters of words and runs of other characters, without white space: \w+|[^\w\s]+
struct SplitWords {
  void operator()(PreTokens& tokens) const {
    detail::split_pieces(tokens, SplitBehavior::removed, true, [](std::string_view text, auto&& found) {
      enum class Kind { space, word, other };
      Kind run = Kind::space;
      std::size_t begin = 0;
      for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = first_code_point(text.substr(at));
        const Kind kind = is_word_character(c.value) ? Kind::word : is_white_space(c.value) ? Kind::space : Kind::other;
        if (kind != run) {
          if (run != Kind::space) found(begin, at);
          begin = at;
          run = kind;
        }
        at += c.bytes;
      }
      if (run != Kind::space) found(begin, text.size());
    });
  }
};

struct SplitWhiteSpace {
  void operator()(PreTokens& tokens) const {
    detail::split_at_characters(tokens, SplitBehavior::removed, is_white_space);
  }
};

struct SplitPunctuation {
  SplitBehavior behavior = SplitBehavior::isolated;

  void operator()(PreTokens& tokens) const { detail::split_at_characters(tokens, behavior, is_punctuation); }
};

/// White space goes, punctuation stands alone.
struct BertPreTokenizer {
  void operator()(PreTokens& tokens) const {
    detail::split_pieces(tokens, SplitBehavior::removed, true, [](std::string_view text, auto&& word) {
      std::size_t begin = 0;
      for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = first_code_point(text.substr(at));
        const bool stands_alone = is_punctuation(c.value);
        const std::size_t end = at + c.bytes;
        if (stands_alone || is_white_space(c.value)) {
          if (begin < at) word(begin, at);
          if (stands_alone) word(at, end);
          begin = end;
        }
        at = end;
      }
      if (begin < text.size()) word(begin, text.size());
    });
  }
};

/// Cuts numbers from text, and digits from one another where asked.
struct SplitDigits {
  bool individual = false;

  void operator()(PreTokens& tokens) const {
    detail::split_at_characters(tokens, individual ? SplitBehavior::isolated : SplitBehavior::contiguous, is_numeric);
  }
};

struct SplitCharacter {
  char32_t delimiter;

  void operator()(PreTokens& tokens) const {
    detail::split_at_characters(tokens, SplitBehavior::removed, [&](char32_t c) { return c == delimiter; });
  }
};

/// Spaces become `replacement`, one is put in front of pieces as `prepend` says, and pieces are cut before each where
/// asked.
struct Metaspace {
  enum class Prepend { first, never, always };
  std::string replacement = "\xE2\x96\x81";
  Prepend prepend = Prepend::always;
  bool split = true;

  void operator()(PreTokens& tokens) const {
    detail::rewrite_pieces(tokens, [&](TextRange piece, AlignedText& out) {
      const std::string_view text = tokens.text.view(piece);
      const bool starts = text.starts_with(' ') || text.starts_with(replacement);
      const bool wanted =
          prepend == Prepend::always || (prepend == Prepend::first && tokens.text.origin(piece.begin).begin == 0);
      if (wanted && !starts) out.push(replacement, tokens.text.origin(piece.begin));
      std::uint32_t done = piece.begin;
      for (std::uint32_t at = piece.begin; at < piece.end; ++at) {
        if (tokens.text.text()[at] != ' ') continue;
        out.append(tokens.text, {done, at});
        out.push(replacement, tokens.text.origin(at));
        done = at + 1;
      }
      out.append(tokens.text, {done, piece.end});
    });
    if (split) SplitText{replacement, SplitBehavior::merged_with_next}(tokens);
  }
};

/// Spells the bytes of the pieces as the characters of byte-level vocabularies, after cutting them with `pattern` where
/// there is one.
struct ByteLevelPreTokenizer {
  bool add_prefix_space = true;
  std::vector<Regex> pattern{};  ///< one or none
  bool spells = true;            ///< not where the model takes bytes as they are

  void operator()(PreTokens& tokens) const {
    if (add_prefix_space)
      detail::rewrite_pieces(tokens, [&](TextRange piece, AlignedText& out) {
        if (tokens.text.text()[piece.begin] != ' ') out.push(" ", tokens.text.origin(piece.begin));
        out.append(tokens.text, piece);
      });
    for (const Regex& regex : pattern)
      detail::split_pieces(tokens, SplitBehavior::isolated, false,
                           [&](std::string_view text, auto&& delimiter) { regex.for_each_match(text, delimiter); });
    if (!spells) return;
    std::string spelled;
    detail::rewrite_pieces(tokens, [&](TextRange piece, AlignedText& out) {
      for (std::uint32_t i = piece.begin; i < piece.end; ++i) {
        spelled.clear();
        append_code_point(byte_alphabet.character(static_cast<unsigned char>(tokens.text.text()[i])), spelled);
        out.push(spelled, tokens.text.origin(i));
      }
    });
  }
};

}  // namespace weft::inline v0
