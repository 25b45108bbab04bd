// linear: the router's product, a score for every expert.
//
// Where every pipeline begins that names no other source. The engine computes it for all rows at once, so there is nothing to build.
#include "routing/registry.h"

namespace moiety {

StageInfo linear_stage() {
  return {.name = "linear", .signature = "", .meaning = "the router scores every expert; pipelines begin so unless they name another source",
          .source = "Shazeer et al. 2017, arXiv 1701.06538", .is_source = true, .build = nullptr};
}

}  // namespace moiety
