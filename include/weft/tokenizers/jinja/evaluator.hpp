#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/jinja/access.hpp>
#include <weft/tokenizers/jinja/arithmetic.hpp>
#include <weft/tokenizers/jinja/filters.hpp>
#include <weft/tokenizers/jinja/globals.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/string_methods.hpp>
#include <weft/tokenizers/jinja/syntax.hpp>
#include <weft/tokenizers/jinja/tests.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

/// The variables of a block. Loops, macros and blocks that capture text have their own, which end with them; what `if`
/// holds has none.
struct Scope : std::enable_shared_from_this<Scope> {
  explicit Scope(std::shared_ptr<Scope> outer) : parent(std::move(outer)) {}

  std::shared_ptr<Scope> parent;
  std::map<std::string_view, Value> variables;  // named by the template, which outlives them
};

/// Evaluates expressions.
class ExpressionEvaluator : protected Evaluator {
 protected:
  using Expr = Expression::Kind;

  explicit ExpressionEvaluator(Run& run) : run_(run) { run_.evaluator = this; }

  /// A call; `caller` is what a call block gives to the macro that it calls, or null.
  virtual Value call(const Expression& e, Scope& scope, const Value* caller) = 0;

  std::shared_ptr<Scope> inside(Scope& scope) {
    run_.take(sizeof(Scope));
    return std::make_shared<Scope>(scope.shared_from_this());
  }

  Value variable(std::string_view name, Scope& scope) {
    for (const Scope* at = &scope; at; at = at->parent.get()) {
      run_.step();
      if (const auto found = at->variables.find(name); found != at->variables.end()) return found->second;
    }
    if (is_among(global_names, name)) return run_.callable({.name = std::string(name)});
    return run_.undefined(concat("'", name, "' is undefined"));
  }

  Value evaluate(const Expression& e, Scope& scope) {
    const Run::Level level(run_);
    run_.line = e.line;
    run_.step();
    switch (e.kind) {
      case Expr::constant: return e.value;
      case Expr::name: return variable(e.text, scope);
      case Expr::captured: return captured_;
      case Expr::tuple: return run_.tuple(evaluate_parts(e, scope));
      case Expr::list: return run_.list(evaluate_parts(e, scope));
      case Expr::dict: return evaluate_dict(e, scope);
      case Expr::negative: return negate(run_, evaluate(*e.parts[0], scope));
      case Expr::positive: return identity_of_number(run_, evaluate(*e.parts[0], scope));
      case Expr::negation: return Value::boolean(!truth(evaluate(*e.parts[0], scope)));
      case Expr::binary: return evaluate_binary(e, scope);
      case Expr::compare: return evaluate_compare(e, scope);
      case Expr::concat: return evaluate_concat(e, scope);
      case Expr::both:
      case Expr::either: {
        Value left = evaluate(*e.parts[0], scope);
        return truth(left) == (e.kind == Expr::either) ? left : evaluate(*e.parts[1], scope);
      }
      case Expr::condition:
        if (truth(evaluate(*e.parts[0], scope))) return evaluate(*e.parts[1], scope);
        if (e.parts[2]) return evaluate(*e.parts[2], scope);
        return run_.undefined("the condition of an \"if\" without \"else\" is false");
      case Expr::attribute: return get_attribute(run_, evaluate(*e.parts[0], scope), e.text);
      case Expr::item: {
        const Value object = evaluate(*e.parts[0], scope);
        return get_item(run_, object, evaluate(*e.parts[1], scope));
      }
      case Expr::slice: return evaluate_slice(e, scope);
      case Expr::call: return call(e, scope, nullptr);
      case Expr::filter: {
        const Value value = evaluate(*e.parts[0], scope);
        const Arguments arguments = evaluate_arguments(e.arguments, scope);
        run_.line = e.line;
        return call_filter(run_, e.text, value, arguments);
      }
      case Expr::test: {
        const Value value = evaluate(*e.parts[0], scope);
        const Arguments arguments = evaluate_arguments(e.arguments, scope);
        return Value::boolean(call_test(run_, e.text, value, arguments));
      }
    }
    return {};
  }

  std::vector<Value> evaluate_parts(const Expression& e, Scope& scope) {
    std::vector<Value> values;
    values.reserve(e.parts.size());
    for (const ExpressionPointer& part : e.parts) values.push_back(evaluate(*part, scope));
    return values;
  }

  Value evaluate_dict(const Expression& e, Scope& scope) {
    std::vector<std::pair<Value, Value>> entries;
    for (std::size_t i = 0; i + 1 < e.parts.size(); i += 2) {
      Value key = evaluate(*e.parts[i], scope);
      entries.emplace_back(std::move(key), evaluate(*e.parts[i + 1], scope));
    }
    return make_dict(run_, std::move(entries));
  }

  Value evaluate_slice(const Expression& e, Scope& scope) {
    const Value object = evaluate(*e.parts[0], scope);
    Value bounds[3] = {Value::none(), Value::none(), Value::none()};
    for (std::size_t i = 0; i < 3; ++i)
      if (e.parts[i + 1]) bounds[i] = evaluate(*e.parts[i + 1], scope);
    return get_slice(run_, object, bounds[0], bounds[1], bounds[2]);
  }

  Value evaluate_concat(const Expression& e, Scope& scope) {
    std::string out;
    for (const Value& part : evaluate_parts(e, scope)) {
      if (part.is_string()) {
        run_.take(part.characters().size());
        out += part.characters();
      } else {
        out += to_text(run_, part);
      }
    }
    return run_.string(std::move(out));
  }

  Value evaluate_binary(const Expression& e, Scope& scope) {
    const Value left = evaluate(*e.parts[0], scope);
    const Value right = evaluate(*e.parts[1], scope);
    run_.line = e.line;
    switch (e.operators[0]) {
      case Operator::add: return add(run_, left, right);
      case Operator::subtract: return subtract(run_, left, right);
      case Operator::multiply: return multiply(run_, left, right);
      case Operator::divide: return divide(run_, left, right);
      case Operator::floor_divide: return floor_divide(run_, left, right);
      case Operator::modulo: return modulo(run_, left, right);
      default: return power(run_, left, right);
    }
  }

  bool compare(Operator meaning, const Value& left, const Value& right) {
    switch (meaning) {
      case Operator::equal: return equal(run_, left, right);
      case Operator::not_equal: return !equal(run_, left, right);
      case Operator::less: return less(run_, left, right);
      case Operator::less_equal: return less_or_equal(run_, left, right);
      case Operator::greater: return less(run_, right, left);
      case Operator::greater_equal: return less_or_equal(run_, right, left);
      case Operator::in: return contains_value(run_, right, left);
      default: return !contains_value(run_, right, left);
    }
  }
  Value evaluate_compare(const Expression& e, Scope& scope) {
    Value left = evaluate(*e.parts[0], scope);
    for (std::size_t i = 0; i < e.operators.size(); ++i) {
      Value right = evaluate(*e.parts[i + 1], scope);
      if (!compare(e.operators[i], left, right)) return Value::boolean(false);
      left = std::move(right);
    }
    return Value::boolean(true);
  }

  Arguments evaluate_arguments(const CallArguments& written, Scope& scope) {
    Arguments arguments;
    for (const ExpressionPointer& part : written.positional) arguments.positional.push_back(evaluate(*part, scope));
    const auto add_named = [&](const std::string& name, Value value) {
      run_.step(arguments.named.size());
      for (const auto& earlier : arguments.named)
        if (earlier.first == name) run_.fail("the argument ", name, " is given twice");
      arguments.named.emplace_back(name, std::move(value));
    };
    for (const auto& [name, part] : written.named) add_named(name, evaluate(*part, scope));
    if (written.more_positional)
      for (Value& value : elements_of(run_, evaluate(*written.more_positional, scope)))
        arguments.positional.push_back(std::move(value));
    if (written.more_named) {
      const Value more = evaluate(*written.more_named, scope);
      if (!more.is(Kind::dict)) run_.fail("** takes a dict, found ", type_name(more));
      run_.take_values(more.dict().entries.size());
      for (const auto& [key, value] : more.dict().entries)
        add_named(expect_string(run_, key, "the name of an argument"), value);
    }
    return arguments;
  }

  Run& run_;
  Value captured_;  // what a block held that filters are applied to
};

}  // namespace weft::inline v0::detail::jinja
