"""Checkpoints on disk, changed by tests: safetensors by hand, since numpy has no bfloat16 and no FP8."""
import json
import pathlib
import struct
import subprocess

import gguf
import numpy as np
from conftest import ROOT

FIXTURES = ROOT / "tests/fixtures"


def copy_gguf(source, target, leave_out=(), **writing):
    """Writes the same keys, but for some, and the same tensors anew; `writing` goes to the writer (split_max_tensors=...)."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents(), **writing)
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in ("general.architecture", *leave_out):
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=field.types[-1] if len(field.types) > 1 else None)
    for t in reader.tensors:
        writer.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_tensors(folder):
    """Every tensor of a fixture, as float32."""
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        for name, entry in json.loads(data[8:8 + length]).items():
            if name == "__metadata__":
                continue
            begin, end = (8 + length + x for x in entry["data_offsets"])
            raw = data[begin:end]
            if entry["dtype"] == "BF16":
                values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
            else:
                values = np.frombuffer(raw, {"F32": "<f4", "F16": "<f2"}[entry["dtype"]]).astype(np.float32)
            out[name] = values.reshape(entry["shape"])
    return out


def write_checkpoint(folder, config, tensors):
    """tensors: float32 arrays, or (dtype name, array of the stored bytes)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    header, parts, at = {}, [], 0
    for name, value in tensors.items():
        dtype, array = value if isinstance(value, tuple) else ("F32", value.astype(np.float32))
        raw = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(raw)]}
        parts.append(raw)
        at += len(raw)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    return folder


def config_of(fixture):
    return json.loads((FIXTURES / fixture / "config.json").read_text())


def run(moiety, *arguments):
    return subprocess.run([moiety, *map(str, arguments)], capture_output=True, text=True)


def logits(moiety, model, ids, out):
    """The logits of one list of ids, and what was said on stderr."""
    tokens = pathlib.Path(out).with_suffix(".json")
    tokens.write_text(json.dumps([ids]))
    done = run(moiety, "logits", model, "--tokens-file", tokens, "--out", out, "--compute", "f32")
    assert done.returncode == 0, done.stderr
    values = np.load(pathlib.Path(out) / "logits-0.npy")
    assert np.isfinite(values).all()
    return values, done.stderr
