#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/jinja/expression_parser.hpp>
#include <weft/tokenizers/jinja/lexer.hpp>
#include <weft/tokenizers/jinja/syntax.hpp>

namespace weft::inline v0::detail::jinja {

/// Parses a template (jinja2/parser.py) with the tags of chat templates: those of Jinja, break and continue, and
/// generation. Throws FormatError as ExpressionParser, UnsupportedError for tags that reach for other templates.
class Parser final : ExpressionParser {
 public:
  Parser(std::string_view text, std::string_view source) : ExpressionParser(Lexer(text, source).tokens(), source) {}

  Block parse() {
    Block block = parse_block({});
    if (current().type != Type::end) fail_found("the end of the template");
    return block;
  }

 private:
  using Node = Statement::Kind;
  using StatementPointer = std::unique_ptr<Statement>;

  static StatementPointer statement(Node kind, std::size_t line) {
    auto made = std::make_unique<Statement>();
    made->kind = kind;
    made->line = line;
    return made;
  }

  void found_name(std::string_view name) override {
    if (name != "caller" && name != "varargs" && name != "kwargs") return;
    for (Statement* macro : macros_) {
      bool& used = name == "caller" ? macro->uses_caller : name == "varargs" ? macro->uses_varargs : macro->uses_kwargs;
      used = true;
    }
  }

  bool at_any(std::initializer_list<std::string_view> names) const noexcept {
    return std::any_of(names.begin(), names.end(), [&](std::string_view name) { return at_name(name); });
  }
  void expect_end_of_tag() {
    if (current().type != Type::block_end) fail_found("\"%}\"");
    take();
  }

  /// Text, prints and statements up to a tag of one of these names, which is the current token then; without names up
  /// to the end.
  Block parse_block(std::initializer_list<std::string_view> ends) {
    const Level level(*this);
    Block block;
    for (;;) {
      const Token& token = current();
      if (token.type == Type::end) {
        if (ends.size() != 0) fail_found(concat("{% ", *ends.begin(), " %}"));
        return block;
      }
      if (token.type == Type::data) {
        block.push_back(statement(Node::data, token.line));
        block.back()->text = take().text;
      } else if (token.type == Type::variable_begin) {
        block.push_back(statement(Node::print, take().line));
        block.back()->expression = parse_tuple();
        if (current().type != Type::variable_end) fail_found("\"}}\"");
        take();
      } else {
        take();  // no other tokens begin outside of tags
        if (at_any(ends)) return block;
        parse_statement(block);
        expect_end_of_tag();
      }
    }
  }
  /// The same from the end of a tag to the last of the names, which is taken.
  Block parse_body(std::initializer_list<std::string_view> ends) {
    skip_symbol(":");
    expect_end_of_tag();
    return parse_block(ends);
  }
  Block parse_body_and_end(std::string_view end) {
    Block body = parse_body({end});
    take();
    return body;
  }

  void parse_statement(Block& block) {
    if (current().type != Type::name) fail_found("the name of a tag");
    const std::string name = current().text;
    const std::size_t line = current().line;
    if (name == "if") return block.push_back(parse_if());
    if (name == "for") return block.push_back(parse_for());
    if (name == "set") return block.push_back(parse_set());
    if (name == "macro") return block.push_back(parse_macro());
    if (name == "call") return block.push_back(parse_call_block());
    if (name == "filter") return block.push_back(parse_filter_block());
    if (name == "with") return block.push_back(parse_with());
    if (name == "print") return parse_print(block);
    if (name == "generation") return block.push_back(parse_generation());
    if (name == "break" || name == "continue") {
      if (loops_ == 0) fail("found \"", name, "\" outside of a loop");
      take();
      return block.push_back(statement(name == "break" ? Node::leave : Node::next, line));
    }
    for (const std::string_view other : {"block", "extends", "include", "import", "from", "autoescape"})
      if (name == other) raise<UnsupportedError>(source(), ": line ", line, ": the tag ", name, " is not supported");
    fail("found the tag \"", name.substr(0, 100), "\", which there is none of here");
  }

  StatementPointer parse_if() {
    StatementPointer made = statement(Node::condition, current().line);
    do {
      take();
      made->defaults.push_back(parse_tuple(false));
      made->branches.push_back(parse_body({"elif", "else", "endif"}));
    } while (at_name("elif"));
    if (take().text == "else") made->other = parse_body_and_end("endif");
    return made;
  }

  StatementPointer parse_for() {
    StatementPointer made = statement(Node::loop, take().line);
    made->target = parse_targets(false, "in");
    if (!skip_name("in")) fail_found("\"in\"");
    made->expression = parse_tuple(false, "recursive");
    if (skip_name("if")) made->test = parse_expression();
    made->recursive = skip_name("recursive");
    ++loops_;
    made->body = parse_body({"endfor", "else"});
    --loops_;
    if (take().text == "else") made->other = parse_body_and_end("endfor");
    return made;
  }

  /// A name, or several with commas between them; an attribute of a namespace only where `attributes`.
  Target parse_targets(bool attributes, std::string_view ends) {
    const Level level(*this);
    Target target;
    for (;;) {
      const bool at_end = at_symbol("=") || at_symbol(")") || at_symbol("|") || current().type == Type::block_end;
      if (!target.parts.empty() && (at_end || (!ends.empty() && at_name(ends)))) break;
      target.parts.push_back(parse_target(attributes));
      if (!skip_symbol(",")) break;
      target.is_tuple = true;
    }
    if (target.is_tuple) return target;
    Target only = std::move(target.parts.front());
    return only;
  }
  Target parse_target(bool attributes) {
    Target target;
    if (skip_symbol("(")) {
      target = parse_targets(false, {});
      expect_symbol(")");
      return target;
    }
    target.name = expect_name("a name to assign to");
    for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"})
      if (target.name == constant) fail("found ", constant, ", expected a name to assign to");
    if (target.name == "loop" && loops_ > 0) fail("the variable \"loop\" of a loop cannot be assigned to");
    if (attributes && skip_symbol(".")) target.attribute = expect_name("the name of an attribute");
    return target;
  }

  StatementPointer parse_set() {
    StatementPointer made = statement(Node::assign, take().line);
    made->target = parse_targets(true, {});
    if (skip_symbol("=")) {
      made->expression = parse_tuple();
      return made;
    }
    made->kind = Node::assign_block;
    if (at_symbol("|")) made->expression = parse_filter_chain(nullptr);
    made->body = parse_body_and_end("endset");
    return made;
  }

  /// Filters applied to what a block holds.
  ExpressionPointer parse_filter_chain(ExpressionPointer chain) {
    if (!chain) chain = node(Kind::captured, current().line);
    while (skip_symbol("|")) chain = parse_filter(std::move(chain));
    return chain;
  }
  StatementPointer parse_filter_block() {
    StatementPointer made = statement(Node::filter, take().line);
    made->expression = parse_filter_chain(parse_filter(node(Kind::captured, current().line)));
    made->body = parse_body_and_end("endfilter");
    return made;
  }

  void parse_signature(Statement& macro) {
    expect_symbol("(");
    while (!at_symbol(")")) {
      if (!macro.parameters.empty()) expect_symbol(",");
      macro.parameters.push_back(expect_name("the name of a parameter"));
      if (skip_symbol("=")) {
        macro.defaults.push_back(parse_expression());
      } else if (!macro.defaults.empty()) {
        fail("the parameter ", macro.parameters.back(), " without a default follows one with a default");
      }
    }
    expect_symbol(")");
  }
  /// The body of a macro or call block, which loops around it do not reach into.
  void parse_macro_body(Statement& macro, std::string_view end) {
    const std::size_t outer = std::exchange(loops_, 0);
    macros_.push_back(&macro);
    macro.body = parse_body_and_end(end);
    macros_.pop_back();
    loops_ = outer;
    const auto is_parameter = [&](std::string_view name) {
      return std::find(macro.parameters.begin(), macro.parameters.end(), name) != macro.parameters.end();
    };
    if (is_parameter("varargs")) macro.uses_varargs = false;
    if (is_parameter("kwargs")) macro.uses_kwargs = false;
    if (macro.uses_caller && is_parameter("caller")) macro.uses_caller = false;
  }

  StatementPointer parse_macro() {
    StatementPointer made = statement(Node::macro, take().line);
    made->text = expect_name("the name of a macro");
    parse_signature(*made);
    parse_macro_body(*made, "endmacro");
    return made;
  }
  StatementPointer parse_call_block() {
    StatementPointer made = statement(Node::call, take().line);
    made->text = "caller";
    if (at_symbol("(")) parse_signature(*made);
    made->expression = parse_expression();
    if (made->expression->kind != Kind::call) fail("a call block needs a call");
    parse_macro_body(*made, "endcall");
    return made;
  }
  /// What training takes for the model's own words is a scope, as it is a call block in transformers.
  StatementPointer parse_generation() {
    StatementPointer made = statement(Node::scope, take().line);
    const std::size_t outer = std::exchange(loops_, 0);
    made->body = parse_body_and_end("endgeneration");
    loops_ = outer;
    return made;
  }

  StatementPointer parse_with() {
    StatementPointer made = statement(Node::with, take().line);
    while (current().type != Type::block_end) {
      if (!made->targets.empty()) expect_symbol(",");
      made->targets.push_back(parse_targets(false, {}));
      expect_symbol("=");
      made->defaults.push_back(parse_expression());
    }
    made->body = parse_body_and_end("endwith");
    return made;
  }

  void parse_print(Block& block) {
    const std::size_t line = take().line;
    for (bool first = true; current().type != Type::block_end; first = false) {
      if (!first) expect_symbol(",");
      block.push_back(statement(Node::print, line));
      block.back()->expression = parse_expression();
    }
  }

  std::size_t loops_ = 0;  // around the current statement
  std::vector<Statement*> macros_;
};

}  // namespace weft::inline v0::detail::jinja
