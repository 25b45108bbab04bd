#include "learn/average.h"

#include <algorithm>

namespace moiety {

void move_average(Arena& arena, double ema, uint64_t step, Workers& workers) {
  const double number = static_cast<double>(step);
  const float taken = static_cast<float>(1 - std::min(ema, (1 + number) / (10 + number)));
  const float* weights = arena.values();
  float* averages = arena.averages();
  workers.run(arena.moving(), 1 << 16, [&](size_t begin, size_t end, size_t) {
    for (size_t i = begin; i < end; i++) averages[i] += taken * (weights[i] - averages[i]);
  });
}

void AveragedWeights::swap() {
  if (arena_.averages()) std::swap_ranges(arena_.values(), arena_.values() + arena_.moving(), arena_.averages());
  arena_.refresh();
}

}  // namespace moiety
