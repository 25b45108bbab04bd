// kind = "relu": down(max(up x, 0)): the FFN of the first Transformers and mixtures.   Vaswani et al. 2017; Fedus et al. 2021, Switch Transformers.
#include "learn/expert_ffn.h"

namespace moiety {

ExpertKindInfo relu_experts() {
  return {"relu", "down(max(up x, 0)), two matrices", "Vaswani et al. 2017", true, [](const ExpertSite& site) { return ffn_group(relu_function, "ffn_up", site); }};
}

}  // namespace moiety
