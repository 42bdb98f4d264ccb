"""Damaged copies of a file, and the question that each has to answer: tensors or one clear line, quickly, in little memory.

And nothing else is done: while a file is read, every act of the interpreter is watched (`watched`).
"""

import contextlib
import importlib
import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from realnets.layers import Layers
from realnets.readers import _dispatch, open_checkpoint
from rmt import InputError

SECONDS = 5.0
"""Processor time that one damaged file may take."""

MEGABYTES = 1000
"""How far one damaged file may raise the memory of the process."""

# What is imported when it is needed: by a reader; by Python's parser, for a literal that is not ASCII; and how names in
# archives, texts in pickles and JSON may be encoded.
for name in ("numcodecs", "unicodedata"):
    importlib.import_module(name)
for name in ("ascii", "cp437", "latin_1", "raw_unicode_escape", "utf_8_sig"):
    importlib.import_module(f"encodings.{name}")
for name in ("utf_16", "utf_16_be", "utf_16_le", "utf_32", "utf_32_be", "utf_32_le"):
    importlib.import_module(f"encodings.{name}")
_dispatch.readers()


class Outcome(NamedTuple):
    """What came of a damaged file: whether it was refused as a whole, processor time in s, memory in MB."""

    refused: bool
    seconds: float
    megabytes: float


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


def survives(path: Path) -> Outcome:
    """The file, or folder, gives its tensors or an InputError of one line that names it, in bounded time and memory.

    Nothing but reading is done, and nothing read but what is in the folder of the file, or in the folder.

    Raises:
        AssertionError: it takes too long or too much, or does something else, or a tensor is not what was listed.
        Exception: any other that the readers let through.
    """
    before, start, refused = _memory(), time.process_time(), False
    with watched(path if path.is_dir() else path.parent):
        try:
            tensors = open_checkpoint(path).tensors
            for tensor in tensors:
                with contextlib.suppress(InputError):
                    assert tensor.load().shape == tensor.shape
            for _ in Layers(tensors, min_M=2):
                pass
        except InputError as error:
            said, refused = str(error), True
            if str(path) not in said or "\n" in said:
                raise AssertionError(f"not one line on {path}: {said!r}") from error
    outcome = Outcome(refused, time.process_time() - start, _peak() - before)
    assert outcome.seconds < SECONDS, f"{outcome.seconds} seconds"
    assert outcome.megabytes < MEGABYTES, f"{outcome.megabytes} megabytes"
    return outcome


def _memory() -> float:
    """Megabytes of the process now; Linux forgets its peak of before."""
    if sys.platform != "linux":
        return _peak()
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> float:
    """Largest number of megabytes of the process since `_memory`, or elsewhere than on Linux since it began."""
    if sys.platform == "linux":
        return _status("VmHWM")
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 2**20 if sys.platform == "darwin" else size / 2**10


def _status(field: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0]) / 2**10


# --- the canary


class Forbidden(RuntimeError):
    """What was about to happen while a file was read, and was stopped."""


_HARMLESS = {"os.listdir", "os.scandir", "pathlib.Path.glob", "builtins.id"}
"""Events that a reader may cause, beside opening files to read them and parsing literals."""


class _Watch:
    """An audit hook: Python calls it before it opens, imports, runs, unpickles, starts or connects to anything.

    Once added, a hook stays; this one looks away unless a folder is set, and at other threads always.
    """

    def __init__(self):
        self.folder: Path | None = None
        self.seen: list[str] = []
        self._thread = 0

    def start(self, folder: Path) -> None:
        self.seen, self._thread, self.folder = [], threading.get_ident(), folder

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or threading.get_ident() != self._thread or self._allowed(event, arguments):
            return
        self.seen.append(f"{event}{str(arguments)[:200]}")
        raise Forbidden(self.seen[-1])

    def _allowed(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, mode, _ = arguments
            return mode in ("r", "rb") and isinstance(path, str | Path) and Path(path).is_relative_to(str(self.folder))
        if event == "compile":  # as ast.literal_eval does for numpy's headers; to run what it gives is another event
            return arguments[1] == "<unknown>"
        return event in _HARMLESS


_WATCH = _Watch()
sys.addaudithook(_WATCH)


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Nothing is opened but files below `folder`, to be read; nothing is imported, run, unpickled, started or written.

    Raises:
        AssertionError: it was tried. It is stopped, and told here even if an exception of that was caught.
    """
    _WATCH.start(folder)
    try:
        yield
    finally:
        _WATCH.folder = None
        if _WATCH.seen:
            raise AssertionError(f"not only read: {_WATCH.seen}")
