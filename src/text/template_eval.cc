#include <algorithm>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "text/template.h"
#include "text/template_ast.h"
#include "text/template_value.h"

namespace moiety {
namespace {

using V = TemplateValue;
using Type = V::Type;
using Kind = TemplateNode::Kind;
using Call = TemplateCall;

constexpr size_t max_steps = 20'000'000, max_depth = 150;
constexpr size_t max_output = template_max_output;
constexpr long long max_range = template_max_items;

struct Break {};
struct Continue {};

// Names of one block; those of the blocks around it are seen through `outer`.
struct Scope {
  std::unordered_map<std::string, V> names;
  Scope* outer = nullptr;
  V* find(const std::string& name) {
    for (Scope* s = this; s; s = s->outer)
      if (auto it = s->names.find(name); it != s->names.end()) return &it->second;
    return nullptr;
  }
};

class Evaluator {
 public:
  explicit Evaluator(const std::string& name) : name_(name) {}

  std::string run(const TemplateNode& root, const nlohmann::ordered_json& variables) {
    globals();
    for (const auto& [key, value] : variables.items()) global_.names[key] = V::from_json(value);
    Scope top;
    top.outer = &global_;
    std::string out;
    try {
      execute(root.children, top, out);
    } catch (const Break&) {
      throw Error("template {}: break outside of a loop", name_);
    } catch (const Continue&) {
      throw Error("template {}: continue outside of a loop", name_);
    }
    return out;
  }

 private:
  void globals() {
    for (const bool name_space : {true, false})
      global_.names[name_space ? "namespace" : "dict"] = V::callable([name_space](const Call& call) {
      V out = V::dict();
      out.flag = name_space;
      for (const V& v : call.positional)
        if (v.is(Type::dict))
          for (const auto& [key, value] : *v.pairs) out.set(key, value);
      for (const auto& [key, value] : call.named) out.set(V::of(key), value);
      return out;
    });
    global_.names["range"] = V::callable([](const Call& call) {
      if (call.positional.empty() || call.positional.size() > 3) throw Error("range expected 1 to 3 arguments");
      const auto at = [&](size_t i) { return call.positional[i].as_integer(); };
      const long long begin = call.positional.size() > 1 ? at(0) : 0, end = call.positional.size() > 1 ? at(1) : at(0), step = call.positional.size() > 2 ? at(2) : 1;
      if (step == 0) throw Error("range() arg 3 must not be zero");
      if (std::abs(static_cast<double>(end) - static_cast<double>(begin)) / std::abs(static_cast<double>(step)) > max_range) throw Error("range of more than {} numbers", max_range);
      Values out;
      for (long long i = begin; step > 0 ? i < end : i > end; i += step) out.push_back(V::of(i));
      return V::list(out);
    });
    global_.names["raise_exception"] = V::callable([](const Call& call) -> V { throw Error("{}", call.positional.empty() ? "" : call.positional[0].str()); });
    global_.names["strftime_now"] = V::callable([](const Call& call) {
      const std::string format = call.positional.empty() ? "%c" : call.positional[0].str();
      const std::time_t now = std::time(nullptr);
      char buffer[512];
      std::tm local{};
      localtime_r(&now, &local);
      const size_t n = std::strftime(buffer, sizeof(buffer), format.c_str(), &local);
      return V::of(std::string(buffer, n));
    });
  }

  [[noreturn]] void fail(const TemplateNode& node, const std::string& reason) const { throw Error("template {}, line {}: {}", name_, node.line, reason); }

  void tick(const TemplateNode& node) {
    if (++steps_ > max_steps) fail(node, "takes too many steps");
  }

  struct Deeper {
    Deeper(Evaluator& e, const TemplateNode& node) : e(e) {
      if (++e.depth_ > max_depth) {
        e.depth_--;
        e.fail(node, "calls or nests too deeply");
      }
    }
    ~Deeper() { e.depth_--; }
    Evaluator& e;
  };

  void execute(const std::vector<Node>& nodes, Scope& scope, std::string& out) {
    for (const Node& node : nodes) {
      statement(*node, scope, out);
      if (out.size() > max_output) fail(*node, "writes too much");
    }
  }

  void statement(const TemplateNode& n, Scope& scope, std::string& out) {
    tick(n);
    switch (n.kind) {
      case Kind::text: out += n.text; return;
      case Kind::output: out += evaluate(*n.children[0], scope).str(); return;
      case Kind::block: return execute(n.children, scope, out);
      case Kind::condition: return execute(evaluate(*n.condition, scope).truthy() ? n.children : n.otherwise, scope, out);
      case Kind::loop: return loop(n, scope, out);
      case Kind::assign: return assign(n, evaluate(*n.target, scope), scope);
      case Kind::assign_block: {
        std::string text;
        Scope inner;
        inner.outer = &scope;
        execute(n.children, inner, text);
        V value = V::of(text);
        if (n.target) value = filtered(*n.target, value, scope);
        return assign(n, value, scope);
      }
      case Kind::macro: scope.names[n.text] = macro(n, scope); return;
      case Kind::call_block: {
        const V caller = macro(n, scope);
        Scope inner;
        inner.outer = &scope;
        inner.names["caller"] = caller;
        caller_ = &caller;
        out += evaluate(*n.target, inner).str();
        return;
      }
      case Kind::filter_block: {
        std::string text;
        Scope inner;
        inner.outer = &scope;
        execute(n.children, inner, text);
        out += filtered(*n.target, V::of(text), scope).str();
        return;
      }
      case Kind::break_loop: throw Break();
      case Kind::continue_loop: throw Continue();
      default: fail(n, "an expression where a statement stands");
    }
  }

  // A chain of filters whose innermost value is the empty name.
  V filtered(const TemplateNode& n, const V& value, Scope& scope) {
    if (n.kind != Kind::filter) return value;
    return run_filter(n, filtered(*n.target, value, scope), scope);
  }

  void unpack(const TemplateNode& n, const V& value, Scope& scope) {
    if (n.names.size() == 1) {
      scope.names[n.names[0]] = value;
      return;
    }
    const Values parts = iterate(n, value);
    if (parts.size() != n.names.size()) fail(n, fmt::format("{} values for {} names", parts.size(), n.names.size()));
    for (size_t i = 0; i < parts.size(); i++) scope.names[n.names[i]] = parts[i];
  }

  void assign(const TemplateNode& n, const V& value, Scope& scope) {
    if (n.text.empty()) return unpack(n, value, scope);
    V* object = scope.find(n.names[0]);
    if (!object || !object->is(Type::dict) || !object->flag) fail(n, "cannot assign attribute on non-namespace object");
    object->set(V::of(n.text), value);
  }

  Values iterate(const TemplateNode& n, const V& value) {
    try {
      return *apply_filter("list", value, {})->items;
    } catch (const Error& e) {
      fail(n, e.what());
    }
  }

  void loop(const TemplateNode& n, Scope& scope, std::string& out) {
    const Deeper deeper(*this, n);
    Values items = iterate(n, evaluate(*n.target, scope));
    if (n.condition) {
      Values some;
      for (const V& item : items) {
        Scope inner;
        inner.outer = &scope;
        unpack(n, item, inner);
        if (evaluate(*n.condition, inner).truthy()) some.push_back(item);
      }
      items = std::move(some);
    }
    if (items.empty()) return execute(n.otherwise, scope, out);
    const auto count = static_cast<long long>(items.size());
    auto last_changed = std::make_shared<V>();
    for (long long i = 0; i < count; i++) {
      tick(n);
      Scope inner;
      inner.outer = &scope;
      V info = V::dict();
      info.flag = true;
      auto put = [&](const char* name, V v) { info.pairs->emplace_back(V::of(std::string(name)), std::move(v)); };
      put("index", V::of(i + 1));
      put("index0", V::of(i));
      put("revindex", V::of(count - i));
      put("revindex0", V::of(count - i - 1));
      put("first", V::of(i == 0));
      put("last", V::of(i + 1 == count));
      put("length", V::of(count));
      put("depth", V::of(1LL));
      put("depth0", V::of(0LL));
      put("previtem", i > 0 ? items[static_cast<size_t>(i) - 1] : V::undefined("previtem"));
      put("nextitem", i + 1 < count ? items[static_cast<size_t>(i) + 1] : V::undefined("nextitem"));
      put("cycle", V::callable([i](const Call& call) {
            if (call.positional.empty()) throw Error("no items for cycling given");
            return call.positional[static_cast<size_t>(i) % call.positional.size()];
          }));
      put("changed", V::callable([last_changed](const Call& call) {
            const V now = V::list(call.positional);
            const bool changed = last_changed->is(Type::undefined) || !equal(*last_changed, now);
            *last_changed = now;
            return V::of(changed);
          }));
      inner.names["loop"] = std::move(info);
      unpack(n, items[static_cast<size_t>(i)], inner);
      try {
        execute(n.children, inner, out);
      } catch (const Continue&) {
      } catch (const Break&) {
        break;
      }
    }
  }

  // Macros see the names around their definition; arguments are positional, named, or have defaults.
  V macro(const TemplateNode& n, Scope& scope) {
    return V::callable([this, &n, &scope](const Call& call) {
      const Deeper deeper(*this, n);
      Scope inner;
      inner.outer = &scope;
      if (call.positional.size() > n.names.size()) fail(n, fmt::format("macro '{}' takes not more than {} argument(s)", n.text, n.names.size()));
      for (size_t i = 0; i < n.names.size(); i++) {
        const size_t first_default = n.names.size() - n.defaults.size();
        if (const V* given = argument(call, i, n.names[i])) inner.names[n.names[i]] = *given;
        else if (i >= first_default) inner.names[n.names[i]] = evaluate(*n.defaults[i - first_default], inner);
        else inner.names[n.names[i]] = V::undefined(n.names[i]);
      }
      for (const auto& [key, value] : call.named) {
        if (key == "caller") inner.names["caller"] = value;
        else if (!std::ranges::count(n.names, key)) fail(n, fmt::format("macro '{}' takes no keyword argument '{}'", n.text, key));
      }
      if (caller_) inner.names["caller"] = *std::exchange(caller_, nullptr);
      std::string out;
      execute(n.children, inner, out);
      return V::of(out);
    });
  }

  Call arguments(const TemplateNode& n, Scope& scope) {
    Call call;
    const size_t positional = n.children.size() - n.names.size();
    for (size_t i = 0; i < n.children.size(); i++) {
      V value = evaluate(*n.children[i], scope);
      if (i < positional) call.positional.push_back(std::move(value));
      else call.named.emplace_back(n.names[i - positional], std::move(value));
    }
    return call;
  }

  V run_filter(const TemplateNode& n, const V& value, Scope& scope) {
    const Call call = arguments(n, scope);
    try {
      if (auto result = apply_filter(n.text, value, call)) return *result;
    } catch (const Error& e) {
      fail(n, e.what());
    }
    fail(n, "No filter named '" + n.text + "'");
  }

  V evaluate(const TemplateNode& n, Scope& scope) {
    tick(n);
    const Deeper deeper(*this, n);
    switch (n.kind) {
      case Kind::literal_string: return V::of(n.text);
      case Kind::literal_integer: return V::of(n.integer);
      case Kind::literal_float: return V::of(n.number);
      case Kind::literal_bool: return V::of(n.integer != 0);
      case Kind::literal_none: return V::none_value();
      case Kind::list:
      case Kind::tuple: {
        Values items;
        for (const Node& child : n.children) items.push_back(evaluate(*child, scope));
        return V::list(items, n.kind == Kind::tuple);
      }
      case Kind::dict: {
        V out = V::dict();
        for (size_t i = 0; i < n.children.size(); i += 2) {
          const V key = evaluate(*n.children[i], scope);
          out.set(key, evaluate(*n.children[i + 1], scope));
        }
        return out;
      }
      case Kind::name: {
        const V* found = scope.find(n.text);
        return found ? *found : V::undefined(n.text);
      }
      case Kind::attribute: return attribute(n, evaluate(*n.target, scope));
      case Kind::index: return index(n, evaluate(*n.target, scope), evaluate(*n.children[0], scope));
      case Kind::slice: return slice(n, evaluate(*n.target, scope), scope);
      case Kind::call: return call(n, scope);
      case Kind::filter: return run_filter(n, evaluate(*n.target, scope), scope);
      case Kind::test: return test(n, scope);
      case Kind::unary: return unary(n, evaluate(*n.children[0], scope));
      case Kind::binary: return arithmetic(n, evaluate(*n.children[0], scope), evaluate(*n.children[1], scope));
      case Kind::concat: {
        std::string out;
        for (const Node& child : n.children) out += evaluate(*child, scope).str();
        if (out.size() > max_output) fail(n, "writes too much");
        return V::of(out);
      }
      case Kind::compare: return compare(n, scope);
      case Kind::logic: {
        V left = evaluate(*n.children[0], scope);
        return left.truthy() == (n.text == "or") ? left : evaluate(*n.children[1], scope);
      }
      case Kind::conditional:
        if (evaluate(*n.condition, scope).truthy()) return evaluate(*n.children[0], scope);
        return n.otherwise.empty() ? V::undefined("") : evaluate(*n.otherwise[0], scope);
      default: fail(n, "a statement where an expression stands");
    }
  }

  V attribute(const TemplateNode& n, const V& object) {
    if (object.is(Type::undefined)) fail(n, "'" + object.text + "' is undefined");
    if (object.is(Type::list)) return index(n, object, V::of(static_cast<long long>(std::atoi(n.text.c_str()))));
    return attribute_of(object, n.text);
  }

  V index(const TemplateNode& n, const V& object, const V& key) {
    if (object.is(Type::undefined)) fail(n, "'" + object.text + "' is undefined");
    if (object.is(Type::dict)) {
      const V* found = object.find(key);
      return found ? *found : V::undefined(key.str());
    }
    if (!key.is_number() || key.is(Type::floating)) return V::undefined(key.str());
    auto place = [&](size_t size) -> std::optional<size_t> {
      const long long count = static_cast<long long>(size), i = key.as_integer() < 0 ? key.as_integer() + count : key.as_integer();
      if (i < 0 || i >= count) return {};
      return static_cast<size_t>(i);
    };
    if (object.is(Type::list)) {
      const auto i = place(object.items->size());
      return i ? (*object.items)[*i] : V::undefined("");
    }
    if (object.is(Type::string)) {
      const auto points = code_points(object.text);
      const auto i = place(points.size());
      return i ? V::of(std::string(points[*i])) : V::undefined("");
    }
    return V::undefined(key.str());
  }

  V slice(const TemplateNode& n, const V& object, Scope& scope) {
    if (object.is(Type::undefined)) fail(n, "'" + object.text + "' is undefined");
    if (!object.is(Type::list) && !object.is(Type::string)) fail(n, fmt::format("'{}' object is not subscriptable by a slice", object.type_name()));
    const Values items = iterate(n, object);
    const auto count = static_cast<long long>(items.size());
    std::optional<long long> parts[3];
    for (size_t i = 0; i < 3; i++)
      if (n.children[i])
        if (const V v = evaluate(*n.children[i], scope); v.is_number()) parts[i] = v.as_integer();
    const long long step = parts[2].value_or(1);
    if (step == 0) fail(n, "slice step cannot be zero");
    auto clamp = [&](long long i) {
      if (i < 0) i += count;
      return std::clamp(i, step < 0 ? -1LL : 0LL, step < 0 ? count - 1 : count);
    };
    const long long begin = parts[0] ? clamp(*parts[0]) : step < 0 ? count - 1 : 0, end = parts[1] ? clamp(*parts[1]) : step < 0 ? -1 : count;
    Values out;
    for (long long i = begin; step > 0 ? i < end : i > end; i += step) out.push_back(items[static_cast<size_t>(i)]);
    if (object.is(Type::list)) return V::list(out, object.flag);
    std::string text;
    for (const V& v : out) text += v.text;
    return V::of(text);
  }

  V call(const TemplateNode& n, Scope& scope) {
    const TemplateNode& callee = *n.target;
    if (callee.kind == Kind::attribute) {
      const V object = evaluate(*callee.target, scope);
      if (object.is(Type::undefined)) fail(n, "'" + object.text + "' is undefined");
      const V value = object.is(Type::dict) ? attribute_of(object, callee.text) : V::undefined("");
      if (!value.is(Type::function) || has_method(object, callee.text)) {
        const Call given = arguments(n, scope);
        try {
          if (auto result = call_method(object, callee.text, given)) return *result;
        } catch (const Error& e) {
          fail(n, e.what());
        }
        fail(n, fmt::format("'{}' object has no attribute '{}'", object.type_name(), callee.text));
      }
      return invoke(n, value, scope);
    }
    return invoke(n, evaluate(callee, scope), scope);
  }

  V invoke(const TemplateNode& n, const V& function, Scope& scope) {
    if (function.is(Type::undefined)) fail(n, "'" + function.text + "' is undefined");
    if (!function.is(Type::function)) fail(n, fmt::format("'{}' object is not callable", function.type_name()));
    const V* caller = std::exchange(caller_, nullptr);
    const Call given = arguments(n, scope);
    caller_ = caller;
    try {
      return (*function.function)(given);
    } catch (const Error& e) {
      const std::string message = e.what();
      if (message.starts_with("template ")) throw;
      fail(n, message);
    }
  }

  V test(const TemplateNode& n, Scope& scope) {
    const V value = evaluate(*n.target, scope);
    const Call given = arguments(n, scope);
    try {
      if (auto result = apply_test(n.text, value, given)) return V::of(*result != n.negated);
    } catch (const Error& e) {
      fail(n, e.what());
    }
    fail(n, "No test named '" + n.text + "'");
  }

  V unary(const TemplateNode& n, const V& v) {
    if (n.text == "not") return V::of(!v.truthy());
    if (!v.is_number()) fail(n, fmt::format("bad operand type for unary {}: '{}'", n.text, v.type_name()));
    const int sign = n.text == "-" ? -1 : 1;
    return v.is(Type::floating) ? V::of(sign * v.number) : V::of(sign * v.as_integer());
  }

  V arithmetic(const TemplateNode& n, const V& a, const V& b) {
    try {
      return calculate(n.text, a, b);
    } catch (const Error& e) {
      fail(n, e.what());
    }
  }

  V compare(const TemplateNode& n, Scope& scope) {
    V left = evaluate(*n.children[0], scope);
    for (size_t i = 0; i < n.names.size(); i++) {
      V right = evaluate(*n.children[i + 1], scope);
      const std::string& op = n.names[i];
      bool holds = false;
      if (op == "==" || op == "!=") {
        holds = equal(left, right) == (op == "==");
      } else if (op == "in" || op == "not in") {
        try {
          holds = contains(right, left) == (op == "in");
        } catch (const Error& e) {
          fail(n, e.what());
        }
      } else {
        const auto o = order(left, right);
        if (!o) fail(n, fmt::format("'{}' not supported between instances of '{}' and '{}'", op, left.type_name(), right.type_name()));
        holds = op == "<" ? *o < 0 : op == ">" ? *o > 0 : op == "<=" ? *o <= 0 : *o >= 0;
      }
      if (!holds) return V::of(false);
      left = std::move(right);
    }
    return V::of(true);
  }

  const std::string& name_;
  Scope global_;
  size_t steps_ = 0, depth_ = 0;
  const V* caller_ = nullptr;  // for the next macro that is called
};

}  // namespace

Template Template::parse(std::string_view source, std::string name) {
  Template out;
  out.name_ = std::move(name);
  out.root_ = parse_template(lex_template(source, out.name_), out.name_);
  return out;
}

std::string Template::render(const nlohmann::ordered_json& variables) const { return Evaluator(name_).run(*root_, variables); }

}  // namespace moiety
