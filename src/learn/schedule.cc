#include "learn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "learn/description.h"

namespace moiety {
namespace {

// From 0 to 1 in `warmup` steps; the first step is not at 0.
double warm(uint64_t step, uint64_t warmup) { return step < warmup ? static_cast<double>(step + 1) / static_cast<double>(warmup) : 1; }

// How far step is on its way from `begin` to `end`, in [0, 1].
double part_of(uint64_t step, uint64_t begin, uint64_t end) {
  if (step <= begin) return 0;
  return step >= end ? 1 : static_cast<double>(step - begin) / static_cast<double>(end - begin);
}

Schedule linear(const Table& t, uint64_t steps) {
  const double from = t.number("from"), to = t.number("to");
  const uint64_t begin = t.count("begin", 0), end = t.count("end", steps);
  return Schedule([=](uint64_t step) { return from + (to - from) * part_of(step, begin, end); });
}

Schedule cosine(const Table& t, uint64_t steps) {
  const double peak = t.number("peak"), low = t.number("low", 0);
  const uint64_t warmup = t.count("warmup", 0);
  return Schedule([=](uint64_t step) {
    const double turn = 0.5 * (1 + std::cos(std::numbers::pi * part_of(step, warmup, steps)));
    return warm(step, warmup) * (low + (peak - low) * turn);
  });
}

Schedule wsd(const Table& t, uint64_t steps) {
  const double peak = t.number("peak"), low = t.number("low", 0), decay = t.number("decay", 0.2);
  const uint64_t warmup = t.count("warmup", 0), begin = steps - static_cast<uint64_t>(decay * static_cast<double>(steps));
  return Schedule([=](uint64_t step) { return warm(step, warmup) * (peak + (low - peak) * part_of(step, begin, steps)); });
}

constexpr ScheduleInfo all[] = {
    {"linear", "from, to, begin, end: a straight line between two steps", "", linear},
    {"cosine", "peak, low, warmup: up in a line, down by half a cosine", "Loshchilov and Hutter 2017, SGDR, eq. 5", cosine},
    {"wsd", "peak, low, warmup, decay: up, level, and down in a line over the last part `decay` of the run", "Hu et al. 2024, MiniCPM, section 4", wsd}};

}  // namespace

std::span<const ScheduleInfo> schedules() { return all; }

}  // namespace moiety
