"""Importance matrices of llama.cpp, in both layouts: read, believed only where they fit, and worth something."""
import struct

import gguf
import numpy as np
import pytest
from small_models import write_model
from test_convert import convert, numbers

LAYERS, D, WIDTH, EXPERTS = 1, 256, 64, 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mixtral"
    return path, write_model(path, layers=LAYERS, d=D, width=WIDTH, experts=EXPERTS)


def importance(seed=3):
    random = np.random.default_rng(seed)
    names = {f"blk.0.{n}.weight": (1, D) for n in ("attn_q", "attn_k", "attn_v", "attn_output")}
    names |= {"blk.0.ffn_gate_exps.weight": (EXPERTS, D), "blk.0.ffn_up_exps.weight": (EXPERTS, D), "blk.0.ffn_down_exps.weight": (EXPERTS, WIDTH)}
    return {name: random.exponential(1, shape).astype(np.float32) ** 3 for name, shape in names.items()}


def write_dat(path, entries, calls=3):
    data = struct.pack("<i", len(entries))
    for name, values in entries.items():
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", calls, values.size) + (values * calls).astype("<f4").tobytes()
    path.write_bytes(data + struct.pack("<ii", 5, 4) + b"text")


def write_gguf(path, entries, counts=8.0):
    writer = gguf.GGUFWriter(path, "imatrix")
    writer.add_string("general.type", "imatrix")
    writer.add_array("imatrix.datasets", ["text"])
    writer.add_uint32("imatrix.chunk_count", 5)
    writer.add_uint32("imatrix.chunk_size", 512)
    for name, values in entries.items():
        writer.add_tensor(name + ".in_sum2", values * np.float32(counts))
        writer.add_tensor(name + ".counts", np.full((len(values), 1), counts, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_both_layouts_say_the_same_and_lower_the_weighted_error(moiety, model, tmp_path):
    path, tensors = model
    entries = importance()
    write_dat(tmp_path / "i.dat", entries, calls=4)
    write_gguf(tmp_path / "i.gguf", entries)
    options = ["--type", "q4_k", "--pure"]
    convert(moiety, path, tmp_path / "plain.gguf", *options)
    printed = convert(moiety, path, tmp_path / "dat.gguf", *options, "--imatrix", tmp_path / "i.dat")
    convert(moiety, path, tmp_path / "new.gguf", *options, "--imatrix", tmp_path / "i.gguf")
    assert (tmp_path / "dat.gguf").read_bytes() == (tmp_path / "new.gguf").read_bytes()
    assert "no importance for token_embd.weight, output.weight" in printed
    name = "blk.0.ffn_up_exps.weight"
    for e in range(EXPERTS):
        exact = tensors[f"model.layers.0.block_sparse_moe.experts.{e}.w3.weight"]
        error = {kind: (np.square(numbers(tmp_path / f"{kind}.gguf", name)[e] - exact) * entries[name][e]).mean() for kind in ("plain", "dat")}
        assert error["dat"] < 0.9 * error["plain"], (e, error)
    types = {t.name: t.tensor_type.name for t in gguf.GGUFReader(tmp_path / "dat.gguf").tensors}
    assert types["blk.0.ffn_gate_inp.weight"] == "F32"


def test_an_expert_that_was_never_chosen_weighs_evenly(moiety, model, tmp_path):
    path, _ = model
    entries = importance()
    name = "blk.0.ffn_up_exps.weight"
    entries[name][2] = 0
    write_dat(tmp_path / "i.dat", entries)
    convert(moiety, path, tmp_path / "plain.gguf", "--type", "q4_k", "--pure")
    convert(moiety, path, tmp_path / "dat.gguf", "--type", "q4_k", "--pure", "--imatrix", tmp_path / "i.dat")
    same = [(numbers(tmp_path / "plain.gguf", name)[e] == numbers(tmp_path / "dat.gguf", name)[e]).all() for e in range(EXPERTS)]
    assert same == [False, False, True, False]


def test_what_does_not_fit_is_refused(moiety, model, tmp_path):
    path, _ = model
    file = tmp_path / "i.dat"

    def refused():
        message = convert(moiety, path, tmp_path / "out.gguf", "--type", "q4_k_m", "--imatrix", file, status=1)
        assert "i.dat" in message and not (tmp_path / "out.gguf").exists()
        return message

    write_dat(file, {"blk.0.attn_q.weight": np.ones((1, 100), np.float32)})
    assert "blk.0.attn_q.weight has 100 values" in refused()
    write_dat(file, {"blk.7.attn_q.weight": np.ones((1, D), np.float32)})
    assert "another model" in refused()
    write_dat(file, {"blk.0.attn_q.weight": np.full((1, D), np.nan, np.float32)})
    assert "blk.0.attn_q.weight" in refused()
    write_dat(file, importance())
    whole = file.read_bytes()
    for broken in [b"", b"x", b"not an importance matrix at all", whole[:-3000], struct.pack("<i", 2**31 - 1) + whole[4:], struct.pack("<ii", 1, 2**31 - 1),
                   struct.pack("<ii", 1, 1) + b"a" + struct.pack("<ii", 1, 2**31 - 1), struct.pack("<i", -4), np.random.default_rng(1).bytes(4000)]:
        file.write_bytes(broken)
        assert "importance matrix" in refused()
    write_gguf(file, importance())
    whole = file.read_bytes()
    for broken in (whole[:1000], whole[:-2000], b"GGUF" + bytes(100)):
        file.write_bytes(broken)
        refused()


def test_missing_file(moiety, model, tmp_path):
    assert "gone.dat" in convert(moiety, model[0], tmp_path / "out.gguf", "--type", "q8_0", "--imatrix", tmp_path / "gone.dat", status=1)
