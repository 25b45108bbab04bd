// Measures of routing against their definitions on counts made by hand and at random.
#include "learn/measures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

namespace moiety {
namespace {

TEST(Measures, MaxViolation) {
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{3, 3, 3}), 0);
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{8, 0, 4, 4}), 1);
  EXPECT_DOUBLE_EQ(max_violation(std::vector<int64_t>{0, 0}), 0);
}

TEST(Measures, MutualInformationIsEntropiesLessTheJointOne) {
  EXPECT_NEAR(mutual_information(std::vector<std::vector<int64_t>>{{5, 0}, {0, 5}}), 1, 1e-12);
  EXPECT_NEAR(mutual_information(std::vector<std::vector<int64_t>>{{2, 4}, {3, 6}}), 0, 1e-12);
  std::mt19937 rng(2);
  std::vector<std::vector<int64_t>> counts(3, std::vector<int64_t>(7));
  std::map<size_t, double> row, column;
  double all = 0;
  for (size_t r = 0; r < 3; r++)
    for (size_t c = 0; c < 7; c++) counts[r][c] = rng() % 9, row[r] += static_cast<double>(counts[r][c]), column[c] += static_cast<double>(counts[r][c]), all += static_cast<double>(counts[r][c]);
  const auto bits = [&](double n) { return n > 0 ? -n / all * std::log2(n / all) : 0; };
  double want = 0;
  for (const auto& [r, n] : row) want += bits(n);
  for (const auto& [c, n] : column) want += bits(n);
  for (const auto& r : counts)
    for (int64_t n : r) want -= bits(static_cast<double>(n));
  EXPECT_NEAR(mutual_information(counts), want, 1e-12);
}

// Two domains of 40 windows, 10 tokens each, two experts.
std::vector<DomainResult> domains(double share_a, double share_b) {
  std::mt19937 rng(3);
  std::vector<DomainResult> out(2);
  for (size_t d = 0; d < 2; d++) {
    out[d].sites.resize(1);
    for (int w = 0; w < 40; w++) {
      std::binomial_distribution<int64_t> first(10, d ? share_b : share_a);
      const int64_t n = first(rng);
      out[d].sites[0].windows.push_back({n, 10 - n});
    }
  }
  return out;
}

TEST(Measures, SpecialisationIsAboveItsShuffleOnlyWhereThereIsOne) {
  const Specialisation some = specialisation(domains(0.9, 0.1), 0, 1), none = specialisation(domains(0.5, 0.5), 0, 1);
  EXPECT_GT(some.bits, 0.4);
  EXPECT_LT(some.shuffled, 0.05);
  EXPECT_LT(none.bits, 0.01);
  EXPECT_LT(none.shuffled, 0.01);
  EXPECT_GT(none.shuffled, 0);
}

TEST(Measures, RankCorrelationIsThatOfRanks) {
  const std::vector<float> a = {1, 2, 3, 4}, rising = {1, 8, 27, 64}, falling = {4, 3, 2, 1}, same = {5, 5, 5, 5};
  EXPECT_NEAR(rank_correlation(a, rising), 1, 1e-12);
  EXPECT_NEAR(rank_correlation(a, falling), -1, 1e-12);
  EXPECT_EQ(rank_correlation(a, same), 0);
  // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 * 5).
  EXPECT_NEAR(rank_correlation(std::vector<float>{1, 2, 2, 3}, a), 4.5 / std::sqrt(22.5), 1e-12);
}

}  // namespace
}  // namespace moiety
