"""HDF5 files read as data: a parser of the groups and datasets that weights are kept in, and of nothing else.

HDF5's own library follows whatever addresses, links, filters and sizes a file names, in C, where a fault that a file
sets off is a fault of this process; a few thousand damaged files did not crash it, which is no proof. A weight file
needs little of the format: groups, numeric datasets that are contiguous, compact or chunked, and deflate. That much is
read here by offset, in one list of links and with no allocation that was not first checked against the bytes of the
file; external files, links out of the file, virtual datasets and other filters are refused by name and never followed.

Source: HDF5 File Format Specification, version 3.0 (The HDF Group).
"""

import math
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from realnets.readers.base import MAX_INDEX_BYTES, numpy_dtype
from rmt.datafiles import refuse_zip_bomb
from rmt.errors import InputError

MAGIC = b"\x89HDF\r\n\x1a\n"
MAX_OBJECTS = 1_000_000
"""Most links, blocks and header messages that are looked at in one file: far above those of any network."""

_MAX_DEPTH = 64
_MAX_NAME = 1000
_MAX_BLOCKS = 100  # continuations of one object's header
_MAX_RANK = 32  # as in HDF5
_MAX_HEAP = 2**16
_UNDEFINED = 2**64 - 1
_DATASPACE, _LINK_INFO, _DATATYPE, _LINK, _EXTERNAL, _LAYOUT, _FILTERS = 0x1, 0x2, 0x3, 0x6, 0x7, 0x8, 0xB
_ATTRIBUTE, _CONTINUATION, _SYMBOL_TABLE = 0xC, 0x10, 0x11
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_REWRITE = "write its arrays to a new file of h5py's, without libver and track_order"

Read = Callable[[int, int], bytes]
"""(first byte, number of bytes) -> those bytes, which the file is known to have."""


class Hdf5Error(ValueError):
    """The file is truncated, malformed, or uses a part of HDF5 that weights do not need."""


class _TooLarge(Hdf5Error):
    """The whole file is given up, and not one object of it."""


@dataclass(frozen=True)
class Dataset:
    """One array of the file, not read yet.

    Attributes:
        path: names of its groups and its own.
        address: place of its header; hard links to one dataset have the same.
        shape: its shape.
        dtype: NumPy's name of its element type, or that of its HDF5 class, of which no array can be made.
        attributes: its attributes; the value is None where it is not one short text.
        fault: why it cannot be read, if it cannot; then it has no shape.
        load: reads it, by (read, what an error calls it); raises InputError.
    """

    path: tuple[str, ...]
    address: int
    shape: tuple[int, ...]
    dtype: str
    attributes: dict[str, str | None]
    fault: str
    load: Callable[[Read, str], np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Contents:
    """Datasets of a file in the order of their names, and the attributes of its groups by path."""

    datasets: list[Dataset]
    groups: dict[tuple[str, ...], dict[str, str | None]]


def contents(read: Read, size: int) -> Contents:
    """Every dataset of a file of `size` bytes; no array is read.

    Raises:
        Hdf5Error: the file is no HDF5, is cut short, has no readable root group, or has too many objects.
    """
    return _Walk(read, size).contents()


Message = tuple[int, int, bytes]  # type, flags, data
Filter = tuple[int, tuple[int, ...]]  # number, parameters


class _Walk:
    def __init__(self, read: Read, size: int):
        self._read, self._size = read, size
        self._bytes, self._objects = MAX_INDEX_BYTES, MAX_OBJECTS
        self._heaps: dict[int, bytes] = {}

    def contents(self) -> Contents:
        found = Contents([], {})
        pending: list[tuple[tuple[str, ...], int]] = [((), self._root())]
        entered: set[int] = set()
        while pending:
            path, address = pending.pop()
            try:
                messages = self._messages(address)
                kinds = {kind for kind, _, _ in messages}
                if _LAYOUT in kinds and path:
                    found.datasets.append(_dataset(path, address, messages, self._attributes(messages), self._size))
                elif kinds & {_SYMBOL_TABLE, _LINK_INFO, _LINK}:
                    if address in entered:  # a cycle, or a group under two names
                        continue
                    entered.add(address)
                    found.groups[path] = self._attributes(messages)
                    links = sorted(self._links(messages), key=lambda link: link[0], reverse=True)
                    for name, child in links:
                        if child is None:
                            found.datasets.append(
                                _unreadable((*path, name), 0, "is a link, and links are not followed")
                            )
                        elif len(path) >= _MAX_DEPTH or len(name) > _MAX_NAME:
                            raise Hdf5Error(f"nests deeper than {_MAX_DEPTH} groups, or has names of over {_MAX_NAME}")
                        else:
                            pending.append(((*path, name), child))
            except _TooLarge:
                raise
            except (Hdf5Error, struct.error, IndexError) as error:
                fault = str(error) if isinstance(error, Hdf5Error) else "has a malformed header"
                if not path:
                    raise Hdf5Error(f"its root group {fault}") from error
                found.datasets.append(_unreadable(path, address, fault))
        return found

    # --- bytes

    def _take(self, start: int, length: int) -> bytes:
        if start + length > self._size:
            raise Hdf5Error(f"points to byte {start + length} of a file of {self._size}")
        self._bytes -= length
        if self._bytes < 0:
            raise _TooLarge(f"its lists of contents are longer than {MAX_INDEX_BYTES} bytes")
        return self._read(start, length)

    def _count(self, objects: int = 1) -> None:
        self._objects -= objects
        if self._objects < 0:
            raise _TooLarge(f"has more than {MAX_OBJECTS} objects")

    def _signed(self, address: int, signature: bytes, length: int) -> bytes:
        block = self._take(address, length)
        if not block.startswith(signature):
            raise Hdf5Error(f"has no {signature.decode()} block where it says")
        return block

    # --- superblock and object headers

    def _root(self) -> int:
        """Address of the root group's header, once the file was seen to have the length it says."""
        head = self._take(0, min(self._size, 96))
        version = head[8] if head.startswith(MAGIC) and len(head) > 8 else -1
        try:
            if version in (0, 1):
                sizes, start = head[13:15], 24 + 4 * version
                base, _, end, _, _, root = struct.unpack_from("<6Q", head, start)
            elif version in (2, 3):
                sizes = head[9:11]
                base, _, end, root = struct.unpack_from("<4Q", head, 12)
            else:
                raise Hdf5Error("is no HDF5 file of a known version")
        except struct.error as error:
            raise Hdf5Error("is truncated") from error
        if sizes != b"\x08\x08" or base != 0:
            raise Hdf5Error("has addresses of another size than 8 bytes, or from another place than its start")
        if end > self._size:
            raise Hdf5Error(f"is truncated: {end} bytes by its header, {self._size} are there")
        return root

    def _messages(self, address: int) -> list[Message]:
        self._count()
        head = self._take(address, min(16, max(self._size - address, 0)))
        if head[:1] == b"\x01":
            (length,) = struct.unpack_from("<I", head, 8)
            return self._blocks(address + 16, length, struct.Struct("<HHB3x"), b"", 0)
        if head[:5] != b"OHDR\x02":
            raise Hdf5Error("has no object header where it says")
        flags = head[5]
        start = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        length = int.from_bytes(self._take(address + start, width), "little")
        return self._blocks(
            address + start + width, length, struct.Struct("<BHB2x" if flags & 4 else "<BHB"), b"OCHK", 4
        )

    def _blocks(self, start: int, length: int, header: struct.Struct, signature: bytes, trailer: int) -> list[Message]:
        """Messages of a header and of the blocks that continue it, which have a signature and a trailing checksum."""
        found: list[Message] = []
        blocks = [(start, length)]
        for at, (start, length) in enumerate(blocks):
            if at >= _MAX_BLOCKS or (start, length) in blocks[:at]:
                raise Hdf5Error("has a header that never ends")
            block = self._take(start, length)
            if at and signature:
                if not block.startswith(signature):
                    raise Hdf5Error("has no continuation where it says")
                block = block[len(signature) : len(block) - trailer]
            place = 0
            while place + header.size <= len(block):
                kind, size, flags = header.unpack_from(block, place)
                place += header.size
                data = block[place : place + size]
                if len(data) != size:
                    raise Hdf5Error("has a header message that is cut short")
                place += size
                self._count()
                if kind == _CONTINUATION:
                    blocks.append(struct.unpack_from("<QQ", data))
                elif flags & 2 and kind in (_DATASPACE, _DATATYPE, _FILTERS):
                    raise Hdf5Error("shares its type with other datasets, which is not read")
                else:
                    found.append((kind, flags, data))
        return found

    # --- groups

    def _links(self, messages: list[Message]) -> Iterator[tuple[str, int | None]]:
        """Name and header address of every member; None for soft and external links."""
        for kind, _, data in messages:
            if kind == _SYMBOL_TABLE:
                yield from self._symbols(*struct.unpack_from("<QQ", data))
            elif kind == _LINK:
                yield _link(data)
            elif kind == _LINK_INFO:
                (heap,) = struct.unpack_from("<Q", data, 10 if data[1] & 1 else 2)
                if heap != _UNDEFINED:
                    raise Hdf5Error(f"keeps its links in a heap, which is not read; {_REWRITE}")

    def _symbols(self, tree: int, heap: int) -> Iterator[tuple[str, int | None]]:
        segment, _, place = struct.unpack_from("<QQQ", self._signed(heap, b"HEAP", 32), 8)
        names = self._take(place, segment)
        met: set[int] = set()
        for _, node in _leaves(self._node, tree, 0, 8):
            if node in met:
                raise Hdf5Error("has one list of members twice")
            met.add(node)
            (count,) = struct.unpack_from("<H", self._signed(node, b"SNOD", 8), 6)
            self._count(count)
            for offset, header, cache in struct.iter_unpack("<QQI20x", self._take(node + 8, 40 * count)):
                end = names.find(b"\0", offset)
                if not 0 <= offset < end:
                    raise Hdf5Error("has a member without a name")
                yield names[offset:end].decode("utf-8", "replace"), None if cache == 2 else header

    def _node(self, start: int, length: int) -> bytes:
        self._count()
        return self._take(start, length)

    # --- attributes

    def _attributes(self, messages: list[Message]) -> dict[str, str | None]:
        found = {}
        for kind, _, data in messages:
            if kind == _ATTRIBUTE:
                try:
                    name, value = self._attribute(data)
                except _TooLarge:
                    raise
                except (Hdf5Error, struct.error, IndexError):  # only ever a help with names
                    continue
                found[name] = value
        return found

    def _attribute(self, data: bytes) -> tuple[str, str | None]:
        version, *sizes = struct.unpack_from("<BxHHH", data)
        place, parts = 9 if version == 3 else 8, []
        for size in sizes:
            parts.append(data[place : place + size])
            place += -(-size // 8) * 8 if version == 1 else size
        name, datatype, _ = parts
        value, name = data[place:], name.split(b"\0")[0].decode("utf-8", "replace")
        kind = datatype[0] & 15
        if name not in ("name", "dtype"):
            return name, None
        if kind == 9 and datatype[1] & 15 == 1:
            value = self._heap_object(*struct.unpack_from("<4xQI", value))
        elif kind != 3:
            return name, None
        return name, value.split(b"\0")[0].decode("utf-8", "replace")

    def _heap_object(self, address: int, wanted: int) -> bytes:
        """One value of the global heap, where texts of no fixed length are kept."""
        if address not in self._heaps:
            (size,) = struct.unpack_from("<Q", self._signed(address, b"GCOL", 16), 8)
            self._heaps[address] = self._take(address, min(size, _MAX_HEAP))
        heap = self._heaps[address]
        place = 16
        while place + 16 <= len(heap):
            index, length = struct.unpack_from("<H6xQ", heap, place)
            if index == wanted:
                return heap[place + 16 : place + 16 + length]
            place += 16 + -(-length // 8) * 8
        raise Hdf5Error("has no such text")


def _leaves(read: Read, tree: int, kind: int, key_size: int) -> Iterator[tuple[bytes, int]]:
    """(key, address) of what a version 1 B-tree holds; no node is entered twice."""
    pending, entered = [(tree, -1)], set()
    while pending:
        address, level = pending.pop()
        if address in entered:
            raise Hdf5Error("has a B-tree that leads back into itself")
        entered.add(address)
        head = read(address, 24)
        signature, found_kind, found_level, count = struct.unpack_from("<4sBBH", head)
        if signature != b"TREE" or found_kind != kind or (level >= 0 and found_level != level):
            raise Hdf5Error("has no B-tree node where it says")
        step = key_size + 8
        entries = read(address + 24, step * count)
        children = [
            (entries[i : i + key_size], int.from_bytes(entries[i + key_size : i + step], "little"))
            for i in range(0, step * count, step)
        ]
        if found_level == 0:
            yield from children
        else:
            pending += [(child, found_level - 1) for _, child in reversed(children)]


def _link(data: bytes) -> tuple[str, int | None]:
    flags, place = data[1], 2
    kind = data[place] if flags & 8 else 0
    place += (1 if flags & 8 else 0) + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length = int.from_bytes(data[place : place + width], "little")
    place += width
    name = data[place : place + length].decode("utf-8", "replace")
    if kind != 0:
        return name, None
    return name, struct.unpack_from("<Q", data, place + length)[0]


# --- datasets


@dataclass(frozen=True)
class _Layout:
    """Where the elements are: `data` themselves, or at `address`; in a B-tree there if `chunk` is a shape."""

    data: bytes | None
    address: int
    nbytes: int
    chunk: tuple[int, ...] | None


def _dataset(
    path: tuple[str, ...], address: int, messages: list[Message], attributes: dict[str, str | None], size: int
) -> Dataset:
    parts = {kind: data for kind, _, data in reversed(messages)}
    if _EXTERNAL in parts:
        raise Hdf5Error("has its data in other files, which are never opened")
    if not {_DATASPACE, _DATATYPE} <= parts.keys():
        raise Hdf5Error("has no shape or no type")
    shape = _shape(parts[_DATASPACE])
    name, itemsize, byteorder = _datatype(parts[_DATATYPE])
    if name == "opaque" and itemsize == 2 and attributes.get("dtype") == "bfloat16":  # as Keras 3 writes it
        name = "bfloat16"
    layout = _layout(parts[_LAYOUT], len(shape), itemsize)
    filters = _filters(parts[_FILTERS]) if _FILTERS in parts else []

    def load(read: Read, where: str) -> np.ndarray:
        try:
            dtype = numpy_dtype(name)
            stored = dtype.newbyteorder(byteorder)
            if layout.chunk is not None:
                array = _chunked(_bounded(read, size), size, layout, layout.chunk, filters, shape, stored, where)
            else:
                data = _flat(_bounded(read, size), layout, math.prod(shape) * dtype.itemsize)
                array = np.frombuffer(data, stored).reshape(shape)
            return array.astype(dtype, copy=False)
        except (ValueError, struct.error, OverflowError) as error:  # Hdf5Error; no elements, and an impossible shape
            raise InputError(f"{where}: {error}") from error

    return Dataset(path, address, shape, name, attributes, "", load)


def _unreadable(path: tuple[str, ...], address: int, fault: str) -> Dataset:
    def load(read: Read, where: str) -> np.ndarray:
        raise InputError(f"{where}: {fault}")

    return Dataset(path, address, (), "", {}, fault, load)


def _shape(data: bytes) -> tuple[int, ...]:
    version, rank = data[0], data[1]
    if version not in (1, 2) or rank > _MAX_RANK:
        raise Hdf5Error("has a shape of unknown form")
    if version == 2 and data[3] == 2:
        return (0,)
    shape = struct.unpack_from(f"<{rank}Q", data, 8 if version == 1 else 4)
    if any(n >= 2**63 for n in shape):
        raise Hdf5Error("has an impossible shape")
    return shape


_CLASSES = (
    "integer", "float", "time", "string", "bitfield", "opaque", "compound", "reference", "enum", "text", "array",
    "complex",
)  # fmt: skip

_FLOATS = {
    (2, 10, 5, 0, 10, 15): "float16", (4, 23, 8, 0, 23, 127): "float32", (8, 52, 11, 0, 52, 1023): "float64",
    (2, 7, 8, 0, 7, 127): "bfloat16", (1, 3, 4, 0, 3, 7): "float8_e4m3fn", (1, 2, 5, 0, 2, 15): "float8_e5m2",
}  # fmt: skip
"""(bytes, places and widths of exponent and mantissa, bias) of the floats that have a name in NumPy or ml_dtypes."""


def _datatype(data: bytes) -> tuple[str, int, Literal["<", ">"]]:
    """Name, bytes of an element, and byte order."""
    kind, bits, size = data[0] & 15, data[1], struct.unpack_from("<I", data, 4)[0]
    byteorder = ">" if bits & 1 else "<"
    name = _CLASSES[kind] if kind < len(_CLASSES) else "unknown"
    if kind <= 1 and struct.unpack_from("<HH", data, 8) == (0, 8 * size):
        if kind == 0 and size in (1, 2, 4, 8):
            name = f"{'int' if bits & 8 else 'uint'}{8 * size}"
        elif kind == 1 and not bits & 0x40:
            name = _FLOATS.get((size, *struct.unpack_from("<BBBBI", data, 12)), name)
    return name, size, byteorder


def _layout(data: bytes, rank: int, itemsize: int) -> _Layout:
    version, kind = data[0], data[1]
    if version < 3:
        raise Hdf5Error("is laid out in a form older than HDF5 1.6, which is not read")
    if version > 4:
        raise Hdf5Error(f"is laid out in a newer form, which is not read; {_REWRITE}")
    if kind == 0:
        (length,) = struct.unpack_from("<H", data, 2)
        return _Layout(data[4 : 4 + length], 0, length, None)
    if kind == 1:
        return _Layout(None, *struct.unpack_from("<QQ", data, 2), None)
    if kind == 3:
        raise Hdf5Error("is a virtual dataset, made of others, which is not followed")
    if kind != 2 or version != 3:
        raise Hdf5Error(f"is laid out in a newer form, which is not read; {_REWRITE}")
    dimensions, address = struct.unpack_from("<BQ", data, 2)
    *chunk, element = struct.unpack_from(f"<{dimensions}I", data, 11)
    if len(chunk) != rank or element != itemsize or 0 in chunk:
        raise Hdf5Error("has chunks that do not fit its shape")
    return _Layout(None, address, 0, tuple(chunk))


def _filters(data: bytes) -> list[Filter]:
    """Filters in the order of writing."""
    version, count = data[0], data[1]
    if version not in (1, 2):
        raise Hdf5Error("has filters of unknown form")
    place, found = 8 if version == 1 else 2, []
    for _ in range(count):
        (identifier,) = struct.unpack_from("<H", data, place)
        named = version == 1 or identifier >= 256
        length = struct.unpack_from("<H", data, place + 2)[0] if named else 0
        place += 4 if named else 2
        _, numbers = struct.unpack_from("<HH", data, place)
        place += 4 + (-(-length // 8) * 8 if version == 1 else length)
        found.append((identifier, struct.unpack_from(f"<{numbers}I", data, place)))
        place += 4 * (numbers + (numbers % 2 if version == 1 else 0))
    if strange := [i for i, _ in found if i not in (_DEFLATE, _SHUFFLE, _FLETCHER32)]:
        raise Hdf5Error(f"is packed by filter {strange[0]}, which is not run; pack it by gzip or not at all")
    return found


def _bounded(read: Read, size: int) -> Read:
    def take(start: int, length: int) -> bytes:
        if start + length > size:
            raise Hdf5Error(f"has data up to byte {start + length} of a file of {size}")
        return read(start, length)

    return take


def _flat(take: Read, layout: _Layout, nbytes: int) -> bytes:
    if layout.nbytes != nbytes:
        raise Hdf5Error(f"has {layout.nbytes} bytes, its shape and type need {nbytes}")
    if layout.data is not None:
        return layout.data
    if layout.address == _UNDEFINED and nbytes:
        raise Hdf5Error("was never written")
    return take(layout.address, nbytes) if nbytes else b""


def _chunked(
    take: Read,
    size: int,
    layout: _Layout,
    chunk: tuple[int, ...],
    filters: list[Filter],
    shape: tuple[int, ...],
    dtype: np.dtype,
    where: str,
) -> np.ndarray:
    """The array put together from its chunks, all of which have to be there."""
    wanted = math.prod(-(-n // c) for n, c in zip(shape, chunk, strict=True))
    if wanted == 0:
        return np.empty(shape, dtype)
    key = struct.Struct(f"<II{len(shape) + 1}Q")
    if layout.address == _UNDEFINED or wanted * (key.size + 8) > size:
        raise Hdf5Error("has no data, or not for its whole shape")
    places: dict[tuple[int, ...], tuple[int, int, int]] = {}
    for packed_key, address in _leaves(take, layout.address, 1, key.size):
        length, mask, *offset, _ = key.unpack(packed_key)
        places[tuple(offset)] = (address, length, mask)
    inside = all(o % c == 0 and o < n for spot in places for o, n, c in zip(spot, shape, chunk, strict=True))
    if len(places) != wanted or not inside:
        raise Hdf5Error(f"has {len(places)} chunks, its shape needs {wanted}")
    packed, unpacked = sum(length for _, length, _ in places.values()), math.prod(chunk) * dtype.itemsize
    if packed > size:
        raise Hdf5Error("has more bytes in its chunks than in the file")
    refuse_zip_bomb(where, packed, max(wanted * unpacked, math.prod(shape) * dtype.itemsize))
    array = np.empty(shape, dtype)
    for spot, (address, length, mask) in places.items():
        data = _unfiltered(take(address, length), filters, mask, unpacked)
        cut = tuple(slice(o, o + c) for o, c in zip(spot, chunk, strict=True))
        part = array[(*cut, ...)]
        part[...] = np.frombuffer(data, dtype).reshape(chunk)[tuple(slice(n) for n in part.shape)]
    return array


def _unfiltered(data: bytes, filters: list[Filter], mask: int, nbytes: int) -> bytes:
    for at, (identifier, numbers) in reversed(list(enumerate(filters))):
        if mask >> at & 1:
            continue
        if identifier == _DEFLATE:
            try:
                data = zlib.decompressobj().decompress(data, nbytes + 4)
            except zlib.error as error:
                raise Hdf5Error(f"is damaged ({error})") from error
        elif identifier == _FLETCHER32:
            data = data[:-4]
        elif numbers and numbers[0] > 1 and len(data) % numbers[0] == 0:
            data = np.frombuffer(data, np.uint8).reshape(numbers[0], -1).T.tobytes()
    if len(data) != nbytes:
        raise Hdf5Error(f"has a chunk of {len(data)} bytes where {nbytes} are needed")
    return data
