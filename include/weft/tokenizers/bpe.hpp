#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/byte_level.hpp>
#include <weft/tokenizers/subword_model.hpp>
#include <weft/tokenizers/unicode.hpp>
#include <weft/tokenizers/vocabulary.hpp>
#include <weft/tokenizers/word_table.hpp>

namespace weft::inline v0 {

/// Two tokens that become one. Of the merges that fit a word the one of the lowest rank is made first.
struct BpeMerge {
  TokenId left = 0;
  TokenId right = 0;
  TokenId joined = 0;
  std::uint32_t rank = 0;
};

struct BpeOptions {
  std::optional<std::string> unk_token{};   ///< for characters that are no token; without it they vanish
  bool fuse_unk = false;                    ///< unknown characters side by side become one token
  bool byte_fallback = false;               ///< unknown characters become the tokens of their bytes, "<0x0A>"
  bool ignore_merges = false;               ///< a word that is a token needs no merges
  std::string continuing_subword_prefix{};  ///< spelled before every character but the first of a word
  std::string end_of_word_suffix{};         ///< spelled behind the last character of a word
};

namespace detail {

/// Finds the merge of two tokens.
class MergeTable {
 public:
  /// Of two merges of the same tokens the last stays.
  explicit MergeTable(std::span<const BpeMerge> merges) {
    std::size_t slots = 16;
    while (slots < 2 * merges.size()) slots *= 2;
    slots_.resize(slots, {.left = -1});
    for (const BpeMerge& merge : merges) slots_[slot_of(merge.left, merge.right)] = merge;
  }
  const BpeMerge* find(TokenId left, TokenId right) const noexcept {
    const BpeMerge& merge = slots_[slot_of(left, right)];
    return merge.left < 0 ? nullptr : &merge;
  }

 private:
  std::size_t slot_of(TokenId left, TokenId right) const noexcept {
    const std::uint64_t key = std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
    std::uint64_t hash = key * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 32;
    std::size_t slot = hash & (slots_.size() - 1);
    while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right))
      slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }

  std::vector<BpeMerge> slots_;  // a power of two, at most half full
};

}  // namespace detail

/// Byte pair encoding (Sennrich et al., 2016), as the model "BPE" of the tokenizers library: a word begins as its
/// characters; the two neighbours whose merge has the lowest rank, the leftmost of those, become one until none is
/// left.
class BpeModel final : public SubwordModel {
 public:
  BpeModel(Vocabulary words, std::span<const BpeMerge> merges, BpeOptions options)
      : SubwordModel(std::move(words)),
        merges_(merges),
        options_(std::move(options)),
        whole_(std::make_unique<std::atomic<char>[]>(vocabulary().end_id())) {
    if (options_.unk_token) unk_ = vocabulary().find(*options_.unk_token);
    plain_ = options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
    for (unsigned byte = 0; options_.byte_fallback && byte < 256; ++byte)
      bytes_[byte] = vocabulary().find(spell_byte(static_cast<unsigned char>(byte)));
    for (char32_t c = 0; c < characters_.size(); ++c) {
      std::string character;
      append_code_point(c, character);
      characters_[c] = vocabulary().find(character).value_or(-1);
    }
    cuts_at_spaces_ =
        plain_ && vocabulary().find(space) && std::none_of(merges.begin(), merges.end(), [&](const BpeMerge& merge) {
          return !vocabulary().token(merge.left).ends_with(space) && vocabulary().token(merge.right).starts_with(space);
        });
    find_byte_words();
  }

  void encode(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const override {
    Work work;
    for_each_word(text, pieces, out, [&](std::string_view word, std::uint32_t begin, std::uint32_t piece) {
      if (options_.ignore_merges) {
        if (const auto id = vocabulary().find(word)) {
          out.push_back({*id, {begin, begin + static_cast<std::uint32_t>(word.size())}, piece});
          return;
        }
      }
      while (!word.empty()) {
        const std::string_view part = cuts_at_spaces_ ? word.substr(0, next_cut(word)) : word;
        encode_word(part, begin, piece, work, out);
        begin += static_cast<std::uint32_t>(part.size());
        word.remove_prefix(part.size());
      }
    });
  }

  bool encodes_bytes() const noexcept override { return byte_words_ != nullptr; }
  void encode_bytes(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const override {
    Work work;
    for_each_word(text, pieces, out, [&](std::string_view word, std::uint32_t begin, std::uint32_t piece) {
      const TokenId id = byte_words_->find(word);
      if (id != WordTable::none && (options_.ignore_merges || is_known_whole(id)))
        return void(out.push_back({id, {begin, begin + static_cast<std::uint32_t>(word.size())}, piece}));
      work.symbols.clear();
      for (const char byte : word)
        work.symbols.push_back({byte_tokens_[static_cast<unsigned char>(byte)], 1, no_rank, 0, 0, 0});
      merge(work, id, begin, piece, out);
    });
  }

  std::string_view end_of_word_suffix() const noexcept override { return options_.end_of_word_suffix; }

 private:
  static constexpr std::string_view space = "\xE2\x96\x81";  // U+2581
  static constexpr std::size_t short_word = 48;              // symbols; longer words are merged through a heap
  static constexpr std::uint32_t no_rank = std::numeric_limits<std::uint32_t>::max();

  struct Symbol {
    TokenId id;
    std::uint32_t size;      // in bytes; 0 where it went into its left neighbour
    std::uint32_t rank;      // of the merge with the right neighbour
    TokenId joined;          // what that merge gives
    std::uint32_t previous;  // neighbours, used for long words
    std::uint32_t next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t at;
    TokenId joined;
  };
  struct Work {
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
    std::string spelled;
  };

  /// Where the next part begins that starts with a space, of a text in which no merge reaches across its beginning.
  static std::size_t next_cut(std::string_view word) noexcept {
    std::size_t at = 0;
    while (word.substr(at).starts_with(space)) at += space.size();
    return std::min(word.find(space, at), word.size());
  }

  void encode_word(std::string_view word, std::uint32_t begin, std::uint32_t piece, Work& work,
                   std::vector<Subword>& out) const {
    const TokenId id = plain_ ? vocabulary().find(word).value_or(WordTable::none) : WordTable::none;
    if (id != WordTable::none && is_known_whole(id))
      return void(out.push_back({id, {begin, begin + static_cast<std::uint32_t>(word.size())}, piece}));
    work.symbols.clear();
    split(word, work);
    merge(work, id, begin, piece, out);
  }

  // Many words are one token. Whether the merges lead there is found out once.
  bool is_known_whole(TokenId id) const noexcept {
    return whole_[static_cast<std::size_t>(id)].load(std::memory_order_relaxed) == 1;
  }

  /// Merges the symbols of a word, which as a whole is the token `whole` or none.
  void merge(Work& work, TokenId whole, std::uint32_t begin, std::uint32_t piece, std::vector<Subword>& out) const {
    if (work.symbols.size() <= short_word) {
      merge_short(work.symbols);
    } else {
      merge_long(work);
    }
    if (whole != WordTable::none)
      whole_[static_cast<std::size_t>(whole)].store(work.symbols.size() == 1 && work.symbols[0].id == whole ? 1 : 2,
                                                    std::memory_order_relaxed);
    for (const Symbol& symbol : work.symbols) {
      if (symbol.size == 0) continue;
      out.push_back({symbol.id, {begin, begin + symbol.size}, piece});
      begin += symbol.size;
    }
  }

  /// A vocabulary that spells every byte in the byte-level alphabet: the tokens that do as the bytes they stand for.
  void find_byte_words() {
    for (unsigned byte = 0; byte < 256; ++byte)
      byte_tokens_[byte] = characters_[byte_alphabet.character(static_cast<unsigned char>(byte))];
    if (!plain_ || std::count(byte_tokens_.begin(), byte_tokens_.end(), -1) > 0) return;
    std::vector<std::pair<std::size_t, TokenId>> ends;
    std::string bytes;
    vocabulary().for_each([&](std::string_view token, TokenId id) {
      if (!is_utf8(token)) return;
      const std::size_t begin = bytes.size();
      for (std::size_t at = 0; at < token.size();) {
        const CodePoint c = first_code_point(token.substr(at));
        const auto byte = byte_alphabet.byte(c.value);
        if (!byte) return bytes.resize(begin);
        bytes += static_cast<char>(*byte);
        at += c.bytes;
      }
      ends.emplace_back(bytes.size(), id);
    });
    std::vector<std::pair<std::string_view, TokenId>> words;
    std::size_t begin = 0;
    for (const auto& [end, id] : ends) {
      words.emplace_back(std::string_view(bytes).substr(begin, end - begin), id);
      begin = end;
    }
    byte_words_ = std::make_unique<const WordTable>(words);
  }

  /// The characters of a word as tokens.
  void split(std::string_view word, Work& work) const {
    bool after_unknown = false;
    const auto add = [&](TokenId id, std::size_t bytes) {
      work.symbols.push_back({id, static_cast<std::uint32_t>(bytes), no_rank, 0, 0, 0});
    };
    for (std::size_t at = 0; at < word.size();) {
      const CodePoint c = first_code_point(word.substr(at));
      const bool last = at + c.bytes == word.size();
      const std::optional<TokenId> id = character_token(word.substr(at, c.bytes), c.value, at == 0, last, work.spelled);
      at += c.bytes;
      if (id) {
        add(*id, c.bytes);
        after_unknown = false;
      } else if (!add_bytes(work)) {
        if (!options_.unk_token) continue;
        if (!unk_)
          raise<TokenizerError>(vocabulary().source(), ": the unk_token \"", *options_.unk_token,
                                "\" is not in the vocabulary");
        if (after_unknown && options_.fuse_unk) {
          work.symbols.back().size += static_cast<std::uint32_t>(c.bytes);
        } else {
          add(*unk_, c.bytes);
        }
        after_unknown = true;
      }
    }
  }

  /// The token of a character; `spelled` is set to its spelling where there is none.
  std::optional<TokenId> character_token(std::string_view character, char32_t c, bool first, bool last,
                                         std::string& spelled) const {
    if (plain_ && c < characters_.size() && characters_[c] >= 0) return characters_[c];
    spelled.clear();
    if (!first) spelled += options_.continuing_subword_prefix;
    spelled += character;
    if (last) spelled += options_.end_of_word_suffix;
    return vocabulary().find(spelled);
  }

  bool add_bytes(Work& work) const {
    if (!options_.byte_fallback) return false;
    const auto known = [&](char c) { return bytes_[static_cast<unsigned char>(c)].has_value(); };
    if (!std::all_of(work.spelled.begin(), work.spelled.end(), known)) return false;
    for (const char c : work.spelled)
      work.symbols.push_back({*bytes_[static_cast<unsigned char>(c)], 1, no_rank, 0, 0, 0});
    return true;
  }

  void find_merge(Symbol& left, const Symbol& right) const noexcept {
    const BpeMerge* merge = merges_.find(left.id, right.id);
    left.rank = merge ? merge->rank : no_rank;
    left.joined = merge ? merge->joined : 0;
  }

  void merge_short(std::vector<Symbol>& symbols) const {
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) find_merge(symbols[i], symbols[i + 1]);
    while (symbols.size() > 1) {
      const auto lower = [](const Symbol& a, const Symbol& b) { return a.rank < b.rank; };
      const auto best = std::min_element(symbols.begin(), symbols.end(), lower);
      if (best->rank == no_rank) return;
      best->id = best->joined;
      best->size += (best + 1)->size;
      best->rank = no_rank;
      const auto after = symbols.erase(best + 1);
      if (after != symbols.end()) find_merge(*best, *after);
      if (best != symbols.begin()) find_merge(*(best - 1), *best);
    }
  }

  void merge_long(Work& work) const {
    std::vector<Symbol>& symbols = work.symbols;
    std::vector<Candidate>& heap = work.heap;
    heap.clear();
    const auto end = static_cast<std::uint32_t>(symbols.size());
    const auto later = [](const Candidate& a, const Candidate& b) {
      return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
    };
    const auto consider = [&](std::uint32_t at) {
      find_merge(symbols[at], symbols[symbols[at].next]);
      if (symbols[at].rank != no_rank) heap.push_back({symbols[at].rank, at, symbols[at].joined});
      return symbols[at].rank != no_rank;
    };
    for (std::uint32_t i = 0; i < end; ++i) {
      symbols[i].previous = i - 1;
      symbols[i].next = i + 1;
    }
    for (std::uint32_t i = 0; i + 1 < end; ++i) consider(i);
    std::make_heap(heap.begin(), heap.end(), later);
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), later);
      const Candidate top = heap.back();
      heap.pop_back();
      Symbol& left = symbols[top.at];
      if (left.size == 0 || left.rank != top.rank || left.joined != top.joined) continue;
      Symbol& right = symbols[left.next];
      left.id = top.joined;
      left.size += right.size;
      left.rank = no_rank;
      right.size = 0;
      left.next = right.next;
      if (left.next < end) {
        symbols[left.next].previous = top.at;
        if (consider(top.at)) std::push_heap(heap.begin(), heap.end(), later);
      }
      if (left.previous < end && consider(left.previous)) std::push_heap(heap.begin(), heap.end(), later);
    }
  }

  detail::MergeTable merges_;
  BpeOptions options_;
  std::optional<TokenId> unk_;
  std::array<std::optional<TokenId>, 256> bytes_;
  std::array<TokenId, 0x800> characters_{};      // -1 for those that are no token
  std::array<TokenId, 256> byte_tokens_{};       // by byte, in a byte-level vocabulary
  std::unique_ptr<const WordTable> byte_words_;  // null where the vocabulary is not byte-level
  std::unique_ptr<std::atomic<char>[]> whole_;   // by token: 0 not known, 1 its own encoding, 2 not
  bool plain_ = true;                            // neither prefix nor suffix
  bool cuts_at_spaces_ = false;                  // no merge reaches across the beginning of a run of U+2581
};

/// The merges of pairs given by their spelling; the rank is the position. Throws FormatError for what is not in the
/// vocabulary.
inline std::vector<BpeMerge> resolve_merges(const Vocabulary& vocabulary,
                                            std::span<const std::pair<std::string_view, std::string_view>> pairs,
                                            std::string_view continuing_subword_prefix = {}) {
  std::vector<BpeMerge> merges;
  merges.reserve(pairs.size());
  std::string joined;
  const auto id = [&](std::string_view token, std::size_t rank) {
    if (const auto found = vocabulary.find(token)) return *found;
    raise<FormatError>(vocabulary.source(), ": merge ", rank, ": the token \"", token, "\" is not in the vocabulary");
  };
  for (const auto& [left, right] : pairs) {
    joined = left;
    joined += right.substr(std::min(continuing_subword_prefix.size(), right.size()));
    const std::size_t rank = merges.size();
    merges.push_back({id(left, rank), id(right, rank), id(joined, rank), static_cast<std::uint32_t>(rank)});
  }
  return merges;
}

/// The merges of a SentencePiece model, which ranks tokens, not pairs: every way to join two tokens into a third, by
/// the score of the third, the highest first. Joins of equal scores have equal ranks; a token whose score is minus
/// infinity is never joined.
inline std::vector<BpeMerge> merges_from_scores(const Vocabulary& vocabulary, std::span<const float> scores) {
  std::vector<TokenId> order;
  for (std::size_t i = 0; i < std::min(scores.size(), vocabulary.end_id()); ++i)
    if (vocabulary.contains(static_cast<TokenId>(i)) && scores[i] > -std::numeric_limits<float>::infinity())
      order.push_back(static_cast<TokenId>(i));
  const auto score = [&](TokenId id) { return scores[static_cast<std::size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return score(a) > score(b); });
  std::vector<BpeMerge> merges;
  std::uint32_t rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i > 0 && score(order[i]) < score(order[i - 1])) ++rank;
    const std::string_view token = vocabulary.token(order[i]);
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      if ((static_cast<unsigned char>(token[cut]) & 0xC0u) == 0x80u) continue;
      const auto left = vocabulary.find(token.substr(0, cut));
      const auto right = left ? vocabulary.find(token.substr(cut)) : std::nullopt;
      if (right) merges.push_back({*left, *right, order[i], rank});
    }
  }
  return merges;
}

}  // namespace weft::inline v0
