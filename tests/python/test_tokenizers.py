"""Ids and pre-tokenizers against the tokenizers package, on real text where it lies beside and on text that was made to be hard."""
import json
import random
import subprocess

import pytest
import tokenizers
from conftest import BUILD, ROOT, SHARED
from tokenizers import Regex, pre_tokenizers

HARD = ["e\u0301", "\u0958", "각", "각", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "שלום", "مرحبا", "\u202eabc\u202c", "ﬁ", "ſ", "İ", "ß", "½", "Ⅷ", "٣", "\u00a0", "\u3000",
        "\u2028", "\x85", "\x00", "\x07", "\x7f", "\r\n", "\n\n", "\r", "\t", "  ", " ", "'s", "'LL", "'ſ", "don't", "_", "<s>", "[CLS]", "<|im_end|>",
        "नमस्ते", "ไทย", "中文", "ひらがな", "カタカナ", "ｱ", "！", "\ufeff", "\ufffd", "\u200b", "\U0001d400", "𠀀", "\u2e50", "\u1abf", "123456789",
        "3.14", "a", "Z", "camelCase", "HTTPServer", "#!/usr/bin", "==", "…", "“", "€", "\U000e0100", "ǅ", "ʰ", "a" * 300, " " * 1000, "\n" * 50, "-" * 90]


def hard_text(seed, count):
    rng = random.Random(seed)
    return "".join(rng.choice(HARD) + rng.choice(["", "", " "]) for _ in range(count))


def real_text(size):
    """Pieces of every language and of code, in all `size` bytes or a little more."""
    files = sorted((SHARED / "data/text").rglob("*.txt"))
    out = []
    for path in files:
        with path.open("rb") as f:
            f.seek(path.stat().st_size // 3)
            out.append(f.read(size // len(files) + 1).decode("utf-8", "ignore"))
    return "".join(out)


def vocabularies():
    out = sorted((ROOT / "tests/data/tokenizers").glob("*/tokenizer.json"))
    return out + sorted((SHARED / "data/tokenizers").glob("*/tokenizer.json"))


def first_difference(want, got):
    at = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    return at, want[max(0, at - 3):at + 5], got[max(0, at - 3):at + 5]


@pytest.mark.parametrize("path", vocabularies(), ids=lambda p: p.parent.name)
def test_ids_are_those_of_the_tokenizers_package(moiety, tmp_path, path):
    seed = 11
    reference = tokenizers.Tokenizer.from_file(str(path))
    texts = [hard_text(seed, 4000)]
    if (SHARED / "data/text").exists() and not path.is_relative_to(ROOT):
        texts.append(real_text(2_000_000))
    for text in texts:
        (tmp_path / "text").write_bytes(text.encode())
        run = subprocess.run([moiety, "tokenize", path, "--file", tmp_path / "text"], capture_output=True, check=True)
        want, got = reference.encode(text).ids, [int(word) for word in run.stdout.split()]
        assert want == got, (seed, first_difference(want, got), reference.decode(want[first_difference(want, got)[0]:][:8]))


def names_and_regexes():
    tool = BUILD / "pre_tokenize"
    return json.loads(subprocess.run([tool], capture_output=True, check=True).stdout) if tool.exists() else {}


# The package's engine sees Unicode 16 and counts marks as word characters, PCRE2 in Debian 12 sees Unicode 14: nothing newer is in HARD.
@pytest.mark.parametrize("name", sorted(names_and_regexes()))
def test_pre_tokenizers_cut_as_the_package_does(name):
    reference = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r), "isolated") for r in names_and_regexes()[name]])
    texts = [hard_text(seed, 1 + seed % 40) for seed in range(200)]
    run = subprocess.run([BUILD / "pre_tokenize", name], input=json.dumps(texts).encode(), capture_output=True, check=True)
    for text, got in zip(texts, json.loads(run.stdout)):
        want = [piece for piece, _ in reference.pre_tokenize_str(text)]
        assert want == got, (text, [(a, b) for a, b in zip(want, got) if a != b][:2])


@pytest.mark.parametrize("folder, name", [("qwen3", "qwen2"), ("deepseek_v3", "deepseek-v3")])
def test_the_table_says_what_released_tokenizers_say(folder, name):
    path = SHARED / "data/tokenizers" / folder / "tokenizer.json"
    if not path.exists():
        print(f"no {folder} tokenizer here")
        return
    reference = tokenizers.Tokenizer.from_file(str(path)).pre_tokenizer
    texts = ["".join(c for c in hard_text(seed, 30) if c.isascii() and c.isprintable()) for seed in range(300)]
    run = subprocess.run([BUILD / "pre_tokenize", name], input=json.dumps(texts).encode(), capture_output=True, check=True)
    for text, got in zip(texts, json.loads(run.stdout)):
        assert [len(piece) for piece, _ in reference.pre_tokenize_str(text)] == [len(piece) for piece in got], text
