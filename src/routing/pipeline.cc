#include "routing/pipeline.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace moiety {

Pipeline::Pipeline(std::vector<Entry> entries, uint32_t layer, uint32_t experts)
    : entries_(std::move(entries)), layer_(layer), experts_(experts) {
  for (const Entry& entry : entries_) {
    std::visit(
        [&](const auto& stage) {
          using S = std::decay_t<decltype(*stage)>;
          if constexpr (std::is_same_v<S, CohortStage>) {
            has_cohort_ = true;
          } else {
            needs_ |= stage->needs();
            carry_size_ += stage->carry_size();
            memory_size_ += stage->memory_size();
            if (stage->memory_size()) needs_ |= needs::memory;
            if constexpr (std::is_same_v<S, SourceStage>) needs_logits_ = false;
          }
        },
        entry.stage);
  }
}

void Pipeline::fill(const RoutingInput& input, std::span<const float> logits, std::vector<Candidate>& candidates, std::span<float> carry) const {
  candidates.clear();
  if (!needs_logits_) return std::get<std::unique_ptr<SourceStage>>(entries_[0].stage)->forward(input, candidates, carry);
  candidates.resize(logits.size());
  for (uint32_t e = 0; e < logits.size(); e++) candidates[e] = {e, logits[e], logits[e]};
}

void Pipeline::apply(const Entry& entry, const RoutingInput& input, std::vector<Candidate>& candidates, std::span<float> carry) const {
  if (const auto* stage = std::get_if<std::unique_ptr<RowStage>>(&entry.stage)) (*stage)->forward(input, candidates, carry);
  check(entry, candidates);
}

// What a stage leaves must be a legal plan: ids of the bank, finite weights. Said with the stage's name, where it happened.
void Pipeline::check(const Entry& entry, const std::vector<Candidate>& candidates) const {
  for (const Candidate& c : candidates) {
    if (c.expert >= experts_) throw Error("routing, layer {}: stage {} chose expert {} of {}", layer_, entry.text, c.expert, experts_);
    if (!std::isfinite(c.weigh))
      throw Error("routing, layer {}: a weight is not finite at stage {}; the model's weights or its input hold NaN or infinity", layer_,
                  entry.text);
  }
}

void Pipeline::choose(const std::vector<Candidate>& candidates, std::vector<Choice>& out) {
  out.clear();
  for (const Candidate& c : candidates) out.push_back({c.expert, c.weigh});
  std::ranges::sort(out, [](const Choice& a, const Choice& b) { return a.weight != b.weight ? a.weight > b.weight : a.expert < b.expert; });
}

void Pipeline::run(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out) const {
  fill(input, logits, scratch.candidates, carry_out);
  for (const Entry& entry : entries_) apply(entry, input, scratch.candidates, carry_out);
  choose(scratch.candidates, scratch.choices);
}

void Pipeline::run_cohort(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan) const {
  std::vector<std::vector<Candidate>> rows(inputs.size());
  std::vector<float> carry(carry_size_);
  for (size_t r = 0; r < rows.size(); r++) fill(inputs[r], logits.subspan(r * experts_, experts_), rows[r], carry);
  for (const Entry& entry : entries_) {
    if (const auto* cohort = std::get_if<std::unique_ptr<CohortStage>>(&entry.stage)) {
      (*cohort)->forward(inputs, rows);
      for (const auto& candidates : rows) check(entry, candidates);
    } else {
      for (size_t r = 0; r < rows.size(); r++) apply(entry, inputs[r], rows[r], carry);
    }
  }
  std::vector<Choice> choices;
  for (const auto& candidates : rows) {
    choose(candidates, choices);
    plan.append_row(choices);
  }
}

}  // namespace moiety
