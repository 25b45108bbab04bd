"""Moiety's own family (src/model/config_own.h): logits against numpy, conversions, verbs, and configurations that make no sense."""
import copy
import json
import math
import subprocess
import time

import numpy as np
import pytest
from checkpoints import logits, read_tensors, write_checkpoint
from conftest import ROOT

VOCABULARY, D = 96, 64
IDS = [1, 5, 9, 33, 17, 2, 80, 4, 4, 71, 60, 12, 95, 0, 33, 17]

CONFIG = json.loads((ROOT / "tests/data/moiety_config.json").read_text())


def tensors_of(config, rng):
    """Random weights with the names and shapes that docs/format.md lists."""
    out = {"token_embd.weight": rng.normal(size=(VOCABULARY, D)), "output_norm.weight": 1 + 0.1 * rng.normal(size=D), "output.weight": rng.normal(size=(VOCABULARY, D)) / 8}

    def ffn(prefix, suffix, kind, count, width):
        stack = (count,) if count else ()
        if kind == "swiglu":
            out[f"{prefix}ffn_gate{suffix}.weight"] = rng.normal(size=(*stack, width, D)) / 6
        out[f"{prefix}ffn_up{suffix}.weight"] = rng.normal(size=(*stack, width, D)) / 6
        out[f"{prefix}ffn_down{suffix}.weight"] = rng.normal(size=(*stack, D, width)) / 6

    def causal_of(p, a):
        q, k = a["heads"] * a["head_size"], a["kv_heads"] * a["head_size"]
        for name, rows in (("attn_q", q), ("attn_k", k), ("attn_v", k)):
            out[f"{p}{name}.weight"] = rng.normal(size=(rows, D)) / 8
            if a.get("bias"):
                out[f"{p}{name}.bias"] = rng.normal(size=rows) / 4
        out[f"{p}attn_output.weight"] = rng.normal(size=(D, q)) / 8
        if a.get("output_bias"):
            out[f"{p}attn_output.bias"] = rng.normal(size=D) / 4
        if a["qk_norm"] != "none":
            whole = a["qk_norm"] == "whole"
            out[f"{p}attn_q_norm.weight"] = 1 + 0.1 * rng.normal(size=q if whole else a["head_size"])
            out[f"{p}attn_k_norm.weight"] = 1 + 0.1 * rng.normal(size=k if whole else a["head_size"])

    def latent_of(p, a):
        h, low, rank, plain, rotated, value = (a[key] for key in ("heads", "q_rank", "kv_rank", "head_size", "rope_head_size", "value_head_size"))
        shapes = {"attn_q_a": (low, D), "attn_q_b": (h * (plain + rotated), low), "attn_kv_a_mqa": (rank + rotated, D), "attn_k_b": (h, rank, plain), "attn_v_b": (h, value, rank), "attn_output": (D, h * value)}
        for name, shape in shapes.items():
            out[f"{p}{name}.weight"] = rng.normal(size=shape) / 6
        for name, size in (("attn_q_a_norm", low), ("attn_kv_a_norm", rank)):
            out[f"{p}{name}.weight"] = 1 + 0.1 * rng.normal(size=size)

    scores = 0  # of the last router
    for i, block in enumerate(config["blocks"]):
        p, a, f = f"blk.{i}.", block["attention"], block["ffn"]
        for name in ("attn_norm", "ffn_norm"):
            out[f"{p}{name}.weight"] = 1 + 0.1 * rng.normal(size=D)
        latent_of(p, a) if a.get("kind") == "latent" else causal_of(p, a)
        if "experts" not in f:
            ffn(p, "", "swiglu", 0, f["width"])
            continue
        ids = sum(g["count"] for g in f["experts"])
        if f.get("gating_residual"):
            out[f"{p}ffn_gate_inp.prev.weight"] = rng.normal(size=(ids, scores)) / 4
        if f.get("router", True):
            out[f"{p}ffn_gate_inp.weight"] = rng.normal(size=(ids, D)) / 4
            scores = ids
        if f.get("bias"):
            out[f"{p}exp_probs_b.bias"] = rng.normal(size=ids) / 4
        if f.get("route_table"):
            out[f"{p}ffn_route_table"] = rng.integers(0, ids, size=VOCABULARY)
        for g, group in enumerate(f["experts"]):
            suffix = f"_exps.{g}" if g else "_exps"
            if group["kind"] == "constant":
                out[f"{p}ffn_const{suffix}.weight"] = rng.normal(size=(group["count"], 2, D)) / 6
                out[f"{p}ffn_const{suffix}.bias"] = rng.normal(size=(group["count"], D))
            elif "width" in group:
                ffn(p, suffix, group["kind"], group["count"], group["width"])
        for g, group in enumerate(f.get("shared", [])):
            suffix = f"_shexp.{g}" if g else "_shexp"
            ffn(p, suffix, group["kind"], 0, group["width"])
            if group.get("gate"):
                out[f"{p}ffn_gate_inp{suffix}.weight"] = rng.normal(size=(1, D)) / 6
    return {name: np.asarray(value, np.float32) for name, value in out.items()}


# The model in double, from its definition.
def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


erf = np.vectorize(math.erf)


def ffn(x, t, name, kind, pick=()):
    up, down = t[name.format("up")][pick], t[name.format("down")][pick]
    inner = up @ x
    if kind == "swiglu":
        gate = t[name.format("gate")][pick] @ x
        inner = gate * sigmoid(gate) * inner
    elif kind == "gelu":
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
    else:
        inner = np.maximum(inner, 0)
    return down @ inner


def expert(x, t, p, groups, e):
    for g, group in enumerate(groups):
        if e < group["count"]:
            break
        e -= group["count"]
    suffix, kind = f"_exps.{g}" if g else "_exps", group["kind"]
    if kind == "zero":
        return np.zeros_like(x)
    if kind == "copy":
        return x
    if kind == "constant":
        a, b = softmax(t[f"{p}ffn_const{suffix}.weight"][e] @ x)
        return a * x + b * t[f"{p}ffn_const{suffix}.bias"][e]
    return ffn(x, t, f"{p}ffn_{{}}{suffix}.weight", kind, e)


def router(x, t, p, f, before):
    """A row's scores; `before` are those of the last router, which go by where there is none."""
    if not f.get("router", True):
        return before
    scores = t[f"{p}ffn_gate_inp.weight"] @ x
    return scores + t[f"{p}ffn_gate_inp.prev.weight"] @ before if f.get("gating_residual") else scores


def choices(scores, t, p, f, token):
    """Expert ids and weights, of the four routings that CONFIG has."""
    if f["routing"] == "hash":
        return [(int(t[f"{p}ffn_route_table"][token]), 1.0)]
    if f["routing"].startswith("sigmoid | bias"):
        weights = sigmoid(scores)
        order = np.argsort(-(weights + t[f"{p}exp_probs_b.bias"]))[:2]
    else:
        weights = softmax(scores)
        order = np.argsort(-weights)[:6]
    return [(e, weights[e] / weights[order].sum()) for e in order]


def rotated(x, theta):
    """All numbers of each head, pairs (i, i + half).   x: [positions, heads, numbers]"""
    n, h = len(x), x.shape[-1]
    angle = np.arange(n)[:, None] * theta ** (-np.arange(0, h, 2) / h)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.concatenate([x[..., :h // 2] * cos - x[..., h // 2:] * sin, x[..., h // 2:] * cos + x[..., :h // 2] * sin], -1)


def attend(q, k, v, window):
    """q, k: [positions, heads, numbers]; v's are of their own number."""
    n = len(q)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(q.shape[-1])
    place = np.arange(n)
    hidden = place[None, :] > place[:, None]
    if window:
        hidden |= place[None, :] <= place[:, None] - window
    scores[:, hidden] = -np.inf
    return np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(n, -1)


def latent_attention(x, t, p, a):
    n, heads, rank, plain, eps = len(x), a["heads"], a["kv_rank"], a["head_size"], a["latent_norm_eps"]
    assert eps == 1e-5  # as `norm` has it
    q = (norm(x @ t[f"{p}attn_q_a.weight"].T, t[f"{p}attn_q_a_norm.weight"]) @ t[f"{p}attn_q_b.weight"].T).reshape(n, heads, -1)
    down = x @ t[f"{p}attn_kv_a_mqa.weight"].T
    latent, shared = norm(down[:, :rank], t[f"{p}attn_kv_a_norm.weight"]), rotated(down[:, None, rank:], a["rope_theta"])
    keys = np.einsum("nr,hrd->nhd", latent, t[f"{p}attn_k_b.weight"])
    q = np.concatenate([q[..., :plain], rotated(q[..., plain:], a["rope_theta"])], -1)
    k = np.concatenate([keys, np.repeat(shared, heads, 1)], -1)
    return attend(q, k, np.einsum("nr,hdr->nhd", latent, t[f"{p}attn_v_b.weight"]), 0) @ t[f"{p}attn_output.weight"].T


def attention(x, t, p, a):
    if a.get("kind") == "latent":
        return latent_attention(x, t, p, a)
    h, n = a["head_size"], len(x)
    q, k, v = (x @ t[f"{p}attn_{name}.weight"].T + t.get(f"{p}attn_{name}.bias", 0) for name in "qkv")
    if a["qk_norm"] == "whole":
        q, k = norm(q, t[f"{p}attn_q_norm.weight"]), norm(k, t[f"{p}attn_k_norm.weight"])
    q, k, v = (y.reshape(n, -1, h) for y in (q, k, v))
    if a["qk_norm"] == "per_head":
        q, k = norm(q, t[f"{p}attn_q_norm.weight"]), norm(k, t[f"{p}attn_k_norm.weight"])
    q, k = rotated(q, a["rope_theta"]), rotated(k, a["rope_theta"])
    share = a["heads"] // a["kv_heads"]
    return attend(q, np.repeat(k, share, 1), np.repeat(v, share, 1), a["window"]) @ t[f"{p}attn_output.weight"].T + t.get(f"{p}attn_output.bias", 0)


def expected(config, tensors, ids):
    t = {name: value.astype(np.float64) for name, value in tensors.items()}
    x, scores = t["token_embd.weight"][ids], [None] * len(ids)
    for i, block in enumerate(config["blocks"]):
        p, f = f"blk.{i}.", block["ffn"]
        x = x + attention(norm(x, t[f"{p}attn_norm.weight"]), t, p, block["attention"])
        y = norm(x, t[f"{p}ffn_norm.weight"])
        if "experts" not in f:
            x = x + np.stack([ffn(row, t, f"{p}ffn_{{}}.weight", "swiglu") for row in y])
            continue
        out, scores = [], [router(row, t, p, f, before) for row, before in zip(y, scores, strict=True)]
        for row, own, token in zip(y, scores, ids, strict=True):
            sum_ = sum(w * expert(row, t, p, f["experts"], e) for e, w in choices(own, t, p, f, token))
            for g, group in enumerate(f.get("shared", [])):
                suffix = f"_shexp.{g}" if g else "_shexp"
                weight = sigmoid(t[f"{p}ffn_gate_inp{suffix}.weight"] @ row) if group.get("gate") else 1
                sum_ = sum_ + weight * ffn(row, t, f"{p}ffn_{{}}{suffix}.weight", group["kind"])
            out.append(sum_)
        x = x + np.stack(out)
    return norm(x, t["output_norm.weight"]) @ t["output.weight"].T


def call(moiety, *args, status=0):
    run = subprocess.run([moiety, "--quiet", *map(str, args)], capture_output=True, text=True, timeout=120)
    assert run.returncode == status, f"status {run.returncode}: {run.stderr[-800:]}"
    return run.stdout if status == 0 else run.stderr


def bits(moiety, model, out, *options):
    call(moiety, "logits", model, "--tokens", ",".join(map(str, IDS)), "--out", out, *options)
    return (out / "logits-0.npy").read_bytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    return write_checkpoint(folder / "hf", CONFIG, tensors_of(CONFIG, np.random.default_rng(5)))


def test_logits_are_those_of_the_definition(moiety, model, tmp_path):
    want = expected(CONFIG, read_tensors(model), IDS)
    got, _ = logits(moiety, model, IDS, tmp_path / "f32")
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
    bits(moiety, model, tmp_path / "auto", "--kv", "f32")  # weights in the kernels' order: experts run fused
    assert np.abs(np.load(tmp_path / "auto/logits-0.npy") - want).max() <= 1e-4 * np.abs(want).max()


def test_a_token_has_the_same_bits_in_any_batch(moiety, model, tmp_path):
    for compute in ("auto", "f32"):
        whole = bits(moiety, model, tmp_path / "a", "--compute", compute)
        assert whole == bits(moiety, model, tmp_path / "b", "--compute", compute, "--chunk", 1)
        assert whole == bits(moiety, model, tmp_path / "c", "--compute", compute, "--chunk", 5, "--threads", 1)


def test_there_and_back(moiety, model, tmp_path):
    call(moiety, "convert", model, tmp_path / "model.gguf")
    call(moiety, "convert", tmp_path / "model.gguf", tmp_path / "back", "--to", "hf")
    assert bits(moiety, model, tmp_path / "a") == bits(moiety, tmp_path / "model.gguf", tmp_path / "b") == bits(moiety, tmp_path / "back", tmp_path / "c")
    before, after = read_tensors(model), read_tensors(tmp_path / "back")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert np.array_equal(value.reshape(-1), after[name].reshape(-1)), name
    config = json.loads((tmp_path / "back/config.json").read_text())
    assert all(config[key] == value for key, value in CONFIG.items() if key != "eos_token_id")


def test_quantised_and_packed(moiety, model, tmp_path):
    want = expected(CONFIG, read_tensors(model), IDS)
    for name, most in (("q8_0", 0.05), ("q4_k_m", 0.5)):
        call(moiety, "convert", model, tmp_path / f"{name}.gguf", "--type", name)
        plain = bits(moiety, tmp_path / f"{name}.gguf", tmp_path / name)
        error = np.abs(np.load(tmp_path / name / "logits-0.npy") - want)
        assert error.mean() <= most * np.abs(want).mean(), name
        call(moiety, "pack", tmp_path / f"{name}.gguf", tmp_path / f"{name}.packed.gguf")
        assert plain == bits(moiety, tmp_path / f"{name}.packed.gguf", tmp_path / "packed")
        types = {t["name"]: t["type"] for t in json.loads(call(moiety, "inspect", tmp_path / f"{name}.gguf", "--tensors", "--json"))["tensors"]}
        for exact in ("blk.1.ffn_gate_inp.weight", "blk.1.ffn_const_exps.4.weight", "blk.1.ffn_const_exps.4.bias", "blk.1.ffn_gate_inp_shexp.weight", "blk.2.ffn_route_table", "blk.3.exp_probs_b.bias", "blk.3.ffn_gate_inp.prev.weight", "blk.1.attn_k.bias", "blk.2.attn_output.bias"):
            assert types[exact] == "F32", exact
        assert types["blk.1.ffn_up_exps.1.weight"] != "F32" and types["blk.3.ffn_down_exps.1.weight"] != "F32"


def test_rules_name_experts_by_their_ids(moiety, model, tmp_path):
    (tmp_path / "rules").write_text("1:3-4 q8_0\n")  # the second group
    call(moiety, "convert", model, tmp_path / "model.gguf", "--types", tmp_path / "rules")
    types = {t["name"]: t["type"] for t in json.loads(call(moiety, "inspect", tmp_path / "model.gguf", "--tensors", "--json"))["tensors"]}
    assert types["blk.1.ffn_up_exps.1.weight"] == "Q8_0" and types["blk.1.ffn_up_exps.weight"] == "F32" and types["blk.1.ffn_up_exps.5.weight"] == "F32"


def test_other_verbs(moiety, model, tmp_path):
    report = json.loads(call(moiety, "inspect", model, "--json"))
    assert report["family"] == "moiety" and report["moe_layers"] == [1, 2, 3]
    assert report["experts"][0]["kinds"] == {"ffn": 3, "gelu": 2, "zero": 1, "copy": 2, "constant": 2, "relu": 1}
    assert report["experts"][0]["widths"] == [32, 64, 96] and "layers 2: hash" in report["routing"]
    (tmp_path / "ids.json").write_text(json.dumps([IDS]))
    call(moiety, "trace", model, "--tokens-file", tmp_path / "ids.json", "--out", tmp_path / "t.npz")
    trace = np.load(tmp_path / "t.npz")
    assert list(trace["layers"]) == [1, 2, 3] and (trace["experts"][:, 0] >= 0).sum() == 6 * len(IDS) and (trace["experts"][:, 1] >= 0).sum() == len(IDS)
    routes = json.loads(call(moiety, "routes", tmp_path / "t.npz", "--json"))["layers"]
    assert [len(layer["load"]) for layer in routes] == list(trace["counts"]) == [11, 4, 5]
    for layer in routes:  # a quarter of its own experts
        quarter = math.ceil(len(layer["load"]) / 4)
        assert layer["busiest_quarter"] == pytest.approx(sum(sorted(layer["load"])[-quarter:]))
    assert json.loads(call(moiety, "bench", model, "-p", 8, "-n", 4, "-r", 1, "--json"))
    two = bits(moiety, model, tmp_path / "a", "--routing", "layers 1: softmax | top_k(1); @model")
    assert two != bits(moiety, model, tmp_path / "b")
    message = call(moiety, "logits", model, "--tokens", "1,2", "--out", tmp_path / "c", "--routing", "softmax | top_k(1)", status=2)
    assert "layer 2" in message and "no router" in message


def change(config, *path, value=None):
    """A copy with one thing changed, or left out."""
    out = copy.deepcopy(config)
    at = out
    for key in path[:-1]:
        at = at[key]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return out


SITE = ("blocks", 1, "ffn")


@pytest.mark.parametrize("path, value, words", [
    (("blocks",), None, "key blocks"),
    (("blocks",), [], "key blocks"),
    (("blocks",), [3], "key blocks"),
    (("hidden_size",), None, "hidden_size"),
    (("hidden_size",), 1 << 30, "hidden_size is 1073741824"),
    (("vocab_size",), 1 << 30, "vocab_size"),
    (("rms_norm_eps",), None, "rms_norm_eps"),
    (("blocks", 1, "attention"), None, "blocks[1]: key attention"),
    (("blocks", 1, "attention", "heads"), None, "key heads is missing"),
    (("blocks", 3, "attention", "kv_heads"), 3, "do not divide"),
    (("blocks", 1, "attention", "kv_heads"), 0, "kv_heads is 0"),
    (("blocks", 1, "attention", "head_size"), 7, "pairs"),
    (("blocks", 1, "attention", "rope_theta"), 0, "rope theta"),
    (("blocks", 1, "attention", "window"), -1, "window"),
    (("blocks", 1, "attention", "qk_norm"), "l3", "qk_norm 'l3'"),
    (("blocks", 1, "attention", "sinks"), True, "'sinks' is not known"),
    (("blocks", 0, "attention", "bias"), True, "blk.0.attn_k.bias is missing"),
    (("blocks", 2, "attention", "output_bias"), 1, "output_bias"),
    (("blocks", 0, "attention", "kind"), "linear", "no kind of attention 'linear'"),
    (("blocks", 4, "attention", "kv_rank"), 0, "kv_rank is 0"),
    (("blocks", 4, "attention", "kv_rank"), None, "kv_rank is missing"),
    (("blocks", 4, "attention", "rope_head_size"), 5, "pairs"),
    (("blocks", 4, "attention", "kv_heads"), 2, "'kv_heads' is not known"),
    (("blocks", 5, "attention", "value_head_size"), 8, "differ from those of the latent attention before"),
    (("blocks", 4, "attention", "latent_norm_eps"), "small", "latent_norm_eps"),
    (("blocks", 0, "ffn", "width"), None, "width is missing"),
    (("blocks", 0, "ffn", "width"), 1 << 29, "width is"),
    ((*SITE, "experts"), [], "0 experts"),
    ((*SITE, "experts"), "many", "key experts"),
    ((*SITE, "experts", 0, "kind"), "glu", "no kind of expert 'glu'; there are swiglu, gelu"),
    ((*SITE, "experts", 0, "count"), 0, "count is 0"),
    ((*SITE, "experts", 0, "count"), 1 << 30, "count is"),
    ((*SITE, "experts", 0, "width"), None, "width is missing"),
    ((*SITE, "experts", 0, "width"), 1 << 30, "width"),
    ((*SITE, "experts", 2, "width"), 8, "'width' is not known"),
    ((*SITE, "shared", 0, "kind"), "copy", "must be FFNs"),
    ((*SITE, "routing"), None, "routing is missing"),
    ((*SITE, "routing"), "softmax | top_k(99)", "99"),
    ((*SITE, "routing"), "softmax | top_k(2", "routing"),
    ((*SITE, "routing"), "sigmoid | bias | top_k(2)", "no correction bias"),
    ((*SITE, "routing"), "hash", "no table"),
    ((*SITE, "routing"), "@model", "@model is this text itself"),
    ((*SITE, "routing"), "softmax | top_k(2) | @model", "@model is this text itself"),
    ((*SITE, "routing"), "layers 1: softmax | top_k(2)", "no rules by layer"),
    ((*SITE, "routing"), "softmax | top_k(2); layers 1: softmax | top_k(1)", "no rules by layer"),
    ((*SITE, "router"), False, "needs a router"),
    ((*SITE, "gating_residual"), True, "no router before this one"),
    (("blocks", 2, "ffn", "gating_residual"), True, "no router here"),
    (("blocks", 3, "ffn", "gating_residual"), "yes", "gating_residual"),
    ((*SITE, "experts", 0, "width"), 96, "ffn_gate_exps"),  # of another shape than the tensors
    ((*SITE, "experts", 0, "count"), 4, "ffn_gate_inp"),
    (("blocks", 2, "ffn", "route_table"), False, "no table"),
])
def test_configurations_of_no_sense(moiety, model, tmp_path, path, value, words):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").hardlink_to(model / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(change(CONFIG, *path, value=value)))
    message = call(moiety, "logits", folder, "--tokens", "1,2", "--out", tmp_path / "out", status=1)
    assert words in message and message.startswith("moiety: ") and message.count("moiety: ") == 1, message
    assert not (tmp_path / "out").exists()


def test_a_table_that_names_no_expert(moiety, model, tmp_path):
    tensors = read_tensors(model)
    tensors["blk.2.ffn_route_table"][7] = 4
    write_checkpoint(tmp_path / "model", CONFIG, tensors)
    message = call(moiety, "logits", tmp_path / "model", "--tokens", "1,2", "--out", tmp_path / "out", status=2)
    assert "layer 2 names expert 4 of 4" in message


def test_huge_configurations_take_no_memory(moiety, tmp_path):
    groups = [{"kind": "zero", "count": 65536}] * 1000
    block = {"attention": CONFIG["blocks"][0]["attention"], "ffn": {"experts": groups, "routing": "softmax | top_k(2)"}}
    for experts, words in ((groups, "65536000 experts"), (groups[:1], "experts in all")):
        write_checkpoint(tmp_path / "model", {**CONFIG, "blocks": [change(block, "ffn", "experts", value=experts)] * 100}, {})
        began = time.monotonic()
        message = call(moiety, "logits", tmp_path / "model", "--tokens", "1", "--out", tmp_path / "out", status=1)
        assert words in message and time.monotonic() - began < 20
