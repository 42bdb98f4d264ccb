"""TensorFlow checkpoints: of an object with its optimiser, of a module, of TensorFlow 1's Saver; damage is one line."""

import io
import os
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fuzz import mutations
from waves import wave
from wirefiles import number, put

from realnets.layers import Layers
from realnets.readers import Probe, _protobuf, open_checkpoint, tensorflow
from realnets.readers.base import Tensor
from rmt import InputError

DATA = Path(__file__).parent / "data" / "tensorflow"


def listed(path: Path) -> dict[str, Tensor]:
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "TensorFlow checkpoint"
    return {t.name: t for t in checkpoint.tensors}


def copied(tmp_path: Path, index: str) -> Path:
    """The checkpoint in a folder of its own, where it may be damaged."""
    source = DATA / f"{index}.index"
    for path in source.parent.glob(f"{source.stem}.*"):
        shutil.copy(path, tmp_path)
    return tmp_path / source.name


@pytest.mark.parametrize("index", ["object/ckpt-10", "saved-model/variables/variables"])
def test_an_object_checkpoint_has_the_names_of_its_variables(index):
    """Keras 3 keeps most kernels under optimizer/_trainable_variables, beside the moments under optimizer/_variables."""
    tensors = listed(DATA / f"{index}.index")
    weights = {
        "emb/embeddings": (11, 8),
        "rnn/lstm_cell/kernel": (8, 24),
        "rnn/lstm_cell/recurrent_kernel": (6, 24),
        "rnn/lstm_cell/bias": (24,),
        "head/kernel": (6, 4),
        "head/bias": (4,),
    }
    for name, shape in weights.items():
        np.testing.assert_array_equal(tensors[name].load(), wave(*shape), strict=True)
    moments = {f"adam/{n.replace('/', '_')}_{m}" for n in weights for m in ("momentum", "velocity")}
    scalars = {"_CHECKPOINTABLE_OBJECT_GRAPH", "adam/iteration", "adam/learning_rate"}
    assert tensors.keys() - {"save_counter"} == weights.keys() | moments | scalars
    layers = Layers(list(tensors.values()), min_M=4)
    gates = {f"rnn/lstm_cell/{k}[{g}]": "lstm" for k in ("kernel", "recurrent_kernel") for g in "ifco"}
    assert {layer.name: layer.kind for layer in layers} == {
        "emb/embeddings": "embedding",
        "head/kernel": "dense",
    } | gates
    assert {s.name for s in layers.skipped if s.reason == "optimiser state"} == moments | scalars - {
        "_CHECKPOINTABLE_OBJECT_GRAPH"
    }


def test_variables_without_a_path_are_named_by_their_keys_and_every_type_is_read():
    tensors = listed(DATA / "module" / "m.index")
    np.testing.assert_array_equal(tensors["net/kernel"].load(), wave(5, 4), strict=True)
    np.testing.assert_array_equal(tensors["net/layer/kernel"].load(), wave(4, 5), strict=True)
    assert tensors["net/empty"].load().shape == (0, 3)
    assert tensors["_CHECKPOINTABLE_OBJECT_GRAPH"].dtype == "string"
    with pytest.raises(InputError, match="type string cannot be read"):
        tensors["_CHECKPOINTABLE_OBJECT_GRAPH"].load()
    for name in ("float64", "float16", "bfloat16", "bool", "complex64", "int8", "int16", "int32", "int64"):
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        np.testing.assert_array_equal(tensors[f"net/{name}"].load(), (wave(2, 3) * 9).astype(dtype), strict=True)
    for name in ("float8_e4m3fn", "float8_e5m2"):
        array = tensors[f"net/{name}"].load()
        assert array.tobytes() == wave(2, 3).astype(getattr(ml_dtypes, name)).tobytes()
    for name in ("uint8", "uint16", "uint32", "uint64"):
        assert tensors[f"net/{name}"].load().dtype == name


def test_a_saver_checkpoint_in_two_shards_with_a_variable_in_three_slices():
    tensors = listed(DATA / "saver" / "model.ckpt-7.index")
    for name, shape in {"net/dense/kernel": (6, 4), "net/dense/bias": (6,), "net/emb": (10, 4)}.items():
        np.testing.assert_array_equal(tensors[name].load(), wave(*shape), strict=True)
    left = {s.name: s.reason for s in Layers(list(tensors.values()), min_M=4).skipped}
    assert {n.rsplit("/")[-1] for n, reason in left.items() if reason == "optimiser state"} == {
        "Adam",
        "Adam_1",
        "Adagrad",
    }


def test_folders(tmp_path):
    """`checkpoint` names the latest of several; a SavedModel has its variables one folder down."""

    def names(folder):
        assert tensorflow.recognises_folder(folder)
        return {t.name for t in tensorflow.tensors(folder)}

    assert "emb/embeddings" in names(DATA / "object")
    assert "emb/embeddings" in names(DATA / "saved-model")
    assert "net/kernel" in names(DATA / "module")
    assert not tensorflow.recognises_folder(tmp_path)
    assert not tensorflow.recognises_folder(DATA)
    for index in ("module/m", "saver/model.ckpt-7"):
        copied(tmp_path, index)
    with pytest.raises(InputError, match=r"holds 2 checkpoints \(m\.index, model\.ckpt-7\.index\)"):
        tensorflow.tensors(tmp_path)
    for said in (b"m", b"/home/else/where/m", b"C:\\\\models\\\\m", b"\\155"):
        (tmp_path / "checkpoint").write_bytes(
            b'model_checkpoint_path: "' + said + b'"\nall_model_checkpoint_paths: "x"\n'
        )
        assert "net/kernel" in names(tmp_path), said
    (tmp_path / "checkpoint").write_bytes(b'model_checkpoint_path: "../../x\\')
    with pytest.raises(InputError, match="holds 2 checkpoints"):
        tensorflow.tensors(tmp_path)
    with pytest.raises(InputError, match="holds no TensorFlow checkpoint"):
        tensorflow.tensors(DATA)


@pytest.mark.timeout(30)
def test_a_pipe_in_the_place_of_the_state_is_not_waited_for(tmp_path):
    for index in ("module/m", "saver/model.ckpt-7"):
        copied(tmp_path, index)
    os.mkfifo(tmp_path / "checkpoint")
    with pytest.raises(InputError, match="holds 2 checkpoints"):
        open_checkpoint(tmp_path)


def test_shards_that_are_missing_cut_or_linked_from_elsewhere(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    path = copied(home, "module/m")
    shard = home / "m.data-00000-of-00001"
    whole = shard.read_bytes()

    def load(index: Path) -> np.ndarray:
        return listed(index)["net/kernel"].load()

    shard.write_bytes(whole[:1])
    with pytest.raises(InputError, match=r"m\.index: net/kernel: truncated: m\.data-00000-of-00001 has 1 bytes"):
        load(path)
    shard.unlink()
    with pytest.raises(InputError, match=r"net/kernel: refers to m\.data-00000-of-00001, which is not there"):
        load(path)
    (tmp_path / "outside").write_bytes(whole)
    shard.symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="leads out of its folder"):
        load(path)
    (tmp_path / "blob").write_bytes(path.read_bytes())  # as in the caches of model hubs, where the index is a link too
    path.unlink()
    path.symlink_to(tmp_path / "blob")
    np.testing.assert_array_equal(load(path), wave(5, 4))


def test_a_flipped_weight_and_a_flipped_entry_are_caught_by_their_checksums(tmp_path):
    path = copied(tmp_path, "saver/model.ckpt-7")
    for shard in tmp_path.glob("*.data-*"):
        data = bytearray(shard.read_bytes())
        for i in range(0, len(data), 4):
            data[i] ^= 1
        shard.write_bytes(data)
    for tensor in open_checkpoint(path).tensors:
        with pytest.raises(InputError, match=f"{tensor.name}: damaged: its checksum does not match"):
            tensor.load()
    index = bytearray(path.read_bytes())
    index[40] ^= 1
    path.write_bytes(index)
    with pytest.raises(InputError, match="checksum does not match"):
        open_checkpoint(path)


def test_the_format_before_0_12_and_other_tables_are_refused(tmp_path):
    with pytest.raises(InputError, match="version 1"):
        open_checkpoint(DATA / "version-1" / "model.ckpt")
    (tmp_path / "w").write_bytes(bytes(40) + tensorflow._MAGIC)
    with pytest.raises(InputError, match="damaged TensorFlow checkpoint"):
        open_checkpoint(tmp_path / "w")
    (tmp_path / "w").write_bytes(tensorflow._MAGIC)
    assert not tensorflow.recognises(Probe(tmp_path / "w"))


# --- tables written entry by entry


def entry(shape=(2, 3), code: int = 1, size: int = 24, rest: bytes = b"", crc: int = 0) -> bytes:
    dims = b"".join(put(2, put(1, n)) for n in shape)
    return put(1, code) + put(2, dims) + put(5, size) + number(6 << 3 | 5) + crc.to_bytes(4, "little") + rest


def write(path: Path, entries: dict[bytes, bytes], packed: int = 0, data: bytes = wave(2, 3).tobytes()) -> Path:
    """An index of one block and its only shard."""

    def block(pairs: dict[bytes, bytes]) -> bytes:
        body = b"".join(b"\0" + number(len(k)) + number(len(v)) + k + v for k, v in pairs.items())
        body += bytes(4) + (1).to_bytes(4, "little") + bytes([packed if b"" in pairs else 0])
        return body + tensorflow._masked_crc32c(body).to_bytes(4, "little")

    first = block({b"": put(1, 1)} | entries)
    second = block({b"z": number(0) + number(len(first) - 5)})
    footer = number(0) * 2 + number(len(first)) + number(len(second) - 5)
    path.write_bytes(first + second + footer + bytes(40 - len(footer)) + tensorflow._MAGIC)
    path.with_name(f"{path.stem}.data-00000-of-00001").write_bytes(data)
    return path


GOOD = entry(crc=tensorflow._masked_crc32c(wave(2, 3).tobytes()))


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (entry((2, 4)), "does not fit the 24 bytes"),
        (entry((-2, -3)), "impossible shape"),
        (entry((2**40, 2**40)), "impossible shape"),
        (entry((1,) * 65), "impossible shape"),
        (entry((10**6, 10**4), size=4 * 10**10), "truncated"),
        (entry(size=2**64 - 24), "does not fit"),
        (entry(rest=put(4, 2**64 - 24)), "truncated"),
        (entry(rest=put(3, 1)), "in shard 1 of 1"),
        (entry(), "checksum"),
        (entry(code=99), "type 99"),
        (entry(code=11), "qint8"),
        (entry() + b"\x12\xff", "damaged"),
        (entry(rest=put(7, b"")), "slice of it is missing"),
        (entry(rest=put(7, put(1, b"") * 300)), "slice of it is missing"),
        (put(1, 1) + put(2, put(3, 1)), "damaged"),
    ],
)
def test_a_damaged_entry_does_not_take_the_others_with_it(tmp_path, bad, says):
    path = write(tmp_path / "w.index", {b"bad": bad, b"good": GOOD})
    wrong, good = open_checkpoint(path).tensors
    assert bool(wrong.unreadable) == (says in ("damaged", "impossible shape"))
    np.testing.assert_array_equal(good.load(), wave(2, 3))
    with pytest.raises(InputError, match=f"w.index: bad: .*{says}"):
        wrong.load()


def sliced(*extents: tuple[int, int]) -> bytes:
    """An entry in slices of its two rows."""
    parts = [put(1, put(1, start) + put(2, length)) + put(1, b"") for start, length in extents]
    return entry(rest=b"".join(put(7, part) for part in parts))


def part(start: int, length: int) -> bytes:
    return tensorflow._slice_key(b"w", (tensorflow._Extent(start, length), tensorflow._Extent(0, -1)))


def test_slices_have_to_tile_the_variable(tmp_path):
    row = wave(2, 3)[:1].tobytes()
    held = {part(i, 1): entry((1, 3), size=12, crc=tensorflow._masked_crc32c(row)) for i in range(3)}
    path = write(tmp_path / "w.index", held | {b"w": sliced((0, 1), (1, 1))})
    np.testing.assert_array_equal(open_checkpoint(path).tensors[0].load(), wave(2, 3)[[0, 0]])
    for extents, says in [
        (((0, 1),), "do not make up"),
        (((0, 1), (0, 1)), "overlap"),
        (((0, 1), (2, 1)), "beyond its shape"),
        (((0, 1), (5, 1)), "missing"),
    ]:
        write(path, held | {b"w": sliced(*extents)})
        with pytest.raises(InputError, match=says):
            open_checkpoint(path).tensors[0].load()
    # a small file may not be made into a large array
    many = {part(i, 1): entry((1, 3), size=12) for i in range(1000)}
    write(path, many | {b"w": entry((1000, 3), rest=sliced(*((i, 1) for i in range(1000)))[len(entry()) :])}, data=row)
    with pytest.raises(InputError, match="do not make up"):
        open_checkpoint(path).tensors[0].load()


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b"\x80"), (-1, b"\x7f"), (63, b"\xbf"), (64, b"\xc0\x40"), (-64, b"\x40"), (-65, b"\x3f\xbf")],
)
def test_ordered_numbers(value, encoded):
    assert tensorflow._ordered(value) == encoded


def test_compressed_blocks_large_tables_and_big_endian_shards_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "w.index", {b"good": GOOD}, packed=1)
    with pytest.raises(InputError, match="blocks are compressed"):
        open_checkpoint(path)
    write(path, {b"": put(1, 1) + put(2, 1), b"good": GOOD})
    with pytest.raises(InputError, match="big-endian"):
        open_checkpoint(path)
    write(path, {b"good": GOOD})
    assert len(open_checkpoint(path).tensors) == 1
    monkeypatch.setattr(tensorflow, "MAX_TENSORS", 0)
    with pytest.raises(InputError, match="more than 0 keys"):
        open_checkpoint(path)
    monkeypatch.setattr(tensorflow, "_MAX_TABLE", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        open_checkpoint(path)


def test_a_moment_stays_a_moment_whatever_its_variable_is_called():
    entries = [
        tensorflow._Entry(key, "float32") for key in (b"optimizer/_variables/3", b"optimizer/_trainable_variables/0")
    ]
    paths = {"optimizer/_variables/3": "group/head_kernel_moment", "optimizer/_trainable_variables/0": "head/kernel"}
    assert tensorflow._names(entries, paths) == ["optimizer/_variables/3", "head/kernel"]
    same = dict.fromkeys(paths, "head/kernel")
    assert tensorflow._names(entries, same) == list(paths)


def test_a_damaged_object_graph_leaves_the_keys(tmp_path):
    path = copied(tmp_path, "object/ckpt-10")
    shard = tmp_path / "ckpt-10.data-00000-of-00001"
    whole = shard.read_bytes()
    at = whole.index(b"VARIABLE_VALUE") - 40
    for bad in mutations(whole[at:], 30, seed=3):
        shard.write_bytes(whole[:at] + bad)
        assert len(open_checkpoint(path).tensors) == 22


def test_a_reader_of_messages_seeks_no_further_than_its_block():
    source = _protobuf.Source(io.BytesIO(put(1, b"x" * 10) + put(2, 300)), 15)
    assert [(f.number, f.value) for f in source.fields(0, 15)] == [(1, 0), (2, 300)]
    with pytest.raises(_protobuf.WireError, match="truncated"):
        list(source.fields(0, 16))
