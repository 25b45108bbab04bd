"""The models that ship: found by name from anywhere, small enough, better than a compressor, and with experts that all work."""
import json
import lzma
import subprocess

import pytest
from conftest import ROOT

MODELS = {"moiety-mini": 30_000_000, "moiety-nano": 2_000_000}  # bytes at most


def call(moiety, *args, **kw):
    run = subprocess.run([moiety, "--quiet", *map(str, args)], capture_output=True, text=True, timeout=120, **kw)
    assert run.returncode == 0, run.stderr[-800:]
    return run.stdout


@pytest.mark.parametrize("name", MODELS)
def test_is_small_and_found_by_name_from_anywhere(moiety, tmp_path, name):
    listed = {m["name"]: m for m in json.loads(call(moiety, "models", "--json", cwd=tmp_path))}
    assert 0 < listed[name]["bytes"] <= MODELS[name]
    by_name = json.loads(call(moiety, "inspect", name, "--json", cwd=tmp_path))
    assert by_name == json.loads(call(moiety, "inspect", ROOT / "models" / name, "--json")) == json.loads(call(moiety, "inspect", listed[name]["path"], "--json"))


def test_mini_has_the_shape_that_its_card_names(moiety):
    facts = json.loads(call(moiety, "inspect", "moiety-mini", "--json"))
    assert [e["count"] for e in facts["experts"]] == [32] * 6
    card = (ROOT / "models/moiety-mini/README.md").read_text()
    assert "16.4 million parameters" in card and "4.05 million" in card
    assert 12e6 <= facts["parameters"]["total"] <= 25e6 and facts["parameters"]["active"] < 4.1e6


@pytest.mark.parametrize("name", MODELS)
def test_knows_more_of_english_than_a_compressor(moiety, name):
    """A text that it was not trained on: the corpus leaves licences out."""
    text = ROOT / "LICENSE"
    bits = json.loads(call(moiety, "eval", "perplexity", name, "--file", text, "--context", "256", "--json"))["bits_per_byte"]
    compressed = len(lzma.compress(text.read_bytes(), preset=9)) * 8 / text.stat().st_size
    assert 0 < bits < compressed


@pytest.mark.parametrize("name", MODELS)
def test_all_experts_work(moiety, tmp_path, name):
    text = tmp_path / "text.txt"
    text.write_text((ROOT / "README.md").read_text() + (ROOT / "scripts/make_corpus.py").read_text())
    call(moiety, "trace", name, "--file", text, "--out", tmp_path / "t.npz")
    layers = json.loads(call(moiety, "routes", tmp_path / "t.npz", "--json"))["layers"]
    for layer in layers:
        assert layer["busiest_quarter"] < 0.9 and layer["entropy_bits"] > 1.5

