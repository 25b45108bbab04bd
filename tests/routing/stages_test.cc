// Every stage against its definition, written the slow way, on random candidates with ties; and what the pipeline refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "routing/policy.h"

namespace moiety {
namespace {

using List = std::vector<Candidate>;

List apply(const std::string& call, List list, uint32_t experts, uint32_t layer = 0) {
  // A selection of everything makes any stage a legal pipeline, and changes nothing.
  StageSite site{0, layer, experts, {}};
  const Pipeline pipeline = RoutingPolicy::parse(call + " | threshold(-1e30)").bind(site, "top_k(1)");
  RoutingInput in;
  in.layer = layer;
  std::get<std::unique_ptr<RowStage>>(pipeline.entries()[0].stage)->forward(in, list, {});
  return list;
}

// Sorted by definition: insertion, one after another.
List sorted(List list, float Candidate::*key) {
  List out;
  for (const Candidate& c : list) {
    size_t at = 0;
    while (at < out.size() && (out[at].*key > c.*key || (out[at].*key == c.*key && out[at].expert < c.expert))) at++;
    out.insert(out.begin() + static_cast<ptrdiff_t>(at), c);
  }
  return out;
}

void expect_same(List a, List b, const std::string& what) {
  std::ranges::sort(a, {}, &Candidate::expert), std::ranges::sort(b, {}, &Candidate::expert);
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); i++) {
    EXPECT_EQ(a[i].expert, b[i].expert) << what;
    EXPECT_LE(std::abs(a[i].weigh - b[i].weigh), 1e-6 * (1 + std::abs(b[i].weigh))) << what;
    EXPECT_LE(std::abs(a[i].choose - b[i].choose), 1e-6 * (1 + std::abs(b[i].choose))) << what;
  }
}

// The stage as its documentation states it.
List reference(const std::string& name, const List& in, uint32_t n, double x, uint32_t experts) {
  List out = in;
  const List best = sorted(in, &Candidate::choose);
  auto first = [&](const List& list, size_t count) { return List(list.begin(), list.begin() + static_cast<ptrdiff_t>(std::min(count, list.size()))); };
  if (name == "top_k") return first(best, n);
  if (name == "keep") return first(sorted(in, &Candidate::weigh), n);
  if (name == "rank") return n <= best.size() ? List{best[n - 1]} : List{};
  if (name == "threshold") {
    std::erase_if(out, [&](const Candidate& c) { return c.choose < static_cast<float>(x); });
    return out;
  }
  if (name == "min_p") {
    List kept;
    for (const Candidate& c : first(best, n))
      if (kept.empty() || c.choose >= static_cast<float>(x) * best[0].choose) kept.push_back(c);
    return kept;
  }
  if (name == "top_p") {
    List kept;
    float mass = 0;
    for (const Candidate& c : first(best, n))
      if (kept.empty() || mass < static_cast<float>(x)) kept.push_back(c), mass += c.choose;
    return kept;
  }
  double sum = 0;
  for (const Candidate& c : in) sum += name == "softmax" ? std::exp(double(c.weigh)) : double(c.weigh);
  for (Candidate& c : out) {
    const double w = c.weigh;
    if (name == "softmax") c.choose = c.weigh = static_cast<float>(std::exp(w) / sum);
    if (name == "sigmoid") c.choose = c.weigh = static_cast<float>(1 / (1 + std::exp(-w)));
    if (name == "temperature") c.choose = static_cast<float>(c.choose / x), c.weigh = static_cast<float>(w / x);
    if (name == "scale") c.weigh = static_cast<float>(w * x);
    if (name == "renorm" && sum > 0) c.weigh = static_cast<float>(w / sum);
    if (name == "boost" && c.expert < experts / 2 + 1) c.choose += static_cast<float>(x), c.weigh += static_cast<float>(x);
  }
  if (name == "drop" || name == "only") std::erase_if(out, [&](const Candidate& c) { return (c.expert <= experts / 2) == (name == "drop"); });
  return out;
}

TEST(Stages, DoWhatTheirDefinitionSays) {
  for (uint32_t seed = 1; seed <= 300; seed++) {
    std::mt19937 rng(seed);
    const uint32_t experts = 1 + rng() % 12;
    List in;
    for (uint32_t e = 0; e < experts; e++)  // some missing, sometimes all; few values, so that many are equal
      if (rng() % 4) in.push_back({e, static_cast<float>(rng() % 8) / 8, static_cast<float>(rng() % 8) / 8});
    std::ranges::shuffle(in, rng);
    const uint32_t n = 1 + rng() % experts;
    const double x = (1 + rng() % 8) / 8.0;
    const std::string half = "0-" + std::to_string(experts / 2);
    const std::string max = ", max=" + std::to_string(n), arg = "(" + std::to_string(x), count = "(" + std::to_string(n) + ")";
    const std::pair<std::string, std::string> calls[] = {
        {"top_k", count},   {"keep", count}, {"rank", count},      {"threshold", arg + ")"}, {"min_p", arg + max + ")"},
        {"top_p", arg + max + ")"}, {"softmax", ""}, {"sigmoid", ""}, {"temperature", arg + ")"}, {"scale", arg + ")"},
        {"renorm", ""}, {"boost", "(" + half + ", by=" + std::to_string(x) + ")"}, {"drop", "(" + half + ")"}, {"only", "(experts=" + half + ")"},
    };
    for (const auto& [name, arguments] : calls)
      expect_same(apply(name + arguments, in, experts), reference(name, in, n, x, experts), name + arguments + ", seed " + std::to_string(seed));
  }
}

TEST(Stages, RenormDividesByANormThatIsNotTooSmall) {
  std::mt19937 rng(7);
  for (const auto& [arguments, power, eps, least] : {std::tuple{"power=2", 2.0, 0.0, 0.0}, {"eps=0.5, min=2", 1.0, 0.5, 2.0}, {"min=0.5", 1.0, 0.0, 0.5}})
    for (int round = 0; round < 50; round++) {
      List in;
      double sum = 0;
      for (uint32_t e = 0; e < 1 + rng() % 6; e++) {
        const float w = static_cast<float>(1 + rng() % 99) / 100;
        in.push_back({e, w, w});
        sum += std::pow(double(w), power);
      }
      List want = in;
      for (Candidate& c : want) c.weigh = static_cast<float>(c.weigh / std::max(std::pow(sum, 1 / power) + eps, least));
      expect_same(apply(std::string("renorm(") + arguments + ")", in, 8), want, arguments);
    }
}

TEST(Stages, SparseMixerTakesTheBestAndLooksAgain) {
  for (uint32_t seed = 1; seed <= 100; seed++) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    List in;
    for (uint32_t e = 0; e < 8; e++) in.push_back({e, 0, normal(rng)});
    List left = sorted(in, &Candidate::weigh), want;
    for (int turn = 0; turn < 2; turn++) {
      double sum = 0;
      const float top = left[0].weigh;
      for (const Candidate& c : left)
        if ((top - c.weigh) / std::max(std::abs(c.weigh), top) <= 0.02f) sum += std::exp(double(c.weigh) - top);
      const auto w = static_cast<float>(1 / sum);
      want.push_back({left[0].expert, w, w});
      left.erase(left.begin());
    }
    expect_same(apply("sparsemixer(2, 0.01)", in, 8), want, "seed " + std::to_string(seed));
  }
}

// --- what the pipeline refuses ------------------------------------------------------------------------------------------------------

std::string failure(AnyStage stage, std::vector<float> logits, uint32_t experts = 4) {
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"toy", std::move(stage)});
  const Pipeline pipeline(std::move(entries), 7, experts);
  RoutingScratch scratch;
  try {
    pipeline.run({}, logits, scratch, {});
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

struct Fixed : RowStage {
  explicit Fixed(List list) : list(std::move(list)) {}
  void forward(const RoutingInput&, List& candidates, std::span<float>) const override { candidates = list; }
  List list;
};

TEST(Pipeline, NamesTheStageThatLeavesAnIllegalPlan) {
  const std::vector<float> logits = {1, 2, 3, 4};
  auto fixed = [](List list) { return std::make_unique<Fixed>(std::move(list)); };
  EXPECT_EQ(failure(fixed({{1, 1, 1}, {2, 1, 1}}), logits), "");
  for (const List& bad : {List{{4, 1, 1}}, List{{1, 1, 1}, {1, 2, 2}}, List{{1, 1, NAN}}, List{{1, NAN, 1}}, List{{1, 1, INFINITY}}}) {
    const std::string text = failure(fixed(bad), logits);
    EXPECT_NE(text.find("layer 7"), std::string::npos) << text;
    EXPECT_NE(text.find("stage toy"), std::string::npos) << text;
  }
  // Before any stage sorts them: sorting NaN is undefined.
  EXPECT_NE(failure(fixed({}), {1, NAN, 3, 4}).find("the router"), std::string::npos);
}

TEST(Pipeline, EachStageHasItsOwnCarryAndMemory) {
  struct Counts : RowStage {
    explicit Counts(float by) : by(by) {}
    size_t carry_size() const override { return 2; }
    size_t memory_size() const override { return 1; }
    void forward(const RoutingInput& in, List&, std::span<float> out) const override {
      ASSERT_EQ(in.carry.size(), 2u);
      ASSERT_EQ(out.size(), 2u);
      ASSERT_EQ(in.sequence->memory.size(), 1u);
      out[0] = in.carry[0] + by, out[1] = in.carry[1] - by;
      in.sequence->memory[0] += by;
    }
    float by;
  };
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"one", std::make_unique<Counts>(1.0f)});
  entries.push_back({"ten", std::make_unique<Counts>(10.0f)});
  const Pipeline pipeline(std::move(entries), 0, 2);
  ASSERT_EQ(pipeline.carry_size(), 4u);
  ASSERT_EQ(pipeline.memory_size(), 2u);
  std::vector<float> carry(4), next(4), memory(2);
  SequenceContext sequence;
  sequence.memory = memory;
  for (int row = 0; row < 3; row++) {
    RoutingInput in;
    in.carry = carry;
    in.sequence = &sequence;
    RoutingScratch scratch;
    pipeline.run(in, std::vector<float>{1, 2}, scratch, next);
    carry = next;
  }
  EXPECT_EQ(carry, (std::vector<float>{3, -3, 30, -30}));
  EXPECT_EQ(memory, (std::vector<float>{3, 30}));
}

TEST(Pipeline, ACohortMayBeginWithASource) {
  struct Own : SourceStage {
    void forward(const RoutingInput& in, List& c, std::span<float>) const override { c.push_back({in.position, 1, 1}); }
  };
  struct Nothing : CohortStage {
    void forward(std::span<const RoutingInput>, std::span<List>) const override {}
  };
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"own", std::make_unique<Own>()});
  entries.push_back({"nothing", std::make_unique<Nothing>()});
  const Pipeline pipeline(std::move(entries), 0, 9);
  std::vector<RoutingInput> inputs(3);
  for (uint32_t r = 0; r < 3; r++) inputs[r].position = 2 * r;
  RoutingPlan plan;
  pipeline.run_cohort(inputs, {}, plan);
  ASSERT_EQ(plan.rows(), 3u);
  EXPECT_EQ(plan[2][0].expert, 4u);
}

TEST(Policy, WhatOnlyTheSiteCanTellIsShownInTheTextToo) {
  for (const auto& [text, column] : {std::pair{"softmax | top_k(9)", 11}, {"groups(3, 1) | top_k(1)", 1}, {"@model | drop(8)", 10}, {"sigmoid | bias | top_k(1)", 11}}) {
    try {
      RoutingPolicy::parse(text).bind({0, 2, 8, {}}, "softmax | top_k(2)");
      ADD_FAILURE() << text;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find("column " + std::to_string(column) + ":"), std::string::npos) << e.what();
    }
  }
}

TEST(Docs, HaveARowForEveryStage) {
  std::ifstream file(MOIETY_SOURCE_DIR "/docs/routing.md");
  std::set<std::string> rows;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("| `")) rows.insert(line);
  EXPECT_EQ(rows.size(), stages().size());
  for (const StageInfo& info : stages()) {
    std::string signature(info.signature);
    for (size_t at = 0; (at = signature.find('|', at)) != signature.npos; at += 2) signature.insert(at, "\\");
    EXPECT_TRUE(rows.contains(fmt::format("| `{}({})` | {} | {} | {} |", info.name, signature, info.meaning, info.source, mark_name(info.mark)))) << info.name;
  }
}

}  // namespace
}  // namespace moiety
