// kind = "wsd": warmup, stable, decay. Hu et al. 2024, "MiniCPM", section 4.
#include "learn/description.h"

namespace moiety {

ScheduleInfo wsd_schedule() {
  return {"wsd", "peak, low, warmup, decay: up, level, and down in a line over the last part `decay` of the run", "Hu et al. 2024, MiniCPM, section 4",
          [](const Table& t, uint64_t steps) {
            const double peak = t.number("peak"), low = t.number("low", 0), decay = t.number("decay", 0.2);
            if (decay < 0 || decay > 1) t.wrong("decay", "a share in [0, 1] is expected");
            const uint64_t warmup = t.count("warmup", 0), begin = steps - static_cast<uint64_t>(decay * static_cast<double>(steps));
            return Schedule([=](uint64_t step) { return warm(step, warmup) * (peak + (low - peak) * part_of(step, begin, steps)); });
          }};
}

}  // namespace moiety
