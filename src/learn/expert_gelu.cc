// kind = "gelu": down(gelu(up x)), with the error function's GELU.   Hendrycks and Gimpel 2016, arXiv 1606.08415.
#include "learn/expert_ffn.h"

namespace moiety {

ExpertKindInfo gelu_experts() {
  return {"gelu", "down(gelu(up x)), two matrices", "Hendrycks and Gimpel 2016", true, [](const ExpertSite& site) { return ffn_group(gelu_function, "ffn_up", site); }};
}

}  // namespace moiety
