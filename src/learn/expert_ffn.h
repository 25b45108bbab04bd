// Experts of two products with a unit between them: what the kinds that are FFNs share.
#pragma once
#include "learn/expert_kind.h"
#include "learn/function_experts.h"

namespace moiety {

// in: the first product's parameter, "ffn_gate_up".
std::unique_ptr<ExpertGroup> ffn_group(const ExpertFunction& function, std::string_view in, const ExpertSite& site);

}  // namespace moiety
