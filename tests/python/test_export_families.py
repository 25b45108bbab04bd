"""Which family a description becomes, and that the engine computes of it what the trainer computed."""
import json
import subprocess
import sys

import numpy as np
import pytest
import tokenizers
from checkpoints import logits
from conftest import BUILD, ROOT
from test_finetune import ONE, engine_nll, evaluations, same_perplexity
from test_train import TOKENIZER, call

if not (BUILD / "moiety-learn").exists():
    pytest.skip("built without libtorch", allow_module_level=True)

LATENT = 'kind = "latent", heads = 2, kv_rank = 12, head = 10, rope_head = 6, value_head = 14'
LOW_QUERIES = LATENT + ", q_rank = 20"
DENSE, MOE = 'kind = "dense", width = 40', "experts = 8, width = 16, "
SHARED = "shared = {count = 2}, "
GROUPS = 'routing = "sigmoid | bias | groups(4, 2, rank=sum2) | top_k(3) | renorm | scale(2.5)", balance = "bias_update(0.01) | sequence_aux(0.01, sigmoid)"'


def trained(moiety, folder, blocks):
    """A model of the blocks (pairs of attention and FFN), which has learnt a little."""
    (folder / "one.txt").write_text(ONE)
    (folder / "words.txt").write_text("\f".join(f"a green house by wood number {i} stands near the river" for i in range(60)))
    tables = "\n".join(f"[[model.block]]\nattention = {{{attention}}}\nffn = {{{ffn}}}" for attention, ffn in blocks)
    (folder / "run.toml").write_text(f'''
steps = 12
batch = 4
[optimiser]
rate = 0.01
[model]
d = 32
context = 40
deviation = 0.2
blocks = {len(blocks)}
{tables}
[data]
tokenizer = "{TOKENIZER}"
[[data.source]]
files = "words.txt"
held_out = "one.txt"
domain = "words"
''')
    call(moiety, "train", folder / "run.toml")
    return folder / "run/model"


DEEPSEEK_V3 = {"q_lora_rank": 20, "kv_lora_rank": 12, "qk_nope_head_dim": 10, "qk_rope_head_dim": 6, "v_head_dim": 14, "n_routed_experts": 8, "n_shared_experts": 2, "num_experts_per_tok": 3,
               "n_group": 4, "topk_group": 2, "first_k_dense_replace": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": True, "intermediate_size": 40, "moe_intermediate_size": 16}
CASES = {
    "deepseek_v3": ("deepseek_v3", [(LOW_QUERIES, DENSE), (LOW_QUERIES, MOE + SHARED + GROUPS), (LOW_QUERIES, MOE + SHARED + GROUPS)], DEEPSEEK_V3),
    "deepseek_v3-plain": ("deepseek_v3", [(LATENT, MOE + 'routing = "sigmoid | bias | top_k(2)"')] * 2, {"q_lora_rank": None, "n_shared_experts": 0, "norm_topk_prob": False, "first_k_dense_replace": 0}),
    "deepseek_v2": ("deepseek_v2", [(LATENT, MOE + SHARED + 'routing = "softmax | groups(2, 1, rank=max) | top_k(3) | scale(1.5)"')] * 2, {"topk_method": "group_limited_greedy", "n_group": 2}),
    "deepseek_v2-greedy": ("deepseek_v2", [(LOW_QUERIES, MOE + SHARED + 'routing = "softmax | top_k(3)"')] * 2, {"topk_method": "greedy", "routed_scaling_factor": 1}),
    "dots1": ("dots1", [('heads = 2, qk_norm = "per_head"', DENSE), ('heads = 2, qk_norm = "per_head"', MOE + SHARED + 'routing = "sigmoid | bias | top_k(3) | renorm(eps=1e-20)"')],
              {"n_shared_experts": 2, "first_k_dense_replace": 1, "head_dim": 16}),
    "qwen2_moe": ("qwen2_moe", [("heads = 2, bias = true", MOE + 'shared = {width = 24, gate = true}, routing = "softmax | top_k(2) | renorm"')] * 2,
                  {"shared_expert_intermediate_size": 24, "qkv_bias": True, "norm_topk_prob": True}),
    "mixtral": ("mixtral", [("heads = 2, kv_heads = 1", MOE + 'routing = "softmax | top_k(2) | renorm"')] * 2, {"num_local_experts": 8, "intermediate_size": 16, "num_key_value_heads": 1}),
    # No family is so: a routing that DeepSeek's have not, a shared expert of another width, latent attention in some blocks, dense blocks after mixtures.
    "routing": ("moiety", [(LATENT, MOE + 'routing = "softmax | top_k(2) | renorm"')] * 2, {}),
    "width": ("moiety", [(LATENT, MOE + 'shared = {width = 24}, routing = "softmax | top_k(2)"')] * 2, {}),
    "mixed": ("moiety", [('heads = 4, qk_norm = "whole", window = 7', DENSE), (LOW_QUERIES, MOE + SHARED + GROUPS), ("heads = 2, bias = true", MOE + 'routing = "softmax | top_k(2)"'), (LOW_QUERIES, DENSE)], {}),
    "dense-last": ("moiety", [("heads = 2", MOE + 'routing = "softmax | top_k(2) | renorm"'), ("heads = 2", DENSE)], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_description_becomes_a_family(moiety, tmp_path, case):
    family, blocks, keys = CASES[case]
    model = trained(moiety, tmp_path, blocks)
    config = json.loads((model / "config.json").read_text())
    assert config["model_type"] == family
    assert {key: config[key] for key in keys} == keys
    nll = list(evaluations(tmp_path / "run").values())[-1]["nll"]
    assert same_perplexity(nll, engine_nll(moiety, model, tmp_path))
    # As GGUF, back, and packed: the same model.
    call(moiety, "convert", model, tmp_path / "m.gguf")
    call(moiety, "convert", tmp_path / "m.gguf", tmp_path / "back", "--to", "hf")
    ids = list(range(3, 33))
    whole = logits(moiety, model, ids, tmp_path / "out")[0]
    in_gguf, back = (logits(moiety, tmp_path / other, ids, tmp_path / "out")[0] for other in ("m.gguf", "back"))
    assert np.array_equal(whole, back)
    assert np.abs(whole - in_gguf).max() < 1e-5 * np.abs(whole).max()  # which may rotate other pairs, and add them up in another order
    call(moiety, "pack", tmp_path / "m.gguf", tmp_path / "p.gguf")
    assert json.loads(call(moiety, "inspect", tmp_path / "p.gguf", "--json"))["family"] == family


HEADS = 'heads = 2, qk_norm = "{}"'
OPENED = {
    "deepseek_v3": CASES["deepseek_v3"][1],
    "deepseek_v2": CASES["deepseek_v2-greedy"][1],
    "dots1": CASES["dots1"][1],
    "qwen2_moe": [("heads = 2, bias = true", MOE + 'shared = {width = 24, gate = true}, routing = "softmax | top_k(2)"')] * 2,
    "olmoe": [(HEADS.format("whole"), MOE + 'routing = "softmax | top_k(2)"')] * 2,
    "qwen3_moe": [(HEADS.format("per_head"), MOE + 'routing = "softmax | top_k(2) | renorm"')] * 2,
}


@pytest.mark.parametrize("family", OPENED)
def test_llama_cpp_continues_what_was_trained(moiety, tmp_path, family):
    model = trained(moiety, tmp_path, OPENED[family])
    assert json.loads((model / "config.json").read_text())["model_type"] == family
    said = subprocess.run([moiety, "convert", model, tmp_path / "m.gguf"], check=True, capture_output=True, text=True).stderr
    assert said.count("llama.cpp") == ("deepseek" in family) and ("latent norms with epsilon 1e-06" in said) == ("deepseek" in family)  # the model's is 1e-5
    prompt, count = json.loads(call(moiety, "tokenize", model, "a green house by", "--no-special", "--json"))["ids"], 8
    ids = list(prompt)
    while len(ids) < len(prompt) + count:
        last = logits(moiety, model, ids, tmp_path / "out")[0][-1]
        first, second = np.argsort(-last)[:2]
        if last[first] - last[second] < 1e-2:
            break  # nothing that both must agree on
        ids.append(int(first))
    assert len(ids) > len(prompt)
    run = subprocess.run([sys.executable, ROOT / "tests/python/test_llama_cpp.py", tmp_path / "m.gguf", json.dumps(prompt), str(len(ids) - len(prompt))], capture_output=True, text=True, timeout=120)
    answers = [line for line in run.stdout.splitlines() if line.startswith("ANSWER ")]
    assert answers, run.stderr[-1500:]
    assert json.loads(answers[0][7:]) == tokenizers.Tokenizer.from_file(str(model / "tokenizer.json")).decode(ids[len(prompt):], skip_special_tokens=False)


@pytest.mark.parametrize("change, words", [
    ({"rope_head": 5}, "rotated in pairs"), ({"kv_rank": 0}, "from 1 to 65536"), ({"value_head": 10**6}, "from 1 to 65536"), ({"kv_rnk": 4}, "did you mean 'kv_rank'"), ({"heads": None}, "'heads' is missing")])
def test_latent_attention_that_makes_no_sense(moiety, tmp_path, change, words):
    keys = {"kind": '"latent"', "heads": 2, "kv_rank": 12, "head": 10, "rope_head": 6, "value_head": 14} | change
    attention = ", ".join(f"{key} = {value}" for key, value in keys.items() if value is not None)
    with pytest.raises(AssertionError, match=words):
        trained(moiety, tmp_path, [(attention, DENSE)])
    assert not (tmp_path / "run").exists()
