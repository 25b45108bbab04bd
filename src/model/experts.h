// The experts' part of a mixture: from a plan to the weighted sum of the experts' outputs.
#pragma once
#include <span>
#include <vector>

#include "model/step.h"

namespace moiety {

// The slots of a plan, expert by expert.
struct Assignment {
  std::vector<uint32_t> experts;  // in use, ascending
  std::vector<Slot> slots;        // by expert, then by row
  std::vector<size_t> first;      // [experts + 1] where each expert's slots begin
  std::span<const Slot> of(size_t i) const { return {slots.data() + first[i], first[i + 1] - first[i]}; }
};
Assignment assign(const Site& site, const RoutingPlan& plan);

// out = each row's experts, weighted and summed in ascending id from +0, then the shared FFNs in their order, weighted by
// `shared_weights` ([shared, rows]).
//
// Two ways that give the same bits. Fused: two parallel regions, gate and up with the activation, then down with the weighted sum; no
// expert's output is ever a tensor. Apart: expert by expert as they arrive, outputs waiting for their turn; it can do what the fused one
// can't: experts that come late, observers of experts, weights on the input, weights in rows.
void run_experts(const Step& step, const Site& site, const Assignment& assignment, ConstRows shared_weights, Activations& x, Rows out);

// The fused way; false if something in the way asks for the other.
bool run_fused(const Step& step, const Site& site, const Assignment& assignment, std::span<const ExpertView* const> views,
               ConstRows shared_weights, Activations& x, Rows out);

}  // namespace moiety
