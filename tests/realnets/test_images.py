"""Images: the IDX format byte by byte, what damaged files say, and what made images are."""

import gzip

import jax
import numpy as np
import pytest

from realnets.images import CLASSES, SIDE, idx_images, made_images, read_idx
from rmt.errors import InputError


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def write(folder, compress=lambda data: data, suffix="", n=8):
    rng = np.random.default_rng(0)
    written = {}
    for part, m in (("train", n), ("t10k", n // 4)):
        for name, shape in (("images-idx3", (m, 4, 4)), ("labels-idx1", (m,))):
            written[part, name] = rng.integers(0, 10, shape, np.uint8)
            (folder / f"{part}-{name}-ubyte{suffix}").write_bytes(compress(idx(written[part, name])))
    return written


@pytest.mark.parametrize(("compress", "suffix"), [(gzip.compress, ".gz"), (bytes, "")])
def test_the_first_images_of_a_folder_standardized_by_those_to_train_on(tmp_path, compress, suffix):
    written = write(tmp_path, compress, suffix)
    found = idx_images(tmp_path, 4)
    assert len(idx_images(tmp_path, 4, 2).x_test) == 2
    train = written["train", "images-idx3"][:4].reshape(4, -1).astype(float)
    test = written["t10k", "images-idx3"][:1].reshape(1, -1)
    np.testing.assert_allclose(found.x, (train - train.mean()) / train.std(), atol=1e-6)
    np.testing.assert_allclose(found.x_test, (test - train.mean()) / train.std(), atol=1e-6)
    np.testing.assert_array_equal(found.y, written["train", "labels-idx1"][:4])
    np.testing.assert_array_equal(found.y_test, written["t10k", "labels-idx1"][:1])
    assert found.x.dtype == np.float32


GOOD = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


def test_an_idx_file_is_its_array(tmp_path):
    (tmp_path / "a").write_bytes(GOOD)
    np.testing.assert_array_equal(read_idx(tmp_path / "a"), [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\0\x08",
        b"\0\0\x08\0",
        b"\0\0\x08\xff",
        GOOD[:-1],
        GOOD + b"\0",
        GOOD[:7],
        b"\0\0\x0d" + GOOD[3:],
        b"\x89PNG" + GOOD,
        b"\0\0\x08\x03" + b"\xff" * 12,
        gzip.compress(GOOD, mtime=0)[:-9],
        gzip.compress(GOOD, mtime=0)[:12] + b"\xff" * 20,
        b"\x1f\x8b",
    ],
)
def test_what_is_no_idx_file_is_one_line_with_its_name(tmp_path, data):
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(InputError, match=r"^[^\n]*bad: [^\n]+$"):
        read_idx(tmp_path / "bad")


def test_a_folder_without_the_files_or_with_too_few_images_says_so(tmp_path):
    with pytest.raises(InputError, match="train-images-idx3-ubyte"):
        idx_images(tmp_path, 4)
    write(tmp_path)
    with pytest.raises(InputError, match=r"12 images are needed, it holds an array of shape \(8, 4, 4\)"):
        idx_images(tmp_path, 12)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(GOOD)
    with pytest.raises(InputError, match=r"1 labels are needed, it holds an array of shape \(2, 3\)"):
        idx_images(tmp_path, 1)


def test_made_images_are_of_ten_classes_which_their_neighbours_tell():
    images = made_images(jax.random.key(0), 2000)
    assert images.x.shape == (2000, SIDE**2)
    assert images.x_test.shape == (500, SIDE**2)
    assert set(np.asarray(images.y).tolist()) == set(range(CLASSES))
    assert float(images.x.mean()) == pytest.approx(0, abs=1e-3)
    assert float(images.x.std()) == pytest.approx(1, rel=1e-3)
    x, y, x_test, y_test = (np.asarray(array) for array in images)
    nearest = np.argmax(x_test @ x.T - (x**2).sum(1) / 2, axis=1)
    assert np.mean(y[nearest] == y_test) > 0.5  # by chance a tenth
