"""What real checkpoints hold besides plain tensors: FP8 and MXFP4 with scales, parts that are skipped, and what is refused by name."""
import json

import gguf
import numpy as np
import pytest
from checkpoints import FIXTURES, config_of, logits, read_tensors, run, write_checkpoint

IDS = [5, 17, 3, 90, 41, 8, 8, 22, 61]


def e4m3_table():
    """Value of each byte: sign, 4 bits of exponent (bias 7), 3 of mantissa; 0x7f and 0xff are NaN."""
    byte = np.arange(256)
    exponent, mantissa = byte >> 3 & 15, byte & 7
    size = np.where(exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0))
    return np.where(byte & 127 == 127, np.nan, np.where(byte & 128, -size, size))


def to_fp8(matrix, rows, cols):
    """Bytes and scales of blocks of rows x cols, those at the edges ragged; and the numbers that they stand for."""
    table = e4m3_table()
    order = np.argsort(table[:255])  # NaN is last and left out
    order = order[np.isfinite(table[order])]
    down, across = -(-matrix.shape[0] // rows), -(-matrix.shape[1] // cols)
    scales = np.ones((down, across), np.float32)
    for i in range(down):
        for j in range(across):
            scales[i, j] = np.abs(matrix[i * rows:(i + 1) * rows, j * cols:(j + 1) * cols]).max() / 448 + 1e-9
    spread = np.repeat(np.repeat(scales, rows, 0), cols, 1)[:matrix.shape[0], :matrix.shape[1]]
    near = np.clip(np.searchsorted(table[order], matrix / spread), 0, len(order) - 1)
    stored = order[near].astype(np.uint8)
    return stored, scales, (table[stored].astype(np.float32) * spread).astype(np.float32)


@pytest.mark.parametrize("block", [(8, 12), (128, 128), (5, 7), None])
def test_fp8_with_block_scales(moiety, tmp_path, block):
    config = config_of("deepseek_v3")
    stored, decoded = {}, {}
    for name, value in read_tensors(FIXTURES / "deepseek_v3").items():
        if value.ndim == 2 and "_proj" in name:
            raw, scales, numbers = to_fp8(value, *(block or value.shape))
            stored[name], decoded[name] = ("F8_E4M3", raw), numbers
            stored[name + "_scale_inv"] = scales if block else scales.reshape(())
        else:
            stored[name] = decoded[name] = value
    plain = write_checkpoint(tmp_path / "plain", config, decoded)
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": block}
    if block is None:
        del config["quantization_config"]["weight_block_size"]
    fp8 = write_checkpoint(tmp_path / "fp8", config, stored)
    want, _ = logits(moiety, plain, IDS, tmp_path / "a")
    got, _ = logits(moiety, fp8, IDS, tmp_path / "b")
    assert np.array_equal(got, want)

    missing = next(n for n in stored if n.endswith("experts.3.up_proj.weight_scale_inv"))
    without = write_checkpoint(tmp_path / "without", config, {n: t for n, t in stored.items() if n != missing})
    done = run(moiety, "logits", without, "--tokens", "5", "--out", tmp_path / "c")
    assert done.returncode == 1 and missing in done.stderr


def mxfp4(rng, shape):
    """Random blocks and scales of [..., rows, cols] numbers, and the numbers."""
    blocks = rng.integers(0, 256, (*shape[:-1], shape[-1] // 32, 16), np.uint8)
    scales = rng.integers(118, 124, (*shape[:-1], shape[-1] // 32), np.uint8)
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
    pairs = np.stack([table[blocks & 15], table[blocks >> 4]], -1).reshape(*blocks.shape[:-1], 32)  # the low half comes first
    numbers = pairs * np.exp2(scales.astype(np.float32) - 127)[..., None]
    return blocks, scales, numbers.reshape(shape).astype(np.float32)


def test_mxfp4_blocks_and_scales(moiety, tmp_path):
    rng = np.random.default_rng(4)
    experts, hidden, inner = 5, 64, 32
    config = config_of("gpt_oss") | {"hidden_size": hidden, "intermediate_size": inner, "num_local_experts": experts, "num_experts_per_tok": 2,
                                     "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}
    plain = {}
    for name, value in read_tensors(FIXTURES / "gpt_oss").items():
        if ".experts." in name or "layers.2." in name or "layers.3." in name:
            continue
        shape = [hidden if n == 32 else n for n in value.shape]
        if "router" in name:
            shape[0] = experts
        if "k_proj" in name or "v_proj" in name:  # two heads of 16, not the width of the model
            shape[0] = 32
        plain[name] = (rng.standard_normal(shape) * 0.2).astype(np.float32)
    stored = dict(plain)
    for layer in range(2):
        at = f"model.layers.{layer}.mlp.experts."
        for name, shape in (("gate_up_proj", (experts, 2 * inner, hidden)), ("down_proj", (experts, hidden, inner))):
            blocks, scales, numbers = mxfp4(rng, shape)
            stored[at + name + "_blocks"], stored[at + name + "_scales"] = ("U8", blocks), ("U8", scales)
            plain[at + name] = numbers.transpose(0, 2, 1)  # unquantised, the input comes first
            stored[at + name + "_bias"] = plain[at + name + "_bias"] = rng.standard_normal(shape[:2]).astype(np.float32)
    want, _ = logits(moiety, write_checkpoint(tmp_path / "plain", config, plain), IDS, tmp_path / "a")
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    packed = write_checkpoint(tmp_path / "packed", config, stored)
    got, _ = logits(moiety, packed, IDS, tmp_path / "b")
    assert np.abs(got - want).max() <= 1e-6 * np.abs(want).max()
    done = run(moiety, "convert", packed, tmp_path / "model.gguf")
    assert done.returncode == 0, done.stderr
    again, _ = logits(moiety, tmp_path / "model.gguf", IDS, tmp_path / "c")
    assert np.abs(again - want).max() <= 2e-6 * np.abs(want).max()


def some(*shape):
    return np.full(shape, 0.5, np.float32)


EXTRAS = {
    "inv_freq": ({"model.layers.0.self_attn.rotary_emb.inv_freq": some(4)}, "rope frequencies"),
    "later layers": ({"model.layers.3.eh_proj.weight": some(32, 64), "model.layers.3.shared_head.norm.weight": some(32),
                      "model.layers.3.self_attn.q_proj.weight": some(8, 8)}, "multi-token prediction"),
    "mtp": ({"mtp.fc.weight": some(32, 64), "model.mtp_layers.0.hidden_norm.weight": some(32)}, "multi-token prediction"),
    "vision": ({"model.vision_tower.blocks.0.attn.qkv.weight": some(8, 8), "visual.patch_embed.proj.weight": some(8, 3),
                "multi_modal_projector.linear.weight": some(8, 8)}, "vision"),
}


@pytest.mark.parametrize("kind", EXTRAS)
def test_parts_that_are_skipped_are_named_once(moiety, tmp_path, kind):
    extras, line = EXTRAS[kind]
    tensors = read_tensors(FIXTURES / "glm4_moe")
    folder = write_checkpoint(tmp_path / "model", config_of("glm4_moe") | {"num_nextn_predict_layers": 1}, tensors | extras)
    want = np.load(FIXTURES / "glm4_moe/logits-0.npy")
    ids = json.loads((FIXTURES / "glm4_moe/tokens.json").read_text())[0]
    got, said = logits(moiety, folder, ids, tmp_path / "out")
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
    assert sum(line in text for text in said.splitlines()) == 1, said


@pytest.mark.parametrize("prefix", ["language_model.", "model.language_model."])
def test_language_model_of_a_multimodal_checkpoint(moiety, tmp_path, prefix):
    fixture = "llama4-text"
    text = config_of(fixture)
    whole = {"model_type": "llama4", "architectures": ["Llama4ForConditionalGeneration"], "tie_word_embeddings": text.pop("tie_word_embeddings", False),
             "text_config": text, "vision_config": {"hidden_size": 8}}
    tensors = {}
    for name, value in read_tensors(FIXTURES / fixture).items():
        nested = name.removeprefix("model.") if prefix == "model.language_model." and name.startswith("model.") else name
        tensors[name if prefix == "model.language_model." and nested == name else prefix + nested] = value
    tensors["vision_model.class_embedding"] = some(8)
    ids = json.loads((FIXTURES / fixture / "tokens.json").read_text())[0]
    got, said = logits(moiety, write_checkpoint(tmp_path / "model", whole, tensors), ids, tmp_path / "out")
    want = np.load(FIXTURES / fixture / "logits-0.npy")
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max() and "vision" in said


@pytest.mark.parametrize("method", ["gptq", "awq", "compressed-tensors", "bitsandbytes", "hqq"])
def test_other_quantisations_are_refused_by_name(moiety, tmp_path, method):
    config = config_of("llama") | {"quantization_config": {"quant_method": method, "bits": 4}}
    done = run(moiety, "logits", write_checkpoint(tmp_path / "m", config, read_tensors(FIXTURES / "llama")), "--tokens", "5", "--out", tmp_path / "o")
    assert done.returncode == 1 and method in done.stderr and not (tmp_path / "o").exists()


def test_unknown_tensors_are_refused_by_name(moiety, tmp_path):
    tensors = read_tensors(FIXTURES / "mixtral") | {"model.layers.1.block_sparse_moe.experts.2.w4.weight": some(4, 4)}
    done = run(moiety, "logits", write_checkpoint(tmp_path / "m", config_of("mixtral"), tensors), "--tokens", "5", "--out", tmp_path / "o")
    assert done.returncode == 1 and "experts.2.w4.weight" in done.stderr


def test_big_endian_gguf_is_refused(moiety, tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "big.gguf", "llama", endianess=gguf.GGUFEndian.BIG)
    writer.add_block_count(1)
    writer.add_tensor("token_embd.weight", some(4, 4))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    done = run(moiety, "inspect", tmp_path / "big.gguf")
    assert done.returncode == 1 and "big-endian" in done.stderr


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(moiety, tmp_path, bad):
    tensors = read_tensors(FIXTURES / "mixtral")
    name = "model.layers.1.self_attn.v_proj.weight"
    tensors[name] = tensors[name].copy()
    tensors[name][3, 5] = bad
    folder = write_checkpoint(tmp_path / "m", config_of("mixtral"), tensors)
    checked = run(moiety, "logits", folder, "--tokens", "5,6", "--out", tmp_path / "o", "--check")
    assert checked.returncode == 1 and str(folder) in checked.stderr and "blk.1.attn_v" in checked.stderr
    unchecked = run(moiety, "logits", folder, "--tokens", "5,6", "--out", tmp_path / "o")
    assert unchecked.returncode == 1 and "layer 1" in unchecked.stderr and not list((tmp_path / "o").glob("*.npy"))


def rewritten(source, target, change):
    """A GGUF file with llama.cpp's keys alone, its tensors changed."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if key.startswith(("GGUF.", "general.architecture", "moiety.")):
            continue
        kind = field.types[0]
        writer.add_key_value(key, field.contents(), kind, sub_type=field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    for name, data in change({t.name: np.array(t.data) for t in reader.tensors}).items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def by_expert(tensors):
    out = {}
    for name, data in tensors.items():
        if "_exps." in name:
            for e in range(len(data)):
                out[name.replace("_exps.", f".{e}.")] = data[e]
        else:
            out[name] = data
    return out


def fused(tensors):
    out = dict(tensors)
    for layer in range(3):
        at = f"blk.{layer}."
        for end in ("weight", "bias"):
            if at + "attn_q." + end in out:
                out[f"{at}attn_qkv.{end}"] = np.concatenate([out.pop(f"{at}attn_{x}.{end}") for x in "qkv"])
        if at + "ffn_gate_exps.weight" in out:
            out[at + "ffn_gate_up_exps.weight"] = np.concatenate([out.pop(f"{at}ffn_{x}_exps.weight") for x in ("gate", "up")], axis=1)
    return out


@pytest.mark.parametrize("fixture,change", [("mixtral", by_expert), ("mixtral", fused), ("qwen3_moe", fused), ("qwen2", fused), ("phimoe", fused)])
def test_other_layouts_of_gguf(moiety, tmp_path, fixture, change):
    done = run(moiety, "convert", FIXTURES / fixture, tmp_path / "model.gguf", "--type", "f32")
    assert done.returncode == 0, done.stderr
    other = rewritten(tmp_path / "model.gguf", tmp_path / "other.gguf", change)
    ids = json.loads((FIXTURES / fixture / "tokens.json").read_text())[0]
    got, _ = logits(moiety, other, ids, tmp_path / "out")
    want = np.load(FIXTURES / fixture / "logits-0.npy")
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
