#include "learn/positions.h"

#include <fmt/format.h>

namespace moiety {

RopeTable read_positions(const Table& t, int64_t context, int64_t size, double base) {
  if (!t.has("rope_frequencies")) return rope_table(context, size, base);
  const std::vector<double> frequencies = t.numbers("rope_frequencies");
  if (static_cast<int64_t>(frequencies.size()) != size / 2) t.wrong("rope_frequencies", fmt::format("{} are expected, one for each pair of a head", size / 2));
  return rope_table(context, frequencies, t.number("rope_factor", 1));
}

}  // namespace moiety
