"""`moiety convert`: types and mixes, rules, threads, what stays exact, and what is left when it fails."""
import json
import resource
import signal
import subprocess
import time

import gguf
import numpy as np
import pytest
from checkpoints import copy_gguf
from small_models import write_model


def convert(moiety, *args, status=0, **kw):
    run = subprocess.run([moiety, "--quiet", "convert", *map(str, args)], capture_output=True, text=True, timeout=300, **kw)
    assert run.returncode == status, f"status {run.returncode}: {run.stderr[-800:]}"
    return run.stdout if status == 0 else run.stderr


def types_of(path):
    return {t.name: t.tensor_type.name for t in gguf.GGUFReader(path).tensors}


def numbers(path, name):
    t = next(t for t in gguf.GGUFReader(path).tensors if t.name == name)
    return gguf.quants.dequantize(t.data, t.tensor_type).reshape(tuple(reversed(t.shape.tolist()))).astype(np.float32)


@pytest.fixture(scope="module")
def mixtral(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "mixtral"
    return path, write_model(path, experts=8, width=64)


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "llama"
    return path, write_model(path)


def test_a_model_is_called_as_its_directory_or_as_its_file_says(moiety, mixtral, tmp_path):
    called = lambda path: gguf.GGUFReader(path).fields["general.name"].contents()
    for folder, name in (("tall", "tall"), ("run/model", "run")):
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        (tmp_path / folder).symlink_to(mixtral[0])
        convert(moiety, f"{tmp_path / folder}/", tmp_path / f"{name}.gguf")
        assert called(tmp_path / f"{name}.gguf") == name
    convert(moiety, tmp_path / "tall.gguf", tmp_path / "again.gguf", "--type", "q8_0")
    assert called(tmp_path / "again.gguf") == "tall"


def test_a_mix_keeps_routers_and_norms_and_names_what_falls_back(moiety, mixtral, tmp_path):
    path, tensors = mixtral
    out = tmp_path / "mix.gguf"
    printed = convert(moiety, path, out, "--type", "q4_k_m")
    types = types_of(out)
    expected = {"output.weight": "Q6_K", "token_embd.weight": "Q4_K", "blk.0.attn_q.weight": "Q4_K", "blk.0.attn_k.weight": "Q8_0",
                "blk.0.attn_v.weight": "Q8_0", "blk.0.attn_output.weight": "Q5_K", "blk.0.ffn_gate_exps.weight": "Q4_K",
                "blk.0.ffn_down_exps.weight": "Q5_0", "blk.1.ffn_down_exps.weight": "Q8_0",  # rows of 64: instead of Q4_K, and of Q6_K in the last eighth
                "blk.0.ffn_gate_inp.weight": "F32", "blk.0.attn_norm.weight": "F32", "output_norm.weight": "F32"}
    assert {name: types[name] for name in expected} == expected
    for name, why in [("blk.0.ffn_down_exps.weight", "rows of 64 do not divide into Q4_K blocks, so it is Q5_0"),
                      ("blk.1.ffn_down_exps.weight", "rows of 64 do not divide into Q6_K blocks, so it is Q8_0")]:
        assert f"{name}: {why}" in printed
    assert "F16      -> Q4_K" in printed
    for stored, name in [("blk.1.ffn_gate_inp.weight", "model.layers.1.block_sparse_moe.gate.weight"),
                         ("blk.1.ffn_norm.weight", "model.layers.1.post_attention_layernorm.weight"), ("output_norm.weight", "model.norm.weight")]:
        assert (numbers(out, stored) == tensors[name]).all(), stored
    expert = tensors["model.layers.1.block_sparse_moe.experts.5.w1.weight"]
    error = np.square(numbers(out, "blk.1.ffn_gate_exps.weight")[5] - expert).mean() / np.square(expert).mean()
    assert error < 0.006, error
    described = json.loads(subprocess.run([moiety, "--quiet", "inspect", out, "--json", "--tensors"], capture_output=True, check=True).stdout)
    assert {t["name"]: t["type"] for t in described["tensors"]} == types
    assert described["experts"][1]["types"] == {"Q4_K": 8}


def test_what_falls_back_takes_a_line_for_each_pair_of_types(moiety, tmp_path):
    write_model(tmp_path / "model", layers=16, width=64)
    lines = [line for line in convert(moiety, tmp_path / "model", tmp_path / "mix.gguf", "--type", "q4_k_m").splitlines() if "do not divide" in line]
    types = [kind for name, kind in types_of(tmp_path / "mix.gguf").items() if "ffn_down" in name]
    used = {kind: types.count(kind) for kind in ("Q5_0", "Q8_0")}
    assert sum(used.values()) == 16 and len(lines) == 2
    for asked, kind in ("Q4_K", "Q5_0"), ("Q6_K", "Q8_0"):
        line = f".ffn_down.weight: rows of 64 do not divide into {asked} blocks, so it is {kind}, and so for {used[kind] - 1} more"
        assert sum(l.endswith(line) for l in lines) == 1, lines


def test_expert_type_and_pure(moiety, mixtral, tmp_path):
    path, _ = mixtral
    convert(moiety, path, tmp_path / "a.gguf", "--type", "q8_0", "--expert-type", "iq4_nl", "--pure")
    types = types_of(tmp_path / "a.gguf")
    assert types["blk.0.ffn_up_exps.weight"] == types["blk.1.ffn_down_exps.weight"] == "IQ4_NL"
    assert types["blk.0.attn_v.weight"] == types["output.weight"] == "Q8_0"
    assert "not" in convert(moiety, path, tmp_path / "b.gguf", "--type", "iq2_xs", status=2)
    assert "q4_0" in convert(moiety, path, tmp_path / "b", "--type", "q4_0", status=2).lower()
    assert "imatrix" in convert(moiety, path, tmp_path / "b.gguf", "--type", "q2_k_s", status=2)
    assert not (tmp_path / "b").exists() and not (tmp_path / "b.gguf").exists()


def test_the_same_bytes_on_any_number_of_threads(moiety, mixtral, tmp_path):
    path, _ = mixtral
    for threads in (1, 3):
        convert(moiety, path, tmp_path / f"{threads}.gguf", "--type", "q4_k_m", "-t", threads)
    assert (tmp_path / "1.gguf").read_bytes() == (tmp_path / "3.gguf").read_bytes()


def test_rules_by_name_and_by_place(moiety, mixtral, tmp_path):
    path, _ = mixtral
    rules = tmp_path / "rules.txt"
    rules.write_text("blk.*.attn_[qk].weight q8_0   # a glob\n/down_exps/ q5_1\n0:* q4_0\n1:0-7 iq4_nl\n")
    convert(moiety, path, tmp_path / "a.gguf", "--type", "f16", "--types", rules)
    types = types_of(tmp_path / "a.gguf")
    assert [types[f"blk.{n}.weight"] for n in ("0.attn_q", "0.attn_v", "0.ffn_down_exps", "0.ffn_up_exps", "1.ffn_up_exps", "0.ffn_gate_inp")] == \
        ["Q8_0", "F16", "Q5_1", "Q4_0", "IQ4_NL", "F32"]
    for text, message in [("1:3 q8_0\n", "rules.txt:1: tensor blk.1.ffn_gate_exps.weight would hold experts of F16 and of Q8_0"),
                          ("\nblk.9.* q8_0\n", "rules.txt:2: 'blk.9.*' is the first match of no matrix"), ("x\n", "rules.txt:1:"), ("* q99\n", "rules.txt:1: 'q99'")]:
        rules.write_text(text)
        assert message in convert(moiety, path, tmp_path / "b.gguf", "--types", rules, status=1)
    assert not (tmp_path / "b.gguf").exists()
    # Hugging Face has a tensor for each expert, so one of them may differ.
    rules.write_text("1:3 f32\n")
    convert(moiety, path, tmp_path / "hf", "--types", rules)
    from safetensors.numpy import load_file
    out = load_file(tmp_path / "hf/model.safetensors")
    assert [out[f"model.layers.1.block_sparse_moe.experts.{e}.w1.weight"].dtype for e in (2, 3)] == [np.float16, np.float32]


def limit_file_size(size):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("out", ["full.gguf", "full"])
def test_a_full_disk_leaves_nothing(moiety, llama, tmp_path, out):
    message = convert(moiety, llama[0], tmp_path / out, status=1, preexec_fn=limit_file_size(1 << 20))
    assert "writing failed" in message and out in message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signals, status", [([signal.SIGINT], 130), ([signal.SIGINT] * 2, 130), ([signal.SIGTERM], -signal.SIGTERM),
                                             ([signal.SIGHUP], -signal.SIGHUP)])
@pytest.mark.parametrize("out, options", [("stopped.gguf", ["--type", "q3_k_m"]), ("stopped", ["--type", "f32"])])
def test_signals_leave_nothing(moiety, tmp_path, out, options, signals, status):
    source = tmp_path / "source"
    write_model(source, layers=4, d=512, width=1536, vocab=4096)
    run = subprocess.Popen([moiety, "--quiet", "convert", source, tmp_path / out, *options, "-t", "1"], stderr=subprocess.PIPE)
    while run.poll() is None and not list(tmp_path.glob(out + ".tmp*")):
        time.sleep(0.001)
    run.send_signal(signal.SIGSTOP)  # so that it cannot end before both arrive
    for each in signals:
        run.send_signal(each)
        run.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    try:
        run.wait(60)
    finally:
        run.kill()
    assert run.returncode == status
    assert list(tmp_path.iterdir()) == [source]


def test_what_stands_at_the_target(moiety, llama, tmp_path):
    path, _ = llama
    first = tmp_path / "a.gguf"
    convert(moiety, path, first)
    assert "source" in convert(moiety, first, first, status=2)
    assert "source" in convert(moiety, path, path, "--to", "hf", status=2)
    (tmp_path / "notes.txt").write_text("by hand")
    convert(moiety, path, tmp_path / "notes.txt", "--to", "gguf", status=2)
    convert(moiety, path, tmp_path, "--to", "hf", status=2)
    assert (tmp_path / "notes.txt").read_text() == "by hand"
    out = tmp_path / "hf"
    out.mkdir()
    convert(moiety, first, out)
    (out / "README.md").write_text("by hand")
    (out / "model-00001-of-00002.safetensors").write_text("of an older model")
    convert(moiety, first, out, "--type", "bf16")
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    convert(moiety, path, first, "--type", "q8_0")
    assert types_of(first)["blk.0.attn_q.weight"] == "Q8_0"


def test_broken_weights_are_not_encoded(moiety, tmp_path):
    from safetensors.numpy import load_file, save_file
    write_model(tmp_path / "m", layers=1)
    for value, type_, words in [(np.nan, "q8_0", "NaN"), (np.inf, "f16", "infinity"), (1e6, "f16", "bf16")]:
        tensors = {n: t.astype(np.float32) for n, t in load_file(tmp_path / "m/model.safetensors").items()}
        tensors["model.layers.0.mlp.up_proj.weight"][3, 5] = value
        save_file(tensors, tmp_path / "m/model.safetensors")
        message = convert(moiety, tmp_path / "m", tmp_path / "out.gguf", "--type", type_, status=1)
        assert "blk.0.ffn_up.weight" in message and words in message
        assert not (tmp_path / "out.gguf").exists()


def test_split_gguf_is_read(moiety, mixtral, tmp_path):
    path, _ = mixtral
    whole = tmp_path / "whole.gguf"
    convert(moiety, path, whole, "--type", "q8_0")
    copy_gguf(whole, tmp_path / "split.gguf", split_max_tensors=7)
    first = sorted(tmp_path.glob("split-00001-of-*.gguf"))[0]
    assert len(list(tmp_path.glob("split-*.gguf"))) >= 3
    convert(moiety, first, tmp_path / "joined.gguf")
    assert {t.name: t.data.tobytes() for t in gguf.GGUFReader(tmp_path / "joined.gguf").tensors} == {t.name: t.data.tobytes() for t in gguf.GGUFReader(whole).tensors}
    second = tmp_path / first.name.replace("00001", "00002", 1)
    assert "source" in convert(moiety, first, second, status=2)
    second.unlink()
    assert second.name in convert(moiety, first, tmp_path / "again.gguf", status=1)
