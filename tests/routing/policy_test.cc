// Routing texts: what they mean, and how wrong ones are told.
#include "routing/policy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

namespace moiety {
namespace {

std::vector<Choice> run(const std::string& text, const std::vector<float>& logits, std::span<const float> bias = {}, const std::string& model = "softmax | top_k(2) | renorm",
                        uint32_t layer = 3) {
  StageSite site{0, layer, static_cast<uint32_t>(logits.size()), {}};
  site.tensors.find = [bias](std::string_view) { return bias; };
  const Pipeline pipeline = RoutingPolicy::parse(text).bind(site, model);
  RoutingScratch scratch;
  RoutingInput in;
  in.layer = layer;
  pipeline.run(in, logits, scratch, {});
  return scratch.choices;
}

std::vector<float> softmax(const std::vector<float>& x) {
  std::vector<float> out;
  double sum = 0;
  for (float v : x) sum += std::exp(double(v));
  for (float v : x) out.push_back(static_cast<float>(std::exp(double(v)) / sum));
  return out;
}

// Ids in descending order of value, ties by id.
std::vector<uint32_t> ranked(const std::vector<float>& x) {
  std::vector<uint32_t> ids(x.size());
  for (uint32_t i = 0; i < ids.size(); i++) ids[i] = i;
  std::stable_sort(ids.begin(), ids.end(), [&](uint32_t a, uint32_t b) { return x[a] > x[b]; });
  return ids;
}

TEST(Routing, SoftmaxTopKRenormIsMixtral) {
  std::mt19937 rng(1);
  for (int round = 0; round < 200; round++) {
    std::vector<float> logits(1 + rng() % 12);
    for (float& v : logits) v = static_cast<float>(rng() % 9) - 4;  // with ties
    const size_t k = 1 + rng() % logits.size();
    const auto p = softmax(logits);
    const auto order = ranked(p);
    double sum = 0;
    for (size_t i = 0; i < k; i++) sum += p[order[i]];
    const auto choices = run("softmax | top_k(" + std::to_string(k) + ") | renorm", logits);
    ASSERT_EQ(choices.size(), k);
    for (size_t i = 0; i < k; i++) {
      EXPECT_EQ(choices[i].expert, order[i]);
      EXPECT_NEAR(choices[i].weight, p[order[i]] / sum, 1e-6);
    }
  }
}

TEST(Routing, BiasDecidesAndDoesNotWeigh) {
  const std::vector<float> bias = {0, 0, 10, 0};
  const auto choices = run("sigmoid | bias | top_k(1)", {5, 4, -2, 1}, bias);
  ASSERT_EQ(choices.size(), 1u);
  EXPECT_EQ(choices[0].expert, 2u);
  EXPECT_NEAR(choices[0].weight, 1 / (1 + std::exp(2.0)), 1e-6);
}

TEST(Routing, GroupsRankByTheirTwoLargest) {
  // Groups {0,1} {2,3}: sums 5 and 6, largest 4 and 3.
  EXPECT_EQ(run("groups(2, 1, rank=sum2) | top_k(1)", {4, 1, 3, 3})[0].expert, 2u);
  EXPECT_EQ(run("groups(2, 1, rank=max) | top_k(1)", {4, 1, 3, 3})[0].expert, 0u);
}

TEST(Routing, DropBeforeAndAfterTheModel) {
  const std::vector<float> logits = {4, 3, 2, 1};
  auto ids = [](const std::vector<Choice>& choices) {
    std::vector<uint32_t> out;
    for (const Choice& c : choices) out.push_back(c.expert);
    return out;
  };
  EXPECT_EQ(ids(run("drop(3:0) | @model", logits)), (std::vector<uint32_t>{1, 2}));  // the next one moves up
  EXPECT_EQ(ids(run("@model | drop(3:0)", logits)), (std::vector<uint32_t>{1}));
  EXPECT_EQ(ids(run("drop(2:0) | @model", logits)), (std::vector<uint32_t>{0, 1}));  // another layer's
  EXPECT_EQ(ids(run("only(3:2-3) | @model", logits)), (std::vector<uint32_t>{2, 3}));
  EXPECT_EQ(ids(run("@model | drop(0-3) | renorm", logits)), (std::vector<uint32_t>{}));  // an empty row stays one
  EXPECT_EQ(ids(run("boost(3:3, by=9) | @model | keep(1)", logits)), (std::vector<uint32_t>{3}));
}

TEST(Routing, RulesByLayer) {
  const std::string text = "layers 0-2,5: softmax | top_k(1); all: softmax | top_p(0.99, max=3)";
  EXPECT_EQ(run(text, {1, 0, 0, 0}, {}, "", 5).size(), 1u);
  EXPECT_EQ(run(text, {1, 0, 0, 0}, {}, "", 4).size(), 3u);
}

TEST(Routing, TextsPrintAsTheyWereMeant) {
  for (const char* text : {"@model", "softmax | top_k(8) | renorm", "layers 0-5,7: @model; all: sigmoid | bias | groups(8, 4, rank=max) | top_p(0.6, max=8)",
                           "drop(3:17, 0-2) | @model | keep(2) | scale(2.5)"})
    EXPECT_EQ(RoutingPolicy::parse(RoutingPolicy::parse(text).text()).text(), RoutingPolicy::parse(text).text());
}

TEST(Routing, WrongTextsAreShownWithTheirColumn) {
  const std::pair<const char*, size_t> wrong[] = {
      {"softmax | topk(2)", 11}, {"softmax", 1},          {"softmax | top_k(0)", 17}, {"top_k(2) top_k(3)", 10}, {"top_k", 1},
      {"top_p(1.5)", 7},         {"@model | @model", 10}, {"layers 5-2: @model", 11}, {"top_k(2, 3)", 10},       {"", 1},
      {"linear | linear | top_k(2)", 10}, {"softmax | linear | top_k(2)", 11}, {"linear | @model", 10}, {"@model | linear", 10}, {"drop(nowhere) | @model", 6},
  };
  for (const auto& [text, column] : wrong) {
    try {
      RoutingPolicy::parse(text);
      ADD_FAILURE() << text;
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find("column " + std::to_string(column) + ":"), std::string::npos) << text << "\n" << e.what();
    }
  }
}

TEST(Routing, StagesForTrainingLeaveAModelInUse) {
  const std::string text = "noise(0.1) | softmax | top_k(2) | renorm | capacity(1.25)";
  for (const Allow allow : {Allow::rows, Allow::batch}) {
    try {
      RoutingPolicy::parse(text, allow);
      ADD_FAILURE() << "noise runs outside training";
    } catch (const UsageError& e) {
      EXPECT_NE(std::string(e.what()).find("column 1: noise is for training"), std::string::npos) << e.what();
    }
  }
  const RoutingPolicy policy = RoutingPolicy::parse(text, Allow::training);
  EXPECT_EQ(policy.text(), text);
  EXPECT_EQ(policy.in_use().text(), "softmax | top_k(2) | renorm");
}

TEST(Routing, TheSourceMayBeNamed) {
  const std::vector<float> logits = {1, 3, 2};
  const auto named = run("linear | softmax | top_k(2)", logits), silent = run("softmax | top_k(2)", logits);
  ASSERT_EQ(named.size(), 2u);
  for (size_t i = 0; i < 2; i++) EXPECT_TRUE(named[i].expert == silent[i].expert && named[i].weight == silent[i].weight);
  EXPECT_EQ(RoutingPolicy::parse("linear | softmax | top_k(2)").text(), "linear | softmax | top_k(2)");
}

TEST(Routing, ExpertsStandInAFile) {
  const auto path = std::filesystem::temp_directory_path() / ("moiety-experts-" + std::to_string(::getpid()));
  auto write = [&](const char* text) { std::ofstream(path) << text; };
  write("# pruned\n3:0, 3:1\n2:2  # of another layer\n\n");
  const auto left = run("drop(" + path.string() + ") | @model", {4, 3, 2, 1});
  ASSERT_EQ(left.size(), 2u);
  EXPECT_EQ(left[0].expert, 2u);
  EXPECT_EQ(left[1].expert, 3u);
  for (const char* wrong : {"3:0\nnine\n", "# nothing\n"}) {
    write(wrong);
    EXPECT_THROW(run("drop(" + path.string() + ") | @model", {4, 3, 2, 1}), UsageError) << wrong;
  }
  EXPECT_THROW(run("drop(" + std::string(5000, 'x') + ") | @model", {4, 3, 2, 1}), UsageError) << "a name too long for a file";
  std::filesystem::remove(path);
}

TEST(Routing, NaNStopsWithTheLayer) {
  EXPECT_THROW(run("softmax | top_k(2)", {1, NAN, 2}), Error);
}

// --- seams: what stages of the literature will need --------------------------------------------------------------------------------

TEST(Seams, CarryGoesFromSiteToSite) {
  struct Counting : RowStage {
    size_t carry_size() const override { return 1; }
    void forward(const RoutingInput& in, std::vector<Candidate>& c, std::span<float> out) const override {
      out[0] = in.carry[0] + 1;
      c = {{static_cast<uint32_t>(in.carry[0]), 1, 1}};
    }
  };
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"counting", std::make_unique<Counting>()});
  const Pipeline pipeline(std::move(entries), 0, 4);
  ASSERT_EQ(pipeline.carry_size(), 1u);
  std::vector<float> carry = {0}, next = {0};
  for (uint32_t site = 0; site < 3; site++) {
    RoutingScratch scratch;
    RoutingInput in;
    in.carry = carry;
    pipeline.run(in, std::vector<float>(4), scratch, next);
    EXPECT_EQ(scratch.choices[0].expert, site);
    carry = next;
  }
}

TEST(Seams, AShortListOutOfAMillion) {
  struct ShortList : SourceStage {
    void forward(const RoutingInput& in, std::vector<Candidate>& c, std::span<float>) const override {
      for (uint32_t i = 0; i < 5; i++) c.push_back({in.position * 1000 + i * 199'999, static_cast<float>(i), static_cast<float>(i)});
    }
  };
  struct Best : RowStage {
    void forward(const RoutingInput&, std::vector<Candidate>& c, std::span<float>) const override {
      std::ranges::sort(c, chosen_before);
      c.resize(2);
    }
  };
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"short_list", std::make_unique<ShortList>()});
  entries.push_back({"best", std::make_unique<Best>()});
  const Pipeline pipeline(std::move(entries), 0, 1'000'000);
  EXPECT_FALSE(pipeline.needs_logits());
  RoutingScratch scratch;
  RoutingInput in;
  in.position = 7;
  pipeline.run(in, {}, scratch, {});
  ASSERT_EQ(scratch.choices.size(), 2u);
  EXPECT_EQ(scratch.choices[0].expert, 7000u + 4 * 199'999);
  // The cost is the list's: nothing has grown to the bank's size.
  EXPECT_LE(scratch.seen.capacity() + scratch.sorted.capacity() + scratch.candidates.capacity() + scratch.choices.capacity(), 64u);
}

TEST(Seams, ACohortStageSeesAllRows) {
  struct Vote : CohortStage {  // every row gets the expert that most rows like best
    void forward(std::span<const RoutingInput>, std::span<std::vector<Candidate>> rows) const override {
      std::vector<int> votes(8);
      for (const auto& row : rows) votes[std::ranges::min_element(row, chosen_before)->expert]++;
      const auto winner = static_cast<uint32_t>(std::ranges::max_element(votes) - votes.begin());
      for (auto& row : rows) row = {{winner, 1, 1}};
    }
  };
  std::vector<Pipeline::Entry> entries;
  entries.push_back({"vote", std::make_unique<Vote>()});
  const Pipeline pipeline(std::move(entries), 0, 3);
  EXPECT_TRUE(pipeline.has_cohort_stage());
  const std::vector<float> logits = {1, 2, 0, 0, 5, 1, 9, 0, 0};
  const std::vector<RoutingInput> inputs(3);
  RoutingPlan plan;
  pipeline.run_cohort(inputs, logits, plan);
  for (size_t r = 0; r < 3; r++) EXPECT_EQ(plan[r][0].expert, 1u);
}

}  // namespace
}  // namespace moiety
