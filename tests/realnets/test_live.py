"""Models in memory give the layers that their files would, one at a time, and are not changed."""

import collections
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torchfiles as tf

import realnets
from realnets import model_layers
from rmt import InputError

A, B = tf.random(9, 6), tf.random(8, 6, seed=1)


def taken(model, **options) -> dict[str, np.ndarray]:
    return {layer.name: layer.W for layer in model_layers(model, min_M=4, **options)}


class FakeTensor:
    """What of torch.Tensor is used, on another device than the CPU, with NumPy's lack of bfloat16."""

    def __init__(self, array: np.ndarray, device: str = "cuda:0", grad: bool = True):
        self.array, self.device, self.grad = array, device, grad
        self.shape, self.dtype = array.shape, SimpleNamespace()
        self.dtype = type("dtype", (), {"__repr__": lambda _: f"torch.{array.dtype.name}"})()

    def detach(self):
        return FakeTensor(self.array, self.device, grad=False)

    def cpu(self):
        return FakeTensor(self.array, "cpu", self.grad)

    def float(self):
        return FakeTensor(self.array.astype(np.float32), self.device, self.grad)

    def numpy(self) -> np.ndarray:
        if self.grad or self.device != "cpu":
            raise RuntimeError("can't convert\nthis tensor")
        if self.array.dtype == ml_dtypes.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.array

    def data_ptr(self) -> int:
        return self.array.ctypes.data

    def stride(self):
        return tuple(s // self.array.itemsize for s in self.array.strides)


class FakeModule:
    """A module whose state dict makes new tensors of the same bytes, as PyTorch's does."""

    def __init__(self, **arrays: np.ndarray):
        self.arrays = {name.replace("_", "."): array for name, array in arrays.items()}

    def named_parameters(self):
        raise AssertionError("is not used")

    def state_dict(self):
        return collections.OrderedDict((name, FakeTensor(array)) for name, array in self.arrays.items())


def test_a_torch_module_through_its_state_dict():
    half = A.astype(ml_dtypes.bfloat16)
    layers = model_layers(FakeModule(b_weight=B, a_weight=half, tied_weight=B, b_bias=B[0]), min_M=4)
    got = {layer.name: layer.W for layer in layers}
    assert list(got) == ["b.weight", "a.weight"]
    np.testing.assert_array_equal(got["a.weight"], half.astype(float))
    assert [(s.name, s.reason) for s in layers.skipped] == [
        ("b.bias", "bias, scalar or other vector"),
        ("tied.weight", "duplicate"),
    ]
    assert "shares its memory with b.weight" in layers.skipped[1].note


def test_a_dict_of_modules_and_arrays_keeps_its_order():
    model = {"z": FakeModule(fc_weight=A), "a": [B, {"k": A + 1}], ("x", "y"): B + 1, 3: B + 2}
    assert list(taken(model)) == ["z.fc.weight", "a.0", "a.1.k", "x.y", "3"]


def test_an_equinox_module():
    model = eqx.nn.MLP(6, 7, 8, 1, key=jax.random.key(0))
    got = taken(model)
    assert list(got) == ["layers.0.weight", "layers.1.weight"]
    np.testing.assert_array_equal(got["layers.0.weight"], np.asarray(model.layers[0].weight))


def test_gates_of_a_cell_in_memory():
    layers = model_layers({"rnn": eqx.nn.GRUCell(5, 6, key=jax.random.key(0))}, min_M=4)
    assert [layer.name for layer in layers][:3] == [f"rnn.weight_ih[{gate}]" for gate in "rzn"]


def test_pytrees_with_named_tuples_bfloat16_and_leaves_that_are_no_arrays():
    Pair = collections.namedtuple("Pair", "kernel rest")
    half = jnp.asarray(A, jnp.bfloat16)
    got = taken({"params": Pair(half, [None, 1, "x", jax.nn.relu, jax.random.key(0)])})
    assert list(got) == ["params.kernel"]
    np.testing.assert_array_equal(got["params.kernel"], np.asarray(half).astype(float))


def test_one_array_in_two_places_is_taken_once():
    array = jnp.asarray(A)
    layers = model_layers({"a": array, "b": array}, min_M=4)
    assert [layer.name for layer in layers] == ["a"]
    assert "memory" in layers.skipped[0].note


def test_arrays_are_converted_one_at_a_time_and_not_when_listed():
    class Lazy:
        shape, dtype, converted = (9, 6), np.dtype("float32"), 0

        def __array__(self, dtype=None, copy=None):
            self.converted += 1
            return A + id(self) % 7

    model = {"a": Lazy(), "b": Lazy()}
    layers = iter(model_layers(model, min_M=4))
    assert (model["a"].converted, model["b"].converted) == (0, 0)
    next(layers)
    assert (model["a"].converted, model["b"].converted) == (1, 0)


def test_a_tensor_that_cannot_be_converted_is_left_out():
    gone = jnp.asarray(A)
    gone.delete()
    layers = model_layers({"gone": gone, "meta": jax.ShapeDtypeStruct((9, 6), jnp.float32), "b": B}, min_M=4)
    assert [layer.name for layer in layers] == ["b"]
    assert {s.name: s.reason for s in layers.skipped} == {"gone": "unreadable", "meta": "unreadable"}
    assert all("\n" not in s.note for s in layers.skipped)


def test_the_table_of_a_model_is_that_of_its_file(tmp_path):
    W = tf.random(60, 52)
    np.savez(tmp_path / "w.npz", fc=W)
    file = realnets.analyze(realnets.read_layers(str(tmp_path / "w.npz")))
    live = realnets.analyze(model_layers({"fc": W}, source="mine"))
    assert (live.source, live.format, live.rows) == ("mine", "dict in memory", file.rows)


def _in_itself() -> dict:
    model: dict = {"a": A}
    model["b"] = {"c": model}
    return model


class _Broken(FakeModule):
    def state_dict(self):
        raise RuntimeError("no\nstate")


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("model.pt", "read_layers"),
        (3, "int: holds no arrays"),
        (None, "holds no arrays"),
        ({}, "dict: holds no arrays"),
        (np.ndarray, "holds no arrays"),
        (_in_itself(), "holds itself"),
        (_Broken(), "RuntimeError: no state"),
    ],
)
def test_what_is_no_model_is_said_to_be_so(model, says):
    with pytest.raises(InputError, match=says) as caught:
        model_layers(model)
    assert "\n" not in str(caught.value)


def test_a_model_of_pytorch_itself():
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Embedding(9, 6), torch.nn.Linear(6, 9, bias=False), torch.nn.LSTM(6, 6))
    model[1].weight = model[0].weight
    model = model.to(torch.bfloat16)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    layers = model_layers(model, min_M=4)
    got = {layer.name: layer.W for layer in layers}
    assert list(got) == ["0.weight", *(f"2.weight_{side}_l0[{gate}]" for side in ("ih", "hh") for gate in "ifgo")]
    np.testing.assert_array_equal(got["0.weight"], model[0].weight.detach().float().numpy())
    assert [s.name for s in layers.skipped if s.reason == "duplicate"] == ["1.weight"]
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    lazy = torch.nn.Sequential(torch.nn.LazyLinear(5), torch.nn.Linear(6, 8, device="meta"), torch.nn.Linear(6, 8))
    layers = model_layers(lazy, min_M=4)
    assert [layer.name for layer in layers] == ["2.weight"]
    assert [s.name for s in layers.skipped if s.reason == "unreadable"] == ["1.weight"]


def test_flax_itself():
    flax, nnx, linen = (pytest.importorskip(name) for name in ("flax", "flax.nnx", "flax.linen"))
    model = nnx.Linear(6, 7, rngs=nnx.Rngs(0))
    for each in (model, nnx.state(model)):
        np.testing.assert_array_equal(taken(each)["kernel"], np.asarray(model.kernel[...]).T)
    variables = linen.Dense(7).init(jax.random.key(0), jnp.ones((1, 6)))
    for each in (variables, flax.core.freeze(variables)):
        assert list(taken(each)) == ["params.kernel"]
