#include "learn/measures.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace moiety {

double max_violation(std::span<const int64_t> load) {
  const double sum = static_cast<double>(std::accumulate(load.begin(), load.end(), int64_t{0}));
  return sum > 0 ? static_cast<double>(*std::ranges::max_element(load)) * static_cast<double>(load.size()) / sum - 1 : 0;
}

double mutual_information(std::span<const std::vector<int64_t>> counts) {
  if (counts.empty()) return 0;
  std::vector<double> row(counts.size()), column(counts[0].size());
  double all = 0, bits = 0;
  for (size_t r = 0; r < row.size(); r++)
    for (size_t c = 0; c < column.size(); c++) {
      const double n = static_cast<double>(counts[r][c]);
      row[r] += n, column[c] += n, all += n;
    }
  for (size_t r = 0; r < row.size(); r++)
    for (size_t c = 0; c < column.size(); c++)
      if (const double n = static_cast<double>(counts[r][c]); n > 0) bits += n / all * std::log2(n * all / (row[r] * column[c]));
  return bits;
}

namespace {

struct Window {
  std::span<const int64_t> load;  // [experts]
  size_t domain;
};

double bits_between(std::span<const Window> windows, size_t domains) {
  std::vector<std::vector<int64_t>> counts(domains, std::vector<int64_t>(windows[0].load.size()));
  for (const Window& w : windows)
    for (size_t e = 0; e < w.load.size(); e++) counts[w.domain][e] += w.load[e];
  return mutual_information(counts);
}

}  // namespace

Specialisation specialisation(std::span<const DomainResult> domains, size_t site, uint64_t seed) {
  std::vector<Window> windows;
  for (size_t d = 0; d < domains.size(); d++)
    for (const std::vector<int64_t>& load : domains[d].sites[site].windows) windows.push_back({load, d});
  if (windows.empty()) return {};
  Specialisation out{bits_between(windows, domains.size()), 0};
  constexpr uint32_t shuffles = 20;
  for (uint32_t s = 0; s < shuffles; s++) {
    for (size_t i = windows.size(); i-- > 1;)
      std::swap(windows[i].domain, windows[static_cast<size_t>(uniform(seed, i, RandomStream::shuffle, s) * static_cast<double>(i + 1))].domain);
    out.shuffled += bits_between(windows, domains.size()) / shuffles;
  }
  return out;
}

namespace {

std::vector<double> ranks(std::span<const float> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> out(values.size());
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) end++;
    for (size_t i = begin; i < end; i++) out[order[i]] = static_cast<double>(begin + end - 1) / 2;
  }
  return out;
}

}  // namespace

double rank_correlation(std::span<const float> a, std::span<const float> b) {
  const std::vector<double> x = ranks(a), y = ranks(b);
  const double mean = static_cast<double>(x.size() - 1) / 2;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); i++) xx += (x[i] - mean) * (x[i] - mean), yy += (y[i] - mean) * (y[i] - mean), xy += (x[i] - mean) * (y[i] - mean);
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

}  // namespace moiety
