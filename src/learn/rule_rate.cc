// rate = r: times the optimiser's.
#include "learn/rule.h"

namespace moiety {

RuleInfo rate_rule() {
  return {"rate", "times the optimiser's rate", "", true, [](const Table& rule, const Arena&) -> RuleEffect {
            const float factor = factor_of(rule, "rate");
            return [factor](Parameter&, Motion& m) { m.rate *= factor; };
          }};
}

}  // namespace moiety
