#include "routing/pipeline.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace moiety {

namespace {

template <class Stage>
void forward(const Stage& stage, const Pipeline::Entry& entry, const RoutingInput& input, std::vector<Candidate>& candidates,
             std::span<float> carry) {
  if (entry.carries == 0 && entry.keeps == 0) return stage.forward(input, candidates, {});
  SequenceContext room;
  stage.forward(entry.own_part(input, room), candidates, entry.carries ? carry.subspan(entry.carry_at, entry.carries) : std::span<float>());
}

}  // namespace

RoutingInput Pipeline::Entry::own_part(const RoutingInput& input, SequenceContext& room) const {
  RoutingInput own = input;
  if (!input.carry.empty()) own.carry = input.carry.subspan(carry_at, carries);
  if (input.sequence) {
    room = *input.sequence;
    if (!room.memory.empty()) room.memory = room.memory.subspan(memory_at, keeps);
    own.sequence = &room;
  }
  return own;
}

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
            carry_size_ += entry.carries = stage->carry_size();
            memory_size_ += entry.keeps = stage->memory_size();
            if (entry.keeps) needs_ |= needs::memory;
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

template <bool recorded>
void Pipeline::run_row(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out,
                       RoutingHistory* history) const {
  const size_t row = recorded ? history->add_rows(1, entries_.size()) : 0;
  fill(input, logits, scratch, scratch.candidates, carry_out);
  if (recorded && needs_logits_) history->keep(row, 0, scratch.candidates);
  for (size_t i = 0; i < entries_.size(); i++) {
    const Entry& entry = entries_[i];
    if (const auto* stage = std::get_if<std::unique_ptr<RowStage>>(&entry.stage)) {
      forward(**stage, entry, input, scratch.candidates, carry_out);
      check(entry.text, scratch.candidates, scratch);
    }
    if (recorded) history->keep(row, i + 1, scratch.candidates);
  }
  choose(scratch.candidates, scratch.choices);
}

void Pipeline::run(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, std::span<float> carry_out) const {
  run_row<false>(input, logits, scratch, carry_out, nullptr);
}

void Pipeline::run_recorded(const RoutingInput& input, std::span<const float> logits, RoutingScratch& scratch, RoutingHistory& history,
                            std::span<float> carry_out) const {
  run_row<true>(input, logits, scratch, carry_out, &history);
}

void Pipeline::run_rows(std::span<const RoutingInput> inputs, std::span<const float> logits, RoutingPlan& plan, std::span<float> carry_out,
                        RoutingHistory* history) const {
  const size_t n = inputs.size(), width = n ? logits.size() / n : 0;
  const size_t first = history ? history->add_rows(n, entries_.size()) : 0;
  std::vector<std::vector<Candidate>> rows(n);
  std::vector<float> carries(carry_out.empty() ? n * carry_size_ : 0);
  if (carry_out.empty()) carry_out = carries;
  auto carry = [&](size_t r) { return carry_out.subspan(r * carry_size_, carry_size_); };
  RoutingScratch scratch;
  for (size_t r = 0; r < n; r++) {
    fill(inputs[r], logits.subspan(r * width, width), scratch, rows[r], carry(r));
    if (history && needs_logits_) history->keep(first + r, 0, rows[r]);
  }
  for (size_t i = 0; i < entries_.size(); i++) {
    const Entry& entry = entries_[i];
    if (const auto* cohort = std::get_if<std::unique_ptr<CohortStage>>(&entry.stage)) (*cohort)->forward(inputs, rows);
    for (size_t r = 0; r < n; r++) {
      if (const auto* stage = std::get_if<std::unique_ptr<RowStage>>(&entry.stage)) forward(**stage, entry, inputs[r], rows[r], carry(r));
      check(entry.text, rows[r], scratch);
      if (history) history->keep(first + r, i + 1, rows[r]);
    }
  }
  for (const auto& candidates : rows) {
    choose(candidates, scratch.choices);
    plan.append_row(scratch.choices);
  }
}

}  // namespace moiety
