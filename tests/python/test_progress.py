"""What verbs show on a terminal while they work, and how they end when they are told to."""
import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT
from terminal import Terminal

TOKENS = 20000  # some ten seconds of work


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("progress")
    subprocess.run([sys.executable, ROOT / "scripts/make_tiny_moe.py", folder / "tiny"], check=True)
    (folder / "text.txt").write_text("abcdefgh" * (TOKENS // 8))
    (folder / "ids.json").write_text(json.dumps([[1] * (TOKENS // 4)] * 4))
    (folder / "choices.jsonl").write_text((json.dumps({"query": "a" * 400, "choices": ["b", "c"], "gold": 0}) + "\n") * (TOKENS // 800))
    return folder


@pytest.mark.parametrize("label, verb", [
    ("computing", "logits tiny --tokens-file ids.json --out logits -c 5000"),
    ("tracing", "trace tiny --tokens-file ids.json --out trace.npz -c 5000"),
    ("evaluating", "eval perplexity tiny --file text.txt --json"),
    ("evaluating", "eval choice tiny --file choices.jsonl"),
    ("evaluating", "eval compare tiny --file text.txt"),
    ("pp1000", "bench tiny -p 1000 -r 20"),
])
def test_a_bar_with_the_time_left_that_ctrl_c_wipes_away(moiety, work, monkeypatch, label, verb):
    monkeypatch.chdir(work)
    monkeypatch.setenv("NO_COLOR", "1")
    before = sorted(os.listdir())
    t = Terminal(moiety, *verb.split(), "-t", "1")
    t.wait_for(f"\r{label}")
    bar = t.wait_for("\x1b[K")
    assert " of " in bar and "tokens/s, " in bar and bar.endswith(" left"), bar
    t.type("\x03")
    last = t.wait_for("interrupted")
    assert last.rstrip().endswith("\r\x1b[K"), last
    assert t.status() == 130
    assert sorted(os.listdir()) == before
