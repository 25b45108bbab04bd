// Walks the tree of a template: statements in template_statements.cc, expressions in template_eval.cc, the functions that every
// template may call in template_globals.cc.
#pragma once
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "text/template_ast.h"
#include "text/template_value.h"

namespace moiety {

// Names of one block; those of the blocks around it are seen through `outer`. Shared, because a macro keeps those around its
// definition.
struct TemplateScope {
  std::unordered_map<std::string, TemplateValue> names;
  std::shared_ptr<TemplateScope> outer;

  TemplateValue* find(const std::string& name) {
    for (TemplateScope* s = this; s; s = s->outer.get())
      if (auto it = s->names.find(name); it != s->names.end()) return &it->second;
    return nullptr;
  }
};

std::unordered_map<std::string, TemplateValue> template_globals();

class TemplateEvaluator {
 public:
  explicit TemplateEvaluator(const std::string& name) : name_(name) {}
  ~TemplateEvaluator();

  std::string run(const TemplateNode& root, const nlohmann::ordered_json& variables);

 private:
  using V = TemplateValue;
  using Type = TemplateValue::Type;
  using Kind = TemplateNode::Kind;
  using Scope = std::shared_ptr<TemplateScope>;
  struct Break {};
  struct Continue {};
  // Calls and nested expressions live on the machine's stack.
  struct Deeper {
    Deeper(TemplateEvaluator& e, const TemplateNode& node);
    ~Deeper() { evaluator.depth_--; }
    TemplateEvaluator& evaluator;
  };

  [[noreturn]] void fail(const TemplateNode& node, const std::string& reason) const;
  // Counts work, in units of about one visited value; too much of it ends the rendering.
  void charge(const TemplateNode& node, size_t work);
  void charge_walk(const TemplateNode& node, const V& value);
  void charge_filter(const TemplateNode& node, const V& value);
  void keep(const TemplateNode& node, size_t items);
  // Runs what may throw an Error without a line, and gives it this one.
  template <class Action>
  auto at_line(const TemplateNode& node, Action action);

  static Scope inner(const Scope& outer);
  void execute(const std::vector<Node>& nodes, const Scope& scope, std::string& out);
  void statement(const TemplateNode& n, const Scope& scope, std::string& out);
  std::string rendered(const std::vector<Node>& nodes, const Scope& scope);
  V filtered(const TemplateNode* filters, const V& value, const Scope& scope);
  void fill(const TemplateNode& target, const V& value, const Scope& scope);
  void assign(const TemplateNode& n, const V& value, const Scope& scope);
  void loop(const TemplateNode& n, const V& items, const Scope& scope, std::string& out, long long level);
  Values passing(const TemplateNode& n, const V& items, const Scope& scope);
  V loop_info(const TemplateNode& n, const Values& items, size_t i, const Scope& scope, long long level);
  V macro(const TemplateNode& n, const Scope& scope);

  V evaluate(const TemplateNode& n, const Scope& scope);
  V compute(const TemplateNode& n, const Scope& scope);
  TemplateCall arguments(const TemplateNode& n, const Scope& scope);
  V run_filter(const TemplateNode& n, const V& value, const Scope& scope);
  V slice(const TemplateNode& n, const V& object, const Scope& scope);
  V call(const TemplateNode& n, const Scope& scope);
  V test(const TemplateNode& n, const Scope& scope);
  V compare(const TemplateNode& n, const Scope& scope);
  bool holds(const TemplateNode& n, const std::string& op, const V& left, const V& right);
  V concat(const TemplateNode& n, const Scope& scope);

  const std::string& name_;
  Scope global_ = std::make_shared<TemplateScope>();
  size_t work_ = 0, depth_ = 0, made_items_ = 0;
  // The block of {% call %} for the call that it names.
  const TemplateNode* called_ = nullptr;
  V caller_;
  // Everything that a template may have tied into a knot, or nested a million deep, is emptied at the end, piece by piece.
  std::vector<Scope> kept_scopes_;
  std::vector<std::shared_ptr<Values>> kept_lists_;
  std::vector<std::shared_ptr<TemplateValue::Pairs>> kept_dicts_;
};

// Errors of functions and filters know no line; those of the template's own parts do.
template <class Action>
auto TemplateEvaluator::at_line(const TemplateNode& node, Action action) {
  try {
    return action();
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with("template ")) throw;
    fail(node, e.what());
  }
}

}  // namespace moiety
