#!/usr/bin/env python3
"""Make tiny random-weight checkpoints of Hugging Face model families, with float32 reference outputs.

Every fixture is a folder with a checkpoint as a released model would have it (config.json, safetensors) and
what Transformers itself computes from it (logits, greedy continuation, routing). See README.md.

    make_fixtures.py --out DIR                         all families, all variants, seed 1
    make_fixtures.py --out DIR --families mixtral,llama --variant base,llama3 --seed 7
    make_fixtures.py --verify DIR [DIR ...]            reload each folder and recompute
    make_fixtures.py --list
"""
import argparse, copy, json, math, os, re, shutil, sys, tempfile, time, warnings, zlib
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")
import numpy as np
import torch
torch.set_num_threads(1)
import transformers
transformers.utils.logging.disable_progress_bar()
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from safetensors.torch import save_file, load_file

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
DTYPE_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}

# ------------------------------------------------------------------------------------------------ specs
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

# ------------------------------------------------------------------------------------- config.json as released
V5_ONLY = ("transformers_version",)
NO_LAYER_TYPES = {"qwen2", "qwen3", "qwen2_moe", "dots1", "gemma3_text", "qwen3_next", "bailing_hybrid"}  # released configs without layer_types
GENERATION_NOISE = {"return_dict", "output_hidden_states", "torchscript", "chunk_size_feed_forward", "is_encoder_decoder", "id2label", "label2id",
                    "problem_type", "_name_or_path", "output_attentions", "pruned_heads", "dtype", "torch_dtype", "architectures"}


def release_config(sp, cfg):
    """The dictionary of save_pretrained's config.json -> the keys of the released config.json of that family."""
    d = {k: v for k, v in copy.deepcopy(cfg).items() if k not in V5_ONLY and not k.startswith("_")}
    mt = sp["model_type"]
    d["torch_dtype"] = DTYPE_NAMES[sp["store"]]
    d.pop("dtype", None)
    rp = d.pop("rope_parameters", None)
    if rp and mt == "gemma3_text":
        full, local = rp["full_attention"], rp["sliding_attention"]
        d["rope_theta"], d["rope_local_base_freq"] = full["rope_theta"], local["rope_theta"]
        s = {k: v for k, v in full.items() if k != "rope_theta"}
        d["rope_scaling"] = None if s["rope_type"] == "default" else s
    elif rp:
        s = dict(rp)
        d["rope_theta"] = s.pop("rope_theta")
        if "partial_rotary_factor" in s:
            f = s.pop("partial_rotary_factor")
            if mt != "minimax_m2":  # released as rotary_dim
                d["partial_rotary_factor"] = f
        if s.get("rope_type") == "default":
            s = None
        elif mt.startswith("deepseek") or mt in ("phimoe", "hunyuan_v1_moe", "longcat_flash") or sp.get("rope_key") == "type":
            s["type"] = s.pop("rope_type")
        d["rope_scaling"] = s
    if mt == "qwen3_moe":
        d["num_experts"] = d.pop("num_local_experts")
    if mt == "dbrx":
        for k in ("attn_config", "ffn_config"):
            d[k] = {a: b for a, b in d[k].items() if a not in GENERATION_NOISE}
        d.pop("rope_scaling", None)
        d.pop("num_key_value_heads", None)
    if mt == "phimoe":
        d["architectures"] = ["PhiMoEForCausalLM"]
    if mt == "bailing_hybrid":
        d["architectures"] = ["BailingMoeV3ForCausalLM"]
        d["head_dim"] = d["linear_head_dim"]
        for k in ("linear_head_dim", "linear_num_heads", "linear_conv_kernel_dim", "mlp_layer_types"):
            d.pop(k, None)
        for a, b in (("num_expert_group", "n_group"), ("num_experts_per_token", "num_experts_per_tok"), ("moe_renormalize", "norm_topk_prob"),
                     ("model_max_length", "max_position_embeddings")):
            d[b] = d.pop(a)
    if mt in NO_LAYER_TYPES:
        d.pop("layer_types", None)
    for k in sp.get("drop", ()):
        d.pop(k, None)
    d.update(sp.get("release", {}))
    return dict(sorted(d.items()))


# ------------------------------------------------------------------------------------------------ weights
ROUTER = re.compile(r"(^|\.)(router|gate|wg|classifier)(\.|$)")
CORRECTION = re.compile(r"e_score_correction_bias|expert_bias")


def randomise(model, sp, seed):
    """Random values for every parameter and persistent buffer, in order of names."""
    g = torch.Generator().manual_seed(seed)
    params = dict(model.named_parameters())
    for n, b in model.named_buffers():
        if n in model.state_dict():
            params[n] = b
    rn = lambda p: torch.randn(p.shape, generator=g)
    ru = lambda p: torch.rand(p.shape, generator=g)
    with torch.no_grad():
        for n in sorted(params):
            p = params[n]
            if CORRECTION.search(n):
                b = sp.get("bias", 0.25)
                v = (ru(p) * 2 - 1) * b
            elif n.endswith("sinks"):
                v = rn(p)
            elif n.endswith("A_log"):
                v = torch.log(0.5 + 4 * ru(p))
            elif n.endswith("dt_bias"):
                v = rn(p) * 0.5
            elif ("norm" in n or re.search(r"\.ln_|layernorm", n)) and n.endswith("weight") and p.ndim == 1:
                centre = 0.0 if p.float().mean().abs() < 0.5 else 1.0
                v = centre + 0.25 * rn(p)
                if re.search(r"(q_norm|k_norm|query_layernorm|key_layernorm|q_layernorm|k_layernorm)", n):
                    v = v + 0.3
                elif ".post_" in n:
                    v = v + sp.get("post_norm", 0.0)
            elif n.endswith("bias") or p.ndim == 1:
                v = 0.2 * rn(p)
            elif "conv" in n and p.ndim == 3:
                v = rn(p) * (1.2 / math.sqrt(p.shape[-1]))
            elif n.endswith("_bias"):
                v = 0.2 * rn(p)
            else:
                fan = p.shape[-1]
                if p.ndim == 3 and sp["model_type"] in ("gpt_oss", "llama4_text") and "experts" in n:
                    fan = p.shape[1]
                gain = 1.0
                if n.endswith("mlp.w2"):
                    fan, gain = sp["cfg"]["ffn_config"]["ffn_hidden_size"], 2.0
                elif "embed" in n or n.endswith("wte.weight"):
                    fan, gain = 1, 1.0
                elif "lm_head" in n:
                    gain = 2.0
                elif ROUTER.search(n) and p.shape[0] <= 64 and "shared" not in n:
                    gain = sp.get("router", 1.4)
                elif re.search(r"(q_proj|k_proj|q_b_proj|Wqkv|kv_proj|q_a_proj|kv_a_proj)", n):
                    gain = 1.4
                elif re.search(r"(down_proj|output_linear|\.w2)", n):
                    gain = 2.0
                elif re.search(r"(o_proj|out_proj|dense)", n):
                    gain = 1.5
                v = rn(p) * (gain / math.sqrt(fan))
            p.copy_(v)


KEEP_F32 = re.compile(r"e_score_correction_bias|expert_bias|A_log|\.gate\.wg\.weight|dt_bias")


def keep_f32(name, sp):
    return bool(KEEP_F32.search(name)) or (sp["model_type"] == "ernie4_5_moe" and name.endswith("mlp.gate.weight"))


def round_weights(model, sp):
    """Round to the storage type, so that the model in memory and the one on disk are the same numbers."""
    dt = DTYPES[sp["store"]]
    if dt is torch.float32:
        return
    with torch.no_grad():
        for n, t in model.state_dict().items():
            if t.is_floating_point() and not KEEP_F32.search(n):
                t.copy_(t.to(dt).float())


# ------------------------------------------------------------------------------------------------ checkpoint
def natural(s):
    return [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", s)]


def write_checkpoint(model, sp, folder):
    with tempfile.TemporaryDirectory() as tmp:
        model.save_pretrained(tmp)
        cfg = json.load(open(f"{tmp}/config.json"))
        tensors = {}
        for f in sorted(os.listdir(tmp)):
            if f.endswith(".safetensors"):
                tensors.update(load_file(f"{tmp}/{f}"))
        for f in ("generation_config.json",):
            if os.path.exists(f"{tmp}/{f}"):
                shutil.copy(f"{tmp}/{f}", folder)
    dt = DTYPES[sp["store"]]
    if sp["model_type"] == "longcat_flash":  # released files have no tensors for the zero (identity) experts
        n = sp["cfg"]["n_routed_experts"]
        for k in list(tensors):
            m = re.search(r"\.experts\.(\d+)\.", k)
            if m and int(m.group(1)) >= n:
                del tensors[k]
    out = {}
    for k in sorted(tensors, key=natural):
        t = tensors[k]
        if t.is_floating_point() and not keep_f32(k, sp):
            t = t.to(dt)
        out[k] = t.contiguous()
    if model.config.tie_word_embeddings:
        out.pop("lm_head.weight", None)
    cfg["dtype"] = DTYPE_NAMES[sp["store"]]
    a, b = ("config_release.json", "config.json") if sp.get("v5_main") else ("config.json", "config_v5.json")
    json.dump(release_config(sp, cfg), open(f"{folder}/{a}", "w"), indent=2)
    json.dump(cfg, open(f"{folder}/{b}", "w"), indent=2)
    total = sum(t.numel() * t.element_size() for t in out.values())
    if sp["shards"] == 1:
        save_file(out, f"{folder}/model.safetensors", metadata={"format": "pt"})
        return out
    parts, cur, size = [], {}, 0
    for k, t in out.items():
        b = t.numel() * t.element_size()
        if cur and size + b > total / sp["shards"] and len(parts) < sp["shards"] - 1:
            parts.append(cur)
            cur, size = {}, 0
        cur[k] = t
        size += b
    parts.append(cur)
    wm = {}
    for i, p in enumerate(parts):
        f = f"model-{i + 1:05d}-of-{len(parts):05d}.safetensors"
        save_file(p, f"{folder}/{f}", metadata={"format": "pt"})
        wm.update({k: f for k in p})
    json.dump({"metadata": {"total_size": total}, "weight_map": wm}, open(f"{folder}/model.safetensors.index.json", "w"), indent=2)
    return out


def load_checkpoint(folder, config_file=None):
    """from_pretrained in float32 with eager attention and eager experts."""
    src = folder
    tmp = None
    cfg = json.load(open(f"{folder}/{config_file or 'config.json'}"))
    longcat = cfg["model_type"] == "longcat_flash"
    if config_file or longcat:  # a scratch folder with links, so that the folder itself stays as it is
        tmp = tempfile.mkdtemp()
        for f in os.listdir(folder):
            if "safetensors" in f:
                os.symlink(os.path.abspath(f"{folder}/{f}"), f"{tmp}/{f}")
        json.dump(cfg, open(f"{tmp}/config.json", "w"))
        src = tmp
    if longcat:
        # The module of this Transformers version sizes gate_up_proj for routed + zero experts, which the released
        # files do not have: give the (never used) rows of the zero experts zeros.
        ts = {}
        for f in sorted(os.listdir(folder)):
            if f.endswith(".safetensors"):
                ts.update(load_file(f"{folder}/{f}"))
                os.remove(f"{tmp}/{f}")
        if os.path.lexists(f"{tmp}/model.safetensors.index.json"):
            os.remove(f"{tmp}/model.safetensors.index.json")
        for k in [k for k in ts if ".experts.0.gate_proj" in k]:
            for e in range(cfg["n_routed_experts"], cfg["n_routed_experts"] + cfg["zero_expert_num"]):
                for w in ("gate_proj", "up_proj"):
                    ts[k.replace("experts.0.gate_proj", f"experts.{e}.{w}")] = torch.zeros_like(ts[k])
        save_file(ts, f"{tmp}/model.safetensors", metadata={"format": "pt"})
    try:
        m, info = AutoModelForCausalLM.from_pretrained(src, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    finally:
        if tmp:
            shutil.rmtree(tmp)
    bad = {k: v for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")}
    assert not bad, bad
    return prepare(m)


def prepare(m):
    m = m.float().eval()
    if hasattr(m, "set_experts_implementation"):
        try:
            m.set_experts_implementation("eager")
        except Exception:
            m.config._experts_implementation = "eager"
    return m


# ------------------------------------------------------------------------------------------------ forward
def pass_length_to_phimoe_rope():
    """Transformers 5.23 computes phimoe's longrope frequencies without the sequence length and so never takes `long_factor`;
    the released code takes it above the original length. Pass the length, as that code does."""
    from transformers.models.phimoe.modeling_phimoe import PhimoeRotaryEmbedding
    plain_forward = PhimoeRotaryEmbedding.forward

    def forward(self, x, position_ids=None):
        init, length = self.rope_init_fn, int(position_ids.max()) + 1
        if self.config.rope_parameters["rope_type"] != "default":
            self.rope_init_fn = lambda config, *args, **kwargs: init(config, device=x.device, seq_len=length)
        try:
            return plain_forward(self, x, position_ids)
        finally:
            self.rope_init_fn = init

    PhimoeRotaryEmbedding.forward = forward


pass_length_to_phimoe_rope()


def reset_rope(model):
    """dynamic / longrope modules remember the longest sequence seen: forget it, so that no result depends on order."""
    for m in model.modules():
        if hasattr(m, "original_inv_freq") and hasattr(m, "inv_freq"):
            m.inv_freq = m.original_inv_freq.clone()
        if hasattr(m, "original_max_seq_len"):
            m.max_seq_len_cached = m.original_max_seq_len


def forward(model, ids):
    reset_rope(model)
    with torch.no_grad():
        y = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()
    assert torch.isfinite(y).all()
    return y


def sparsemixer_margin(x, eps):
    """Phi-MoE: distance of both arg max choices and of both mask thresholds from a different outcome."""
    out = []
    rest = x
    for _ in range(2):
        v, i = rest.topk(2, dim=-1)
        out.append((v[:, 0] - v[:, 1]).flatten())
        t = v[:, :1]
        r = (t - x) / torch.maximum(x.abs(), t)
        r = (r - 2 * eps).abs()
        r = r.masked_fill(torch.isinf(rest), math.inf)
        out.append(r[torch.isfinite(r)].flatten())
        rest = rest.scatter(-1, i[:, :1], float("-inf"))
    return torch.cat(out)


class Capture:
    """Hooks: what every MoE block really gives its experts, and the margin of each selection."""

    def __init__(self, model):
        self.model, self.calls, self.gaps, self.handles = model, [], [], []

    def __enter__(self):
        for name, mod in self.model.named_modules():
            cls = type(mod).__name__
            layer = re.search(r"(?:layers|blocks)\.(\d+)\.", name)
            layer = int(layer.group(1)) if layer else -1
            if cls == "JetMoeTopKGating":
                kind = "attention" if "self_att" in name else "mlp"
                def hook(m, a, o, layer=layer, kind=kind):
                    v, i = o[4].topk(m.top_k, dim=1)
                    self.calls.append((layer, kind, i, torch.softmax(v, dim=1)))
                self.handles.append(mod.register_forward_hook(hook))
            elif cls == "PhimoeTopKRouter":
                def hook(m, a, o):
                    self.gaps.append(sparsemixer_margin(o[0].double(), m.router_jitter_noise))
                self.handles.append(mod.register_forward_hook(hook))
            elif cls == "Llama4Router":
                def hook(m, a, o, layer=layer):
                    v, i = o[1].topk(m.top_k, dim=1)
                    self.calls.append((layer, "mlp", i, torch.sigmoid(v.float())))
                self.handles.append(mod.register_forward_hook(hook))
            elif cls.endswith("Experts") and cls not in ("Llama4TextExperts", "JetMoeParallelExperts"):
                def hook(m, a, k, layer=layer):
                    i = a[1] if len(a) > 1 else k.get("top_k_index", k.get("router_indices"))
                    w = a[2] if len(a) > 2 else k.get("top_k_weights", k.get("routing_weights"))
                    self.calls.append((layer, "mlp", i, w))
                self.handles.append(mod.register_forward_pre_hook(hook, with_kwargs=True))
        self.t1, self.t2 = torch.topk, torch.Tensor.topk

        def gap(x, k):
            if x.ndim >= 2 and x.shape[-1] > k:
                s = x.double().sort(-1, descending=True).values
                d = (s[..., k - 1] - s[..., k])
                self.gaps.append(d[torch.isfinite(d)].flatten())

        def topk(x, k, *a, **kw):
            gap(x, k)
            return self.t1(x, k, *a, **kw)

        def topk_m(x, k, *a, **kw):
            gap(x, k)
            return self.t2(x, k, *a, **kw)
        torch.topk, torch.Tensor.topk = topk, topk_m
        return self

    def __exit__(self, *e):
        torch.topk, torch.Tensor.topk = self.t1, self.t2
        for h in self.handles:
            h.remove()


def routing(calls):
    layers = []
    for layer, kind, idx, w in calls:
        idx, w = idx.reshape(-1, idx.shape[-1]).numpy(), w.detach().float().reshape(-1, w.shape[-1]).numpy()
        experts, weights = [], []
        for i, v in zip(idx, w):
            o = sorted(range(len(i)), key=lambda j: (-v[j], i[j]))
            experts.append([int(i[j]) for j in o])
            weights.append([float(f"{v[j]:.9g}") for j in o])
        layers.append(dict(layer=layer, kind=kind, experts=experts, weights=weights))
    return layers


def n_experts(model):
    c = model.config
    for k in ("num_experts", "num_local_experts", "n_routed_experts"):
        v = getattr(c, k, None)
        if v:
            return v + (getattr(c, "zero_expert_num", 0) or 0)
    return getattr(getattr(c, "ffn_config", None), "moe_num_experts", 0)


def reference(model, seqs):
    logits, gaps = [], []
    layers = None
    for s in seqs:
        with Capture(model) as cap:
            logits.append(forward(model, s))
        gaps += cap.gaps
        if layers is None:
            layers = routing(cap.calls)
    toks = list(seqs[0][:12])
    steps = []
    for _ in range(24):
        with Capture(model) as cap:
            y = forward(model, toks)[-1]
        gaps += [g for g in cap.gaps]
        v, i = y.topk(2)
        steps.append((int(i[0]), float(v[0] - v[1])))
        toks.append(int(i[0]))
    gaps = torch.cat(gaps) if gaps else torch.tensor([math.inf])
    return logits, layers, dict(prompt=list(seqs[0][:12]), tokens=[t for t, _ in steps], top2_gap=[float(f"{g:.6g}") for _, g in steps]), gaps


def calibrate(model, ids, target=2.0):
    """Scale the output head so that the logits have a standard deviation of about 2."""
    with torch.no_grad():
        for _ in range(4):
            s = forward(model, ids).std().item()
            model.get_output_embeddings().weight.mul_(target / s)
            if model.get_output_embeddings().bias is not None:
                model.get_output_embeddings().bias.mul_(1.0)
            if not model.config.tie_word_embeddings:
                break


def sequences(sp, seed):
    g = np.random.default_rng(seed)
    v = sp["cfg"]["vocab_size"]
    return [[int(x) for x in g.integers(3, v, n)] for n in sp.get("lengths", (44, 7, 1))]


def attention_peak(model, ids):
    """Mean over layers and heads of the largest attention weight in the last row (1/len would be uniform)."""
    try:
        with torch.no_grad():
            a = model(input_ids=torch.tensor([ids]), use_cache=False, output_attentions=True).attentions
        a = [x for x in a if x is not None]
        return float(torch.stack([x[0, :, -1].max(-1).values.mean() for x in a]).mean())
    except Exception:
        return None


def correction_effect(model, ids, layers):
    """Share of (token, layer) whose expert set changes when the correction biases are set to zero."""
    bs = [(n, t) for n, t in model.state_dict().items() if CORRECTION.search(n)]
    if not bs:
        return None
    keep = [t.clone() for _, t in bs]
    for _, t in bs:
        t.zero_()
    with Capture(model) as cap:
        forward(model, ids)
    for (_, t), k in zip(bs, keep):
        t.copy_(k)
    other = routing(cap.calls)
    first = 0  # later layers also change through the hidden states: only the first MoE layer is a clean comparison
    a, b = layers[first]["experts"], other[first]["experts"]
    return float(np.mean([set(x) != set(y) for x, y in zip(a, b)]))


def make(sp, out, seed, tries=12):
    name = sp["family"] + ("" if sp["variant"] == "base" else "-" + sp["variant"])
    folder = os.path.join(out, name)
    t0 = time.time()
    cfg = CONFIG_MAPPING[sp["model_type"]](**copy.deepcopy(sp["cfg"]))
    best = None
    for attempt in range(tries):
        s = zlib.crc32(f"{name}/{seed}/{attempt}".encode())
        torch.manual_seed(s)
        model = prepare(AutoModelForCausalLM.from_config(copy.deepcopy(cfg), dtype=torch.float32, attn_implementation="eager"))
        randomise(model, sp, s)
        seqs = sequences(sp, s)
        calibrate(model, seqs[0] if len(seqs[0]) > 8 else max(seqs, key=len))
        round_weights(model, sp)
        logits, layers, greedy, gaps = reference(model, seqs)
        E = n_experts(model)
        used = [len({e for r in l["experts"] for e in r}) for l in layers]
        low = min([u / E for u in used], default=1.0)
        distinct = min(len(set(greedy["tokens"])), 6)
        score = (min(low, 0.75) if len(seqs[0]) >= 24 else 0.75, distinct, min(float(gaps.min()), 1e-4), min(greedy["top2_gap"]))
        if best is None or score > best[0]:
            best = (score, s, attempt)
        if low >= 0.75 and distinct >= 6 and gaps.min() >= 1e-4 and min(greedy["top2_gap"]) > 1e-3:
            break
    _, s, attempt = best
    model = prepare(AutoModelForCausalLM.from_config(copy.deepcopy(cfg), dtype=torch.float32, attn_implementation="eager"))
    torch.manual_seed(s)
    randomise(model, sp, s)
    seqs = sequences(sp, s)
    calibrate(model, seqs[0] if len(seqs[0]) > 8 else max(seqs, key=len))
    round_weights(model, sp)
    before = [forward(model, q) for q in seqs]
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    tensors = write_checkpoint(model, sp, folder)
    del model
    model = load_checkpoint(folder)
    logits, layers, greedy, gaps = reference(model, seqs)
    diff = max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(logits, before))
    assert diff < 1e-5, f"{name}: reloaded model differs from the saved one: {diff}"
    m5 = load_checkpoint(folder, "config_release.json" if sp.get("v5_main") else "config_v5.json")
    d5 = max(float((forward(m5, q) - b).abs().max() / b.abs().max()) for q, b in zip(seqs, before))
    assert d5 < 1e-5, f"{name}: the two config files mean different things: {d5}"
    E = n_experts(model)
    json.dump(seqs, open(f"{folder}/tokens.json", "w"))
    for i, y in enumerate(logits):
        np.save(f"{folder}/logits-{i}.npy", y.numpy().astype(np.float32))
    json.dump(greedy, open(f"{folder}/greedy.json", "w"), indent=1)
    if layers:
        with open(f"{folder}/routing.json", "w") as f:
            f.write('{"sequence": 0, "layers": [\n' + ",\n".join(json.dumps(l) for l in layers) + "\n]}\n")
    used = [len({e for r in l["experts"] for e in r}) for l in layers]
    info = dict(family=sp["family"], variant=sp["variant"], model_type=sp["model_type"], seed=seed, attempt=attempt, weight_seed=s,
                torch=torch.__version__, transformers=transformers.__version__, storage=DTYPE_NAMES[sp["store"]],
                shards=sp["shards"], tensors=len(tensors), sequence_lengths=[len(q) for q in seqs],
                logits_std=round(float(logits[0].std()), 4), greedy_distinct_tokens=len(set(greedy["tokens"])), mean_largest_attention_weight=attention_peak(model, seqs[0]))
    if layers:
        info.update(experts=E, layers_with_experts=[l["layer"] for l in layers], experts_used=used,
                    selection_gap_min=float(f"{float(gaps.min()):.4g}") if torch.isfinite(gaps.min()) else None,
                    selection_gap_share_above_1e_4=round(float((gaps > 1e-4).double().mean()), 5),
                    correction_bias_changes_share_of_tokens=correction_effect(model, seqs[0], layers))
    json.dump(info, open(f"{folder}/info.json", "w"), indent=1)
    size = sum(os.path.getsize(f"{folder}/{f}") for f in os.listdir(folder))
    print(f"{name:28s} {size / 1e6:6.2f} MB  std {info['logits_std']:.2f}  peak {info['mean_largest_attention_weight'] or 0:.2f}  "
          f"used {used}/{E}  gap {info.get('selection_gap_min', '-')} {info.get('selection_gap_share_above_1e_4', '-')}  "
          f"bias {info.get('correction_bias_changes_share_of_tokens')}  greedy gap {min(greedy['top2_gap']):.2g} distinct {len(set(greedy['tokens']))}  "
          f"try {attempt}  {time.time() - t0:.1f}s", flush=True)


def verify(folders):
    worst = 0.0
    for root in folders:
        subs = [root] if os.path.exists(f"{root}/tokens.json") else sorted(
            f"{root}/{d}" for d in os.listdir(root) if os.path.exists(f"{root}/{d}/tokens.json"))
        for d in subs:
            m = load_checkpoint(d)
            e = 0.0
            for i, q in enumerate(json.load(open(f"{d}/tokens.json"))):
                r = np.load(f"{d}/logits-{i}.npy")
                y = forward(m, q).numpy()
                assert r.shape == y.shape and r.dtype == np.float32 and np.isfinite(y).all() and np.isfinite(r).all()
                e = max(e, float(np.abs(y - r).max() / np.abs(r).max()))
            worst = max(worst, e)
            print(f"{os.path.basename(d):30s} {e:.2e} {'ok' if e < 1e-5 else 'DIFFERS'}", flush=True)
    print(f"largest relative difference {worst:.2e}")
    return worst < 1e-5


def main(specs=SPECS):
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", default=".")
    ap.add_argument("--families", default="", help="comma separated; all when left out")
    ap.add_argument("--variant", default="", help="comma separated; all when left out")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--verify", nargs="+", metavar="DIR")
    ap.add_argument("--list", action="store_true")
    a = ap.parse_args()
    if a.verify:
        sys.exit(0 if verify(a.verify) else 1)
    fam, var = set(filter(None, a.families.split(","))), set(filter(None, a.variant.split(",")))
    todo = [s for s in specs if (not fam or s["family"] in fam) and (not var or s["variant"] in var)]
    if a.list:
        for s in todo:
            print(s["family"], s["variant"], s["store"], f"shards={s['shards']}")
        return
    failed = []
    for s in todo:
        try:
            make(s, a.out, a.seed)
        except Exception as e:
            failed.append(s["family"] + "/" + s["variant"])
            print(f"{s['family']}/{s['variant']} FAILED {type(e).__name__}: {str(e)[:600]}", flush=True)
            if os.environ.get("TRACE"):
                import traceback
                traceback.print_exc()
    if failed:
        print("failed:", *failed)
        sys.exit(1)


if __name__ == "__main__":
    main()
