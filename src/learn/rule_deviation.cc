// deviation = s: before training, normal numbers of this deviation.   Fedus et al. 2021, "Switch Transformers", arXiv 2101.03961, section 2.4: a tenth of
// the usual one keeps experts' training stable.
#include "learn/rule.h"

namespace moiety {

RuleInfo deviation_rule() {
  return {"deviation", "begins as normal numbers of this deviation", "Fedus et al. 2021, arXiv 2101.03961, section 2.4", false, [](const Table& rule, const Arena&) -> RuleEffect {
            const float deviation = factor_of(rule, "deviation");
            return [deviation](Parameter& p, Motion&) { p.initial.deviation = deviation; };
          }};
}

}  // namespace moiety
