"""Broken files and wrong commands: one clear message that names the file or the key, status 1 or 2, no partial output."""
import json
import random
import shutil
import struct
import subprocess
import zipfile

import numpy as np
import pytest
from conftest import ROOT

FIXTURES = ROOT / "tests" / "fixtures"
TOKENIZER = ROOT / "tests" / "data" / "tokenizers" / "byte_level" / "tokenizer.json"


def run(moiety, *arguments, **options):
    return subprocess.run([moiety, "--quiet", *map(str, arguments)], capture_output=True, timeout=20, stdin=subprocess.DEVNULL, **options)


def refused(moiety, *arguments, names=(), left=None, status=1, **options):
    """The command fails as it should; gives its message."""
    result = run(moiety, *arguments, **options)
    message = result.stderr.decode(errors="replace")
    assert result.returncode == status, message
    lines = [line for line in message.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("moiety: "), message
    for name in names:
        assert str(name) in message
    for internal in ("json.exception", "std::", "basic_string", "vector::"):
        assert internal not in message
    assert left is None or not left.exists(), f"{left} was left behind: {message}"
    return message


@pytest.fixture
def model(tmp_path):
    """A copy of a small checkpoint that a test may break."""
    return shutil.copytree(FIXTURES / "mixtral", tmp_path / "model")


@pytest.fixture(scope="session")
def gguf(moiety, tmp_path_factory):
    out = tmp_path_factory.mktemp("gguf") / "model.gguf"
    assert run(moiety, "convert", FIXTURES / "qwen3_moe", out, "--type", "f32").returncode == 0
    return out.read_bytes()


def set_key(model, **keys):
    path = model / "config.json"
    config = json.loads(path.read_text())
    config.update(keys)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize("key, value", [
    ("num_hidden_layers", 10**9), ("num_hidden_layers", -1), ("num_hidden_layers", "3"), ("vocab_size", 2**31), ("vocab_size", 2**31 - 1), ("vocab_size", 0),
    ("hidden_size", 2**40), ("hidden_size", 1.5), ("head_dim", 0), ("head_dim", 2**31 - 1), ("num_attention_heads", 0), ("num_attention_heads", 7),
    ("num_key_value_heads", 0), ("num_key_value_heads", 2**30), ("num_local_experts", 10**6), ("num_local_experts", 0), ("num_experts_per_tok", 1000),
    ("num_experts_per_tok", 0), ("intermediate_size", 2**31 - 1), ("max_position_embeddings", 0), ("rms_norm_eps", -1), ("rms_norm_eps", 0),
    ("rms_norm_eps", 1e300), ("rms_norm_eps", "x"), ("rope_theta", 0), ("rope_theta", -1), ("rope_scaling", {"type": "yarn", "factor": 0}),
    ("rope_scaling", {"type": "linear", "factor": 1e300}), ("rope_scaling", {"type": "yarn", "factor": 4, "beta_fast": -1}), ("rope_scaling", 5),
    ("rope_scaling", {"type": "unheard"}), ("rope_parameters", {"rope_theta": 0}), ("hidden_act", "unheard"), ("model_type", "unheard"), ("model_type", None),
    ("tie_word_embeddings", "x"), ("text_config", 5), ("rotary_dim", 2**31 - 2),
])
@pytest.mark.parametrize("verb", ["logits", "convert"])
def test_absurd_configurations(moiety, model, verb, key, value):
    set_key(model, **{key: value})
    out = model.parent / "out"
    arguments = ["logits", model, "--tokens", "1,2,3", "--out", out] if verb == "logits" else ["convert", model, out]
    refused(moiety, *arguments, names=[model], left=out)


def test_a_window_of_nothing(moiety, tmp_path):
    model = shutil.copytree(FIXTURES / "gpt_oss", tmp_path / "model")
    set_key(model, sliding_window=0)
    refused(moiety, "logits", model, "--tokens", "1", "--out", tmp_path / "out", names=[model, "window"], left=tmp_path / "out")


def test_json_that_nests_without_end(moiety, model):
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        old = (model / name).read_bytes() if (model / name).exists() else None
        (model / name).write_text('{"a":' + "[" * 200_000)
        refused(moiety, *(["tokenize", model, "a"] if name == "tokenizer.json" else ["inspect", model]), names=[name])
        (model / name).unlink()
        if old:
            (model / name).write_bytes(old)


# safetensors

def change_header(path, change):
    data = path.read_bytes()
    length, = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    changed = change(header, bytearray(data[8 + length:]))
    text, body = changed if isinstance(changed, tuple) else (json.dumps(header).encode(), data[8 + length:])
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def first(header):
    return next(name for name in header if name != "__metadata__")


HEADERS = {
    "reversed": lambda h: h[first(h)]["data_offsets"].reverse(),
    "past the end": lambda h: h[first(h)].update(data_offsets=[0, 2**63]),
    "negative": lambda h: h[first(h)].update(data_offsets=[-8, 0]),
    "overlapping": lambda h: h[first(h)].update(data_offsets=list(h[list(h)[-1]]["data_offsets"])),
    "wrong shape": lambda h: h[first(h)].update(shape=[1] + h[first(h)]["shape"][:-1] + [h[first(h)]["shape"][-1] // 2]),
    "overflowing shape": lambda h: h[first(h)].update(shape=[2**32, 2**32]),
    "unknown type": lambda h: h[first(h)].update(dtype="F7"),
    "missing": lambda h: h.pop(first(h)),
    "unknown tensor": lambda h: h.update(unheard=h.pop(first(h))),
    "no entry": lambda h: h.update({first(h): None}),
}


@pytest.mark.parametrize("verb", ["logits", "inspect", "convert"])
@pytest.mark.parametrize("change", HEADERS)
def test_safetensors_headers(moiety, model, change, verb):
    change_header(sorted(model.glob("*.safetensors"))[0], lambda header, body: HEADERS[change](header) and None)
    out = model.parent / "out.gguf"
    arguments = {"logits": ["logits", model, "--tokens", "1", "--out", out], "inspect": ["inspect", model, "--json"], "convert": ["convert", model, out]}[verb]
    refused(moiety, *arguments, names=[model], left=out)


def test_a_doubled_tensor(moiety, model):
    path = sorted(model.glob("*.safetensors"))[0]

    def double(header, body):
        text = json.dumps(header).encode()
        return text[:-1] + b", " + json.dumps({first(header): header[first(header)]}).encode()[1:], bytes(body)

    change_header(path, double)
    refused(moiety, "inspect", model, names=[path, "twice"])


def test_weights_that_are_no_numbers(moiety, model):
    path = sorted(model.glob("*.safetensors"))[-1]
    broken = []

    def poison(header, body):
        name = next(n for n in header if "layernorm" in n)
        begin, end = header[name]["data_offsets"]
        body[begin:end] = b"\xff" * (end - begin)
        broken.append(name)
        return json.dumps(header).encode(), bytes(body)

    change_header(path, poison)
    out = model.parent / "out"
    refused(moiety, "logits", model, "--tokens", "1,2", "--out", out, "--check", names=[model, "blk.", "NaN"], left=out)
    refused(moiety, "logits", model, "--tokens", "1,2", "--out", out, names=["layer"], left=out)


def test_an_index_that_leads_astray(moiety, model):
    index = model / "model.safetensors.index.json"
    for shard in ("../model.safetensors", "/dev/zero", "config.json", "", "no.safetensors", "a\0.safetensors"):
        index.write_text(json.dumps({"weight_map": {"model.norm.weight": shard}}))
        refused(moiety, "inspect", model, names=[model])
    for text in ("[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "{"):
        index.write_text(text)
        refused(moiety, "inspect", model, names=[index])


# GGUF

def tensors_at(data):
    """Where the description of the first tensor begins."""
    _, keys = struct.unpack_from("<QQ", data, 8)
    at = 24
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    for _ in range(keys):
        at += 8 + struct.unpack_from("<Q", data, at)[0]
        kind, = struct.unpack_from("<I", data, at)
        at += 4
        if kind == 8:
            at += 8 + struct.unpack_from("<Q", data, at)[0]
        elif kind == 9:
            element, count = struct.unpack_from("<IQ", data, at)
            at += 12
            for _ in range(count if element == 8 else 0):
                at += 8 + struct.unpack_from("<Q", data, at)[0]
            at += 0 if element == 8 else count * sizes[element]
        else:
            at += sizes[kind]
    return at


def patched(data, at, form, *values):
    out = bytearray(data)
    struct.pack_into(form, out, at, *values)
    return bytes(out)


@pytest.mark.parametrize("value", [0, 2**31, 2**60, 2**63, 2**64 - 1])
def test_gguf_counts_and_sizes(moiety, gguf, tmp_path, value):
    path = tmp_path / "model.gguf"
    tensor = tensors_at(gguf)
    name, = struct.unpack_from("<Q", gguf, tensor)
    extents = tensor + 8 + name + 4
    for at in (8, 16, 24, tensor, extents, extents + 8):
        path.write_bytes(patched(gguf, at, "<Q", value))
        refused(moiety, "inspect", path, names=[path])
    path.write_bytes(patched(gguf, extents + 20, "<Q", value or 1))  # the offset
    refused(moiety, "inspect", path, names=[path])
    path.write_bytes(patched(gguf, extents + 16, "<I", value & 0xffffffff or 99))  # the type
    refused(moiety, "inspect", path, names=[path])


@pytest.mark.parametrize("seed", range(4))
def test_gguf_truncated_and_flipped(moiety, gguf, tmp_path, seed):
    rng = random.Random(seed)
    path, out = tmp_path / "model.gguf", tmp_path / "out"
    for _ in range(15):
        path.write_bytes(gguf[:rng.randrange(len(gguf) - 64)])
        refused(moiety, "convert", path, out, names=[path], left=out)
        data = bytearray(gguf)
        for _ in range(rng.choice([1, 3])):
            data[rng.randrange(8000)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        result = run(moiety, "logits", path, "--tokens", "1,2,3", "--out", out)
        assert result.returncode in (0, 1), result.stderr
        if result.returncode == 0:
            assert np.isfinite(np.load(out / "logits-0.npy")).all()
            shutil.rmtree(out)
        assert not out.exists()


def test_big_endian_files_are_named(moiety, gguf, tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 1, 1) + gguf[24:])
    assert "big-endian" in refused(moiety, "inspect", path, names=[path])


# what stands beside the model

@pytest.mark.parametrize("text", ["[]", "[[]]", "{}", "[1,2]", "[[1.5]]", "[[4294967297]]", "[[true]]", '[["a"]]', "[[1,2", "", "[" * 100_000, "[[1],[-2147483649]]"])
def test_token_files(moiety, tmp_path, text):
    (tmp_path / "ids.json").write_text(text)
    refused(moiety, "logits", FIXTURES / "llama", "--tokens-file", tmp_path / "ids.json", "--out", tmp_path / "out", names=["ids.json"], left=tmp_path / "out")


def test_ids_and_lengths_that_do_not_fit_leave_nothing(moiety, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "ids.json").write_text("[[1,2],[3,1000000]]")
    refused(moiety, "logits", FIXTURES / "llama", "--tokens-file", tmp_path / "ids.json", "--out", out, names=["1000000"], left=out)
    refused(moiety, "logits", FIXTURES / "llama", "--tokens", ",".join("1" * 9), "--out", out, "--context", 8, names=["context"], left=out)
    refused(moiety, "trace", FIXTURES / "mixtral", "--tokens-file", tmp_path / "ids.json", "--out", tmp_path / "t.npz", names=["1000000"], left=tmp_path / "t.npz")


@pytest.mark.parametrize("line", ["", "{", "[]", '{"query": "a"}', '{"query": "a", "choices": [], "gold": 0}', '{"query": "a", "choices": ["b"], "gold": 1}',
                                  '{"query": "a", "choices": [1], "gold": 0}', '{"query": 1, "choices": ["b"], "gold": 0}'])
def test_questions(moiety, tmp_path, line):
    (tmp_path / "q.jsonl").write_text("\n" + line + "\n")
    refused(moiety, "eval", "choice", FIXTURES / "llama", "--file", tmp_path / "q.jsonl", names=["q.jsonl"])


def test_tokenizers(moiety, tmp_path):
    path = tmp_path / "tokenizer.json"
    good = json.loads(TOKENIZER.read_text())
    for change in (lambda t: t.pop("model"), lambda t: t["model"].pop("vocab"), lambda t: t["model"]["vocab"].update(x=2**31), lambda t: t["model"]["vocab"].update(x=-1),
                   lambda t: t["model"]["vocab"].update(x=10**7), lambda t: t["model"].update(merges=[["a"]]), lambda t: t.update(pre_tokenizer={"type": "unheard"}),
                   lambda t: t.update(pre_tokenizer={"type": "Split", "pattern": {"Regex": "("}}), lambda t: t.update(added_tokens=[{"id": 2**32, "content": "x"}]),
                   lambda t: t.update(post_processor={"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {"x": {"ids": [10**6]}}})):
        broken = json.loads(json.dumps(good))
        change(broken)
        path.write_text(json.dumps(broken))
        refused(moiety, "tokenize", path, "Hello", names=[] if "Regex" in path.read_text() and "unheard" not in path.read_text() else [])
    doubling = [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 60
    path.write_text(json.dumps({**good, "normalizer": {"type": "Sequence", "normalizers": doubling}}))
    refused(moiety, "tokenize", path, "a", names=["normaliser"])
    path.write_bytes(TOKENIZER.read_bytes()[:1000])
    refused(moiety, "tokenize", path, "a", names=[path])


def test_traces(moiety, tmp_path):
    path = tmp_path / "t.npz"
    arrays = dict(tokens=np.zeros(2, np.int32), layers=np.zeros(1, np.int32), experts=np.zeros((2, 1, 2), np.int32), weights=np.zeros((2, 1, 2), np.float32))
    np.savez(path, **arrays)
    assert run(moiety, "routes", path).returncode == 0
    for change in ({"tokens": np.zeros(3, np.int32)}, {"experts": np.full((2, 1, 2), 2**31 - 1, np.int32)}, {"experts": np.zeros(4, np.int32)},
                   {"weights": np.zeros((2, 1, 2))}, {"experts": np.full((2, 1, 2), -5, np.int32)}):
        np.savez(path, **{**arrays, **change})
        refused(moiety, "routes", path, "--html", tmp_path / "o.html", names=[path], left=tmp_path / "o.html")
    np.savez_compressed(path, **arrays)
    assert "compressed" in refused(moiety, "routes", path, names=[path])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tokens.npy", b"\x93NUMPY\x01\x00\xff\xff")
    refused(moiety, "routes", path, names=[path])


def test_saved_sessions(moiety, tmp_path):
    model = shutil.copytree(FIXTURES / "mixtral", tmp_path / "model")
    shutil.copy(TOKENIZER, model / "tokenizer.json")
    path = tmp_path / "chat.session"
    assert run(moiety, "run", model, "ab", "-n", 3, "--session", path).returncode == 0
    data = path.read_bytes()
    rng = random.Random(1)
    for broken in (data[:-1], data[:20], b"", data[:50] + bytes([data[50] ^ 1]) + data[51:], data + b"\0", bytes(rng.randrange(256) for _ in range(200))):
        path.write_bytes(broken)
        refused(moiety, "run", model, "ab", "-n", 3, "--session", path, names=[path])
        assert path.read_bytes() == broken


# wrong commands

@pytest.mark.parametrize("arguments", [
    ["unheard"], [], ["logits"], ["logits", "x", "--out", "y"], ["logits", "x", "--tokens", "1", "--out", "y", "--unheard"], ["tokenize", str(TOKENIZER)],
    ["logits", str(FIXTURES / "llama"), "--tokens", "1,x", "--out", "y"], ["logits", str(FIXTURES / "llama"), "--tokens", "1", "--out", "y", "-t", "0"],
    ["logits", str(FIXTURES / "mixtral"), "--tokens", "1", "--out", "y", "--routing", "unheard"], ["logits", str(FIXTURES / "mixtral"), "--tokens", "1", "--out", "y", "--routing", ""],
    ["logits", str(FIXTURES / "mixtral"), "--tokens", "1", "--out", "y", "--memory", "much"], ["convert", str(FIXTURES / "llama"), "y", "--type", "q9"],
    ["run", str(FIXTURES / "llama"), ""], ["eval", "perplexity", str(FIXTURES / "llama"), "--file", str(TOKENIZER), "-c", "0"],
])
def test_wrong_commands(moiety, tmp_path, arguments):
    result = run(moiety, *arguments, cwd=tmp_path)
    assert result.returncode == 2 and result.stderr, result.stderr
    assert not list(tmp_path.iterdir())


def test_missing_files(moiety, tmp_path):
    for verb in (["inspect"], ["logits", "--tokens", "1", "--out", tmp_path / "y"], ["convert", tmp_path / "y"], ["tokenize", "a"]):
        refused(moiety, verb[0], tmp_path / "nothing", *verb[1:], names=["nothing"], left=tmp_path / "y")
    (tmp_path / "empty").mkdir()
    refused(moiety, "inspect", tmp_path / "empty", names=["empty"])


# disks that are full, and processes that end

def limited(megabytes):
    import resource
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (int(megabytes * 2**20), int(megabytes * 2**20)))


def test_a_full_disk_leaves_nothing(moiety, tmp_path):
    model = FIXTURES / "mixtral"
    (tmp_path / "ids.json").write_text(json.dumps([[1] * 200] * 3))
    for arguments in (["convert", model, "o.gguf", "--type", "f32"], ["convert", model, "odir"], ["logits", model, "--tokens-file", "ids.json", "--out", "lo"],
                      ["trace", model, "--tokens-file", "ids.json", "--out", "t.npz", "--scores"],
                      ["upcycle", FIXTURES / "llama", "u.gguf", "--experts", "4", "--top-k", "2"]):
        refused(moiety, *arguments, cwd=tmp_path, preexec_fn=limited(0.015))
        assert [p.name for p in tmp_path.iterdir()] == ["ids.json"]
    with open("/dev/full", "w") as full:
        result = subprocess.run([moiety, "inspect", str(model)], stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1 and b"standard output" in result.stderr


def test_a_directory_that_is_there_is_replaced_whole(moiety, tmp_path):
    out = tmp_path / "out"
    assert run(moiety, "convert", FIXTURES / "mixtral", out).returncode == 0
    (out / "notes.txt").write_text("mine")
    (out / "model.safetensors.index.json").write_text("{}")  # of an older checkpoint, in more files
    assert run(moiety, "convert", FIXTURES / "olmoe", out).returncode == 0
    assert json.loads((out / "config.json").read_text())["model_type"] == "olmoe"
    assert (out / "notes.txt").read_text() == "mine"
    assert run(moiety, "logits", out, "--tokens", "1", "--out", tmp_path / "lo").returncode == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lo", "out"]
