#!/usr/bin/env python3
"""Trains the small tokenizers of tests/data/tokenizers and writes what the `tokenizers` package makes of some texts.

    make_tokenizers.py [--out tests/data/tokenizers]

One folder for each kind: tokenizer.json, and vectors.json, a list of {text, ids, ids_no_special}. The text that they learn from is made
here, of invented words and this project's own source.
"""
import argparse
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[1]
VOCABULARY = 900
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SYLLABLES = "ka lo mi ren tos ul vey ba ni ster ing er tion sch ä ö ße é ño ть ко ни ра 日 本 語 한 국 αβ γω".split()


def corpus():
    rng = random.Random(7)
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(600)]
    made = [" ".join(rng.choices(words, k=12)).capitalize() + rng.choice(".!?") for _ in range(1500)]
    files = sorted((ROOT / "src" / "base").glob("*.h")) + sorted((ROOT / "src" / "text").glob("*.h"))
    return made + [line for f in files for line in f.read_text().splitlines()]


def texts():
    rng = random.Random(11)
    fixed = [
        "", " ", "  ", "\t", "\n", "\n\n", "\r\n", "Hello world", " Hello World!", "Hello, y'all! How are you 😁 ?", "I'LL we'Ve it's",
        "3", "33", "3333", "12345678 9", "  three   spaces  ", "tail   ", "\n =", "a\n\n\n b\t\tc", "ÄÖÜ äöü ß ẞ", "cafe\u0301 café",
        "ﬁne ① ２ ½", "日本語 한국어 русский αβγ العربية עברית ไทย हिन्दी", "👩‍👩‍👧 🇩🇪 🏳️‍🌈", "a\u00a0b\u2003c\u3000d", "\u200b\ufeffx", "▁ ▁a",
        "<|im_start|>user\nhi<|im_end|>\n", "x<|im_end|>y <|im_end|> z", "<s>a</s>", "[CLS] a [MASK] b [SEP]", "<mask>  a <mask>",
        "int main() { return a->b[0] << 3; } // done", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\x00\x01\x7f", "İstanbul ŞIĞ",
    ]
    characters = "abcXYZ 019 \t\n'.,-_äßé日한ю😀\u0301\u00a0▁"
    return fixed + ["".join(rng.choices(characters, k=rng.randint(1, 40))) for _ in range(150)]


def byte_level():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    return t, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def metaspace():
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    return t, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False, special_tokens=specials, limit_alphabet=80, max_token_length=12)


def unigram():
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    t.decoder = decoders.Metaspace()
    return t, trainers.UnigramTrainer(vocab_size=VOCABULARY, show_progress=False, unk_token="<unk>",
                                      special_tokens=["<unk>", "<s>", "</s>", AddedToken("<mask>", lstrip=True)])


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece()
    return t, trainers.WordPieceTrainer(vocab_size=VOCABULARY, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])


def around(before, after, t):
    """A post-processor that puts tokens around a text."""
    single = " ".join([*before, "$A", *after])
    return processors.TemplateProcessing(single=single, special_tokens=[(x, t.token_to_id(x)) for x in [*before, *after]])


KINDS = {"byte_level": (byte_level, None), "metaspace": (metaspace, (["<s>"], [])), "unigram": (unigram, (["<s>"], ["</s>"])),
         "wordpiece": (wordpiece, (["[CLS]"], ["[SEP]"]))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests" / "data" / "tokenizers")
    out = parser.parse_args().out
    lines = corpus()
    for name, (make, wraps) in KINDS.items():
        tokenizer, trainer = make()
        tokenizer.train_from_iterator(lines, trainer)
        if name == "metaspace":  # bytes are pieces that only the fallback makes, not tokens that a text may name
            state = json.loads(tokenizer.to_str())
            state["added_tokens"] = [a for a in state["added_tokens"] if not a["content"].startswith("<0x")]
            tokenizer = Tokenizer.from_str(json.dumps(state))
        if wraps:
            tokenizer.post_processor = around(*wraps, tokenizer)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        vectors = [{"text": t, "ids": tokenizer.encode(t).ids, "ids_no_special": tokenizer.encode(t, add_special_tokens=False).ids}
                   for t in texts()]
        (folder / "vectors.json").write_text("[\n" + ",\n".join(json.dumps(v, ensure_ascii=True) for v in vectors) + "\n]\n")
        print(f"{name}: {tokenizer.get_vocab_size()} tokens, {len(vectors)} texts")


if __name__ == "__main__":
    main()
