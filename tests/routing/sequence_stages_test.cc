// Stages that look at the sequence (hash, random, noise), and capacity, which looks at rows trained together.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "routing/policy.h"

namespace moiety {
namespace {

constexpr uint32_t experts = 8;

Pipeline bound(const std::string& text, std::span<const float> table = {}, uint32_t index = 0) {
  StageSite site{index, 0, experts, {}};
  site.tensors.find = [table](std::string_view name) { return name == "table" ? table : std::span<const float>(); };
  return RoutingPolicy::parse(text, Allow::training).bind(site, text);
}

std::vector<Choice> run(const Pipeline& pipeline, SequenceContext sequence, std::span<const float> logits = {}, uint32_t position = 0, uint32_t site = 0) {
  RoutingScratch scratch;
  RoutingInput in;
  in.sequence = &sequence, in.position = position, in.site = site;
  pipeline.run(in, logits, scratch, {});
  return scratch.choices;
}

TEST(Hash, IsTheTablesExpertOfTheToken) {
  const std::vector<float> table = {3, 7, 0, 5};
  const std::vector<int32_t> ids = {2, 1, 3};
  const Pipeline token = bound("hash", table), previous = bound("hash(by=previous) | scale(0.5)", table);
  EXPECT_FALSE(token.needs_logits());
  for (size_t n = 1; n <= ids.size(); n++) {
    const SequenceContext sequence{0, std::span(ids).first(n), {}};
    const auto a = run(token, sequence), b = run(previous, sequence);
    ASSERT_TRUE(a.size() == 1 && b.size() == 1);
    EXPECT_EQ(a[0].expert, table[static_cast<size_t>(ids[n - 1])]);
    EXPECT_EQ(a[0].weight, 1);
    EXPECT_EQ(b[0].expert, table[static_cast<size_t>(ids[n > 1 ? n - 2 : 0])]);
    EXPECT_EQ(b[0].weight, 0.5f);
  }
}

TEST(Hash, NamesWhatIsMissing) {
  const std::vector<float> table = {3, 7}, beyond = {3, 8};
  EXPECT_THROW(bound("hash"), UsageError);
  EXPECT_THROW(bound("hash", beyond), UsageError);
  const std::vector<int32_t> ids = {2};
  EXPECT_THROW(run(bound("hash", table), {0, ids, {}}), Error);
  EXPECT_THROW(run(bound("hash", table), {}), Error);
}

TEST(Random, ChoosesEvenlyByPlaceAloneAndKeepsTheWeights) {
  const std::vector<float> logits = {0, 1, 2, 3, 4, 5, 6, 7};
  const Pipeline pipeline = bound("random | top_k(2)");
  std::map<uint32_t, int> count;
  constexpr int rows = 4000;
  for (uint32_t at = 0; at < rows; at++) {
    const auto choices = run(pipeline, {11, {}, {}}, logits, at);
    ASSERT_EQ(choices.size(), 2u);
    for (const Choice& c : choices) {
      count[c.expert]++;
      EXPECT_EQ(c.weight, logits[c.expert]);
    }
  }
  const double mean = 2.0 * rows / experts, deviation = std::sqrt(mean * (1 - 2.0 / experts));
  for (uint32_t e = 0; e < experts; e++) EXPECT_LE(std::abs(count[e] - mean), 5 * deviation) << e;
  const auto choices = [&](const Pipeline& p, uint64_t seed, uint32_t position, uint32_t site) {
    std::vector<uint32_t> out;
    for (const Choice& c : run(p, {seed, {}, {}}, logits, position, site)) out.push_back(c.expert);
    return out;
  };
  const Pipeline all = bound("random | top_k(5)"), other = bound("random(2) | top_k(5)");
  EXPECT_EQ(choices(all, 1, 5, 0), choices(all, 1, 5, 0));
  int same = 0;
  for (uint32_t at = 0; at < 20; at++)
    same += (choices(all, 1, at, 0) == choices(all, 2, at, 0)) + (choices(all, 1, at, 0) == choices(all, 1, at, 1)) + (choices(all, 1, at, 0) == choices(other, 1, at, 0));
  EXPECT_LT(same, 12);  // of 60: five of eight agree one time in 56
}

TEST(Noise, HasItsDeviation) {
  const std::vector<float> logits(experts, 2);
  const Pipeline pipeline = bound("noise(0.25) | threshold(-1e30)");
  double sum = 0, squares = 0;
  constexpr uint32_t rows = 2000;
  for (uint32_t at = 0; at < rows; at++)
    for (const Choice& c : run(pipeline, {3, {}, {}}, logits, at)) sum += c.weight - 2, squares += (c.weight - 2) * (c.weight - 2);
  constexpr double n = rows * experts;
  EXPECT_LE(std::abs(sum / n), 5 * 0.25 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), 0.25, 0.01);
}

// The first rows that chose an expert keep it; what they keep, and its gradient, does not change.
TEST(Capacity, FirstRowsFirst) {
  std::mt19937 rng(4);
  std::normal_distribution<float> normal;
  for (const double factor : {0.25, 1.0, 1.25, 8.0}) {
    const size_t n = 1 + rng() % 60, k = 2;
    std::vector<float> logits(n * experts);
    for (size_t i = 0; i < logits.size(); i++) logits[i] = normal(rng) + (i % experts == 3 ? 2.0f : 0.0f);  // one is liked by many
    const std::string plain = "softmax | top_k(2)";
    const Pipeline free = bound(plain), bounded = bound(plain + " | capacity(" + std::to_string(factor) + ")");
    const std::vector<RoutingInput> inputs(n);
    RoutingPlan all, left;
    RoutingHistory history;
    free.run_cohort(inputs, logits, all);
    bounded.run_cohort_recorded(inputs, logits, left, history);
    const size_t most = static_cast<size_t>(std::ceil(factor * static_cast<double>(n * k) / experts));
    std::vector<size_t> load(experts);
    std::vector<std::vector<Choice>> d_choices(n);
    std::vector<std::vector<float>> d_logits(n, std::vector<float>(experts));
    std::vector<RowGradient> gradients(n);
    for (size_t r = 0; r < n; r++) {
      std::vector<Choice> want;
      for (const Choice& c : all[r])
        if (load[c.expert]++ < most) want.push_back(c);
      ASSERT_EQ(left[r].size(), want.size()) << "factor " << factor << ", row " << r;
      for (size_t i = 0; i < want.size(); i++) {
        EXPECT_TRUE(left[r][i].expert == want[i].expert && left[r][i].weight == want[i].weight);
        d_choices[r].push_back({want[i].expert, normal(rng)});
      }
      gradients[r].d_choices = d_choices[r], gradients[r].d_logits = d_logits[r];
    }
    GradientScratch room;
    bounded.backward(inputs, history, 0, gradients, room);
    for (size_t r = 0; r < n; r++) {
      double total = 0;
      std::vector<double> p(experts);
      for (uint32_t e = 0; e < experts; e++) total += p[e] = std::exp(static_cast<double>(logits[r * experts + e]));
      for (uint32_t j = 0; j < experts; j++) {  // of softmax, by what is left
        double want = 0;
        for (const Choice& c : d_choices[r]) want += c.weight * p[c.expert] / total * ((c.expert == j) - p[j] / total);
        EXPECT_LE(std::abs(d_logits[r][j] - want), 1e-6) << "factor " << factor << ", row " << r;
      }
    }
  }
  EXPECT_THROW(bound("top_k(1) | capacity(0)"), UsageError);
}

}  // namespace
}  // namespace moiety
