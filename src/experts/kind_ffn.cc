// down(act(gate x) * up x) with the model's activation, and perhaps biases.   Shazeer 2020, arXiv 2002.05202.
#include "experts/kind.h"

namespace moiety {

constinit const ExpertKind ffn_expert = {.name = "ffn", .config_name = "swiglu", .parts = ffn_expert_parts, .has_gate = true};

}  // namespace moiety
