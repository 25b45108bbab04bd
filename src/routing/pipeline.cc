#include "routing/pipeline.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace moiety {

namespace {

// A stage sees its own part of the carry and of the sequence's memory, whatever other stages keep there.
template <class Stage>
void forward(const Stage& stage, const Pipeline::Entry& entry, const RoutingInput& input, std::vector<Candidate>& candidates,
             std::span<float> carry) {
  const size_t carries = stage.carry_size(), keeps = stage.memory_size();
  if (carries == 0 && keeps == 0) return stage.forward(input, candidates, {});
  RoutingInput own = input;
  SequenceContext sequence;
  if (!input.carry.empty()) own.carry = input.carry.subspan(entry.carry_at, carries);
  if (input.sequence) {
    sequence = *input.sequence;
    if (!sequence.memory.empty()) sequence.memory = sequence.memory.subspan(entry.memory_at, keeps);
    own.sequence = &sequence;
  }
  stage.forward(own, candidates, carries ? carry.subspan(entry.carry_at, carries) : std::span<float>());
}

}  // namespace

Pipeline::Pipeline(std::vector<Entry> entries, uint32_t layer, uint32_t experts)
    : entries_(std::move(entries)), layer_(layer), experts_(experts) {
  for (Entry& entry : entries_) {
    entry.carry_at = carry_size_, entry.memory_at = memory_size_;
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

void Pipeline::fill(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::vector<Candidate>& candidates,
                    std::span<float> carry) const {
  candidates.clear();
  if (!needs_logits_) {
    forward(*std::get<std::unique_ptr<SourceStage>>(entries_[0].stage), entries_[0], input, candidates, carry);
    return check(entries_[0].text, candidates, scratch);
  }
  candidates.resize(logits.size());
  for (uint32_t e = 0; e < logits.size(); e++) candidates[e] = {e, logits[e], logits[e]};
  check("linear (the router)", candidates, scratch);
}

// What a stage leaves must be a legal plan: ids of the bank, each once, finite weights, scores that can be sorted. Said with the
// stage's name, where it happened.
void Pipeline::check(std::string_view stage, const std::vector<Candidate>& candidates, RoutingScratch& scratch) const {
  for (const Candidate& c : candidates) {
    if (c.expert >= experts_) throw Error("routing, layer {}: stage {} chose expert {} of {}", layer_, stage, c.expert, experts_);
    if (!std::isfinite(c.weigh) || std::isnan(c.choose))
      throw Error("routing, layer {}: a weight is not finite at stage {}; the model's weights or its input hold NaN or infinity", layer_, stage);
  }
  if (const std::optional<uint32_t> twice = repeated(candidates, scratch))
    throw Error("routing, layer {}: stage {} chose expert {} twice", layer_, stage, *twice);
}

// An id that stands there twice. Where ids are few a mark for each is fastest; out of a million the cost is that of the list.
std::optional<uint32_t> Pipeline::repeated(const std::vector<Candidate>& candidates, RoutingScratch& scratch) const {
  constexpr uint32_t few = 4096;
  if (experts_ > few) {
    scratch.sorted.clear();
    for (const Candidate& c : candidates) scratch.sorted.push_back(c.expert);
    std::ranges::sort(scratch.sorted);
    const auto twice = std::ranges::adjacent_find(scratch.sorted);
    return twice == scratch.sorted.end() ? std::nullopt : std::optional(*twice);
  }
  if (scratch.seen.size() < experts_ || ++scratch.checks == 0) {
    scratch.seen.assign(experts_, 0);
    scratch.checks = 1;
  }
  for (const Candidate& c : candidates)
    if (std::exchange(scratch.seen[c.expert], scratch.checks) == scratch.checks) return c.expert;
  return std::nullopt;
}

void Pipeline::choose(const std::vector<Candidate>& candidates, std::vector<Choice>& out) {
  out.clear();
  for (const Candidate& c : candidates) out.push_back({c.expert, c.weigh});
  std::ranges::sort(out, [](const Choice& a, const Choice& b) { return a.weight != b.weight ? a.weight > b.weight : a.expert < b.expert; });
}

void Pipeline::run(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out) const {
  fill(input, logits, scratch, scratch.candidates, carry_out);
  for (const Entry& entry : entries_) {
    const auto* stage = std::get_if<std::unique_ptr<RowStage>>(&entry.stage);
    if (!stage) continue;
    forward(**stage, entry, input, scratch.candidates, carry_out);
    check(entry.text, scratch.candidates, scratch);
  }
  choose(scratch.candidates, scratch.choices);
}

void Pipeline::run_cohort(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan,
                          std::span<float> carry_out) const {
  const size_t n = inputs.size(), width = n ? logits.size() / n : 0;
  std::vector<std::vector<Candidate>> rows(n);
  std::vector<float> carries(carry_out.empty() ? n * carry_size_ : 0);
  if (carry_out.empty()) carry_out = carries;
  auto carry = [&](size_t r) { return carry_out.subspan(r * carry_size_, carry_size_); };
  RoutingScratch scratch;
  for (size_t r = 0; r < n; r++) fill(inputs[r], logits.subspan(r * width, width), scratch, rows[r], carry(r));
  for (const Entry& entry : entries_) {
    if (const auto* cohort = std::get_if<std::unique_ptr<CohortStage>>(&entry.stage)) (*cohort)->forward(inputs, rows);
    for (size_t r = 0; r < n; r++) {
      if (const auto* stage = std::get_if<std::unique_ptr<RowStage>>(&entry.stage)) forward(**stage, entry, inputs[r], rows[r], carry(r));
      check(entry.text, rows[r], scratch);
    }
  }
  for (const auto& candidates : rows) {
    choose(candidates, scratch.choices);
    plan.append_row(scratch.choices);
  }
}

}  // namespace moiety
