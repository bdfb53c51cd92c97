#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/jinja/lexer.hpp>

namespace weft::inline v0::detail::jinja {

/// The tokens of a template, read one after the other.
class TokenStream {
 public:
  static constexpr std::size_t max_depth = 200;  // of expressions and blocks inside one another

  TokenStream(std::vector<Token> tokens, std::string_view source) : tokens_(std::move(tokens)), source_(source) {}
  TokenStream(const TokenStream&) = delete;
  TokenStream& operator=(const TokenStream&) = delete;
  ~TokenStream() = default;

 protected:
  using Type = Token::Type;

  /// Counts what is parsed inside one another.
  class Level {
   public:
    explicit Level(TokenStream& parser) : parser_(parser) {
      if (++parser_.depth_ > max_depth) parser_.fail("nested deeper than ", max_depth, " levels");
    }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --parser_.depth_; }

   private:
    TokenStream& parser_;
  };

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    raise<FormatError>(source_, ": line ", current().line, ": ", parts...);
  }

  const Token& current() const noexcept { return tokens_[at_]; }
  const Token& ahead() const noexcept { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() {
    Token token = current();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  static bool is(const Token& token, Type type, std::string_view text) noexcept {
    return token.type == type && token.text == text;
  }
  bool at_symbol(std::string_view symbol) const noexcept { return is(current(), Type::symbol, symbol); }
  bool at_name(std::string_view name) const noexcept { return is(current(), Type::name, name); }
  bool skip_symbol(std::string_view symbol) {
    if (!at_symbol(symbol)) return false;
    take();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!at_name(name)) return false;
    take();
    return true;
  }
  static std::string describe(const Token& token) {
    switch (token.type) {
      case Type::data: return "text outside of tags";
      case Type::variable_begin: return "\"{{\"";
      case Type::variable_end: return "\"}}\"";
      case Type::block_begin: return "\"{%\"";
      case Type::block_end: return "\"%}\"";
      case Type::string: return "a string";
      case Type::end: return "the end of the template";
      default: return '"' + token.text.substr(0, 100) + '"';
    }
  }
  [[noreturn]] void fail_found(std::string_view expected) const {
    fail("found ", describe(current()), ", expected ", expected);
  }
  void expect_symbol(std::string_view symbol) {
    if (!skip_symbol(symbol)) fail_found(concat('"', symbol, '"'));
  }
  std::string expect_name(std::string_view what) {
    if (current().type != Type::name) fail_found(what);
    return take().text;
  }

  const std::string& source() const noexcept { return source_; }

 private:
  std::vector<Token> tokens_;
  std::string source_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace weft::inline v0::detail::jinja
