#!/usr/bin/env python3
"""Writes a tiny random OLMoE model with a byte tokenizer to DIR, with nothing but Python's own library."""
import json
import pathlib
import random
import struct
import sys

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
D, LAYERS, EXPERTS, WIDTH, VOCAB = 64, 4, 8, 64, 258
rng = random.Random(1)
tensors = {}


def add(name, *shape, ones=False):
    count = 1
    for n in shape:
        count *= n
    tensors[name] = (shape, [1.0] * count if ones else [rng.gauss(0, 1) / shape[-1] ** 0.5 for _ in range(count)])


add("model.embed_tokens.weight", VOCAB, D)
add("lm_head.weight", VOCAB, D)
add("model.norm.weight", D, ones=True)
for i in range(LAYERS):
    layer = f"model.layers.{i}."
    for norm in ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm", "self_attn.k_norm"):
        add(f"{layer}{norm}.weight", D, ones=True)
    for matrix in "qkvo":
        add(f"{layer}self_attn.{matrix}_proj.weight", D, D)
    add(f"{layer}mlp.gate.weight", EXPERTS, D)
    for e in range(EXPERTS):
        add(f"{layer}mlp.experts.{e}.gate_proj.weight", WIDTH, D)
        add(f"{layer}mlp.experts.{e}.up_proj.weight", WIDTH, D)
        add(f"{layer}mlp.experts.{e}.down_proj.weight", D, WIDTH)

header, data = {}, bytearray()
for name, (shape, values) in tensors.items():
    begin = len(data)
    data += struct.pack(f"<{len(values)}f", *values)
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
text = json.dumps(header).encode()
(out / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
(out / "config.json").write_text(json.dumps({
    "model_type": "olmoe", "hidden_size": D, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 4, "vocab_size": VOCAB,
    "intermediate_size": WIDTH, "num_experts": EXPERTS, "num_experts_per_tok": 2, "norm_topk_prob": True, "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0, "max_position_embeddings": 2048, "tie_word_embeddings": False, "eos_token_id": 257}))

# Every byte is a token, in GPT-2's visible alphabet; 256 and 257 begin and end a text.
plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
visible, extra = {}, 256
for byte in range(256):
    visible[byte] = chr(byte) if byte in plain else chr(extra)
    extra += byte not in plain
special = [{"id": 256, "content": "<s>", "special": True}, {"id": 257, "content": "</s>", "special": True}]
(out / "tokenizer.json").write_text(json.dumps({
    "added_tokens": special, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {visible[b]: b for b in range(256)}, "merges": []}}))
(out / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
