// Objectives on a function whose gradients are known, and whole runs with them.
#include "learn/objective.h"

#include <gtest/gtest.h>

#include <cmath>

#include "learn/optimiser.h"

namespace moiety {
namespace {

// f(w) = sum of scale_i w_i^2 / 2.
class Bowl : public StepBatch {
 public:
  explicit Bowl(Arena& arena) : arena_(arena) {}
  StepLosses gradients(TrainingStep& step) override {
    StepLosses out;
    passes++;
    arena_.begin_step();
    for (size_t i = 0; i < arena_.moving(); i++) {
      const double w = arena_.values()[i], scale = scale_of(i);
      out.loss += scale * w * w / 2;
      arena_.gradients()[i] = static_cast<float>(scale * w);
    }
    seen.emplace_back(arena_.values(), arena_.values() + arena_.size());
    step.sites.push_back({});
    return out;
  }
  static double scale_of(size_t i) { return 1 + static_cast<double>(i % 5); }

  int passes = 0;
  std::vector<std::vector<float>> seen;  // the weights of each pass

 private:
  Arena& arena_;
};

class Objectives : public testing::Test {
 protected:
  void declare(bool frozen = false) {
    arena_.declare("a", {3, 16}, {0, 1});
    arena_.declare("b", {16}, {0, 1});
    arena_.parameters()[0].motion[0].frozen = frozen;
    arena_.finish(5, workers_);
  }
  std::unique_ptr<Objective> build(const std::string& text) {
    description_ = Description::parse(text, "test");
    const Table table = description_.root();
    return named(objectives(), table, "kind", "next_token").build(table);
  }

  Workers workers_{2};
  Arena arena_;
  Pass pass_{workers_, &arena_, {}};
  Description description_ = Description::parse("", "test");
};

TEST_F(Objectives, NextTokenIsOnePass) {
  declare();
  Bowl bowl(arena_);
  TrainingStep step{pass_};
  EXPECT_GT(build("")->step(bowl, step).loss, 0);
  EXPECT_EQ(bowl.passes, 1);
}

TEST_F(Objectives, SamTakesTheGradientOfTheWorstNeighbour) {
  declare();
  Bowl bowl(arena_);
  const std::vector<float> before(arena_.values(), arena_.values() + arena_.size());
  double norm = 0, loss = 0;
  for (size_t i = 0; i < before.size(); i++) norm += std::pow(Bowl::scale_of(i) * before[i], 2), loss += Bowl::scale_of(i) * before[i] * before[i] / 2;
  norm = std::sqrt(norm);
  TrainingStep step{pass_};
  const StepLosses out = build("kind = \"sam\"\nrho = 0.3")->step(bowl, step);
  EXPECT_EQ(bowl.passes, 2);
  EXPECT_EQ(step.sites.size(), 1u);  // of the weights, not of the neighbour
  EXPECT_NEAR(out.loss, loss, 1e-9 * loss);
  for (size_t i = 0; i < before.size(); i++) {
    EXPECT_EQ(arena_.values()[i], before[i]);
    const double scale = Bowl::scale_of(i), expected = scale * (before[i] + 0.3 * scale * before[i] / norm);
    EXPECT_NEAR(arena_.gradients()[i], expected, 1e-5 * std::abs(expected) + 1e-7);
  }
}

TEST_F(Objectives, SamLeavesFrozenWeightsWhereTheyAre) {
  declare(true);
  Bowl bowl(arena_);
  TrainingStep step{pass_};
  build("kind = \"sam\"\nrho = 0.3")->step(bowl, step);
  ASSERT_EQ(bowl.seen.size(), 2u);
  double moved = 0;
  for (size_t i = 0; i < arena_.size(); i++) moved += std::pow(static_cast<double>(bowl.seen[1][i]) - bowl.seen[0][i], 2);
  EXPECT_NEAR(std::sqrt(moved), 0.3, 1e-5);
  const Parameter& frozen = arena_.parameters()[0];
  EXPECT_TRUE(std::equal(bowl.seen[0].begin() + static_cast<ptrdiff_t>(frozen.at), bowl.seen[0].begin() + static_cast<ptrdiff_t>(frozen.at + frozen.count),
                         bowl.seen[1].begin() + static_cast<ptrdiff_t>(frozen.at)));
  EXPECT_TRUE(std::equal(bowl.seen[0].begin(), bowl.seen[0].end(), arena_.values()));
}

TEST_F(Objectives, WrongOnesAreNamed) {
  EXPECT_THROW(build("kind = \"sharp\""), UsageError);
  EXPECT_THROW(build("kind = \"sam\"\nrho = 0"), UsageError);
}

}  // namespace
}  // namespace moiety
