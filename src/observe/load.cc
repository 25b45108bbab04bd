#include "observe/load.h"

#include <fmt/format.h>

#include <algorithm>

namespace moiety {

std::string heat_map(const std::vector<LoadCounter::SiteLoad>& sites, size_t width, bool colours) {
  constexpr const char* shades[] = {" ", "░", "▒", "▓", "█"};
  std::string out;
  for (const auto& site : sites) {
    if (site.counts.empty()) continue;
    const size_t columns = std::min(width, site.counts.size());
    std::vector<uint64_t> sums(columns);
    for (size_t e = 0; e < site.counts.size(); e++) sums[e * columns / site.counts.size()] += site.counts[e];
    const uint64_t top = std::max<uint64_t>(1, *std::ranges::max_element(sums));
    out += fmt::format("{:>4} ", site.layer);
    for (uint64_t sum : sums) {
      const double share = static_cast<double>(sum) / static_cast<double>(top);
      if (colours) out += fmt::format("\033[48;5;{}m ", 232 + static_cast<int>(share * 23));
      else out += shades[static_cast<size_t>(share * 4 + 0.5)];
    }
    out += colours ? "\033[0m\n" : "\n";
  }
  return out;
}

}  // namespace moiety
