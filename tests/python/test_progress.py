"""What verbs show on a terminal while they work, and how they end when they are told to."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from terminal import Terminal

TOKENS = 1000000  # more than any machine computes before it is told to stop


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("progress")
    subprocess.run([sys.executable, ROOT / "scripts/make_tiny_moe.py", folder / "tiny"], check=True)
    (folder / "text.txt").write_text("abcdefgh" * (TOKENS // 8))
    (folder / "ids.json").write_text(json.dumps([[1] * 5000] * (TOKENS // 5000)))
    questions = ({"query": chr(97 + i % 26) * 400, "choices": ["b", "c"], "gold": 0} for i in range(TOKENS // 400))  # none begins as the one before it
    (folder / "choices.jsonl").write_text("".join(json.dumps(q) + "\n" for q in questions))
    return folder


@pytest.mark.parametrize("label, verb", [
    ("computing", "logits tiny --tokens-file ids.json --out logits -c 5000"),
    ("tracing", "trace tiny --tokens-file ids.json --out trace.npz -c 5000"),
    ("evaluating", "eval perplexity tiny --file text.txt --json"),
    ("evaluating", "eval choice tiny --file choices.jsonl"),
    ("evaluating", "eval compare tiny --file text.txt"),
    ("pp1000", "bench tiny -p 1000 -r 1000"),
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


def many_logits(moiety, work, out):
    """`logits` of many lists, which writes all files before the first gets its name; twenty of them are there."""
    (work / "lists.json").write_text(json.dumps([[1] * 100] * 2000))
    process = subprocess.Popen([moiety, "logits", work / "tiny", "--tokens-file", work / "lists.json", "--out", out, "-t", "1"],
                               stderr=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    while process.poll() is None and len(list(out.glob("*.tmp*"))) < 20:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("there", [False, True])
def test_sigterm_leaves_none_of_many_files(moiety, work, tmp_path, there):
    out = tmp_path / "out"
    if there:
        out.mkdir()
        (out / "notes").touch()
    process = many_logits(moiety, work, out)
    process.terminate()
    assert process.wait(60) == -signal.SIGTERM
    assert [p.name for p in tmp_path.rglob("*")] == (["out", "notes"] if there else [])


def test_what_nohup_started_stays(moiety, work, tmp_path):
    process = many_logits(moiety, work, tmp_path / "out")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.terminate()
    process.wait(60)


def test_a_shell_sees_128_and_the_signal(moiety, work):
    script = f'"{moiety}" bench "{work}/tiny" -r 1000 -t 1 2>/dev/null & sleep 0.5; kill -$1 $!; wait $!; echo $?'
    for name, status in ("TERM", "143"), ("HUP", "129"):
        assert subprocess.run(["bash", "-c", script, "bash", name], capture_output=True, text=True, timeout=60).stdout.strip() == status
