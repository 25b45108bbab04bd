#include "model/type_rules.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace moiety {
namespace {

std::string error_of(const std::string& text) {
  try {
    TypeRules::parse(text, "rules.txt");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(TypeRules, TheFirstThatMatchesHolds) {
  TypeRules rules = TypeRules::parse(
      "# experts that matter\n"
      "3:17          f16\n"
      "0-2:*         q5_k   # all experts of three layers\n"
      "\n"
      "blk.*.ffn_down_exps.weight q6_k\n"
      "/attn_(q|k)\\.weight$/ q8_0\n"
      "7 q4_0\n"
      "*:4-5 bf16\n",
      "rules.txt");
  const auto type = [&](const char* name, int layer, int expert) -> std::optional<TensorType> {
    RuledMatrix m{name, {}, {}};
    if (layer >= 0) m.layer = static_cast<uint32_t>(layer);
    if (expert >= 0) m.expert = static_cast<uint32_t>(expert);
    const auto answer = rules.find(m);
    return answer ? std::optional(answer->type) : std::nullopt;
  };
  EXPECT_EQ(type("blk.3.ffn_down_exps.weight", 3, 17), TensorType::f16);
  EXPECT_EQ(type("blk.3.ffn_down_exps.weight", 3, 16), TensorType::q6_k);
  EXPECT_EQ(type("blk.2.ffn_down_exps.weight", 2, 0), TensorType::q5_k);
  EXPECT_EQ(type("blk.2.attn_v.weight", 2, -1), std::nullopt);  // a rule for experts does not reach what is none
  EXPECT_EQ(type("blk.2.attn_q.weight", 2, -1), TensorType::q8_0);
  EXPECT_EQ(type("blk.7.attn_v.weight", 7, -1), TensorType::q4_0);
  EXPECT_EQ(type("blk.9.ffn_up_exps.weight", 9, 5), TensorType::bf16);
  EXPECT_EQ(type("token_embd.weight", -1, -1), std::nullopt);
  EXPECT_NO_THROW(rules.check_all_used());
}

TEST(TypeRules, ErrorsNameFileAndLine) {
  EXPECT_NE(error_of("a.weight q6_k\nb.weight\n").find("rules.txt:2:"), std::string::npos);
  EXPECT_NE(error_of("a.weight q6_k more\n").find("rules.txt:1:"), std::string::npos);
  EXPECT_NE(error_of("\n\na.weight q9_z\n").find("rules.txt:3: 'q9_z'"), std::string::npos);
  EXPECT_NE(error_of("a.weight iq3_s\n").find("rules.txt:1:"), std::string::npos);  // can be read, not written
  EXPECT_NE(error_of("/a(/ q6_k\n").find("regular expression"), std::string::npos);
  EXPECT_NE(error_of("/" + std::string(100000, '(') + "/ q6_k\n").find("rules.txt:1:"), std::string::npos);
  for (const char* place : {"5-3", "3:", ":3", "1-", "99999999999:1", "3:9-2"})
    EXPECT_NE(error_of(std::string(place) + " q6_k\n").find("rules.txt:1:"), std::string::npos) << place;
  EXPECT_NE(error_of("# nothing\n").find("holds no rule"), std::string::npos);
}

TEST(TypeRules, ARuleThatNeverHoldsIsAnError) {
  TypeRules rules = TypeRules::parse("a* q8_0\nab q6_k\n", "rules.txt");
  rules.find({"ab", {}, {}});
  try {
    rules.check_all_used();
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("rules.txt:2: 'ab'"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace moiety
