#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/tokenizers/chat_template_limits.hpp>
#include <weft/tokenizers/jinja/value.hpp>

namespace weft::inline v0::detail::jinja {

/// Who evaluates: loops ask it for what they have not looked at yet.
class Evaluator {
 public:
  Evaluator() = default;
  Evaluator(const Evaluator&) = delete;
  Evaluator& operator=(const Evaluator&) = delete;
  virtual ~Evaluator() = default;
  /// Whether the loop has an element at `index`, which is then among its items.
  virtual bool has_element(Loop& loop, std::size_t index) = 0;
};

/// One rendering: where it is, for errors, and what it has used of its limits. All containers and strings are made
/// here.
class Run {
 public:
  static constexpr std::size_t max_value_depth = 150;

  Run(std::string_view source, const ChatTemplateLimits& limits) : source_(source), limits_(limits) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  /// Namespaces may hold each other.
  ~Run() {
    for (const auto& held : namespaces_) held->entries.clear();
  }

  std::size_t line = 1;
  Evaluator* evaluator = nullptr;
  std::optional<std::tm> now;  // what strftime_now() tells; none: the clock's

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    raise<FormatError>(source_, ": line ", line, ": ", parts...);
  }
  /// What is done is not done with values that are undefined.
  [[noreturn]] void fail_undefined(const Value& value) const {
    fail(value.text() ? value.text()->characters : std::string("the value is undefined"));
  }
  std::string_view source() const noexcept { return source_; }
  const ChatTemplateLimits& limits() const noexcept { return limits_; }

  void step(std::size_t count = 1) {
    if (count > limits_.steps - steps_) fail("the template takes more than ", limits_.steps, " steps");
    steps_ += count;
  }
  /// Before memory is taken; long copies also take time.
  void take(std::size_t bytes) {
    if (bytes > limits_.bytes - bytes_) fail("the template makes more than ", limits_.bytes, " bytes of values");
    bytes_ += bytes;
    step(bytes / 256);
  }
  /// The bytes of so many values, checked to be no more than there may be.
  void take_values(std::size_t count) {
    if (count > limits_.bytes / sizeof(Value)) fail("the template makes more than ", limits_.bytes, " bytes of values");
    take(count * sizeof(Value));
  }

  Value string(std::string characters, bool markup = false) {
    take(characters.size() + sizeof(Text));
    return constant_string(std::move(characters), markup);
  }
  Value string(std::string_view characters, bool markup = false) { return string(std::string(characters), markup); }
  Value string(const char* characters) { return string(std::string(characters)); }

  Value undefined(std::string why) {
    take(why.size() + sizeof(Text));
    return {Kind::undefined, std::make_shared<Text>(Text{std::move(why)})};
  }

  Value sequence(Kind kind, std::vector<Value> items, std::string label = {}) {
    take_values(items.size() + 2);
    auto made = std::make_shared<Sequence>();
    for (const Value& item : items) made->depth = std::max(made->depth, 1 + depth_of(item));
    check_depth(made->depth);
    made->items = std::move(items);
    made->label = std::move(label);
    return {kind, std::move(made)};
  }
  Value list(std::vector<Value> items) { return sequence(Kind::list, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::tuple, std::move(items)); }
  Value pair(Value first, Value second) {
    std::vector<Value> items;
    items.push_back(std::move(first));
    items.push_back(std::move(second));
    return tuple(std::move(items));
  }
  Value iterator(std::vector<Value> items, std::string label = "generator") {
    return sequence(Kind::iterator, std::move(items), std::move(label));
  }

  Value callable(Callable made) {
    take(sizeof(Callable) + made.name.size());
    made.depth = made.self.is(Kind::undefined) ? 0 : 1 + depth_of(made.self);
    check_depth(made.depth);
    return {Kind::callable, std::make_shared<Callable>(std::move(made))};
  }
  Value method(const Value& self, std::string_view name) {
    return callable({.type = Callable::Type::method, .name = std::string(name), .self = self});
  }

  Value name_space() {
    take(sizeof(Namespace) + 64);
    namespaces_.push_back(std::make_shared<Namespace>());
    return {Kind::name_space, namespaces_.back()};
  }

  void check_depth(std::size_t depth) const {
    if (depth > max_value_depth) fail("values nested deeper than ", max_value_depth, " levels");
  }

  /// Counts evaluations inside one another while it lives.
  class Level {
   public:
    explicit Level(Run& run) : run_(run) {
      if (run_.depth_ >= run_.limits_.depth)
        run_.fail("evaluations nested deeper than ", run_.limits_.depth, " levels");
      ++run_.depth_;
    }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --run_.depth_; }

   private:
    Run& run_;
  };

 private:
  std::string source_;
  ChatTemplateLimits limits_;
  std::size_t steps_ = 0;
  std::size_t bytes_ = 0;
  std::size_t depth_ = 0;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

/// The arguments of a call.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// Takes out the argument of that name; nothing where it was not given.
  std::optional<Value> take(std::string_view name) {
    for (auto at = named.begin(); at != named.end(); ++at)
      if (at->first == name) {
        std::optional<Value> value(std::move(at->second));
        named.erase(at);
        return value;
      }
    return std::nullopt;
  }
};

/// The arguments of a function that takes up to six.
class Bound {
 public:
  static constexpr std::size_t most = 6;

  /// `names` are those of the parameters, separated by spaces; the first `required` of them must be given.
  Bound(Run& run, std::string_view function, const Arguments& given, std::string_view names, std::size_t required = 0) {
    std::vector<std::string_view> parameters;
    for (std::size_t at = 0; at < names.size();) {
      const std::size_t end = std::min(names.find(' ', at), names.size());
      parameters.push_back(names.substr(at, end - at));
      at = end + 1;
    }
    if (given.positional.size() > parameters.size())
      run.fail(function, "() takes at most ", parameters.size(), " arguments, found ", given.positional.size());
    for (std::size_t i = 0; i < given.positional.size(); ++i) values_[i] = given.positional[i];
    for (const auto& [name, value] : given.named) {
      const auto found = std::find(parameters.begin(), parameters.end(), name);
      if (found == parameters.end()) run.fail(function, "() takes no argument named ", name);
      std::optional<Value>& place = values_[static_cast<std::size_t>(found - parameters.begin())];
      if (place) run.fail(function, "() is given ", name, " twice");
      place = value;
    }
    for (std::size_t i = 0; i < required; ++i)
      if (!values_[i]) run.fail(function, "() needs the argument ", parameters[i]);
  }

  bool has(std::size_t i) const noexcept { return values_[i].has_value(); }
  /// Given, and not none.
  bool given(std::size_t i) const noexcept { return has(i) && !values_[i]->is(Kind::none); }
  const Value& operator[](std::size_t i) const noexcept { return *values_[i]; }
  Value value_or(std::size_t i, Value fallback) const { return values_[i] ? *values_[i] : std::move(fallback); }

 private:
  std::optional<Value> values_[most];
};

}  // namespace weft::inline v0::detail::jinja
