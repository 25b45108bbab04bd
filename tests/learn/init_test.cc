// What initialisations make of the deviations, means and rates that parts declare.
#include "learn/init.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "learn/model.h"

namespace moiety {
namespace {

struct Numbers {
  double deviation, mean, rate, decay;
};

std::map<std::string, Numbers> declared(const std::string& init, int d) {
  const Description description = Description::parse("d = " + std::to_string(d) + "\ncontext = 8\nblocks = 8\ntied = false\n" + init + R"t(
[[block]]
attention = {heads = 4, qk_norm = "per_head"}
ffn = {experts = [{count = 2, width = 16}, {kind = "constant"}], shared = [{width = 8, gate = true}], routing = "softmax | top_k(2)", gating_residual = true}
)t", "test");
  Arena arena;
  const LanguageModel model(description.root(), 50, arena);
  description.check_all_read();
  std::map<std::string, Numbers> out;
  for (const Parameter& p : arena.parameters()) out[p.name] = {p.initial.deviation, p.initial.mean, p.motion[0].rate, p.motion[0].decay};
  return out;
}

TEST(Init, NormalIsTheSameForAll) {
  for (const auto& [name, n] : declared("", 64)) {
    EXPECT_FLOAT_EQ(n.deviation, name.find("norm") == std::string::npos ? 0.02 : 0) << name;
    EXPECT_EQ(n.rate, 1) << name;
  }
}

TEST(Init, DepthScaledIsSmallerWhereBlocksAdd) {
  for (const auto& [name, n] : declared("init = \"depth_scaled\"", 64)) {
    const bool adds = name.find("attn_output") != std::string::npos || name.find("ffn_down") != std::string::npos;
    EXPECT_FLOAT_EQ(n.deviation, name.find("norm") != std::string::npos ? 0 : adds ? 0.02 / 4 : 0.02) << name;
    EXPECT_EQ(n.rate, 1) << name;
  }
}

TEST(Init, MupGoesByTheWidth) {
  const auto base = declared("init = \"mup\"\nmup_base = 64", 64), plain = declared("", 64);
  for (const auto& [name, n] : plain) EXPECT_TRUE(base.at(name).deviation == n.deviation && base.at(name).rate == n.rate && base.at(name).mean == n.mean) << name;
  for (const auto& [name, n] : declared("init = \"mup\"\nmup_base = 16", 64)) {
    SCOPED_TRACE(name);
    const bool between = name.find("ffn_gate_inp.prev") != std::string::npos;  // from scores to scores: as large at any width
    const bool router = (!between && name.find("ffn_gate_inp") != std::string::npos) || name.find("ffn_const_exps.1.weight") != std::string::npos, last_norm = name == "output_norm.weight";
    const bool hidden = name.starts_with("blk.") && name.find("norm") == std::string::npos && !router && !between && name.find(".bias") == std::string::npos;
    EXPECT_FLOAT_EQ(n.rate, router || hidden || last_norm ? 0.25 : 1);
    EXPECT_FLOAT_EQ(n.decay * n.rate, 1);  // what decay takes depends on the optimiser alone
    EXPECT_FLOAT_EQ(n.deviation, name.find("norm") != std::string::npos ? 0 : router ? 0.02 / 4 : hidden ? 0.02 / 2 : 0.02);
    EXPECT_FLOAT_EQ(n.mean, last_norm ? 0.25 : name.find("norm") != std::string::npos ? 1 : 0);
  }
  EXPECT_THROW(declared("init = \"mup\"", 64), UsageError);
  EXPECT_THROW(declared("init = \"mup\"\nmup_base = 0", 64), UsageError);
  EXPECT_THROW(declared("init = \"mop\"", 64), UsageError);
}

}  // namespace
}  // namespace moiety
