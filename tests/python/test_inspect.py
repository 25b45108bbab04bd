"""`moiety inspect` against counts made here from the tensors of the files."""
import json
import re
import struct
import subprocess

import pytest
from conftest import ROOT

FIXTURES = ROOT / "tests/fixtures"


def tensors(folder):
    """Names and shapes of all tensors of a Hugging Face directory."""
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        out.update({name: (t["shape"], t["dtype"]) for name, t in header.items() if name != "__metadata__"})
    return out


def elements(shape):
    count = 1
    for n in shape:
        count *= n
    return count


def inspect(moiety, model):
    return json.loads(subprocess.run([moiety, "--quiet", "inspect", model, "--json"], check=True, capture_output=True, text=True).stdout)


# A routed expert's own tensors, in whatever layout the family stores them.
ROUTED = re.compile(r"(?<!shared_)experts\.|block_sparse_moe\.(input|output)_linear")

FAMILIES = ["mixtral", "olmoe", "deepseek_v3", "qwen2_moe", "qwen3_moe", "granitemoe", "dbrx", "longcat_flash", "lfm2_moe", "qwen3_next", "llama4-text"]
CHOSEN = ["num_experts_per_tok", "moe_topk", "moe_k"]
EXPERTS = ["n_routed_experts", "num_local_experts", "num_experts"]


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_are_those_of_the_file(moiety, name):
    config = json.loads((FIXTURES / name / "config.json").read_text())
    flat = {**config, **{"num_experts_per_tok": config["ffn_config"]["moe_top_k"], "num_experts": config["ffn_config"]["moe_num_experts"]}} \
        if "ffn_config" in config else config
    chosen = next(flat[k] for k in CHOSEN if k in flat)
    experts = next(flat[k] for k in EXPERTS if k in flat)
    stored = tensors(FIXTURES / name)
    total = sum(elements(shape) for shape, _ in stored.values())
    routed = sum(elements(shape) for n, (shape, _) in stored.items() if ROUTED.search(n) and not n.endswith("bias"))
    assert routed > 0
    d = inspect(moiety, FIXTURES / name)
    assert d["parameters"]["total"] == total
    assert d["parameters"]["active"] == total - routed * (experts - chosen) // experts
    assert d["bytes"]["experts"] == 2 * routed  # BF16 or F16
    assert d["bytes"]["total"] == sum(elements(shape) * {"BF16": 2, "F16": 2, "F32": 4}[dtype] for shape, dtype in stored.values())
    assert sum(e["bytes"] for e in d["experts"]) == d["bytes"]["experts"]
    assert d["family"] == config["model_type"] and d["d_model"] == flat.get("hidden_size", flat.get("d_model")) and d["vocab"] == config["vocab_size"]
    dtype = next(dtype for n, (_, dtype) in stored.items() if ROUTED.search(n))
    for e in d["experts"]:
        assert e["layer"] in d["moe_layers"] and e["types"] == {dtype: experts} and e["kinds"]["ffn"] == experts
        assert e["count"] == experts + e["kinds"].get("copy", 0) == sum(e["kinds"].values())
        assert set(e) == {"layer", "site", "count", "kinds", "widths", "types", "bytes"}


@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_dense_models_have_no_experts(moiety, name):
    stored = tensors(FIXTURES / name)
    total = sum(elements(shape) for shape, _ in stored.values())
    d = inspect(moiety, FIXTURES / name)
    assert d["parameters"] == {"total": total, "active": total}
    assert d["experts"] == [] and d["moe_layers"] == [] and d["routing"] == "" and d["bytes"]["experts"] == 0


MIXTURES = sorted(p.name for p in FIXTURES.iterdir() if (p / "routing.json").exists()) if FIXTURES.exists() else []


@pytest.mark.parametrize("name", MIXTURES)
def test_the_printed_routing_is_the_model(moiety, tmp_path, name):
    """What inspect prints, given back as --routing, changes no bit; and it chooses as many experts as the configuration says."""
    d = inspect(moiety, FIXTURES / name)
    assert d["routing"] and "@model" not in d["routing"]
    for out, routing in (("own", []), ("text", ["--routing", d["routing"]]), ("at", ["--routing", "@model"])):
        subprocess.run([moiety, "--quiet", "logits", FIXTURES / name, "--tokens", "5,9,33,70,2,61,14,8", "--compute", "f32", "--out", tmp_path / out,
                        *routing], check=True, capture_output=True)
    own = (tmp_path / "own/logits-0.npy").read_bytes()
    assert (tmp_path / "text/logits-0.npy").read_bytes() == own
    assert (tmp_path / "at/logits-0.npy").read_bytes() == own
    subprocess.run([moiety, "--quiet", "logits", FIXTURES / name, "--tokens", "5,9,33,70,2,61,14,8", "--compute", "f32", "--out", tmp_path / "one",
                    "--routing", "rank(2) | softmax"], check=True, capture_output=True)
    assert (tmp_path / "one/logits-0.npy").read_bytes() != own
