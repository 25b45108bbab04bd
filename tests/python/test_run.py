"""`moiety run` as scripts and people use it: output, sessions, prompts, stops, and a conversation on a terminal and through a pipe."""
import json
import re
import signal
import subprocess
import sys
import time

import pytest

from conftest import ROOT
from small_models import write_model
from terminal import Terminal

TEMPLATE = "{% for m in messages %}<s>{{ m.role }}:{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<s>assistant:{% endif %}"


def rendered(messages):
    return "".join(f"<s>{m['role']}:{m['content']}\n" for m in messages) + "<s>assistant:"


def new_tokens(message):
    """What a further turn adds: the end of the answer, the message, and the opening of the next answer. <s> is one token."""
    return len("\n.user:") + len(message) + len("\n.assistant:")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random model whose tokens are bytes. Without a bias it may say anything; with LETTERS it says letters."""
    folder = tmp_path_factory.mktemp("run") / "tiny"
    subprocess.run([sys.executable, ROOT / "scripts/make_tiny_moe.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def chatty(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("run") / "chatty"
    folder.mkdir()
    for file in tiny.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE}))
    return folder


LETTERS = [f"--logit-bias={i}=-inf" for i in range(258) if not (ord("a") <= i <= ord("z"))]


def run(moiety, model, *arguments, stdin=None, **options):
    command = [moiety, "run", model, *([] if "-t" in arguments else ["-t", "1"]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, errors="replace", input=stdin, timeout=120, **options)


def answer(moiety, model, *arguments, stdin=None):
    done = run(moiety, model, "--json", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_json_has_the_contracts_keys(moiety, tiny):
    out = answer(moiety, tiny, "hello", "-n", "7")
    assert set(out) == {"text", "tokens", "finish_reason", "prompt_tokens", "timings", "memory", "experts"}
    assert set(out["timings"]) == {"prompt_tokens_per_s", "tokens_per_s", "first_token_ms"}
    assert len(out["tokens"]) == 7 and out["finish_reason"] == "length" and out["prompt_tokens"] == 5
    assert out["memory"]["peak_bytes"] > 1 << 20 and out["experts"]["hit_rate"] == 1


def test_the_seed_decides_and_threads_do_not(moiety, tiny):
    texts = [answer(moiety, tiny, "hello", "-n", "20", "--seed", seed, "-t", threads)["tokens"] for seed, threads in [("3", "1"), ("3", "2"), ("4", "1")]]
    assert texts[0] == texts[1] != texts[2]


def test_prompts_come_from_everywhere(moiety, tiny, tmp_path):
    (tmp_path / "prompt").write_text("hello")
    expected = answer(moiety, tiny, "hello", "-n", "5", "--temp", "0")["tokens"]
    assert answer(moiety, tiny, "-", "-n", "5", "--temp", "0", stdin="hello")["tokens"] == expected
    assert answer(moiety, tiny, "-f", str(tmp_path / "prompt"), "-n", "5", "--temp", "0")["tokens"] == expected
    assert answer(moiety, tiny, "--raw", "hello", "-n", "5", "--temp", "0")["tokens"] == expected


def test_templates_are_used_unless_raw(moiety, chatty):
    count = lambda *a: answer(moiety, chatty, "hello", "-n", "1", *a)["prompt_tokens"]
    assert count("--raw") == 5
    assert count() == len(".user:hello\n.assistant:")
    assert count("--system", "Be brief") == count() + len(".system:Be brief\n")


@pytest.mark.parametrize("arguments, status, words", [
    (["", "-n", "3"], 2, "prompt is empty"),
    (["x", "-f", "y"], 2, "one of the two"),
    (["-i", "--json"], 2, "one of the two"),
    (["x" * 40, "-c", "32"], 1, "--context"),
    (["x", "--logit-bias", "999=1"], 2, "vocabulary has 258"),
    (["x", "--logit-bias", "abc"], 2, "ID=VALUE"),
    (["x", "--temp", "-1"], 2, "temperature"),
    (["x", "--top-p", "0"], 2, "top-p"),
    (["x", "--stop", ""], 2, "empty stop"),
    (["x", *LETTERS, *[f"--logit-bias={i}=-inf" for i in range(97, 123)]], 1, "no token is left"),
    (["-f", "no-such-file"], 1, "no-such-file"),
])
def test_wrong_commands_say_why(moiety, tiny, arguments, status, words):
    done = run(moiety, tiny, *arguments)
    assert done.returncode == status and words in done.stderr and done.stdout == "", done.stderr


def test_a_full_context_ends_with_length(moiety, tiny):
    out = answer(moiety, tiny, "hello", "-c", "20")
    assert out["finish_reason"] == "length" and len(out["tokens"]) == 15


def test_end_ids_end_an_answer(moiety, tiny):
    out = answer(moiety, tiny, "hello", "--logit-bias=257=100", "--temp", "0")
    assert out["finish_reason"] == "stop" and out["tokens"] == [257] and out["text"] == ""


def test_every_id_of_generation_config_ends_an_answer(moiety, tiny, tmp_path):
    for file in tiny.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [257, 65]}))
    out = answer(moiety, tmp_path, "hello", "--logit-bias=65=100", "--temp", "0")
    assert out["finish_reason"] == "stop" and out["tokens"] == [65]


def test_stop_strings_are_never_printed_in_part(moiety, tiny):
    whole = answer(moiety, tiny, "hello", "-n", "30", *LETTERS)["text"]
    assert len(whole) == 30
    stop = whole[12:16]
    done = run(moiety, tiny, "hello", "-n", "30", "--stop", stop, *LETTERS)
    assert done.stdout == whole[: whole.index(stop)] + "\n"
    assert answer(moiety, tiny, "hello", "-n", "30", "--stop", stop, *LETTERS)["finish_reason"] == "stop"


@pytest.mark.parametrize("temperature", ["0", "1"])
def test_a_session_goes_on_as_if_nothing_had_happened(moiety, tiny, tmp_path, temperature):
    options = ["--raw", "--temp", temperature, "--seed", "5", "--repeat-penalty", "1.1"]
    whole = answer(moiety, tiny, "hello", "-n", "24", *options)["tokens"]
    session = ["--session", str(tmp_path / "s")]
    parts = [answer(moiety, tiny, prompt, "-n", "8", *options, *session)["tokens"] for prompt in ("hello", "", "")]
    assert sum(parts, []) == whole


def test_a_session_with_a_template_keeps_the_messages(moiety, chatty, tmp_path):
    session = ["--session", str(tmp_path / "s"), "--temp", "0", *LETTERS]
    first = answer(moiety, chatty, "hello", "-n", "8", *session)
    second = answer(moiety, chatty, "more", "-n", "8", *session)
    assert second["prompt_tokens"] == new_tokens("more"), "only what is new is computed"
    messages = json.loads((tmp_path / "s.messages.json").read_text())
    assert [m["content"] for m in messages] == ["hello", first["text"], "more", second["text"]]
    everything = rendered(messages[:3])
    assert answer(moiety, chatty, everything, "--raw", "-n", "8", "--temp", "0", *LETTERS)["tokens"] == second["tokens"]


def test_a_conversation_through_a_pipe(moiety, chatty):
    done = run(moiety, chatty, "-i", "-n", "6", "--temp", "0", *LETTERS, stdin="hello\n\n/help\nmore\\\nthan this\n")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2
    assert all(len(line) == 6 and line.isalpha() for line in done.stdout.splitlines())
    assert f"\n{new_tokens('more.than this')} prompt tokens" in done.stderr, "the beginning of the conversation is not computed again"


def test_a_conversation_outlives_a_full_context(moiety, chatty):
    done = run(moiety, chatty, "-i", "-n", "6", "-c", "64", *LETTERS, stdin="hello\n" + "x" * 99 + "\n/clear\nhello\n")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2 and "fill the context of 64" in done.stderr


def test_the_budget_of_memory_is_the_whole_processes(moiety, tiny):
    size = lambda text: float(text.split()[0]) * {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[text.split()[1]]
    needs = {}
    for context in ("512", "100000"):
        done = run(moiety, tiny, "x" * 300, "--memory", "1M", "-c", context)
        assert done.returncode == 1 and done.stdout == "" and "--context" in done.stderr and "--kv" in done.stderr, done.stderr
        needs[context] = re.search(r"needs ([\d.]+ \w+) \(([\d.]+ \w+) of weights, ([\d.]+ \w+) of cache", done.stderr).groups()
    assert abs(size(needs["512"][1]) - (tiny / "model.safetensors").stat().st_size) < 20000
    assert size(needs["100000"][2]) / size(needs["512"][2]) == pytest.approx(100000 / 512, rel=0.05)
    out = answer(moiety, tiny, "x" * 450, "-n", "40", "-c", "512", "--memory", f"{int(size(needs['512'][0]) * 1.01)}")
    assert out["memory"]["peak_bytes"] <= size(needs["512"][0])


def test_logits_of_a_long_text_stay_within_the_budget(moiety, tmp_path):
    write_model(tmp_path / "model", d=64, width=64, vocab=20000)
    (tmp_path / "ids.json").write_text(json.dumps([list(range(1000))]))
    command = [moiety, "logits", tmp_path / "model", "--tokens-file", tmp_path / "ids.json", "--out", tmp_path / "out", "-c", "1000", "--memory"]
    refused = subprocess.run([*command, "1M"], capture_output=True, text=True)
    needs = float(re.search(r"needs ([\d.]+) MiB", refused.stderr)[1]) * 2**20
    assert refused.returncode == 1 and not (tmp_path / "out").exists()
    # Whoever starts a program leaves it his own peak: here a small one.
    starter = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    peak = subprocess.run([sys.executable, "-S", "-c", starter, *command, str(int(needs * 1.01))], capture_output=True, text=True, check=True).stdout
    written = (tmp_path / "out/logits-0.npy").stat().st_size
    assert written == 1000 * 20000 * 4 + 128
    assert int(peak) * 1024 <= needs < written


def interrupt_after(process, seconds):
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)


def test_ctrl_c_ends_with_130_and_whole_files(moiety, tiny, tmp_path):
    session = tmp_path / "s"
    command = [moiety, "run", tiny, "x" * 200, "-c", "2000000", "-t", "1", "--session", session, *LETTERS]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.read(5)
    interrupt_after(process, 0.2)
    process.communicate()
    assert process.returncode == 130
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    assert answer(moiety, tiny, "", "-n", "3", "-c", "2000000", "--session", str(session))["finish_reason"] == "length"


def leave(t):
    t.prompt()
    t.type("\x03")
    t.wait_for("Ctrl-C again")
    t.prompt()
    t.type("\x03")
    assert t.status() == 130


def test_a_conversation_on_a_terminal(moiety, chatty):
    t = Terminal(moiety, "run", chatty, "-i", "-t", "1", "-c", "1000000", "--temp", "0", *LETTERS)
    t.prompt()
    t.type("hello\r")
    time.sleep(0.5)
    t.type("\x03")  # the answer would never end
    t.wait_for("(interrupted)")
    t.prompt()
    t.type("Zürich")
    t.wait_for("rich")
    t.type("\x03")  # drops the line
    t.wait_for("^C")
    t.prompt()
    t.type("\x03")
    t.wait_for("Ctrl-C again")
    t.prompt()
    t.type("/help\r")
    t.wait_for("/clear forgets")
    t.prompt()
    t.type("\x1b[A")  # the last line again
    t.wait_for("/help")
    t.type("\x03")
    t.wait_for("^C")
    leave(t)


def test_ctrl_c_while_the_terminal_takes_nothing_more(moiety, chatty):
    t = Terminal(moiety, "run", chatty, "-i", "-t", "1", "-c", "1000000", "--temp", "0", *LETTERS)
    t.prompt()
    t.type("hello\r")
    time.sleep(0.5)
    t.type("\x13")  # Ctrl-S: a write waits
    time.sleep(0.5)
    t.type("\x03")
    t.wait_for("(interrupted)")
    leave(t)


def test_ctrl_c_ends_the_wait_for_a_prompt(moiety, tiny):
    t = Terminal(moiety, "run", tiny, "-")
    time.sleep(0.5)
    t.type("\x03")
    assert t.status() == 130


def test_ctrl_d_ends_a_conversation(moiety, chatty):
    t = Terminal(moiety, "run", chatty, "-i", "-t", "1")
    t.prompt()
    t.type("\x04")
    assert t.status() == 0
