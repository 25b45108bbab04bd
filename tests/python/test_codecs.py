"""Every tensor type, decoded bit for bit as the `gguf` package decodes it, or llama.cpp where the package does not."""
import ctypes
import pathlib
import zlib

import gguf
import numpy as np
import pytest
import xllamacpp
from gguf import GGMLQuantizationType as Type

BLOCKS = 300


def random_blocks(sizes, seed):
    """Random bytes: every bit pattern is a legal block."""
    block, size = sizes
    return np.random.default_rng(seed).integers(0, 256, size * BLOCKS, dtype=np.uint8), block * BLOCKS


def ours(lib, kind, data, count):
    out = np.full(count, 7e7, np.float32)
    status = lib.moiety_decode(int(kind), data.ctypes.data_as(ctypes.c_void_p), out.ctypes.data_as(ctypes.c_void_p),
                               ctypes.c_size_t(count))
    return out if status == 0 else None


def llama():
    folder = pathlib.Path(xllamacpp.__file__).parent
    return ctypes.CDLL(str(next(folder.glob("xllamacpp*.so"))))


def assert_same(mine, theirs, what):
    nan = np.isnan(theirs)
    assert (np.isnan(mine) == nan).all(), f"{what}: NaN in other places"
    differs = mine[~nan].view(np.uint32) != theirs[~nan].view(np.uint32)
    zeros = (mine[~nan] == 0) & (theirs[~nan] == 0)  # -0 and 0 are one number
    assert not (differs & ~zeros).any(), f"{what}: {differs.sum()} of {mine.size} differ"


DECODED_BY_GGUF = sorted(gguf.quants._type_traits, key=int)


@pytest.mark.parametrize("kind", DECODED_BY_GGUF, ids=lambda k: k.name)
def test_decodes_as_gguf_does(codec_lib, kind):
    for seed in (zlib.crc32(kind.name.encode()), 1, 2):
        data, count = random_blocks(gguf.GGML_QUANT_SIZES[kind], seed)
        mine = ours(codec_lib, kind, data, count)
        assert mine is not None, f"no decoder for {kind.name}"
        with np.errstate(all="ignore"):
            theirs = gguf.quants.dequantize(data, kind).astype(np.float32).reshape(-1)
        assert_same(mine, theirs, f"{kind.name}, seed {seed}")


# name in llama.cpp, number, (block, bytes): types that the package has no decoder for
DECODED_BY_LLAMA = [("q1_0", 41, (128, 18)), ("q2_0", 42, (64, 18)), ("q8_K", 15, (256, 292))]


@pytest.mark.parametrize("name, number, sizes", DECODED_BY_LLAMA, ids=[row[0] for row in DECODED_BY_LLAMA])
def test_decodes_as_llama_cpp_does(codec_lib, name, number, sizes):
    reference = llama()
    for seed in (zlib.crc32(name.encode()), 1, 2):
        data, count = random_blocks(sizes, seed)
        mine = ours(codec_lib, number, data, count)
        assert mine is not None, f"no decoder for {name}"
        theirs = np.empty(count, np.float32)
        getattr(reference, f"dequantize_row_{name}")(data.ctypes.data_as(ctypes.c_void_p), theirs.ctypes.data_as(ctypes.c_void_p),
                                                     ctypes.c_int64(count))
        assert_same(mine, theirs, f"{name}, seed {seed}")


def rows_of(family, seed):
    """[16, 1024] of one kind of numbers that weights look like, or do not."""
    random = np.random.default_rng(seed)
    rows = random.standard_normal((16, 1024)) * 0.02
    if family == "heavy-tailed":
        rows = random.standard_t(2.5, (16, 1024)) * 0.02
    if family == "outliers":
        rows[random.random(rows.shape) < 0.004] *= 30
    if family == "shifted":
        rows += 0.03
    return rows.astype(np.float32)


def pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.c_void_p)


ENCODED = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K,
           Type.IQ4_NL, Type.IQ4_XS, Type.MXFP4]


@pytest.mark.parametrize("important", [False, True], ids=["plain", "importance"])
@pytest.mark.parametrize("family", ["gaussian", "heavy-tailed", "outliers", "shifted"])
@pytest.mark.parametrize("kind", ENCODED, ids=lambda k: k.name)
def test_encodes_no_worse_than_llama_cpp(codec_lib, kind, family, important):
    """The squared error, weighted where weights are given, is at most one in a hundred above that of llama.cpp's own encoder."""
    seed = zlib.crc32(f"{kind.name} {family}".encode())
    rows = rows_of(family, seed)
    count, width = rows.shape
    weights = np.random.default_rng(seed + 1).exponential(1, width).astype(np.float32) if important else None
    block, size = gguf.GGML_QUANT_SIZES[kind]
    mine, theirs = (np.zeros((count, width // block * size), np.uint8) for _ in range(2))
    for row, out in zip(rows, mine):
        assert codec_lib.moiety_encode(int(kind), pointer(row), pointer(weights), ctypes.c_size_t(width), pointer(out)) == 0
    llama().ggml_quantize_chunk(ctypes.c_int(int(kind)), pointer(rows), pointer(theirs), ctypes.c_int64(0), ctypes.c_int64(count),
                                ctypes.c_int64(width), pointer(weights))

    def error(data):
        off = gguf.quants.dequantize(data, kind).astype(np.float64) - rows
        return (off**2 * (1 if weights is None else weights)).mean()

    assert error(mine) <= 1.01 * error(theirs), f"seed {seed}: {error(mine)} against {error(theirs)}"
