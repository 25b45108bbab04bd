"""What each fixture is: one spec(...) line a checkpoint. Add one and run `make fixtures`."""
import copy

# A spec: family, variant, model_type, cfg (arguments of the config class), store, shards, and the optional
# release (extra keys of the released config.json), drop (keys the released config.json lacks),
# bias (half width of the uniform router correction bias), router (gain of the router weights).
SPECS = []


def spec(family, variant, model_type, cfg, store="bf16", shards=1, **kw):
    SPECS.append(dict(family=family, variant=variant, model_type=model_type, cfg=cfg, store=store, shards=shards, **kw))


BASE = dict(vocab_size=96, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=256,
            bos_token_id=1, eos_token_id=2, pad_token_id=0)


def B(**kw):
    d = copy.deepcopy(BASE)
    d.update(kw)
    return {k: v for k, v in d.items() if v is not ...}


def rope(theta, **kw):
    return dict(rope_theta=float(theta), rope_type=kw.pop("rope_type", "default"), **kw)


# dense
spec("llama", "base", "llama", B(num_key_value_heads=2, intermediate_size=80, tie_word_embeddings=True,
     rope_parameters=rope(10000)))
spec("llama", "llama3", "llama", B(num_key_value_heads=2, intermediate_size=80, rope_parameters=rope(500000, rope_type="llama3",
     factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)), store="bf16", shards=2)
spec("llama", "linear", "llama", B(num_key_value_heads=4, intermediate_size=96, attention_bias=True, mlp_bias=True,
     rope_parameters=rope(10000, rope_type="linear", factor=4.0)), rope_key="type")
spec("llama", "yarn", "llama", B(num_key_value_heads=1, intermediate_size=96, head_dim=24, rope_parameters=rope(10000, rope_type="yarn",
     factor=4.0, original_max_position_embeddings=16, beta_fast=32.0, beta_slow=1.0)))
spec("qwen2", "base", "qwen2", B(num_key_value_heads=2, intermediate_size=80, rope_parameters=rope(1000000), max_window_layers=3))
spec("qwen3", "base", "qwen3", B(num_key_value_heads=2, intermediate_size=80, head_dim=32, tie_word_embeddings=True,
     rope_parameters=rope(1000000), max_window_layers=3), store="bf16")
spec("mistral", "sliding", "mistral", B(num_key_value_heads=2, intermediate_size=80, head_dim=16, sliding_window=16,
     rope_parameters=rope(10000)))
spec("gemma3", "text", "gemma3_text", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=24, intermediate_size=64, sliding_window=16,
     query_pre_attn_scalar=32, layer_types=["sliding_attention", "full_attention"] * 2, rope_parameters={
     "sliding_attention": rope(10000), "full_attention": rope(1000000, rope_type="linear", factor=8.0)}),
     release=dict(sliding_window_pattern=2), post_norm=1.5)
spec("olmo2", "base", "olmo2", B(num_key_value_heads=2, intermediate_size=80, rope_parameters=rope(500000)))

# mixture of experts
spec("mixtral", "base", "mixtral", B(num_key_value_heads=2, intermediate_size=24, num_local_experts=8, num_experts_per_tok=2,
     rope_parameters=rope(1000000), sliding_window=None), store="bf16", shards=3)
spec("mixtral", "sliding", "mixtral", B(num_key_value_heads=2, intermediate_size=24, num_local_experts=8, num_experts_per_tok=2,
     rope_parameters=rope(1000000), sliding_window=12))
spec("qwen2_moe", "base", "qwen2_moe", B(num_hidden_layers=4, num_key_value_heads=2, intermediate_size=48, moe_intermediate_size=16,
     shared_expert_intermediate_size=64, num_experts=12, num_experts_per_tok=4, decoder_sparse_step=1, mlp_only_layers=[],
     norm_topk_prob=False, rope_parameters=rope(1000000)))
spec("qwen2_moe", "sparse_step", "qwen2_moe", B(num_hidden_layers=4, num_key_value_heads=4, intermediate_size=48, moe_intermediate_size=16,
     shared_expert_intermediate_size=48, num_experts=16, num_experts_per_tok=4, decoder_sparse_step=2, mlp_only_layers=[1],
     norm_topk_prob=True, rope_parameters=rope(1000000)))
spec("qwen3_moe", "base", "qwen3_moe", B(num_key_value_heads=2, head_dim=32, intermediate_size=48, moe_intermediate_size=16,
     num_experts=16, num_experts_per_tok=4, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[],
     rope_parameters=rope(1000000)), shards=4)
spec("olmoe", "base", "olmoe", B(num_key_value_heads=4, intermediate_size=16, num_experts=16, num_experts_per_tok=4, norm_topk_prob=False,
     clip_qkv=None, rope_parameters=rope(10000)), store="f16")
spec("olmoe", "clip", "olmoe", B(num_key_value_heads=2, intermediate_size=16, num_experts=12, num_experts_per_tok=3, norm_topk_prob=True,
     clip_qkv=1.5, rope_parameters=rope(10000)))
MLA = dict(kv_lora_rank=32, qk_nope_head_dim=16, qk_rope_head_dim=8, v_head_dim=20)
spec("deepseek_v2", "base", "deepseek_v2", B(num_key_value_heads=4, intermediate_size=48, moe_intermediate_size=16, n_routed_experts=16,
     num_experts_per_tok=4, n_shared_experts=2, first_k_dense_replace=1, moe_layer_freq=1, q_lora_rank=24, n_group=4, topk_group=2,
     topk_method="group_limited_greedy", scoring_func="softmax", routed_scaling_factor=2.0, norm_topk_prob=False,
     rope_parameters=rope(10000, rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=32, beta_slow=1,
     mscale=0.707, mscale_all_dim=0.707), **MLA), shards=3)
spec("deepseek_v2", "lite", "deepseek_v2", B(num_key_value_heads=4, intermediate_size=48, moe_intermediate_size=16, n_routed_experts=16,
     num_experts_per_tok=4, n_shared_experts=2, first_k_dense_replace=1, moe_layer_freq=1, q_lora_rank=None, n_group=1, topk_group=1,
     topk_method="greedy", scoring_func="softmax", routed_scaling_factor=1.0, norm_topk_prob=False, rope_parameters=rope(10000), **MLA))
spec("deepseek_v3", "base", "deepseek_v3", B(num_key_value_heads=4, intermediate_size=48, moe_intermediate_size=16, n_routed_experts=16,
     num_experts_per_tok=4, n_shared_experts=1, first_k_dense_replace=1, moe_layer_freq=1, q_lora_rank=24, n_group=4, topk_group=2,
     topk_method="noaux_tc", scoring_func="sigmoid", routed_scaling_factor=2.5, norm_topk_prob=True, num_nextn_predict_layers=0,
     rope_parameters=rope(10000, rope_type="yarn", factor=8.0, original_max_position_embeddings=16, beta_fast=32, beta_slow=1,
     mscale=1.0, mscale_all_dim=1.0), **MLA), store="bf16", shards=2)
spec("phimoe", "base", "phimoe", B(num_key_value_heads=2, intermediate_size=24, num_local_experts=8, num_experts_per_tok=2,
     attention_bias=True, lm_head_bias=True, router_jitter_noise=0.01, sliding_window=None, rope_parameters=rope(10000)), store="f16")
spec("phimoe", "longrope", "phimoe", B(num_key_value_heads=2, intermediate_size=24, num_local_experts=8, num_experts_per_tok=2,
     attention_bias=True, lm_head_bias=True, router_jitter_noise=0.2, sliding_window=None, rope_parameters=rope(10000, rope_type="longrope",
     short_factor=[1.0, 1.1, 1.3, 1.7], long_factor=[1.0, 1.5, 3.0, 8.0],
     short_mscale=1.1, long_mscale=1.25, original_max_position_embeddings=40)), router=0.7)
GRAN = dict(embedding_multiplier=3.0, logits_scaling=0.4, residual_multiplier=0.5, attention_multiplier=0.2)
spec("granitemoe", "base", "granitemoe", B(num_key_value_heads=2, intermediate_size=16, num_local_experts=16, num_experts_per_tok=4,
     tie_word_embeddings=True, rope_parameters=rope(10000), **GRAN))
spec("granitemoeshared", "base", "granitemoeshared", B(num_key_value_heads=2, intermediate_size=24, num_local_experts=12, num_experts_per_tok=4,
     shared_intermediate_size=48, tie_word_embeddings=True, rope_parameters=rope(10000), **GRAN))
spec("gpt_oss", "base", "gpt_oss", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=16, intermediate_size=16, num_local_experts=8,
     num_experts_per_tok=4, sliding_window=12, attention_bias=True, layer_types=["sliding_attention", "full_attention"] * 2,
     swiglu_limit=7.0, rope_parameters=rope(150000, rope_type="yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
     original_max_position_embeddings=32)), store="bf16")
spec("gpt_oss", "clamp", "gpt_oss", B(num_hidden_layers=2, num_key_value_heads=2, head_dim=32, intermediate_size=24, num_local_experts=12,
     num_experts_per_tok=3, sliding_window=8, attention_bias=True, layer_types=["sliding_attention", "full_attention"],
     swiglu_limit=1.5, rope_parameters=rope(150000, rope_type="yarn", factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
     original_max_position_embeddings=16)))
spec("ernie4_5_moe", "base", "ernie4_5_moe", B(num_key_value_heads=2, intermediate_size=48, moe_intermediate_size=16, moe_num_experts=16,
     moe_k=4, moe_num_shared_experts=2, moe_layer_start_index=1, moe_layer_end_index=2, moe_layer_interval=1, use_bias=False,
     tie_word_embeddings=True, rope_parameters=rope(500000)), bias=0.05, shards=3,
     release=dict(moe_gate="topk", moe_use_aux_free=True, moe_capacity=[16, 16, 16]))
spec("glm4_moe", "base", "glm4_moe", B(num_key_value_heads=2, head_dim=24, intermediate_size=48, moe_intermediate_size=16, n_routed_experts=16,
     num_experts_per_tok=4, n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1, norm_topk_prob=True,
     routed_scaling_factor=1.5, attention_bias=True, use_qk_norm=True, num_nextn_predict_layers=0,
     rope_parameters=rope(1000000, partial_rotary_factor=0.5)), store="bf16")
spec("hunyuan_v1_moe", "base", "hunyuan_v1_moe", B(num_key_value_heads=2, head_dim=16, intermediate_size=16, num_experts=16, moe_topk=4,
     rope_parameters=rope(10000)), release=dict(num_shared_expert=1, use_qk_norm=True, use_mixed_mlp_moe=True, moe_intermediate_size=16))
spec("hunyuan_v1_moe", "alpha", "hunyuan_v1_moe", B(num_key_value_heads=2, head_dim=16, intermediate_size=16, num_experts=8, moe_topk=[2, 2, 2],
     tie_word_embeddings=True, rope_parameters=rope(10000, rope_type="dynamic", alpha=1000.0, factor=1.0, beta_fast=32, beta_slow=1,
     mscale=1.0, mscale_all_dim=1.0)), store="bf16", release=dict(num_shared_expert=[1, 1, 1], use_qk_norm=True, use_mixed_mlp_moe=True,
     moe_intermediate_size=[16, 16, 16]))
spec("dots1", "base", "dots1", B(num_key_value_heads=4, intermediate_size=48, moe_intermediate_size=16, n_routed_experts=16, n_shared_experts=2,
     num_experts_per_tok=4, first_k_dense_replace=1, n_group=1, topk_group=1, norm_topk_prob=True, routed_scaling_factor=2.5,
     sliding_window=None, max_window_layers=3, rope_parameters=rope(10000000)), release=dict(scoring_func="noaux_tc", moe_layer_freq=1))
spec("minimax_m2", "base", "minimax_m2", B(num_key_value_heads=2, head_dim=16, rotary_dim=8, intermediate_size=16, num_local_experts=16, num_experts_per_tok=4,
     rope_parameters=rope(5000000, partial_rotary_factor=0.5)), release=dict(scoring_func="sigmoid", use_routing_bias=True, use_qk_norm=True,
     qk_norm_type="per_layer", shared_intermediate_size=0, rotary_dim=8))
spec("llama4", "text", "llama4_text", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=16, intermediate_size=16, intermediate_size_mlp=48,
     num_local_experts=8, num_experts_per_tok=1, interleave_moe_layer_step=1, no_rope_layers=[1, 0, 1, 0], attention_chunk_size=16,
     use_qk_norm=True, attn_temperature_tuning=True, floor_scale=16, attn_scale=0.1, rope_parameters=rope(500000)), store="bf16")
spec("llama4", "interleave", "llama4_text", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=16, intermediate_size=48, intermediate_size_mlp=48,
     num_local_experts=8, num_experts_per_tok=2, interleave_moe_layer_step=2, no_rope_layers=[1, 1, 1, 0], attention_chunk_size=32,
     use_qk_norm=False, attn_temperature_tuning=False, rope_parameters=rope(500000, rope_type="llama3", factor=8.0,
     low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)))
spec("longcat_flash", "base", "longcat_flash", B(num_hidden_layers=..., num_layers=2, num_key_value_heads=4, ffn_hidden_size=96,
     expert_ffn_hidden_size=16, n_routed_experts=12, zero_expert_num=4, moe_topk=4, routed_scaling_factor=3.0, q_lora_rank=24,
     head_dim=8, rope_parameters=rope(10000000), **MLA), shards=2, bias=0.05,
     release=dict(zero_expert_type="identity", mla_scale_q_lora=True, mla_scale_kv_lora=True, attention_method="MLA"))
spec("flex_olmo", "base", "flex_olmo", B(num_key_value_heads=2, intermediate_size=24, num_experts=8, num_experts_per_tok=3, norm_topk_prob=False,
     rope_parameters=rope(500000)), router=0.6)
spec("dbrx", "base", "dbrx", dict(vocab_size=96, d_model=32, n_heads=4, n_layers=3, max_seq_len=256, pad_token_id=0, bos_token_id=1, eos_token_id=2,
     attn_config=dict(kv_n_heads=2, clip_qkv=3.0, rope_theta=500000.0), ffn_config=dict(hidden_size=32, ffn_hidden_size=48, moe_num_experts=8,
     moe_top_k=3, moe_jitter_eps=0.0, ffn_act_fn={"name": "silu"}), rope_parameters=rope(500000)))
spec("jetmoe", "base", "jetmoe", B(num_attention_heads=..., num_key_value_heads=3, kv_channels=16, intermediate_size=24, num_local_experts=8,
     num_experts_per_tok=2, tie_word_embeddings=True, rope_parameters=rope(10000)))
spec("exaone_moe", "base", "exaone_moe", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=16, intermediate_size=48, moe_intermediate_size=16,
     num_experts=16, num_experts_per_tok=4, num_shared_experts=1, first_k_dense_replace=1, sliding_window=12, sliding_window_pattern=4,
     n_group=1, topk_group=1, norm_topk_prob=True, routed_scaling_factor=2.5, rope_parameters=rope(1000000)),
     release=dict(scoring_func="sigmoid", topk_method="noaux_tc", sliding_window_pattern="LLLG"))
spec("cohere2_moe", "base", "cohere2_moe", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=16, intermediate_size=16, num_experts=16,
     num_experts_per_tok=4, num_shared_experts=2, shared_expert_combination_strategy="average", expert_selection_fn="sigmoid",
     norm_topk_prob=True, sliding_window=12, sliding_window_pattern=4, logit_scale=0.25, prefix_dense_intermediate_size=96,
     mlp_layer_types=["dense", "sparse", "sparse", "sparse"], rope_theta=50000.0))
spec("afmoe", "base", "afmoe", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=16, intermediate_size=64, moe_intermediate_size=16,
     num_dense_layers=1, num_experts=16, num_experts_per_tok=4, num_shared_experts=1, route_scale=2.0, sliding_window=12,
     global_attn_every_n_layers=4, mup_enabled=True, rope_parameters=rope(10000)), store="bf16", release=dict(route_norm=True, score_func="sigmoid",
     n_group=1, topk_group=1, num_expert_groups=1, num_limited_groups=1))
spec("lfm2_moe", "base", "lfm2_moe", B(num_hidden_layers=4, num_key_value_heads=2, intermediate_size=64, moe_intermediate_size=16,
     num_dense_layers=1, num_experts=16, num_experts_per_tok=4, use_expert_bias=True, routed_scaling_factor=1.0, norm_topk_prob=True,
     conv_L_cache=3, conv_bias=False, layer_types=["conv", "conv", "full_attention", "conv"], tie_word_embeddings=True,
     rope_parameters=rope(1000000)))
spec("qwen3_next", "base", "qwen3_next", B(num_hidden_layers=4, num_key_value_heads=2, head_dim=32, intermediate_size=96, moe_intermediate_size=16,
     shared_expert_intermediate_size=32, num_experts=16, num_experts_per_tok=4, norm_topk_prob=True, decoder_sparse_step=1,
     mlp_only_layers=[], linear_conv_kernel_dim=4, linear_key_head_dim=16, linear_value_head_dim=16, linear_num_key_heads=2,
     linear_num_value_heads=4, layer_types=["linear_attention"] * 3 + ["full_attention"],
     rope_parameters=rope(10000000, partial_rotary_factor=0.25)), store="bf16", release=dict(full_attention_interval=4))
spec("bailing_hybrid", "base", "bailing_hybrid", B(max_position_embeddings=..., num_hidden_layers=4, model_max_length=256, num_key_value_heads=4,
     intermediate_size=64, moe_intermediate_size=16, num_experts=16, num_experts_per_token=4, num_shared_experts=1, num_expert_group=4,
     topk_group=2, first_k_dense_replace=1, moe_renormalize=True, routed_scaling_factor=2.5, layer_group_size=4,
     linear_head_dim=16, linear_num_heads=4, short_conv_kernel_size=4, num_nextn_predict_layers=0, rope_parameters=rope(6000000),
     **MLA), release=dict(no_kda_lora=True, use_kda_lora=False, gated_attention_proj_granularity_type="head_wise", q_lora_rank=None,
     moe_shared_expert_intermediate_size=32, moe_router_enable_expert_bias=True, score_function="sigmoid", scoring_func="sigmoid", topk_method="noaux_tc"))

# Values that no release has, against numbers that are taken for granted: other head counts, odd expert counts, tied and untied, other
# norms of the chosen weights, with and without biases, shared experts and latent queries.
spec("llama", "odd", "llama", B(num_attention_heads=6, num_key_value_heads=3, head_dim=10, intermediate_size=72, tie_word_embeddings=True,
     attention_bias=True, hidden_size=48, rope_parameters=rope(5000)), store="f16")
spec("llama", "dynamic", "llama", B(num_key_value_heads=2, intermediate_size=64, max_position_embeddings=32,
     rope_parameters=rope(10000, rope_type="dynamic", factor=2.0)))
spec("qwen2", "window", "qwen2", B(num_key_value_heads=4, intermediate_size=64, use_sliding_window=True, sliding_window=8, max_window_layers=1,
     tie_word_embeddings=True, rope_parameters=rope(1000000)))
spec("mixtral", "odd", "mixtral", B(num_key_value_heads=1, intermediate_size=16, num_local_experts=6, num_experts_per_tok=3, head_dim=12,
     tie_word_embeddings=True, rope_parameters=rope(1000000), sliding_window=None))
spec("qwen2_moe", "plain", "qwen2_moe", B(num_key_value_heads=2, intermediate_size=64, moe_intermediate_size=24, qkv_bias=False,
     shared_expert_intermediate_size=40, num_experts=7, num_experts_per_tok=2, decoder_sparse_step=1, mlp_only_layers=[0],
     norm_topk_prob=True, tie_word_embeddings=True, rope_parameters=rope(1000000)))
spec("qwen3_moe", "odd", "qwen3_moe", B(num_key_value_heads=4, head_dim=10, intermediate_size=64, moe_intermediate_size=24, num_experts=9,
     num_experts_per_tok=1, norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[], attention_bias=True, tie_word_embeddings=True,
     rope_parameters=rope(1000000)))
spec("deepseek_v3", "plain", "deepseek_v3", B(num_attention_heads=3, num_key_value_heads=3, intermediate_size=64, moe_intermediate_size=24,
     n_routed_experts=10, num_experts_per_tok=3, n_shared_experts=2, first_k_dense_replace=0, moe_layer_freq=1, q_lora_rank=None, n_group=1,
     topk_group=1, topk_method="noaux_tc", scoring_func="sigmoid", routed_scaling_factor=1.0, norm_topk_prob=False,
     num_nextn_predict_layers=0, tie_word_embeddings=True, rope_parameters=rope(10000), **MLA))
spec("glm4_moe", "plain", "glm4_moe", B(num_key_value_heads=4, head_dim=16, intermediate_size=64, moe_intermediate_size=24, n_routed_experts=6,
     num_experts_per_tok=2, n_shared_experts=2, first_k_dense_replace=2, n_group=2, topk_group=1, norm_topk_prob=False,
     routed_scaling_factor=0.7, attention_bias=False, use_qk_norm=False, num_nextn_predict_layers=0,
     rope_parameters=rope(1000000, partial_rotary_factor=0.25)))
spec("granitemoe", "odd", "granitemoe", B(num_key_value_heads=4, intermediate_size=24, num_local_experts=5, num_experts_per_tok=5,
     attention_bias=True, tie_word_embeddings=False, rope_parameters=rope(10000), embedding_multiplier=2.0, logits_scaling=3.0,
     residual_multiplier=0.25, attention_multiplier=0.3))
spec("lfm2_moe", "bias", "lfm2_moe", B(num_hidden_layers=4, num_key_value_heads=1, intermediate_size=64, moe_intermediate_size=24, num_dense_layers=2,
     num_experts=6, num_experts_per_tok=2, conv_L_cache=4, conv_bias=True, use_expert_bias=False, norm_topk_prob=False,
     layer_types=["full_attention", "conv", "conv", "full_attention"], routed_scaling_factor=1.5, tie_word_embeddings=True,
     rope_parameters=rope(1000000)))
spec("cohere2_moe", "plain", "cohere2_moe", B(num_hidden_layers=3, num_key_value_heads=2, head_dim=12, intermediate_size=24, num_experts=6,
     num_experts_per_tok=3, num_shared_experts=1, shared_expert_combination_strategy="sum", expert_selection_fn="sigmoid",
     norm_topk_prob=False, sliding_window=8, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
     mlp_layer_types=["sparse"] * 3, prefix_dense_intermediate_size=64, logit_scale=0.5, tie_word_embeddings=True,
     rope_parameters=rope(50000)))
spec("deepseek_v3", "halves", "deepseek_v3", B(num_hidden_layers=2, num_key_value_heads=4, intermediate_size=32, moe_intermediate_size=8,
     n_routed_experts=10, num_experts_per_tok=3, n_shared_experts=3, first_k_dense_replace=1, q_lora_rank=20, attention_bias=True,
     rope_interleave=False, n_group=5, topk_group=3, norm_topk_prob=True, routed_scaling_factor=1.3, num_nextn_predict_layers=0,
     rope_parameters=rope(10000, rope_type="yarn", factor=4.0, original_max_position_embeddings=16, mscale=1.0, mscale_all_dim=0.7), **MLA))
spec("qwen2_moe", "window", "qwen2_moe", B(num_key_value_heads=1, intermediate_size=32, moe_intermediate_size=8, shared_expert_intermediate_size=24,
     num_experts=5, num_experts_per_tok=5, decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=True, use_sliding_window=True,
     sliding_window=6, max_window_layers=3, hidden_act="gelu", rope_parameters=rope(1000000)))
spec("ernie4_5_moe", "bias", "ernie4_5_moe", B(num_key_value_heads=1, head_dim=12, intermediate_size=32, moe_intermediate_size=8, moe_num_experts=5,
     moe_k=1, moe_num_shared_experts=1, moe_layer_start_index=1, moe_layer_end_index=-1, moe_layer_interval=2, use_bias=True,
     tie_word_embeddings=False, rope_parameters=rope(500000)), bias=0.05)
spec("glm4_moe", "unshared", "glm4_moe", B(num_key_value_heads=2, head_dim=12, intermediate_size=32, moe_intermediate_size=8, n_routed_experts=7,
     num_experts_per_tok=7, n_shared_experts=0, first_k_dense_replace=1, n_group=1, topk_group=1, norm_topk_prob=True,
     routed_scaling_factor=1.0, attention_bias=False, use_qk_norm=True, num_nextn_predict_layers=0, tie_word_embeddings=True,
     rope_parameters=rope(1000000, partial_rotary_factor=0.25)))
