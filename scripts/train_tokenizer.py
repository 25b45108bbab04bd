#!/usr/bin/env python3
"""Trains a byte-level BPE tokenizer on text files of documents (form feeds between them), and writes an ordinary tokenizer.json.

    train_tokenizer.py CORPUS --out DIR [--vocabulary 4096] [--sample-mb 4]

CORPUS is a folder with DOMAIN/train.txt, as make_corpus.py leaves it, or one text file. Of each domain the same amount is read, so that a
large one does not take the vocabulary for itself. Token 0 is <|endoftext|>, which stands between documents; the 256 bytes follow, so any
text can be written. The same files give the same tokenizer.
"""
import argparse
import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
# Words with the blank before them, single digits, runs of signs, line ends: Qwen2's pattern, which engine and llama.cpp know by name.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def sample(path, size):
    """About `size` bytes of a file's documents, evenly out of all of it."""
    documents = path.read_text(encoding="utf-8", errors="ignore").split("\f")
    total = sum(len(d) for d in documents)
    out, owed = [], 0.0
    for document in documents:
        owed += min(1.0, size / max(1, total)) * len(document)
        if owed > 0 and document:
            out.append(document)
            owed -= len(document)
    return out


def texts(corpus, size):
    files = sorted(corpus.glob("*/train.txt")) if corpus.is_dir() else [corpus]
    if not files:
        sys.exit(f"train_tokenizer: {corpus}: has no DOMAIN/train.txt; make the corpus first (scripts/make_corpus.py)")
    for path in files:
        yield from sample(path, size)


def train(documents, vocabulary):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(WORDS), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, min_frequency=2, show_progress=sys.stderr.isatty(), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  special_tokens=[AddedToken(END, special=True, normalized=False)])
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog="Example: scripts/train_tokenizer.py build/corpus/text --out build/corpus/tokenizer --vocabulary 4096")
    parser.add_argument("corpus", type=pathlib.Path, help="folder with DOMAIN/train.txt, or one text file")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for tokenizer.json and tokenizer_config.json")
    parser.add_argument("--vocabulary", type=int, default=4096, help="tokens in all, at least 257 (default 4096)")
    parser.add_argument("--sample-mb", type=float, default=4, help="millions of characters read of each domain (default 4)")
    options = parser.parse_args()
    if options.vocabulary < 257:
        parser.error("--vocabulary: 256 bytes and the end of text need 257 tokens")
    if not options.corpus.exists():
        sys.exit(f"train_tokenizer: {options.corpus}: there is no such file or folder; make the corpus first (scripts/make_corpus.py)")
    tokenizer = train(texts(options.corpus, options.sample_mb * 1e6), options.vocabulary)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(options.out / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": END, "clean_up_tokenization_spaces": False}
    (options.out / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    print(f"{options.out / 'tokenizer.json'}: {tokenizer.get_vocab_size()} tokens")


if __name__ == "__main__":
    main()
