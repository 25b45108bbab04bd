#include "text/trie.h"

#include <algorithm>

namespace moiety {

// Breadth first over the sorted keys, so that the children of a node lie side by side.
Trie::Trie(std::vector<std::pair<std::string, int32_t>> keys) {
  std::ranges::stable_sort(keys, {}, &std::pair<std::string, int32_t>::first);
  struct Range {
    size_t begin, end, depth;  // keys[begin, end) share their first `depth` bytes
  };
  std::vector<Range> ranges = {{0, keys.size(), 0}};  // [nodes]
  nodes_.emplace_back();
  labels_.push_back(0);
  for (size_t node = 0; node < ranges.size(); node++) {
    auto [begin, end, depth] = ranges[node];
    for (bool first = true; begin < end && keys[begin].first.size() == depth; begin++, first = false)
      if (first && depth > 0) nodes_[node].value = keys[begin].second;
    nodes_[node].first = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const auto label = static_cast<unsigned char>(keys[begin].first[depth]);
      size_t next = begin;
      while (next < end && static_cast<unsigned char>(keys[next].first[depth]) == label) next++;
      ranges.push_back({begin, next, depth + 1});
      nodes_.emplace_back();
      labels_.push_back(label);
      nodes_[node].count++;
      begin = next;
    }
  }
}

}  // namespace moiety
