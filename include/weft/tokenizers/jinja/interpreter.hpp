#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/jinja/evaluator.hpp>
#include <weft/tokenizers/jinja/globals.hpp>
#include <weft/tokenizers/jinja/methods.hpp>
#include <weft/tokenizers/jinja/operators.hpp>
#include <weft/tokenizers/jinja/run.hpp>
#include <weft/tokenizers/jinja/syntax.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

/// Renders a template. One object renders once.
class Interpreter final : ExpressionEvaluator {
 public:
  using Variables = std::vector<std::pair<std::string, Value>>;

  explicit Interpreter(Run& run) : ExpressionEvaluator(run) {}

  /// `variables` outlive the call.
  std::string render(const Block& block, const Variables& variables) {
    const auto given = std::make_shared<Scope>(nullptr);
    for (const auto& [name, value] : variables) given->variables[name] = value;
    const auto top = std::make_shared<Scope>(given);
    std::string out;
    out_ = &out;
    execute(block, *top);
    return out;
  }

 private:
  using Node = Statement::Kind;

  enum class Flow : std::uint8_t { on, next, leave };

  void write(std::string_view text) {
    run_.take(text.size());
    *out_ += text;
  }

  /// What a block writes, in a scope of its own or in one that it is given. `flow` tells of break and continue.
  std::string capture(const Block& block, Scope& scope, Flow& flow) {
    std::string text;
    std::string* const outer = std::exchange(out_, &text);
    flow = execute(block, scope);
    out_ = outer;
    return text;
  }

  Flow execute(const Block& block, Scope& scope) {
    for (const auto& statement : block)
      if (const Flow flow = execute(*statement, scope); flow != Flow::on) return flow;
    return Flow::on;
  }

  Flow execute(const Statement& s, Scope& scope) {
    const Run::Level level(run_);
    run_.line = s.line;
    run_.step();
    switch (s.kind) {
      case Node::data: write(s.text); break;
      case Node::print: print(evaluate(*s.expression, scope)); break;
      case Node::condition: return execute_condition(s, scope);
      case Node::loop: return execute_loop(s, evaluate(*s.expression, scope), scope, 0);
      case Node::assign: assign(s.target, evaluate(*s.expression, scope), scope); break;
      case Node::assign_block:
      case Node::filter: return execute_captured(s, scope);
      case Node::macro: scope.variables[s.text] = macro_of(s, scope); break;
      case Node::call: {
        const Value caller = macro_of(s, scope);
        print(call(*s.expression, scope, &caller));
        break;
      }
      case Node::with: {
        const auto inner = inside(scope);
        for (std::size_t i = 0; i < s.targets.size(); ++i)
          assign(s.targets[i], evaluate(*s.defaults[i], scope), *inner);
        return execute(s.body, *inner);
      }
      case Node::scope: return execute(s.body, *inside(scope));
      case Node::leave: return Flow::leave;
      case Node::next: return Flow::next;
    }
    return Flow::on;
  }

  void print(const Value& value) {
    if (value.is_string()) return write(value.characters());
    write(to_text(run_, value));
  }

  Flow execute_condition(const Statement& s, Scope& scope) {
    for (std::size_t i = 0; i < s.branches.size(); ++i)
      if (truth(evaluate(*s.defaults[i], scope))) return execute(s.branches[i], scope);
    return execute(s.other, scope);
  }

  Flow execute_captured(const Statement& s, Scope& scope) {
    const auto inner = inside(scope);
    Flow flow = Flow::on;
    Value text = run_.string(capture(s.body, *inner, flow));
    if (flow != Flow::on) return flow;
    if (s.expression) {
      const Value outer = std::exchange(captured_, std::move(text));
      text = evaluate(*s.expression, *inner);
      captured_ = outer;
    }
    if (s.kind == Node::filter) {
      if (!text.is_string()) run_.fail("the filters of a block give a value of the type ", type_name(text));
      print(text);
    } else {
      assign(s.target, text, scope);
    }
    return Flow::on;
  }

  Value macro_of(const Statement& s, Scope& scope) {
    Callable macro{.type = Callable::Type::macro, .name = s.text};
    macro.macro = &s;
    macro.defined = scope.weak_from_this();
    return run_.callable(std::move(macro));
  }

  void assign(const Target& target, const Value& value, Scope& scope) {
    run_.step();
    if (target.is_tuple) {
      const std::vector<Value> values = elements_of(run_, value);
      if (values.size() != target.parts.size())
        run_.fail("found ", values.size(), " values for ", target.parts.size(), " names");
      for (std::size_t i = 0; i < values.size(); ++i) assign(target.parts[i], values[i], scope);
    } else if (target.attribute.empty()) {
      run_.take(sizeof(Value) + 64);
      scope.variables[target.name] = value;
    } else {
      const Value holder = variable(target.name, scope);
      if (!holder.is(Kind::name_space))
        run_.fail("\"", target.name, "\" is no namespace: it has no attributes to assign to");
      check_attribute(run_, target.attribute);
      run_.step(holder.name_space().entries.size() / 8);
      if (Value* found = holder.name_space().find(target.attribute)) {
        *found = value;
      } else {
        run_.take(sizeof(Value) + target.attribute.size());
        holder.name_space().entries.emplace_back(target.attribute, value);
      }
    }
  }

  /// Lets go of what a loop that is over refers to.
  struct Ending {
    Loop& loop;
    ~Ending() {
      loop.over = true;
      loop.items.clear();
      loop.pending.clear();
      loop.changed.clear();
      loop.next_pending = 0;
    }
  };

  Flow execute_loop(const Statement& s, const Value& iterable, Scope& scope, std::size_t depth) {
    const auto loop = std::make_shared<Loop>();
    loop->statement = &s;
    loop->outer = scope.weak_from_this();
    loop->depth = depth;
    (s.test ? loop->pending : loop->items) = elements_of(run_, iterable);
    const Ending ending{*loop};
    bool completed = false;
    for (std::size_t i = 0; has_element(*loop, i); ++i) {
      run_.step();
      loop->index = i;
      const auto inner = inside(scope);
      const Value item = loop->items[i];
      inner->variables["loop"] = Value(Kind::loop, loop);
      assign(s.target, item, *inner);
      const Flow flow = execute(s.body, *inner);
      // As in Jinja, the else part is left out only where an iteration came to its end.
      completed = completed || flow == Flow::on;
      if (flow == Flow::leave) break;
    }
    return completed || s.other.empty() ? Flow::on : execute(s.other, *inside(scope));
  }

  bool has_element(Loop& loop, std::size_t index) override {
    while (loop.items.size() <= index && loop.next_pending < loop.pending.size()) {
      const std::shared_ptr<Scope> outer = loop.outer.lock();
      if (!outer) return false;
      const Value item = loop.pending[loop.next_pending++];
      const auto inner = inside(*outer);
      assign(loop.statement->target, item, *inner);
      const std::size_t line = run_.line;
      // What is taken apart and let through is a tuple.
      const bool apart = loop.statement->target.is_tuple && item.is(Kind::list);
      if (truth(evaluate(*loop.statement->test, *inner))) loop.items.push_back(apart ? run_.tuple(item.items()) : item);
      run_.line = line;
    }
    return index < loop.items.size();
  }

  /// `caller` is what a call block gives to the macro that it calls.
  Value call(const Expression& e, Scope& scope, const Value* caller) override {
    const Value callee = evaluate(*e.parts[0], scope);
    Arguments arguments = evaluate_arguments(e.arguments, scope);
    if (caller) arguments.named.emplace_back("caller", *caller);
    run_.line = e.line;
    if (callee.is(Kind::undefined)) run_.fail_undefined(callee);
    if (callee.is(Kind::loop)) return call_loop(callee.loop(), arguments);
    if (!callee.is(Kind::callable)) run_.fail("a value of the type ", type_name(callee), " cannot be called");
    Callable& callable = callee.callable();
    switch (callable.type) {
      case Callable::Type::global: return call_global(run_, callable.name, arguments);
      case Callable::Type::method: return call_method(run_, callable.self, callable.name, arguments);
      case Callable::Type::macro: return call_macro(callable, std::move(arguments));
      case Callable::Type::joiner: return callable.position++ == 0 ? run_.string("") : callable.self;
      case Callable::Type::cycler: break;
    }
    run_.fail("a cycler is not called: its method next() is");
  }

  /// The body of a recursive loop, for other elements.
  Value call_loop(Loop& loop, const Arguments& arguments) {
    const Bound given(run_, "loop", arguments, "iterable", 1);
    if (!loop.statement->recursive) run_.fail("a loop is called that is not \"recursive\"");
    const std::shared_ptr<Scope> outer = loop.outer.lock();
    if (!outer) run_.fail("a loop is called that is over");
    std::string text;
    std::string* const before = std::exchange(out_, &text);
    execute_loop(*loop.statement, given[0], *outer, loop.depth + 1);
    out_ = before;
    return run_.string(std::move(text));
  }

  Value call_macro(const Callable& macro, Arguments arguments) {
    const Run::Level level(run_);
    const std::shared_ptr<Scope> defined = macro.defined.lock();
    if (!defined) run_.fail("the macro ", macro.name, " is called after the block that it was defined in");
    const auto scope = inside(*defined);
    const std::size_t line = run_.line;
    bind_parameters(*macro.macro, macro.name, std::move(arguments), *scope);
    Flow flow = Flow::on;
    std::string text = capture(macro.macro->body, *scope, flow);
    run_.line = line;
    return run_.string(std::move(text));
  }

  void bind_parameters(const Statement& macro, std::string_view name, Arguments arguments, Scope& scope) {
    const std::size_t count = macro.parameters.size();
    const std::size_t by_position = std::min(arguments.positional.size(), count);
    std::vector<std::optional<Value>> values(arguments.positional.begin(),
                                             arguments.positional.begin() + static_cast<std::ptrdiff_t>(by_position));
    for (std::size_t i = by_position; i < count; ++i) values.push_back(arguments.take(macro.parameters[i]));
    if (macro.uses_caller)
      scope.variables["caller"] = arguments.take("caller").value_or(run_.undefined("No caller defined"));
    if (macro.uses_kwargs) {
      std::vector<std::pair<Value, Value>> entries;
      for (const auto& [key, value] : arguments.named) entries.emplace_back(run_.string(key), value);
      scope.variables["kwargs"] = make_dict(run_, std::move(entries));
    } else if (!arguments.named.empty()) {
      run_.fail("the macro ", name, " takes no argument named ", arguments.named.front().first);
    }
    if (macro.uses_varargs) {
      scope.variables["varargs"] = run_.tuple(
          {arguments.positional.begin() + static_cast<std::ptrdiff_t>(by_position), arguments.positional.end()});
    } else if (arguments.positional.size() > count) {
      run_.fail("the macro ", name, " takes at most ", count, " arguments, found ", arguments.positional.size());
    }
    const std::size_t first_default = count - macro.defaults.size();
    for (std::size_t i = 0; i < count; ++i) {
      run_.take(sizeof(Value) + 64);
      Value& place = scope.variables[macro.parameters[i]];
      if (values[i]) {
        place = *values[i];
      } else if (i >= first_default) {
        place = evaluate(*macro.defaults[i - first_default], scope);
      } else {
        place = run_.undefined(concat("parameter '", macro.parameters[i], "' was not provided"));
      }
    }
  }

  std::string* out_ = nullptr;
};

}  // namespace weft::inline v0::detail::jinja
