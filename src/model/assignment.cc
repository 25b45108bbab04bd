// Choices grouped by expert, in parallel: blocks of rows sort theirs, and all of an expert's, block by block, are put one after another.
#include <algorithm>

#include "model/experts.h"

namespace moiety {
namespace {

constexpr size_t block_rows = 64;

struct Slot {
  uint32_t expert, record, row;
  float weight;
};

// What one expert does for a block of rows, and its place in the whole.
struct Run {
  std::span<const Slot> slots;
  size_t place;
  uint32_t expert() const { return slots.front().expert; }
};

// The slots of row `t`, in ascending id.
void append_row(const ExpertBank& bank, std::span<const Choice> choices, uint32_t t, std::vector<Slot>& out) {
  const auto begin = static_cast<ptrdiff_t>(out.size());
  for (const Choice& choice : choices) out.push_back({choice.expert, bank.record(choice.expert), t, choice.weight});
  std::ranges::sort(out.begin() + begin, out.end(), {}, &Slot::expert);
  auto end = out.begin() + begin;
  for (auto slot = end; slot != out.end(); slot++) {
    const auto same = std::ranges::find(out.begin() + begin, end, slot->record, &Slot::record);
    if (same != end) same->weight += slot->weight;
    else *end++ = *slot;
  }
  out.erase(end, out.end());
}

}  // namespace

Assignment assign(const RoutingPlan& plan, const ExpertBank& bank, Workers& workers) {
  std::vector<std::vector<Slot>> blocks((plan.rows() + block_rows - 1) / block_rows);
  workers.run(blocks.size(), 1, [&](size_t begin, size_t end, size_t) {
    for (size_t b = begin; b < end; b++) {
      for (size_t t = b * block_rows; t < std::min(plan.rows(), (b + 1) * block_rows); t++)
        append_row(bank, plan[t], static_cast<uint32_t>(t), blocks[b]);
      std::ranges::stable_sort(blocks[b], {}, &Slot::expert);
    }
  });
  std::vector<Run> runs;
  for (const std::vector<Slot>& slots : blocks)
    for (size_t begin = 0, end; begin < slots.size(); begin = end) {
      for (end = begin + 1; end < slots.size() && slots[end].expert == slots[begin].expert;) end++;
      runs.push_back({std::span(slots).subspan(begin, end - begin), 0});
    }
  std::ranges::stable_sort(runs, {}, &Run::expert);
  Assignment out;
  size_t place = 0;
  for (Run& run : runs) {
    if (out.experts.empty() || out.experts.back() != run.expert()) out.experts.push_back(run.expert()), out.first.push_back(place);
    run.place = place;
    place += run.slots.size();
  }
  out.first.push_back(place);
  out.rows.resize(place), out.weights.resize(place);
  workers.run(runs.size(), 256, [&](size_t begin, size_t end, size_t) {
    for (size_t r = begin; r < end; r++)
      for (size_t s = 0; s < runs[r].slots.size(); s++)
        out.rows[runs[r].place + s] = runs[r].slots[s].row, out.weights[runs[r].place + s] = runs[r].slots[s].weight;
  });
  return out;
}

}  // namespace moiety
