"""Layers of a model in memory: a PyTorch module, a JAX pytree (Equinox, Flax), or nested dicts of arrays.

No framework is imported for it. A PyTorch tensor is what can be detached, brought to the CPU and made a NumPy array.
"""

from collections.abc import Hashable, Iterator, Mapping
from os import PathLike
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from realnets.layers import MIN_M, Layers
from realnets.readers.base import Tensor, numpy_dtype
from rmt.errors import InputError, printable

_MAX_DEPTH = 64

Model = TypeVar("Model")


def model_layers(model: Any, min_M: int = MIN_M, source: str = "") -> Layers:
    """The weight matrices of a model in memory, converted one at a time; the model is not changed.

        layers = realnets.model_layers(model)
        table = realnets.compare(layers, jax.random.key(0))

    The layers follow the model: what is trained on between two passes over them is another matrix in the second.

    Args:
        model: a torch.nn.Module, through its state_dict(); an Equinox or Flax NNX module or any other pytree of JAX; a
            Flax Linen dict of variables; a state dict; a dict of arrays, nested or not; or one array. On whatever device.
        min_M: as of `Layers`.
        source: what results call it; its type unless given.

    Raises:
        InputError: there are no arrays in it.
    """
    kind = f"{type(model).__module__.partition('.')[0]}.{type(model).__qualname__}".removeprefix("builtins.")
    if isinstance(model, str | PathLike):
        raise InputError(f"model_layers needs a model, got the path {str(model)[:120]!r}; read_layers reads files")
    try:
        found = list(_arrays("", model, ()))
    except InputError:
        raise
    except Exception as error:  # of the model's own state_dict() or flattening: whatever these meet
        raise InputError(f"{kind}: cannot be taken apart ({type(error).__name__}: {_line(error)})") from error
    if not found:
        advice = "give a torch.nn.Module, a pytree of arrays, a dict of arrays, or nnx.state(model)"
        raise InputError(f"{kind}: holds no arrays; {advice}")
    return Layers([_tensor(name, array) for name, array in found], min_M, source or kind, f"{kind} in memory")


def matrices_of(model: Any, min_M: int = MIN_M) -> dict[str, Float[Array, "N M"]]:
    """The matrices that `model_layers` has, by name, of a model of JAX arrays that may be traced; N >= M, in the model's precision.

    What is equal there is given once here too if it is one array, and twice if it is not: values are not looked at.

    Args:
        model: a pytree of JAX arrays.
        min_M: as of `Layers`.

    Raises:
        InputError: there are no arrays in it.
    """
    arrays, found = arrays_of(model), {}
    for tensor, plan in model_layers(model, min_M).cuts:
        for suffix, index in plan.pieces:
            W = plan.matrix(jnp.asarray(arrays[tensor]), index)
            found[tensor + suffix] = W.T if W.shape[0] < W.shape[1] else W
    return found


def with_matrices(model: Model, matrices: Mapping[str, Float[Array, "N M"]], min_M: int = MIN_M) -> Model:
    """The model with other matrices of the same shapes in the places of those that `matrices_of` names so, at its precision.

    Raises:
        InputError: there are no arrays in it.
        KeyError: a matrix of the model is not among them.
    """
    arrays = {name: jnp.asarray(array) for name, array in arrays_of(model).items()}
    named = {id(array): name for name, array in arrays_of(model).items()}
    for tensor, plan in model_layers(model, min_M).cuts:
        array = arrays[tensor]
        for suffix, index in plan.pieces:
            W = matrices[tensor + suffix]
            W = (W if W.shape == plan.shape else W.T).astype(array.dtype)
            array = array.at[index].set(W.reshape(array[index].shape))
        arrays[tensor] = array
    return jax.tree.map(lambda leaf: arrays[named[id(leaf)]] if id(leaf) in named else leaf, model)


def arrays_of(model: Any) -> dict[str, Any]:
    """Every array of a model by the name it has in results, as `model_layers` takes the model apart."""
    return {printable(name): array for name, array in _arrays("", model, ())}


def _arrays(name: str, value: Any, above: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Every array in a model by its path, in the model's own order."""
    if _is_array(value):
        yield name or "array", value
        return
    if id(value) in above or len(above) > _MAX_DEPTH:
        raise InputError(f"{printable(name)[:120]}: holds itself, or nests deeper than {_MAX_DEPTH} levels")
    for key, child in _children(value):
        part = ".".join(map(str, key)) if isinstance(key, tuple) else str(key)
        yield from _arrays(f"{name}.{part}" if name else part, child, (*above, id(value)))


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if callable(getattr(value, "state_dict", None)) and callable(getattr(value, "named_parameters", None)):
        value = value.state_dict()
    if isinstance(value, Mapping):  # not through JAX, which sorts keys
        yield from value.items()
        return
    for path, child in jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda node: node is not value)[0]:
        if path:  # without one, `value` is a leaf that is no array
            (key,) = path
            yield next(getattr(key, a) for a in ("name", "key", "idx") if hasattr(key, a)), child


def _is_array(value: Any) -> bool:
    try:
        return not isinstance(value, type) and isinstance(tuple(value.shape), tuple) and value.dtype is not None
    except Exception:  # not of this kind, or of a shape not known yet, as PyTorch's lazy parameters have
        return False


def _tensor(name: str, array: Any) -> Tensor:
    shape = tuple(int(n) for n in array.shape)
    dtype = str(getattr(array.dtype, "name", None) or array.dtype).removeprefix("torch.")

    def load() -> np.ndarray:
        try:
            loaded = _numpy(array, dtype)
            if loaded.shape != shape:
                raise ValueError(f"its shape was {shape} and is {loaded.shape}")
        except MemoryError:
            raise
        except Exception as error:  # a donated buffer, a sparse or meta tensor, a lost device: a framework's own errors
            raise InputError(f"{name}: cannot be read ({type(error).__name__}: {_line(error)})") from error
        return loaded

    return Tensor(printable(name), shape, dtype, load, _memory(array, shape, dtype))


def _numpy(array: Any, dtype: str) -> np.ndarray:
    if _is_torch(array):
        array = array.detach().cpu()
        if dtype.startswith(("bfloat", "float8")):  # NumPy's own types have none of these; float32 holds them all
            return array.float().numpy().astype(numpy_dtype(dtype))
        return array.numpy()
    if not isinstance(array, np.ndarray):
        leaves = jax.tree_util.tree_leaves(array)  # a Flax variable is a node around its array
        array = leaves[0] if len(leaves) == 1 else array
    if isinstance(array, jax.Array):
        array = array.copy()  # an array keeps its copy on the host once it was asked for: not the model's
    return np.asarray(array)


def _memory(array: Any, shape: tuple[int, ...], dtype: str) -> Hashable:
    """Equal for two names of one array. A state dict has new tensors at each call, but these view the same bytes."""
    if not _is_torch(array):
        return id(array)  # which is kept alive by the layers
    try:
        place = array.data_ptr()
        return (str(array.device), place, tuple(array.stride()), shape, dtype) if place else None
    except Exception:  # not in memory at all
        return None


def _is_torch(array: Any) -> bool:
    return all(hasattr(array, name) for name in ("detach", "cpu", "data_ptr"))


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
