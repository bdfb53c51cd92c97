#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/tokenizers/subword_model.hpp>
#include <weft/tokenizers/trie.hpp>
#include <weft/tokenizers/unicode.hpp>
#include <weft/tokenizers/vocabulary.hpp>

namespace weft::inline v0 {

/// The segmentation whose tokens have the largest sum of scores (Kudo, 2018), found by Viterbi's algorithm in double
/// precision. A character that is no token costs 10 more than the worst token; such characters side by side are one
/// unknown token, or, where the vocabulary has bytes, the tokens of their bytes.
class UnigramModel final : public SubwordModel {
 public:
  /// One score for each id. Throws FormatError for a score that is no number or an unk_id outside the vocabulary.
  UnigramModel(Vocabulary words, std::vector<double> scores, std::optional<TokenId> unk_id, bool byte_fallback)
      : SubwordModel(std::move(words)), scores_(std::move(scores)), unk_(unk_id), byte_fallback_(byte_fallback) {
    if (scores_.size() != vocabulary().end_id() || vocabulary().size() != vocabulary().end_id())
      raise<FormatError>(vocabulary().source(), ": ", scores_.size(), " scores for ", vocabulary().size(), " tokens");
    if (unk_ && !vocabulary().contains(*unk_))
      raise<FormatError>(vocabulary().source(), ": unk_id is ", *unk_, " in a vocabulary of ", vocabulary().size());
    double lowest = std::numeric_limits<double>::infinity();
    std::vector<Trie::Entry> entries;
    for (std::size_t i = 0; i < scores_.size(); ++i) {
      if (!std::isfinite(scores_[i])) raise<FormatError>(vocabulary().source(), ": token ", i, " has no finite score");
      lowest = std::min(lowest, scores_[i]);
      entries.push_back({vocabulary().token(static_cast<TokenId>(i)), static_cast<std::uint32_t>(i)});
    }
    trie_ = Trie(std::move(entries));
    unk_score_ = lowest - 10;
    for (unsigned byte = 0; byte_fallback_ && byte < 256; ++byte)
      bytes_[byte] = vocabulary().find(spell_byte(static_cast<unsigned char>(byte)));
  }

  void encode(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const override {
    std::vector<Node> best;
    for_each_word(text, pieces, out, [&](std::string_view word, std::uint32_t begin, std::uint32_t piece) {
      find_best(word, best);
      const std::size_t first = out.size();
      for (auto end = static_cast<std::uint32_t>(word.size()); end > 0; end = best[end].begin)
        out.push_back({best[end].id, {best[end].begin, end}, piece});
      std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
      join_unknown(word, first, out);
      for (std::size_t i = first; i < out.size(); ++i) {
        out[i].range.begin += begin;
        out[i].range.end += begin;
      }
    });
  }

  std::optional<TokenId> spelled_as_text() const noexcept override { return unk_; }

 private:
  static constexpr std::uint32_t nowhere = std::numeric_limits<std::uint32_t>::max();

  /// The last token of the best way to a place in the word.
  struct Node {
    double score = 0;
    std::uint32_t begin = nowhere;
    TokenId id = -1;
  };

  void find_best(std::string_view word, std::vector<Node>& best) const {
    best.assign(word.size() + 1, {});
    for (std::size_t at = 0; at < word.size();) {
      const double before = best[at].score;
      const std::size_t bytes = first_code_point(word.substr(at)).bytes;
      bool single = false;
      const auto consider = [&](std::size_t length, double score, TokenId id) {
        Node& node = best[at + length];
        if (node.begin == nowhere || before + score > node.score)
          node = {before + score, static_cast<std::uint32_t>(at), id};
      };
      trie_.for_each_prefix(word.substr(at), [&](std::size_t length, std::uint32_t id) {
        consider(length, scores_[id], static_cast<TokenId>(id));
        single = single || length == bytes;
      });
      if (!single) {
        if (!unk_)
          raise<TokenizerError>(vocabulary().source(), ": there is no token for \"", word.substr(at, bytes),
                                "\", and no unk_id");
        consider(bytes, unk_score_, *unk_);
      }
      at += bytes;
    }
  }

  /// Makes one token of unknown characters side by side, or tokens of their bytes, from out[first] on.
  void join_unknown(std::string_view word, std::size_t first, std::vector<Subword>& out) const {
    if (!unk_) return;
    const auto unknown = [&](const Subword& token) { return token.id == *unk_; };
    if (std::none_of(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(), unknown)) return;
    const std::vector<Subword> tokens(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
    out.resize(first);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      Subword token = tokens[i];
      if (!unknown(token)) {
        out.push_back(token);
        continue;
      }
      while (i + 1 < tokens.size() && unknown(tokens[i + 1])) token.range.end = tokens[++i].range.end;
      const std::string_view text = word.substr(token.range.begin, token.range.end - token.range.begin);
      const auto known = [&](char c) { return bytes_[static_cast<unsigned char>(c)].has_value(); };
      if (vocabulary().find(text) || !byte_fallback_ || !std::all_of(text.begin(), text.end(), known)) {
        out.push_back(token);
      } else {
        for (const char c : text) out.push_back({*bytes_[static_cast<unsigned char>(c)], token.range, token.piece});
      }
    }
  }

  std::vector<double> scores_;
  std::optional<TokenId> unk_;
  bool byte_fallback_ = false;
  Trie trie_;
  double unk_score_ = 0;
  std::array<std::optional<TokenId>, 256> bytes_;
};

}  // namespace weft::inline v0
