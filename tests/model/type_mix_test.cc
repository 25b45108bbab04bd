// The types that llama.cpp's quantizer chose for models of ten shapes (tests/data/type_mixes.json), and ours.
#include "model/type_mix.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace moiety {
namespace {

using nlohmann::json;

TEST(TypeMix, ChoosesAsLlamaCppDoes) {
  const json vectors = json::parse(read_text_file(MOIETY_SOURCE_DIR "/tests/data/type_mixes.json"));
  size_t compared = 0;
  for (const json& c : vectors["cases"]) {
    const json& m = vectors["models"][c["model"].get<std::string>()];
    MixedModel model;
    model.layers = m["layers"], model.experts = m["experts"], model.query_groups = m["groups"];
    model.seventy_billion = m["seventy"], model.tied_output = m["tied"], model.importance = c["importance"];
    std::vector<MixedTensor> tensors;
    for (const json& t : m["tensors"]) tensors.push_back({t[0], t[1], t[2] == 1});
    const TypeMix* mix = find_mix(c["mix"].get<std::string>());
    ASSERT_TRUE(mix) << c["mix"];
    const std::vector<TensorType> types = mixed_types(*mix, model, tensors);
    const std::string expected = c["types"];
    for (size_t i = 0; i < tensors.size(); i++) {
      const MixedTensor& t = tensors[i];
      // A letter counts from 'A' by GGUF's number of the type; '?' is what llama.cpp refuses and F16 stands for here.
      const auto theirs = expected[i] == '?' ? TensorType::f16 : static_cast<TensorType>(expected[i] - 'A');
      const TensorType ours = takes_mixed_type(t.name) ? type_for_rows(types[i], t.row_length) : TensorType::f32;
      ASSERT_EQ(type_info(ours).name, type_info(theirs).name) << c["mix"] << " of " << c["model"] << ", " << t.name;
      compared++;
    }
  }
  EXPECT_GT(compared, 20000u);
}

TEST(TypeMix, NamesAreReadAsLlamaQuantizeReadsThem) {
  EXPECT_EQ(find_mix("Q4_K_M"), find_mix("q4_k"));
  EXPECT_EQ(find_mix("q9_z"), nullptr);
  EXPECT_THROW(find_mix("iq3_xs"), UsageError);
  EXPECT_TRUE(read_type("mxfp4", false).pure);
  EXPECT_FALSE(read_type("q6_k", false).pure);
  EXPECT_TRUE(read_type("q6_k", true).pure);
  EXPECT_EQ(read_type("q3_k_l", true).base, TensorType::q3_k);
  EXPECT_THROW(read_type("q9_z", false), UsageError);
  EXPECT_THROW(read_type("iq2_xs", true), UsageError);
}

TEST(TypeMix, WhatStaysExact) {
  for (const char* name : {"blk.0.attn_norm.weight", "blk.0.ffn_gate_inp.weight", "blk.3.attn_gate_inp.weight", "blk.0.attn_q.bias", "blk.0.exp_probs_b.bias",
                           "blk.1.shortconv.conv.weight", "blk.1.ssm_conv1d.weight", "blk.1.ssm_a", "blk.2.ffn_gate_inp_shexp.weight"})
    EXPECT_FALSE(takes_mixed_type(name)) << name;
  for (const char* name : {"token_embd.weight", "output.weight", "blk.0.ffn_gate_exps.weight", "blk.7.attn_k_b.weight"}) EXPECT_TRUE(takes_mixed_type(name)) << name;
}

}  // namespace
}  // namespace moiety
