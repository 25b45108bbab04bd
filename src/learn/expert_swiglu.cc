// kind = "swiglu": down(silu(gate x) * up x).   Shazeer 2020, "GLU Variants Improve Transformer".
#include "learn/expert_ffn.h"

namespace moiety {

ExpertKindInfo swiglu_experts() {
  return {"swiglu", "down(silu(gate x) * up x), three matrices", "Shazeer 2020", true, [](const ExpertSite& site) { return ffn_group(gated_function(site.variant), "ffn_gate_up", site); }};
}

}  // namespace moiety
