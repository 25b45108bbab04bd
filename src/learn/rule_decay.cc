// decay = r: times the optimiser's.
#include "learn/rule.h"

namespace moiety {

RuleInfo decay_rule() {
  return {"decay", "times the optimiser's weight decay", "Loshchilov and Hutter 2019, arXiv 1711.05101", true, [](const Table& rule, const Arena&) -> RuleEffect {
            const float factor = factor_of(rule, "decay");
            return [factor](Parameter&, Motion& m) { m.decay *= factor; };
          }};
}

}  // namespace moiety
