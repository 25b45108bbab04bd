"""One measurement of a peer: loads a GGUF, warms up, and prints tokens per second of each repetition as a JSON list.

    python bench/engine_speed.py llama.cpp|ik|ik-rtr MODEL -p 512 | -n 64  [-b 1] [-d 0] [-t 2] [-r 3]

llama.cpp is the library inside the xllamacpp wheel, ik that of the ik-llama-cpp-python wheel, or those that LLAMA_LIB and IK_LIB name (a native build's
libllama.so). Prompts go in one batch of at most 512 tokens; generation is one token for each sequence a step. Ids are random. Flash attention and
fused experts are on where the engine has them; ik-rtr repacks the weights while loading.
"""
import argparse
import ctypes as c
import importlib.util
import json
import os
import pathlib
import random
import sys
import time

i32, u32, pointer = c.c_int32, c.c_uint32, c.c_void_p


class Words(c.Structure):  # more room than llama.cpp's structs of parameters take; only the first numbers are touched
    _fields_ = [("words", c.c_uint64 * 64)]


class Batch(c.Structure):
    _fields_ = [("count", i32), ("token", c.POINTER(i32)), ("embd", pointer), ("pos", c.POINTER(i32)), ("sequences", c.POINTER(i32)),
                ("sequence", c.POINTER(c.POINTER(i32))), ("wanted", c.POINTER(c.c_int8))]


class IkBatch(c.Structure):
    _fields_ = Batch._fields_ + [("all_pos_0", i32), ("all_pos_1", i32), ("all_seq_id", i32)]


def folder_of(package):
    return pathlib.Path(importlib.util.find_spec(package).origin).parent


class Engine:
    def __init__(self, kind, path, threads, context, sequences):
        self.kind = kind
        ik = kind.startswith("ik")
        if ik:
            lib = os.environ.get("IK_LIB") or folder_of("ik_llama_cpp") / "lib/libllama.so"
            c.CDLL(str(pathlib.Path(lib).with_name("libggml.so")), mode=c.RTLD_GLOBAL)
            os.environ["IK_LLAMA_CPP_LIB_PATH"] = str(lib)  # that the package opens the same and no second one beside it
        else:
            lib = os.environ.get("LLAMA_LIB") or next(folder_of("xllamacpp").glob("xllamacpp*.so"))
        self.lib = c.CDLL(str(lib), mode=c.RTLD_GLOBAL)
        quiet = c.CFUNCTYPE(None, c.c_int, c.c_char_p, pointer)(lambda *_: None)
        self.keep = quiet
        self.call("llama_log_set", None, type(quiet), pointer)(quiet, None)
        if ik:
            from ik_llama_cpp import _ctypes_api as api
            Model, Context, self.Batch = api.llama_model_params, api.llama_context_params, IkBatch
        else:
            Model, Context, self.Batch = Words, Words, Batch
        self.call("llama_backend_init", None)()
        model_params = self.call("llama_model_default_params", Model)()
        if ik:
            model_params.repack_tensors = kind == "ik-rtr"
            model_params.use_mmap = kind != "ik-rtr"
        load = "llama_model_load_from_file"
        begin = time.time()
        self.model = self.call(load, pointer, c.c_char_p, Model)(str(path).encode(), model_params)
        if not self.model:
            sys.exit(f"{kind} does not load {path}")
        params = self.call("llama_context_default_params", Context)()
        if ik:
            params.n_ctx, params.n_batch, params.n_ubatch, params.n_seq_max = context, 512, 512, sequences
            params.flash_attn = sequences == 1  # with several it ends in an assertion (0.1.5)
            params.fused_moe_up_gate = params.fused_up_gate = True
            params.n_threads = params.n_threads_batch = threads
        else:
            numbers = c.cast(c.byref(params), c.POINTER(u32))
            numbers[0], numbers[1], numbers[2], numbers[3] = context, 512, 512, sequences
        make = "llama_init_from_model"
        self.context = self.call(make, pointer, pointer, Context)(self.model, params)
        self.call("llama_set_n_threads", None, pointer, i32, i32)(self.context, threads, threads)
        self.load_seconds = time.time() - begin
        if ik:
            self.vocab = self.call("llama_n_vocab", i32, pointer)(self.model)
        else:
            self.vocab = self.call("llama_vocab_n_tokens", i32, pointer)(self.call("llama_model_get_vocab", pointer, pointer)(self.model))
        self.batch = self.call("llama_batch_init", self.Batch, i32, i32, i32)(512, 0, 1)
        self.decode = self.call("llama_decode", i32, pointer, self.Batch)
        self.logits = self.call("llama_get_logits_ith", pointer, pointer, i32)

    def call(self, name, result, *given):
        f = getattr(self.lib, name)
        f.restype, f.argtypes = result, given
        return f

    def clear(self):
        if self.kind.startswith("ik"):
            self.call("llama_kv_cache_clear", None, pointer)(self.context)
        else:
            self.call("llama_memory_clear", None, pointer, c.c_bool)(self.call("llama_get_memory", pointer, pointer)(self.context), True)

    def run(self, rows):  # (sequence, position, wanted)
        for i, (sequence, position, wanted) in enumerate(rows):
            self.batch.token[i], self.batch.pos[i] = random.randrange(1000, self.vocab - 1000), position
            self.batch.sequences[i], self.batch.sequence[i][0], self.batch.wanted[i] = 1, sequence, wanted
        self.batch.count = len(rows)
        if self.decode(self.context, self.batch) != 0:
            sys.exit(f"{self.kind}: llama_decode failed")
        self.logits(self.context, len(rows) - 1)  # waits until it is there

    def prompt(self, sequence, begin, count, last_wanted):
        for at in range(begin, begin + count, 512):
            end = min(at + 512, begin + count)
            self.run([(sequence, p, last_wanted and p + 1 == begin + count) for p in range(at, end)])


def measure(engine, o):
    engine.clear()
    for s in range(o.batch):
        if o.depth:
            engine.prompt(s, 0, o.depth, False)
    begin = time.perf_counter()
    if o.prompt:
        rows = [(s, o.depth + p, p + 1 == o.prompt) for s in range(o.batch) for p in range(o.prompt)]
        for at in range(0, len(rows), 512):
            engine.run(rows[at:at + 512])
        tokens = len(rows)
    else:
        for step in range(o.generate):
            engine.run([(s, o.depth + step, True) for s in range(o.batch)])
        tokens = o.batch * o.generate
    return tokens / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=["llama.cpp", "ik", "ik-rtr"])
    parser.add_argument("model")
    for short, name, value in [("-p", "prompt", 0), ("-n", "generate", 0), ("-b", "batch", 1), ("-d", "depth", 0), ("-t", "threads", 2), ("-r", "repeats", 3)]:
        parser.add_argument(short, "--" + name, type=int, default=value)
    parser.add_argument("--start", action="store_true", help="print the seconds from loading to the first token instead")
    o = parser.parse_args()
    if o.start:
        begin = time.perf_counter()
        Engine(o.engine, o.model, o.threads, 512, 1).run([(0, 0, True)])
        return print(time.perf_counter() - begin)
    engine = Engine(o.engine, o.model, o.threads, max(512, (o.depth + max(o.prompt, o.generate) + 8) * o.batch), o.batch)
    warm_up = argparse.Namespace(batch=1, depth=0, prompt=16, generate=0)
    measure(engine, warm_up)
    warm_up.prompt, warm_up.generate = 0, 4
    measure(engine, warm_up)
    print(json.dumps([measure(engine, o) for _ in range(o.repeats)]))


if __name__ == "__main__":
    main()
