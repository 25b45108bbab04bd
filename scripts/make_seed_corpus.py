#!/usr/bin/env python3
"""Writes small legal inputs for every fuzzer: DIR/NAME_fuzz/*."""
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
out = pathlib.Path(sys.argv[1])


def seed(fuzzer, name, data):
    folder = out / f"{fuzzer}_fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


gguf = b"GGUF" + struct.pack("<IQQ", 3, 1, 4)
gguf += text("general.architecture") + struct.pack("<I", 8) + text("llama")
gguf += text("llama.block_count") + struct.pack("<II", 4, 2)
gguf += text("list") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
gguf += text("reals") + struct.pack("<IIQff", 9, 6, 2, 1, 2)
gguf += text("w") + struct.pack("<IQQIQ", 2, 32, 1, 8, 0)
gguf += b"\0" * (-len(gguf) % 32) + b"\0" * 64
seed("gguf", "small", gguf)

seed("imatrix", "dat", struct.pack("<ii", 1, 1) + b"a" + struct.pack("<ii", 2, 4) + struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<ii", 5, 1) + b"t")
stats = b"GGUF" + struct.pack("<IQQ", 3, 2, 0)
stats += text("a.in_sum2") + struct.pack("<IQQIQ", 2, 4, 2, 0, 0) + text("a.counts") + struct.pack("<IQQIQ", 2, 1, 2, 0, 32)
seed("imatrix", "gguf", stats + b"\0" * (-len(stats) % 32) + struct.pack("<8f2f", 1, 2, 3, 4, 5, 6, 7, 8, 2, 0) + b"\0" * 24)

header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]}}).encode()
seed("safetensors", "small", struct.pack("<Q", len(header)) + header + b"\0" * 10)
head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"
seed("npy", "small", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 8)

for config in sorted((ROOT / "tests/fixtures").glob("*/config.json")):
    seed("config", config.parent.name, config.read_bytes())
tokens = {chr(c): i for i, c in enumerate(range(33, 127))}
seed("tokenizer_json", "bpe", json.dumps({"added_tokens": [{"id": 94, "content": "<s>", "special": True}], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
                                         "model": {"type": "BPE", "vocab": {**tokens, "ab": 95}, "merges": ["a b"]}}))
seed("tokenizer_json", "unigram", json.dumps({"normalizer": {"type": "Prepend", "prepend": "\u2581"}, "pre_tokenizer": {"type": "Metaspace"},
                                             "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["\u2581", -2.0]]}}))
piece = lambda t, s, k: b"\x0a" + bytes([len(p := b"\x0a" + bytes([len(t)]) + t + b"\x15" + struct.pack("<f", s) + b"\x18" + bytes([k]))]) + p
seed("sentencepiece", "small", piece(b"<unk>", 0, 2) + piece(b"<s>", 0, 3) + piece(b"a", -1, 1) + b"\x12\x02\x18\x02")
for name, template in {
    "chatml": "{% for m in messages %}{{ '<|' + m.role + '|>' }}{{ m['content'] | trim }}{% endfor %}{% if add_generation_prompt %}x{% endif %}",
    "macro": "{%- macro f(x, y=1) -%}{{ x ~ y }}{%- endmacro -%}{{ f('a') }}{% set ns = namespace(n=0) %}{% for i in range(3) if i %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
    "json": "{{ messages | tojson(indent=2) }}{{ messages[0].content[1:] | upper }}{{ (1, 2) is iterable }}",
}.items():
    seed("template", name, template)
for i, routing in enumerate(["softmax | top_k(8) | renorm", "layers 0-5,7: @model; all: sigmoid | bias | groups(8, 4, rank=max) | top_p(0.6, max=8)", "drop(3:17, 0-2) | @model | keep(2)"]):
    seed("routing_text", str(i), routing)
