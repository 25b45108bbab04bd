// Names and layouts of tensors in GGUF files. Canonical names are llama.cpp's own, so most rows say the same thing twice; the rest is
// where a family's file differs, and what llama.cpp has no word for.
//
// Canonical names of what the mixers and sites hold:
//   attn_k_b, attn_v_b               latent attention, by head: [heads, kv_rank, nope], [heads, value, kv_rank]
//   attn_post_norm, ffn_post_norm    norms after the mixer and after the FFN
//   delta_{q,k,v,gate,beta,decay}    delta nets' projections; delta_conv [channels, taps] of q, k, v; delta_decay_rate = -exp(A_log)
//   attn_{q,output}_exps             projections of attention experts; {attn,ffn}_exps_output.bias joins the combined output
#include <algorithm>

#include "model/family.h"
#include "model/names.h"

namespace moiety {
namespace {

#define BLK "blk.{b}."

// Canonical names that stand as they are behind "blk.N.".
const char* same[] = {
    "attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "attn_q_norm", "attn_k_norm", "attn_q_a", "attn_q_a_norm",
    "attn_q_b", "attn_kv_a_mqa", "attn_kv_a_norm", "attn_k_b", "attn_v_b", "attn_gate", "attn_sinks", "ffn_gate", "ffn_up", "ffn_down",
    "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp",
    "shortconv.in_proj", "shortconv.out_proj", "delta_q", "delta_k", "delta_v", "delta_gate",
    "delta_beta", "delta_decay", "delta_conv", "delta_conv_q", "delta_conv_k", "delta_conv_v", "delta_norm", "delta_output",
    "attn_gate_inp", "attn_q_exps", "attn_output_exps", "attn_exps_output", "ffn_exps_output", "exp_probs_b",
};

std::vector<TensorName> read_only(std::vector<TensorName> names) {
  for (TensorName& name : names) name.read_only = true;
  return names;
}

std::vector<TensorName> family_rows(std::string_view family) {
  if (family == "dbrx")
    return {{"ffn_norm.weight", BLK "attn_output_norm.weight"},
            {"attn_q.weight", BLK "attn_qkv.weight", Slice::query},
            {"attn_k.weight", BLK "attn_qkv.weight", Slice::key},
            {"attn_v.weight", BLK "attn_qkv.weight", Slice::value}};
  if (family == "gpt_oss" || family == "glm4_moe") return {{"ffn_norm.weight", BLK "post_attention_norm.weight"}};
  if (family == "lfm2_moe") return {{"output_norm.weight", "token_embd_norm.weight"}};
  if (family == "deepseek_v2" || family == "deepseek_v3")  // files from before 2025 keep both halves together
    return read_only({{"attn_k_b.weight", BLK "attn_kv_b.weight", Slice::key_nope, true}, {"attn_v_b.weight", BLK "attn_kv_b.weight", Slice::head_value}});
  if (family == "qwen3_next")
    return {{"ffn_norm.weight", BLK "post_attention_norm.weight"},
            {"delta_q.weight", BLK "attn_qkv.weight", Slice::first_keys},
            {"delta_k.weight", BLK "attn_qkv.weight", Slice::second_keys},
            {"delta_v.weight", BLK "attn_qkv.weight", Slice::after_keys},
            {"delta_gate.weight", BLK "attn_gate.weight"},
            {"delta_beta.weight", BLK "ssm_ba.weight", Slice::delta_beta},
            {"delta_decay.weight", BLK "ssm_ba.weight", Slice::delta_decay},
            {.canonical = "delta_conv.weight", .stored = BLK "ssm_conv1d.weight", .extents = Extents::taps},
            {"delta_decay_rate", BLK "ssm_a"},
            {"delta_decay.bias", BLK "ssm_dt.bias"},
            {"delta_norm.weight", BLK "ssm_norm.weight"},
            {"delta_output.weight", BLK "ssm_out.weight"}};
  if (family == "bailing_hybrid")
    return {{"delta_q.weight", BLK "attn_q.weight"},
            {"delta_k.weight", BLK "attn_k.weight"},
            {"delta_v.weight", BLK "attn_v.weight"},
            {"delta_gate.weight", BLK "ssm_g_a.weight"},
            {"delta_beta.weight", BLK "ssm_beta.weight"},
            {"delta_decay.weight", BLK "ssm_f_a.weight"},
            {.canonical = "delta_conv_q.weight", .stored = BLK "ssm_conv1d_q.weight", .extents = Extents::channel_taps},
            {.canonical = "delta_conv_k.weight", .stored = BLK "ssm_conv1d_k.weight", .extents = Extents::channel_taps},
            {.canonical = "delta_conv_v.weight", .stored = BLK "ssm_conv1d_v.weight", .extents = Extents::channel_taps},
            {"delta_decay_rate", BLK "ssm_a", Slice::all, false, Adjust::negated, false, Extents::column},
            {"delta_decay.bias", BLK "ssm_dt.bias"},
            {"delta_norm.weight", BLK "ssm_norm.weight"},
            {"delta_output.weight", BLK "attn_output.weight"}};
  return {};
}

// Other ways that llama.cpp's converters lay out the same tensors: q, k and v together, gate and up together, and, before 2024, a
// tensor for each expert.
std::vector<TensorName> other_layouts() {
  return read_only({{"attn_q.weight", BLK "attn_qkv.weight", Slice::query},
                    {"attn_q.bias", BLK "attn_qkv.bias", Slice::query},
                    {"attn_k.weight", BLK "attn_qkv.weight", Slice::key},
                    {"attn_k.bias", BLK "attn_qkv.bias", Slice::key},
                    {"attn_v.weight", BLK "attn_qkv.weight", Slice::value},
                    {"attn_v.bias", BLK "attn_qkv.bias", Slice::value},
                    {"ffn_gate_exps.weight", BLK "ffn_gate_up_exps.weight", Slice::first_half},
                    {"ffn_up_exps.weight", BLK "ffn_gate_up_exps.weight", Slice::second_half},
                    {"ffn_gate_exps.weight", BLK "ffn_gate.{e}.weight"},
                    {"ffn_up_exps.weight", BLK "ffn_up.{e}.weight"},
                    {"ffn_down_exps.weight", BLK "ffn_down.{e}.weight"}});
}

// Moiety's own family: what a site may have, group by group.
std::vector<TensorName> own_rows(const Config& config) {
  std::vector<TensorName> names;
  size_t groups = 0, shared = 0;
  for (const BlockConfig& b : config.blocks)
    if (b.experts) groups = std::max(groups, b.experts->groups.size()), shared = std::max(shared, b.experts->shared.size());
  const auto add = [&](const std::string& name) { names.push_back({name, BLK + name}); };
  add("ffn_route_table");
  add("ffn_gate_inp.prev.weight");
  add("ffn_const_exps.weight");
  add("ffn_const_exps.bias");
  for (size_t g = 1; g < groups; g++) {
    const std::string suffix = group_suffix("_exps", g);
    for (const char* part : {"ffn_gate", "ffn_up", "ffn_down", "ffn_const"}) add(part + suffix + ".weight");
    add("ffn_const" + suffix + ".bias");
  }
  for (size_t i = 1; i < shared; i++)
    for (const char* part : {"ffn_gate", "ffn_up", "ffn_down", "ffn_gate_inp"}) add(part + group_suffix("_shexp", i) + ".weight");
  return names;
}

}  // namespace

std::vector<TensorName> gguf_names(const Config& config) {
  std::vector<TensorName> names = family_rows(config.family->name);
  for (const char* name : same)
    for (const char* end : {".weight", ".bias"}) names.push_back({std::string(name) + end, BLK + std::string(name) + end});
  names.push_back({"attn_post_norm.weight", BLK "post_attention_norm.weight"});
  names.push_back({"ffn_post_norm.weight", BLK "post_ffw_norm.weight"});
  names.push_back({"delta_decay_rate", BLK "delta_decay_rate"});
  names.push_back({"shortconv.conv.bias", BLK "shortconv.conv.bias"});
  names.push_back({.canonical = "shortconv.conv.weight", .stored = BLK "shortconv.conv.weight", .extents = Extents::taps});
  names.push_back({.canonical = "ffn_gate_inp_shexp.weight", .stored = BLK "ffn_gate_inp_shexp.weight", .extents = Extents::flat});
  for (const char* name : {"token_embd.weight", "output_norm.weight", "output_norm.bias", "output.weight", "output.bias"})
    names.push_back({name, name});
  if (config.family->name == "moiety") std::ranges::move(own_rows(config), std::back_inserter(names));
  else std::ranges::move(other_layouts(), std::back_inserter(names));
  return names;
}

}  // namespace moiety
