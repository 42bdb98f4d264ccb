"""Weights that a file holds in two parts: low-rank adapters, and a length beside a direction. Made whole when they are loaded."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from realnets.naming import bare
from realnets.readers.base import Tensor
from rmt.errors import InputError

_DOWN = re.compile(r"^(?P<head>.*?)(?P<word>lora_(a|down))(?P<tail>[./_].*)?$", re.IGNORECASE)
_UP = {"a": "b", "A": "B", "down": "up"}
_DIRECTION = re.compile(r"^(?P<head>.*?)(weight_v|parametrizations\.(?P<what>\w+)\.original1)$")
_MAX_NUMEL = 2**31
_BASES = ("{head}weight", "{head}base_layer.weight", "{head}kernel", "{head}w0")


def whole(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, with each pair in place of its parts: B A of an adapter of low rank, g v / |v| of a normalised weight.

    Where the weight that an adapter is added to is in the same file, their sum is there too, at the strength 1. A file of an
    adapter does not hold its strength, which no shape of a spectrum depends on but that of the sum. Parts without their partner,
    and those of other shapes, stay as they are.

    Source: E. J. Hu et al., arXiv:2106.09685, eq 3; T. Salimans & D. P. Kingma, arXiv:1602.07868, eq 2, with one length for
        each index of the first axis, PyTorch's default.
    """
    by_name = {bare(t.name): t for t in tensors}
    made: dict[str, list[Tensor]] = {}
    parts: set[str] = set()
    for name, tensor in by_name.items():
        for pair in (_adapter(name, tensor, by_name), _normalised(name, tensor, by_name)):
            if pair is not None:
                made[name], used = pair
                parts |= used
    return [one for t in tensors for one in made.get(bare(t.name), [t] if bare(t.name) not in parts else [])]


Pair = tuple[list[Tensor], set[str]]
"""What is made, and the names of what it is made of."""


def _adapter(name: str, down: Tensor, by_name: Mapping[str, Tensor]) -> Pair | None:
    match = _DOWN.match(name)
    if match is None or len(down.shape) != 2:
        return None
    head, word, tail = match["head"], match["word"], match["tail"] or ""
    half = word[len("lora_") :]
    partner = f"{head}{word[: -len(half)]}{_UP.get(half, '')}{tail}"
    up = by_name.get(partner)
    if up is None or len(up.shape) != 2:
        return None
    # PyTorch: A is rank x inputs, B is outputs x rank. Flax: A is inputs x rank, B is rank x outputs
    if up.shape[1] == down.shape[0]:
        left, right = up, down
    elif down.shape[1] == up.shape[0]:
        left, right = down, up
    else:
        return None
    shape = (left.shape[0], right.shape[1])
    label = f"{head.rstrip('._/')}[B A]"
    found = [_made(label, shape, (left, right), lambda b, a: b @ a, left.shape[1])]
    base = next((by_name[n] for n in (b.format(head=head) for b in _BASES) if n in by_name), None)
    if base is not None and base.shape == shape:
        found.append(_made(f"{base.name}[+B A]", shape, (base, left, right), lambda w, b, a: w + b @ a))
    return found, {name, partner}


def _normalised(name: str, direction: Tensor, by_name: Mapping[str, Tensor]) -> Pair | None:
    match = _DIRECTION.match(name)
    if match is None or len(direction.shape) < 2:
        return None
    partner = f"{match['head']}weight_g" if match["what"] is None else name[: -len("original1")] + "original0"
    length = by_name.get(partner)
    if length is None or length.shape != (direction.shape[0], *(1,) * (len(direction.shape) - 1)):
        return None
    label = f"{match['head']}{match['what'] or 'weight'}"
    return [_made(label, direction.shape, (direction, length), _of_length)], {name, partner}


def _of_length(v: np.ndarray, g: np.ndarray) -> np.ndarray:
    norm = np.sqrt(np.sum(v**2, axis=tuple(range(1, v.ndim)), keepdims=True))
    return g * np.divide(v, norm, out=np.zeros_like(v), where=norm > 0)


def _made(
    name: str, shape: tuple[int, ...], of: Sequence[Tensor], make: Callable[..., np.ndarray], rank: int | None = None
) -> Tensor:
    def load() -> np.ndarray:
        if math.prod(shape) > _MAX_NUMEL:  # two thin parts in a small file may claim a product of any size
            raise InputError(f"{name}: would have {shape[0]} x {shape[1]} entries; more than any weight matrix")
        arrays = [t.load() for t in of]
        if any(a.dtype.kind not in "fV" for a in arrays):
            raise InputError(f"{name}: made of {', '.join(t.name for t in of)}, which are not all floating point")
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and inf among the weights; the fit says non_finite
            return make(*(a.astype(np.float64) for a in arrays))

    return Tensor(
        name, tuple(shape), "float64" if all(_is_float(t.dtype) for t in of) else of[0].dtype, load, rank=rank
    )


def _is_float(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))
