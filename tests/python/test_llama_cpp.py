"""llama.cpp opens what `moiety convert` writes, and continues a prompt with the same greedy tokens as Transformers."""
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from checkpoints import logits, read_tensors, write_checkpoint
from conftest import ROOT

FIXTURES = ROOT / "tests/fixtures"
# Values that llama.cpp fixes or leaves out, and families that it does not know.
BEYOND = ["sliding", "clip", "sparse_step", "llama4", "jetmoe", "longcat", "flex_olmo", "gemma3", "gpt_oss", "odd", "plain", "window", "dynamic",
          "lfm2_moe-bias", "ernie4_5_moe-bias", "deepseek_v2", "longrope", "halves", "unshared",
          "phimoe"]  # its sparsemixer is a plain softmax there
NAMES = sorted(p.name for p in FIXTURES.iterdir() if p.is_dir() and not any(b in p.name for b in BEYOND)) if FIXTURES.exists() else []


def continue_with_llama_cpp(path, prompt, count):
    import xllamacpp as xl
    p = xl.CommonParams()
    p.model.path = path
    p.n_ctx, p.n_parallel, p.warmup = 128, 1, False
    p.cpuparams.n_threads = 2
    p.cache_type_k = p.cache_type_v = xl.ggml_type.GGML_TYPE_F32
    answer = xl.Server(p).handle_completions({"prompt": prompt, "n_predict": count, "temperature": 0, "samplers": ["top_k"], "top_k": 1,
                                              "cache_prompt": False, "ignore_eos": True, "logit_bias": []})
    answer = json.loads(answer) if isinstance(answer, str) else answer
    print("ANSWER " + json.dumps(answer["choices"][0]["text"]))


def text_of(ids):
    """The placeholder vocabulary: the first 256 ids are bytes, the others are named."""
    return b"".join(bytes([i]) if i < 256 else f"token{i}".encode() for i in ids).decode("utf-8", "replace")


def warnings(moiety, source, out):
    run = subprocess.run([moiety, "convert", source, out, "--type", "f32"], check=True, capture_output=True, text=True)
    return [line.split(": ")[1] for line in run.stderr.splitlines() if "llama.cpp has no key" in line]


# Not here: those of BEYOND that llama.cpp does not open, or not know.
@pytest.mark.parametrize("name, values", [
    ("deepseek_v2", ["groups ranked by their best expert (group_limited_greedy)"]),
    ("deepseek_v3-halves", ["yarn's mscale with a factor of 1.03791"]),
    ("gemma3-text", ["an attention scale of 0.176777"]),
    ("glm4_moe-unshared", ["a rotary share that gives 4 numbers frequencies of 3"]),
    ("gpt_oss-clamp", ["yarn's truncate false", "swiglu_limit 1.5"]),
    ("llama-dynamic", ["rope_type dynamic with factor 2"]),
    ("llama4-text", ["attention_chunk_size 16", "floor_scale 16 and attn_scale 0.1"]),
    ("mixtral-sliding", ["sliding_window 12"]),
    ("olmoe-clip", ["clip_qkv 1.5", "norm_topk_prob true"]),
    ("phimoe", ["the sparsemixer of router_jitter_noise 0.01"]),
    ("qwen2_moe-window", ["sliding_window 6", "hidden_act gelu"]),
    ("qwen3_moe-odd", ["norm_topk_prob false"]),
    ("jetmoe", []), ("longcat_flash", []),
])
def test_values_that_llama_cpp_has_no_key_for_are_named(moiety, tmp_path, name, values):
    assert warnings(moiety, FIXTURES / name, tmp_path / "model.gguf") == values
    assert warnings(moiety, FIXTURES / name, tmp_path / "hf") == []


@pytest.mark.parametrize("name, why", [
    ("deepseek_v2-lite", "queries without a low rank (q_lora_rank) in 3 layers"),
    ("deepseek_v3-halves", "biases of latent attention"),
    ("ernie4_5_moe-bias", "dense layers after the first with experts"),
    ("glm4_moe-unshared", "experts without a shared one"),
    ("lfm2_moe-bias", "experts without a bias of their choice"),
    ("olmoe-clip", "fewer heads of keys than of queries"),
    ("qwen2_moe-sparse_step", "dense layers among those with experts"),
])
def test_files_that_llama_cpp_cannot_open_are_named(moiety, tmp_path, name, why):
    out = tmp_path / "model.gguf"
    run = subprocess.run([moiety, "convert", FIXTURES / name, out], check=True, capture_output=True, text=True)
    assert f"warning: {why}: llama.cpp opens no such file" in run.stderr
    opened = subprocess.run([sys.executable, __file__, out, "[5, 6]", "1"], capture_output=True, text=True, timeout=120)
    assert opened.returncode != 0 and "error loading model" in opened.stderr


@pytest.mark.parametrize("name", ["dots1", "exaone_moe", "minimax_m2", "mixtral", "olmo2", "olmoe", "qwen2_moe", "qwen3"])
def test_a_head_that_is_the_embedding(moiety, tmp_path, name):
    """Some architectures want it in the file all the same. For us it stays the embedding, and takes no memory."""
    source, out = tmp_path / "tied", tmp_path / "model.gguf"
    config = json.loads((FIXTURES / name / "config.json").read_text()) | {"tie_word_embeddings": True}
    write_checkpoint(source, config, {k: v for k, v in read_tensors(FIXTURES / name).items() if k != "lm_head.weight"})
    assert warnings(moiety, source, out) == []
    opened = subprocess.run([sys.executable, __file__, out, "[5, 6]", "1"], capture_output=True, text=True, timeout=120)
    assert "ANSWER" in opened.stdout, opened.stderr[-1500:]
    subprocess.run([moiety, "--quiet", "pack", out, tmp_path / "packed.gguf"], check=True, capture_output=True)
    subprocess.run([moiety, "--quiet", "convert", out, tmp_path / "back", "--to", "hf"], check=True, capture_output=True)
    assert "lm_head.weight" not in read_tensors(tmp_path / "back")
    counts = {json.loads(subprocess.run([moiety, "inspect", m, "--json"], check=True, capture_output=True, text=True).stdout)["parameters"]["total"] for m in (source, out, tmp_path / "packed.gguf")}
    assert len(counts) == 1
    (same, _), (whole, said) = (logits(moiety, m, [5, 6, 7, 8], tmp_path / "out") for m in (source, out))
    assert np.abs(whole - same).max() < 1e-5 * np.abs(same).max() and "skipped" not in said


@pytest.mark.parametrize("name", NAMES)
def test_llama_cpp_continues_the_same(moiety, tmp_path, name):
    greedy = json.loads((FIXTURES / name / "greedy.json").read_text())
    sure = next((i for i, gap in enumerate(greedy["top2_gap"]) if gap < 5e-3), len(greedy["tokens"]))
    # Only the prompt's own vocabulary is fed; ids 1 and 2 would end or begin a text.
    count = next((i for i, t in enumerate(greedy["tokens"][:sure]) if t < 3), sure)
    if count == 0:
        return  # a near tie at once: nothing that both must agree on
    out = tmp_path / "model.gguf"
    assert warnings(moiety, FIXTURES / name, out) == []
    run = subprocess.run([sys.executable, __file__, out, json.dumps(greedy["prompt"]), str(count)], capture_output=True, text=True, timeout=120)
    answers = [line for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
    assert answers, run.stderr[-1500:]
    assert json.loads(answers[0][7:]) == text_of(greedy["tokens"][:count])


if __name__ == "__main__":
    continue_with_llama_cpp(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))
