#pragma once

#include <string>
#include <string_view>

#include <weft/core/token_id.hpp>
#include <weft/formats/utf8.hpp>
#include <weft/tokenizers/tokenizer.hpp>

namespace weft::inline v0 {

/// Decodes token after token: what push() and finish() return, joined, is what Tokenizer::decode gives for all the ids,
/// and no piece ends inside a character. Allocates nothing once its buffers have grown to the longest piece.
class StreamDecoder {
 public:
  /// The tokenizer must outlive this.
  explicit StreamDecoder(const Tokenizer& tokenizer, const DecodeOptions& options = {})
      : tokenizer_(&tokenizer), options_(options) {
    bytes_.reserve(initial_capacity);
    text_.reserve(initial_capacity);
  }

  /// The text that this token completes; may be empty. Valid until the next call. Throws TokenizerError for an id
  /// outside the vocabulary and is unchanged then.
  std::string_view push(TokenId id) {
    text_.clear();
    tokenizer_->append_bytes(id, options_, state_, bytes_);
    const std::string_view settled = std::string_view(bytes_).substr(0, bytes_.size() - state_.run);
    bytes_.erase(0, append_repaired(settled, false, text_, tokenizer_->repair()));
    return text_;
  }

  /// The text of the bytes that wait for the rest of a character or of a run of bytes, and the end of the sequence:
  /// push() starts another.
  std::string_view finish() {
    text_.clear();
    tokenizer_->end_bytes(state_, bytes_);
    append_repaired(bytes_, true, text_, tokenizer_->repair());
    bytes_.clear();
    state_ = {};
    return text_;
  }

 private:
  static constexpr std::size_t initial_capacity = 256;

  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  std::string bytes_;  // of tokens, not yet text
  std::string text_;
  DecodeState state_;
};

}  // namespace weft::inline v0
