"""Keras's HDF5 files and archives: the exact arrays by the names they have in Keras, and nothing that a file leads to."""

import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from realnets.layers import Layers
from realnets.readers import _hdf5, open_checkpoint
from rmt import InputError

DATA = Path(__file__).parent / "data"
SHAPES = {
    "letters.embeddings": (5, 3),
    "lstm.lstm_cell.kernel": (3, 8),
    "lstm.lstm_cell.recurrent_kernel": (2, 8),
    "lstm.lstm_cell.bias": (8,),
    "out.kernel": (2, 1),
    "out.bias": (1,),
}
FILES = ("keras2.h5", "keras2_weights.h5", "keras3.h5", "keras3.weights.h5", "keras3.keras")


def wave(k: int, shape: tuple[int, ...]) -> np.ndarray:
    """What make_keras_fixtures.py has put into variable k."""
    return np.sin(k + np.arange(np.prod(shape, dtype=int))).reshape(shape).astype(np.float32)


def loaded(path: Path) -> dict[str, np.ndarray]:
    return {t.name: t.load() for t in open_checkpoint(path).tensors}


@pytest.mark.parametrize("name", FILES)
def test_every_format_of_keras_gives_the_same_names_and_numbers(name):
    got = loaded(DATA / name)
    for k, (variable, shape) in enumerate(SHAPES.items()):
        array = got.pop(f"{variable}:0" if name.startswith("keras2") else variable)
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, wave(k, shape))
    assert all(n.startswith("optimizer") for n in got)
    assert bool(got) == (name in ("keras2.h5", "keras3.keras", "keras3.weights.h5"))


@pytest.mark.parametrize("name", FILES)
def test_recurrent_kernels_are_cut_into_gates_and_the_optimiser_is_left_out(name):
    layers = Layers(open_checkpoint(DATA / name).tensors, min_M=2)
    number = ":0" if name.startswith("keras2") else ""
    kinds = {layer.name: layer.kind for layer in layers}
    cell = {f"lstm.lstm_cell.{k}{number}[{g}]": "lstm" for k in ("kernel", "recurrent_kernel") for g in "ifco"}
    assert kinds == cell | {f"letters.embeddings{number}": "embedding"}
    skipped = [s for s in layers.skipped if s.name.startswith("optimizer")]
    assert all(s.reason == "optimiser state" for s in skipped)


def test_formats_are_told_by_content(tmp_path):
    for name, says in (("keras2.h5", "HDF5 (Keras)"), ("keras3.keras", "Keras archive (.keras)")):
        (tmp_path / "w").write_bytes((DATA / name).read_bytes())
        assert open_checkpoint(tmp_path / "w").format == says


def test_bfloat16_as_keras_3_stores_it():
    got = loaded(DATA / "keras3_bfloat16.weights.h5")
    assert list(got) == ["dense.kernel", "dense.bias"]
    for k, (array, shape) in enumerate(zip(got.values(), [(3, 2), (2,)], strict=True)):
        np.testing.assert_array_equal(array, wave(k, shape).astype(ml_dtypes.bfloat16), strict=True)


def written(path: Path, fill: Callable[[h5py.File], object], **options) -> Path:
    with h5py.File(path, "w", **options) as file:
        fill(file)
    return path


W = wave(0, (9, 7))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (4, 3)},
        {"chunks": (9, 7), "compression": "gzip", "shuffle": True, "fletcher32": True},
        {"chunks": (2, 2), "compression": "gzip"},  # more chunks than a node of the tree holds at first
        {"dtype": ">f8"},
        {"dtype": "<f2"},
        {"dtype": "<i4"},
    ],
)
def test_layouts_filters_and_types_of_hdf5(tmp_path, options):
    path = written(tmp_path / "w", lambda f: f.create_dataset("fc/kernel", data=W, **options))
    (tensor,) = open_checkpoint(path).tensors
    with h5py.File(path) as file:
        expected = file["fc/kernel"][()]
    np.testing.assert_array_equal(tensor.load(), expected)
    assert tensor.dtype == tensor.load().dtype.name == expected.dtype.newbyteorder("=").name
    assert tensor.load().dtype.isnative


def test_many_chunks_and_many_members_fill_several_nodes_of_a_tree(tmp_path):
    V = wave(1, (150, 30))

    def fill(file):
        file.create_dataset("many", data=V, chunks=(5, 1))
        for k in range(300):
            file[f"group/layer_{k}"] = np.float32(k)

    got = loaded(written(tmp_path / "w", fill))
    np.testing.assert_array_equal(got.pop("many"), V)
    assert got == {f"group.layer_{k}": k for k in range(300)}


def test_newer_groups_are_read_as_far_as_links_stand_in_the_header(tmp_path):
    def fill(count):
        def inner(file):
            for k in range(count):
                file[f"a{k}/kernel"] = W

        return inner

    for options in ({"libver": "latest"}, {"track_order": True}):
        assert len(loaded(written(tmp_path / "w", fill(3), **options))) == 3
        with pytest.raises(InputError, match="without libver and track_order"):
            open_checkpoint(written(tmp_path / "w", fill(30), **options))


def test_chunks_of_newer_files_are_refused_with_what_to_do(tmp_path):
    path = written(tmp_path / "w", lambda f: f.create_dataset("fc/kernel", data=W, chunks=(4, 3)), libver="latest")
    with pytest.raises(InputError, match=r"newer form.*without libver"):
        open_checkpoint(path).tensors[0].load()


def test_hard_links_are_tied_and_a_group_within_itself_ends(tmp_path):
    def fill(file):
        file["a/kernel"] = W
        file["b"] = file["a/kernel"]
        file["a/again"] = file["/"]

    kernel, other = open_checkpoint(written(tmp_path / "w", fill)).tensors
    assert kernel.memory == other.memory


def _external(file):
    file.create_dataset("bad", (4, 4), "f4", external=[(file.filename + ".raw", 0, 64)])


def _virtual(file):
    layout = h5py.VirtualLayout((4, 4), "f4")
    layout[...] = h5py.VirtualSource(file.filename + ".raw", "x", (4, 4))
    file.create_virtual_dataset("bad", layout)


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (_external, "other files"),
        (_virtual, "virtual"),
        (lambda f: f.__setitem__("bad", h5py.ExternalLink("/etc/passwd", "/")), "is a link"),
        (lambda f: f.__setitem__("bad", h5py.SoftLink("/good")), "is a link"),
        (lambda f: f.create_dataset("bad", data=W, compression="lzf"), "filter 32000"),
        (lambda f: f.create_dataset("bad", (2**40, 2**20), "f4", chunks=(1024, 1024)), "no data"),
        (lambda f: f.create_dataset("bad", (2**40, 2**20), "f4", chunks=(1024, 1024), fillvalue=3), "no data"),
        (lambda f: f.create_dataset("bad", (2**40, 2), "f4"), "never written"),
        (lambda f: f.create_dataset("bad", data=["text"]), "cannot be read"),
        (lambda f: f.create_dataset("bad", data=np.zeros(3, [("a", "f4"), ("b", "i4")])), "cannot be read"),
    ],
)
def test_what_is_refused_is_left_out_by_itself(tmp_path, fill, says):
    def both(file):
        file["good"] = W
        fill(file)

    tensors = {t.name: t for t in open_checkpoint(written(tmp_path / "w", both)).tensors}
    np.testing.assert_array_equal(tensors["good"].load(), W)
    with pytest.raises(InputError, match=says) as error:
        tensors["bad"].load()
    assert str(error.value).startswith(f"{tmp_path / 'w'}: bad: ")


def test_an_unreadable_dataset_is_reported_with_its_fault(tmp_path):
    layers = Layers(open_checkpoint(written(tmp_path / "w", _external)).tensors)
    assert list(layers) == []
    (skipped,) = layers.skipped
    assert skipped.reason == "unreadable"
    assert "other files" in skipped.note


def test_a_chunk_that_unpacks_to_far_more_than_the_file_is_a_bomb(tmp_path):
    path = written(
        tmp_path / "w",
        lambda f: f.create_dataset("a", data=np.zeros((2**13, 2**12), "f4"), chunks=(2**13, 2**12), compression="gzip"),
    )
    tracemalloc.start()
    with pytest.raises(InputError, match="zip bomb"):
        open_checkpoint(path).tensors[0].load()
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()


def test_listing_reads_no_weights(tmp_path):
    path = written(tmp_path / "w", lambda f: f.create_dataset("a/kernel", data=np.ones((2000, 1000))))
    archive = tmp_path / "w.keras"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", "{}")
        file.write(path, "model.weights.h5")
    for weights in (path, archive):
        tracemalloc.start()
        assert [t.shape for t in open_checkpoint(weights).tensors] == [(2000, 1000)]
        assert tracemalloc.get_traced_memory()[1] < 10**6
        tracemalloc.stop()


def repacked(path: Path, method: int = zipfile.ZIP_STORED, config: str | None = None) -> Path:
    with zipfile.ZipFile(DATA / "keras3.keras") as source, zipfile.ZipFile(path, "w", method) as target:
        for name in source.namelist():
            target.writestr(name, config if config and name == "config.json" else source.read(name))
    return path


def test_an_archive_that_was_packed_again_with_compression(tmp_path):
    got, expected = loaded(repacked(tmp_path / "w", zipfile.ZIP_DEFLATED)), loaded(DATA / "keras3.keras")
    assert list(got) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, strict=True)


@pytest.mark.parametrize("config", ["[", "[" * 100_000, "7", '{"config": {"layers": [3, {"class_name": 3}]}}'])
def test_a_config_that_makes_no_sense_costs_no_weights(tmp_path, config):
    assert set(SHAPES) <= set(loaded(repacked(tmp_path / "w", config=config)))


def test_a_config_of_no_end_is_not_parsed(tmp_path):
    config = '{"config": {"layers": [' + "{}," * 6_000_000 + "0]}}"
    tracemalloc.start()
    assert len(open_checkpoint(repacked(tmp_path / "w", zipfile.ZIP_DEFLATED, config)).tensors) == 14
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**8


def numbered(file: h5py.File) -> None:
    """Variables as Keras 3.0 wrote them, without the layers' names."""
    for place, arrays in {
        "layers/dense": [W, W[0]],
        "layers/dense_1": [W.T],
        "layers/sequential/layers/dense": [W[:5], W[0]],
        "layers/gru/cell": [wave(0, (5, 6)), wave(1, (2, 6)), wave(2, (2, 6))],
        "layers/batch_normalization": [W[0]] * 4,
        "layers/my_attention": [W, W.T, W],
        "layers/my_layer/query_dense": [wave(3, (4, 2, 3)), wave(4, (2, 3))],
        "optimizer": [np.float32(0), W],
    }.items():
        for k, array in enumerate(arrays):
            file[f"{place}/vars/{k}"] = array


CONFIG = {
    "config": {
        "layers": [
            {"class_name": "Dense", "config": {"name": "first"}},
            {"class_name": "GRU", "config": {"name": "reader"}},
            {
                "class_name": "Sequential",
                "config": {"name": "head", "layers": [{"class_name": "Dense", "config": {"name": "inner"}}]},
            },
            {"class_name": "Dense", "config": {"name": "second"}},
        ]
    }
}


def test_numbered_variables_are_named_by_class_and_shape(tmp_path):
    names = [t.name for t in open_checkpoint(written(tmp_path / "w", numbered)).tensors]
    assert sorted(names) == sorted(
        [
            *("layers.dense.kernel", "layers.dense.bias", "layers.dense_1.kernel"),
            *("layers.sequential.layers.dense.kernel", "layers.sequential.layers.dense.bias"),
            *("layers.gru.cell.kernel", "layers.gru.cell.recurrent_kernel", "layers.gru.cell.bias"),
            *(f"layers.batch_normalization.{v}" for v in ("gamma", "beta", "moving_mean", "moving_variance")),
            *(f"layers.my_attention.vars.{k}" for k in range(3)),
            *("layers.my_layer.query_dense.kernel", "layers.my_layer.query_dense.bias"),
            *("optimizer.vars.0", "optimizer.vars.1"),
        ]
    )


def test_the_config_of_an_archive_gives_its_layers_their_names(tmp_path):
    weights = written(tmp_path / "w.h5", numbered)
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
        archive.write(weights, "model.weights.h5")
    names = {t.name for t in open_checkpoint(tmp_path / "w").tensors}
    assert {"first.kernel", "second.kernel", "head.inner.kernel", "reader.cell.recurrent_kernel"} <= names
    assert "layers.my_attention.vars.0" in names


@pytest.mark.parametrize("name", ["keras2.h5", "keras3.keras"])
def test_truncated_anywhere_it_is_refused(tmp_path, name):
    data = (DATA / name).read_bytes()
    for end in range(0, len(data), len(data) // 50):
        (tmp_path / "cut").write_bytes(data[:end])
        with pytest.raises(InputError, match="cut"):
            open_checkpoint(tmp_path / "cut")


def test_a_tree_that_names_one_list_of_members_over_and_over_is_refused_at_once(tmp_path, monkeypatch):
    data = bytearray(written(tmp_path / "w", lambda f: f.__setitem__("a", W)).read_bytes())
    tree, node = data.index(b"TREE"), data.index(b"SNOD")
    end = len(data)
    many = 60_000
    data += b"TREE" + bytes([0, 0]) + many.to_bytes(2, "little") + b"\xff" * 16
    data += (bytes(8) + node.to_bytes(8, "little")) * many + bytes(8)
    assert data.count(tree.to_bytes(8, "little")) >= 1
    data = data.replace(tree.to_bytes(8, "little"), end.to_bytes(8, "little"))
    (tmp_path / "w").write_bytes(data)
    signed, taken = _hdf5._Walk._signed, []
    monkeypatch.setattr(_hdf5._Walk, "_signed", lambda *of: taken.append(of[1]) or signed(*of))
    with pytest.raises(InputError, match="twice"):
        open_checkpoint(tmp_path / "w")
    assert taken.count(node) == 1
