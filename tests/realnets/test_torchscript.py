"""TorchScript and whole modules as PyTorch wrote them: their weights by name, and nothing of a file is called."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torchfiles as tf
from fuzz import survives

from realnets.layers import Layers
from realnets.readers import open_checkpoint
from rmt import InputError

DATA = Path(__file__).parent / "data"
SHAPES = {
    "embed.weight": (11, 6),
    "blocks.0.weight": (8, 6),
    "blocks.0.bias": (8,),
    "blocks.2.weight": (6, 8),
    "blocks.2.bias": (6,),
    "lstm.weight_ih_l0": (24, 6),
    "lstm.weight_hh_l0": (24, 6),
    "lstm.bias_ih_l0": (24,),
    "lstm.bias_hh_l0": (24,),
}
EXPECTED = {
    name: np.sin(k + np.arange(np.prod(shape), dtype=np.float64)).reshape(shape).astype(np.float32)
    for k, (name, shape) in enumerate(SHAPES.items())
}
FILES = {
    "traced.pt": "TorchScript",
    "lite.ptl": "TorchScript",
    "module.pt": "PyTorch (zip)",
    "module-legacy.pt": "PyTorch (legacy)",
}


@pytest.mark.parametrize("name", FILES)
def test_parameters_and_buffers_by_their_names_in_the_module(name):
    checkpoint = open_checkpoint(DATA / name)
    assert checkpoint.format == FILES[name]
    got = {t.name: t for t in checkpoint.tensors}
    assert list(got) == ["scale", *EXPECTED, "head.weight"]
    for tensor, array in EXPECTED.items():
        np.testing.assert_allclose(got[tensor].load(), array, rtol=0, atol=1e-7)
        assert got[tensor].load().dtype == np.float32
    assert got["head.weight"].memory == got["embed.weight"].memory
    assert list(got["scale"].load()) == [1, 1, 1]


def test_the_layers_of_a_module_are_those_of_its_state_dict():
    layers = Layers(open_checkpoint(DATA / "module.pt").tensors, min_M=6)
    kinds = {layer.tensor: layer.kind for layer in layers}
    assert kinds == {
        "embed.weight": "embedding",
        "blocks.0.weight": "dense",
        "blocks.2.weight": "dense",
        "lstm.weight_ih_l0": "lstm",
        "lstm.weight_hh_l0": "lstm",
    }
    assert [s.name for s in layers.skipped if s.reason == "duplicate"] == ["head.weight"]


def test_a_frozen_model_has_its_weights_among_the_constants():
    tensors = open_checkpoint(DATA / "frozen.pt").tensors
    assert [t.name for t in tensors] == [f"constants.{i}" for i in range(len(tensors))]
    arrays = [t.load() for t in tensors]
    for name in ("embed.weight", "blocks.0.weight", "blocks.2.weight"):
        assert any(a.shape == SHAPES[name] and np.allclose(a, EXPECTED[name], rtol=0, atol=1e-7) for a in arrays)


def test_quantised_weights_are_listed_and_left_out():
    tensors = {t.dtype: t for t in open_checkpoint(DATA / "quantised.pt").tensors}
    assert tensors["qint8"].shape == (8, 6)
    with pytest.raises(InputError, match="qint8"):
        tensors["qint8"].load()


# --- an unknown name is the class of an object that is laid out, or is refused

FLAT = tf.random(48)
VIEW = tf.View("s", 0, (8, 6), (6, 1))


def _object(name: str, state: object, storages) -> bytes:
    """NEWOBJ of the class `name` and BUILD with `state`, as a whole pickle."""
    module, _, kind = name.rpartition(".")
    inside = tf.dumps(state, storages)[2:-1]
    return b"\x80\x02c" + f"{module}\n{kind}\n".encode() + b")\x81" + inside + b"b."


def _archive(path: Path, pickled: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/data/s", FLAT.tobytes())
    return path


def test_an_object_of_an_unknown_class_is_its_attributes(tmp_path):
    path = _archive(tmp_path / "w", _object("mine.Config", {"fc": {"weight": VIEW}, "lr": 0.1}, {"s": FLAT}))
    (tensor,) = open_checkpoint(path).tensors
    assert tensor.name == "fc.weight"
    np.testing.assert_array_equal(tensor.load(), FLAT.reshape(8, 6))


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "posix.system", "subprocess.Popen", "sys.exit"])
def test_nothing_of_pythons_own_library_is_an_unknown_class(tmp_path, name):
    path = _archive(tmp_path / "w", _object(name, {}, {}))
    with pytest.raises(InputError, match=rf"{name}.*nothing was run"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "name", ["torch.load", "torch.hub.load", "__main__.Net", "__torch__.Net", "numpy.load", "torch.nn.Linear", "x.y"]
)
def test_an_unknown_name_is_never_called(tmp_path, name):
    module, _, function = name.rpartition(".")
    path = _archive(tmp_path / "w", tf.dumps({"x": tf.Call(module, function, ("f",)), "w": VIEW}, {"s": FLAT}))
    with pytest.raises(InputError, match=rf"{name}.*nothing was run"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cm\nC\n)\x81q\x00h\x00b.",  # an object whose state is itself
        b"\x80\x02cm\nC\n)\x81q\x00}X\x01\x00\x00\x00ah\x00sb.",  # an object in its own attributes
        b"\x80\x02cm\nC\nq\x00" + b"h\x00)\x81}X\x01\x00\x00\x00a" * 5000 + b"K\x01" + b"sb" * 5000 + b".",  # 5000 deep
        b"\x80\x02cm\nC\n(K\x01K\x02t\x81(K\x01e.",  # arguments and items
        b"\x80\x02cm\nC\nK\x01\x81.",  # arguments that are no tuple
        b"\x80\x02cm\nC\ncm\nD\n\x81.",
        b"\x80\x02cm\nC\n.",  # the class alone
        b"\x80\x02\x81.",
    ],
)
def test_odd_objects_end_in_one_line_or_in_nothing(tmp_path, pickled):
    survives(_archive(tmp_path / "w", pickled))


def test_copying_one_state_into_many_objects_is_endless_work(tmp_path):
    state = tf.dumps({str(i): i for i in range(2000)}, {})[2:-1] + b"q\x00"
    again = b"cm\nC\n)\x81h\x00b" * 3000
    with pytest.raises(InputError, match="steps"):
        open_checkpoint(_archive(tmp_path / "w", b"\x80\x02" + state + again + b"."))


# --- checkpoints that wrap state dicts


def test_a_lightning_checkpoint_gives_its_state_dict_and_leaves_adam_out(tmp_path):
    moments = {"state": {0: {"exp_avg": tf.View("m", 0, (8, 6), (6, 1)), "step": 3}}, "param_groups": [{"lr": 0.1}]}
    root = {"epoch": 1, "state_dict": {"net.fc.weight": VIEW}, "optimizer_states": [moments], "loops": {}}
    path = tf.write_zip(tmp_path / "w", root, {"s": FLAT, "m": FLAT + 1})
    layers = Layers(open_checkpoint(path).tensors, min_M=6)
    assert [layer.name for layer in layers] == ["state_dict.net.fc.weight"]
    assert [s.reason for s in layers.skipped] == ["optimiser state"]


def test_averaged_weights_are_a_second_set_unless_they_are_equal(tmp_path):
    ema, same = tf.View("e", 0, (8, 6), (6, 1)), tf.View("c", 0, (8, 6), (6, 1))
    root = {"model": {"fc.weight": VIEW}, "model_ema": {"fc.weight": ema}, "best": {"fc.weight": same}}
    path = tf.write_zip(tmp_path / "w", root, {"s": FLAT, "e": FLAT * 0.9, "c": FLAT.copy()})
    layers = Layers(open_checkpoint(path).tensors, min_M=6)
    assert [layer.name for layer in layers] == ["model.fc.weight", "model_ema.fc.weight"]
    assert [(s.name, s.reason) for s in layers.skipped] == [("best.fc.weight", "duplicate")]
