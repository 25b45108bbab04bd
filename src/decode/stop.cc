#include "decode/stop.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace moiety {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  for (const std::string& stop : stops_)
    if (stop.empty()) throw UsageError("stop: an empty stop string; leave it out");
  std::stable_sort(stops_.begin(), stops_.end(), [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

std::string StopStrings::push(std::string_view piece) {
  if (stopped_) return "";
  for (char c : piece) {
    held_ += c;
    for (const std::string& stop : stops_) {
      if (!held_.ends_with(stop)) continue;
      stopped_ = true;
      held_.resize(held_.size() - stop.size());
      return std::exchange(held_, "");
    }
  }
  const size_t keep = held_back();
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopStrings::finish() { return std::exchange(held_, ""); }

// Bytes of the longest end of the text that a stop string begins with.
size_t StopStrings::held_back() const {
  size_t longest = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > longest; n--)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) longest = n;
  return longest;
}

}  // namespace moiety
