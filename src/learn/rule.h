// What a [[rule]] may say of the parameters that it selects (rules.h): a key each, in a file of its own (learn/rule_*.cc), listed in learn/registry.cc.
#pragma once
#include <functional>
#include <span>
#include <string_view>

#include "learn/arena.h"
#include "learn/description.h"

namespace moiety {

// Changes how p, or one expert of it, begins and moves. `motion` is one of p's.
using RuleEffect = std::function<void(Parameter& p, Motion& motion)>;

struct RuleInfo {
  std::string_view key, meaning, source;
  bool of_experts;  // whether experts of a stack can differ in it
  // Of a rule that has the key. Throws UsageError for a value that can't be.
  RuleEffect (*build)(const Table& rule, const Arena& arena);
};
std::span<const RuleInfo> rule_kinds();

// rule's number `key`, which must not be negative.
float factor_of(const Table& rule, std::string_view key);

}  // namespace moiety
