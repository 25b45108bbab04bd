"""`[model] from`: training that starts from a model that is there, and what it leaves of it."""
import json
import shutil

import numpy as np
import pytest
from checkpoints import read_tensors
from conftest import BUILD, ROOT
from safetensors.numpy import load_file, save_file
from small_models import write_model
from test_train import TOKENIZER, call, configuration

if not (BUILD / "moiety-learn").exists():
    pytest.skip("built without libtorch", allow_module_level=True)

ONE = "the small house by the old river"  # a document that is less than a window


@pytest.fixture(scope="module")
def base(moiety, tmp_path_factory):
    """A small qwen3_moe of our own, which has learnt a little, with a chat template."""
    folder = tmp_path_factory.mktemp("base")
    call(moiety, "train", configuration(folder, steps=15))
    config = folder / "run/model/tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"}))
    return folder / "run/model"


def fine(folder, start, name="fine", steps=3, rules="", context=24, more="", data="", rate=0.01):
    (folder / "one.txt").write_text(ONE)
    (folder / "words.txt").write_text("\f".join(f"a green house by wood number {i} stands near the river" for i in range(60)))
    (folder / f"{name}.toml").write_text(f'''
steps = {steps}
batch = 4
checkpoint_every = 2
{rules}
[optimiser]
rate = {rate}
[model]
from = "{start}"
context = {context}
{more}
[data]
{data}
[[data.source]]
files = "words.txt"
held_out = "one.txt"
domain = "words"
''')
    return folder / f"{name}.toml"


def engine_nll(moiety, model, folder, first=None, tokenizer=None):
    """Of the text behind the token that ends texts, by the engine."""
    ids = json.loads(call(moiety, "tokenize", tokenizer or model, ONE, "--no-special", "--json"))["ids"]
    first = json.loads((model / "config.json").read_text())["eos_token_id"] if first is None else first
    call(moiety, "logits", model, "--tokens", ",".join(map(str, [first, *ids[:-1]])), "--out", folder / "logits", "--compute", "f32")
    logits = np.load(folder / "logits/logits-0.npy").astype(np.float64)
    top = logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(logits - top).sum(axis=1)) + top[:, 0]
    return float(np.mean(log_sums - logits[np.arange(len(ids)), ids]))


def same_perplexity(a, b):
    return np.exp(a) == pytest.approx(np.exp(b), rel=1e-4)


def evaluations(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["evaluation"]["words"] for line in lines if "evaluation" in line}


def changed(before, after):
    """Names of the tensors that differ, in any bit."""
    a, b = load_file(before / "model.safetensors"), load_file(after / "model.safetensors")
    assert a.keys() == b.keys() and all(a[n].shape == b[n].shape for n in a)
    return {n for n in a if a[n].astype(np.float32).tobytes() != b[n].astype(np.float32).tobytes()}


def test_it_begins_where_the_model_stands_and_exports_the_same_family(moiety, base, tmp_path):
    call(moiety, "train", fine(tmp_path, base, more='balance = "switch_aux(0.01)"\nz_loss = 1e-4'))
    run = tmp_path / "fine"
    nll = evaluations(run)
    assert same_perplexity(nll[0]["nll"], engine_nll(moiety, base, tmp_path))
    assert same_perplexity(nll[3]["nll"], engine_nll(moiety, run / "model", tmp_path))
    assert nll[3]["nll"] != nll[0]["nll"]
    before, after = (json.loads((m / "config.json").read_text()) for m in (base, run / "model"))
    assert before == after and after["model_type"] == "qwen3_moe"
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (base / name).read_bytes() == (run / "model" / name).read_bytes()
    assert len(changed(base, run / "model")) == len(load_file(base / "model.safetensors"))


def test_only_routers_move(moiety, base, tmp_path):
    rules = '[[rule]]\nwhich = "router"\n[[rule]]\nwhich = "all"\nfreeze = true'
    call(moiety, "train", fine(tmp_path, base, rules=rules))
    assert changed(base, tmp_path / "fine/model") == {f"model.layers.{i}.mlp.gate.weight" for i in (0, 1)}
    moments = {name for name in load_file(tmp_path / "fine/checkpoint-000003/state.safetensors") if name.endswith((".m", ".v"))}
    assert moments == {f"blk.{i}.ffn_gate_inp.weight.{m}" for i in (0, 1) for m in "mv"}


def test_only_named_experts_move(moiety, base, tmp_path):
    rules = '[[rule]]\nwhich = "experts 1:0-2"\n[[rule]]\nwhich = "all"\nfreeze = true'
    call(moiety, "train", fine(tmp_path, base, rules=rules, steps=4))
    assert changed(base, tmp_path / "fine/model") == {f"model.layers.1.mlp.experts.{e}.{p}_proj.weight" for e in (0, 1, 2) for p in ("gate", "up", "down")}


def test_it_resumes_with_the_same_bits(moiety, base, tmp_path):
    for name, steps in (("straight", 5), ("broken", 5)):
        call(moiety, "train", fine(tmp_path, base, name=name, steps=steps))
    last = "checkpoint-000005/state.safetensors"
    expected, metrics = (tmp_path / "broken" / last).read_bytes(), (tmp_path / "broken/metrics.jsonl").read_text()
    for leftover in (tmp_path / "broken/checkpoint-000005").iterdir():
        leftover.unlink()
    (tmp_path / "broken/checkpoint-000005").rmdir()
    call(moiety, "train", "--resume", tmp_path / "broken")
    assert (tmp_path / "broken" / last).read_bytes() == expected == (tmp_path / "straight" / last).read_bytes()
    assert (tmp_path / "broken/metrics.jsonl").read_text() == metrics
    assert not changed(tmp_path / "straight/model", tmp_path / "broken/model")


def test_from_gguf_of_quantised_weights_and_other_pair_order(moiety, tmp_path):
    """A mixtral whose GGUF form rotates neighbours: read in either form it is the same model, and is written back as it was."""
    write_model(tmp_path / "hf", experts=4, d=64, width=64, heads=2, kv_heads=1, head_dim=32, vocab=904)
    for name, start in (("plain", tmp_path / "hf"), ("gguf", tmp_path / "m.gguf")):
        if name == "gguf":
            call(moiety, "convert", tmp_path / "hf", tmp_path / "m.gguf")
        call(moiety, "train", fine(tmp_path, start, name=name, rate=0, steps=1, data=f'tokenizer = "{TOKENIZER}"'))
        assert not changed(tmp_path / "hf", tmp_path / name / "model")
    assert evaluations(tmp_path / "plain") == evaluations(tmp_path / "gguf")
    call(moiety, "convert", tmp_path / "hf", tmp_path / "q.gguf", "--type", "q8_0")
    call(moiety, "train", fine(tmp_path, tmp_path / "q.gguf", name="quantised", steps=2, data=f'tokenizer = "{TOKENIZER}"'))
    nll = evaluations(tmp_path / "quantised")
    assert nll[0]["nll"] != evaluations(tmp_path / "plain")[0]["nll"] == pytest.approx(nll[0]["nll"], rel=0.05)


@pytest.mark.parametrize("kind", ["llama", "llama-scaled", "qwen2"])
def test_dense_models_and_scaled_positions(moiety, tmp_path, kind):
    write_model(tmp_path / "hf", d=64, width=96, heads=2, kv_heads=1, head_dim=32, vocab=904)
    path = tmp_path / "hf/config.json"
    if kind == "llama-scaled":
        scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"rope_scaling": scaling}))
    if kind == "qwen2":
        tensors = load_file(tmp_path / "hf/model.safetensors")
        random = np.random.default_rng(3)
        for i in range(2):
            tensors |= {f"model.layers.{i}.self_attn.{n}_proj.bias": random.standard_normal(size).astype(np.float16) for n, size in (("q", 64), ("k", 32), ("v", 32))}
        save_file(tensors, tmp_path / "hf/model.safetensors", metadata={"format": "pt"})
        path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}))
    (tmp_path / "hf/tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    call(moiety, "train", fine(tmp_path, tmp_path / "hf"))
    nll = evaluations(tmp_path / "fine")
    assert same_perplexity(nll[0]["nll"], engine_nll(moiety, tmp_path / "hf", tmp_path, first=0))
    assert same_perplexity(nll[3]["nll"], engine_nll(moiety, tmp_path / "fine/model", tmp_path, first=0))
    assert len(changed(tmp_path / "hf", tmp_path / "fine/model")) == len(load_file(tmp_path / "hf/model.safetensors"))


FAMILIES = sorted(p.name for p in (ROOT / "tests/fixtures").iterdir() if p.is_dir())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_computed_as_the_engine_computes_it(moiety, tmp_path, small_tokenizer, family):
    """What is written is computed as it was trained."""
    start = ROOT / "tests/fixtures" / family
    call(moiety, "train", fine(tmp_path, start, steps=2, rate=0.003, context=32, data=small_tokenizer))
    nll = evaluations(tmp_path / "fine")
    for step, model in ((0, start), (2, tmp_path / "fine/model")):
        assert same_perplexity(nll[step]["nll"], engine_nll(moiety, model, tmp_path, first=0, tokenizer=tmp_path / "small.json"))
    assert nll[0] != nll[2]


@pytest.fixture()
def small_tokenizer(tmp_path):
    """With as few tokens as the fixtures have rows."""
    tokenizer = json.loads(TOKENIZER.read_text())
    tokenizer["model"] |= {"vocab": {token: i for token, i in tokenizer["model"]["vocab"].items() if i < 95} | {"Ġ": 95}, "merges": []}
    (tmp_path / "small.json").write_text(json.dumps(tokenizer))
    return 'tokenizer = "small.json"'


@pytest.mark.parametrize("family", ["gemma3-text", "qwen3_next", "bailing_hybrid", "phimoe", "jetmoe", "deepseek_v3-halves"])
def test_what_is_frozen_keeps_its_bits(moiety, tmp_path, small_tokenizer, family):
    """Also where a file holds a number less one, or a logarithm; and far steps leave numbers that are finite."""
    start = ROOT / "tests/fixtures" / family
    rules = "".join(f'[[rule]]\nwhich = "{group}"\nfreeze = true\n' for group in (("norms",) if family == "gemma3-text" else ("norms", "router")))
    call(moiety, "train", fine(tmp_path, start, name="some", rules=rules, steps=4, rate=0.5, context=24, data=small_tokenizer))
    call(moiety, "train", fine(tmp_path, start, name="head", rules='[[rule]]\nwhich = "embedding"\nrate = 1\n[[rule]]\nwhich = "all"\nfreeze = true', steps=1, context=24, data=small_tokenizer))
    before, after, same = (read_tensors(m) for m in (start, tmp_path / "some/model", tmp_path / "head/model"))
    assert before.keys() == after.keys() == same.keys()
    still = {n for n in before if before[n].tobytes() == after[n].tobytes()}
    frozen = {n for n in before if "norm" in n or "router" in n or "mlp.gate." in n or "block_sparse_moe.gate." in n}
    assert still == frozen, still ^ frozen
    for name, numbers in before.items():
        assert np.isfinite(after[name]).all() and (numbers.tobytes() == same[name].tobytes() or "embed" in name), name


def test_what_cannot_be_trained_is_said_before_any_work(moiety, base, tmp_path):
    def refuses(status=2, **change):
        message = call(moiety, "train", fine(tmp_path, **({"start": base} | change)), status=status)
        assert not (tmp_path / "fine").exists()
        return message

    assert "positions" in refuses(context=100000)
    assert "did you mean 'z_loss'" in refuses(more="z_los = 1")
    assert "nothing uses the key 'd'" in refuses(more="d = 32")
    assert "no such file" in refuses(start=tmp_path / "nowhere", status=1)
    assert "switch_aux" in refuses(more='balance = "swich_aux(1)"')
    other = tmp_path / "other"
    shutil.copytree(ROOT / "tests/fixtures/gemma3-text", other)
    (other / "config.json").write_text(json.dumps(json.loads((other / "config.json").read_text()) | {"final_logit_softcapping": 30.0}))
    message = refuses(start=other, status=1)
    assert "gemma3_text" in message and "no parts for capped logits" in message


def test_models_of_our_own_family(moiety, tmp_path):
    """Experts of several kinds, shared ones, a bias that a rule moves, a table of tokens, routers that take scores, biases of attention: all of it is read, and rules count ids over the groups."""
    mixed = ('experts = [{count = 2, width = 16}, {kind = "zero"}, {count = 2, kind = "gelu", width = 24}, {kind = "copy"}, {count = 2, kind = "constant"}], '
             'shared = [{width = 8, gate = true}], routing = "sigmoid | bias | top_k(3) | renorm", balance = "bias_update(0.01)", gating_residual = true')
    for name, ffn, balance in (("mixed", mixed, 'balance = "bias_update(0.01)"'), ("hash", 'experts = 4, width = 16, routing = "hash", hash_table = "balanced"', "")):
        config = configuration(tmp_path, name=name, steps=12, ffn=ffn)
        config.write_text(config.read_text().replace("heads = 2,", "heads = 2, bias = true, output_bias = true,"))
        call(moiety, "train", config)
        start = tmp_path / name / "model"
        call(moiety, "train", fine(tmp_path, start, name=name + "-fine", more=balance))
        nll = evaluations(tmp_path / f"{name}-fine")
        assert same_perplexity(nll[0]["nll"], engine_nll(moiety, start, tmp_path))
        assert same_perplexity(nll[3]["nll"], engine_nll(moiety, tmp_path / f"{name}-fine/model", tmp_path))
        assert json.loads((start / "config.json").read_text()) == json.loads((tmp_path / f"{name}-fine/model/config.json").read_text())
    rules = '[[rule]]\nwhich = "experts 1:4, 1:7"\n[[rule]]\nwhich = "all"\nfreeze = true'
    call(moiety, "train", fine(tmp_path, tmp_path / "mixed/model", name="some", rules=rules, steps=4))
    before, after = (load_file(tmp_path / run / "model/model.safetensors") for run in ("mixed", "some"))
    moved = {(name, e) for name, old in before.items() for e in range(len(old)) if old[e].tobytes() != after[name].reshape(old.shape)[e].tobytes()}
    # The second of the gelu experts, which are group 2, and the second of the constant ones.
    assert moved == {(f"blk.1.ffn_{part}", 1) for part in ("up_exps.2.weight", "down_exps.2.weight", "const_exps.4.weight", "const_exps.4.bias")}
