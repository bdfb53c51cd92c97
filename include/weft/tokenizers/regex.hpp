#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <weft/core/error.hpp>
#include <weft/tokenizers/regex_syntax.hpp>
#include <weft/tokenizers/word_pattern.hpp>

namespace weft::inline v0 {

/// A regular expression in the syntax of tokenizer.json (Oniguruma, Ruby's flavour), compiled once by PCRE2, unless it
/// is one that WordPattern matches. Copies share it; matching is const and may be done from several threads.
class Regex {
 public:
  /// `where` names file and key in errors. Throws FormatError for a malformed pattern, UnsupportedError for syntax that
  /// PCRE2 has no word for.
  Regex(std::string_view pattern, std::string where) : where_(std::move(where)), words_(WordPattern::find(pattern)) {
    if (words_) return;
    const std::string translated = detail::RegexTranslator(pattern, where_).translate();
    int error = 0;
    std::size_t offset = 0;
    code_.reset(
        pcre2_compile_8(reinterpret_cast<const unsigned char*>(translated.data()), translated.size(),
                        PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr),
        &pcre2_code_free_8);
    if (!code_) raise<FormatError>(where_, ": the pattern is no regular expression: ", message(error));
    pcre2_jit_compile_8(code_.get(), PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter does the same
    limits_.reset(pcre2_match_context_create_8(nullptr), &pcre2_match_context_free_8);
    if (!limits_) throw std::bad_alloc();
    pcre2_set_match_limit_8(limits_.get(), 1000000);
    pcre2_set_heap_limit_8(limits_.get(), 262144);  // KiB
  }

  /// Calls `visit(begin, end)` for every match in a well-formed UTF-8 text, from left to right and without overlap.
  /// Empty matches count, but not right behind another match. Throws TokenizerError where matching takes too long.
  template <class Visit>
  void for_each_match(std::string_view text, Visit&& visit) const {
    if (words_) return words_->for_each_match(text, visit);
    const std::unique_ptr<pcre2_match_data_8, decltype(&pcre2_match_data_free_8)> match(
        pcre2_match_data_create_8(1, nullptr), &pcre2_match_data_free_8);
    if (!match) throw std::bad_alloc();
    std::size_t last_end = text.size() + 1;
    for (std::size_t at = 0; at <= text.size();) {
      if (!find(text, at, match.get())) return;
      const std::size_t* range = pcre2_get_ovector_pointer_8(match.get());
      const std::size_t begin = range[0];
      const std::size_t end = range[1];
      if (end > begin || begin != last_end) visit(begin, end);
      last_end = end;
      at = end > begin ? end : next_character(text, end);
    }
  }

 private:
  static std::size_t next_character(std::string_view text, std::size_t at) noexcept {
    do ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0u) == 0x80u);
    return at;
  }

  bool find(std::string_view text, std::size_t at, pcre2_match_data_8* match) const {
    const auto* subject = reinterpret_cast<const unsigned char*>(text.data());
    int result = pcre2_match_8(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, match, limits_.get());
    // The interpreter needs no stack.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT)
      result =
          pcre2_match_8(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, match, limits_.get());
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) raise<TokenizerError>(where_, ": the pattern cannot be matched: ", message(result));
    return true;
  }

  static std::string message(int error) {
    std::array<unsigned char, 200> text{};
    pcre2_get_error_message_8(error, text.data(), text.size());
    return reinterpret_cast<const char*>(text.data());
  }

  std::string where_;
  std::optional<WordPattern> words_;
  std::shared_ptr<pcre2_code_8> code_;
  std::shared_ptr<pcre2_match_context_8> limits_;
};

}  // namespace weft::inline v0
