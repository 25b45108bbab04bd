#include "model/config_defaults.h"

#include <map>
#include <nlohmann/json.hpp>

#include "model/family.h"

namespace moiety {
namespace {

// The defaults of the configuration classes of Transformers 5.23. What is the same in all families stands in the readers: a tied head,
// biases and windows only where the file says so, silu, epsilon 1e-6, theta 10000, 2048 positions.
const std::map<std::string_view, const char*>& texts() {
  static const std::map<std::string_view, const char*> table = {
      {"llama", R"({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32})"},
      {"mistral", R"({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "max_position_embeddings": 131072, "sliding_window": 4096})"},
      {"qwen2", R"({
        "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28})"},
      {"qwen3", R"({
        "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "head_dim": 128, "max_position_embeddings": 32768, "sliding_window": 4096,
        "max_window_layers": 28})"},
      {"gemma3_text", R"({
        "vocab_size": 262208, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 131072,
        "tie_word_embeddings": true, "query_pre_attn_scalar": 256, "sliding_window": 4096})"},
      {"olmo2", R"({
        "vocab_size": 50304, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "rms_norm_eps": 1e-05})"},
      {"mixtral", R"({
        "rope_theta": 1000000, "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
        "num_experts_per_tok": 2, "num_local_experts": 8})"},
      {"qwen2_moe", R"({
        "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 16,
        "num_key_value_heads": 16, "max_position_embeddings": 32768, "sliding_window": 4096, "max_window_layers": 28,
        "decoder_sparse_step": 1, "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "num_experts_per_tok": 4,
        "num_experts": 60, "norm_topk_prob": false, "qkv_bias": true})"},
      {"qwen3_moe", R"({
        "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 24, "num_attention_heads": 32,
        "num_key_value_heads": 4, "max_position_embeddings": 32768, "sliding_window": 4096, "decoder_sparse_step": 1,
        "moe_intermediate_size": 768, "num_experts_per_tok": 8, "num_experts": 128, "norm_topk_prob": false})"},
      {"olmoe", R"({
        "vocab_size": 50304, "hidden_size": 2048, "intermediate_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 16,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "num_experts_per_tok": 8, "num_experts": 64, "norm_topk_prob": false})"},
      {"flex_olmo", R"({
        "rope_theta": 500000, "vocab_size": 100352, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 4096, "num_experts_per_tok": 5, "num_experts": 7,
        "norm_topk_prob": false})"},
      {"deepseek_v2", R"({
        "vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "first_k_dense_replace": 0, "kv_lora_rank": 512, "q_lora_rank": 1536, "n_routed_experts": 64, "n_shared_experts": 2,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "routed_scaling_factor": 1.0, "topk_method": "greedy",
        "norm_topk_prob": false, "v_head_dim": 128, "moe_intermediate_size": 1407})"},
      {"deepseek_v3", R"({
        "vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
        "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128, "n_shared_experts": 1,
        "n_routed_experts": 256, "routed_scaling_factor": 2.5, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64,
        "v_head_dim": 128, "qk_nope_head_dim": 128, "n_group": 8, "topk_group": 4, "num_experts_per_tok": 8,
        "first_k_dense_replace": 3, "norm_topk_prob": true, "max_position_embeddings": 4096, "rope_interleave": true})"},
      {"phimoe", R"({
        "rope_theta": 1000000, "vocab_size": 32064, "hidden_size": 4096, "intermediate_size": 6400, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
        "num_experts_per_tok": 2, "num_local_experts": 16, "router_jitter_noise": 0.01})"},
      {"granitemoe", R"({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0,
        "num_local_experts": 8, "num_experts_per_tok": 2})"},
      {"granitemoeshared", R"({
        "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "embedding_multiplier": 1.0, "logits_scaling": 1.0, "residual_multiplier": 1.0, "attention_multiplier": 1.0,
        "num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 0})"},
      {"gpt_oss", R"({
        "rope_theta": 150000, "num_hidden_layers": 36, "num_local_experts": 128, "vocab_size": 201088, "hidden_size": 2880,
        "intermediate_size": 2880, "head_dim": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "sliding_window": 128,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "num_experts_per_tok": 4, "swiglu_alpha": 1.702,
        "swiglu_limit": 7.0, "attention_bias": true})"},
      {"ernie4_5_moe", R"({
        "rope_theta": 500000, "vocab_size": 103424, "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 28,
        "num_attention_heads": 20, "num_key_value_heads": 4, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
        "tie_word_embeddings": true, "moe_intermediate_size": 1536, "moe_k": 6, "moe_num_experts": 64, "moe_num_shared_experts": 2,
        "moe_layer_start_index": 1, "moe_layer_end_index": -1, "moe_layer_interval": 1, "moe_norm_min": 1e-12})"},
      {"glm4_moe", R"({
        "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 10944, "num_hidden_layers": 46, "num_attention_heads": 96,
        "num_key_value_heads": 8, "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "moe_intermediate_size": 1408,
        "num_experts_per_tok": 8, "n_shared_experts": 1, "n_routed_experts": 128, "routed_scaling_factor": 1.0, "n_group": 1,
        "topk_group": 1, "first_k_dense_replace": 1, "norm_topk_prob": true, "use_qk_norm": false})"},
      {"hunyuan_v1_moe", R"({
        "vocab_size": 290943, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "rms_norm_eps": 1e-05, "num_experts": 1, "moe_topk": 1})"},
      {"dots1", R"({
        "vocab_size": 152064, "hidden_size": 4608, "intermediate_size": 10944, "moe_intermediate_size": 1408,
        "num_hidden_layers": 62, "num_attention_heads": 32, "num_key_value_heads": 32, "n_group": 1, "topk_group": 1,
        "first_k_dense_replace": 0, "norm_topk_prob": false, "routed_scaling_factor": 1.0, "sliding_window": 4096,
        "max_window_layers": 62})"},
      {"minimax_m2", R"({
        "rope_theta": 5000000, "vocab_size": 200064, "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62,
        "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 196608,
        "num_experts_per_tok": 8, "num_local_experts": 256})"},
      {"llama4_text", R"({
        "rope_theta": 500000, "vocab_size": 202048, "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "num_experts_per_tok": 1, "num_local_experts": 16,
        "interleave_moe_layer_step": 1, "use_qk_norm": true, "no_rope_layer_interval": 4, "attention_chunk_size": 8192,
        "attn_temperature_tuning": true, "floor_scale": 8192, "attn_scale": 0.1})"},
      {"longcat_flash", R"({
        "rope_theta": 10000000, "vocab_size": 131072, "hidden_size": 6144, "num_layers": 28, "num_attention_heads": 64,
        "max_position_embeddings": 131072, "rms_norm_eps": 1e-05, "ffn_hidden_size": 12288, "q_lora_rank": 1536,
        "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "head_dim": 64, "v_head_dim": 128, "moe_topk": 12,
        "n_routed_experts": 512, "zero_expert_num": 256, "expert_ffn_hidden_size": 2048, "routed_scaling_factor": 6.0})"},
      {"dbrx", R"({
        "attn_config": {"kv_n_heads": 1}, "ffn_config": {"ffn_hidden_size": 3584, "moe_num_experts": 4, "moe_top_k": 1,
        "moe_normalize_expert_weights": 1.0}, "d_model": 2048, "n_heads": 16, "n_layers": 24, "max_seq_len": 2048,
        "vocab_size": 32000})"},
      {"jetmoe", R"({
        "vocab_size": 32000, "hidden_size": 2048, "num_hidden_layers": 12, "num_key_value_heads": 16, "kv_channels": 128,
        "intermediate_size": 5632, "max_position_embeddings": 4096, "activation_function": "silu", "num_local_experts": 8,
        "num_experts_per_tok": 2, "tie_word_embeddings": true})"},
      {"exaone_moe", R"({
        "vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 16384, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "rms_norm_eps": 1e-05, "sliding_window": 4096, "sliding_window_pattern": 4,
        "first_k_dense_replace": 1, "moe_intermediate_size": 1024, "num_experts": 64, "num_experts_per_tok": 8,
        "num_shared_experts": 1, "norm_topk_prob": true, "routed_scaling_factor": 2.5, "n_group": 1, "topk_group": 1})"},
      {"cohere2_moe", R"({
        "vocab_size": 256000, "hidden_size": 8192, "intermediate_size": 22528, "logit_scale": 0.0625, "num_hidden_layers": 40,
        "num_attention_heads": 64, "head_dim": 128, "max_position_embeddings": 8192, "layer_norm_eps": 1e-05,
        "tie_word_embeddings": true, "sliding_window": 4096, "num_experts_per_tok": 2, "num_experts": 8, "num_shared_experts": 0,
        "shared_expert_combination_strategy": "average", "expert_selection_fn": "softmax", "prefix_dense_sliding_window_pattern": 1,
        "norm_topk_prob": true, "sliding_window_pattern": 4})"},
      {"afmoe", R"({
        "vocab_size": 200192, "hidden_size": 2048, "intermediate_size": 6144, "moe_intermediate_size": 1408,
        "num_hidden_layers": 32, "num_dense_layers": 1, "num_attention_heads": 16, "head_dim": 128,
        "max_position_embeddings": 16384, "rms_norm_eps": 1e-05, "num_experts": 64, "num_experts_per_tok": 6,
        "num_shared_experts": 2, "route_scale": 1.0, "global_attn_every_n_layers": 4, "sliding_window": 1024, "mup_enabled": false})"},
      {"lfm2_moe", R"({
        "rope_theta": 1000000, "vocab_size": 65536, "hidden_size": 2048, "intermediate_size": 7168, "moe_intermediate_size": 1792,
        "num_hidden_layers": 32, "tie_word_embeddings": true, "max_position_embeddings": 128000, "norm_eps": 1e-05,
        "num_attention_heads": 32, "num_key_value_heads": 8, "conv_L_cache": 3, "num_dense_layers": 2, "num_experts_per_tok": 4,
        "num_experts": 32, "use_expert_bias": true, "routed_scaling_factor": 1.0, "norm_topk_prob": true})"},
      {"qwen3_next", R"({
        "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 48, "num_attention_heads": 16,
        "num_key_value_heads": 2, "max_position_embeddings": 32768, "head_dim": 256, "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
        "decoder_sparse_step": 1, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512, "num_experts_per_tok": 10,
        "num_experts": 512, "norm_topk_prob": true})"},
      {"bailing_hybrid", R"({
        "vocab_size": 157184, "hidden_size": 2560, "intermediate_size": 6144, "moe_intermediate_size": 768, "num_hidden_layers": 42,
        "num_attention_heads": 32, "num_key_value_heads": 32, "n_shared_experts": 1, "routed_scaling_factor": 2.5,
        "kv_lora_rank": 512, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128, "n_group": 8, "topk_group": 4,
        "num_experts_per_tok": 8, "first_k_dense_replace": 2, "norm_topk_prob": true, "max_position_embeddings": 262144,
        "num_local_experts": 512, "rope_theta": 6000000, "head_dim": 128, "short_conv_kernel_size": 4, "layer_group_size": 6,
        "kda_safe_gate": true, "kda_lower_bound": -5.0})"},
  };
  return table;
}

}  // namespace

const nlohmann::json& config_defaults(const Family& family) {
  static const std::map<std::string_view, nlohmann::json> parsed = [] {
    std::map<std::string_view, nlohmann::json> out;
    for (const auto& [name, text] : texts()) out[name] = nlohmann::json::parse(text);
    return out;
  }();
  static const nlohmann::json none = nlohmann::json::object();
  const auto found = parsed.find(family.name);
  return found == parsed.end() ? none : found->second;
}

}  // namespace moiety
