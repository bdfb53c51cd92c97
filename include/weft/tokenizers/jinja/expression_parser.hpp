#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/lexer.hpp>
#include <weft/tokenizers/jinja/syntax.hpp>
#include <weft/tokenizers/jinja/token_stream.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

/// Parses expressions as Jinja does (jinja2/parser.py), which binds some of them otherwise than Python: -1|abs is 1,
/// and 2**3**2 is 64. Throws FormatError naming the template, the line, what was found and what was expected.
class ExpressionParser : protected TokenStream {
 protected:
  using TokenStream::TokenStream;
  using Kind = Expression::Kind;

  ExpressionPointer node(Kind kind, std::size_t line) const {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->line = line;
    return made;
  }
  /// Adds a part, and no more levels than evaluating and destroying can take.
  void add(Expression& to, ExpressionPointer part) const {
    if (part) deepen(to, *part);
    to.parts.push_back(std::move(part));
  }
  void deepen(Expression& to, const Expression& part) const {
    to.depth = std::max(to.depth, part.depth + 1);
    if (to.depth > max_depth) fail("an expression of more than ", max_depth, " levels");
  }
  ExpressionPointer binary(Kind kind, ExpressionPointer left, ExpressionPointer right, std::size_t line) const {
    ExpressionPointer made = node(kind, line);
    add(*made, std::move(left));
    add(*made, std::move(right));
    return made;
  }

  /// One expression, or a tuple of several with commas between them. `ends` is a name that may follow.
  ExpressionPointer parse_tuple(bool with_condition = true, std::string_view ends = {}, bool in_parentheses = false) {
    const std::size_t line = current().line;
    std::vector<ExpressionPointer> parts;
    bool is_tuple = false;
    for (;;) {
      if (current().type == Type::variable_end || current().type == Type::block_end || at_symbol(")") ||
          (!ends.empty() && at_name(ends)))
        break;
      parts.push_back(with_condition ? parse_expression() : parse_or());
      if (!skip_symbol(",")) break;
      is_tuple = true;
    }
    if (!is_tuple && !parts.empty()) return std::move(parts.front());
    if (!is_tuple && !in_parentheses) fail_found("an expression");
    ExpressionPointer made = node(Kind::tuple, line);
    for (ExpressionPointer& part : parts) add(*made, std::move(part));
    return made;
  }

  ExpressionPointer parse_expression() {
    const Level level(*this);
    std::size_t line = current().line;
    ExpressionPointer left = parse_or();
    while (skip_name("if")) {
      ExpressionPointer made = node(Kind::condition, line);
      add(*made, parse_or());
      add(*made, std::move(left));
      if (skip_name("else")) {
        add(*made, parse_expression());
      } else {
        made->parts.push_back(nullptr);
      }
      left = std::move(made);
      line = current().line;
    }
    return left;
  }

  ExpressionPointer parse_or() {
    const std::size_t line = current().line;
    ExpressionPointer left = parse_and();
    while (skip_name("or")) left = binary(Kind::either, std::move(left), parse_and(), line);
    return left;
  }
  ExpressionPointer parse_and() {
    const std::size_t line = current().line;
    ExpressionPointer left = parse_not();
    while (skip_name("and")) left = binary(Kind::both, std::move(left), parse_not(), line);
    return left;
  }
  ExpressionPointer parse_not() {
    if (!at_name("not")) return parse_compare();
    const Level level(*this);
    ExpressionPointer made = node(Kind::negation, take().line);
    add(*made, parse_not());
    return made;
  }

  std::optional<Operator> take_comparison() {
    static constexpr std::pair<std::string_view, Operator> symbols[] = {
        {"==", Operator::equal},      {"!=", Operator::not_equal}, {"<", Operator::less},
        {"<=", Operator::less_equal}, {">", Operator::greater},    {">=", Operator::greater_equal}};
    for (const auto& [symbol, meaning] : symbols)
      if (skip_symbol(symbol)) return meaning;
    if (skip_name("in")) return Operator::in;
    if (!at_name("not") || !is(ahead(), Type::name, "in")) return std::nullopt;
    take();
    take();
    return Operator::not_in;
  }
  ExpressionPointer parse_compare() {
    const std::size_t line = current().line;
    ExpressionPointer left = parse_sum();
    std::optional<Operator> found = take_comparison();
    if (!found) return left;
    ExpressionPointer made = node(Kind::compare, line);
    add(*made, std::move(left));
    for (; found; found = take_comparison()) {
      made->operators.push_back(*found);
      add(*made, parse_sum());
    }
    return made;
  }

  ExpressionPointer calculation(Operator meaning, ExpressionPointer left, ExpressionPointer right, std::size_t line) {
    ExpressionPointer made = binary(Kind::binary, std::move(left), std::move(right), line);
    made->operators.push_back(meaning);
    return made;
  }
  ExpressionPointer parse_sum() {
    const std::size_t line = current().line;
    ExpressionPointer left = parse_concat();
    while (at_symbol("+") || at_symbol("-")) {
      const Operator meaning = take().text == "+" ? Operator::add : Operator::subtract;
      left = calculation(meaning, std::move(left), parse_concat(), line);
    }
    return left;
  }
  ExpressionPointer parse_concat() {
    const std::size_t line = current().line;
    ExpressionPointer first = parse_product();
    if (!at_symbol("~")) return first;
    ExpressionPointer made = node(Kind::concat, line);
    add(*made, std::move(first));
    while (skip_symbol("~")) add(*made, parse_product());
    return made;
  }
  ExpressionPointer parse_product() {
    static constexpr std::pair<std::string_view, Operator> symbols[] = {
        {"*", Operator::multiply}, {"/", Operator::divide}, {"//", Operator::floor_divide}, {"%", Operator::modulo}};
    const std::size_t line = current().line;
    ExpressionPointer left = parse_power();
    for (;;) {
      const auto* found = std::find_if(std::begin(symbols), std::end(symbols),
                                       [&](const auto& symbol) { return at_symbol(symbol.first); });
      if (found == std::end(symbols)) return left;
      take();
      left = calculation(found->second, std::move(left), parse_power(), line);
    }
  }
  ExpressionPointer parse_power() {
    const std::size_t line = current().line;
    ExpressionPointer left = parse_unary(true);
    while (skip_symbol("**")) left = calculation(Operator::power, std::move(left), parse_unary(true), line);
    return left;
  }

  ExpressionPointer parse_unary(bool with_filters) {
    ExpressionPointer made;
    if (at_symbol("-") || at_symbol("+")) {
      const Level level(*this);
      const Token sign = take();
      made = node(sign.text == "-" ? Kind::negative : Kind::positive, sign.line);
      add(*made, parse_unary(false));
    } else {
      made = parse_primary();
    }
    made = parse_postfix(std::move(made));
    return with_filters ? parse_filters(std::move(made)) : std::move(made);
  }

  ExpressionPointer parse_primary() {
    const Token token = current();
    ExpressionPointer made = node(Kind::constant, token.line);
    switch (token.type) {
      case Type::name:
        take();
        if (token.text == "true" || token.text == "True") {
          made->value = Value::boolean(true);
        } else if (token.text == "false" || token.text == "False") {
          made->value = Value::boolean(false);
        } else if (token.text == "none" || token.text == "None") {
          made->value = Value::none();
        } else {
          made->kind = Kind::name;
          made->text = token.text;
          found_name(token.text);
        }
        return made;
      case Type::string: {
        std::string text;
        while (current().type == Type::string) text += take().text;
        made->value = constant_string(std::move(text));
        return made;
      }
      case Type::integer:
      case Type::number:
        take();
        made->value = token.type == Type::integer ? Value::integer(token.integer) : Value::number(token.number);
        return made;
      default: break;
    }
    if (skip_symbol("(")) {
      made = parse_tuple(true, {}, true);
      expect_symbol(")");
      return made;
    }
    if (at_symbol("[")) return parse_list();
    if (at_symbol("{")) return parse_dict();
    fail_found("an expression");
  }

  ExpressionPointer parse_list() {
    ExpressionPointer made = node(Kind::list, take().line);
    while (!at_symbol("]")) {
      if (!made->parts.empty()) expect_symbol(",");
      if (at_symbol("]")) break;
      add(*made, parse_expression());
    }
    expect_symbol("]");
    return made;
  }
  ExpressionPointer parse_dict() {
    ExpressionPointer made = node(Kind::dict, take().line);
    while (!at_symbol("}")) {
      if (!made->parts.empty()) expect_symbol(",");
      if (at_symbol("}")) break;
      add(*made, parse_expression());
      expect_symbol(":");
      add(*made, parse_expression());
    }
    expect_symbol("}");
    return made;
  }

  ExpressionPointer parse_postfix(ExpressionPointer left) {
    for (;;) {
      if (at_symbol(".")) {
        left = parse_dot(std::move(left));
      } else if (at_symbol("[")) {
        left = parse_subscript(std::move(left));
      } else if (at_symbol("(")) {
        left = parse_call(std::move(left));
      } else {
        return left;
      }
    }
  }
  ExpressionPointer parse_dot(ExpressionPointer left) {
    const std::size_t line = take().line;
    const Token name = current();
    if (name.type != Type::name && name.type != Type::integer) fail_found("a name or a number");
    take();
    ExpressionPointer made = node(name.type == Type::name ? Kind::attribute : Kind::item, line);
    add(*made, std::move(left));
    if (name.type == Type::name) {
      made->text = name.text;
    } else {
      made->parts.push_back(node(Kind::constant, line));
      made->parts.back()->value = Value::integer(name.integer);
    }
    return made;
  }
  ExpressionPointer parse_subscript(ExpressionPointer left) {
    const std::size_t line = take().line;
    if (at_symbol("]")) fail_found("an index");
    ExpressionPointer first = at_symbol(":") ? nullptr : parse_expression();
    ExpressionPointer made = node(at_symbol(":") ? Kind::slice : Kind::item, line);
    add(*made, std::move(left));
    if (made->kind == Kind::slice) {
      add(*made, std::move(first));
      for (int i = 0; i < 2; ++i) {
        const bool given = skip_symbol(":") && !at_symbol(":") && !at_symbol("]");
        add(*made, given ? parse_expression() : nullptr);
      }
    } else if (at_symbol(",")) {
      ExpressionPointer several = node(Kind::tuple, line);
      add(*several, std::move(first));
      while (skip_symbol(",") && !at_symbol("]")) add(*several, parse_expression());
      add(*made, std::move(several));
    } else {
      add(*made, std::move(first));
    }
    expect_symbol("]");
    return made;
  }

  ExpressionPointer parse_call(ExpressionPointer left) {
    ExpressionPointer made = node(Kind::call, current().line);
    add(*made, std::move(left));
    parse_arguments(*made);
    return made;
  }
  void parse_arguments(Expression& call) {
    expect_symbol("(");
    CallArguments& arguments = call.arguments;
    const auto keep = [&](ExpressionPointer part) {
      deepen(call, *part);
      return part;
    };
    for (bool first = true; !at_symbol(")"); first = false) {
      if (!first) expect_symbol(",");
      if (at_symbol(")")) break;
      const bool is_named = current().type == Type::name && is(ahead(), Type::symbol, "=");
      const bool is_dict = at_symbol("**");
      if (arguments.more_named || (arguments.more_positional && !is_named && !is_dict) ||
          (!arguments.named.empty() && !is_named && !is_dict && !at_symbol("*")))
        fail("found ", describe(current()), ", which may not stand there among the arguments of a call");
      if (skip_symbol("*")) {
        arguments.more_positional = keep(parse_expression());
      } else if (skip_symbol("**")) {
        arguments.more_named = keep(parse_expression());
      } else if (is_named) {
        std::string name = take().text;
        take();
        arguments.named.emplace_back(std::move(name), keep(parse_expression()));
      } else {
        arguments.positional.push_back(keep(parse_expression()));
      }
    }
    expect_symbol(")");
  }

  std::string parse_dotted_name(std::string_view what) {
    std::string name = expect_name(what);
    while (skip_symbol(".")) name += "." + expect_name(what);
    return name;
  }
  ExpressionPointer parse_filters(ExpressionPointer left) {
    for (;;) {
      if (skip_symbol("|")) {
        left = parse_filter(std::move(left));
      } else if (at_name("is")) {
        left = parse_test(std::move(left));
      } else if (at_symbol("(")) {
        left = parse_call(std::move(left));
      } else {
        return left;
      }
    }
  }
  /// What follows a "|".
  ExpressionPointer parse_filter(ExpressionPointer left) {
    ExpressionPointer made = node(Kind::filter, current().line);
    made->text = parse_dotted_name("the name of a filter");
    add(*made, std::move(left));
    if (at_symbol("(")) parse_arguments(*made);
    return made;
  }
  ExpressionPointer parse_test(ExpressionPointer left) {
    const std::size_t line = take().line;
    const bool negated = skip_name("not");
    ExpressionPointer made = node(Kind::test, line);
    made->text = parse_dotted_name("the name of a test");
    add(*made, std::move(left));
    const Type type = current().type;
    const bool literal = type == Type::name || type == Type::string || type == Type::integer || type == Type::number ||
                         at_symbol("[") || at_symbol("{");
    if (at_symbol("(")) {
      parse_arguments(*made);
    } else if (literal && !at_name("else") && !at_name("or") && !at_name("and")) {
      if (at_name("is")) fail("found \"is\" after a test, which cannot be tested again");
      ExpressionPointer argument = parse_postfix(parse_primary());
      deepen(*made, *argument);
      made->arguments.positional.push_back(std::move(argument));
    }
    if (!negated) return made;
    ExpressionPointer outer = node(Kind::negation, line);
    add(*outer, std::move(made));
    return outer;
  }

  /// Told of every variable that an expression names.
  virtual void found_name(std::string_view name) = 0;
  virtual ~ExpressionParser() = default;
};

}  // namespace weft::inline v0::detail::jinja
