"""GGUF files of llama.cpp and its kin, versions 1, 2 and 3, in either byte order.

A header, metadata, a list of tensors, and their data from the next multiple of the alignment on. The gguf package maps
the file and makes an array of every value of its metadata, a vocabulary's strings among them, and believes every count;
here metadata are walked over within the bytes that are there, and only the alignment is kept.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Version 1 has 32-bit counts and lengths, the others
64-bit ones. The byte order is nowhere stated, but a version has small numbers only.
"""

import math
import struct
from pathlib import Path

import numpy as np

from realnets.readers.base import MAX_INDEX_BYTES, MAX_TENSORS, Probe, Tensor, numpy_dtype
from rmt.errors import InputError, printable

FORMAT = "GGUF"

_READABLE = {
    0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64", 30: "bfloat16",
}  # fmt: skip

_QUANTISED = {
    2: "Q4_0", 3: "Q4_1", 4: "Q4_2", 5: "Q4_3", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8",
    34: "TQ1_0", 35: "TQ2_0", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8", 39: "MXFP4", 40: "NVFP4",
    41: "Q1_0",
}  # fmt: skip

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a metadata value by its type; 8 is a string, 9 an array."""

_STRING, _ARRAY, _UINT32 = 8, 9, 4
_MAX_NESTING = 8
_MAX_DIMENSIONS = 8
_MAX_NAME = 1000


def recognises(probe: Probe) -> bool:
    """The four letters that every version begins with."""
    return probe.head[:4] == b"GGUF"


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of the file, quantised ones under the names of their types."""
    with path.open("rb") as file:
        head = file.read(MAX_INDEX_BYTES)
    try:
        return _listed(path, _Cursor(head))
    except struct.error as error:
        whole = path.stat().st_size <= len(head)
        reason = (
            "truncated or damaged"
            if whole
            else f"has more than {MAX_INDEX_BYTES} bytes before its list of tensors ends"
        )
        raise InputError(f"{path}: {reason}; its list of tensors cannot be read") from error
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: damaged GGUF file: {error}") from error


class _Cursor:
    """Reads numbers and names from the first bytes of a file; struct.error where they end."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 4
        (version,) = struct.unpack_from("<I", data, 4)
        self.order = ">" if version & 0xFFFF == 0 else "<"
        self.version = self.u32()
        if self.version not in (1, 2, 3):
            raise ValueError(f"version {self.version} is not 1, 2 or 3")
        self._u32, self._u64 = struct.Struct(f"{self.order}I"), struct.Struct(f"{self.order}Q")
        self._count = self._u32 if self.version == 1 else self._u64

    def u32(self) -> int:
        return self._take(struct.Struct(f"{self.order}I"))

    def u64(self) -> int:
        return self._take(self._u64)

    def count(self) -> int:
        """A count, length or dimension, as wide as the version has them."""
        return self._take(self._count)

    def _take(self, number: struct.Struct) -> int:
        (value,) = number.unpack_from(self.data, self.at)
        self.at += number.size
        return value

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise struct.error("beyond the end")
        self.at += size

    def name(self) -> str:
        length = self.count()
        start = self.at
        self.skip(length)
        if length > _MAX_NAME:
            raise ValueError(f"a name of {length} characters")
        return printable(self.data[start : self.at].decode("utf-8", "replace"))

    def skip_value(self, kind: int, depth: int = 0) -> None:
        if kind in _SIZES:
            return self.skip(_SIZES[kind])
        if kind == _STRING:
            return self.skip(self.count())
        if kind != _ARRAY:
            raise ValueError(f"metadata of the unknown type {kind}")
        if depth >= _MAX_NESTING:
            raise ValueError(f"metadata nested deeper than {_MAX_NESTING} arrays")
        kind, count = self.u32(), self.count()
        if kind in _SIZES:
            return self.skip(count * _SIZES[kind])
        for _ in range(count):  # every value takes bytes, so this ends with them
            self.skip_value(kind, depth + 1)


def _listed(path: Path, cursor: _Cursor) -> list[Tensor]:
    n_tensors, n_values = cursor.count(), cursor.count()
    if n_tensors > MAX_TENSORS:
        raise ValueError(f"it claims to have {n_tensors} tensors")
    alignment = 32
    for _ in range(n_values):
        key, kind = cursor.name(), cursor.u32()
        if key == "general.alignment":
            if kind != _UINT32:
                raise ValueError("its alignment is not a number")
            alignment = cursor.u32()
        else:
            cursor.skip_value(kind)
    if alignment == 0 or alignment & (alignment - 1):
        raise ValueError(f"an alignment of {alignment}, which is not a power of two")
    entries = [_entry(cursor) for _ in range(n_tensors)]
    if len({name for name, *_ in entries}) < len(entries):
        raise ValueError("two tensors of one name")
    base = -(-cursor.at // alignment) * alignment
    return [_tensor(path, name, shape, kind, base + offset, cursor.order) for name, shape, kind, offset in entries]


def _entry(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name, n_dimensions = cursor.name(), cursor.u32()
    if n_dimensions > _MAX_DIMENSIONS:
        raise ValueError(f"{name[:120]!r} has {n_dimensions} dimensions")
    innermost_first = [cursor.count() for _ in range(n_dimensions)]
    return name, tuple(innermost_first[::-1]), cursor.u32(), cursor.u64()


def _tensor(path: Path, name: str, shape: tuple[int, ...], kind: int, start: int, order: str) -> Tensor:
    dtype = _READABLE.get(kind) or _QUANTISED.get(kind) or f"GGML type {kind}"

    def load() -> np.ndarray:
        if kind not in _READABLE:
            raise InputError(f"{path}: {name}: is quantised as {dtype}, which is not read")
        element = numpy_dtype(dtype)
        end = start + math.prod(shape) * element.itemsize
        try:
            data = _bytes(path, start, end)
            if len(data) < end - start:
                raise ValueError(f"truncated: its data end at byte {end}, the file before that")
            flat = np.frombuffer(data, f"{order}u{element.itemsize}")
            return flat.astype(f"u{element.itemsize}", copy=False).view(element).reshape(shape)
        except (OSError, ValueError, OverflowError) as error:
            raise InputError(f"{path}: {name}: cannot be read ({error})") from error

    return Tensor(name, shape, dtype, load)


def _bytes(path: Path, start: int, end: int) -> bytes:
    """Bytes [start, end) of a file, or none if it is shorter: a read allocates what it is asked for."""
    if end > path.stat().st_size:
        return b""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
