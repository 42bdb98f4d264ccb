"""What every reader of weight files shares: the lazy Tensor, the Probe that tells formats apart, dtype names."""

import io
import zipfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import ml_dtypes
import numpy as np

from rmt.errors import InputError

MAX_INDEX_BYTES = 64 * 2**20
"""Longest list of contents (pickle, header) that is read: room for some 100,000 tensors."""

MAX_TENSORS = 200_000
"""Most tensors of a file, where its format has no such bound: a list of more would itself fill the memory."""

_MAX_DIRECTORY = 2**23  # of 100,000 members


@dataclass(frozen=True)
class Tensor:
    """One array of a weight file, not read yet.

    Attributes:
        name: its name in the file, nesting joined by dots.
        shape: its shape as stored.
        dtype: NumPy's or ml_dtypes' name of its element type; any other name is a type that cannot be loaded.
        load: reads this array alone, in its stored dtype; raises InputError where the bytes are missing or damaged.
        memory: identity of the bytes it views, where the format has one: tied tensors have equal identities.
        rank: of a product of two thin matrices, its largest possible rank.
        unreadable: why it cannot be read, where that is known before it is tried; its shape and type are then not.
        file: the part of the name that is the file it is in, where several are read as one; empty otherwise.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], np.ndarray] = field(repr=False)
    memory: Hashable = None
    rank: int | None = None
    unreadable: str = ""
    file: str = ""

    def inside(self, file: str) -> "Tensor":
        """This tensor as one of several files: named FILE/NAME, and its memory distinct from another file's."""
        memory = None if self.memory is None else (file, self.memory)
        return replace(self, name=f"{file}/{self.name}", memory=memory, file=f"{file}/{self.file}")


def unreadable(name: str, reason: str) -> Tensor:
    """A tensor that is known to be missing or damaged, so that it is listed and the others are read."""

    def load() -> np.ndarray:
        raise InputError(reason)

    return Tensor(name, (), "", load, unreadable=reason)


class Probe:
    """The first bytes of a file and, for a zip, the names in it: what a reader decides by."""

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as file:
            self.head = file.read(64)
        self.size = path.stat().st_size

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Names in the zip archive; empty if the file is not one."""
        return tuple(i.filename for i in zip_directory(self.path)) if self.head.startswith(b"PK\x03\x04") else ()


def zip_directory(path: Path) -> list[zipfile.ZipInfo]:
    """What a zip archive says of its members.

    Raises:
        InputError: it is truncated or damaged, or says more than any list of weights.
    """
    try:
        with _Bounded(path) as file, zipfile.ZipFile(file) as archive:
            return archive.infolist()
    except InputError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        raise InputError(f"{path}: truncated or damaged zip archive ({error})") from error


class _Bounded(io.FileIO):
    """A zip archive, whose directory zipfile reads at once, and makes a kilobyte of every entry."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            raise InputError(
                f"{self.name}: a zip archive whose list of members has {size} bytes, more than any weights need"
            )
        return super().read(size)


def numpy_dtype(name: str) -> np.dtype:
    """The NumPy dtype called `name`, the 16- and 8-bit floats of ml_dtypes included; ValueError for any other name."""
    extended = getattr(ml_dtypes, name, None) if name.startswith(("bfloat", "float8")) else None
    try:
        return np.dtype(extended if extended is not None else name)
    except TypeError as error:
        raise ValueError(f"elements of type {name} cannot be read") from error
