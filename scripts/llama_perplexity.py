#!/usr/bin/env python3
"""Perplexity as llama.cpp computes it, by the protocol of its perplexity tool, with the library inside the xllamacpp wheel.

    build/venv/bin/python scripts/llama_perplexity.py MODEL.gguf TEXT [CONTEXT=512] [CHUNKS=20]

To compare with `moiety eval perplexity MODEL.gguf --file TEXT --chunks 20`. llama.cpp rounds activations to 8 bits before it multiplies them with
quantised weights; `moiety convert MODEL.gguf OUT.gguf --type f32` gives a model for which it does not.
"""
import json
import math
import pathlib
import sys

import numpy as np

from llama_logits import Llama


def perplexity(path, text, n_ctx, chunks):
    llama = Llama(path, n_ctx)
    ids, bos = llama.tokenize(text), llama.bos()
    nll, scored, first = 0.0, 0, n_ctx // 2
    for w in range(min(chunks, len(ids) // n_ctx)):
        window = ids[w * n_ctx:(w + 1) * n_ctx]
        if bos is not None:
            window[0] = bos
        for i, row in enumerate(llama.logits(window, first)[:-1].astype(np.float64)):
            nll += row.max() + math.log(np.exp(row - row.max()).sum()) - row[window[first + i + 1]]
            scored += 1
    return {"perplexity": math.exp(nll / scored), "tokens": scored, "context": n_ctx}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    numbers = [int(a) for a in sys.argv[3:5]] + [512, 20][len(sys.argv) - 3:]
    print(json.dumps(perplexity(sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes(), *numbers)))
