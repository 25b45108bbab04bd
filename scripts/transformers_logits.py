"""Logits of a trained model on real text, the engine's against Transformers'.

    build/venv-fixtures/bin/python scripts/transformers_logits.py build/first/model TEXT… [--windows 8]

`scripts/setup.sh fixtures` makes that environment. MODEL is a Hugging Face directory of a family that Transformers knows, as `moiety train` writes it; of
each text the first windows of the model's whole context are taken. Both compute in float32.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

transformers.utils.logging.disable_progress_bar()
ROOT = pathlib.Path(__file__).resolve().parents[1]


def nll(logits, ids):
    """Mean -log p of each token after the first."""
    x = logits[:-1].astype(np.float64)
    x = x - x.max(-1, keepdims=True)
    return (np.log(np.exp(x).sum(-1)) - x[np.arange(len(x)), ids[1:]]).mean()


parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("texts", type=pathlib.Path, nargs="+")
parser.add_argument("--windows", type=int, default=8, help="of each text")
parser.add_argument("--moiety", default=ROOT / "build/moiety")
args = parser.parse_args()

config = json.loads((args.model / "config.json").read_text())
tokenizer = AutoTokenizer.from_pretrained(args.model)
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32, attn_implementation="eager").eval()
length = config["max_position_embeddings"]
windows = []
for text in args.texts:
    ids = tokenizer.backend_tokenizer.encode(text.read_text()[:200_000], add_special_tokens=False).ids
    windows += [ids[i:i + length] for i in range(0, min(len(ids), args.windows * length), length)]

with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "ids.json").write_text(json.dumps(windows))
    subprocess.run([args.moiety, "--quiet", "logits", args.model, "--tokens-file", folder / "ids.json", "--out", folder / "out", "--compute", "f32", "--kv", "f32"], check=True)
    error = size = 0.0
    same = rows = 0
    ours, theirs = [], []
    for i, ids in enumerate(windows):
        got = np.load(folder / f"out/logits-{i}.npy")
        with torch.no_grad():
            want = model(torch.tensor([ids])).logits[0].numpy()
        assert np.isfinite(got).all() and np.isfinite(want).all()
        error, size = max(error, np.abs(got - want).max()), max(size, np.abs(want).max())
        same, rows = same + (got.argmax(-1) == want.argmax(-1)).sum(), rows + len(ids)
        ours.append(nll(got, ids)), theirs.append(nll(want, ids))
print(f"{config['model_type']}: {rows} tokens in {len(windows)} windows; largest difference {error / size:.1e} of the largest logit; {same} of {rows} likeliest tokens are the same; "
      f"nll {np.mean(ours):.6f} and {np.mean(theirs):.6f}")
