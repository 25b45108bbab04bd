"""llama.cpp as the xllamacpp wheel carries it, called by ctypes: token ids and logits of a GGUF, with llama.cpp's defaults (an f16 cache)."""
import ctypes as c
import importlib.util
import pathlib
import sys

import numpy as np

pointer, i32 = c.c_void_p, c.c_int32


class Params(c.Structure):  # more room than llama.cpp's structs of parameters take; only the first numbers are touched
    _fields_ = [("words", c.c_uint64 * 64)]


class Batch(c.Structure):
    _fields_ = [("count", i32), ("token", c.POINTER(i32)), ("embd", pointer), ("pos", c.POINTER(i32)), ("sequences", c.POINTER(i32)),
                ("sequence", c.POINTER(c.POINTER(i32))), ("wanted", c.POINTER(c.c_int8))]


class Llama:
    def __init__(self, path, context):
        folder = pathlib.Path(importlib.util.find_spec("xllamacpp").origin).parent
        self.lib = c.CDLL(str(next(folder.glob("xllamacpp*.so"))), mode=c.RTLD_GLOBAL)
        self.call("llama_backend_init", None)()
        self.model = self.call("llama_model_load_from_file", pointer, c.c_char_p, Params)(str(path).encode(), self.call("llama_model_default_params", Params)())
        if not self.model:
            sys.exit(f"llama.cpp does not load {path}")
        params = self.call("llama_context_default_params", Params)()
        numbers = c.cast(c.byref(params), c.POINTER(c.c_uint32))
        numbers[0] = numbers[1] = numbers[2] = context  # n_ctx, n_batch, n_ubatch
        self.context = self.call("llama_init_from_model", pointer, pointer, Params)(self.model, params)
        self.vocab = self.call("llama_model_get_vocab", pointer, pointer)(self.model)
        self.size = self.call("llama_vocab_n_tokens", i32, pointer)(self.vocab)
        self.batch = self.call("llama_batch_init", Batch, i32, i32, i32)(context, 0, 1)
        self.decode, self.row = self.call("llama_decode", i32, pointer, Batch), self.call("llama_get_logits_ith", c.POINTER(c.c_float), pointer, i32)

    def call(self, name, result, *given):
        f = getattr(self.lib, name)
        f.restype, f.argtypes = result, given
        return f

    def bos(self):
        if not self.call("llama_vocab_get_add_bos", c.c_bool, pointer)(self.vocab):
            return None
        return self.call("llama_vocab_bos", i32, pointer)(self.vocab)

    def tokenize(self, text):
        room = (i32 * (len(text) + 8))()
        n = self.call("llama_tokenize", i32, pointer, c.c_char_p, i32, c.POINTER(i32), i32, c.c_bool, c.c_bool)(
            self.vocab, text, len(text), room, len(room), True, False)
        return room[:n]

    def logits(self, ids, first=0):
        """[ids - first, vocabulary] of one window, from position `first` on."""
        memory = self.call("llama_get_memory", pointer, pointer)(self.context)
        self.call("llama_memory_clear", None, pointer, c.c_bool)(memory, True)
        b = self.batch
        b.count = len(ids)
        for i, token in enumerate(ids):
            b.token[i], b.pos[i], b.sequences[i], b.sequence[i][0], b.wanted[i] = token, i, 1, 0, i >= first
        if self.decode(self.context, b) != 0:
            sys.exit("llama_decode failed")
        return np.stack([np.ctypeslib.as_array(self.row(self.context, i), (self.size,)).copy() for i in range(first, len(ids))])
