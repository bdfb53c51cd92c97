#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/tokenizers/byte_level.hpp>
#include <weft/tokenizers/encoding.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

/// A token of a text before tokens are added around it.
struct TextToken {
  TokenId id = 0;
  TextRange offsets{};
  std::uint32_t word = 0;
  std::uint32_t leading_spaces = 0;  ///< how its spelling begins and ends, counted where offsets are trimmed
  std::uint32_t trailing_spaces = 0;
};

/// What is put around a text or a pair of texts: BertProcessing, RobertaProcessing, TemplateProcessing and ByteLevel of
/// tokenizer.json as data.
struct PostProcessor {
  /// One of the texts, or tokens that are added.
  struct Piece {
    enum class Kind { first, second, added } kind = Kind::first;
    std::vector<TokenId> ids{};  ///< of what is added
    std::int32_t type_id = 0;
    std::optional<std::int32_t> rest_type_id{};  ///< of what truncation cut off, where it is another
  };
  using Template = std::vector<Piece>;

  Template single{{Piece::Kind::first, {}, 0}};
  Template pair{{Piece::Kind::first, {}, 0}, {Piece::Kind::second, {}, 1}};
  bool trim_offsets = false;      ///< offsets of byte-level tokens leave out the white space at their ends
  bool add_prefix_space = false;  ///< but not a single space in front of the first token

  static Piece added(std::vector<TokenId> ids, std::int32_t type_id = 0) {
    return {Piece::Kind::added, std::move(ids), type_id};
  }
  /// How many tokens are added.
  static std::size_t count_added(const Template& pieces) noexcept {
    std::size_t count = 0;
    for (const Piece& piece : pieces) count += piece.ids.size();
    return count;
  }
};

namespace detail {

/// How many characters at one end of a byte-level spelling are white space.
inline std::pair<std::uint32_t, std::uint32_t> count_outer_spaces(std::string_view spelling) {
  const auto space = [](char32_t c) { return c == byte_alphabet.character(' ') || is_white_space(c); };
  std::uint32_t leading = 0;
  std::uint32_t trailing = 0;
  for (std::string_view rest = spelling; !rest.empty() && space(first_code_point(rest).value); ++leading)
    rest.remove_prefix(first_code_point(rest).bytes);
  for (std::string_view rest = spelling; !rest.empty() && space(last_code_point(rest).value); ++trailing)
    rest.remove_suffix(last_code_point(rest).bytes);
  return {leading, trailing};
}

/// The ranges a text of so many tokens is cut into: the first is kept, the others overflow.
inline std::vector<std::pair<std::size_t, std::size_t>> truncation_ranges(std::size_t size, std::size_t max_length,
                                                                          std::size_t stride, Side side) {
  if (max_length >= size) return {{0, size}};
  if (max_length == 0) return {{0, 0}, {0, size}};
  if (stride >= max_length)
    raise<ConfigError>("a stride of ", stride, " tokens in texts cut to ", max_length, " tokens");
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  const std::size_t step = max_length - stride;
  for (std::size_t done = 0; done == 0 || ranges.back().second < size; done += step)
    ranges.emplace_back(done, std::min(done + max_length, size));
  if (side == Side::left)
    for (auto& [begin, end] : ranges) std::tie(begin, end) = std::pair(size - end, size - begin);
  return ranges;
}

/// How many tokens stay of each text of a pair, or of one text, so that they are at most `max_length`.
inline std::pair<std::size_t, std::size_t> truncated_sizes(std::size_t first, std::size_t second, bool is_pair,
                                                           std::size_t max_length, Truncation truncation) {
  if (truncation == Truncation::none || first + second <= max_length) return {first, second};
  if (max_length == 0) return {0, 0};
  const std::size_t excess = first + second - max_length;
  if (truncation == Truncation::only_first || truncation == Truncation::only_second) {
    if (truncation == Truncation::only_second && !is_pair)
      raise<ConfigError>("the second text is to be truncated, and there is none");
    std::size_t& target = truncation == Truncation::only_first ? first : second;
    if (target <= excess)
      raise<ConfigError>("a text of ", target, " tokens cannot be truncated by ", excess, " to reach the max_length");
    target -= excess;
    return {first, second};
  }
  if (!is_pair) return {max_length, 0};
  std::size_t shorter = std::min(first, second);
  std::size_t longer = shorter > max_length ? shorter : std::max(shorter, max_length - shorter);
  if (shorter + longer > max_length) {
    shorter = max_length / 2;
    longer = max_length - shorter;
  }
  return first > second ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

}  // namespace detail

/// Puts the added tokens around a text, or a pair of texts, after cutting them to the length the options ask for. The
/// encodings of what was cut off come in the order of the tokenizers library: for each rest of the first text, those
/// of the second. Throws ConfigError where a text cannot be cut as asked.
class EncodingBuilder {
 public:
  using Tokens = std::vector<TextToken>;

  EncodingBuilder(const PostProcessor& processor, const TokenizeOptions& options) noexcept
      : processor_(processor), options_(options) {}

  Encoding build(const Tokens& first, const Tokens* second) const {
    const PostProcessor::Template& pieces = second ? processor_.pair : processor_.single;
    const std::size_t added = options_.add_special_tokens ? PostProcessor::count_added(pieces) : 0;
    if (options_.truncation != Truncation::none && added > options_.max_length)
      raise<ConfigError>("a max_length of ", options_.max_length, " is less than the ", added, " added tokens");
    const auto [first_size, second_size] =
        detail::truncated_sizes(first.size(), second ? second->size() : 0, second != nullptr,
                                options_.max_length - std::min(added, options_.max_length), options_.truncation);
    const auto cut = [&](std::size_t size, std::size_t kept) {
      return detail::truncation_ranges(size, kept, options_.stride, options_.truncation_side);
    };
    const auto firsts = cut(first.size(), first_size);
    const auto seconds = second ? cut(second->size(), second_size) : std::vector<Range>{{0, 0}};

    const auto part = [&](std::size_t i, std::size_t j) {
      return compose(pieces, {first, firsts[i], i > 0}, {second ? *second : first, seconds[j], j > 0});
    };
    Encoding encoding = part(0, 0);
    for (std::size_t i = 1; i < firsts.size(); ++i)
      for (std::size_t j = 0; j < seconds.size(); ++j) encoding.overflowing.push_back(part(i, j));
    for (std::size_t j = 1; j < seconds.size(); ++j) encoding.overflowing.push_back(part(0, j));
    return encoding;
  }

 private:
  using Range = std::pair<std::size_t, std::size_t>;

  /// Some tokens of a text: those that are kept, or some of those that were cut off.
  struct Part {
    const Tokens& tokens;
    Range range;
    bool is_rest;
    std::size_t size() const noexcept { return range.second - range.first; }
  };

  Encoding compose(const PostProcessor::Template& pieces, const Part& first, const Part& second) const {
    Encoding out;
    const std::size_t size = PostProcessor::count_added(pieces) + first.size() + second.size();
    const auto reserve = [&](auto&... lists) { (lists.reserve(size), ...); };
    reserve(out.ids, out.type_ids, out.offsets, out.words, out.special_tokens_mask, out.attention_mask);
    for (const PostProcessor::Piece& piece : pieces) {
      if (piece.kind != PostProcessor::Piece::Kind::added) {
        const Part& part = piece.kind == PostProcessor::Piece::Kind::first ? first : second;
        append(part.tokens, part.range, part.is_rest ? piece.rest_type_id.value_or(piece.type_id) : piece.type_id, out);
      } else if (options_.add_special_tokens) {
        for (const TokenId id : piece.ids) append(id, piece.type_id, {}, std::nullopt, out);
      }
    }
    return out;
  }

  void append(const Tokens& tokens, Range range, std::int32_t type_id, Encoding& out) const {
    for (std::size_t i = range.first; i < range.second; ++i) {
      const TextToken& token = tokens[i];
      TextRange offsets = token.offsets;
      if (processor_.trim_offsets) {
        const bool in_front = i == range.first || offsets.begin == 0;
        const bool kept = in_front && processor_.add_prefix_space && token.leading_spaces == 1;
        if (!kept) offsets.begin = std::min(offsets.begin + token.leading_spaces, offsets.end);
        if (offsets.end >= token.trailing_spaces)
          offsets.end = std::max(offsets.end - token.trailing_spaces, offsets.begin);
      }
      append(token.id, type_id, offsets, token.word, out);
    }
  }

  static void append(TokenId id, std::int32_t type_id, TextRange offsets, std::optional<std::uint32_t> word,
                     Encoding& out) {
    out.ids.push_back(id);
    out.type_ids.push_back(type_id);
    out.offsets.push_back(offsets);
    out.words.push_back(word);
    out.special_tokens_mask.push_back(word ? 0 : 1);
    out.attention_mask.push_back(1);
  }

  const PostProcessor& processor_;
  const TokenizeOptions& options_;
};

}  // namespace weft::inline v0
