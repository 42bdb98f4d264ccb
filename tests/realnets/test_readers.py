"""Every format gives back the exact arrays, one at a time, whatever the file is called."""

import io
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torchfiles as tf
from safetensors.numpy import save_file

from realnets.readers import Checkpoint, open_checkpoint


def arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    return {t.name: t.load() for t in checkpoint.tensors}


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        assert got[name].shape == array.shape
        assert got[name].tobytes() == array.tobytes(), name


EXPECTED = {
    "a.weight": tf.random(7, 5),
    "b.half": tf.random(4, 6, seed=1, dtype=np.float16),
    "c.brain": tf.random(3, 4, seed=2, dtype=tf.BFLOAT16),
    "d.double": tf.random(2, 3, 4, seed=3, dtype=np.float64),
    "e.steps": np.arange(5),
    "f.scalar": np.array(2.5, np.float32),
}
STORAGES = {name: array.ravel() for name, array in EXPECTED.items()}
STATE = {name: tf.whole(name, array) for name, array in EXPECTED.items()}


def test_safetensors_of_every_float(tmp_path):
    eight = {
        "g.e4m3": tf.random(4, 4, seed=4, dtype=ml_dtypes.float8_e4m3fn),
        "h.e5m2": tf.random(4, 4, seed=5, dtype=ml_dtypes.float8_e5m2),
    }
    path = tmp_path / "weights.bin"  # formats are told by content
    save_file(EXPECTED | eight, path)
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "safetensors"
    got = arrays(checkpoint)
    assert_same({name: got[name] for name in EXPECTED | eight}, EXPECTED | eight)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_in_c_and_fortran_order_of_either_byte_order(tmp_path, save):
    expected = {n: a for n, a in EXPECTED.items() if n != "c.brain"}
    stored = expected | {
        "a.weight": np.asfortranarray(expected["a.weight"]),
        "e.steps": expected["e.steps"].astype(">i8"),
    }
    buffer = io.BytesIO()
    save(buffer, **stored)
    path = tmp_path / "weights.pt"
    path.write_bytes(buffer.getvalue())
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "NumPy .npz"
    for name, array in arrays(checkpoint).items():
        np.testing.assert_array_equal(array, expected[name], strict=name != "e.steps")
    assert {t.name: t.dtype for t in checkpoint.tensors} == {n: a.dtype.name for n, a in expected.items()}


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_torch_zip(tmp_path, byteorder):
    path = tf.write_zip(tmp_path / "w", STATE, STORAGES, byteorder)
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "PyTorch (zip)"
    assert_same(arrays(checkpoint), EXPECTED)


def test_torch_zip_that_was_packed_again_with_compression(tmp_path):
    plain = tf.write_zip(tmp_path / "plain", STATE, STORAGES)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(tmp_path / "w", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert_same(arrays(open_checkpoint(tmp_path / "w")), EXPECTED)


def test_torch_legacy(tmp_path):
    path = tf.write_legacy(tmp_path / "w.npz", STATE, STORAGES)
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "PyTorch (legacy)"
    assert_same(arrays(checkpoint), EXPECTED)


@pytest.mark.parametrize("write", [tf.write_zip, tf.write_legacy])
def test_views_of_one_storage_with_strides_and_offsets(tmp_path, write):
    flat = tf.random(40)
    state = {
        "rows": tf.View("s", 4, (3, 5), (5, 1)),
        "transposed": tf.View("s", 0, (4, 6), (1, 4)),
        "every.third": tf.View("s", 1, (13,), (3,)),
        "empty": tf.View("s", 0, (0, 3), (3, 1)),
    }
    got = arrays(open_checkpoint(write(tmp_path / "w", state, {"s": flat})))
    assert_same(
        got,
        {
            "rows": flat[4:19].reshape(3, 5),
            "transposed": flat[:24].reshape(6, 4).T.copy(),
            "every.third": flat[1::3],
            "empty": np.empty((0, 3), np.float32),
        },
    )


@pytest.mark.parametrize("write", [tf.write_zip, tf.write_legacy])
def test_a_state_dict_wrapped_in_a_checkpoint_is_named_by_its_path(tmp_path, write):
    state = {
        "epoch": 3,
        "loss": 0.5,
        "model": {"fc.weight": STATE["a.weight"]},
        "history": [1.0, 2.0],
        "optimizer": {
            "state": {"0": {"exp_avg": STATE["b.half"], "step": 7}},
            "param_groups": [{"lr": 1e-3, "params": [0]}],
        },
    }
    storages = {k: STORAGES[k] for k in ("a.weight", "b.half")}
    names = [t.name for t in open_checkpoint(write(tmp_path / "w", state, storages)).tensors]
    assert names == ["model.fc.weight", "optimizer.state.0.exp_avg"]


def test_tied_tensors_share_their_memory_and_views_of_one_buffer_do_not(tmp_path):
    flat = tf.random(24)
    left, right = tf.View("s", 0, (3, 4), (4, 1)), tf.View("s", 12, (3, 4), (4, 1))
    checkpoint = open_checkpoint(tf.write_zip(tmp_path / "w", {"a": left, "b": right, "c": left}, {"s": flat}))
    a, b, c = (t.memory for t in checkpoint.tensors)
    assert a == c
    assert a != b


def test_opening_reads_no_weights(tmp_path):
    """A file whose storages are all missing still lists its tensors: loading is lazy."""
    path = tmp_path / "w"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", tf.dumps(STATE, STORAGES))
    assert [t.shape for t in open_checkpoint(path).tensors] == [a.shape for a in EXPECTED.values()]
