// Nothing.   Jin et al. 2024, "MoE++", arXiv 2410.07348.
#include "experts/kind.h"

namespace moiety {

extern const ExpertKind zero_expert;
constinit const ExpertKind zero_expert = {.name = "zero", .config_name = "zero", .parts = {}};

}  // namespace moiety
