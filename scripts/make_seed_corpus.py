#!/usr/bin/env python3
"""Writes small legal inputs for every fuzzer: DIR/NAME_fuzz/*."""
import io
import json
import pathlib
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
out = pathlib.Path(sys.argv[1])


def seed(fuzzer, name, data):
    folder = out / f"{fuzzer}_fuzz"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def gguf(keys, tensors=(), alignment=32):
    """A GGUF file of keys {name: value} and tensors (name, shape, type, bytes)."""
    kinds = {bool: (7, "?"), int: (4, "I"), float: (6, "f")}

    def value(v):
        if isinstance(v, str):
            return struct.pack("<I", 8) + text(v)
        if isinstance(v, list):
            if isinstance(v[0], str):
                return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(map(text, v))
            number, letter = kinds[type(v[0])]
            return struct.pack(f"<IIQ{len(v)}{letter}", 9, number, len(v), *v)
        number, letter = kinds[type(v)]
        return struct.pack("<I" + letter, number, v)

    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    for name, v in keys.items():
        out += text(name) + value(v)
    data = b""
    for name, shape, kind, content in tensors:
        data += b"\0" * (-len(data) % alignment)
        out += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += content
    return out + b"\0" * (-len(out) % alignment) + data


def fields(*entries):
    """A protocol buffer message of (number, value): bytes, float or int, all shorter than 128."""
    out = b""
    for number, v in entries:
        kind = 2 if isinstance(v, bytes) else 5 if isinstance(v, float) else 0
        tag = number << 3 | kind
        out += bytes([tag] if tag < 128 else [tag & 127 | 128, tag >> 7])
        out += bytes([len(v)]) + v if kind == 2 else struct.pack("<f", v) if kind == 5 else bytes([v])
    return out


def npy(descr, shape, data):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


# GGUF: configurations of several architectures with the tensors that tell them apart, and vocabularies of each kind.
embedding = ("token_embd.weight", (4, 8), 0, bytes(128))
base = {"context_length": 64, "embedding_length": 4, "feed_forward_length": 8, "block_count": 2, "attention.head_count": 2,
        "attention.head_count_kv": 1, "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0, "rope.dimension_count": 2}
moe = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 8}
latent = {"attention.key_length": 6, "attention.value_length": 4, "attention.kv_lora_rank": 4, "attention.key_length_mla": 4, "attention.value_length_mla": 2}
architectures = {
    "llama": {**moe, "rope.scaling.type": "linear", "rope.scaling.factor": 2.0},
    "qwen3moe": {**moe, "attention.key_length": 4},
    "deepseek2": {**moe, **latent, "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_gating_func": 2, "expert_group_count": 2,
                  "expert_group_used_count": 1, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16},
    "gpt-oss": {**moe, "attention.sliding_window": 8, "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 16},
    "qwen3next": {**moe, "ssm.conv_kernel": 4, "ssm.group_count": 1, "ssm.time_step_rank": 2, "ssm.state_size": 2, "ssm.inner_size": 4},
    "lfm2moe": {**moe, "shortconv.l_cache": 3, "attention.head_count_kv": [0, 1]},
    "gemma3": {"attention.sliding_window": 8, "attention.key_length": 2},
    "dbrx": {**moe, "attention.clamp_kqv": 8.0},
}
for name, keys in architectures.items():
    seed("gguf", name, gguf({"general.architecture": name, **{f"{name}.{k}": v for k, v in {**base, **keys}.items()}},
                            [embedding, ("blk.1.attn_q.weight", (4, 4), 1, bytes(32)), ("output.weight", (32, 1), 8, bytes(34))]))
seed("gguf", "own", gguf({"general.architecture": "moiety-x", "moiety.config": (ROOT / "tests/fixtures/jetmoe/config.json").read_text()}, [embedding]))
seed("gguf", "split", gguf({"general.architecture": "llama", "split.count": 1, "split.no": 0, "general.alignment": 64, "list": ["a", "bc"], "flags": [True, False]}))

# Packed files: matrices in rows; experts of a gate in panels and an up in rows.
def packed(parts, records, **keys):
    """Parts (name, element, record, type, order, rows, cols, offset, bytes) in records (name, type, shape, bytes)."""
    lists = dict(zip(("names", "elements", "records", "types", "orders", "rows", "cols", "offsets", "bytes"), map(list, zip(*parts))))
    checksums = ("moiety.pack.checksums", (len(parts),), 27, bytes(8 * len(parts)))
    own = {f"moiety.pack.{key}": value for key, value in {"version": 1, **lists, **keys}.items()}
    return gguf({"general.architecture": "llama", "general.alignment": 4096, **own}, [(name, shape, kind, content) for name, kind, shape, content in records] + [checksums], 4096)


seed("packed_index", "rows", packed([("token_embd.weight", 0, "token_embd.weight", 0, 0, 8, 4, 0, 128), ("output_norm.weight", 0, "output_norm.weight", 0, 0, 4, 1, 0, 16)],
                                    [("token_embd.weight", 0, (4, 8), bytes(128)), ("output_norm.weight", 0, (4,), bytes(16))], fingerprint=7, tied_output=True))
gate, up = ("blk.0.ffn_gate_exps.weight", "blk.0.ffn_up_exps.weight")
seed("packed_index", "experts", packed([(name, e, f"blk.0.ffn.expert.{e}", kind, order, 2, 32, at, size) for e in range(2)
                                        for name, kind, order, at, size in [(gate, 8, 1, 0, 544), (up, 2, 0, 576, 36)]],
                                       [(f"blk.0.ffn.expert.{e}", 24, (612,), bytes(612)) for e in range(2)], rope_interleaved=False))

pieces = ["<unk>", "<s>", "</s>", *[f"<0x{b:02X}>" for b in range(256)], "\u2581", "H", "e", "l", "o", "He", "ll", "\u2581w"]
types = [2, 3, 3] + [6] * 256 + [1] * 8
ggml = lambda model, **keys: {"tokenizer.ggml.model": model, **{f"tokenizer.ggml.{k}": v for k, v in keys.items()}}
seed("gguf_tokenizer", "llama", gguf(ggml("llama", tokens=pieces, token_type=types, scores=[-float(i) for i in range(len(pieces))], bos_token_id=1, eos_token_id=2)))
seed("gguf_tokenizer", "t5", gguf(ggml("t5", tokens=pieces, token_type=types, scores=[-float(i) for i in range(len(pieces))], add_eos_token=True, eos_token_id=2)))
letters = [chr(c) for c in range(33, 127)]
seed("gguf_tokenizer", "gpt2", gguf(ggml("gpt2", pre="llama-bpe", tokens=letters + ["He", "<s>"], token_type=[1] * 95 + [3], merges=["H e"], bos_token_id=95, add_bos_token=True)))
seed("gguf_tokenizer", "bert", gguf(ggml("bert", tokens=["[UNK]", "[CLS]", "[SEP]", "\u2581hello", "world", "##1"], token_type=[2, 3, 3, 1, 1, 1], cls_token_id=1,
                                         seperator_token_id=2, unknown_token_id=0)))

seed("imatrix", "dat", struct.pack("<ii", 1, 1) + b"a" + struct.pack("<ii", 2, 4) + struct.pack("<4f", 1, 2, 3, 4) + struct.pack("<ii", 5, 1) + b"t")
stats = b"GGUF" + struct.pack("<IQQ", 3, 2, 0)
stats += text("a.in_sum2") + struct.pack("<IQQIQ", 2, 4, 2, 0, 0) + text("a.counts") + struct.pack("<IQQIQ", 2, 1, 2, 0, 32)
seed("imatrix", "gguf", stats + b"\0" * (-len(stats) % 32) + struct.pack("<8f2f", 1, 2, 3, 4, 5, 6, 7, 8, 2, 0) + b"\0" * 24)

header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "BF16", "shape": [], "data_offsets": [8, 10]}}).encode()
seed("safetensors", "small", struct.pack("<Q", len(header)) + header + b"\0" * 10)
header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": [0, 4]},
                     "w_scale_inv": {"dtype": "F32", "shape": [1, 1], "data_offsets": [4, 8]}}).encode()
seed("safetensors", "scaled", struct.pack("<Q", len(header)) + header + b"\0" * 8)
seed("shard_index", "two", json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}))
seed("npy", "small", npy("<f4", "(2,)", b"\0" * 8))
seed("npy", "matrix", npy("<i4", "(2, 3)", b"\1" * 24))
archive = io.BytesIO()
with zipfile.ZipFile(archive, "w") as trace:
    for name, descr, shape, count in [("tokens", "<i4", "(2,)", 2), ("layers", "<i4", "(1,)", 1), ("experts", "<i4", "(2, 1, 2)", 4), ("weights", "<f4", "(2, 1, 2)", 4)]:
        trace.writestr(zipfile.ZipInfo(name + ".npy"), npy(descr, shape, struct.pack(f"<{count}i", *range(count))))
seed("npz", "trace", archive.getvalue())

def token_file(wide, documents, separator):
    """A token file without its checksum, which the fuzzer adds: documents (ids, bytes of text) in a domain each."""
    ids = [i for d, _ in documents for i in d]
    pad = lambda b: b + b"\0" * (-len(b) % 8)
    starts = [sum(len(d) for d, _ in documents[:i]) for i in range(len(documents))]
    table = b"".join(struct.pack("<4Q", start, size, 77 * i, i) for i, (start, (_, size)) in enumerate(zip(starts, documents)))
    names = b"".join(b"domain%d\0" % i for i in range(len(documents)))
    return (b"MOIETYT1" + struct.pack("<2I2Q", 4 if wide else 2, 70000 if wide else 16, 5, 6) + pad(struct.pack(f"<{len(ids)}{'I' if wide else 'H'}", *ids)) + table
            + pad(names) + struct.pack("<4Q", len(ids), len(documents), len(names), separator))


seed("token_file", "narrow", token_file(False, [([0, 1, 2, 3, 4, 5], 9), ([0, 7], 1), ([0, 8, 9, 10, 11, 12, 13], 20)], 1))
seed("token_file", "wide", token_file(True, [([1, 2, 69999, 3, 4, 5], 9), ([1, 2, 8, 9, 10], 20)], 2))

generation = b"\0" + json.dumps({"eos_token_id": [1, 2], "bos_token_id": 1, "temperature": 0.7}).encode()
for config in sorted((ROOT / "tests/fixtures").glob("*/config.json")):
    seed("config", config.parent.name, config.read_bytes() + generation)
seed("config", "moiety", (ROOT / "tests/data/moiety_config.json").read_bytes() + generation)
seed("own_model", "moiety", (ROOT / "tests/data/moiety_config.json").read_bytes())
tokens = {chr(c): i for i, c in enumerate(range(33, 127))}
tokenizer_config = "\0" + json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "{{ messages }}"})
seed("tokenizer_json", "bpe", json.dumps({"added_tokens": [{"id": 94, "content": "<s>", "special": True}], "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False},
                                         "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}],
                                                            "special_tokens": {"<s>": {"id": "<s>", "ids": [94], "tokens": ["<s>"]}}},
                                         "model": {"type": "BPE", "vocab": {**tokens, "ab": 95}, "merges": ["a b"]}}) + tokenizer_config)
seed("tokenizer_json", "unigram", json.dumps({"normalizer": {"type": "Prepend", "prepend": "\u2581"}, "pre_tokenizer": {"type": "Metaspace"},
                                             "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0], ["\u2581", -2.0]]}}))
seed("tokenizer_json", "wordpiece", json.dumps({"normalizer": {"type": "BertNormalizer", "lowercase": True}, "pre_tokenizer": {"type": "BertPreTokenizer"},
                                               "model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "hello": 1, "##1": 2}}}))
seed("tokenizer_json", "steps", json.dumps({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Strip"}, {"type": "Replace", "pattern": {"Regex": " +"}, "content": "_"}]},
                                           "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "_"}, "behavior": "MergedWithNext"}, {"type": "Digits"},
                                                                                                   {"type": "Punctuation"}, {"type": "WhitespaceSplit"}]},
                                           "model": {"type": "BPE", "byte_fallback": True, "unk_token": "?", "vocab": tokens, "merges": [["a", "b"]]}}))
piece = lambda word, score, kind: (1, fields((1, word), (2, score), (3, kind)))
seed("sentencepiece", "bpe", fields(piece(b"<unk>", 0.0, 2), piece(b"<s>", 0.0, 3), piece(b"a", -1.0, 1), piece(b"\xe2\x96\x81", -2.0, 1), (2, fields((3, 2)))))
seed("sentencepiece", "unigram", fields(piece(b"<unk>", 0.0, 2), piece(b"e", -1.0, 1), piece(b"lo", -2.0, 4), (2, fields((3, 1), (40, 0))), (3, fields((3, 1), (4, 1), (5, 1)))))
for name, template in {
    "chatml": "{% for m in messages %}{{ '<|' + m.role + '|>' }}{{ m['content'] | trim }}{% endfor %}{% if add_generation_prompt %}x{% endif %}",
    "macro": "{%- macro f(x, y=1) -%}{{ x ~ y }}{%- endmacro -%}{{ f('a') }}{% set ns = namespace(n=0) %}{% for i in range(3) if i %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}",
    "json": "{{ messages | tojson(indent=2) }}{{ messages[0].content[1:] | upper }}{{ (1, 2) is iterable }}",
    "tests": "{% if tools is defined and tools is not none %}{% elif 'a' in 'abc' and not false %}{{ raise_exception('no') }}{% endif %}{{ strftime_now('%d') }}{{ loop }}",
    "filters": "{{ messages | map(attribute='role') | join(', ') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ '%s-%d' | format('a', 3) }}{{ [3, 1] | sort | first }}",
}.items():
    seed("template", name, template)
for i, routing in enumerate(["softmax | top_k(8) | renorm", "layers 0-5,7: @model; all: sigmoid | bias | groups(8, 4, rank=max) | top_p(0.6, max=8)", "drop(3:17, 0-2) | @model | keep(2)",
                             "temperature(0.5) | sparsemixer(0.01)", "boost(3, 0.5) | @model | scale(2.5)", "top_k(4) | softmax | min_p(0.1)"]):
    seed("routing_text", str(i), routing)
for i, sample in enumerate(["Hello, w\u00f6rld! 123 \u4f60\u597d", "  \n\tdef f(x):\r\n    return x**2", "\U0001f600\u200d\U0001f525 e\u0301 <s></s> \u2581", "I'll don't WE'RE 3.14e-5"]):
    seed("text", str(i), sample)
seed("id_lists", "json", "[[1,2,3],[4,5]]")
seed("id_lists", "line", "1,2,3")
seed("choices", "two", '{"query": "a", "choices": ["b", "c"], "gold": 0}\n\n{"query": "", "choices": ["d"], "gold": 0}\n')
empty = lambda n: struct.pack("<Q", 0) * n
for model, (blocks, sites) in enumerate([(3, 3), (3, 2), (4, 4), (4, 3)]):
    routing = b"@model"
    seed("session", str(model), bytes([model]) + struct.pack("<Q", len(routing)) + routing + struct.pack("<Q2i", 2, 1, 2) + empty(4 * blocks + sites + 3))
