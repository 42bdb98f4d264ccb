"""Tensors to layers: which tensors of a file are weight matrices, and what is left out, with its reason."""

import hashlib
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from realnets.cutting import Conv, Cut, Index, cut
from realnets.naming import Shapes, bare, has_scale, is_bias_or_mask, is_normalisation, is_optimiser_state
from realnets.pairs import whole
from realnets.readers.base import Tensor
from rmt.errors import InputError

MIN_M = 50
"""Fewest eigenvalues of an analysed matrix, unless said otherwise: Clauset et al. (2009) ask for about 50 points."""

LARGE = 2**26
"""Entries from which on a matrix stays as it is in the file: 512 MiB in double precision."""

_FLOATS = ("float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2")


@dataclass(frozen=True)
class Layer:
    """One weight matrix.

    Attributes:
        name: the tensor's name, with [gate], [expert] or [row,column] of the kernel where it is a piece of the tensor.
        kind: dense, embedding, lstm, gru, rnn, conv1d, conv2d or conv3d.
        W: N x M float64 with N >= M, in the file's own precision if it has more than `LARGE` entries; p x N x M where the
            spectra of p slices of a convolution are pooled.
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


class Layers:
    """The weight matrices of a list of tensors: an iterable of `Layer` that holds one tensor in memory at a time.

    Dense matrices and embeddings are taken whole, recurrent kernels split into their gates (LSTM 4, GRU 3), the fused projections
    of attention into three, stacks of experts into their members, and a convolution, transposed or not, into the slices of its
    kernel, inputs x outputs each (see `Conv`). Of a grouped convolution the groups stand in one matrix: (out, in/groups), as
    stored. Adapters of low rank are multiplied out (`realnets.pairs`). Tied and duplicated tensors are given once.

    Args:
        tensors: what a reader lists.
        min_M: matrices with fewer columns (after transposing to N >= M), or a smaller rank by construction, are left out.
        source: the file they come from, as the user named it, for results.
        format: what kind of file that is, for results.
        conv: what is taken of a convolution: slices, pooled or reshaped.

    Attributes:
        skipped: what was left out, with reasons; duplicates and unreadable tensors join it while iterating.
        n_tensors: how many tensors there are in all.
        min_M, source, format, conv: as given.

    Raises:
        ValueError: `min_M` is not positive, or `conv` is unknown.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        min_M: int = MIN_M,
        source: str = "",
        format: str = "",
        conv: Conv | str = Conv.SLICES,
    ):
        if min_M < 1:
            raise ValueError(f"Layers(min_M) needs a positive integer, got {min_M}")
        self.min_M, self.source, self.format, self.conv = min_M, source, format, Conv(conv)
        shapes = {bare(t.name): t.shape for t in tensors}
        planned = [(t, _plan(t, shapes, self.conv, min_M)) for t in whole(tensors)]
        self._plans = [(tensor, plan) for tensor, plan in planned if isinstance(plan, Cut)]
        self._left_out = [plan for _, plan in planned if isinstance(plan, Skipped)]
        self.skipped = list(self._left_out)
        self.n_tensors = len(tensors)

    @property
    def planned(self) -> list[tuple[str, int, int]]:
        """(name, N, M) of every matrix to come, duplicates still among them; nothing is loaded."""
        return [
            (tensor.name + suffix, max(plan.shape), min(plan.shape))
            for tensor, plan in self._plans
            for suffix, _ in plan.pieces
        ]

    @property
    def cuts(self) -> list[tuple[str, Cut]]:
        """The names of the tensors that have matrices, and how each is cut; nothing is loaded."""
        return [(tensor.name, plan) for tensor, plan in self._plans]

    def __iter__(self) -> Iterator[Layer]:
        self.skipped = list(self._left_out)
        seen: dict[Hashable, str] = {}
        for tensor, plan in self._plans:
            if (array := self._load(tensor, seen)) is not None:
                held = [array]
                del array
                yield from _pieces(tensor, plan, held)

    def of_tensor_with(self, name: str) -> Iterator[Layer]:
        """The layers of the tensor that holds the layer of that name; none if there is none, or it cannot be read.

        A tensor that is equal to another is as good as that one here.
        """
        for tensor, plan in self._plans:
            if any(tensor.name + suffix == name for suffix, _ in plan.pieces):
                if (array := self._load(tensor, {})) is not None:
                    yield from _pieces(tensor, plan, [array])
                return

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


def describe_skipped(skipped: Sequence[Skipped]) -> str:
    """ "optimiser state 32; bias, scalar or other vector 9": the most frequent reason first."""
    return "; ".join(f"{reason} {n}" for reason, n in Counter(s.reason for s in skipped).most_common())


def nothing_planned(layers: Layers) -> str:
    """Why there is no matrix in a file, in one line."""
    if not layers.n_tensors:
        return f"{layers.source}: holds no tensors"
    first = next((f" ({s.note})" for s in layers.skipped if s.reason == "unreadable"), "")
    said = describe_skipped(layers.skipped)
    return f"{layers.source}: none of its {layers.n_tensors} tensors can be analysed: {said}{first}"


def _pieces(tensor: Tensor, plan: Cut, held: list[np.ndarray]) -> Iterator[Layer]:
    """The layers of the array that is held; it goes with the last of them: beside a layer nothing else is in memory."""
    for left, (suffix, index) in zip(range(len(plan.pieces), 0, -1), plan.pieces, strict=True):
        yield _upright(tensor.name + suffix, plan, held.pop() if left == 1 else held[0], index, tensor.name)


def _upright(name: str, plan: Cut, array: np.ndarray, index: Index, tensor: str) -> Layer:
    matrix = plan.matrix(array, index)
    transposed = matrix.shape[-2] < matrix.shape[-1]
    W = matrix.swapaxes(-1, -2) if transposed else matrix
    if W.size <= LARGE:
        with np.errstate(invalid="ignore"):  # a signalling NaN; the fit says non_finite of any
            W = W.astype(np.float64, order="C")  # the only copy
    return Layer(name, plan.kind, W, transposed, tensor)


def _plan(tensor: Tensor, shapes: Shapes, conv: Conv, min_M: int) -> Cut | Skipped:
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
    plan = cut(tensor.name, tensor.shape, shapes, conv, min_M)
    if plan is None:
        return skip(f"{len(tensor.shape)}-D", "only matrices, their stacks and kernels of convolutions are analysed")
    N, M = max(plan.shape), min(plan.shape)
    if M == 1 and plan.kind.startswith("conv"):
        return skip("one channel a filter", "depthwise, or of images of one channel: no matrix")
    if min_M > M:
        return skip(f"fewer than {min_M} columns", f"{N} x {M}")
    if tensor.rank is not None and tensor.rank < min_M:
        return skip(f"fewer than {min_M} columns", f"of rank {tensor.rank}")
    return plan
