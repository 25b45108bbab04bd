"""llama.cpp opens what `moiety upcycle` writes, and continues as the dense model does."""
import json
import pathlib
import subprocess
import sys

import pytest
import test_llama_cpp
from conftest import ROOT
from test_llama_cpp import text_of

FIXTURES = ROOT / "tests/fixtures"


def upcycle(moiety, *args, status=0):
    done = subprocess.run([moiety, "--quiet", "upcycle", *map(str, args)], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.mark.parametrize("name, top_k", [("llama", 2), ("qwen3", 2), ("qwen2", 4)])
def test_llama_cpp_continues_as_the_dense_model(moiety, tmp_path, name, top_k):
    greedy = json.loads((FIXTURES / name / "greedy.json").read_text())
    sure = next((i for i, gap in enumerate(greedy["top2_gap"]) if gap < 5e-3), len(greedy["tokens"]))
    count = next((i for i, t in enumerate(greedy["tokens"][:sure]) if t < 3), sure)
    assert count > 0
    out = tmp_path / "moe.gguf"
    report = upcycle(moiety, FIXTURES / name, out, "--experts", 4, "--top-k", top_k, "--type", "f32")
    assert "4 experts" in report and "tensors" in report
    run = subprocess.run([sys.executable, test_llama_cpp.__file__, out, json.dumps(greedy["prompt"]), str(count)], capture_output=True, text=True, timeout=120)
    answers = [line for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
    assert answers, run.stderr[-1500:]
    assert json.loads(answers[0][7:]) == text_of(greedy["tokens"][:count])


def test_wrong_commands(moiety, tmp_path):
    out = tmp_path / "x.gguf"
    assert "cannot be chosen" in upcycle(moiety, FIXTURES / "llama", out, "--experts", 2, "--top-k", 3, status=2)
    upcycle(moiety, FIXTURES / "llama", out, "--experts", 0, "--top-k", 1, status=2)
    assert "already" in upcycle(moiety, FIXTURES / "mixtral", out, "--experts", 2, "--top-k", 1, status=1)
    assert "llama, mistral, qwen2, qwen3 and olmo2" in upcycle(moiety, FIXTURES / "gemma3-text", out, "--experts", 2, "--top-k", 1, status=1)
    assert list(tmp_path.iterdir()) == []
