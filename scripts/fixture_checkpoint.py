"""Checkpoints as they are released: random weights, config.json with the released keys, shards and storage types; and back."""
import copy
import json
import math
import os
import re
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
DTYPE_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}

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
                fan = max(1, p.shape[-1])  # no shared experts: no columns
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
