"""Protocol Buffers' wire format, walked lazily: the fields of a message with where they lie, and no payload read.

The protobuf package would parse a message whole, weights and all, and needs the generated classes of every format.

Source: "Encoding", the documentation of Protocol Buffers (protobuf.dev/programming-guides/encoding).
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from realnets.readers.base import MAX_INDEX_BYTES
from rmt.errors import printable

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; the other two are groups, which neither ONNX nor TensorFlow has."""

MAX_FIELDS = 4_000_000
"""Fields walked before a file is refused: those of a graph of 100,000 nodes, seconds at most."""

MAX_NAME = 1000
"""Longest name that is given; what is behind it is cut off."""

_BLOCK = 2**16
_PIECE = 2**20
_WIDTH = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """The bytes are not a message: truncated, malformed, or too large for a list of contents."""


class TooLarge(WireError):
    """Reading the message would take more work or memory than any list of contents."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: its number in the message's definition.
        wire: its wire type.
        value: the unsigned number of a VARINT, and 0 for every other type.
        start: where its payload begins.
        end: where its payload ends.
    """

    number: int
    wire: int
    value: int
    start: int
    end: int


class Source:
    """A file that messages are read from by offset, through one block in memory, and the work spent on it.

    Args:
        file: the file; it is sought at will.
        size: its number of bytes.
    """

    def __init__(self, file: BinaryIO, size: int):
        self._file = file
        self.size = size
        self._block, self._at = b"", 0
        self._fields = self._bytes = 0

    def read(self, start: int, length: int) -> bytes:
        """Bytes [start, start + length), fewer at the end of the file; `length` is trusted."""
        begin = start - self._at
        if begin >= 0 and begin + length <= len(self._block):
            return self._block[begin : begin + length]
        self._file.seek(start)
        if length > _BLOCK:
            return self._file.read(length)
        self._block, self._at = self._file.read(_BLOCK), start
        return self._block[:length]

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message in [start, end), which they have to fill exactly.

        Raises:
            WireError: see the class.
        """
        if end > self.size:
            raise WireError(f"truncated: {end} bytes are needed, {self.size} are there")
        at = start
        while at < end:
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise TooLarge(f"holds more than {MAX_FIELDS} fields")
            head = self.read(at, min(20, end - at))
            tag, used = varint(head)
            number, wire, value = tag >> 3, tag & 7, 0
            if wire == VARINT:
                value, size = varint(head, used)
                begin, stop = at + used, at + size
            elif wire == BYTES:
                size, used = varint(head, used)
                begin = at + used
                stop = begin + size
            else:
                begin = at + used
                stop = begin + _WIDTH.get(wire, end)  # groups are refused below
            at = stop
            if 0 < number < 2**29 and wire == BYTES and stop > end == self.size:
                raise WireError(f"truncated: {stop} bytes are needed, {end} are there")
            if not 0 < number < 2**29 or stop > end:
                raise WireError(f"malformed: field {number} at byte {begin} is impossible")
            yield Field(number, wire, value, begin, stop)

    def message(self, field: Field) -> Iterator[Field]:
        """The fields of the message that a field holds.

        Raises:
            WireError: it holds none, or see the class.
        """
        if field.wire != BYTES:
            raise WireError(f"malformed: field {field.number} at byte {field.start} is no message")
        return self.fields(field.start, field.end)

    def text(self, field: Field) -> str:
        """A field's text, safe to print: cut at MAX_NAME bytes, what is not printable escaped.

        Raises:
            WireError: it is no text, or the file has more text than any list of contents.
        """
        return plain(self.payload(field, MAX_NAME))

    def payload(self, field: Field, most: int) -> bytes:
        """The first `most` bytes of a field of bytes.

        Raises:
            WireError: it is of another type, or the file has more such bytes than any list of contents.
        """
        if field.wire != BYTES:
            raise WireError(f"malformed: field {field.number} at byte {field.start} is no run of bytes")
        length = min(field.end - field.start, most)
        self._bytes += length
        if self._bytes > MAX_INDEX_BYTES:
            raise TooLarge(f"holds more than {MAX_INDEX_BYTES} bytes of text")
        return self.read(field.start, length)

    def integers(self, field: Field, most: int) -> list[int]:
        """The signed integers of a field, packed or not.

        Raises:
            WireError: there are more than `most`, or it is of another type.
        """
        if field.wire == VARINT:
            return [signed(field.value)]
        if field.wire != BYTES or field.end - field.start > 10 * most:
            raise WireError(f"malformed: field {field.number} at byte {field.start} is no list of {most} integers")
        data, found, at = self.payload(field, 10 * most), [], 0
        while at < len(data):
            value, at = varint(data, at)
            found.append(signed(value))
        if len(found) > most:
            raise WireError(f"malformed: field {field.number} at byte {field.start} has over {most} integers")
        return found


def varint(data: bytes, at: int = 0) -> tuple[int, int]:
    """The unsigned number that begins at `at`, of at most ten bytes and modulo 2^64, and where the next one begins.

    Raises:
        WireError: no number ends there.
    """
    if at < len(data) and data[at] < 0x80:  # as most numbers are
        return data[at], at + 1
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value & (2**64 - 1), at + i + 1
    raise WireError("malformed: holds a number that does not end")


def signed(value: int) -> int:
    """The integer of 64 bits whose two's complement is `value`."""
    return value - 2**64 if value >= 2**63 else value


def varints(data: bytes, count: int, dtype: np.dtype) -> np.ndarray:
    """`count` packed numbers as integers of `dtype`, which keep their low bits.

    Raises:
        WireError: the bytes hold another number of them.
    """
    found, filled, at = np.empty(count, dtype), 0, 0
    while at < len(data):
        piece = np.frombuffer(data, np.uint8, min(_PIECE, len(data) - at), at)
        ends = np.flatnonzero(piece < 0x80)
        if not ends.size or ends.size > count - filled:
            raise WireError(f"malformed: {count} numbers are needed, others are there")
        starts = np.append(0, ends[:-1] + 1)
        lengths = ends - starts + 1
        if lengths.max() > 10:
            raise WireError("malformed: holds a number of over 10 bytes")
        values = np.zeros(ends.size, np.uint64)
        for i in range(lengths.max()):
            on = lengths > i
            values[on] |= (piece[starts[on] + i] & 0x7F).astype(np.uint64) << np.uint64(7 * i)
        found[filled : filled + ends.size] = values.astype(dtype)
        filled += ends.size
        at += int(ends[-1]) + 1
    if filled != count:
        raise WireError(f"malformed: {count} numbers are needed, {filled} are there")
    return found


def plain(data: bytes) -> str:
    """A name out of a file, safe to print in one line."""
    return printable(data[:MAX_NAME].decode(errors="replace"))
