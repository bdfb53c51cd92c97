#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/sampling/chain.hpp>
#include <weft/tokenizers/tokenizer.hpp>

// A tokenizer small enough to know by heart, and logits that say what a test wants them to.
namespace weft_tests {

/// 128 tokens, as many as the model llama-mha has. They are strings of bytes, most of them one byte; 0, 1 and 2 are
/// <unk>, <s> and </s>.
class PieceTokenizer final : public weft::Tokenizer {
 public:
  PieceTokenizer() {
    for (char c = 'a'; c <= 'z'; ++c) pieces_.emplace_back(1, c);
    for (char c = '0'; c <= '9'; ++c) pieces_.emplace_back(1, c);
    for (char c = 'a'; c <= 'l'; ++c) pieces_.push_back({' ', c});
    for (int byte = 0x80; byte < 0xc0; ++byte) pieces_.emplace_back(1, static_cast<char>(byte));
    for (const char* piece :
         {" ", ".", "\n", "\xc3", "\xe2", "\xea", "\xed", "\xf0", "\xff", " the", "The end", "\xed\x95", "\x9c. "})
      pieces_.emplace_back(piece);
  }

  std::vector<weft::TokenId> encode(std::string_view text, const weft::EncodeOptions& options = {}) const override {
    std::vector<weft::TokenId> ids;
    if (options.add_special_tokens) ids.push_back(1);
    while (!text.empty()) {
      const bool end = options.parse_special_tokens && text.starts_with("</s>");
      const std::string_view piece = end ? "</s>" : text.substr(0, 1);
      ids.push_back(id_of(piece).value_or(0));
      text.remove_prefix(piece.size());
    }
    return ids;
  }

  void append_bytes(weft::TokenId id, const weft::DecodeOptions& options, weft::DecodeState& state,
                    std::string& out) const override {
    if (is_special(id) && options.skip_special_tokens) return;
    out += pieces_[checked(id)];
    state.at_start = false;
  }

  std::size_t vocab_size() const noexcept override { return pieces_.size(); }
  std::optional<weft::TokenId> bos() const noexcept override { return 1; }
  std::optional<weft::TokenId> eos() const noexcept override { return 2; }
  std::optional<weft::TokenId> unk() const noexcept override { return 0; }
  std::optional<weft::TokenId> pad() const noexcept override { return std::nullopt; }
  std::optional<weft::TokenId> id_of(std::string_view token) const override {
    for (std::size_t i = 0; i < pieces_.size(); ++i)
      if (pieces_[i] == token) return static_cast<weft::TokenId>(i);
    return std::nullopt;
  }
  std::string token_of(weft::TokenId id) const override { return pieces_[checked(id)]; }
  bool is_special(weft::TokenId id) const override { return checked(id) < 3; }

  /// The tokens of these pieces.
  std::vector<weft::TokenId> ids(std::initializer_list<const char*> pieces) const {
    std::vector<weft::TokenId> result;
    for (const char* piece : pieces) result.push_back(id_of(piece).value());
    return result;
  }
  /// One token for each byte.
  std::vector<weft::TokenId> bytes(std::string_view text) const {
    std::vector<weft::TokenId> result;
    for (const char& byte : text) result.push_back(id_of(std::string_view(&byte, 1)).value());
    return result;
  }

 private:
  std::vector<std::string> pieces_{"<unk>", "<s>", "</s>"};
};

/// Makes any model say these tokens, then the last of them again and again. It counts from the first history it sees
/// after its making or after a shorter one.
inline weft::LogitsChain saying(std::vector<weft::TokenId> ids) {
  weft::LogitsChain chain;
  chain.add([ids = std::move(ids), begin = std::size_t{0}, last = std::size_t{0}](
                std::span<float> logits, std::span<const weft::TokenId> history) mutable {
    if (history.size() != last + 1) begin = history.size();
    last = history.size();
    const std::size_t at = std::min(history.size() - begin, ids.size() - 1);
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (i != static_cast<std::size_t>(ids[at])) logits[i] = -std::numeric_limits<float>::infinity();
  });
  return chain;
}

}  // namespace weft_tests
