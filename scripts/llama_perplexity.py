#!/usr/bin/env python3
"""Perplexity as llama.cpp computes it, by the protocol of its perplexity tool, with the library inside the xllamacpp wheel.

    build/venv/bin/python scripts/llama_perplexity.py MODEL.gguf TEXT [CONTEXT=512] [CHUNKS=20]

To compare with `moiety eval perplexity MODEL.gguf --file TEXT --chunks 20`. Settings are llama.cpp's defaults (an f16 cache). It rounds activations
to 8 bits before it multiplies them with quantised weights; `moiety convert MODEL.gguf OUT.gguf --type f32` gives a model for which it does not.
"""
import ctypes as c
import importlib.util
import json
import math
import pathlib
import sys

import numpy as np


class Params(c.Structure):  # more room than llama.cpp's structs of parameters take; only the first numbers are touched
    _fields_ = [("words", c.c_uint64 * 64)]


class Batch(c.Structure):
    _fields_ = [("count", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p), ("pos", c.POINTER(c.c_int32)),
                ("sequences", c.POINTER(c.c_int32)), ("sequence", c.POINTER(c.POINTER(c.c_int32))), ("wanted", c.POINTER(c.c_int8))]


def library():
    folder = pathlib.Path(importlib.util.find_spec("xllamacpp").origin).parent
    lib = c.CDLL(str(next(folder.glob("xllamacpp*.so"))), mode=c.RTLD_GLOBAL)

    def call(name, result, *given):
        f = getattr(lib, name)
        f.restype = result
        f.argtypes = given
        return f
    return call


def perplexity(path, text, n_ctx, chunks):
    call = library()
    pointer, i32 = c.c_void_p, c.c_int32
    call("llama_backend_init", None)()
    model = call("llama_model_load_from_file", pointer, c.c_char_p, Params)(path.encode(), call("llama_model_default_params", Params)())
    params = call("llama_context_default_params", Params)()
    first_numbers = c.cast(c.byref(params), c.POINTER(c.c_uint32))
    first_numbers[0] = first_numbers[1] = first_numbers[2] = n_ctx  # n_ctx, n_batch, n_ubatch
    context = call("llama_init_from_model", pointer, pointer, Params)(model, params)
    vocab = call("llama_model_get_vocab", pointer, pointer)(model)
    n_vocab = call("llama_vocab_n_tokens", i32, pointer)(vocab)
    bos = call("llama_vocab_bos", i32, pointer)(vocab) if call("llama_vocab_get_add_bos", c.c_bool, pointer)(vocab) else None
    room = (i32 * (len(text) + 8))()
    tokenize = call("llama_tokenize", i32, pointer, c.c_char_p, i32, c.POINTER(i32), i32, c.c_bool, c.c_bool)
    ids = room[:tokenize(vocab, text, len(text), room, len(room), True, False)]

    decode, logits = call("llama_decode", i32, pointer, Batch), call("llama_get_logits_ith", c.POINTER(c.c_float), pointer, i32)
    clear, memory = call("llama_memory_clear", None, pointer, c.c_bool), call("llama_get_memory", pointer, pointer)(context)
    batch = call("llama_batch_init", Batch, i32, i32, i32)(n_ctx, 0, 1)
    nll, scored, first = 0.0, 0, n_ctx // 2
    for w in range(min(chunks, len(ids) // n_ctx)):
        window = ids[w * n_ctx:(w + 1) * n_ctx]
        if bos is not None:
            window[0] = bos
        clear(memory, True)
        batch.count = n_ctx
        for i, token in enumerate(window):
            batch.token[i], batch.pos[i], batch.sequences[i], batch.sequence[i][0], batch.wanted[i] = token, i, 1, 0, i >= first
        if decode(context, batch) != 0:
            sys.exit("llama_decode failed")
        for i in range(first, n_ctx - 1):
            row = np.ctypeslib.as_array(logits(context, i), (n_vocab,)).astype(np.float64)
            nll += row.max() + math.log(np.exp(row - row.max()).sum()) - row[window[i + 1]]
            scored += 1
    return {"perplexity": math.exp(nll / scored), "tokens": scored, "context": n_ctx}


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    numbers = [int(a) for a in sys.argv[3:5]] + [512, 20][len(sys.argv) - 3:]
    print(json.dumps(perplexity(sys.argv[1], pathlib.Path(sys.argv[2]).read_bytes(), *numbers)))
