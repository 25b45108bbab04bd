// kind = "linear": a straight line between two steps.
#include "learn/description.h"

namespace moiety {

ScheduleInfo linear_schedule() {
  return {"linear", "from, to, begin, end: a straight line between two steps", "", [](const Table& t, uint64_t steps) {
            const double from = t.number("from"), to = t.number("to");
            const uint64_t begin = t.count("begin", 0), end = t.count("end", steps);
            return Schedule([=](uint64_t step) { return from + (to - from) * part_of(step, begin, end); });
          }};
}

}  // namespace moiety
