"""`moiety pack`: the same bits as from the source in every verb, whatever the source; what it refuses, and what is left when it fails."""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import gguf
import numpy as np
import pytest
from checkpoints import copy_gguf
from conftest import ROOT
from small_models import write_model

IDS = "1,5,9,33,17,2,80,4,4,71,60,12"


def call(moiety, *args, status=0, **kw):
    run = subprocess.run([moiety, "--quiet", *map(str, args)], capture_output=True, text=True, timeout=120, **kw)
    assert run.returncode == status, f"status {run.returncode}: {run.stderr[-800:]}"
    return run.stdout if status == 0 else run.stderr


def logits(moiety, model, out, *options, **kw):
    call(moiety, "logits", model, "--tokens", IDS, "--out", out, *options, **kw)
    return (out / "logits-0.npy").read_bytes()


@pytest.fixture(scope="module")
def models(moiety, tmp_path_factory):
    """A mixture as a directory, as a Q4_K_M file, and that file packed."""
    folder = tmp_path_factory.mktemp("pack")
    write_model(folder / "hf", experts=8, width=64)
    call(moiety, "convert", folder / "hf", folder / "plain.gguf", "--type", "q4_k_m")
    call(moiety, "pack", folder / "plain.gguf", folder / "packed.gguf")
    return folder


def test_the_same_bits_on_every_instruction_set(moiety, models, tmp_path):
    sets = call(moiety, "--version").split("instruction sets: ")[1].split()
    assert sets[-1] == "portable"
    for isa in sets:
        env = {**os.environ, "MOIETY_ISA": isa}
        plain = logits(moiety, models / "plain.gguf", tmp_path / "a", env=env)
        assert plain == logits(moiety, models / "packed.gguf", tmp_path / "b", env=env), isa
        assert np.isfinite(np.load(tmp_path / "a/logits-0.npy")).all()


def test_every_verb_gives_the_same(moiety, models, tmp_path):
    """A model with a tokenizer, as text verbs need one."""
    subprocess.run([sys.executable, ROOT / "scripts/make_tiny_moe.py", tmp_path / "tiny"], check=True)
    call(moiety, "pack", tmp_path / "tiny", tmp_path / "tiny.packed.gguf")
    (tmp_path / "text.txt").write_text("The quick brown fox jumps over the lazy dog. " * 30)
    text, trace = tmp_path / "text.txt", tmp_path / "t.npz"
    got = []
    for model in (tmp_path / "tiny", tmp_path / "tiny.packed.gguf"):
        run = json.loads(call(moiety, "run", model, "abc", "--raw", "-n", "12", "--temp", "0.8", "--seed", "5", "--json"))
        call(moiety, "trace", model, "--file", text, "--out", trace, "--scores")
        with np.load(trace) as arrays:
            traced = {name: arrays[name].tobytes() for name in arrays.files}
        perplexity = call(moiety, "eval", "perplexity", model, "--file", text, "--context", "64", "--json")
        ids = call(moiety, "tokenize", model, "some text")
        facts = json.loads(call(moiety, "inspect", model, "--json"))
        for experts in facts["experts"]:
            del experts["bytes"]
        del facts["bytes"]
        got.append((run["text"], run["tokens"], traced, perplexity, ids, {**facts, "packed": None}))
        assert facts["packed"] == (model.suffix == ".gguf")
    assert got[0] == got[1]
    assert json.loads(call(moiety, "bench", tmp_path / "tiny.packed.gguf", "-p", "8", "-n", "0", "-r", "1", "--json"))[0]["test"] == "pp8"
    compared = json.loads(call(moiety, "eval", "compare", tmp_path / "tiny", tmp_path / "tiny.packed.gguf", "--file", text, "--context", "64", "--json"))
    assert compared["top1_agreement"] == 1


def test_inspect_says_that_it_is_packed(moiety, models):
    said = call(moiety, "inspect", models / "packed.gguf")
    assert "packed " in said and "checksums" in said
    assert "packed " not in call(moiety, "inspect", models / "plain.gguf")
    facts = json.loads(call(moiety, "inspect", models / "packed.gguf", "--json"))
    index = gguf.GGUFReader(models / "packed.gguf")
    fields = {name: index.fields[f"moiety.pack.{name}"].contents() for name in ("names", "bytes")}
    assert facts["bytes"]["experts"] == sum(b for name, b in zip(fields["names"], fields["bytes"]) if "_exps." in name)
    assert facts["bytes"]["total"] == sum(fields["bytes"])


def test_a_reader_made_from_the_description_finds_the_weights(moiety, models):
    """docs/format.md, by hand: every record at its page, every part in its record, a Q4_K panel unpacked to the numbers of the plain file."""
    plain = {t.name: t for t in gguf.GGUFReader(models / "plain.gguf").tensors}
    packed = gguf.GGUFReader(models / "packed.gguf")
    tensors = {t.name: t for t in packed.tensors}
    lists = {k: packed.fields[f"moiety.pack.{k}"].contents() for k in ("names", "elements", "records", "types", "orders", "rows", "cols", "offsets", "bytes")}
    assert len({len(v) for v in lists.values()}) == 1 and tensors["moiety.pack.checksums"].n_elements == len(lists["names"])
    assert all(t.data_offset % 4096 == 0 for t in packed.tensors)
    assert not any("_exps" in t.name for t in packed.tensors)
    q4_k = 0
    for name, element, record, kind, order, rows, cols, offset, size in zip(*lists.values()):
        content = tensors[record].data.reshape(-1).view(np.uint8)[offset:offset + size]
        assert len(content) == size and offset % 64 == 0
        source = plain[name]
        decoded = gguf.quants.dequantize(source.data, source.tensor_type).astype(np.float32).reshape(-1, rows, cols)[element]
        if order == 0:
            assert (gguf.quants.dequantize(content.reshape(rows, -1), gguf.GGMLQuantizationType(kind)).reshape(rows, cols) == decoded).all(), name
        elif kind == gguf.GGMLQuantizationType.Q4_K:
            assert (q4_k_panels(content, rows, cols) == decoded).all(), name
            q4_k += 1
    assert q4_k > 8


def q4_k_panels(content, rows, cols):
    """d [16] f16, dmin [16] f16, scales [8][16], minima [8][16], then four vectors of 64 bytes for each 32 columns."""
    out = np.zeros(((rows + 15) // 16 * 16, cols), np.float32)
    blocks = content.reshape(len(out) // 16, cols // 256, -1)
    for panel in range(blocks.shape[0]):
        for block in range(blocks.shape[1]):
            b = blocks[panel, block]
            d, dmin = b[:32].view(np.float16).astype(np.float32), b[32:64].view(np.float16).astype(np.float32)
            scales, minima = b[64:192].reshape(8, 16).astype(np.float32), b[192:320].reshape(8, 16).astype(np.float32)
            for group in range(8):
                codes = b[320 + 256 * group:576 + 256 * group].reshape(4, 16, 4)  # [four columns][row][column of the four]
                both = np.concatenate([codes & 15, codes >> 4]).transpose(1, 0, 2).reshape(16, 32)  # those four columns, and those 16 further
                value = (d * scales[group])[:, None] * both.astype(np.float32) - (dmin * minima[group])[:, None]
                out[16 * panel:16 * panel + 16, 256 * block + 32 * group:256 * block + 32 * group + 32] = value
    return out[:rows]


def split(whole, folder):
    copy_gguf(whole, folder / "split.gguf", split_max_tensors=9)
    return sorted(folder.glob("split-*.gguf"))


def test_sources_of_every_kind(moiety, models, tmp_path):
    shards = split(models / "plain.gguf", tmp_path)
    assert len(shards) >= 3
    call(moiety, "pack", shards[0], tmp_path / "joined.gguf")
    assert logits(moiety, tmp_path / "joined.gguf", tmp_path / "a") == logits(moiety, models / "plain.gguf", tmp_path / "b")
    call(moiety, "pack", models / "hf", tmp_path / "of-hf.gguf")
    assert logits(moiety, tmp_path / "of-hf.gguf", tmp_path / "c") == logits(moiety, models / "hf", tmp_path / "d")
    assert "source" in call(moiety, "pack", shards[0], shards[1], status=2)


def test_the_same_bytes_on_any_number_of_threads(moiety, models, tmp_path):
    call(moiety, "pack", models / "plain.gguf", tmp_path / "1.gguf", "-t", 1)
    call(moiety, "pack", models / "plain.gguf", tmp_path / "3.gguf", "-t", 3)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "3.gguf").read_bytes() == (models / "packed.gguf").read_bytes()


def test_json(moiety, models, tmp_path):
    said = json.loads(call(moiety, "pack", models / "plain.gguf", tmp_path / "p.gguf", "--json"))
    assert said["file"] == str(tmp_path / "p.gguf") and said["bytes"] == (tmp_path / "p.gguf").stat().st_size and said["notes"] == []
    reader = gguf.GGUFReader(tmp_path / "p.gguf")
    assert said["records"] == len(reader.tensors) - 1
    orders = reader.fields["moiety.pack.orders"].contents()
    assert said["parts"] == len(orders) and said["parts_in_rows"] == orders.count(0)


def test_what_is_refused(moiety, models, tmp_path):
    packed, out = models / "packed.gguf", tmp_path / "out.gguf"
    before = packed.read_bytes()
    assert "source itself" in call(moiety, "pack", models / "plain.gguf", models / "plain.gguf", status=2)
    assert "packed already" in call(moiety, "pack", packed, out, status=2)
    assert "packed already" in call(moiety, "pack", packed, packed, status=2)
    assert "is a packed file" in (said := call(moiety, "convert", packed, out, status=2)) and "packed from" in said
    assert "is a packed file" in call(moiety, "convert", packed, tmp_path / "hf", status=2)
    assert "--compute f32" in (said := call(moiety, "logits", packed, "--tokens", "1", "--out", tmp_path / "l", "--compute", "f32", status=2)) and "packed from" in said
    (tmp_path / "notes.txt").write_text("by hand")
    call(moiety, "pack", models / "plain.gguf", tmp_path / "notes.txt", status=2)
    assert (tmp_path / "notes.txt").read_text() == "by hand"
    (tmp_path / "directory").mkdir()
    call(moiety, "pack", models / "plain.gguf", tmp_path / "directory", status=2)
    write_model(tmp_path / "dense")
    call(moiety, "pack", tmp_path / "dense", tmp_path / "dense.packed.gguf")
    assert "is a packed file" in call(moiety, "upcycle", tmp_path / "dense.packed.gguf", out, "--experts", 2, "--top-k", 1, status=2)
    assert not out.exists() and packed.read_bytes() == before


@pytest.mark.parametrize("value, words", [(np.nan, "NaN at row 3, column 5"), (np.inf, "infinity at row 3, column 5")])
@pytest.mark.parametrize("name, canonical", [("model.layers.1.block_sparse_moe.experts.6.w3.weight", "blk.1.ffn_up_exps.weight"),
                                             ("model.embed_tokens.weight", "token_embd.weight")])
def test_broken_weights_are_named(moiety, models, tmp_path, name, canonical, value, words):
    from safetensors.numpy import load_file, save_file
    shutil.copytree(models / "hf", tmp_path / "hf")
    tensors = load_file(tmp_path / "hf/model.safetensors")
    tensors[name][3, 5] = value
    save_file(tensors, tmp_path / "hf/model.safetensors")
    message = call(moiety, "pack", tmp_path / "hf", tmp_path / "out.gguf", status=1)
    assert f"tensor {canonical} holds {words}" in message
    assert [p.name for p in tmp_path.iterdir()] == ["hf"]


def test_flipped_bits_are_seen_by_check(moiety, models, tmp_path):
    content = (models / "packed.gguf").read_bytes()
    reader = gguf.GGUFReader(models / "packed.gguf")
    records, names, elements, offsets, sizes = (reader.fields[f"moiety.pack.{k}"].contents() for k in ("records", "names", "elements", "offsets", "bytes"))
    tensors = {t.name: t for t in reader.tensors}
    assert "checksums" in call(moiety, "inspect", models / "packed.gguf", "--check")
    random = np.random.default_rng(3)
    for i in random.choice(len(names), 25, replace=False):
        at = tensors[records[i]].data_offset + offsets[i] + int(random.integers(sizes[i]))
        damaged = bytearray(content)
        damaged[at] ^= 1 << int(random.integers(8))
        (tmp_path / "damaged.gguf").write_bytes(damaged)
        message = call(moiety, "inspect", tmp_path / "damaged.gguf", "--check", status=1)
        assert f"damaged.gguf: tensor {records[i]}: part {names[i]}:{elements[i]} has another checksum" in message


def test_truncated_and_damaged_headers_end_with_one_line(moiety, models, tmp_path):
    content = (models / "packed.gguf").read_bytes()
    header = min(t.data_offset for t in gguf.GGUFReader(models / "packed.gguf").tensors)
    random = np.random.default_rng(4)
    path = tmp_path / "damaged.gguf"
    cases = [content[:int(n)] for n in random.integers(4, len(content) - 4096, 20)]
    for _ in range(60):
        damaged = bytearray(content)
        damaged[int(random.integers(4, header))] = int(random.integers(256))
        cases.append(bytes(damaged))
    refused = 0
    for case in cases:
        path.write_bytes(case)
        run = subprocess.run([moiety, "--quiet", "logits", path, "--tokens", "1,2", "--out", tmp_path / "l", "--check"], capture_output=True, text=True, timeout=60)
        assert run.returncode in (0, 1, 2), run
        if run.returncode:
            refused += 1
            assert len(run.stderr.splitlines()) == 1 and "damaged.gguf" in run.stderr, run.stderr
    assert refused >= 50


def test_a_full_disk_leaves_nothing(moiety, models, tmp_path):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))
    message = call(moiety, "pack", models / "plain.gguf", tmp_path / "full.gguf", status=1, preexec_fn=limit)
    assert "writing failed" in message and "full.gguf" in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent, status", [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_leave_the_old_file(moiety, models, tmp_path, sent, status):
    write_model(tmp_path / "source", layers=4, d=512, width=1536, vocab=4096)
    out = tmp_path / "stopped.gguf"
    shutil.copy(models / "packed.gguf", out)
    run = subprocess.Popen([moiety, "--quiet", "pack", tmp_path / "source", out, "-t", "1"], stderr=subprocess.PIPE)
    while run.poll() is None and not list(tmp_path.glob("stopped.gguf.tmp*")):
        time.sleep(0.001)
    run.send_signal(sent)
    assert run.wait(60) == status, run.stderr.read()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source", "stopped.gguf"]
    assert out.read_bytes() == (models / "packed.gguf").read_bytes()


def test_help_completion_and_manual_know_it(moiety):
    said = call(moiety, "pack", "--help")
    assert "Example: moiety pack" in said and "--threads" in said and "--json" in said
    assert "\n.SS pack\n" in call(moiety, "man")
    for shell in ("bash", "zsh", "fish"):
        assert re.search(r"\bpack\b", call(moiety, "completion", shell)), shell


def test_llama_cpp_refuses_it(models):
    """It says so instead of computing nonsense."""
    code = f"import xllamacpp as xl; p = xl.CommonParams(); p.model.path = {str(models / 'packed.gguf')!r}; p.warmup = False; xl.Server(p)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert "tensor" in run.stderr + run.stdout
