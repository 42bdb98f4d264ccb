"""How a tensor becomes matrices: whole, by gates, by heads' parts, by experts, or by the places of a convolution's kernel."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import jax
import numpy as np

from realnets.naming import (
    Shapes,
    fused_parts,
    is_embedding,
    is_heads_kernel,
    is_stack,
    onnx_gates,
    parts,
    recurrent_split,
)

Index = tuple[slice | int, ...]
AnyArray = TypeVar("AnyArray", np.ndarray, jax.Array)

_AXES = {3: "conv1d", 4: "conv2d", 5: "conv3d"}
_MOST_PLACES = 4096
"""Of a kernel: what has more is no convolution."""


class Conv(Enum):
    """What of a convolution's kernel of k places, inputs x outputs each, is a matrix."""

    SLICES = "slices"
    """Each place by itself: k matrices of inputs x outputs."""

    POOLED = "pooled"
    """Their eigenvalues together, as one spectrum: WeightWatcher's."""

    RESHAPED = "reshaped"
    """All in one, the first axis of the file beside the others: outputs x (inputs k), as the layer multiplies patches by it."""


@dataclass(frozen=True)
class Cut:
    """How an array is cut.

    Attributes:
        kind: dense, embedding, lstm, gru, rnn, conv1d, conv2d, conv3d.
        shape: rows and columns of every matrix, as stored.
        pieces: what is added to the tensor's name, and which part of the array that is.
        order: axes of a piece, in the order in which they make rows and columns; those before them are of matrices of their own.
        pooled: whether a piece is a stack of matrices of one spectrum.
    """

    kind: str
    shape: tuple[int, int]
    pieces: tuple[tuple[str, Index], ...] = (("", ()),)
    order: tuple[int, ...] | None = None
    pooled: bool = False

    def matrix(self, array: AnyArray, index: Index) -> AnyArray:
        """The matrix of a piece of an array, NumPy's or JAX's, or p x rows x columns of them where they are pooled."""
        piece = array[index] if self.order is None else array[index].transpose(self.order)
        return piece.reshape((-1, *self.shape) if self.pooled else self.shape)


def cut(name: str, shape: Sequence[int], shapes: Shapes, conv: Conv, min_M: int) -> Cut | None:
    """How the tensor is cut, by its name, its shape and its neighbours; None if it has too many axes.

    Args:
        name: of the tensor.
        shape: of the tensor, two axes or more.
        shapes: of all tensors of the file.
        conv: what is taken of convolutions.
        min_M: the slices of a convolution are not listed one by one if they have fewer columns.
    """
    if len(shape) == 2:
        return _matrix(name, (shape[0], shape[1]), shapes)
    if len(shape) == 3 and is_heads_kernel(name):
        # Flax: (inputs, heads, size) of a query, key or value; (heads, size, outputs) of what puts them together
        a, b, c = shape
        return Cut("dense", (a * b, c) if is_heads_kernel(name, "out") else (a, b * c))
    if len(shape) == 3 and is_stack(name):
        return Cut("dense", (shape[1], shape[2]), tuple((f"[{i}]", (i,)) for i in range(shape[0])))
    if len(shape) == 3 and (split := onnx_gates(name, shapes)):
        directions, size = shape[0], shape[1] // len(split.gates)
        spots = itertools.product(range(directions), enumerate(split.gates))
        pieces = (
            (f"[{d},{g}]" if directions > 1 else f"[{g}]", (d, slice(i * size, i * size + size))) for d, (i, g) in spots
        )
        return Cut(split.cell, (size, shape[2]), tuple(pieces))
    return _convolution(name, tuple(shape), conv, min_M) if len(shape) in _AXES else None


def _matrix(name: str, shape: tuple[int, int], shapes: Shapes) -> Cut:
    split = recurrent_split(name, shapes)
    kind, axis, of = ("dense", *fused_parts(name, shape)) if split is None else (split.cell, split.axis, split.gates)
    if not of:
        return Cut("embedding" if is_embedding(name) else "dense", shape)
    size = shape[axis] // len(of)
    pieces = []
    for i, part in enumerate(of):
        span = slice(i * size, (i + 1) * size)
        pieces.append((f"[{part}]" if part else "", (span,) if axis == 0 else (slice(None), span)))
    return Cut(kind, (size, shape[1]) if axis == 0 else (shape[0], size), tuple(pieces))


def _convolution(name: str, shape: tuple[int, ...], conv: Conv, min_M: int) -> Cut | None:
    """Of a kernel (out, in, k, ...) as PyTorch and ONNX have it, or (k, ..., in, out) as Keras, TensorFlow and Flax do.

    These call it a kernel. Elsewhere the sizes tell: a kernel has fewer places than a layer has inputs times outputs.
    """
    kind, axes = _AXES[len(shape)], tuple(range(len(shape)))
    ends = (shape[0], shape[-1]) if len(shape) == 3 else (math.prod(shape[:2]), math.prod(shape[-2:]))
    kernel_first = ends[0] < ends[1] or "".join(parts(name)[-1:]).endswith("kernel")
    places, channels = (axes[:-2], axes[-2:]) if kernel_first else (axes[2:], axes[:2])
    matrix = (shape[channels[0]], shape[channels[1]])
    count = math.prod(shape[axis] for axis in places)
    if count > _MOST_PLACES:
        return None
    if conv is Conv.RESHAPED:
        return Cut(kind, (math.prod(shape[:-1]), shape[-1]) if kernel_first else (shape[0], math.prod(shape[1:])))
    if conv is Conv.POOLED:
        return Cut(kind, matrix, order=places + channels, pooled=True)
    if min(matrix) < min_M:
        return Cut(kind, matrix, ())
    both = (slice(None), slice(None))
    spots = itertools.product(*(range(shape[axis]) for axis in places))
    pieces = (
        (f"[{','.join(map(str, at))}]" if count > 1 else "", (*at, *both) if kernel_first else (*both, *at))
        for at in spots
    )
    return Cut(kind, matrix, tuple(pieces))
