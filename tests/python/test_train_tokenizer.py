"""A tokenizer trained by the script: the vocabulary asked for, the same each time, and the engine's ids."""
import random
import subprocess
import sys

import tokenizers
from conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import train_tokenizer


def words(rng, count):
    return " ".join(str(rng.randrange(3000)) for _ in range(count))


def test_the_trained_tokenizer_gives_the_engine_the_same_ids(moiety, tmp_path):
    rng = random.Random(7)
    for domain, pieces in {"a": ["der ", "die ", "Größe", ", ", "\n"], "b": ["def ", "f(x):\n    ", "return ", "x + 12"]}.items():
        (tmp_path / domain).mkdir()
        (tmp_path / domain / "train.txt").write_text("\f".join("".join(rng.choices(pieces, k=200)) + words(rng, 50) for _ in range(30)))
    command = [sys.executable, ROOT / "scripts/train_tokenizer.py", tmp_path, "--vocabulary", "300", "--out", tmp_path / "t"]
    subprocess.run(command, check=True, capture_output=True)
    first = (tmp_path / "t/tokenizer.json").read_bytes()
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "t/tokenizer.json").read_bytes() == first
    reference = tokenizers.Tokenizer.from_file(str(tmp_path / "t/tokenizer.json"))
    assert reference.get_vocab_size() == 300 and reference.token_to_id(train_tokenizer.END) == 0
    text = (tmp_path / "a/train.txt").read_text() + "naïve 日本 😀 1234 <|endoftext|> \t\n\n  x" + "".join(chr(rng.randrange(32, 0x2000)) for _ in range(300))
    (tmp_path / "text").write_text(text)
    run = subprocess.run([moiety, "tokenize", tmp_path / "t", "--file", tmp_path / "text"], capture_output=True, check=True)
    want = reference.encode(text).ids
    assert [int(w) for w in run.stdout.split()] == want and reference.decode(want, skip_special_tokens=False) == text


def test_samples_are_spread_over_the_file(tmp_path):
    (tmp_path / "t.txt").write_text("\f".join(f"{i:05d}" for i in range(1000)))
    taken = train_tokenizer.sample(tmp_path / "t.txt", 500)
    assert 95 <= len(taken) <= 105 and int(taken[0]) < 20 and int(taken[-1]) > 980
    assert len(train_tokenizer.sample(tmp_path / "t.txt", 10**9)) == 1000


def test_wrong_input_is_one_clear_line(tmp_path):
    for corpus, options, status in [(tmp_path / "none", [], 1), (tmp_path, [], 1), (tmp_path, ["--vocabulary", "256"], 2)]:
        run = subprocess.run([sys.executable, ROOT / "scripts/train_tokenizer.py", corpus, "--out", tmp_path / "t", *options], capture_output=True, text=True)
        assert run.returncode == status and run.stderr.splitlines()[-1].startswith("train_tokenizer"), run.stderr
    assert not (tmp_path / "t").exists()
