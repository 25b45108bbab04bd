#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/template.h"
#include "text/template_eval.h"

namespace moiety {

using V = TemplateValue;

std::string TemplateEvaluator::run(const TemplateNode& root, const nlohmann::ordered_json& variables) {
  global_->names = template_globals();
  for (const auto& [key, value] : variables.items()) global_->names[key] = V::from_json(value);
  std::string out;
  execute(root.children, inner(global_), out);
  return out;
}

TemplateEvaluator::~TemplateEvaluator() {
  for (const Scope& scope : kept_scopes_) scope->names.clear();
  for (const auto& list : kept_lists_) list->clear();
  for (const auto& dict : kept_dicts_) dict->clear();
}

TemplateEvaluator::Scope TemplateEvaluator::inner(const Scope& outer) {
  auto out = std::make_shared<TemplateScope>();
  out->outer = outer;
  return out;
}

void TemplateEvaluator::execute(const std::vector<Node>& nodes, const Scope& scope, std::string& out) {
  for (const Node& node : nodes) {
    const size_t before = out.size();
    statement(*node, scope, out);
    // Charged once where it is written, and again wherever a block hands it on.
    charge(*node, (out.size() - before) / 16);
    if (out.size() > template_max_output) fail(*node, "writes too much");
  }
}

std::string TemplateEvaluator::rendered(const std::vector<Node>& nodes, const Scope& scope) {
  std::string out;
  execute(nodes, scope, out);
  return out;
}

void TemplateEvaluator::statement(const TemplateNode& n, const Scope& scope, std::string& out) {
  charge(n, 1);
  switch (n.kind) {
    case Kind::text: out += n.text; return;
    case Kind::output: {
      const V value = evaluate(*n.children[0], scope);
      out += at_line(n, [&] { return value.str(); });
      return;
    }
    case Kind::block: return execute(n.children, scope, out);
    case Kind::condition: return execute(evaluate(*n.condition, scope).truthy() ? n.children : n.otherwise, scope, out);
    case Kind::loop: return loop(n, evaluate(*n.extra, scope), scope, out, 0);
    case Kind::assign: return assign(n, evaluate(*n.extra, scope), scope);
    case Kind::assign_block: return assign(n, filtered(n.extra.get(), V::of(rendered(n.children, inner(scope))), scope), scope);
    case Kind::with: {
      const Scope within = inner(scope);
      for (size_t i = 0; i < n.names.size(); i++) within->names[n.names[i]] = evaluate(*n.defaults[i], scope);
      return execute(n.children, within, out);
    }
    case Kind::macro: scope->names[n.text] = macro(n, scope); return;
    case Kind::call_block: {
      called_ = n.target.get();
      caller_ = macro(n, scope);
      out += evaluate(*n.target, scope).str();
      return;
    }
    case Kind::filter_block: out += filtered(n.target.get(), V::of(rendered(n.children, inner(scope))), scope).str(); return;
    case Kind::break_loop: throw Break();
    case Kind::continue_loop: throw Continue();
    default: fail(n, "an expression where a statement stands");
  }
}

// A chain of filters whose innermost value is the empty name; or none at all.
V TemplateEvaluator::filtered(const TemplateNode* filters, const V& value, const Scope& scope) {
  if (!filters || filters->kind != Kind::filter) return value;
  return run_filter(*filters, filtered(filters->target.get(), value, scope), scope);
}

void TemplateEvaluator::fill(const TemplateNode& target, const V& value, const Scope& scope) {
  if (target.kind == Kind::name) {
    scope->names[target.text] = value;
    return;
  }
  const Values parts = at_line(target, [&] { return iterate(value); });
  if (parts.size() != target.children.size()) fail(target, fmt::format("{} values for {} names", parts.size(), target.children.size()));
  for (size_t i = 0; i < parts.size(); i++) fill(*target.children[i], parts[i], scope);
}

void TemplateEvaluator::assign(const TemplateNode& n, const V& value, const Scope& scope) {
  if (n.text.empty()) return fill(*n.target, value, scope);
  V* object = scope->find(n.target->text);
  if (!object || !object->is(Type::dict) || !object->flag) fail(n, "cannot assign attribute on non-namespace object");
  object->set(V::of(n.text), value);
}

Values TemplateEvaluator::passing(const TemplateNode& n, const V& value, const Scope& scope) {
  Values items = at_line(n, [&] { return iterate(value); });
  charge(n, items.size());
  if (!n.condition) return items;
  Values some;
  for (const V& item : items) {
    const Scope within = inner(scope);
    fill(*n.target, item, within);
    if (evaluate(*n.condition, within).truthy()) some.push_back(item);
  }
  return some;
}

namespace {

// loop.changed: whether it is given something else than the last time.
V changed_since(const std::shared_ptr<V>& last) {
  return V::callable([last](const TemplateCall& call) {
    const V given = V::list(call.positional);
    const bool changed = last->is(V::Type::undefined) || !equal(*last, given);
    *last = given;
    return V::of(changed);
  });
}

}  // namespace

void TemplateEvaluator::loop(const TemplateNode& n, const V& value, const Scope& scope, std::string& out, long long level) {
  const Deeper deeper(*this, n);
  const Values items = passing(n, value, scope);
  // As Jinja has it: `else` runs unless an iteration came to its end, so also where `break` or `continue` left all of them.
  bool finished = false;
  const auto last_changed = std::make_shared<V>();
  for (size_t i = 0; i < items.size(); i++) {
    charge(n, n.uses_loop ? 20 : 4);
    const Scope within = inner(scope);
    if (n.uses_loop) {
      V& info = within->names["loop"] = loop_info(n, items, i, scope, level);
      info.pairs->emplace_back(V::of(std::string("changed")), changed_since(last_changed));
    }
    fill(*n.target, items[i], within);
    try {
      execute(n.children, within, out);
      finished = true;
    } catch (const Continue&) {
    } catch (const Break&) {
      break;
    }
  }
  if (!finished) execute(n.otherwise, inner(scope), out);
}

// What a body sees as `loop`; calling it runs a recursive loop on what it is given.
V TemplateEvaluator::loop_info(const TemplateNode& n, const Values& items, size_t i, const Scope& scope, long long level) {
  const auto count = static_cast<long long>(items.size()), at = static_cast<long long>(i);
  V info = V::dict();
  info.flag = true;
  auto put = [&](const char* name, V v) { info.pairs->emplace_back(V::of(std::string(name)), std::move(v)); };
  put("index", V::of(at + 1));
  put("index0", V::of(at));
  put("revindex", V::of(count - at));
  put("revindex0", V::of(count - at - 1));
  put("first", V::of(at == 0));
  put("last", V::of(at + 1 == count));
  put("length", V::of(count));
  put("depth", V::of(level + 1));
  put("depth0", V::of(level));
  put("previtem", i > 0 ? items[i - 1] : V::undefined("previtem"));
  put("nextitem", i + 1 < items.size() ? items[i + 1] : V::undefined("nextitem"));
  put("cycle", V::callable([i](const TemplateCall& call) {
        if (call.positional.empty()) throw Error("no items for cycling given");
        return call.positional[i % call.positional.size()];
      }));
  if (n.recursive)
    info.function = std::make_shared<const TemplateFunction>([this, &n, scope, level](const TemplateCall& call) {
      std::string out;
      if (call.positional.size() != 1) throw Error("loop() takes the items of the next level");
      loop(n, call.positional[0], scope, out, level + 1);
      return V::of(out);
    });
  return info;
}

// Macros see the names around their definition; arguments are positional, named, or have defaults.
V TemplateEvaluator::macro(const TemplateNode& n, const Scope& scope) {
  kept_scopes_.push_back(scope);
  return V::callable([this, &n, scope](const TemplateCall& call) {
    const Deeper deeper(*this, n);
    const Scope within = inner(scope);
    if (call.positional.size() > n.names.size()) throw Error("macro '{}' takes not more than {} argument(s)", n.text, n.names.size());
    const size_t first_default = n.names.size() - n.defaults.size();
    for (size_t i = 0; i < n.names.size(); i++) {
      if (const V* given = argument(call, i, n.names[i])) within->names[n.names[i]] = *given;
      else if (i >= first_default) within->names[n.names[i]] = evaluate(*n.defaults[i - first_default], within);
      else within->names[n.names[i]] = V::undefined(n.names[i]);
    }
    for (const auto& [key, value] : call.named) {
      if (key == "caller") within->names["caller"] = value;
      else if (!std::ranges::count(n.names, key)) throw Error("macro '{}' takes no keyword argument '{}'", n.text, key);
    }
    return V::of(rendered(n.children, within));
  });
}

Template Template::parse(std::string_view source, std::string name) {
  Template out;
  out.name_ = std::move(name);
  out.root_ = parse_template(lex_template(source, out.name_), out.name_);
  return out;
}

std::string Template::render(const nlohmann::ordered_json& variables) const { return TemplateEvaluator(name_).run(*root_, variables); }

}  // namespace moiety
