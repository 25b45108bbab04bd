"""Every tensor type, decoded bit for bit as the `gguf` package decodes it."""
import ctypes
import zlib

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

BLOCKS = 300


def random_blocks(kind, seed):
    """Random bytes: every bit pattern is a legal block."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    return np.random.default_rng(seed).integers(0, 256, size * BLOCKS, dtype=np.uint8), block * BLOCKS


def ours(lib, kind, data, count):
    out = np.full(count, 7e7, np.float32)
    status = lib.moiety_decode(int(kind), data.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
                               ctypes.c_size_t(count))
    return out if status == 0 else None


DECODED_BY_GGUF = sorted(gguf.quants._type_traits, key=int)


@pytest.mark.parametrize("kind", DECODED_BY_GGUF, ids=lambda k: k.name)
def test_decodes_as_gguf_does(codec_lib, kind):
    for seed in (zlib.crc32(kind.name.encode()), 1, 2):
        data, count = random_blocks(kind, seed)
        mine = ours(codec_lib, kind, data, count)
        assert mine is not None, f"no decoder for {kind.name}"
        with np.errstate(all="ignore"):
            theirs = gguf.quants.dequantize(data, kind).astype(np.float32).reshape(-1)
        nan = np.isnan(theirs)
        assert (np.isnan(mine) == nan).all(), f"{kind.name}, seed {seed}: NaN in other places"
        differs = mine[~nan].view(np.uint32) != theirs[~nan].view(np.uint32)
        zeros = (mine[~nan] == 0) & (theirs[~nan] == 0)  # -0 and 0 are one number
        assert not (differs & ~zeros).any(), f"{kind.name}, seed {seed}: {differs.sum()} of {count} differ"
