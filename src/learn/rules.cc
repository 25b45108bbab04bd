#include "learn/rules.h"

#include <fnmatch.h>
#include <fmt/format.h>

#include <set>

namespace moiety {

void apply_rules(const Table& root, Arena& arena) {
  std::set<const Parameter*> ruled;
  for (const Table& rule : root.tables("rule")) {
    const std::string match = rule.text("match");
    const double rate = rule.number("rate", 1), decay = rule.number("decay", 1);
    const bool freeze = rule.flag("freeze", false);
    if (rate < 0) rule.wrong("rate", "it must not be negative");
    if (decay < 0) rule.wrong("decay", "it must not be negative");
    bool any = false;
    for (Parameter& p : arena.parameters()) {
      if (::fnmatch(match.c_str(), p.name.c_str(), 0) != 0) continue;
      any = true;
      if (!ruled.insert(&p).second) continue;
      p.rate = static_cast<float>(rate), p.decay = static_cast<float>(decay), p.frozen = freeze;
    }
    if (!any) rule.wrong("match", fmt::format("no parameter is called like '{}'; the first is {}", match, arena.parameters().front().name));
  }
}

}  // namespace moiety
