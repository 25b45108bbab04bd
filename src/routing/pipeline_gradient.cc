// A pipeline backwards: from the gradients of the final weights, stage by stage, to those of the router's logits.
#include <utility>

#include "routing/pipeline.h"

namespace moiety {

namespace {

template <class Stage>
void step_back(const Stage& stage, const Pipeline::Entry& entry, const RoutingInput& input, StageGradient g) {
  if (entry.carries == 0 && entry.keeps == 0) return stage.backward(input, g);
  SequenceContext room;
  if (entry.carries) {
    g.d_carry_in = g.d_carry_in.subspan(entry.carry_at, entry.carries);
    g.d_carry_out = g.d_carry_out.subspan(entry.carry_at, entry.carries);
  }
  stage.backward(entry.own_part(input, room), g);
}

}  // namespace

void Pipeline::backward(std::span<const RoutingInput> inputs, const RoutingHistory& history, size_t first_row,
                        std::span<const RowGradient> gradients, GradientScratch& scratch) const {
  if (has_cohort_) return backward_together(inputs, history, first_row, gradients, scratch);
  for (size_t r = 0; r < inputs.size(); r++)
    backward_together(inputs.subspan(r, 1), history, first_row + r, gradients.subspan(r, 1), scratch);
}

void Pipeline::backward_together(std::span<const RoutingInput> inputs, const RoutingHistory& history, size_t first_row,
                                 std::span<const RowGradient> gradients, GradientScratch& scratch) const {
  const size_t n = inputs.size(), room = n * experts_;
  if (scratch.d_out.size() < room) scratch.d_out.resize(room), scratch.d_in.resize(room);
  scratch.rows.resize(n);
  auto of_row = [&](std::vector<float>& d, size_t r) { return std::span(d).subspan(r * experts_, experts_); };

  for (size_t r = 0; r < n; r++) {
    // What was not chosen has no weight, so whatever is given for it goes nowhere.
    const std::span<float> given = of_row(scratch.d_in, r), d_out = of_row(scratch.d_out, r);
    for (const Choice& c : gradients[r].d_choices) given[c.expert] = c.weight;
    for (const Candidate& c : history.before(first_row + r, entries_.size())) d_out[c.expert] = given[c.expert];
    for (const Choice& c : gradients[r].d_choices) given[c.expert] = 0;
  }
  for (size_t i = entries_.size(); i-- > 0;) {
    for (size_t r = 0; r < n; r++) {
      const RowGradient& row = gradients[r];
      scratch.rows[r] = {.in = history.before(first_row + r, i), .out = history.before(first_row + r, i + 1),
                         .d_out = of_row(scratch.d_out, r), .d_in = of_row(scratch.d_in, r),
                         .d_features = row.d_features, .d_carry_in = row.d_carry_in, .d_carry_out = row.d_carry_out, .tensors = row.tensors};
    }
    std::visit(
        [&](const auto& stage) {
          if constexpr (std::is_same_v<std::decay_t<decltype(*stage)>, CohortStage>) stage->backward(inputs, scratch.rows);
          else
            for (size_t r = 0; r < n; r++) step_back(*stage, entries_[i], inputs[r], scratch.rows[r]);
        },
        entries_[i].stage);
    for (size_t r = 0; r < n; r++)
      for (const Candidate& c : scratch.rows[r].out) of_row(scratch.d_out, r)[c.expert] = 0;
    std::swap(scratch.d_out, scratch.d_in);
  }
  for (size_t r = 0; r < n; r++)
    for (const Candidate& c : history.before(first_row + r, 0)) gradients[r].d_logits[c.expert] = std::exchange(of_row(scratch.d_out, r)[c.expert], 0.0f);
}

}  // namespace moiety
