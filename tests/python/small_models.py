"""Small random checkpoints as Hugging Face directories, with rows that quantised blocks divide."""
import json

import numpy as np
from safetensors.numpy import save_file


def write_model(path, layers=2, d=256, width=256, experts=0, heads=4, kv_heads=2, head_dim=64, vocab=96, seed=7, dtype=np.float16):
    """A llama, or with experts a mixtral; returns its tensors as float32."""
    random = np.random.default_rng(seed)
    tensors = {}

    def matrix(name, rows, cols, scale=0.05):
        tensors[name] = (random.standard_normal((rows, cols)) * scale).astype(dtype)

    def norm(name):
        tensors[name] = (1 + 0.1 * random.standard_normal(d)).astype(dtype)

    matrix("model.embed_tokens.weight", vocab, d)
    matrix("lm_head.weight", vocab, d)
    norm("model.norm.weight")
    for i in range(layers):
        at = f"model.layers.{i}."
        norm(at + "input_layernorm.weight")
        norm(at + "post_attention_layernorm.weight")
        for name, rows, cols in [("q", heads * head_dim, d), ("k", kv_heads * head_dim, d), ("v", kv_heads * head_dim, d), ("o", d, heads * head_dim)]:
            matrix(f"{at}self_attn.{name}_proj.weight", rows, cols)
        if experts:
            matrix(at + "block_sparse_moe.gate.weight", experts, d)
            for e in range(experts):
                matrix(f"{at}block_sparse_moe.experts.{e}.w1.weight", width, d)
                matrix(f"{at}block_sparse_moe.experts.{e}.w3.weight", width, d)
                matrix(f"{at}block_sparse_moe.experts.{e}.w2.weight", d, width)
        else:
            matrix(at + "mlp.gate_proj.weight", width, d)
            matrix(at + "mlp.up_proj.weight", width, d)
            matrix(at + "mlp.down_proj.weight", d, width)
    config = {"architectures": ["MixtralForCausalLM" if experts else "LlamaForCausalLM"], "model_type": "mixtral" if experts else "llama",
              "hidden_size": d, "intermediate_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
              "head_dim": head_dim, "vocab_size": vocab, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
              "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16"}
    if experts:
        config |= {"num_local_experts": experts, "num_experts_per_tok": 2}
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return {name: t.astype(np.float32) for name, t in tensors.items()}
