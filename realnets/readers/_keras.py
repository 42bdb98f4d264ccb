"""What Keras's HDF5 files and .keras archives share: the names of the variables in them."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from realnets.readers import _hdf5
from realnets.readers.base import Tensor, unreadable
from rmt.errors import InputError

Opened = Callable[[], AbstractContextManager[_hdf5.Read]]
"""Opens the HDF5 file for the time of some reads."""

_KERNEL = ("kernel", "bias")
_VARIABLES: dict[str, tuple[str, ...]] = {
    "dense": _KERNEL,
    "einsum_dense": _KERNEL,
    **{f"conv{n}d{transposed}": _KERNEL for n in (1, 2, 3) for transposed in ("", "_transpose")},
    **{f"depthwise_conv{n}d": _KERNEL for n in (1, 2)},
    **{f"separable_conv{n}d": ("depthwise_kernel", "pointwise_kernel", "bias") for n in (1, 2)},
    "embedding": ("embeddings",),
}
"""Variables of Keras's layers in the order in which they are saved; later ones (of LoRA, of quantisation) keep numbers."""

_NORMALISATION = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
    "layer_normalization": ("gamma", "beta"),
    "group_normalization": ("gamma", "beta"),
}
"""The same of layers that may be without any of theirs: they are named when all are there."""

_CELL = ("kernel", "recurrent_kernel", "bias")

Titles = Mapping[tuple[str, ...], str]
"""The author's names of layers by their groups in the file."""


def tensors(path: Path, opened: Opened, size: int, member: str = "", titles: Titles | None = None) -> list[Tensor]:
    """Every dataset of a Keras HDF5 file of `size` bytes.

    Keras 3 numbers a layer's variables: layers/dense/vars/0. They are called by what they are where that is known: by
    the layer's class, after which its group is called, if the shapes do not deny it; and otherwise by the shapes. A
    matrix and a second of as many columns with rows a whole part of them (H x H, H x 3 H, H x 4 H) are the kernel and
    recurrent kernel of a cell; one or two variables, the second of the first one's last dimensions, are a kernel and its
    bias, or embeddings if the group says so. The rest keep their numbers. A layer is called as its author called it,
    where the file says so: `out.kernel`, not `layers.dense.kernel`.

    Keras 2, and Keras 3 in the older form, name every variable: model_weights/LAYER/LAYER/kernel:0 is LAYER.kernel:0.

    Args:
        path: what errors call the file.
        opened: opens it.
        size: its length.
        member: what it is called in an archive.
        titles: names of layers that are known from elsewhere.

    Raises:
        InputError: see `_hdf5.contents`.
    """
    try:
        with opened() as read:
            found = _hdf5.contents(read, size)
    except _hdf5.Hdf5Error as error:
        raise InputError(f"{path}: {f'{member}: ' if member else ''}{error}") from error
    named = {group[:-1]: a.get("name") for group, a in found.groups.items() if group[-1:] == ("vars",)}
    known = {group: title for group, title in named.items() if title} | dict(titles or {})
    known.pop(("optimizer",), None)  # is called so, whatever its own name is
    variables = _variables(found.datasets, known)
    spellings: tuple[Callable[[tuple[str, ...]], str], ...]
    spellings = (lambda p: _name(p, variables, known), lambda p: _name(p, variables, {}), ".".join)
    names: list[str] = []
    for spell in spellings:
        names = [spell(d.path) for d in found.datasets]
        if len(set(names)) == len(names):  # else shortened to the same
            break
    return [_tensor(path, name, d, opened, member) for name, d in zip(names, found.datasets, strict=True)]


def _tensor(path: Path, name: str, dataset: _hdf5.Dataset, opened: Opened, member: str) -> Tensor:
    where = f"{path}: {name}"

    def load() -> np.ndarray:
        try:
            with opened() as read:
                return dataset.load(read, where)
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({error.strerror or error})") from error

    if dataset.fault:
        return unreadable(name, f"{where}: {dataset.fault}")
    return Tensor(name, dataset.shape, dataset.dtype, load, (member, dataset.address))


def _name(path: tuple[str, ...], variables: Titles, titles: Titles) -> str:
    if path in variables:
        return ".".join((*_layer(path[:-2], titles), variables[path]))
    if len(path) > 1 and path[-2] == "vars":
        return ".".join((*_layer(path[:-2], titles), *path[-2:]))
    path = path[1:] if path[:1] == ("model_weights",) and len(path) > 1 else path
    return ".".join(path[1:] if len(path) > 2 and path[:1] == path[1:2] else path)


def _layer(group: tuple[str, ...], titles: Titles) -> list[str]:
    """Names of the layers around a variable; that of the list "layers" says nothing beside a title."""
    names: list[str] = []
    for depth, part in enumerate(group, 1):
        title = titles.get(group[:depth])
        if title and names[-1:] == ["layers"]:
            names.pop()
        names.append(title or part)
    return names


def _variables(datasets: list[_hdf5.Dataset], titles: Titles) -> dict[tuple[str, ...], str]:
    """Names of numbered variables by their paths."""
    layers: dict[tuple[str, ...], dict[int, tuple[int, ...]]] = {}
    for d in datasets:
        if len(d.path) > 2 and d.path[-2] == "vars" and d.path[-1].isdecimal() and len(d.path[-1]) < 4 and not d.fault:
            layers.setdefault(d.path[:-2], {})[int(d.path[-1])] = d.shape
    found = {}
    for group, by_number in layers.items():
        shapes = [by_number[i] for i in sorted(by_number)] if sorted(by_number) == list(range(len(by_number))) else []
        for i, name in enumerate(_roles(group[-1], titles.get(group, ""), shapes)[: len(shapes)]):
            found[(*group, "vars", str(i))] = name
    return found


def _roles(group: str, title: str, shapes: list[tuple[int, ...]]) -> tuple[str, ...]:
    """What a layer's variables are, as far as that is known."""
    kind = re.sub(r"_\d+$", "", group)
    if kind in _NORMALISATION and len(shapes) == len(_NORMALISATION[kind]):
        return _NORMALISATION[kind]
    if _is_cell(shapes):
        return _CELL
    roles = _VARIABLES.get(kind, ())
    if roles and all(len(s) > 1 for s, r in zip(shapes, roles, strict=False) if r != "bias"):
        return roles
    if not shapes or len(shapes) > 2 or len(shapes[0]) < 2:
        return ()
    if len(shapes) == 2:
        return _KERNEL if shapes[0][-len(shapes[1]) :] == shapes[1] and 0 < len(shapes[1]) < len(shapes[0]) else ()
    return ("embeddings",) if any("embedding" in name for name in (group, title)) else ("kernel",)


def _is_cell(shapes: list[tuple[int, ...]]) -> bool:
    if not 2 <= len(shapes) <= 3 or len(shapes[0]) != 2 or len(shapes[1]) != 2:
        return False
    (_, columns), (hidden, hidden_columns) = shapes[0], shapes[1]
    return hidden > 0 and columns == hidden_columns and columns in (hidden, 3 * hidden, 4 * hidden)
