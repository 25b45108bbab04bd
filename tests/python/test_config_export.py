"""The config.json that `moiety convert --to hf` writes from llama.cpp's keys alone has what the classes of Transformers read."""
import json
import subprocess

import pytest
from checkpoints import copy_gguf
from conftest import ROOT

FIXTURES = ROOT / "tests/fixtures"
SAME = ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "tie_word_embeddings"]
# Keys that differ in name from family to family, beside SAME.
KEYS = {
    "llama-llama3": [*SAME, "rope_theta", "intermediate_size", "num_key_value_heads"],
    "mixtral": [*SAME, "num_local_experts", "num_experts_per_tok", "intermediate_size", "rope_theta"],
    "granitemoeshared": [*SAME, "num_local_experts", "shared_intermediate_size", "num_experts_per_tok", "attention_multiplier", "logits_scaling"],
    "glm4_moe": [*SAME, "n_routed_experts", "n_shared_experts", "partial_rotary_factor", "n_group", "topk_group", "head_dim", "rms_norm_eps"],
    "deepseek_v3": [*SAME, "n_routed_experts", "n_shared_experts", "kv_lora_rank", "q_lora_rank", "qk_nope_head_dim", "v_head_dim"],
    "ernie4_5_moe": [*SAME, "moe_num_experts", "moe_k", "moe_num_shared_experts"],
    "dbrx": ["d_model", "n_heads", "n_layers", "max_seq_len", "vocab_size"],
    "lfm2_moe": [*SAME, "layer_types", "norm_eps", "use_expert_bias", "conv_bias"],
}


def without_own_keys(source, target):
    copy_gguf(source, target, leave_out=["moiety.config"])


@pytest.mark.parametrize("name", KEYS)
def test_from_the_keys_of_llama_cpp(moiety, tmp_path, name):
    released = json.loads((FIXTURES / name / "config.json").read_text())
    subprocess.run([moiety, "--quiet", "convert", FIXTURES / name, tmp_path / "own.gguf"], check=True, capture_output=True)
    without_own_keys(tmp_path / "own.gguf", tmp_path / "plain.gguf")
    subprocess.run([moiety, "--quiet", "convert", tmp_path / "plain.gguf", tmp_path / "hf"], check=True, capture_output=True)
    config = json.loads((tmp_path / "hf/config.json").read_text())
    assert config["architectures"] == released["architectures"] and config["model_type"] == released["model_type"]
    assert config["torch_dtype"] == released["torch_dtype"]
    assert config.get("head_dim", 1) is not None
    for key in KEYS[name]:
        assert config[key] == pytest.approx(released[key]) if isinstance(released.get(key), float) else config[key] == released.get(key, config[key]), key


def test_llama3_scaling_is_solved_from_its_divisors(moiety, tmp_path):
    source = FIXTURES / "llama-llama3"
    subprocess.run([moiety, "--quiet", "convert", source, tmp_path / "own.gguf"], check=True, capture_output=True)
    without_own_keys(tmp_path / "own.gguf", tmp_path / "plain.gguf")
    subprocess.run([moiety, "--quiet", "convert", tmp_path / "plain.gguf", tmp_path / "hf"], check=True, capture_output=True)
    scaling = json.loads((tmp_path / "hf/config.json").read_text())["rope_scaling"]
    assert (scaling["rope_type"], scaling["factor"], scaling["low_freq_factor"], scaling["high_freq_factor"]) == ("llama3", 8, 1, 4)
    (tmp_path / "ids.json").write_text(json.dumps([list(range(3, 60))]))
    import numpy as np
    logits = []
    for model, out in [(source, "a"), (tmp_path / "hf", "b")]:
        subprocess.run([moiety, "--quiet", "logits", model, "--compute", "f32", "--tokens-file", tmp_path / "ids.json", "--out", tmp_path / out], check=True, capture_output=True)
        logits.append(np.load(tmp_path / out / "logits-0.npy"))
    assert np.abs(logits[0] - logits[1]).max() < 1e-5 * np.abs(logits[0]).max()


def test_the_type_that_was_asked_for_is_named(moiety, tmp_path):
    subprocess.run([moiety, "--quiet", "convert", FIXTURES / "mixtral", tmp_path / "hf", "--type", "f32"], check=True, capture_output=True)
    assert json.loads((tmp_path / "hf/config.json").read_text())["torch_dtype"] == "float32"
