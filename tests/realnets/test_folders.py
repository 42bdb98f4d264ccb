"""Sharded checkpoints and folders: which files are read, which are not and are named, and none outside of the folder."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torchfiles as tf
from safetensors.numpy import save_file

from realnets.layers import Layers
from realnets.readers import open_checkpoint
from rmt import InputError

A, B, C = (tf.random(9, 6, seed=seed) for seed in range(3))


def safetensors(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name.replace("_", "."): array for name, array in arrays.items()}, path)
    return path


def torch(path: Path, **arrays: np.ndarray) -> Path:
    """Every file numbers its storages from 0, as PyTorch does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name.replace("_", "."): tf.whole(str(i), a) for i, (name, a) in enumerate(arrays.items())}
    return tf.write_zip(path, state, {str(i): a.ravel() for i, a in enumerate(arrays.values())})


def index(path: Path, weight_map: object) -> Path:
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return path


def names(path: Path) -> list[str]:
    return [t.name for t in open_checkpoint(path).tensors]


SHARDS = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}


@pytest.fixture
def sharded(tmp_path):
    """Two shards and their index."""
    safetensors(tmp_path / SHARDS["a.weight"], a_weight=A)
    safetensors(tmp_path / SHARDS["b.weight"], b_weight=B)
    index(tmp_path / "model.safetensors.index.json", SHARDS)
    return tmp_path


# --- an index


@pytest.mark.parametrize("given", [".", "model.safetensors.index.json"])
def test_an_index_or_its_folder_gives_the_tensors_of_all_shards(sharded, given):
    (sharded / "config.json").write_text("{}")
    checkpoint = open_checkpoint(sharded / given)
    assert (checkpoint.format, checkpoint.notes) == ("sharded checkpoint", ())
    got = {t.name: t.load() for t in checkpoint.tensors}
    assert list(got) == ["a.weight", "b.weight"]
    np.testing.assert_array_equal(got["a.weight"], A)
    np.testing.assert_array_equal(got["b.weight"], B)


def test_storages_of_two_shards_are_not_tied_because_they_have_one_number(tmp_path):
    torch(tmp_path / "one.bin", a_weight=A)
    torch(tmp_path / "two.bin", b_weight=B)
    path = index(tmp_path / "any.name", {"a.weight": "one.bin", "b.weight": "two.bin"})
    layers = Layers(open_checkpoint(path).tensors, min_M=4)
    assert [layer.name for layer in layers] == ["a.weight", "b.weight"]


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_a_missing_or_damaged_shard_is_named_and_the_rest_read(sharded, damage):
    shard = sharded / SHARDS["a.weight"]
    data = shard.read_bytes()
    shard.unlink()
    if damage != "missing":
        shard.write_bytes(data[:50] if damage == "cut" else b"hello\n")
    layers = Layers(open_checkpoint(sharded).tensors, min_M=4)
    assert [layer.name for layer in layers] == ["b.weight"]
    (skipped,) = layers.skipped
    assert (skipped.name, skipped.reason) == ("a.weight", "unreadable")
    assert SHARDS["a.weight"] in skipped.note


def test_an_index_without_any_of_its_shards(tmp_path):
    path = index(tmp_path / "model.safetensors.index.json", SHARDS)
    for given in (path, tmp_path):
        with pytest.raises(InputError, match=r"model-00001-of-00002.safetensors, which is not there"):
            open_checkpoint(given)


def test_the_index_decides_between_shards_and_adds_nothing_of_its_own(sharded):
    """A tensor in two shards is the named one's; one in no shard is unreadable; one that is not named is listed too."""
    safetensors(sharded / SHARDS["a.weight"], a_weight=A, b_weight=C, extra_weight=C)
    index(sharded / "model.safetensors.index.json", SHARDS | {"gone.weight": SHARDS["b.weight"]})
    tensors = {t.name: t for t in open_checkpoint(sharded).tensors}
    assert set(tensors) == {"a.weight", "b.weight", "extra.weight", "gone.weight"}
    np.testing.assert_array_equal(tensors["b.weight"].load(), B)
    assert "is not in model-00002" in tensors["gone.weight"].unreadable
    with pytest.raises(InputError, match=r"gone\.weight"):
        tensors["gone.weight"].load()


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "/etc/passwd",
        "sub/x",
        "..",
        ".",
        "",
        "a\0b",
        "a\nb",
        "..\\secret",
        "C:x",
        "x" * 5000,
        "loop",
        "out",
    ],
)
def test_a_shard_outside_of_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "model"
    safetensors(folder / "sub" / "x", a_weight=A)
    safetensors(tmp_path / "secret", a_weight=A)
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to("../secret")
    with pytest.raises(InputError, match=r"index.*(refused|not there|cannot be opened)") as caught:
        open_checkpoint(index(folder / "index", {"a.weight": name}))
    assert "\n" not in str(caught.value)


def test_a_shard_that_is_an_index_or_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("index", "pipe"):
        with pytest.raises(InputError, match=name):
            open_checkpoint(index(tmp_path / "index", {"a": name}))


@pytest.mark.parametrize(
    "text",
    [
        '{"weight_map": []}',
        '{"weight_map": {}}',
        '{"weight_map": {"a": 1}}',
        '{"weight_map": {"a": "x"',
        '{"weight_map": ' + "[" * 100_000,
        '{"weight_map": ' + '{"a":' * 100_000,
        '{"n": ' + "9" * 5000 + ', "weight_map": {}}',
        json.dumps({"weight_map": {str(i): str(i) for i in range(5000)}}),
    ],
)
def test_a_damaged_index_is_one_line(tmp_path, text):
    (tmp_path / "index").write_text(text)
    with pytest.raises(InputError, match="index: ") as caught:
        open_checkpoint(tmp_path / "index")
    assert "\n" not in str(caught.value)


def test_the_cache_of_the_hub_has_its_links(tmp_path):
    snapshot = tmp_path / "models--me--net" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for i, (name, file) in enumerate(SHARDS.items()):
        safetensors(tmp_path / "models--me--net" / "blobs" / str(i), **{name.replace(".", "_"): A + i})
        (snapshot / file).symlink_to(f"../../blobs/{i}")
    index(snapshot / "model.safetensors.index.json", SHARDS)
    assert names(snapshot) == names(snapshot / "model.safetensors.index.json") == ["a.weight", "b.weight"]


# --- a folder


def test_a_folder_of_one_weight_file_is_that_file(tmp_path):
    safetensors(tmp_path / "deep" / "er" / "w", a_weight=A)
    (tmp_path / "README.md").write_text("hello")
    checkpoint = open_checkpoint(tmp_path)
    assert (checkpoint.format, checkpoint.notes) == ("safetensors", ())
    assert names(tmp_path) == ["a.weight"]


def test_several_files_are_named_and_their_storages_not_tied(tmp_path):
    torch(tmp_path / "adam" / "epoch1.pt", a_weight=A)
    torch(tmp_path / "adam" / "epoch2.pt", a_weight=B)
    safetensors(tmp_path / "sgd.safetensors", a_weight=C)
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.format == "PyTorch (zip), safetensors"
    layers = Layers(checkpoint.tensors, min_M=4)
    taken = {layer.name: layer.W for layer in layers}
    assert list(taken) == ["adam/epoch1.pt/a.weight", "adam/epoch2.pt/a.weight", "sgd.safetensors/a.weight"]
    np.testing.assert_array_equal(taken["adam/epoch2.pt/a.weight"], B)


def test_the_same_weights_in_several_formats_are_read_once(tmp_path):
    for name in ("model.safetensors", "model.fp16.safetensors", "onnx/model.safetensors", "2_Dense/model.safetensors"):
        safetensors(tmp_path / name, a_weight=A)
    for name in ("pytorch_model.bin", "flax_model.msgpack", "tf_model.h5", "2_Dense/pytorch_model.bin", "optimizer.pt"):
        torch(tmp_path / name, a_weight=A)
    checkpoint = open_checkpoint(tmp_path)
    assert [t.name for t in checkpoint.tensors] == ["2_Dense/model.safetensors/a.weight", "model.safetensors/a.weight"]
    copies, state = checkpoint.notes
    for name in ("2_Dense/pytorch_model.bin", "flax_model.msgpack", "model.fp16.safetensors", "and 1 more"):
        assert name in copies
    assert "state of training: optimizer.pt" in state


def test_an_index_is_read_before_whole_files_and_its_shards_only_through_it(sharded):
    safetensors(sharded / "model.safetensors", a_weight=C)
    torch(sharded / "pytorch_model-00001-of-00001.bin", a_weight=C)
    index(sharded / "pytorch_model.bin.index.json", {"a.weight": "pytorch_model-00001-of-00001.bin"})
    checkpoint = open_checkpoint(sharded)
    assert [t.name for t in checkpoint.tensors] == ["a.weight", "b.weight"]
    np.testing.assert_array_equal(checkpoint.tensors[0].load(), A)
    (note,) = checkpoint.notes
    assert "model-00001-of-00002" not in note
    for name in ("model.safetensors,", "pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"):
        assert name in note


def test_shards_whose_index_is_missing_are_all_read(sharded):
    (sharded / "model.safetensors.index.json").unlink()
    assert names(sharded) == [f"{file}/{name}" for name, file in SHARDS.items()]


def test_a_sound_copy_is_read_where_the_better_one_is_damaged(tmp_path):
    torch(tmp_path / "pytorch_model.bin", a_weight=A)
    index(tmp_path / "model.safetensors.index.json", SHARDS)
    checkpoint = open_checkpoint(tmp_path)
    assert [t.name for t in checkpoint.tensors] == ["a.weight"]
    assert "damaged: model.safetensors.index.json" in checkpoint.notes[0]


def test_indices_that_speak_of_one_another_or_of_better_files(tmp_path):
    index(tmp_path / "a.index.json", {"w": "b.index.json"})
    index(tmp_path / "b.index.json", {"w": "a.index.json"})
    with pytest.raises(InputError, match=r"index\.json"):
        open_checkpoint(tmp_path)
    safetensors(tmp_path / "model.safetensors", a_weight=A)
    index(tmp_path / "pytorch_model.bin.index.json", {"a.weight": "model.safetensors"})
    assert "model.safetensors/a.weight" in names(tmp_path)


def test_a_damaged_or_hostile_file_does_not_take_the_others_with_it(tmp_path):
    safetensors(tmp_path / "good", a_weight=A)
    canary = tmp_path / "canary"
    tf.write_zip(tmp_path / "evil", {"x": tf.Call("os", "system", (f"touch {canary}",))}, {})
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04" + bytes(50))
    layers = Layers(open_checkpoint(tmp_path).tensors, min_M=4)
    assert [layer.name for layer in layers] == ["good/a.weight"]
    assert {s.name: s.reason for s in layers.skipped} == {"evil": "unreadable", "cut.npz": "unreadable"}
    assert any("os.system" in s.note for s in layers.skipped)
    assert not canary.exists()
    (tmp_path / "good").unlink()
    with pytest.raises(InputError, match=r"cut\.npz"):
        open_checkpoint(tmp_path)


def test_a_folder_without_weights_says_what_it_holds(tmp_path):
    for name in ("README.md", "config.json", "x"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"no weight files, it holds README\.md, config\.json, x;"):
        open_checkpoint(tmp_path)


def test_links_out_of_the_folder_loops_and_pipes_are_not_followed(tmp_path):
    folder = tmp_path / "model"
    safetensors(folder / "w", a_weight=A)
    safetensors(tmp_path / "secret", b_weight=B)
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to("loop")
    (folder / ".hidden").write_bytes((tmp_path / "secret").read_bytes())
    os.mkfifo(folder / "pipe")
    assert names(folder) == ["a.weight"]
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_checkpoint(folder / "pipe")


def test_only_a_few_folders_deep_and_not_without_end(tmp_path, monkeypatch):
    safetensors(tmp_path / "1" / "2" / "3" / "4" / "w", a_weight=A)
    with pytest.raises(InputError, match="no weight files, it holds no files"):
        open_checkpoint(tmp_path)
    monkeypatch.setattr("realnets.readers._folder._MAX_FILES", 2)
    for i in range(3):
        (tmp_path / str(i + 10)).touch()
    with pytest.raises(InputError, match="more than 2 files"):
        open_checkpoint(tmp_path)


def test_a_format_that_is_a_folder_is_asked_first(tmp_path, monkeypatch):
    from realnets.readers import _dispatch, npz

    safetensors(tmp_path / "run" / "model" / "part", a_weight=A)
    safetensors(tmp_path / "run" / "other", b_weight=B)
    monkeypatch.setattr(npz, "recognises_folder", lambda path: path.name == "model", raising=False)
    monkeypatch.setattr(npz, "tensors", lambda path: open_checkpoint(path / "part").tensors)
    assert npz in _dispatch.readers()
    assert names(tmp_path / "run" / "model") == ["a.weight"]
    assert names(tmp_path / "run") == ["model/a.weight", "other/b.weight"]
