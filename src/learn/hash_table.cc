#include "learn/hash_table.h"

#include <algorithm>
#include <numeric>
#include <queue>
#include <vector>

#include "base/random.h"

namespace moiety {

void fill_hash_table(std::span<float> table, std::span<const uint64_t> counts, size_t experts, uint64_t seed) {
  const auto draw = [&](size_t token) { return uniform(seed, token, RandomStream::routing); };
  if (counts.empty()) {
    for (size_t token = 0; token < table.size(); token++) table[token] = static_cast<float>(static_cast<size_t>(draw(token) * static_cast<double>(experts)));
    return;
  }
  // Equal counts in an order that is drawn, so that neighbours in the vocabulary do not go round the experts in turn.
  std::vector<double> order(table.size());
  for (size_t token = 0; token < table.size(); token++) order[token] = draw(token);
  std::vector<size_t> tokens(table.size());
  std::iota(tokens.begin(), tokens.end(), size_t{0});
  std::ranges::sort(tokens, [&](size_t a, size_t b) { return counts[a] != counts[b] ? counts[a] > counts[b] : order[a] < order[b]; });
  using Load = std::pair<uint64_t, size_t>;  // what an expert has, and which
  std::priority_queue<Load, std::vector<Load>, std::greater<>> least;
  for (size_t e = 0; e < experts; e++) least.emplace(0, e);
  for (size_t token : tokens) {
    const auto [load, expert] = least.top();
    least.pop();
    table[token] = static_cast<float>(expert);
    least.emplace(load + counts[token], expert);
  }
}

}  // namespace moiety
