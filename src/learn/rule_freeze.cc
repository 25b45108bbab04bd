// freeze = true: keeps its bits, and costs no gradients and moments.
#include "learn/rule.h"

namespace moiety {

RuleInfo freeze_rule() {
  return {"freeze", "does not move", "", true, [](const Table& rule, const Arena&) -> RuleEffect {
            const bool frozen = rule.flag("freeze", false);
            return [frozen](Parameter&, Motion& m) { m.frozen = frozen; };
          }};
}

}  // namespace moiety
