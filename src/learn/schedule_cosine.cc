// kind = "cosine": up in a line, down by half a cosine. Loshchilov and Hutter 2017, "SGDR", eq. 5.
#include <cmath>
#include <numbers>

#include "learn/description.h"

namespace moiety {

ScheduleInfo cosine_schedule() {
  return {"cosine", "peak, low, warmup: up in a line, down by half a cosine", "Loshchilov and Hutter 2017, SGDR, eq. 5", [](const Table& t, uint64_t steps) {
            const double peak = t.number("peak"), low = t.number("low", 0);
            const uint64_t warmup = t.count("warmup", 0);
            return Schedule([=](uint64_t step) {
              const double turn = 0.5 * (1 + std::cos(std::numbers::pi * part_of(step, warmup, steps)));
              return warm(step, warmup) * (low + (peak - low) * turn);
            });
          }};
}

}  // namespace moiety
