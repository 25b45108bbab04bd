// Names and layouts of tensors in Hugging Face checkpoints.
#include "model/family.h"
#include "model/names.h"

namespace moiety {
namespace {

#define LAYER "model.layers.{l}."
using Names = std::vector<TensorName>;

// What most families share.
const Names common = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output_norm.bias", "model.norm.bias"},
    {"output.weight", "lm_head.weight"},
    {"output.bias", "lm_head.bias"},
    {"attn_norm.weight", LAYER "input_layernorm.weight"},
    {"attn_norm.bias", LAYER "input_layernorm.bias"},
    {"ffn_norm.weight", LAYER "post_attention_layernorm.weight"},
    {"ffn_norm.bias", LAYER "post_attention_layernorm.bias"},
    {"attn_q.weight", LAYER "self_attn.q_proj.weight"},
    {"attn_q.bias", LAYER "self_attn.q_proj.bias"},
    {"attn_k.weight", LAYER "self_attn.k_proj.weight"},
    {"attn_k.bias", LAYER "self_attn.k_proj.bias"},
    {"attn_v.weight", LAYER "self_attn.v_proj.weight"},
    {"attn_v.bias", LAYER "self_attn.v_proj.bias"},
    {"attn_output.weight", LAYER "self_attn.o_proj.weight"},
    {"attn_output.bias", LAYER "self_attn.o_proj.bias"},
    {"attn_q_norm.weight", LAYER "self_attn.q_norm.weight"},
    {"attn_k_norm.weight", LAYER "self_attn.k_norm.weight"},
    {"ffn_gate.weight", LAYER "mlp.gate_proj.weight"},
    {"ffn_gate.bias", LAYER "mlp.gate_proj.bias"},
    {"ffn_up.weight", LAYER "mlp.up_proj.weight"},
    {"ffn_up.bias", LAYER "mlp.up_proj.bias"},
    {"ffn_down.weight", LAYER "mlp.down_proj.weight"},
    {"ffn_down.bias", LAYER "mlp.down_proj.bias"},
    {"ffn_gate_inp.weight", LAYER "mlp.gate.weight"},
    {"exp_probs_b.bias", LAYER "mlp.gate.e_score_correction_bias"},
    {"ffn_gate_exps.weight", LAYER "mlp.experts.{e}.gate_proj.weight"},
    {"ffn_up_exps.weight", LAYER "mlp.experts.{e}.up_proj.weight"},
    {"ffn_down_exps.weight", LAYER "mlp.experts.{e}.down_proj.weight"},
    {"ffn_gate_shexp.weight", LAYER "mlp.shared_experts.gate_proj.weight"},
    {"ffn_up_shexp.weight", LAYER "mlp.shared_experts.up_proj.weight"},
    {"ffn_down_shexp.weight", LAYER "mlp.shared_experts.down_proj.weight"},
    {"ffn_gate_shexp.bias", LAYER "mlp.shared_experts.gate_proj.bias"},
    {"ffn_up_shexp.bias", LAYER "mlp.shared_experts.up_proj.bias"},
    {"ffn_down_shexp.bias", LAYER "mlp.shared_experts.down_proj.bias"},
};

// DeepSeek's latent attention, under `prefix`.
Names latent(const std::string& prefix) {
  return {
      {"attn_q.weight", prefix + "q_proj.weight"},
      {"attn_q_a.weight", prefix + "q_a_proj.weight"},
      {"attn_q_a.bias", prefix + "q_a_proj.bias"},
      {"attn_q_a_norm.weight", prefix + "q_a_layernorm.weight"},
      {"attn_q_b.weight", prefix + "q_b_proj.weight"},
      {"attn_kv_a_mqa.weight", prefix + "kv_a_proj_with_mqa.weight"},
      {"attn_kv_a_mqa.bias", prefix + "kv_a_proj_with_mqa.bias"},
      {"attn_kv_a_norm.weight", prefix + "kv_a_layernorm.weight"},
      {"attn_k_b.weight", prefix + "kv_b_proj.weight", Slice::key_nope, true, Adjust::none, false, Extents::joined_stack},
      {"attn_v_b.weight", prefix + "kv_b_proj.weight", Slice::head_value, false, Adjust::none, false, Extents::joined_stack},
      {"attn_output.weight", prefix + "o_proj.weight"},
      {"attn_output.bias", prefix + "o_proj.bias"},
  };
}

// Mixtral's way: w1, w3, w2 are gate, up, down.
Names w123(const std::string& moe) {
  return {
      {"ffn_gate_inp.weight", moe + "gate.weight"},
      {"ffn_gate_exps.weight", moe + "experts.{e}.w1.weight"},
      {"ffn_up_exps.weight", moe + "experts.{e}.w3.weight"},
      {"ffn_down_exps.weight", moe + "experts.{e}.w2.weight"},
  };
}

// Granite and JetMoE: all experts in one tensor, gate rows before up rows.
Names fused_rows(const std::string& moe) {
  return {
      {"ffn_gate_inp.weight", moe + "router.layer.weight"},
      {"ffn_gate_exps.weight", moe + "input_linear.weight", Slice::first_half},
      {"ffn_up_exps.weight", moe + "input_linear.weight", Slice::second_half},
      {"ffn_down_exps.weight", moe + "output_linear.weight"},
  };
}

// Norms before and after both halves of a layer.
Names sandwich_norms(const std::string& before_ffn, const std::string& after_ffn) {
  return {
      {"attn_post_norm.weight", LAYER "post_attention_layernorm.weight"},
      {"ffn_norm.weight", LAYER + before_ffn},
      {"ffn_post_norm.weight", LAYER + after_ffn},
  };
}

Names family_names(const std::string_view family) {
  if (family == "gemma3_text") {
    Names names = sandwich_norms("pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight");
    return names;
  }
  if (family == "olmo2" || family == "flex_olmo")
    return {{"attn_post_norm.weight", LAYER "post_attention_layernorm.weight"},
            {"ffn_post_norm.weight", LAYER "post_feedforward_layernorm.weight"}};
  if (family == "mixtral" || family == "phimoe") return w123(LAYER "block_sparse_moe.");
  if (family == "minimax_m2") {
    Names names = w123(LAYER "block_sparse_moe.");
    names.push_back({"exp_probs_b.bias", LAYER "block_sparse_moe.e_score_correction_bias"});
    return names;
  }
  if (family == "qwen2_moe" || family == "qwen3_next") {
    Names names = {
        {"ffn_gate_shexp.weight", LAYER "mlp.shared_expert.gate_proj.weight"},
        {"ffn_up_shexp.weight", LAYER "mlp.shared_expert.up_proj.weight"},
        {"ffn_down_shexp.weight", LAYER "mlp.shared_expert.down_proj.weight"},
        {"ffn_gate_inp_shexp.weight", LAYER "mlp.shared_expert_gate.weight"},
    };
    if (family == "qwen3_next") {
      const Names delta = {
          {"delta_q.weight", LAYER "linear_attn.in_proj_qkvz.weight", Slice::delta_query},
          {"delta_k.weight", LAYER "linear_attn.in_proj_qkvz.weight", Slice::delta_key},
          {"delta_v.weight", LAYER "linear_attn.in_proj_qkvz.weight", Slice::delta_value},
          {"delta_gate.weight", LAYER "linear_attn.in_proj_qkvz.weight", Slice::delta_gate},
          {"delta_beta.weight", LAYER "linear_attn.in_proj_ba.weight", Slice::delta_beta},
          {"delta_decay.weight", LAYER "linear_attn.in_proj_ba.weight", Slice::delta_decay},
          {.canonical = "delta_conv.weight", .stored = LAYER "linear_attn.conv1d.weight", .extents = Extents::channel_taps},
          {"delta_decay_rate", LAYER "linear_attn.A_log", Slice::all, false, Adjust::minus_exp},
          {"delta_decay.bias", LAYER "linear_attn.dt_bias"},
          {"delta_norm.weight", LAYER "linear_attn.norm.weight"},
          {"delta_output.weight", LAYER "linear_attn.out_proj.weight"},
      };
      names.insert(names.end(), delta.begin(), delta.end());
    }
    return names;
  }
  if (family == "deepseek_v2" || family == "deepseek_v3") return latent(LAYER "self_attn.");
  if (family == "granitemoe" || family == "granitemoeshared") {
    Names names = fused_rows(LAYER "block_sparse_moe.");
    const Names shared = {
        {"ffn_gate_shexp.weight", LAYER "shared_mlp.input_linear.weight", Slice::first_half},
        {"ffn_up_shexp.weight", LAYER "shared_mlp.input_linear.weight", Slice::second_half},
        {"ffn_down_shexp.weight", LAYER "shared_mlp.output_linear.weight"},
    };
    names.insert(names.end(), shared.begin(), shared.end());
    return names;
  }
  if (family == "gpt_oss")
    return {
        {"attn_sinks.weight", LAYER "self_attn.sinks"},
        {"ffn_gate_inp.weight", LAYER "mlp.router.weight"},
        {"ffn_gate_inp.bias", LAYER "mlp.router.bias"},
        // Released in MXFP4, which rows of its own make; here gate and up alternate by row, in bfloat16 by column.
        {"ffn_gate_exps.weight", LAYER "mlp.experts.gate_up_proj_blocks", Slice::even, false, Adjust::none, true},
        {"ffn_up_exps.weight", LAYER "mlp.experts.gate_up_proj_blocks", Slice::odd, false, Adjust::none, true},
        {"ffn_down_exps.weight", LAYER "mlp.experts.down_proj_blocks", Slice::all, false, Adjust::none, true},
        {"ffn_gate_exps.weight", LAYER "mlp.experts.gate_up_proj", Slice::even, true},
        {"ffn_up_exps.weight", LAYER "mlp.experts.gate_up_proj", Slice::odd, true},
        {"ffn_down_exps.weight", LAYER "mlp.experts.down_proj", Slice::all, true},
        {"ffn_gate_exps.bias", LAYER "mlp.experts.gate_up_proj_bias", Slice::even},
        {"ffn_up_exps.bias", LAYER "mlp.experts.gate_up_proj_bias", Slice::odd},
        {"ffn_down_exps.bias", LAYER "mlp.experts.down_proj_bias"},
    };
  if (family == "ernie4_5_moe") return {{.canonical = "exp_probs_b.bias", .stored = LAYER "mlp.moe_statics.e_score_correction_bias", .extents = Extents::row}};
  if (family == "hunyuan_v1_moe")
    return {
        {"attn_q_norm.weight", LAYER "self_attn.query_layernorm.weight"},
        {"attn_k_norm.weight", LAYER "self_attn.key_layernorm.weight"},
        {"ffn_gate_inp.weight", LAYER "mlp.gate.wg.weight"},
        {"ffn_gate_shexp.weight", LAYER "mlp.shared_mlp.gate_proj.weight"},
        {"ffn_up_shexp.weight", LAYER "mlp.shared_mlp.up_proj.weight"},
        {"ffn_down_shexp.weight", LAYER "mlp.shared_mlp.down_proj.weight"},
    };
  if (family == "llama4_text")
    return {
        {"ffn_gate.weight", LAYER "feed_forward.gate_proj.weight"},
        {"ffn_up.weight", LAYER "feed_forward.up_proj.weight"},
        {"ffn_down.weight", LAYER "feed_forward.down_proj.weight"},
        {"ffn_gate_inp.weight", LAYER "feed_forward.router.weight"},
        {"ffn_gate_exps.weight", LAYER "feed_forward.experts.gate_up_proj", Slice::first_half, true},
        {"ffn_up_exps.weight", LAYER "feed_forward.experts.gate_up_proj", Slice::second_half, true},
        {"ffn_down_exps.weight", LAYER "feed_forward.experts.down_proj", Slice::all, true},
        {"ffn_gate_shexp.weight", LAYER "feed_forward.shared_expert.gate_proj.weight"},
        {"ffn_up_shexp.weight", LAYER "feed_forward.shared_expert.up_proj.weight"},
        {"ffn_down_shexp.weight", LAYER "feed_forward.shared_expert.down_proj.weight"},
    };
  if (family == "longcat_flash") {
    Names names = latent(LAYER "self_attn.{p}.");
    const Names rest = {
        {"attn_norm.weight", LAYER "input_layernorm.{p}.weight"},
        {"ffn_norm.weight", LAYER "post_attention_layernorm.{p}.weight"},
        {"ffn_gate.weight", LAYER "mlps.{p}.gate_proj.weight"},
        {"ffn_up.weight", LAYER "mlps.{p}.up_proj.weight"},
        {"ffn_down.weight", LAYER "mlps.{p}.down_proj.weight"},
        {"ffn_gate_inp.weight", LAYER "mlp.router.classifier.weight"},
        {"ffn_gate_inp.bias", LAYER "mlp.router.classifier.bias"},
        {"exp_probs_b.bias", LAYER "mlp.router.e_score_correction_bias"},
    };
    names.insert(names.end(), rest.begin(), rest.end());
    return names;
  }
  if (family == "dbrx")
    return {
        {"token_embd.weight", "transformer.wte.weight"},
        {"output_norm.weight", "transformer.norm_f.weight"},
        {"attn_norm.weight", "transformer.blocks.{l}.norm_attn_norm.norm_1.weight"},
        {"ffn_norm.weight", "transformer.blocks.{l}.norm_attn_norm.norm_2.weight"},
        {"attn_q.weight", "transformer.blocks.{l}.norm_attn_norm.attn.Wqkv.weight", Slice::query},
        {"attn_k.weight", "transformer.blocks.{l}.norm_attn_norm.attn.Wqkv.weight", Slice::key},
        {"attn_v.weight", "transformer.blocks.{l}.norm_attn_norm.attn.Wqkv.weight", Slice::value},
        {"attn_output.weight", "transformer.blocks.{l}.norm_attn_norm.attn.out_proj.weight"},
        {"ffn_gate_inp.weight", "transformer.blocks.{l}.ffn.router.layer.weight"},
        {.canonical = "ffn_gate_exps.weight", .stored = "transformer.blocks.{l}.ffn.experts.mlp.w1", .extents = Extents::joined_stack},
        {.canonical = "ffn_up_exps.weight", .stored = "transformer.blocks.{l}.ffn.experts.mlp.v1", .extents = Extents::joined_stack},
        {.canonical = "ffn_down_exps.weight", .stored = "transformer.blocks.{l}.ffn.experts.mlp.w2", .transposed = true, .extents = Extents::joined_stack},
    };
  if (family == "jetmoe") {
    Names names = fused_rows(LAYER "mlp.");
    const Names attention = {
        {"ffn_exps_output.bias", LAYER "mlp.bias"},
        {"attn_k.weight", LAYER "self_attention.kv_proj.weight", Slice::first_half},
        {"attn_v.weight", LAYER "self_attention.kv_proj.weight", Slice::second_half},
        {"attn_gate_inp.weight", LAYER "self_attention.experts.router.layer.weight"},
        {"attn_q_exps.weight", LAYER "self_attention.experts.input_linear.weight"},
        {"attn_output_exps.weight", LAYER "self_attention.experts.output_linear.weight"},
        {"attn_exps_output.bias", LAYER "self_attention.experts.bias"},
    };
    names.insert(names.end(), attention.begin(), attention.end());
    return names;
  }
  if (family == "exaone_moe") return {{"exp_probs_b.bias", LAYER "mlp.e_score_correction_bias"}};
  if (family == "afmoe") {
    Names names = sandwich_norms("pre_mlp_layernorm.weight", "post_mlp_layernorm.weight");
    const Names rest = {
        {"attn_gate.weight", LAYER "self_attn.gate_proj.weight"},
        {"ffn_gate_inp.weight", LAYER "mlp.router.gate.weight"},
        {"exp_probs_b.bias", LAYER "mlp.expert_bias"},
    };
    names.insert(names.end(), rest.begin(), rest.end());
    return names;
  }
  if (family == "lfm2_moe") {
    Names names = w123(LAYER "feed_forward.");
    const Names rest = {
        {"output_norm.weight", "model.embedding_norm.weight"},
        {"attn_norm.weight", LAYER "operator_norm.weight"},
        {"ffn_norm.weight", LAYER "ffn_norm.weight"},
        {"attn_output.weight", LAYER "self_attn.out_proj.weight"},
        {"attn_q_norm.weight", LAYER "self_attn.q_layernorm.weight"},
        {"attn_k_norm.weight", LAYER "self_attn.k_layernorm.weight"},
        {"ffn_gate.weight", LAYER "feed_forward.w1.weight"},
        {"ffn_up.weight", LAYER "feed_forward.w3.weight"},
        {"ffn_down.weight", LAYER "feed_forward.w2.weight"},
        {"exp_probs_b.bias", LAYER "feed_forward.expert_bias"},
        {"shortconv.in_proj.weight", LAYER "conv.in_proj.weight"},
        {"shortconv.in_proj.bias", LAYER "conv.in_proj.bias"},
        {.canonical = "shortconv.conv.weight", .stored = LAYER "conv.conv.weight", .extents = Extents::channel_taps},
        {"shortconv.conv.bias", LAYER "conv.conv.bias"},
        {"shortconv.out_proj.weight", LAYER "conv.out_proj.weight"},
        {"shortconv.out_proj.bias", LAYER "conv.out_proj.bias"},
    };
    names.insert(names.end(), rest.begin(), rest.end());
    return names;
  }
  if (family == "bailing_hybrid") {
    Names names = latent(LAYER "attention.");
    const Names rest = {
        {"token_embd.weight", "model.word_embeddings.weight"},
        {"attn_output.weight", LAYER "attention.dense.weight"},
        {"attn_output.bias", LAYER "attention.dense.bias"},
        {"attn_gate.weight", LAYER "attention.g_proj.weight"},
        {"exp_probs_b.bias", LAYER "mlp.gate.expert_bias"},
        {"delta_q.weight", LAYER "attention.q_proj.weight"},
        {"delta_k.weight", LAYER "attention.k_proj.weight"},
        {"delta_v.weight", LAYER "attention.v_proj.weight"},
        {"delta_gate.weight", LAYER "attention.g_proj.weight"},
        {"delta_beta.weight", LAYER "attention.b_proj.weight"},
        {"delta_decay.weight", LAYER "attention.f_proj.weight"},
        {.canonical = "delta_conv_q.weight", .stored = LAYER "attention.q_conv1d.weight", .extents = Extents::channel_taps},
        {.canonical = "delta_conv_k.weight", .stored = LAYER "attention.k_conv1d.weight", .extents = Extents::channel_taps},
        {.canonical = "delta_conv_v.weight", .stored = LAYER "attention.v_conv1d.weight", .extents = Extents::channel_taps},
        {"delta_decay_rate", LAYER "attention.A_log", Slice::all, false, Adjust::minus_exp},
        {"delta_decay.bias", LAYER "attention.dt_bias"},
        {"delta_norm.weight", LAYER "attention.o_norm.weight"},
        {"delta_output.weight", LAYER "attention.dense.weight"},
        {"delta_output.weight", LAYER "attention.o_proj.weight", Slice::all, false, Adjust::none, true},
    };
    names.insert(names.begin(), rest.begin(), rest.end());
    return names;
  }
  return {};
}

// Norms whose files hold weight - 1: all but the delta net's own.
bool shifted_norm(const std::string& canonical) {
  return canonical.ends_with("norm.weight") && canonical != "delta_norm.weight";
}

}  // namespace

std::vector<TensorName> hf_names(const Config& config) {
  if (config.family->name == "moiety") return gguf_names(config);  // one set of names, whatever the file
  Names names = family_names(config.family->name);
  names.insert(names.end(), common.begin(), common.end());
  if (config.family->norm_plus_one)
    for (TensorName& name : names)
      if (shifted_norm(name.canonical)) name.adjust = Adjust::plus_one;
  return names;
}

}  // namespace moiety
