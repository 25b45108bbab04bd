// The statistics of recipes, and descriptions that are put together.
#include "learn/recipe.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <random>

#include "base/error.h"
#include "learn/description.h"
#include "learn/intervals.h"

namespace moiety {
namespace {

TEST(Intervals, AreStudents) {
  const MeanInterval five = mean_interval(std::vector<double>{1, 2, 3, 4, 5});
  EXPECT_DOUBLE_EQ(five.mean, 3);
  EXPECT_NEAR(five.half, 1.96324, 1e-4);  // 2.7764 * sqrt(2.5 / 5)
  EXPECT_TRUE(std::isinf(mean_interval(std::vector<double>{1}).half));
}

// 95% of intervals hold the mean that the numbers were drawn around, few numbers or many.
TEST(Intervals, CoverTheMean) {
  std::mt19937 rng(1);
  std::normal_distribution<double> normal(2, 3);
  for (size_t n : {2, 3, 5, 31, 50}) {
    constexpr int rounds = 4000;
    int covered = 0;
    for (int i = 0; i < rounds; i++) {
      std::vector<double> values(n);
      for (double& v : values) v = normal(rng);
      const MeanInterval m = mean_interval(values);
      covered += m.low() < 2 && 2 < m.high();
    }
    EXPECT_NEAR(covered / double(rounds), 0.95, 0.014) << n;  // four deviations
  }
}

TEST(Verdicts, NeedAllOfTheInterval) {
  EXPECT_EQ(verdict({-2, 1, 3}, true, 0), Verdict::holds);
  EXPECT_EQ(verdict({-1, 2, 3}, true, 0), Verdict::undecided);
  EXPECT_EQ(verdict({2, 1, 3}, true, 0), Verdict::fails);
  EXPECT_EQ(verdict({2, 1, 3}, true, 4), Verdict::holds);
  EXPECT_EQ(verdict({2, 1, 3}, false, 0), Verdict::holds);
  EXPECT_EQ(verdict({-2, 1, 3}, false, 0), Verdict::fails);
  EXPECT_EQ(verdict({-2, 1, 3}, false, 4), Verdict::holds);
  EXPECT_EQ(verdict({-2, 1, 2}, true, 0), Verdict::undecided);
  EXPECT_EQ(verdict({NAN, 1, 3}, true, 0), Verdict::undecided);
}

TEST(Descriptions, ComeBackFromJson) {
  const std::string text = "[base]\nsteps = 3\nrate = {kind = \"wsd\", peak = 3e-3}\nclip = 1.0\ntied = true\nempty = []\nnames = [\"a\\\"b\", \"ä\"]\n[[base.block]]\nd = 1\n[[base.block]]\nd = 2\n";
  const Description first = Description::parse(text, "first.toml");
  const nlohmann::json json = first.root().json("base");
  EXPECT_EQ(json["block"][1]["d"], 2);
  EXPECT_EQ(json["clip"], 1.0);
  EXPECT_TRUE(json["clip"].is_number_float());
  first.check_all_read();
  const Description second = Description::parse(description_text({{"base", json}}), "second.toml");
  EXPECT_EQ(second.root().json("base"), json);
}

TEST(Recipes, ArmsReplaceWhatTheirPathsName) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "recipe-arms";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "recipe.toml") << R"(title = "t"
paper = "p"
claim = "c"
expected = "e"
seeds = 3
[base]
steps = 100
[[base.model.block]]
ffn = {kind = "moe", experts = 4}
[[base.model.block]]
ffn = {kind = "moe", experts = 8}
[quick]
seeds = 1
set = {"steps" = 5}
[[arm]]
name = "moe"
what = "w"
[[arm]]
name = "dense"
what = "w"
control = true
set = {"model.block.ffn" = {kind = "dense", width = 7}, "steps" = 200}
[[compare]]
claim = "c"
a = "moe"
b = "dense"
measure = "m"
direction = "higher"
margin = 0.5
)";
  const Recipe r = Recipe::read(folder);
  ASSERT_EQ(r.arms.size(), 2u);
  EXPECT_TRUE(!r.arms[0].control && r.arms[1].control);
  const nlohmann::json moe = r.description(r.arms[0], 9, false), dense = r.description(r.arms[1], 2, false), quick = r.description(r.arms[1], 2, true);
  EXPECT_EQ(moe["model"]["block"][1]["ffn"]["experts"], 8);
  EXPECT_TRUE(moe["seed"] == 9 && moe["steps"] == 100 && dense["steps"] == 200 && quick["steps"] == 5);
  for (int block : {0, 1}) EXPECT_EQ(dense["model"]["block"][static_cast<size_t>(block)]["ffn"], (nlohmann::json{{"kind", "dense"}, {"width", 7}}));
  EXPECT_TRUE(!r.comparisons.at(0).lower && r.comparisons[0].margin == 0.5);
  EXPECT_EQ(recipe_names(folder.parent_path()).empty(), false);
  EXPECT_THROW(find_recipe(folder.parent_path(), "recipe-amrs"), UsageError);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace moiety
