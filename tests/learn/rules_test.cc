// What [[rule]] tables make of how parameters begin and move.
#include "learn/rules.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "learn/model.h"

namespace moiety {
namespace {

// By the parameter's name. Three blocks of three experts each.
std::map<std::string, Parameter> ruled(const std::string& rules) {
  const Description description = Description::parse(R"t([model]
d = 16
context = 8
blocks = 3
tied = false
[[model.block]]
attention = {heads = 4}
ffn = {experts = 3, width = 8, routing = "softmax | top_k(2)"}
)t" + rules, "rules");
  Arena arena;
  const LanguageModel model(description.root().table("model"), 50, arena);
  apply_rules(description.root(), arena);
  description.check_all_read();
  std::map<std::string, Parameter> out;
  for (const Parameter& p : arena.parameters()) out.emplace(p.name, p);
  return out;
}

std::string message(const std::string& rules) {
  try {
    ruled(rules);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Rules, RateAndDecayMultiply) {
  const auto p = ruled("[[rule]]\nwhich = \"experts 1:0-1\"\nrate = 0.5\ndecay = 2\n[[rule]]\nwhich = \"experts\"\nrate = 3\n");
  const std::vector<Motion>& motion = p.at("blk.1.ffn_down_exps.weight").motion;
  ASSERT_EQ(motion.size(), 3u);
  EXPECT_TRUE(motion[1] == (Motion{0.5, 2, false}) && motion[2] == (Motion{3, 1, false}));
  EXPECT_EQ(p.at("blk.0.ffn_down_exps.weight").motion[1].rate, 3);
  EXPECT_EQ(p.at("blk.0.ffn_gate_inp.weight").motion[0].rate, 1);
}

TEST(Rules, LayerRateFallsFromTheTop) {
  const double r = 1 / 2.6;
  for (const auto& [name, p] : ruled("[[rule]]\nmatch = \"*\"\nlayer_rate = 0.38461538\n")) {
    const int above = name.starts_with("token_embd") ? 3 : name.starts_with("blk.") ? 2 - (name[4] - '0') : 0;
    for (const Motion& m : p.motion) EXPECT_NEAR(m.rate, std::pow(r, above), 1e-6) << name;
  }
}

TEST(Rules, DeviationIsWhatParametersBeginWith) {
  for (const auto& [name, p] : ruled("[[rule]]\nwhich = \"router\"\ndeviation = 0.3\n"))
    EXPECT_FLOAT_EQ(p.initial.deviation, name.find("ffn_gate_inp") != std::string::npos ? 0.3 : name.find("norm") != std::string::npos ? 0 : 0.02) << name;
}

TEST(Rules, SayWhatIsWrong) {
  EXPECT_NE(message("[[rule]]\nwhich = \"all\"\nrate = -1").find("rate: it must not be negative"), std::string::npos);
  EXPECT_NE(message("[[rule]]\nwhich = \"all\"\nlayer_rate = -0.5").find("layer_rate: it must not be negative"), std::string::npos);
  EXPECT_NE(message("[[rule]]\nwhich = \"experts 1\"\ndeviation = 1").find("experts of a stack share it"), std::string::npos);
  EXPECT_NE(message("[[rule]]\nwhich = \"all\"\nlayer_rat = 1").find("did you mean 'layer_rate'?"), std::string::npos);
}

}  // namespace
}  // namespace moiety
