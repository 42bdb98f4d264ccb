"""What PyTorch's file formats share: storages, strided views of them, and the walk through nested dicts and modules."""

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from realnets.readers._pickle import Ignored, PickleError, Record, Unknown
from realnets.readers.base import Tensor, numpy_dtype
from rmt.errors import InputError

_MAX_DEPTH = 64
_MAX_NAME = 1000
_CONTAINERS = (dict, list, tuple, Record)
_OF_A_MODULE = ("_parameters", "_buffers", "_modules")

ReadBytes = Callable[["Storage", int, int], bytes]
"""(storage, first byte, number of bytes) -> those bytes; InputError where they are missing."""


@dataclass(frozen=True)
class Storage:
    """A reference to a flat buffer of a file: its key there, element type and number of elements."""

    key: str
    dtype: str
    numel: int


@dataclass(frozen=True)
class View:
    """A tensor: a strided view of a storage, counted in elements."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class _DType:
    name: str


def _rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> View:
    # rest = (requires_grad, backward_hooks[, dtype][, metadata]): only _rebuild_tensor_v3 names a dtype.
    dtype = next((r.name for r in rest if isinstance(r, _DType)), None)
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, Storage) or len(shape) != len(stride):
        raise PickleError("rebuilds a tensor from something that is not a storage")
    if not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
        raise PickleError("gives a tensor an impossible shape")
    return View(storage, dtype or storage.dtype, offset, tuple(shape), tuple(stride))


def _rebuild_quantised(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> View:
    return _rebuild(storage, offset, shape, stride)


def _mapping(*arguments: Any) -> dict[str, Any]:
    """OrderedDict() or OrderedDict([[key, value], ...]); a defaultdict's factory says nothing about weights."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return {str(k): v for k, v in pairs if isinstance(k, str | int)}


def _first(value: Any, *rest: Any) -> Any:
    return value


def _ignore(*arguments: Any) -> Ignored:
    return Ignored()


_ELEMENTS = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64", "Int": "int32",
    "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "ComplexFloat": "complex64",
    "ComplexDouble": "complex128", "QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32",
    "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
}  # fmt: skip

_DTYPES = (
    "float32", "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int64", "int32", "int16", "int8",
    "uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128", "qint8", "quint8", "qint32",
    "quint4x2", "quint2x4",
)  # fmt: skip

_IGNORED = (
    "torch.device", "torch.serialization._get_layout", "torch.per_tensor_affine", "torch.per_channel_affine",
    "torch.strided", "torch.Generator", "torch._utils._rebuild_sparse_tensor",
    "torch._utils._rebuild_meta_tensor_no_storage", "numpy.dtype", "numpy.ndarray", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
    "_codecs.encode", "argparse.Namespace", "builtins.set", "__builtin__.set", "datetime.datetime",
    "datetime.timedelta", "pathlib.PosixPath", "pathlib.Path", "pathlib.WindowsPath", "collections.Counter",
    "omegaconf.dictconfig.DictConfig", "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict", "functools.partial", "types.SimpleNamespace", "collections.deque",
    "builtins.frozenset", "builtins.slice", "builtins.range", "builtins.complex",
)  # fmt: skip

NAMES: dict[str, Any] = {
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    "builtins.dict": _mapping,
    "__builtin__.dict": _mapping,
    "builtins.list": lambda *a: list(a[0]) if a else [],
    "builtins.int": 0,
    "builtins.float": 0.0,
    "torch.Size": _first,
    **{f"torch.jit._pickle.build_{kind}list": _first for kind in ("int", "double", "bool", "tensor")},
    "torch.jit._pickle.restore_type_tag": _first,
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_tensor_v3": _rebuild,
    "torch._utils._rebuild_qtensor": _rebuild_quantised,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": lambda f, kind, arguments, state: f(*arguments),
    "torch.Tensor": _ignore,
    "torch.nn.parameter.Parameter": _first,
    "torch.storage.UntypedStorage": _DType("uint8"),
    "torch.UntypedStorage": _DType("uint8"),
    **{f"torch.{name}Storage": _DType(dtype) for name, dtype in _ELEMENTS.items()},
    **{f"torch.cuda.{name}Storage": _DType(dtype) for name, dtype in _ELEMENTS.items()},
    **{f"torch.{dtype}": _DType(dtype) for dtype in _DTYPES},
    **dict.fromkeys(_IGNORED, _ignore),
}
"""Every global that a state dict may name, and what it stands for here: no entry is the object of that name."""


def persistent(reference: Any) -> Storage | Unknown:
    """The storage of a persistent id ("storage", type, key, location, numel[, view]), or the class of a legacy module."""
    if isinstance(reference, tuple) and len(reference) >= 5 and reference[0] == "storage":
        _, kind, key, _, numel, *view = reference
        if isinstance(kind, _DType) and type(numel) is int and 0 <= numel < 2**63 and view in ([], [None]):
            return Storage(str(key), kind.name, numel)
    if isinstance(reference, tuple) and len(reference) == 4 and reference[0] == "module":
        kind = reference[1]  # then its source file and its source, which are of no use here
        if isinstance(kind, Unknown):
            return kind
    raise PickleError("refers to a storage in an unknown way")


def named_views(root: Any) -> Iterator[tuple[str, View]]:
    """Every tensor in nested dicts, lists, tuples and objects, named by its path; a container met twice is entered once.

    The tensors of a module are named as in its state dict, without the _parameters, _buffers and _modules between.

    Raises:
        PickleError: nesting is deeper than any checkpoint's, or a name is absurdly long.
    """
    pending: list[tuple[str, Any, int]] = [("", root, 0)]
    seen: set[int] = set()
    while pending:
        name, value, depth = pending.pop()
        if isinstance(value, View):
            yield name or "tensor", value
            continue
        if not isinstance(value, _CONTAINERS) or id(value) in seen:
            continue
        if depth >= _MAX_DEPTH or len(name) > _MAX_NAME:
            raise PickleError(f"nests deeper than {_MAX_DEPTH} levels, or has names of over {_MAX_NAME} characters")
        seen.add(id(value))
        inner = [(key, child) for key, child in _items(value) if isinstance(child, (View, *_CONTAINERS))]
        pending += [(f"{name}.{key}" if name else str(key), child, depth + 1) for key, child in reversed(inner)]


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, list | tuple):
        yield from enumerate(value)
        return
    contents = value if isinstance(value, dict) else value.contents
    inside = [contents[key] for key in _OF_A_MODULE if isinstance(contents.get(key), dict)]
    if isinstance(value, dict) or len(inside) < len(_OF_A_MODULE):
        yield from contents.items()
        return
    for part in inside:
        yield from part.items()
    # A recurrent module lists its parameters once more.
    yield from ((k, child) for k, child in contents.items() if k not in (*_OF_A_MODULE, "_flat_weights"))


def tensor(path: Path, name: str, view: View, read: ReadBytes, byteorder: str = "<") -> Tensor:
    """The lazy Tensor of a view; `byteorder` is that of the file's storages."""
    identity: Hashable = (view.storage.key, view.dtype, view.offset, view.shape, view.stride)

    def load() -> np.ndarray:
        try:
            dtype = numpy_dtype(view.dtype)
        except ValueError as error:
            raise InputError(f"{path}: {name}: {error}") from error
        numel = math.prod(view.shape)
        span = 1 + sum((n - 1) * s for n, s in zip(view.shape, view.stride, strict=True)) if numel else 0
        if span < numel:
            raise InputError(f"{path}: {name}: its {numel} elements overlap in {span}; refused")
        data = read(view.storage, view.offset * dtype.itemsize, span * dtype.itemsize)
        flat = np.frombuffer(data, np.uint8).reshape(span, dtype.itemsize)
        if byteorder == ">":
            part = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
            flat = flat.reshape(-1, part)[:, ::-1]
        flat = np.ascontiguousarray(flat).reshape(-1).view(dtype)
        strides = tuple(s * dtype.itemsize for s in view.stride)
        return np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat, view.shape, strides)).reshape(view.shape)

    return Tensor(name, view.shape, view.dtype, load, identity)
