"""Flax's msgpack files (flax.serialization.to_bytes): nested maps whose leaves are arrays in extension types.

The msgpack library gives back whole values only, so listing with it would load every array. Here the file is walked from
one header to the next, and arrays are stepped over.

Source: the MessagePack specification; an array is extension type 1 (type 3 if a NumPy scalar) around the msgpack array
    of shape, dtype's name and bytes, and one of over 1 GiB is a map of __msgpack_chunked_array__, shape and chunks.
"""

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from realnets.readers.base import MAX_INDEX_BYTES, MAX_TENSORS, Probe, Tensor, numpy_dtype, unreadable
from rmt.errors import InputError

FORMAT = "Flax msgpack"

_MAX_ITEMS = 1_000_000
_MAX_DEPTH = 64
_MAX_NAME = 1000
_MAX_RANK = 32
_ARRAY_HEAD = 2 + 9 * (_MAX_RANK + 1) + _MAX_NAME  # longer than what stands before an array's bytes
_ARRAY, _SCALAR = 1, 3
_CHUNKED = "__msgpack_chunked_array__"
_DTYPES = re.compile(r"(u?int|float|bfloat|float8_|complex|bool)\w*")

Key = tuple[str, ...]


class _MsgpackError(ValueError):
    """The bytes are no msgpack, are cut short, or are not what Flax writes."""


@dataclass(frozen=True)
class _Item:
    """One msgpack value: its kind, where its content begins, the length of that, and what a number is.

    `length` counts bytes of texts, binaries and extensions, and members of maps and arrays.
    """

    kind: str
    start: int
    length: int = 0
    value: int = 0


@dataclass(frozen=True)
class _Array:
    """Where an array's bytes are, and what they are."""

    shape: tuple[int, ...]
    dtype: str
    start: int
    nbytes: int


_Parts = tuple[tuple[int, ...], list[_Array]]  # shape of the whole, its pieces
_Leaf = _Array | int | str  # an array, a whole number, or why an array cannot be read


def recognises(probe: Probe) -> bool:
    """A msgpack map with members, of which the first is named by printable text."""
    head = probe.head
    try:
        root = _item(head, 0)
        key = _item(head, root.start)
    except _MsgpackError:
        return False
    if root.kind != "map" or not root.length or key.kind != "text" or not 0 < key.length <= _MAX_NAME:
        return False
    text = head[key.start : key.start + key.length].decode("utf-8", "ignore")  # may end within a character
    return bool(text) and text.isprintable() and root.length * 2 < probe.size


def tensors(path: Path) -> list[Tensor]:
    """Every array of the file, whose structure is walked to its last byte."""
    try:
        with path.open("rb") as file:
            found = _Walk(file, path.stat().st_size).leaves()
        return [_tensor(path, ".".join(key) or "array", parts) for key, parts in _joined(found).items()]
    except _MsgpackError as error:
        raise InputError(f"{path}: truncated, damaged or no msgpack file of Flax ({error})") from error


def _tensor(path: Path, name: str, parts: _Parts | str) -> Tensor:
    where = f"{path}: {name}"
    if isinstance(parts, str):
        return unreadable(name, f"{where}: {parts}")
    shape, arrays = parts
    stored = arrays[0].dtype

    def load() -> np.ndarray:
        try:
            dtype = numpy_dtype(stored) if _DTYPES.fullmatch(stored) else None
            if dtype is None:
                raise ValueError(f"elements of type {stored} cannot be read")
            if any(math.prod(a.shape) * dtype.itemsize != a.nbytes for a in arrays):
                raise ValueError(f"shape {str(shape)[:80]} does not fit its bytes")
            with path.open("rb") as file:
                pieces = []
                for a in arrays:
                    file.seek(a.start)
                    pieces.append(np.frombuffer(file.read(a.nbytes), dtype.newbyteorder("<")))
            flat = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            return flat.astype(dtype, copy=False).reshape(shape)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(f"{where}: cannot be read ({error})") from error

    return Tensor(name, shape, stored, load)


def _joined(leaves: dict[Key, _Leaf]) -> dict[Key, _Parts | str]:
    """Arrays by their names, those in chunks put together; a text says why one cannot be read."""
    chunked = {key[:-1] for key in leaves if key[-1] == _CHUNKED}
    pieces: dict[Key, dict[tuple[str, str], _Leaf]] = {key: {} for key in chunked}
    found: dict[Key, _Parts | str] = {}
    for key, leaf in leaves.items():
        if key[:-1] in chunked:
            found[key[:-1]] = ""
        elif key[:-2] in chunked and key[-2] in ("shape", "chunks"):
            pieces[key[:-2]][key[-2], key[-1]] = leaf
        elif isinstance(leaf, _Array):
            found[key] = leaf.shape, [leaf]
        elif isinstance(leaf, str):
            found[key] = leaf
    for key in chunked:
        found[key] = _whole(pieces[key])
    return found


def _whole(pieces: dict[tuple[str, str], _Leaf]) -> _Parts | str:
    of = {
        part: [pieces.get((part, str(i))) for i in range(sum(p == part for p, _ in pieces))]
        for part in ("shape", "chunks")
    }
    shape = tuple(n for n in of["shape"] if isinstance(n, int) and n >= 0)
    chunks = [c for c in of["chunks"] if isinstance(c, _Array)]
    if len(shape) + len(chunks) != len(pieces) or not chunks or len(shape) > _MAX_RANK:
        return "its chunks or its shape are incomplete"
    if len({c.dtype for c in chunks}) > 1 or sum(math.prod(c.shape) for c in chunks) != math.prod(shape):
        return "its chunks do not fit its shape"
    return shape, chunks


class _Walk:
    """Steps through a file of `size` bytes."""

    def __init__(self, file: BinaryIO, size: int):
        self._file, self._size = file, size
        self._items, self._bytes = _MAX_ITEMS, MAX_INDEX_BYTES

    def leaves(self) -> dict[Key, _Leaf]:
        """Arrays and whole numbers by their paths, and for a damaged array what is wrong with it."""
        found: dict[Key, _Leaf] = {}
        root = self._next(0)
        if root.kind != "map":
            raise _MsgpackError("is not a map")
        place = root.start
        open_: list[tuple[Key, str, int, int]] = [((), "map", root.length, 0)]  # path, kind, members, members seen
        while open_:
            path, kind, length, seen = open_.pop()
            if seen == length:
                continue
            open_.append((path, kind, length, seen + 1))
            name, place = self._key(place, not path) if kind == "map" else (str(seen), place)
            item = self._next(place)
            place = item.start
            if len(found) > MAX_TENSORS:
                raise _MsgpackError(f"holds more than {MAX_TENSORS} arrays")
            if item.kind in ("map", "array"):
                if len(open_) > _MAX_DEPTH:
                    raise _MsgpackError(f"nests deeper than {_MAX_DEPTH} levels")
                open_.append(((*path, name), item.kind, item.length, 0))
                continue
            place += item.length
            if item.kind == "number" and (name == _CHUNKED or path[-1:] == ("shape",)):
                found[(*path, name)] = item.value
            elif item.kind == "extension" and item.value in (_ARRAY, _SCALAR):
                try:
                    found[(*path, name)] = _array(self._read(item.start, min(item.length, _ARRAY_HEAD)), item)
                except _MsgpackError as error:
                    found[(*path, name)] = str(error)
        if place != self._size:
            raise _MsgpackError(f"{self._size - place} bytes follow its end")
        return found

    def _read(self, start: int, length: int) -> bytes:
        self._bytes -= length
        if self._bytes < 0:
            raise _MsgpackError(f"its list of contents is longer than {MAX_INDEX_BYTES} bytes")
        self._file.seek(start)
        return self._file.read(length)

    def _next(self, place: int) -> _Item:
        """The value at `place`; its content is in the file."""
        self._items -= 1
        if self._items < 0:
            raise _MsgpackError(f"holds more than {_MAX_ITEMS} values")
        found = _item(self._read(place, 9), 0)
        item = _Item(found.kind, place + found.start, found.length, found.value)
        least = 2 * item.length if item.kind == "map" else item.length
        if item.start + least > self._size:
            raise _MsgpackError(f"a value of {least} bytes or more begins at {item.start} of {self._size}")
        return item

    def _key(self, place: int, root: bool) -> tuple[str, int]:
        item = self._next(place)
        if item.kind == "number" and not root:
            return str(item.value), item.start
        if item.kind != "text" or item.length > _MAX_NAME:
            raise _MsgpackError("names a member by something that is not text, or too long")
        return self._read(item.start, item.length).decode("utf-8", "replace"), item.start + item.length


def _array(head: bytes, extension: _Item) -> _Array:
    """The array whose shape, type and bytes fill an extension that begins with `head`."""
    outer = _item(head, 0)
    dimensions = _item(head, outer.start)
    if (outer.kind, outer.length, dimensions.kind) != ("array", 3, "array") or dimensions.length > _MAX_RANK:
        raise _MsgpackError("is not an array of shape, type and bytes")
    shape, place = [], dimensions.start
    for _ in range(dimensions.length):
        n = _item(head, place)
        if n.kind != "number" or not 0 <= n.value < 2**63:
            raise _MsgpackError("has an impossible shape")
        shape.append(n.value)
        place = n.start
    dtype = _item(head, place)
    name = head[dtype.start : dtype.start + dtype.length]
    content = _item(head, dtype.start + dtype.length)
    if dtype.kind not in ("text", "bytes") or content.kind not in ("text", "bytes") or dtype.length > _MAX_NAME:
        raise _MsgpackError("is not an array of shape, type and bytes")
    if content.start + content.length != extension.length:
        raise _MsgpackError(f"has {content.length} bytes where {extension.length - content.start} are there")
    return _Array(tuple(shape), name.decode("ascii", "replace"), extension.start + content.start, content.length)


# First byte -> kind, and struct's code of the length or value behind it; an extension has its type in one more byte.
_CODES: dict[int, tuple[str, str]] = {
    0xC0: ("nothing", ""), 0xC2: ("number", ""), 0xC3: ("number", ""),
    0xC4: ("bytes", "B"), 0xC5: ("bytes", "H"), 0xC6: ("bytes", "I"),
    0xC7: ("extension", "B"), 0xC8: ("extension", "H"), 0xC9: ("extension", "I"),
    0xCA: ("float", "4s"), 0xCB: ("float", "8s"),
    0xCC: ("number", "B"), 0xCD: ("number", "H"), 0xCE: ("number", "I"), 0xCF: ("number", "Q"),
    0xD0: ("number", "b"), 0xD1: ("number", "h"), 0xD2: ("number", "i"), 0xD3: ("number", "q"),
    0xD9: ("text", "B"), 0xDA: ("text", "H"), 0xDB: ("text", "I"),
    0xDC: ("array", "H"), 0xDD: ("array", "I"), 0xDE: ("map", "H"), 0xDF: ("map", "I"),
}  # fmt: skip


def _item(data: bytes, place: int) -> _Item:
    """The value whose first byte is data[place]; only its header has to be in `data`."""
    try:
        first, place = data[place], place + 1
        if first < 0x80 or first >= 0xE0:
            return _Item("number", place, value=first if first < 0x80 else first - 0x100)
        if first < 0xC0:
            kind, mask = ("map", 15) if first < 0x90 else ("array", 15) if first < 0xA0 else ("text", 31)
            return _Item(kind, place, first & mask)
        if 0xD4 <= first <= 0xD8:
            return _Item("extension", place + 1, 1 << (first - 0xD4), struct.unpack_from("b", data, place)[0])
        if first not in _CODES:
            raise _MsgpackError(f"byte {first:#x} begins no value")
        kind, code = _CODES[first]
        number = struct.unpack_from(f">{code}", data, place)[0] if code else first & 1
        place += struct.calcsize(f">{code}")
        if kind == "extension":
            return _Item(kind, place + 1, number, struct.unpack_from("b", data, place)[0])
        if kind in ("number", "float", "nothing"):
            return _Item(kind, place, value=number if kind == "number" else 0)
        return _Item(kind, place, number)
    except (IndexError, struct.error) as error:
        raise _MsgpackError("is cut short") from error
