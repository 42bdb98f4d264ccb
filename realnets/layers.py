"""Tensors to layers: which tensors of a file are weight matrices, of what kind, and how each is cut into pieces."""

import hashlib
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from realnets.naming import (
    Shapes,
    bare,
    has_scale,
    is_bias_or_mask,
    is_embedding,
    is_normalisation,
    is_optimiser_state,
    recurrent_split,
)
from realnets.readers.base import Tensor
from rmt.errors import InputError

MIN_M = 50
"""Fewest eigenvalues of an analysed matrix, unless said otherwise: Clauset et al. (2009) ask for about 50 points."""

_FLOATS = ("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2")

Index = tuple[slice | int, ...]


@dataclass(frozen=True)
class Layer:
    """One weight matrix.

    Attributes:
        name: the tensor's name, with [gate] or [row,column] of the kernel where it is a piece of the tensor.
        kind: dense, embedding, lstm, gru, rnn or conv2d.
        W: N x M float64 with N >= M.
        transposed: whether W is the transpose of the stored matrix.
        tensor: name of the tensor it comes from.
    """

    name: str
    kind: str
    W: np.ndarray
    transposed: bool
    tensor: str


@dataclass(frozen=True)
class Skipped:
    """A tensor that was left out, and why; `reason` is one of a few, `note` belongs to this tensor."""

    name: str
    shape: tuple[int, ...]
    reason: str
    note: str = ""


@dataclass(frozen=True)
class _Plan:
    tensor: Tensor
    kind: str
    pieces: tuple[tuple[str, Index], ...]
    shape: tuple[int, int]  # of every piece, as stored


class Layers:
    """The weight matrices of a list of tensors: an iterable of `Layer` that holds one tensor in memory at a time.

    Dense matrices and embeddings are taken whole, recurrent kernels split into their gates (LSTM 4, GRU 3), a Conv2D
    into its k x k slices of (out, in). Tied and duplicated tensors are given once.

    Args:
        tensors: what a reader lists.
        min_M: matrices with fewer columns (after transposing to N >= M) are left out.
        source: the file they come from, as the user named it, for results.
        format: what kind of file that is, for results.

    Attributes:
        skipped: what was left out, with reasons; duplicates and unreadable tensors join it while iterating.
        n_tensors: how many tensors there are in all.
        min_M, source, format: as given.

    Raises:
        ValueError: `min_M` is not positive.
    """

    def __init__(self, tensors: Sequence[Tensor], min_M: int = MIN_M, source: str = "", format: str = ""):
        if min_M < 1:
            raise ValueError(f"Layers(min_M) needs a positive integer, got {min_M}")
        shapes = {bare(t.name): t.shape for t in tensors}
        sorted_out = [_plan(t, shapes, min_M) for t in tensors]
        self._plans = [p for p in sorted_out if isinstance(p, _Plan)]
        self._left_out = [p for p in sorted_out if isinstance(p, Skipped)]
        self.skipped = list(self._left_out)
        self.n_tensors = len(tensors)
        self.min_M, self.source, self.format = min_M, source, format

    @property
    def planned(self) -> list[tuple[str, int, int]]:
        """(name, N, M) of every matrix to come, duplicates still among them; nothing is loaded."""
        return [(p.tensor.name + suffix, max(p.shape), min(p.shape)) for p in self._plans for suffix, _ in p.pieces]

    def __iter__(self) -> Iterator[Layer]:
        self.skipped = list(self._left_out)
        seen: dict[Hashable, str] = {}
        for plan in self._plans:
            held = [array] if (array := self._load(plan.tensor, seen)) is not None else []
            del array
            for left, (suffix, index) in zip(range(len(plan.pieces), 0, -1), plan.pieces if held else (), strict=False):
                # The array goes with its last piece: while a layer is worked on, nothing else is in memory.
                yield _cut(plan, held.pop() if left == 1 else held[0], suffix, index)

    def _load(self, tensor: Tensor, seen: dict[Hashable, str]) -> np.ndarray | None:
        """The tensor's array, or None if it was met before or cannot be read; `seen` maps identities to names."""

        def skip(reason: str, note: str) -> None:
            self.skipped.append(Skipped(tensor.name, tensor.shape, reason, note))

        if tensor.memory is not None and tensor.memory in seen:
            return skip("duplicate", f"shares its memory with {seen[tensor.memory]}")
        try:
            array = tensor.load()
        except InputError as error:
            return skip("unreadable", str(error))
        except MemoryError:
            return skip("unreadable", "does not fit into memory")
        digest = (tensor.shape, tensor.dtype, hashlib.blake2b(np.ascontiguousarray(array).view(np.uint8).data).digest())
        if digest in seen:
            return skip("duplicate", f"equals {seen[digest]}")
        seen[digest] = tensor.name
        if tensor.memory is not None:
            seen[tensor.memory] = tensor.name
        return array


def _cut(plan: _Plan, array: np.ndarray, suffix: str, index: Index) -> Layer:
    piece = array[index]
    transposed = piece.shape[0] < piece.shape[1]
    with np.errstate(invalid="ignore"):  # a signalling NaN; the fit says non_finite of any
        W = (piece.T if transposed else piece).astype(np.float64, order="C")  # the only copy
    return Layer(plan.tensor.name + suffix, plan.kind, W, transposed, plan.tensor.name)


def _plan(tensor: Tensor, shapes: Shapes, min_M: int) -> _Plan | Skipped:
    """Whether and how a tensor becomes matrices, from names and shapes alone."""

    def skip(reason: str, note: str = "") -> Skipped:
        return Skipped(tensor.name, tensor.shape, reason, note)

    if tensor.unreadable:
        return skip("unreadable", tensor.unreadable)
    if is_optimiser_state(tensor.name.removeprefix(tensor.file)):  # a file may well be called adam.npz
        return skip("optimiser state")
    if len(tensor.shape) < 2:
        return skip("normalisation" if is_normalisation(tensor.name) else "bias, scalar or other vector")
    if is_bias_or_mask(tensor.name):
        return skip("bias or mask")
    if tensor.dtype not in _FLOATS:
        return skip("not floating point", tensor.dtype)
    if has_scale(tensor.name, shapes):
        return skip("quantised", "stored with a separate scale")
    if len(tensor.shape) == 2:
        plan = _plan_matrix(tensor, shapes)
    elif len(tensor.shape) == 4:
        plan = _plan_conv2d(tensor, min_M)
    else:
        return skip(f"{len(tensor.shape)}-D", "only matrices and Conv2D kernels are analysed")
    if min(plan.shape) < min_M:
        return skip(f"fewer than {min_M} columns", f"{max(plan.shape)} x {min(plan.shape)}")
    return plan


def _plan_matrix(tensor: Tensor, shapes: Shapes) -> _Plan:
    rows, columns = shape = (tensor.shape[0], tensor.shape[1])
    split = recurrent_split(tensor.name, shapes)
    if split is None:
        kind = "embedding" if is_embedding(tensor.name) else "dense"
        return _Plan(tensor, kind, (("", ()),), shape)
    size = tensor.shape[split.axis] // len(split.gates)
    pieces = []
    for i, gate in enumerate(split.gates):
        cut = slice(i * size, (i + 1) * size)
        pieces.append((f"[{gate}]" if gate else "", (cut,) if split.axis == 0 else (slice(None), cut)))
    return _Plan(tensor, split.cell, tuple(pieces), (size, columns) if split.axis == 0 else (rows, size))


def _plan_conv2d(tensor: Tensor, min_M: int) -> _Plan:
    """Slices (out, in) of a PyTorch kernel (out, in, k, k) or (in, out) of a TensorFlow one (k, k, in, out)."""
    a, b, c, d = tensor.shape
    kernel_first = a * b < c * d
    size, matrix = ((a, b), (c, d)) if kernel_first else ((c, d), (a, b))
    if min(matrix) < min_M:  # before a million 1 x 1 slices of an attention mask are listed
        return _Plan(tensor, "conv2d", (), matrix)
    spots = [(i, j) for i in range(size[0]) for j in range(size[1])]
    both = (slice(None), slice(None))
    pieces = [(f"[{i},{j}]", (i, j, *both) if kernel_first else (*both, i, j)) for i, j in spots]
    return _Plan(tensor, "conv2d", tuple(pieces), matrix)
