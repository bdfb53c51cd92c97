#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

struct Expression;
using ExpressionPointer = std::unique_ptr<Expression>;

/// The arguments of a call as they are written.
struct CallArguments {
  std::vector<ExpressionPointer> positional;
  std::vector<std::pair<std::string, ExpressionPointer>> named;
  ExpressionPointer more_positional;  // *list
  ExpressionPointer more_named;       // **dict
};

enum class Operator : std::uint8_t {
  add,
  subtract,
  multiply,
  divide,
  floor_divide,
  modulo,
  power,
  equal,
  not_equal,
  less,
  less_equal,
  greater,
  greater_equal,
  in,
  not_in
};

struct Expression {
  enum class Kind : std::uint8_t {
    constant,   // value
    name,       // text
    captured,   // what a block holds that a filter is applied to
    tuple,      // parts
    list,       // parts
    dict,       // parts: key, value, key, value
    negative,   // parts[0]
    positive,   // parts[0]
    negation,   // not parts[0]
    binary,     // parts[0] operators[0] parts[1]
    compare,    // parts[0] operators[0] parts[1] operators[1] parts[2]
    concat,     // parts, with ~ between them
    both,       // parts[0] and parts[1]
    either,     // parts[0] or parts[1]
    condition,  // parts[1] if parts[0] else parts[2], which may be missing
    attribute,  // parts[0].text
    item,       // parts[0][parts[1]]
    slice,      // parts[0][parts[1]:parts[2]:parts[3]], each of which may be missing
    call,       // parts[0](arguments)
    filter,     // parts[0] | text(arguments)
    test        // parts[0] is text(arguments)
  };
  Kind kind = Kind::constant;
  std::size_t line = 0;
  std::size_t depth = 1;  // of expressions inside one another
  std::string text{};
  Value value{};
  std::vector<Operator> operators{};
  std::vector<ExpressionPointer> parts{};
  CallArguments arguments{};
};

/// What is assigned to: a name, an attribute of a namespace, or several of them.
struct Target {
  std::string name{};
  std::string attribute{};
  std::vector<Target> parts{};
  bool is_tuple = false;
};

struct Statement;
using Block = std::vector<std::unique_ptr<Statement>>;

struct Statement {
  enum class Kind : std::uint8_t {
    data,          // text
    print,         // expression
    condition,     // the first of branches whose condition in defaults is true, else other
    loop,          // for target in expression if test: body, else other
    assign,        // target = expression
    assign_block,  // target = body, through the filters of expression, if any
    macro,         // text(parameters): body
    call,          // expression with caller(parameters): body
    filter,        // body through expression
    with,          // targets = expressions: body
    scope,         // body
    leave,         // break
    next           // continue
  };
  Kind kind = Kind::data;
  std::size_t line = 0;
  std::string text{};
  ExpressionPointer expression{};
  ExpressionPointer test{};
  Target target{};
  Block body{};
  Block other{};
  std::vector<std::string> parameters{};
  std::vector<ExpressionPointer> defaults{};  // of the last parameters; for `with` the values of all targets
  std::vector<Target> targets{};
  std::vector<Block> branches{};
  bool recursive = false;
  bool uses_caller = false;  // of a macro: its body names them
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

}  // namespace weft::inline v0::detail::jinja
