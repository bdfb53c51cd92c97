#pragma once

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
#include <weft/tokenizers/word_table.hpp>

namespace weft::inline v0 {

struct WordPieceOptions {
  std::string unk_token = "[UNK]";
  std::string continuing_subword_prefix = "##";  ///< how tokens are spelled that continue a word
  std::size_t max_input_chars_per_word = 100;    ///< longer words are unknown
};

/// The longest token that a word begins with, then the longest that goes on from there, and so forth (Schuster and
/// Nakajima, 2012; BERT). A word that cannot be cut that way is one unknown token.
class WordPieceModel final : public SubwordModel {
 public:
  WordPieceModel(Vocabulary words, WordPieceOptions options)
      : SubwordModel(std::move(words)),
        options_(std::move(options)),
        unk_(vocabulary().find(options_.unk_token)),
        words_(whole_words()),
        begins_(tokens_with({})),
        continues_(tokens_with(options_.continuing_subword_prefix)) {}

  void encode(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const override {
    for_each_word(text, pieces, out, [&](std::string_view word, std::uint32_t begin, std::uint32_t piece) {
      const std::size_t before = out.size();
      // Its own longest beginning.
      if (const TokenId whole = words_.find(word); whole != WordTable::none)
        return void(out.push_back({whole, {begin, begin + static_cast<std::uint32_t>(word.size())}, piece}));
      bool known = word.size() <= options_.max_input_chars_per_word ||
                   count_characters(word) <= options_.max_input_chars_per_word;
      for (std::size_t at = 0; known && at < word.size();) {
        const auto [bytes, id] = (at == 0 ? begins_ : continues_).longest_prefix(word.substr(at));
        const std::uint32_t from = begin + static_cast<std::uint32_t>(at);
        known = bytes > 0;
        if (known) out.push_back({static_cast<TokenId>(id), {from, from + static_cast<std::uint32_t>(bytes)}, piece});
        at += bytes;
      }
      if (known) return;
      if (!unk_)
        raise<TokenizerError>(vocabulary().source(), ": there is no token for \"", word, "\", and no unk_token");
      out.resize(before);
      out.push_back({*unk_, {begin, begin + static_cast<std::uint32_t>(word.size())}, piece});
    });
  }

 private:
  WordTable whole_words() const {
    std::vector<std::pair<std::string_view, TokenId>> words;
    vocabulary().for_each([&](std::string_view token, TokenId id) {
      if (count_characters(token) <= options_.max_input_chars_per_word) words.emplace_back(token, id);
    });
    return WordTable(words);
  }
  Trie tokens_with(std::string_view prefix) const {
    std::vector<Trie::Entry> entries;
    vocabulary().for_each([&](std::string_view token, TokenId id) {
      if (token.starts_with(prefix)) entries.push_back({token.substr(prefix.size()), static_cast<std::uint32_t>(id)});
    });
    return Trie(std::move(entries));
  }

  WordPieceOptions options_;
  std::optional<TokenId> unk_;
  WordTable words_;  // the tokens that are no longer than words may be
  Trie begins_;
  Trie continues_;
};

/// Every word is a token or unknown.
class WordLevelModel final : public SubwordModel {
 public:
  WordLevelModel(Vocabulary words, std::string_view unk_token)
      : SubwordModel(std::move(words)), unk_(vocabulary().find(unk_token)) {}

  void encode(std::string_view text, std::span<const PreToken> pieces, std::vector<Subword>& out) const override {
    for_each_word(text, pieces, out, [&](std::string_view word, std::uint32_t begin, std::uint32_t piece) {
      const auto id = vocabulary().find(word);
      if (!id && !unk_)
        raise<TokenizerError>(vocabulary().source(), ": there is no token for \"", word, "\", and no unk_token");
      out.push_back({id ? *id : *unk_, {begin, begin + static_cast<std::uint32_t>(word.size())}, piece});
    });
  }

 private:
  std::optional<TokenId> unk_;
};

}  // namespace weft::inline v0
