#!/usr/bin/env python3
"""How far the fast arithmetic is from the exact one: the KL divergence of next-token distributions from `--compute f32` on the same file, of
Moiety's `--compute auto` and of llama.cpp.

    build/venv/bin/python bench/precision.py MODEL.gguf TEXT [--tokens 8192] [--window 512] [--moiety build/moiety]

Prints the mean divergence (nats a token), with the standard error of the mean, and how often the likeliest token is the same.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scripts"))
from llama_logits import Llama  # noqa: E402


def log_softmax(x):
    x = x.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def moiety_logits(program, model, ids, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "ids.json").write_text(json.dumps([ids]))
        subprocess.run([program, "logits", model, "--tokens-file", path / "ids.json", "--out", path / "out", *options], check=True, capture_output=True)
        return np.load(path / "out/logits-0.npy")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--moiety", default="build/moiety")
    o = parser.parse_args()
    llama = Llama(o.model, o.window)
    ids = llama.tokenize(pathlib.Path(o.text).read_bytes()[:o.tokens * 16])[:o.tokens]
    divergence, same = {"auto": [], "llama.cpp": []}, {"auto": [], "llama.cpp": []}
    for at in range(0, len(ids), o.window):
        window = ids[at:at + o.window]
        exact = log_softmax(moiety_logits(o.moiety, o.model, window, "--compute", "f32"))
        for name, logits in (("auto", moiety_logits(o.moiety, o.model, window)), ("llama.cpp", llama.logits(window))):
            other = log_softmax(logits)
            divergence[name] += list((np.exp(exact) * (exact - other)).sum(axis=1))
            same[name] += list(exact.argmax(axis=1) == other.argmax(axis=1))
    result = {"model": o.model, "tokens": len(ids)}
    for name, values in divergence.items():
        result[name] = {"kl": float(np.mean(values)), "standard_error": float(np.std(values) / math.sqrt(len(values))), "same_top": float(np.mean(same[name]))}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
