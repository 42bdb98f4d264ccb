"""Flax's msgpack files and Orbax's folders: the exact arrays, and damage of every kind as one line."""

import json
import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import ml_dtypes
import msgpack
import numpy as np
import pytest
from numcodecs import Zstd

from realnets.layers import Layers
from realnets.naming import is_optimiser_state
from realnets.readers import flax_msgpack, open_checkpoint, orbax
from realnets.readers._stores import StoreError, ocdbt, unzstd
from realnets.readers.base import Tensor
from rmt import InputError

DATA = Path(__file__).parent / "data"
PARAMETERS = {
    "Conv_0.bias": ((3,), "float32"),
    "Conv_0.kernel": ((2, 8, 3), "float32"),
    "Dense_0.bias": ((2,), "bfloat16"),
    "Dense_0.kernel": ((3, 2), "bfloat16"),
    "embed.embedding": ((40, 8), "float32"),
}
FOLDERS = ("orbax_ocdbt", "orbax_zarr", "orbax_zarr3")


def assert_parameters(tensors: list[Tensor], prefix: str) -> None:
    """What make_flax_fixtures.py has put into parameter k; XLA's sine is that of NumPy to a few units in the last place."""
    got = {t.name: t for t in tensors}
    for k, (name, (shape, dtype)) in enumerate(PARAMETERS.items()):
        tensor = got[prefix + name]
        assert (tensor.shape, tensor.dtype) == (shape, dtype)
        array = tensor.load()
        assert array.dtype.name == dtype
        expected = np.sin(k + np.arange(np.prod(shape))).reshape(shape)
        np.testing.assert_allclose(array.astype(float), expected, atol=4e-3 if dtype == "bfloat16" else 1e-6)


def test_a_state_of_training_in_msgpack():
    checkpoint = open_checkpoint(DATA / "flax.msgpack")
    assert checkpoint.format == "Flax msgpack"
    assert_parameters(checkpoint.tensors, "params.")
    layers = Layers(checkpoint.tensors, min_M=2)
    assert {layer.name: layer.kind for layer in layers} == {
        "params.Conv_0.kernel[0]": "conv1d",
        "params.Conv_0.kernel[1]": "conv1d",
        "params.Dense_0.kernel": "dense",
        "params.embed.embedding": "embedding",
    }
    assert {s.name.split(".")[0] for s in layers.skipped if s.reason == "optimiser state"} == {"opt_state"}


def test_arrays_in_chunks_are_put_together():
    tensors = open_checkpoint(DATA / "flax_chunked.msgpack").tensors
    assert [t.name for t in tensors] == list(PARAMETERS)
    assert_parameters(tensors, "")


@pytest.mark.parametrize("name", FOLDERS)
def test_orbax_in_each_of_its_layouts(name):
    assert orbax.recognises_folder(DATA / name)
    tensors = orbax.tensors(DATA / name)
    assert_parameters(tensors, "params.")
    layers = Layers(tensors, min_M=2)
    convolution = {"params.Conv_0.kernel[0]", "params.Conv_0.kernel[1]"}
    assert {layer.name for layer in layers} == convolution | {"params.Dense_0.kernel", "params.embed.embedding"}
    assert sum(s.reason == "optimiser state" for s in layers.skipped) == len(PARAMETERS)
    (step,) = [t for t in tensors if t.name == "step"]
    assert step.load() == 3


def test_a_b_tree_of_several_levels_and_arrays_of_several_chunks():
    data = b"".join(f.read_bytes() for f in (DATA / "orbax_tree" / "d").iterdir())
    assert any(unzstd(node, 1000)[0] > 0 for node in _nodes(data))
    tensors = orbax.tensors(DATA / "orbax_tree")
    assert [t.name for t in tensors] == [f"layer_{k}.kernel" for k in range(6)]
    for k, tensor in enumerate(tensors):
        np.testing.assert_array_equal(tensor.load(), np.arange(k, k + 15, dtype=np.float32).reshape(3, 5))


def _nodes(data: bytes):
    """Bodies of the compressed nodes of a B-tree in a data file."""
    at = data.find(b"\x0c\xdb\x20\xde")
    while at >= 0:
        (length,) = struct.unpack_from("<Q", data, at + 4)
        yield data[at + 14 : at + length - 4]
        at = data.find(b"\x0c\xdb\x20\xde", at + 1)


def test_items_of_one_step_and_steps_of_one_run(tmp_path):
    step = tmp_path / "run" / "10"
    shutil.copytree(DATA / "orbax_zarr", step / "default")
    for place in (step / "default", step):
        (place / "_METADATA").write_text("{}")
    (step / "_METADATA").unlink()
    (step / "_CHECKPOINT_METADATA").write_text("{}")
    assert_parameters(orbax.tensors(step), "params.")
    shutil.copytree(DATA / "orbax_ocdbt", step / "ema")
    assert_parameters(orbax.tensors(step), "default.params.")
    assert_parameters(orbax.tensors(step), "ema.params.")
    shutil.copytree(DATA / "orbax_ocdbt", tmp_path / "run" / "9")
    assert orbax.recognises_folder(tmp_path / "run")
    with pytest.raises(InputError, match=r"checkpoints, 9, 10; .*run/10"):
        orbax.tensors(tmp_path / "run")


def test_an_older_folder_with_small_arrays_in_a_msgpack_file(tmp_path):
    folder = shutil.copytree(DATA / "orbax_zarr", tmp_path / "w")
    (folder / "checkpoint").write_bytes((DATA / "flax_chunked.msgpack").read_bytes())
    tensors = orbax.tensors(folder)
    assert_parameters(tensors, "params.")
    assert_parameters(tensors, "")


def test_other_folders_are_not_taken_for_checkpoints(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "w.pt").write_bytes(b"x")
    for folder in (tmp_path, tmp_path / "a", tmp_path / "gone", Path(__file__).parent):
        assert not orbax.recognises_folder(folder)


@pytest.mark.parametrize(
    ("name", "is_state"),
    [
        ("0.mu.Dense_0.kernel", True),
        ("1.0.nu.Dense_0.kernel", True),
        ("state.param_states.encoder.kernel.v", True),
        ("opt_state.0.mu.Dense_0.kernel", True),
        ("optimizer.vars.3", True),
        ("optimizer_weights.SGD.m.out.kernel:0", True),
        ("mu.weight", False),
        ("encoder.mu.kernel", False),
        ("encoder.0.mu.kernel", False),
        ("optimizer.target.encoder.kernel", False),
    ],
)
def test_moments_of_optax_are_told_from_layers_called_mu(name, is_state):
    assert is_optimiser_state(name) == is_state


# --- msgpack of strangers


def packed(shape, dtype, data, code=1) -> msgpack.ExtType:
    return msgpack.ExtType(code, msgpack.packb((shape, dtype, data)))


W = np.arange(12, dtype=np.float32).reshape(3, 4)
GOOD = packed(W.shape, "float32", W.tobytes())


def saved(path: Path, tree) -> Path:
    path.write_bytes(msgpack.packb(tree))
    return path


def test_every_kind_of_value_is_stepped_over(tmp_path):
    tree = {
        "a": [
            1,
            -1,
            200,
            -200,
            70_000,
            2**40,
            -(2**40),
            0.5,
            None,
            True,
            "x" * 40,
            "y" * 300,
            b"z" * 300,
            "w" * 70_000,
        ],
        "b": {"c": [[], {}, msgpack.ExtType(2, b"12"), msgpack.ExtType(9, bytes(70_000))]},
        "layers": [{"kernel": GOOD}] * 20,
        "n": {str(k): k for k in range(100)},
        "scalar": packed((), "float64", np.float64(2.5).tobytes(), 3),
        "half": packed((2,), "bfloat16", np.ones(2, ml_dtypes.bfloat16).tobytes()),
        7: {},
    }
    del tree[7]
    got = {t.name: t.load() for t in open_checkpoint(saved(tmp_path / "w", tree)).tensors}
    assert list(got) == [*(f"layers.{k}.kernel" for k in range(20)), "scalar", "half"]
    np.testing.assert_array_equal(got["layers.19.kernel"], W, strict=True)
    assert got["scalar"] == 2.5
    assert got["half"].dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (packed((2**40, 2**40), "float32", bytes(16)), "does not fit"),
        (packed((3, -4), "float32", bytes(48)), "impossible shape"),
        (packed((3, 2**63), "float32", bytes(48)), "impossible shape"),
        (packed((1,) * 40, "float32", bytes(4)), "not an array"),
        (packed((2,), "object", bytes(16)), "object"),
        (packed((2,), "int5", bytes(2)), "int5"),
        (packed((2,), "(9,9)f4,i4", bytes(16)), "cannot be read"),
        (packed((2,), "float32", 7), "not an array"),
        (msgpack.ExtType(1, b""), "cut short"),
        (msgpack.ExtType(1, bytes(30)), "not an array"),
        (msgpack.ExtType(1, GOOD.data[:-8]), "bytes where"),
        ({"__msgpack_chunked_array__": True, "shape": {"0": 3}, "chunks": {}}, "incomplete"),
        ({"__msgpack_chunked_array__": True, "shape": {"0": 5, "1": 4}, "chunks": {"0": GOOD}}, "do not fit"),
        ({"__msgpack_chunked_array__": True, "shape": {"0": -3, "1": 4}, "chunks": {"0": GOOD}}, "incomplete"),
        ({"__msgpack_chunked_array__": True}, "incomplete"),
    ],
)
def test_a_bad_array_is_left_out_by_itself(tmp_path, bad, says):
    path = saved(tmp_path / "w", {"bad": bad, "good": GOOD})
    tensors = {t.name: t for t in open_checkpoint(path).tensors}
    np.testing.assert_array_equal(tensors["good"].load(), W)
    with pytest.raises(InputError, match=says) as error:
        tensors["bad"].load()
    assert str(error.value).startswith(f"{path}: bad: ")


@pytest.mark.parametrize(
    "data",
    [
        msgpack.packb({"a": 1})[:-1] + b"\xc1",  # a byte that begins nothing
        b"\x81\xa1a\xdd\xff\xff\xff\xff",  # four billion members
        b"\x81\xa1a\xdf\xff\xff\xff\xff" + bytes(40),
        b"\x81\xa1a\xc9\xff\xff\xff\xff\x01" + bytes(40),  # an extension longer than the file
        b"\x81\xa1a" * 100 + b"\x01",  # nested
        b"\x81\xa1a" + b"\x91" * 100_000 + b"\x01",
        msgpack.packb({"a": GOOD}) + b"\x01",  # something behind the end
        msgpack.packb({"a": {b"\xff": 1}}),
        msgpack.packb({"a": {"b" * 2000: GOOD}}),
    ],
)
def test_what_is_no_whole_msgpack_is_refused(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(InputError, match="msgpack"):
        open_checkpoint(tmp_path / "w")


@pytest.mark.parametrize("data", [b"\x80\x01", b"\x81\x01\x01", b"\x81\xa3\x00\x01\x02\x01", b"\x93abc", b"\x82"])
def test_what_does_not_begin_like_flax_is_not_taken_for_it(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    with pytest.raises(InputError, match="known formats"):
        open_checkpoint(tmp_path / "w")


def test_listing_reads_no_weights(tmp_path):
    path = saved(tmp_path / "w", {"a": packed((10**6,), "float64", bytes(8 * 10**6))})
    tracemalloc.start()
    assert [t.shape for t in open_checkpoint(path).tensors] == [(10**6,)]
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


# --- folders of strangers


def zarr(folder: Path, files: dict[str, bytes], **changes) -> Tensor:
    """The one tensor of a folder with an array of 6 x 4 in chunks of 4 x 4."""
    metadata = {
        "shape": [6, 4],
        "chunks": [4, 4],
        "dtype": "<f4",
        "compressor": None,
        "filters": None,
        "order": "C",
        "fill_value": None,
        "zarr_format": 2,
    }
    place = folder / "w" / "fc.kernel"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    (place / ".zarray").write_text(json.dumps(metadata | changes))
    for key, data in files.items():
        (place / key).write_bytes(data)
    (tensor,) = orbax.tensors(folder / "w")
    return tensor


V = np.arange(32, dtype=np.float32).reshape(8, 4)
CHUNKS = {"0.0": V[:4].tobytes(), "1.0": V[4:].tobytes()}


def test_chunks_are_cut_to_the_shape_and_those_that_are_missing_are_filled(tmp_path):
    np.testing.assert_array_equal(zarr(tmp_path, CHUNKS).load(), V[:6])
    got = zarr(tmp_path, {"1.0": CHUNKS["1.0"]}, fill_value=2.0).load()
    np.testing.assert_array_equal(got, np.vstack([np.full((4, 4), 2), V[4:6]]))
    fortran = {"0.0": V[:4].T.tobytes(), "1.0": V[4:].T.tobytes()}
    np.testing.assert_array_equal(zarr(tmp_path, fortran, order="F").load(), V[:6])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"shape": [2**40, 2**40]}, "zip bomb"),
        ({"chunks": [2**30, 4]}, "zip bomb"),
        ({"shape": [6, -4]}, "impossible shape"),
        ({"shape": [6.5, 4]}, "impossible shape"),
        ({"chunks": [0, 4]}, "impossible shape"),
        ({"chunks": [4]}, "do not fit"),
        ({"dtype": "<f8"}, "bytes where"),
        ({"dtype": "|O"}, "cannot be read"),
        ({"dtype": [["a", "<f4"]]}, "structured"),
        ({"compressor": {"id": "blosc"}}, "blosc"),
        ({"compressor": {"id": "zstd"}}, "zstd"),
        ({"compressor": {"id": "zlib"}}, "damaged"),
        ({"compressor": 7}, "not understood"),
        ({"filters": [{"id": "pickle"}]}, "filters"),
        ({"order": None}, "not understood"),
        ({"zarr_format": 3}, "not understood"),
    ],
)
def test_metadata_that_ask_for_too_much_or_for_code_are_refused(tmp_path, changes, says):
    tensor = zarr(tmp_path, CHUNKS, **changes)
    tracemalloc.start()
    with pytest.raises(InputError, match=says) as error:
        tensor.load()
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    assert str(error.value).startswith(f"{tmp_path / 'w'}: fc.kernel: ")


def test_a_zstd_bomb_is_refused_before_it_is_unpacked():
    bomb = Zstd().encode(bytes(2**28))
    assert len(bomb) < 2**15
    with pytest.raises(StoreError, match="bomb"):
        unzstd(bomb, 1000)
    assert unzstd(Zstd().encode(bytes(1000)), 1000) == bytes(1000)


def test_links_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(CHUNKS["1.0"])
    tensor = zarr(tmp_path, {"0.0": CHUNKS["0.0"]})
    os.symlink(secret, tmp_path / "w" / "fc.kernel" / "1.0")
    (tensor,) = orbax.tensors(tmp_path / "w")
    np.testing.assert_array_equal(tensor.load()[4:], 0)  # as if it were not there
    folder = shutil.copytree(DATA / "orbax_ocdbt", tmp_path / "o")
    (data,) = (folder / "d").iterdir()
    shutil.move(data, secret)
    os.symlink(secret, data)
    with pytest.raises(InputError, match="leads out of the folder"):
        orbax.tensors(folder)


def test_more_arrays_than_any_network_has(monkeypatch):
    monkeypatch.setattr(flax_msgpack, "MAX_TENSORS", 3)
    with pytest.raises(InputError, match="more than 3 arrays"):
        open_checkpoint(DATA / "flax.msgpack")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "d/../../x", "d\\x", "c:x", "d/\x00"])
def test_paths_out_of_the_folder_are_refused(tmp_path, path):
    import google_crc32c

    folder = tmp_path / "w"
    folder.mkdir()
    name = path.encode()
    body = bytes(16) + b"\0\0\0\x04\0" + bytes([1, len(name), 0]) + name  # settings, and a table of one file
    body += bytes([1, 1, 0, 0, 0, 40, 1, 0, 0]) + bytes(8) + b"\0"
    data = struct.pack(">IQ", 0x0CDB3A2A, 0)[:4] + struct.pack("<Q", len(body) + 18) + b"\0\0" + body
    (folder / "manifest.ocdbt").write_bytes(data + google_crc32c.value(data).to_bytes(4, "little"))
    with pytest.raises(InputError, match="refused"):
        orbax.tensors(folder)
    with pytest.raises(StoreError, match="refused"):
        ocdbt(folder)
