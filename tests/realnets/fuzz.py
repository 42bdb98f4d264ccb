"""Damaged copies of a file, and the question that each has to answer: tensors or one clear line, quickly, in little memory."""

import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from realnets.layers import Layers
from realnets.readers import open_checkpoint
from rmt import InputError

SECONDS = 5.0
"""Processor time that one damaged file may take."""

MEGABYTES = 1000
"""How far one damaged file may raise the peak memory of the process."""


def mutations(data: bytes, n: int, seed: int) -> Iterator[bytes]:
    """`n` damaged copies of `data`: cut short, bytes changed, runs put in, taken out or repeated, numbers made extreme."""
    rng = np.random.default_rng(seed)
    edits = (_cut, _flip, _flip, _insert, _remove, _repeat, _extreme, _extreme)
    for i in range(n):
        bad = bytearray(data)
        for _ in range(1 if i % 3 else rng.integers(1, 4)):
            edits[rng.integers(len(edits))](bad, rng)
        yield bytes(bad)


def _place(bad: bytearray, rng: np.random.Generator) -> int:
    """Anywhere, or, as often, in the first part, where the lists of contents of most formats are."""
    return int(rng.integers(max(len(bad) if rng.integers(2) else min(len(bad), 400), 1)))


def _cut(bad: bytearray, rng: np.random.Generator) -> None:
    del bad[_place(bad, rng) :]


def _flip(bad: bytearray, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 5)):
        if bad:
            bad[_place(bad, rng)] ^= 1 << rng.integers(8) if rng.integers(2) else rng.integers(256)


def _insert(bad: bytearray, rng: np.random.Generator) -> None:
    at, length = _place(bad, rng), int(rng.integers(1, 40))
    bad[at:at] = rng.bytes(length) if rng.integers(2) else bytes([rng.choice([0, 0x28, 0x5B, 0x7B, 0xFF])]) * length


def _remove(bad: bytearray, rng: np.random.Generator) -> None:
    at = _place(bad, rng)
    del bad[at : at + int(rng.integers(1, 40))]


def _repeat(bad: bytearray, rng: np.random.Generator) -> None:
    at, to = _place(bad, rng), _place(bad, rng)
    bad[to:to] = bad[at : at + int(rng.integers(1, 200))]


def _extreme(bad: bytearray, rng: np.random.Generator) -> None:
    at, width = _place(bad, rng), int(rng.choice([1, 2, 4, 8]))
    top = 2 ** (8 * width)
    number = int(rng.choice(np.array([0, 1, top // 2 - 1, top // 2, top - 1, top // 8, 2**31 % top], object)))
    bad[at : at + width] = number.to_bytes(width, rng.choice(["little", "big"]))


def survives(path: Path) -> None:
    """The file, or folder, gives its tensors or an InputError of one line that names it, in bounded time and memory.

    Raises:
        AssertionError: it takes too long or too much, or a tensor is not what was listed.
        Exception: any other that the readers let through.
    """
    start, peak = time.process_time(), _peak()
    try:
        tensors = open_checkpoint(path).tensors
        for tensor in tensors:
            with contextlib.suppress(InputError):
                assert tensor.load().shape == tensor.shape
        for _ in Layers(tensors, min_M=2):
            pass
    except InputError as error:
        said = str(error)
        if str(path) not in said or "\n" in said:
            raise AssertionError(f"not one line on {path}: {said!r}") from error
    assert time.process_time() - start < SECONDS
    assert _peak() - peak < MEGABYTES


def all_survive(data: bytes, path: Path, n: int, seed: int) -> None:
    """`n` damaged copies of `data`, each written to `path`, survive; see `mutations` and `survives`."""
    for bad in mutations(data, n, seed):
        path.write_bytes(bad)
        survives(path)


def _peak() -> float:
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10
