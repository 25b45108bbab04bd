"""Tokenizers through `moiety convert`: the tokenizers package and llama.cpp give the ids that Moiety gives."""
import ctypes
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from conftest import ROOT, SHARED

OWN = ["byte_level", "metaspace", "unigram", "wordpiece"]
# What llama.cpp has no place for is left out: Unicode forms other than composed, and BERT's limit of 100 characters a word.
TEXTS = ["Hello world", " two  spaces", "don't stop, I'LL go", "x = 12345 + 678.9", "line\nbreaks\n\n\tand tabs \n end", "Größe, naïve, façade", "Привет, мир",
         "中文 字符 ひらがな 한국어", "🙂🙂", "a" * 60, "CamelCaseWord snake_case_word", "!!! ... ---"]


def folders():
    out = [ROOT / "tests/data/tokenizers" / name for name in OWN]
    if (SHARED / "data/tokenizers").exists():
        out += [SHARED / "data/tokenizers" / name for name in ("qwen3", "olmoe")]
    return out


def make_model(folder, tokenizer_folder, vocab):
    """A llama of one narrow layer around a tokenizer."""
    folder.mkdir()
    d, f = 32, 32
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": d, "intermediate_size": f,
              "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "tie_word_embeddings": True, "hidden_act": "silu", "torch_dtype": "float16"}
    (folder / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(1)
    shapes = {"model.embed_tokens.weight": (vocab, d), "model.norm.weight": (d,)}
    layer = {"input_layernorm": (d,), "post_attention_layernorm": (d,), "self_attn.q_proj": (d, d), "self_attn.k_proj": (d, d), "self_attn.v_proj": (d, d),
             "self_attn.o_proj": (d, d), "mlp.gate_proj": (f, d), "mlp.up_proj": (f, d), "mlp.down_proj": (d, f)}
    shapes |= {f"model.layers.0.{name}.weight": shape for name, shape in layer.items()}
    safetensors.numpy.save_file({name: rng.normal(0, 0.02, shape).astype(np.float16) for name, shape in shapes.items()}, folder / "model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer_folder / name).exists():
            shutil.copy(tokenizer_folder / name, folder / name)


def ids_of_moiety(moiety, model, text):
    run = subprocess.run([moiety, "tokenize", model, "-", "--no-special"], input=text.encode(), capture_output=True, check=True)
    return [int(word) for word in run.stdout.split()]


def tokenize_with_llama_cpp(path, texts):
    """In a process of its own, through the C functions of the library: `llama_model_params` goes by value, and its layout is of no matter."""
    import xllamacpp
    library = ctypes.CDLL(str(next(pathlib.Path(xllamacpp.__file__).parent.glob("xllamacpp*.so"))))

    class Params(ctypes.Structure):
        _fields_ = [("bytes", ctypes.c_char * 1024)]
    library.llama_model_default_params.restype = Params
    library.llama_model_load_from_file.argtypes, library.llama_model_load_from_file.restype = [ctypes.c_char_p, Params], ctypes.c_void_p
    library.llama_model_get_vocab.argtypes, library.llama_model_get_vocab.restype = [ctypes.c_void_p], ctypes.c_void_p
    library.llama_tokenize.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool, ctypes.c_bool]
    library.llama_backend_init()
    model = library.llama_model_load_from_file(path.encode(), library.llama_model_default_params())
    assert model
    vocab, room = library.llama_model_get_vocab(model), (ctypes.c_int32 * 4096)()
    out = []
    for text in texts:
        data = text.encode()
        count = library.llama_tokenize(vocab, data, len(data), room, len(room), False, True)
        out.append(list(room[:count]))
    print("IDS " + json.dumps(out))


@pytest.mark.parametrize("folder", folders(), ids=lambda p: p.name)
def test_the_ids_stay_the_same_everywhere(moiety, tmp_path, folder):
    reference = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    make_model(tmp_path / "hf", folder, reference.get_vocab_size() + 3)
    subprocess.run([moiety, "--quiet", "convert", tmp_path / "hf", tmp_path / "model.gguf"], check=True, capture_output=True)
    subprocess.run([moiety, "--quiet", "convert", tmp_path / "model.gguf", tmp_path / "back", "--to", "hf"], check=True, capture_output=True)
    back = tokenizers.Tokenizer.from_file(str(tmp_path / "back/tokenizer.json"))
    code = [sys.executable, __file__, str(tmp_path / "model.gguf"), json.dumps(TEXTS)]
    run = subprocess.run(code, capture_output=True, text=True, errors="replace", timeout=120)
    answers = [line for line in run.stdout.splitlines() if line.startswith("IDS ")]
    assert answers, run.stderr[-1500:]
    for text, theirs in zip(TEXTS, json.loads(answers[0][4:])):
        want = reference.encode(text, add_special_tokens=False).ids
        assert back.encode(text, add_special_tokens=False).ids == want, text
        assert ids_of_moiety(moiety, tmp_path / "model.gguf", text) == want, text
        assert theirs == want, f"llama.cpp on {text!r}"
    for text in ("", " ", "Hello <s> [SEP] <|im_end|> e\u0301 ﬁ ½"):
        assert back.encode(text).ids == reference.encode(text).ids


if __name__ == "__main__":
    tokenize_with_llama_cpp(sys.argv[1], json.loads(sys.argv[2]))
