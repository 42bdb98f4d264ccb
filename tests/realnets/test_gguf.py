"""GGUF of every version and byte order gives the exact arrays, and damaged GGUF one line."""

import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from waves import wave

from realnets.layers import Layers
from realnets.readers import Checkpoint, open_checkpoint
from rmt import InputError

DATA = Path(__file__).parent / "data"


EXPECTED = {
    "token_embd.weight": wave(12, 8),
    "blk.0.attn_q.weight": wave(8, 6).astype(np.float16),
    "blk.0.ffn_up.weight": wave(6, 8).astype(np.float64),
    "blk.0.ffn_down.weight": (wave(4, 8).view(np.uint32) >> 16).astype(np.uint16).view(ml_dtypes.bfloat16),
    "blk.0.steps": np.arange(5, dtype=np.int32),
    "blk.0.norm.weight": wave(8),
}


def write(
    path: Path, version: int, order: str = "<", tensors=(("w", (5, 7), 0, 0),), metadata=b"", n=0, data=bytes(140)
) -> Path:
    """A file field by field; `tensors` are (name, dims innermost first, type, offset)."""
    count = f"{order}{'I' if version == 1 else 'Q'}"

    def text(name: str) -> bytes:
        return struct.pack(count, len(name)) + name.encode()

    out = b"GGUF" + struct.pack(f"{order}I", version) + struct.pack(count, len(tensors)) + struct.pack(count, n)
    out += metadata
    for name, dims, kind, offset in tensors:
        out += text(name) + struct.pack(f"{order}I", len(dims)) + b"".join(struct.pack(count, d) for d in dims)
        out += struct.pack(f"{order}IQ", kind, offset)
    path.write_bytes(out + bytes(-len(out) % 32) + data)
    return path


def arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return {t.name: t.load() for t in checkpoint.tensors if not t.dtype.startswith("Q")}


@pytest.mark.parametrize("name", ["little.gguf", "big.gguf"])
def test_files_of_the_gguf_package(name):
    checkpoint = open_checkpoint(DATA / name)
    assert checkpoint.format == "GGUF"
    got = arrays(checkpoint)
    assert list(got) == list(EXPECTED)
    for tensor, array in EXPECTED.items():
        assert (got[tensor].dtype, got[tensor].shape) == (array.dtype, array.shape)
        assert got[tensor].tobytes() == array.tobytes()


def test_quantised_tensors_are_listed_under_their_type_and_left_out():
    layers = Layers(open_checkpoint(DATA / "little.gguf").tensors, min_M=4)
    kinds = {layer.name: layer.kind for layer in layers}
    assert kinds["token_embd.weight"] == "embedding"
    assert kinds["blk.0.attn_q.weight"] == "dense"
    (output,) = [s for s in layers.skipped if s.name == "output.weight"]
    assert (output.shape, output.reason, output.note) == ((4, 64), "not floating point", "Q4_0")


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("order", "<>")
def test_every_version_in_either_byte_order(tmp_path, version, order):
    array = wave(7, 5)
    path = write(tmp_path / "w", version, order, data=array.astype(f"{order}f4").tobytes())
    (tensor,) = open_checkpoint(path).tensors
    np.testing.assert_array_equal(tensor.load(), array, strict=True)


def _array_of_arrays(depth: int) -> bytes:
    key = struct.pack("<Q", 1) + b"k" + struct.pack("<I", 9)
    return key + struct.pack("<IQ", 9, 1) * depth + struct.pack("<IQ", 0, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"version": 4}, "version 4"),
        ({"tensors": [("w", (5, 7), 0, 0)] * 2}, "two tensors of one name"),
        ({"tensors": [("w", (1,) * 9, 0, 0)]}, "9 dimensions"),
        ({"metadata": _array_of_arrays(100), "n": 1}, "nested deeper"),
        ({"metadata": struct.pack("<QsII", 1, b"k", 99, 0), "n": 1}, "unknown type 99"),
        ({"metadata": struct.pack("<Q17sII", 17, b"general.alignment", 4, 3), "n": 1}, "alignment of 3"),
        ({"metadata": struct.pack("<QsIIQ", 1, b"k", 9, 10, 2**60), "n": 1}, "cannot be read"),  # 2^60 numbers
        ({"metadata": struct.pack("<QsIIQ", 1, b"k", 9, 8, 2**60), "n": 1}, "cannot be read"),  # 2^60 texts
        ({"n": 2**62}, "cannot be read"),
    ],
)
def test_a_hostile_header_is_one_line(tmp_path, arguments, says):
    path = write(tmp_path / "evil", **{"version": 3, **arguments})
    with pytest.raises(InputError, match=f"evil.*{says}"):
        open_checkpoint(path)


def test_a_header_that_claims_a_billion_tensors(tmp_path):
    path = tmp_path / "evil"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 10**9, 0) + bytes(10**6))
    with pytest.raises(InputError, match="1000000000 tensors"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("dims", "kind", "offset", "says"),
    [
        ((2**40, 2**20), 0, 0, "truncated"),
        ((5, 7), 0, 2**63, "truncated"),
        ((5, 7), 99, 0, "GGML type 99"),
    ],
)
def test_an_impossible_tensor_is_left_out_and_the_rest_analysed(tmp_path, dims, kind, offset, says):
    path = write(tmp_path / "w", 3, tensors=[("bad", dims, kind, offset), ("good", (5, 7), 0, 0)])
    layers = Layers(open_checkpoint(path).tensors, min_M=5)
    assert [layer.name for layer in layers] == ["good"]
    assert says in layers.skipped[0].note


def test_a_file_cut_short_loses_the_tensors_behind_the_cut_and_no_other(tmp_path):
    data = (DATA / "little.gguf").read_bytes()
    whole = arrays(open_checkpoint(DATA / "little.gguf"))
    path = tmp_path / "cut"
    path.write_bytes(data[: data.index(EXPECTED["blk.0.attn_q.weight"].tobytes()) + 40])
    tensors = open_checkpoint(path).tensors
    np.testing.assert_array_equal(tensors[0].load(), whole["token_embd.weight"])
    for tensor in tensors[1:]:
        with pytest.raises(InputError, match=r"cut: .*(truncated|quantised)"):
            tensor.load()
