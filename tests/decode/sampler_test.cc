#include "decode/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "base/error.h"
#include "base/random.h"

namespace moiety {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

SamplingOptions plain() {
  SamplingOptions o;
  o.temperature = 1;
  o.top_k = 0;
  o.top_p = 1;
  o.min_p = 0;
  return o;
}

// The plain reference: one map from id to logit, every step by its definition.
std::map<int32_t, double> probabilities(const std::map<int32_t, double>& logits, double temperature = 1) {
  std::map<int32_t, double> out;
  double most = -kInfinity, sum = 0;
  for (auto [id, logit] : logits) most = std::max(most, logit);
  for (auto [id, logit] : logits) sum += out[id] = std::exp((logit - most) / temperature);
  for (auto& [id, p] : out) p /= sum;
  return out;
}

// Keeps ids by ascending cost (ties: the larger logit, then the lower id) until their mass reaches p.
void keep_mass(std::map<int32_t, double>& logits, double p, const std::map<int32_t, double>& cost) {
  const auto mass = probabilities(logits);
  std::vector<int32_t> ids;
  for (auto [id, logit] : logits) ids.push_back(id);
  std::sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    if (cost.at(a) != cost.at(b)) return cost.at(a) < cost.at(b);
    return logits.at(a) != logits.at(b) ? logits.at(a) > logits.at(b) : a < b;
  });
  double sum = 0;
  for (int32_t id : ids) {
    if (sum >= p) logits.erase(id);
    else sum += mass.at(id);
  }
}

std::map<int32_t, double> reference(const SamplingOptions& o, std::vector<float> row, const std::vector<int32_t>& history) {
  for (auto [id, bias] : o.logit_bias) row[static_cast<size_t>(id)] += bias;
  const size_t window = std::min(history.size(), o.penalty_window);
  for (size_t id = 0; id < row.size(); id++) {
    const auto count = std::count(history.end() - static_cast<ptrdiff_t>(window), history.end(), static_cast<int32_t>(id));
    if (!count) continue;
    if (row[id] > 0) row[id] /= o.repeat_penalty;
    else row[id] *= o.repeat_penalty;
    row[id] -= o.presence_penalty + static_cast<float>(count) * o.frequency_penalty;
  }
  std::map<int32_t, double> logits;
  for (size_t id = 0; id < row.size(); id++)
    if (std::isfinite(row[id])) logits[static_cast<int32_t>(id)] = row[id];

  std::map<int32_t, double> rank;  // 0 for the largest
  for (auto [id, logit] : logits)
    rank[id] = static_cast<double>(std::count_if(logits.begin(), logits.end(), [&, id = id, logit = logit](const auto& other) {
      return other.second > logit || (other.second == logit && other.first < id);
    }));
  const size_t k = o.temperature == 0 ? 1 : o.top_k;
  if (k) std::erase_if(logits, [&](const auto& entry) { return rank[entry.first] >= static_cast<double>(k); });
  if (o.typical < 1) {
    const auto p = probabilities(logits);
    double entropy = 0;
    for (auto [id, q] : p) entropy += q > 0 ? -q * std::log(q) : 0;
    std::map<int32_t, double> cost;
    for (auto [id, q] : p) cost[id] = q > 0 ? std::abs(-std::log(q) - entropy) : kInfinity;
    keep_mass(logits, o.typical, cost);
  }
  if (o.top_p < 1) keep_mass(logits, o.top_p, rank);
  if (o.min_p > 0) {
    const auto p = probabilities(logits);
    double most = 0;
    for (auto [id, q] : p) most = std::max(most, q);
    std::erase_if(logits, [&](const auto& entry) { return p.at(entry.first) < o.min_p * most; });
  }
  return probabilities(logits, o.temperature == 0 ? 1 : o.temperature);
}

TEST(Sampler, EqualsThePlainReferenceOnRandomOptions) {
  const unsigned seed = 11;
  std::mt19937 random(seed);
  auto real = [&](float low, float high) { return std::uniform_real_distribution<float>(low, high)(random); };
  for (int round = 0; round < 2000; round++) {
    const size_t vocab = 1 + random() % (round % 50 ? 60 : 1000);
    std::vector<float> logits(vocab);
    const float range = real(0.1f, 40);
    for (float& x : logits) x = random() % 8 ? real(-range, range) : static_cast<float>(static_cast<int>(random() % 3));  // some are alike
    std::vector<int32_t> history(random() % 100);
    for (int32_t& id : history) id = static_cast<int32_t>(random() % vocab);
    SamplingOptions o = plain();
    if (random() % 2) o.temperature = random() % 4 ? real(0.2f, 2) : 0;
    if (random() % 2) o.top_k = random() % 70;
    if (random() % 2) o.top_p = real(0.05f, 1);
    if (random() % 2) o.min_p = real(0, 1);
    if (random() % 2) o.typical = real(0.05f, 1);
    if (random() % 2) o.repeat_penalty = real(0.7f, 1.8f);
    if (random() % 2) o.presence_penalty = real(-1, 1);
    if (random() % 2) o.frequency_penalty = real(-0.5f, 0.5f);
    o.penalty_window = random() % 80;
    for (size_t i = random() % 4; i > 0; i--) o.logit_bias.push_back({static_cast<int32_t>(random() % vocab), real(-3, 3)});

    const auto expected = reference(o, logits, history);
    const auto got = Sampler(o, vocab).distribution(logits, history);
    ASSERT_EQ(got.size(), expected.size()) << "seed " << seed << " round " << round;
    double sum = 0;
    for (size_t i = 0; i < got.size(); i++) {
      ASSERT_TRUE(expected.contains(got[i].id)) << "seed " << seed << " round " << round;
      ASSERT_LE(std::abs(got[i].probability - expected.at(got[i].id)), 1e-9) << "seed " << seed << " round " << round;
      if (i) {
        ASSERT_GE(got[i - 1].probability, got[i].probability);
      }
      sum += got[i].probability;
    }
    ASSERT_NEAR(sum, 1, 1e-9);
  }
}

TEST(Sampler, TiesGoToTheLowerId) {
  SamplingOptions o = plain();
  o.temperature = 0;
  EXPECT_EQ(Sampler(o, 4).next(std::vector<float>{1, 3, 3, 3}, {}), 1);
  o.temperature = 1;
  o.top_k = 2;
  const auto kept = Sampler(o, 5).distribution(std::vector<float>{2, 1, 2, 2, 2}, {});
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].id, 0);
  EXPECT_EQ(kept[1].id, 2);
}

TEST(Sampler, DrawsWithTheProbabilitiesOfTheDistribution) {
  SamplingOptions o = plain();
  o.temperature = 0.7f;
  o.seed = 42;
  const std::vector<float> logits = {0.5f, -1, 1.2f, 0, 0.9f, -3};
  const Sampler sampler(o, logits.size());
  const int n = 20000;
  std::vector<int32_t> history;
  std::vector<int> counts(logits.size());
  for (int i = 0; i < n; i++) {
    counts[static_cast<size_t>(sampler.next(logits, history))]++;
    history.push_back(0);
  }
  double chi_squared = 0;
  for (const auto& [id, p] : sampler.distribution(logits, {})) {
    const double expected = p * n;
    chi_squared += (counts[static_cast<size_t>(id)] - expected) * (counts[static_cast<size_t>(id)] - expected) / expected;
  }
  EXPECT_LT(chi_squared, 20.5) << "5 degrees of freedom, p = 0.001, seed 42";
}

// The whole distribution isn't made for a draw.
TEST(Sampler, DrawsWhatTheWholeDistributionHasThere) {
  std::mt19937 random(5);
  for (float temperature : {0.1f, 1.0f, 30.0f}) {
    SamplingOptions o = plain();
    o.temperature = temperature;
    o.seed = 3;
    std::vector<float> logits(5000);
    for (float& x : logits) x = std::normal_distribution<float>(0, 4)(random);
    const Sampler sampler(o, logits.size());
    for (std::vector<int32_t> history(1); history.size() < 200; history.push_back(0)) {
      double left = uniform(o.seed, history.size(), RandomStream::sampling);
      int32_t expected = -1;
      for (const auto& [id, p] : sampler.distribution(logits, history))
        if ((left -= p) < 0) {
          expected = id;
          break;
        }
      ASSERT_EQ(sampler.next(logits, history), expected);
    }
  }
}

TEST(Sampler, TheSeedAndThePositionDecide) {
  SamplingOptions o = plain();
  const std::vector<float> logits(50, 0.0f);
  auto text = [&](uint64_t seed) {
    o.seed = seed;
    const Sampler sampler(o, logits.size());
    std::vector<int32_t> history;
    for (int i = 0; i < 30; i++) history.push_back(sampler.next(logits, history));
    return history;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
  o.seed = 1;
  const std::vector<int32_t> a = {1, 2, 3}, b = {9, 9, 9};
  EXPECT_EQ(Sampler(o, 50).next(logits, a), Sampler(o, 50).next(logits, b));
}

TEST(Sampler, BannedTokensAreNeverDrawnAndBadLogitsAreErrors) {
  SamplingOptions o = plain();
  o.logit_bias = {{0, -kInfinity}};
  const Sampler sampler(o, 2);
  EXPECT_EQ(sampler.next(std::vector<float>{9, 1}, {}), 1);
  EXPECT_THROW(sampler.next(std::vector<float>{9, -kInfinity}, {}), Error);
  EXPECT_THROW(sampler.next(std::vector<float>{0, std::nanf("")}, {}), Error);
  EXPECT_THROW(sampler.next(std::vector<float>{0, kInfinity}, {}), Error);
  EXPECT_THROW(sampler.next(std::vector<float>{0}, {}), Error);
}

TEST(Sampler, OptionsOutOfRangeAreWrongCommands) {
  auto refused = [](auto change) {
    SamplingOptions o;
    change(o);
    EXPECT_THROW(Sampler(o, 10), UsageError);
  };
  refused([](auto& o) { o.temperature = -1; });
  refused([](auto& o) { o.temperature = std::nanf(""); });
  refused([](auto& o) { o.top_p = 0; });
  refused([](auto& o) { o.top_p = 1.5f; });
  refused([](auto& o) { o.min_p = -0.1f; });
  refused([](auto& o) { o.typical = 0; });
  refused([](auto& o) { o.repeat_penalty = 0; });
  refused([](auto& o) { o.presence_penalty = kInfinity; });
  refused([](auto& o) { o.logit_bias = {{10, 1.0f}}; });
  refused([](auto& o) { o.logit_bias = {{-1, 1.0f}}; });
  refused([](auto& o) { o.logit_bias = {{1, kInfinity}}; });
}

}  // namespace
}  // namespace moiety
