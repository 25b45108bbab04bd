// The experts' part of a mixture: from a plan to the weighted sum of the experts' outputs.
#pragma once
#include <span>
#include <vector>

#include "model/step.h"

namespace moiety {

// The choices of a plan, expert by expert. Of a row, ids that stand for one record are one choice, at the lower id, its weight their sum.
struct Assignment {
  std::vector<uint32_t> experts;  // in use, ascending
  std::vector<size_t> first;      // [experts + 1] where each expert's choices begin
  std::vector<uint32_t> rows;     // by expert, then ascending
  std::vector<float> weights;     // of each in its row's sum
  std::span<const uint32_t> rows_of(size_t i) const { return {rows.data() + first[i], first[i + 1] - first[i]}; }
  std::span<const float> weights_of(size_t i) const { return {weights.data() + first[i], first[i + 1] - first[i]}; }
};
Assignment assign(const RoutingPlan& plan, const ExpertBank& bank, Workers& workers);

// out[row] = what its choices give, outputs [choices, out.cols], times `weights` [choices], in ascending id from +0.
void sum_choices(const Assignment& a, std::span<const float> weights, ConstRows outputs, Rows out);

// out = each row's experts, weighted and summed in ascending id from +0, then the shared FFNs in their order, weighted by
// `shared_weights` ([shared, rows]).
//
// Two ways that give the same bits. Fused: one parallel region of two phases, gate and up with the activation, then down with the weighted sum; no
// expert's output is ever a tensor. Apart: expert by expert as they arrive, outputs waiting for their turn; it can do what the fused one
// can't: experts that come late, observers of experts, weights on the input, weights in rows.
void run_experts(const Step& step, const Site& site, const Assignment& assignment, ConstRows shared_weights, Activations& x, Rows out);

// The fused way; false if something in the way asks for the other.
bool run_fused(const Step& step, const Site& site, const Assignment& assignment, std::span<const ExpertView* const> views,
               ConstRows shared_weights, Activations& x, Rows out);

}  // namespace moiety
