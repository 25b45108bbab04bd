#include "learn/schedule.h"

namespace moiety {

double warm(uint64_t step, uint64_t warmup) { return step < warmup ? static_cast<double>(step + 1) / static_cast<double>(warmup) : 1; }

double part_of(uint64_t step, uint64_t begin, uint64_t end) {
  if (step <= begin) return 0;
  return step >= end ? 1 : static_cast<double>(step - begin) / static_cast<double>(end - begin);
}

}  // namespace moiety
