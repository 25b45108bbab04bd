#include "text/template_eval.h"

#include <algorithm>

namespace moiety {

using V = TemplateValue;

namespace {

constexpr size_t max_work = 20'000'000, max_depth = 400, max_items = 2'000'000;

// The shape of a value without what lies deeper.
size_t size_of(const V& v) {
  return v.items ? v.items->size() : v.pairs ? v.pairs->size() : v.text.size() / 4;
}

}  // namespace

void TemplateEvaluator::fail(const TemplateNode& node, const std::string& reason) const { throw Error("template {}, line {}: {}", name_, node.line, reason); }

void TemplateEvaluator::charge(const TemplateNode& node, size_t work) {
  work_ += work;
  if (work_ > max_work) fail(node, "takes too many steps");
}

void TemplateEvaluator::charge_walk(const TemplateNode& node, const V& value) {
  charge(node, at_line(node, [&] { return value.cost(max_work); }));
}

TemplateEvaluator::Deeper::Deeper(TemplateEvaluator& e, const TemplateNode& node) : evaluator(e) {
  if (evaluator.depth_ >= max_depth) evaluator.fail(node, "calls or nests too deeply");
  evaluator.depth_++;
}

TemplateCall TemplateEvaluator::arguments(const TemplateNode& n, const Scope& scope) {
  TemplateCall out;
  const size_t positional = n.children.size() - n.names.size();
  for (size_t i = 0; i < n.children.size(); i++) {
    const TemplateNode& child = *n.children[i];
    if (child.kind != Kind::spread) {
      V value = evaluate(child, scope);
      if (i < positional) out.positional.push_back(std::move(value));
      else out.named.emplace_back(n.names[i - positional], std::move(value));
      continue;
    }
    const V value = evaluate(*child.target, scope);
    if (child.text == "*") {
      for (const V& item : at_line(child, [&] { return iterate(value); })) out.positional.push_back(item);
      charge(n, out.positional.size());
    } else {
      if (!value.is(Type::dict)) fail(child, fmt::format("argument after ** must be a mapping, not {}", value.type_name()));
      for (const auto& [key, item] : *value.pairs) out.named.emplace_back(key.str(), item);
    }
  }
  for (const V& v : out.positional) charge(n, size_of(v));
  return out;
}

// Most filters look at all of a value; these do not, and templates ask them about the whole conversation again and again.
void TemplateEvaluator::charge_filter(const TemplateNode& n, const V& value) {
  constexpr std::string_view at_once[] = {"length", "count", "first", "last", "default", "d"};
  constexpr std::string_view one_level[] = {"list", "items", "map", "select", "reject", "selectattr", "rejectattr", "reverse", "batch"};
  constexpr std::string_view by_character[] = {"join", "list", "map", "select", "reject", "reverse", "batch", "slice", "sort", "unique", "sum", "min", "max"};
  if (std::ranges::count(at_once, n.text)) return;
  if (value.is(Type::string) && std::ranges::count(by_character, n.text)) charge(n, value.text.size());
  if (std::ranges::count(one_level, n.text)) charge(n, size_of(value));
  else charge_walk(n, value);
  if (n.text == "sort" || n.text == "dictsort" || n.text == "unique") charge(n, 16 * size_of(value));
}

V TemplateEvaluator::run_filter(const TemplateNode& n, const V& value, const Scope& scope) {
  const TemplateCall given = arguments(n, scope);
  charge_filter(n, value);
  auto result = at_line(n, [&] { return apply_filter(n.text, value, given); });
  if (!result) fail(n, "No filter named '" + n.text + "'");
  return *result;
}

V TemplateEvaluator::evaluate(const TemplateNode& n, const Scope& scope) {
  charge(n, 1);
  const Deeper deeper(*this, n);
  V out = compute(n, scope);
  if (out.is(Type::string)) charge(n, out.text.size() / 4);
  // What nobody else holds was just made.
  if (out.items && out.items.use_count() == 1) keep(n, out.items->size()), kept_lists_.push_back(out.items);
  if (out.pairs && out.pairs.use_count() == 1) keep(n, out.pairs->size()), kept_dicts_.push_back(out.pairs);
  return out;
}

// Before another list or dict is kept: lets those go that the template no longer sees, now and then.
void TemplateEvaluator::keep(const TemplateNode& n, size_t items) {
  charge(n, 2 * items);
  made_items_ += items + 1;
  if (made_items_ < max_items / 2) return;
  made_items_ = 0;
  std::erase_if(kept_lists_, [](const auto& list) { return list.use_count() == 1; });
  std::erase_if(kept_dicts_, [](const auto& dict) { return dict.use_count() == 1; });
  size_t left = 0;
  for (const auto& list : kept_lists_) left += list->size();
  for (const auto& dict : kept_dicts_) left += dict->size();
  if (left > max_items) fail(n, fmt::format("holds more than {} items", max_items));
}

V TemplateEvaluator::compute(const TemplateNode& n, const Scope& scope) {
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
      const V* found = scope->find(n.text);
      return found ? *found : V::undefined(n.text);
    }
    case Kind::attribute: {
      const V object = evaluate(*n.target, scope);
      charge(n, object.is(Type::dict) ? size_of(object) : 0);
      return at_line(n, [&] { return n.by_index ? item_of(object, V::of(std::strtoll(n.text.c_str(), nullptr, 10))) : attribute_of(object, n.text); });
    }
    case Kind::index: {
      const V object = evaluate(*n.target, scope), key = evaluate(*n.children[0], scope);
      charge(n, object.is(Type::list) ? 0 : size_of(object));
      return at_line(n, [&] { return item_of(object, key); });
    }
    case Kind::slice: return slice(n, evaluate(*n.target, scope), scope);
    case Kind::call: return call(n, scope);
    case Kind::filter: return run_filter(n, evaluate(*n.target, scope), scope);
    case Kind::test: return test(n, scope);
    case Kind::unary: {
      const V value = evaluate(*n.children[0], scope);
      return n.text == "not" ? V::of(!value.truthy()) : at_line(n, [&] { return negate(n.text, value); });
    }
    case Kind::binary: {
      const V a = evaluate(*n.children[0], scope), b = evaluate(*n.children[1], scope);
      charge(n, size_of(a) + size_of(b));
      if (n.text == "%") charge_walk(n, b);
      return at_line(n, [&] { return calculate(n.text, a, b); });
    }
    case Kind::concat: return concat(n, scope);
    case Kind::compare: return compare(n, scope);
    case Kind::logic: {
      V left = evaluate(*n.children[0], scope);
      return left.truthy() == (n.text == "or") ? left : evaluate(*n.children[1], scope);
    }
    case Kind::conditional:
      if (evaluate(*n.condition, scope).truthy()) return evaluate(*n.children[0], scope);
      return n.otherwise.empty() ? V::undefined("an if without else") : evaluate(*n.otherwise[0], scope);
    default: fail(n, "a statement where an expression stands");
  }
}

V TemplateEvaluator::concat(const TemplateNode& n, const Scope& scope) {
  std::string out;
  for (const Node& child : n.children) {
    const V part = evaluate(*child, scope);
    charge_walk(n, part);
    out += at_line(n, [&] { return part.str(); });
    if (out.size() > template_max_output) fail(n, "writes too much");
  }
  return V::of(out);
}

V TemplateEvaluator::slice(const TemplateNode& n, const V& object, const Scope& scope) {
  if (object.is(Type::undefined)) fail(n, "'" + object.text + "' is undefined");
  if (!object.is(Type::list) && !object.is(Type::string)) fail(n, fmt::format("'{}' object is not subscriptable by a slice", object.type_name()));
  const Values items = at_line(n, [&] { return iterate(object); });
  charge(n, items.size());
  const auto count = static_cast<long long>(items.size());
  std::optional<long long> parts[3];
  for (size_t i = 0; i < 3; i++) {
    if (!n.children[i]) continue;
    const V v = evaluate(*n.children[i], scope);
    if (v.is_number() && !v.is(Type::floating)) parts[i] = v.as_integer();
    else if (!v.is(Type::none)) fail(n, "slice indices must be integers or None");
  }
  const long long step = std::clamp(parts[2].value_or(1), -count - 1, count + 1);
  if (step == 0 && parts[2]) fail(n, "slice step cannot be zero");
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
  return V::of(text, object.flag);
}

V TemplateEvaluator::call(const TemplateNode& n, const Scope& scope) {
  std::optional<V> caller;
  if (called_ == &n) called_ = nullptr, caller = std::exchange(caller_, V());
  const TemplateNode& callee = *n.target;
  const bool member = callee.kind == Kind::attribute && !callee.by_index;
  const V object = evaluate(member ? *callee.target : callee, scope);
  if (member && has_method(object, callee.text)) {
    const TemplateCall given = arguments(n, scope);
    charge(n, size_of(object));
    for (const V& v : given.positional) charge_walk(n, v);
    return at_line(n, [&] { return *call_method(object, callee.text, given); });
  }
  const V function = member ? at_line(n, [&] { return attribute_of(object, callee.text); }) : object;
  if (function.is(Type::undefined)) {
    if (!member) fail(n, "'" + function.text + "' is undefined");
    fail(n, fmt::format("'{}' object has no attribute '{}'", object.type_name(), callee.text));
  }
  if (!function.function) fail(n, fmt::format("'{}' object is not callable", function.type_name()));
  TemplateCall given = arguments(n, scope);
  if (caller) given.named.emplace_back("caller", *caller);
  return at_line(n, [&] { return (*function.function)(given); });
}

V TemplateEvaluator::test(const TemplateNode& n, const Scope& scope) {
  const V value = evaluate(*n.target, scope);
  const TemplateCall given = arguments(n, scope);
  for (const V& v : given.positional) charge_walk(n, v);
  const auto result = at_line(n, [&] { return apply_test(n.text, value, given); });
  if (!result) fail(n, "No test named '" + n.text + "'");
  return V::of(*result != n.negated);
}

V TemplateEvaluator::compare(const TemplateNode& n, const Scope& scope) {
  V left = evaluate(*n.children[0], scope);
  for (size_t i = 0; i < n.names.size(); i++) {
    V right = evaluate(*n.children[i + 1], scope);
    // Both sides end where the shorter does, but for a search.
    charge_walk(n, n.names[i].ends_with("in") ? right : left);
    if (!at_line(n, [&] { return holds(n, n.names[i], left, right); })) return V::of(false);
    left = std::move(right);
  }
  return V::of(true);
}

bool TemplateEvaluator::holds(const TemplateNode& n, const std::string& op, const V& left, const V& right) {
  if (op == "==" || op == "!=") return equal(left, right) == (op == "==");
  if (op == "in" || op == "not in") return contains(right, left) == (op == "in");
  const auto o = order(left, right);
  if (!o) fail(n, fmt::format("'{}' not supported between instances of '{}' and '{}'", op, left.type_name(), right.type_name()));
  return op == "<" ? *o < 0 : op == ">" ? *o > 0 : op == "<=" ? *o <= 0 : *o >= 0;
}

}  // namespace moiety
