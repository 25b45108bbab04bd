"""`trace`, `routes`, `eval`, `bench`, `logits` and `routing` as scripts see them: arrays, keys, numbers worked out here, exit statuses."""
import json
import math
import pathlib
import subprocess

import numpy as np
import pytest
from conftest import ROOT

FIXTURES = ROOT / "tests/fixtures"


def run(moiety, *args, status=0):
    done = subprocess.run([moiety, "--quiet", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def trace(moiety, tmp_path, name, *args):
    run(moiety, "trace", FIXTURES / name, "--tokens-file", FIXTURES / name / "tokens.json", "--out", tmp_path / "t.npz", "--compute", "f32", *args)
    return np.load(tmp_path / "t.npz")


# --- trace ---------------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["mixtral", "deepseek_v3", "jetmoe", "longcat_flash", "phimoe"])
def test_trace_is_what_transformers_routed(moiety, tmp_path, name):
    z = trace(moiety, tmp_path, name, "--scores")
    texts = json.loads((FIXTURES / name / "tokens.json").read_text())
    assert [z[k].dtype for k in ("tokens", "layers", "experts", "weights", "scores", "sequence", "position")] == \
        [np.int32, np.int32, np.int32, np.float32, np.float32, np.int32, np.int32]
    assert z["tokens"].tolist() == [t for text in texts for t in text]
    assert z["sequence"].tolist() == [i for i, text in enumerate(texts) for _ in text]
    assert z["position"].tolist() == [p for text in texts for p in range(len(text))]
    n = len(texts[0])
    assert (np.diff(z["weights"], axis=2) <= 0).all() and ((z["experts"] >= 0) | (z["weights"] == 0)).all()
    for layer in json.loads((FIXTURES / name / "routing.json").read_text())["layers"]:
        prefix = "attn_" if layer["kind"] == "attention" else ""
        m = z[prefix + "layers"].tolist().index(layer["layer"])
        for t in range(n):
            mine = dict(zip(z[prefix + "experts"][t, m].tolist(), z[prefix + "weights"][t, m].tolist()))
            mine.pop(-1, None)
            theirs = dict(zip(layer["experts"][t], layer["weights"][t]))
            assert mine.keys() == theirs.keys()
            assert all(math.isclose(mine[e], theirs[e], rel_tol=1e-4, abs_tol=1e-9) for e in mine)


def test_trace_scores_are_the_routers(moiety, tmp_path):
    z = trace(moiety, tmp_path, "mixtral", "--scores")
    p = np.exp(z["scores"] - z["scores"].max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    chosen = np.take_along_axis(p, z["experts"], 2)
    assert np.allclose(chosen / chosen.sum(-1, keepdims=True), z["weights"], atol=1e-5)
    assert (np.sort(p, axis=2)[:, :, -1] == chosen[:, :, 0]).all()


def test_trace_pads_where_a_token_has_fewer(moiety, tmp_path):
    z = trace(moiety, tmp_path, "mixtral", "--routing", "layers 0: softmax | top_p(0.4); layers 1: @model | drop(0-7); all: softmax | top_k(1)")
    counts = (z["experts"] >= 0).sum(2)
    assert counts[:, 0].min() < counts[:, 0].max() and (counts[:, 1] == 0).all() and (counts[:, 2] == 1).all()
    assert (z["experts"][:, 1] == -1).all() and (z["weights"][:, 1] == 0).all()
    assert (np.diff((z["experts"] >= 0).astype(int), axis=2) <= 0).all()  # what is there comes first


def test_one_text_has_no_sequence(moiety, tmp_path):
    (tmp_path / "one.json").write_text("[[1,2,3]]")
    run(moiety, "trace", FIXTURES / "mixtral", "--tokens-file", tmp_path / "one.json", "--out", tmp_path / "t.npz")
    assert sorted(np.load(tmp_path / "t.npz").files) == ["counts", "experts", "layers", "tokens", "weights"]


# --- routes --------------------------------------------------------------------------------------------------------------------------

def test_routes_are_counted_right(moiety, tmp_path):
    z = trace(moiety, tmp_path, "jetmoe")
    d = json.loads(run(moiety, "routes", tmp_path / "t.npz", "--json", "--html", tmp_path / "r.html", "--png", tmp_path / "r.png"))
    assert d["tokens"] == len(z["tokens"])
    assert [(l["layer"], l["site"]) for l in d["layers"]] == [(l, s) for s in ("ffn", "attn") for l in range(len(z["layers"]))]
    for l in d["layers"]:
        experts = z["attn_experts" if l["site"] == "attn" else "experts"][:, l["layer"]]
        load = np.bincount(experts[experts >= 0], minlength=len(l["load"])) / (experts >= 0).sum()
        assert np.allclose(l["load"], load)
        assert math.isclose(l["entropy_bits"], -sum(p * math.log2(p) for p in load if p > 0), abs_tol=1e-9)
        pairs = [(set(experts[i - 1]), set(experts[i])) for i in range(1, len(experts)) if z["sequence"][i] == z["sequence"][i - 1]]
        assert math.isclose(l["reuse"], sum(len(a & b) for a, b in pairs) / sum(len(b) for _, b in pairs), abs_tol=1e-9)
        assert l["experts_per_token"] == 2
        for pair in l["together"]:
            a, b = ((experts == e).any(1) for e in pair["experts"])
            assert math.isclose(pair["lift"], (a & b).sum() * len(experts) / (a.sum() * b.sum()), rel_tol=1e-9)
    page = (tmp_path / "r.html").read_text()
    assert "http://" not in page and "https://" not in page and "src=" not in page  # nothing that a network must bring
    assert (tmp_path / "r.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_routes_compare(moiety, tmp_path):
    trace(moiety, tmp_path, "mixtral")
    (tmp_path / "t.npz").rename(tmp_path / "a.npz")
    trace(moiety, tmp_path, "mixtral", "--routing", "layers 1: drop(0) | @model")
    same = json.loads(run(moiety, "routes", tmp_path / "a.npz", tmp_path / "a.npz", "--json"))
    assert same["load_distance"] == [0, 0, 0]
    other = json.loads(run(moiety, "routes", tmp_path / "a.npz", tmp_path / "t.npz", "--json"))["load_distance"]
    assert other[0] == 0 and 0 < other[1] <= 1 and 0 < other[2] <= 1
    trace(moiety, tmp_path, "deepseek_v3")
    assert "different layers" in run(moiety, "routes", tmp_path / "a.npz", tmp_path / "t.npz", status=1)


def test_no_trace_is_said(moiety, tmp_path):
    np.savez(tmp_path / "x.npz", tokens=np.zeros(3, np.int32))
    assert "no array layers" in run(moiety, "routes", tmp_path / "x.npz", status=1)


# --- eval: a model with a tokenizer of the repository ---------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def with_tokenizer(tmp_path_factory):
    """A mixture of the fixtures beside a byte-level tokenizer of as many tokens as it knows."""
    folder = tmp_path_factory.mktemp("model")
    for file in (FIXTURES / "mixtral").iterdir():
        if file.suffix in (".safetensors", ".json") and file.name not in ("tokens.json", "greedy.json", "routing.json"):
            (folder / file.name).symlink_to(file)
    letters = [chr(c) for c in range(33, 33 + 94)] + ["\u0120", "\u010a"]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None, "truncation": None, "padding": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}, "decoder": {"type": "ByteLevel"},
        "model": {"type": "BPE", "vocab": {t: i for i, t in enumerate(letters)}, "merges": []}}))
    return folder


def ids_of(text):
    return [94 if c == " " else 95 if c == "\n" else ord(c) - 33 for c in text]


def logits(moiety, model, ids, tmp_path, *args):
    (tmp_path / "ids.json").write_text(json.dumps(ids))
    run(moiety, "logits", model, "--tokens-file", tmp_path / "ids.json", "--compute", "f32", "--out", tmp_path / "l", *args)
    out = [np.load(tmp_path / f"l/logits-{i}.npy").astype(np.float64) for i in range(len(ids))]
    return [x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True) for x in out]


TEXT = "The quick brown fox jumps over the lazy dog, again and again; and so on <s> until the window is full.\n" * 3


def test_perplexity_follows_the_protocol(moiety, with_tokenizer, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    d = json.loads(run(moiety, "eval", "perplexity", with_tokenizer, "--file", tmp_path / "text", "--context", 32, "--compute", "f32", "--json"))
    ids = ids_of(TEXT)
    windows = [ids[i:i + 32] for i in range(0, len(ids) - 31, 32)]
    scores = logits(moiety, with_tokenizer, windows, tmp_path)
    nll = np.array([-s[p - 1, w[p]] for s, w in zip(scores, windows) for p in range(17, 32)])
    assert d["context"] == 32 and d["chunks"] == len(windows) and d["tokens"] == len(nll)
    assert math.isclose(d["nll_per_token"], nll.mean(), rel_tol=1e-6)
    assert math.isclose(d["perplexity"], math.exp(nll.mean()), rel_tol=1e-6)
    assert math.isclose(d["bits_per_byte"], nll.mean() / math.log(2), rel_tol=1e-6)  # a byte a token
    assert math.isclose(d["perplexity_stderr"], math.exp(nll.mean()) * nll.std() / math.sqrt(len(nll) - 1), rel_tol=1e-6)
    few = json.loads(run(moiety, "eval", "perplexity", with_tokenizer, "--file", tmp_path / "text", "--context", 32, "--chunks", 2, "--json"))
    assert few["chunks"] == 2 and few["tokens"] == 30
    assert "fill a window" in run(moiety, "eval", "perplexity", with_tokenizer, "--file", tmp_path / "text", status=1)


def test_compare_two_routings(moiety, with_tokenizer, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    args = ["eval", "compare", with_tokenizer, "--file", tmp_path / "text", "--context", 32, "--compute", "f32", "--json"]
    routing = "softmax | top_k(1)"
    d = json.loads(run(moiety, *args, "--other-routing", routing))
    ids = ids_of(TEXT)
    windows = [ids[i:i + 32] for i in range(0, len(ids) - 31, 32)]
    a, b = (logits(moiety, with_tokenizer, windows, tmp_path, "--routing", r) for r in ("@model", routing))
    a, b = (np.concatenate([x[16:31] for x in each]) for each in (a, b))
    kl = (np.exp(a) * (a - b)).sum(1)
    assert math.isclose(d["kl_mean"], kl.mean(), rel_tol=1e-4) and math.isclose(d["kl_max"], kl.max(), rel_tol=1e-4)
    assert math.isclose(d["top1_agreement"], (a.argmax(1) == b.argmax(1)).mean()) and d["tokens"] == len(kl)
    for side, x in (("a", a), ("b", b)):
        nll = [-x[i, w[p]] for i, (w, p) in enumerate((w, p) for w in windows for p in range(17, 32))]
        assert math.isclose(d[side]["perplexity"], math.exp(np.mean(nll)), rel_tol=1e-5)
    same = json.loads(run(moiety, *args, with_tokenizer))
    assert abs(same["kl_mean"]) < 1e-12 and same["top1_agreement"] == 1 and same["a"] == same["b"]


def test_choice_by_both_likelihoods(moiety, with_tokenizer, tmp_path):
    # What questions and choices begin with alike is computed once: it must make no difference.
    questions = [{"query": "Is it red?", "choices": ["yes it is", "no", "perhaps so"], "gold": 1},
                 {"query": "Is it red? no. Is it blue?", "choices": ["it may be", "it is", "it may not"], "gold": 2},
                 {"query": "Is it red? no. Two and two", "choices": ["four", "five is what it may be"], "gold": 0},
                 {"query": "A", "choices": ["B", "C", "D", "E"], "gold": 3, "task": "more keys do no harm"}]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, questions)) + "\n\n")
    d = json.loads(run(moiety, "eval", "choice", with_tokenizer, "--file", tmp_path / "q.jsonl", "--compute", "f32", "--json"))
    plain = norm = 0
    for q in questions:
        texts = [ids_of(q["query"] + " " + c) for c in q["choices"]]
        sums = [sum(s[p - 1, t[p]] for p in range(len(q["query"]), len(t))) for s, t in zip(logits(moiety, with_tokenizer, texts, tmp_path), texts)]
        plain += int(np.argmax(sums)) == q["gold"]
        norm += int(np.argmax([s / len(c) for s, c in zip(sums, q["choices"])])) == q["gold"]
    assert d["n"] == 4 and math.isclose(d["accuracy"], plain / 4) and math.isclose(d["accuracy_norm"], norm / 4)
    assert math.isclose(d["chance"], (2 / 3 + 1 / 2 + 1 / 4) / 4)
    low, high = d["interval95"]
    assert 0 <= low <= d["accuracy_norm"] <= high <= 1 and high - low > 0.3
    assert json.loads(run(moiety, "eval", "choice", with_tokenizer, "--file", tmp_path / "q.jsonl", "--limit", 1, "--json"))["n"] == 1
    (tmp_path / "q.jsonl").write_text(json.dumps(questions[0]) + '\n{"query": "x", "choices": ["a"], "gold": 1}\n')
    assert "line 2" in run(moiety, "eval", "choice", with_tokenizer, "--file", tmp_path / "q.jsonl", status=1)


# --- bench ---------------------------------------------------------------------------------------------------------------------------

KEYS = ["test", "batch", "depth", "tokens_per_s", "runs", "threads", "active_bytes_per_token", "read_gb_per_s", "bandwidth_gb_per_s",
        "bandwidth_fraction", "gmac_per_s", "peak_gmac_per_s", "peak_fraction", "peak_rss_bytes"]


def test_bench_keys(moiety):
    tests = json.loads(run(moiety, "bench", FIXTURES / "mixtral", "-p", 16, "-n", 4, "-b", 2, "-d", 3, "-r", 3, "-t", 1, "--json"))
    assert [t["test"] for t in tests] == ["pp16", "tg4"]
    for t in tests:
        assert list(t) == KEYS and t["batch"] == 2 and t["depth"] == 3 and t["runs"] == 3 and t["threads"] == 1
        assert 0 < t["tokens_per_s"]["min"] <= t["tokens_per_s"]["median"] <= t["tokens_per_s"]["max"]
        assert t["bandwidth_gb_per_s"] > 0.1 and t["peak_gmac_per_s"] > 0.1
        assert math.isclose(t["bandwidth_fraction"], t["read_gb_per_s"] / t["bandwidth_gb_per_s"], rel_tol=1e-9)
        assert math.isclose(t["peak_fraction"], t["gmac_per_s"] / t["peak_gmac_per_s"], rel_tol=1e-9)
        assert t["peak_rss_bytes"] > 1 << 20 and t["read_gb_per_s"] > 0 and t["gmac_per_s"] > 0
    # Two experts of eight, everything else, and of the embedding nothing: BF16, norms in float32.
    from test_inspect import ROUTED, elements, tensors
    stored = tensors(FIXTURES / "mixtral")
    size = {n: elements(s) * (4 if len(s) == 1 else 2) for n, (s, _) in stored.items()}
    routed = sum(b for n, b in size.items() if ROUTED.search(n))
    assert tests[1]["active_bytes_per_token"] == sum(size.values()) - routed * 6 // 8 - size["model.embed_tokens.weight"]
    # Generated one by one, a token reads its weights and the rows that are cached so far: 10 and itself, and so on.
    [deep] = json.loads(run(moiety, "bench", FIXTURES / "mixtral", "-p", 0, "-n", 4, "-d", 10, "-r", 1, "--json"))
    c = json.loads((FIXTURES / "mixtral/config.json").read_text())
    row = c["num_hidden_layers"] * 2 * c["num_key_value_heads"] * (c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]) * 2
    read = deep["read_gb_per_s"] * 1e9 / deep["tokens_per_s"]["median"]
    assert math.isclose(read, deep["active_bytes_per_token"] + row * (11 + 12 + 13 + 14) / 4, rel_tol=1e-9)
    only = json.loads(run(moiety, "bench", FIXTURES / "mixtral", "-p", 0, "-n", 2, "-r", 1, "--json"))
    assert [t["test"] for t in only] == ["tg2"]


# A token of its own uses few experts without that routing has collapsed.
def test_bench_tells_collapsed_routing(moiety):
    def said(tokens, routing):
        command = [moiety, "bench", FIXTURES / "mixtral", "-p", str(tokens), "-n", "0", "-r", "1", "--routing", routing]
        return subprocess.run(command, capture_output=True, text=True, check=True).stderr
    two = "softmax | only(0,1) | top_k(2)"
    assert "routing has collapsed" in said(64, two)
    assert "collapsed" not in said(64, "@model") and "collapsed" not in said(1, two)


# --- logits --------------------------------------------------------------------------------------------------------------------------

def test_logits_all_or_none(moiety, tmp_path):
    model = FIXTURES / "mixtral"
    run(moiety, "logits", model, "--tokens", "1,2,3", "--out", tmp_path / "a")
    array = np.load(tmp_path / "a/logits-0.npy")
    assert array.dtype == np.float32 and array.shape == (3, 96) and np.isfinite(array).all()
    for ids, reason in (("[[1,2],[3,96]]", "96 is outside the vocabulary"), ("[[1,2],[-1]]", "-1 is outside"),
                        (json.dumps([[1], [2] * 300]), "do not fit into the context"), ("[[]]", "empty list"), ("{}", "not a JSON list"), ("[]", "no list")):
        (tmp_path / "ids.json").write_text(ids)
        assert reason in run(moiety, "logits", model, "--tokens-file", tmp_path / "ids.json", "--out", tmp_path / "b", status=1)
        assert not (tmp_path / "b").exists()
    run(moiety, "logits", model, "--tokens", "1,x", "--out", tmp_path / "b", status=2)
    run(moiety, "logits", model, "--out", tmp_path / "b", status=2)


# --- routing -------------------------------------------------------------------------------------------------------------------------

def test_every_stage_is_documented(moiety):
    stages = json.loads(run(moiety, "routing", "list", "--json"))
    page = (ROOT / "docs/routing.md").read_text()
    text = run(moiety, "routing", "list")
    for s in stages:
        assert s["meaning"] and s["source"] and s["mark"] in ("row", "batch", "future", "residency", "training")
        row = f"| `{s['name']}({s['signature']})` | {s['meaning']} | {s['source']} | {s['mark']} |"
        assert row in page.replace("\\|", "|")
        assert f"{s['name']}({s['signature']})" in text and s["source"] in text
        if s["name"] != "bias":  # needs a model's own
            assert (ROOT / f"src/routing/stage_{'drop' if s['name'] == 'only' else s['name']}.cc").exists()


def test_wrong_texts_are_wrong_commands(moiety, tmp_path):
    for text, column in (("softmax | topk(2)", 11), ("softmax", 1), ("linear | linear | top_k(1)", 10), ("top_k(2) |", 11), ("@model | keep(0)", 15)):
        for args in (["routing", "explain", text], ["logits", FIXTURES / "mixtral", "--tokens", "1", "--out", tmp_path / "x", "--routing", text]):
            error = run(moiety, *args, status=2)
            lines = error.splitlines()
            assert f"column {column}:" in lines[0] and lines[1][2:] == text and lines[2].index("^") == column - 1 + 2
    # What only the model can tell.
    error = run(moiety, "logits", FIXTURES / "mixtral", "--tokens", "1", "--out", tmp_path / "x", "--routing", "softmax | top_k(9)", status=2)
    assert "8 experts" in error and not (tmp_path / "x").exists()
    explained = json.loads(run(moiety, "routing", "explain", "layers 0-1: @model; all: softmax | top_k(2)", "--json"))
    assert explained["text"] == "layers 0-1: @model; all: softmax | top_k(2)" and "largest score" in explained["explanation"]
