"""TensorFlow checkpoints: PREFIX.index, a sorted table of what there is, beside the shards PREFIX.data-00000-of-00001.

TensorFlow itself is the only library that reads them, so the table is read here. Checksums of table and tensors are
checked. Blocks that are compressed, as TensorFlow never writes them, and shards of big-endian machines are refused.

An object checkpoint (TensorFlow 2) has keys that follow Python attributes and may lead to a layer's kernel through
the optimiser: optimizer/_trainable_variables/1. So a tensor is called by the variable's own path (rnn/lstm_cell/kernel)
where the checkpoint records one, and by its key without /.ATTRIBUTES/VARIABLE_VALUE where it does not.

Source: tensor_bundle.proto, tensor_slice.proto, tensor_shape.proto, types.proto, trackable_object_graph.proto and
saved_tensor_slice_util and ordered_code of the TensorFlow project; "LevelDB table format" of the LevelDB project.
"""

import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

from realnets.naming import is_optimiser_state
from realnets.readers._paths import beside
from realnets.readers._protobuf import VARINT, Field, Source, TooLarge, WireError, plain, signed, varint
from realnets.readers.base import MAX_INDEX_BYTES, MAX_TENSORS, Probe, Tensor, numpy_dtype, unreadable
from rmt.errors import InputError

FORMAT = "TensorFlow checkpoint"

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_MAX_DIMS = 64
_MAX_NUMEL = 2**36
_MAX_STATE = 2**16
_MAX_TABLE = 2**24  # 100,000 tensors need two thirds of it
_WHOLE = -1

_OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"

_TYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 8: "complex64", 9: "int64", 10: "bool",
    14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 22: "uint32", 23: "uint64", 24: "float8_e5m2",
    25: "float8_e4m3fn", 26: "float8_e4m3fnuz", 27: "float8_e4m3b11fnuz", 28: "float8_e5m2fnuz",
}  # fmt: skip
_UNREADABLE = {
    7: "string", 11: "qint8", 12: "quint8", 13: "qint32", 15: "qint16", 16: "quint16", 20: "resource", 21: "variant",
    29: "int4", 30: "uint4", 31: "int2", 32: "uint2",
}  # fmt: skip


def recognises(probe: Probe) -> bool:
    """The last eight bytes of a LevelDB table: TensorFlow has no other mark."""
    if probe.size < _FOOTER:
        return False
    try:
        with probe.path.open("rb") as file:
            file.seek(probe.size - len(_MAGIC))
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise InputError(f"{probe.path}: cannot be read ({error.strerror or error})") from error


def recognises_folder(path: Path) -> bool:
    """A folder that TensorFlow saved into: with an .index file, or a SavedModel with its variables."""
    return bool(_indexes(path))


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of the checkpoint, in the order of the keys.

    Args:
        path: the .index file, or a folder: the checkpoint that its file `checkpoint` names as the latest is taken, or
            its only one, or the variables of the SavedModel that it is.
    """
    if path.is_dir():
        path = _index_in(path)
    try:
        table = _table(path)
        shards = _shards(path, table)
        entries = [_entry(key, value) for key, value in table.items() if not key.startswith(b"\0")]
    except WireError as error:
        raise InputError(f"{path}: damaged TensorFlow checkpoint ({error})") from error
    bundle = _Bundle(path, table, shards)
    names = _names(entries, bundle.variables())
    return [bundle.tensor(name, entry) for name, entry in zip(names, entries, strict=True)]


# --- folders


def _indexes(folder: Path) -> list[Path]:
    """Tables called *.index in the folder or, where there are none, in its subfolder `variables`."""
    for place in (folder, folder / "variables"):
        try:
            found = [p for p in sorted(place.glob("*.index")) if p.is_file() and recognises(Probe(p))]
        except (OSError, InputError):
            continue
        if found:
            return found
    return []


def _index_in(folder: Path) -> Path:
    found = _indexes(folder)
    if not found:
        raise InputError(f"{folder}: holds no TensorFlow checkpoint; give its .index file")
    if len(found) > 1:
        latest = _latest(found[0].parent)
        found = [p for p in found if p.name == f"{latest}.index"] or found
    if len(found) > 1:
        names = ", ".join(plain(p.name.encode(errors="replace")) for p in found[:3])
        raise InputError(f"{folder}: holds {len(found)} checkpoints ({names}{', ...' * (len(found) > 3)}); give one")
    return found[0]


def _latest(folder: Path) -> str:
    """The prefix that the folder's file `checkpoint` calls the latest, which may be a path on another machine."""
    path = folder / "checkpoint"
    try:
        if not path.is_file():  # a pipe would be waited for
            return ""
        with path.open("rb") as file:
            state = file.read(_MAX_STATE)
    except OSError:
        return ""
    match = re.search(rb'^\s*model_checkpoint_path:\s*"((?:[^"\\]|\\.)*)"', state, re.MULTILINE)
    text = re.sub(rb"\\([0-7]{3}|.)", _unescaped, match[1]) if match else b""
    return re.split(r"[/\\]", text.decode(errors="replace"))[-1]


def _unescaped(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8) & 255]) if len(match[1]) == 3 else match[1]


# --- the table


def _table(path: Path) -> dict[bytes, bytes]:
    """The table's values by their keys.

    Raises:
        WireError: it is damaged, or larger than any list of tensors.
    """
    with path.open("rb") as file:
        data = file.read(_MAX_TABLE + 1)
    if len(data) > _MAX_TABLE:
        raise WireError(f"more than {_MAX_TABLE} bytes")
    footer = data[-_FOOTER:]
    if len(data) < _FOOTER or footer[-8:] != _MAGIC:
        raise WireError("truncated: it does not end like a table")
    _, at = varint(footer)
    _, at = varint(footer, at)
    found: dict[bytes, bytes] = {}
    free = copied = 0
    for _, handle in _pairs(_block(data, *_handle(footer, at))):
        start, size = _handle(handle, 0)
        if start < free:
            raise WireError("malformed: its blocks overlap")
        free = start + size
        for key, value in _pairs(_block(data, start, size)):
            copied += len(key)
            if len(found) > 2 * MAX_TENSORS or copied > MAX_INDEX_BYTES:
                raise WireError(f"holds more than {2 * MAX_TENSORS} keys, or more text than any list of contents")
            found[key] = value
    return found


def _handle(data: bytes, at: int) -> tuple[int, int]:
    start, at = varint(data, at)
    return start, varint(data, at)[0]


def _block(data: bytes, start: int, size: int) -> bytes:
    """The contents of a block: `size` bytes, before a byte that says how they are packed and a checksum of both."""
    end = start + size
    if end + 5 > len(data) - _FOOTER:
        raise WireError(f"truncated: a block ends at byte {end}")
    if _masked_crc32c(data[start : end + 1]) != int.from_bytes(data[end + 1 : end + 5], "little"):
        raise WireError("its checksum does not match")
    if data[end] != 0:
        raise WireError(f"its blocks are compressed (type {data[end]}), which TensorFlow does not write")
    return data[start:end]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys, each stored as what differs from the one before, and the values of a block."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise WireError("malformed: a block too short for its restarts")
    at, key = 0, b""
    while at < end:
        shared, at = varint(block, at)
        added, at = varint(block, at)
        size, at = varint(block, at)
        middle, stop = at + added, at + added + size
        if shared > len(key) or stop > end:
            raise WireError("malformed: an entry reaches beyond its block")
        key = key[:shared] + block[at:middle]
        yield key, block[middle:stop]
        at = stop


def _masked_crc32c(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# --- what the table says


class _Extent(NamedTuple):
    """A part of one axis; a length of -1 is the whole of it."""

    start: int
    length: int


@dataclass(frozen=True)
class _Entry:
    """A BundleEntryProto: a tensor, or a part of one that is stored in slices."""

    key: bytes
    dtype: str = ""
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    sliced: bool = False
    fault: str = ""


def _source(data: bytes) -> Source:
    return Source(io.BytesIO(data), len(data))


def _shards(path: Path, table: dict[bytes, bytes]) -> int:
    """The number of shards, from the BundleHeaderProto under the empty key, which leaves the table.

    Raises:
        WireError: it is damaged.
        InputError: it is not there, or tells of a file of another kind.
    """
    shards = 0
    source = _source(table.pop(b"", b""))
    for item in source.fields(0, source.size):
        if item.number == 1 and item.wire == VARINT:
            shards = item.value
        elif item.number == 2 and item.value:
            raise InputError(f"{path}: was written on a big-endian machine, which is not supported")
    if not 0 < shards < 2**31:
        raise InputError(
            f"{path}: a LevelDB table, but no index of a TensorFlow checkpoint of version 2; load one of version 1 with "
            "TensorFlow and save it again"
        )
    return shards


def _entry(key: bytes, value: bytes) -> _Entry:
    """What the table says of a tensor; if that is damaged, the others are read all the same."""
    source = _source(value)
    shape: list[int] = []
    sliced = False
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    try:
        for item in source.fields(0, source.size):
            if item.number == 2:
                shape += _shape(source, source.message(item))
            elif item.number == 6:
                numbers[6] = int.from_bytes(source.read(item.start, item.end - item.start), "little")
            elif item.number == 7:
                sliced = True
            elif item.number in numbers:
                numbers[item.number] = item.value
    except WireError:
        return _Entry(key, fault="is damaged")
    if len(shape) > _MAX_DIMS or min(shape, default=0) < 0 or math.prod(max(n, 1) for n in shape) > _MAX_NUMEL:
        return _Entry(key, fault="has an impossible shape")
    code = numbers[1]
    dtype = _TYPES.get(code) or _UNREADABLE.get(code, f"type {code} of TensorFlow")
    return _Entry(key, dtype, tuple(shape), numbers[3], numbers[4], numbers[5], numbers[6], sliced)


def _shape(source: Source, dims: Iterator[Field]) -> list[int]:
    """The sizes in a TensorShapeProto; a size of 0 is not written."""
    found = []
    for dim in dims:
        if dim.number == 3 and dim.value:
            raise WireError("a tensor of unknown rank")
        if dim.number == 2:
            found.append(0)
            for item in source.message(dim):
                if item.number == 1:
                    found[-1] = signed(item.value)
    return found


def _slices(value: bytes) -> list[tuple[_Extent, ...]]:
    """The extents of every slice of a BundleEntryProto."""
    source = _source(value)
    found = []
    for item in source.fields(0, source.size):
        if item.number == 7:
            found.append(tuple(_extent(source, e) for e in source.message(item) if e.number == 1))
            if len(found) > MAX_TENSORS:
                raise TooLarge(f"holds more than {MAX_TENSORS} slices")
    return found


def _extent(source: Source, extent: Field) -> _Extent:
    start, length = 0, _WHOLE
    for item in source.message(extent):
        if item.number == 1:
            start = signed(item.value)
        elif item.number == 2:
            length = signed(item.value)
    return _Extent(start, length)


def _slice_key(name: bytes, extents: tuple[_Extent, ...]) -> bytes:
    """The key of a slice: 0, the tensor's name, and its extents, in an encoding that keeps their order."""
    escaped = re.sub(rb"[\x00\xff]", lambda m: m[0] + bytes([255 - m[0][0]]), name)
    dims = bytes([1, len(extents)]) if extents else b"\0"
    return b"\0" + escaped + b"\0\1" + dims + b"".join(_ordered(n) for extent in extents for n in extent)


def _ordered(number: int) -> bytes:
    """A signed number: as many leading ones as it has bytes, then a zero, are laid over its two's complement."""
    size = next(n for n in range(1, 11) if -(2 ** (7 * n - 1)) <= number < 2 ** (7 * n - 1))
    mark = (2**size - 1) << 7 * size
    return ((number & (2 ** (8 * size) - 1)) ^ mark).to_bytes(size, "big")


# --- names


def _variables(data: bytes) -> dict[str, str]:
    """The variables' own paths by the keys of their values, from a TrackableObjectGraph; empty where it is damaged."""
    found: dict[str, str] = {}
    source = _source(data)
    try:
        for node in source.fields(0, source.size):
            for item in source.message(node) if node.number == 1 else ():
                if item.number == 2:
                    texts = {f.number: source.text(f) for f in source.message(item) if f.number in (2, 3)}
                    found[texts.get(3, "")] = texts.get(2, "")
                if len(found) > MAX_TENSORS:
                    return {}
    except WireError:
        return {}
    return found


def _names(entries: list[_Entry], variables: dict[str, str]) -> list[str]:
    """What the tensors are called: see the module's docstring.

    A variable's own name that is no path, as "kernel" is in a tf.Module, says less than the key. The key wins too where
    it alone tells that this is a moment: optimizer/_variables/3, called sgd/head_kernel.
    """
    keys = [plain(entry.key) for entry in entries]
    own = [variables.get(key, "") for key in keys]
    count = Counter(own)
    names = []
    for key, path in zip(keys, own, strict=True):
        name = key.removesuffix(_VALUE)
        moment = is_optimiser_state(name) and "_trainable_variables" not in name.split("/")
        useful = "/" in path and count[path] == 1 and path not in keys
        names.append(path if useful and (is_optimiser_state(path) or not moment) else name)
    return names


# --- the data


class _Bundle:
    """The table of a checkpoint together with its shards."""

    def __init__(self, path: Path, table: dict[bytes, bytes], shards: int):
        self._path = path
        self._table = table
        self._shards = shards

    def tensor(self, name: str, entry: _Entry) -> Tensor:
        """The lazy Tensor of an entry."""
        where = f"{self._path}: {name}"
        if entry.fault:
            return unreadable(name, f"{where}: {entry.fault}")

        def load() -> np.ndarray:
            try:
                if entry.dtype not in _TYPES.values():
                    raise InputError(f"{where}: elements of type {entry.dtype} cannot be read")
                return self._assembled(entry, where) if entry.sliced else self._whole(entry, where)
            except WireError as error:
                raise InputError(f"{where}: {error}") from error
            except OSError as error:
                raise InputError(f"{where}: cannot be read ({error.strerror or error})") from error

        return Tensor(name, entry.shape, entry.dtype, load)

    def variables(self) -> dict[str, str]:
        """`_variables` of the checkpoint's object graph, if it has one: a string of 8 bytes at least."""
        if (value := self._table.get(_OBJECT_GRAPH)) is None:
            return {}
        entry = _entry(_OBJECT_GRAPH, value)
        try:
            if entry.dtype != "string" or entry.shape or entry.size > MAX_INDEX_BYTES:
                return {}
            data = self._read(entry, str(self._path))
            size, at = varint(data)
        except (InputError, WireError, OSError):
            return {}
        return _variables(data[at + 4 :]) if size == len(data) - at - 4 else {}  # between them, the length's checksum

    def _whole(self, entry: _Entry, where: str) -> np.ndarray:
        dtype = numpy_dtype(entry.dtype)
        if entry.size != math.prod(entry.shape) * dtype.itemsize:
            raise InputError(f"{where}: shape {entry.shape} does not fit the {entry.size} bytes of its data")
        data = self._read(entry, where)
        if _masked_crc32c(data) != entry.crc:
            raise InputError(f"{where}: damaged: its checksum does not match")
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(entry.shape)

    def _read(self, entry: _Entry, where: str) -> bytes:
        shard = self._shard(entry.shard, where)
        there = shard.stat().st_size
        if there < entry.offset + entry.size:
            raise InputError(f"{where}: truncated: {shard.name} has {there} bytes, {entry.offset + entry.size} needed")
        with shard.open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if len(data) != entry.size:
            raise InputError(f"{where}: truncated: {entry.size} bytes wanted, {len(data)} found")
        return data

    def _shard(self, number: int, where: str) -> Path:
        if number >= self._shards:
            raise InputError(f"{where}: malformed: is in shard {number} of {self._shards}")
        prefix = self._path.name.removesuffix(".index")
        return beside(self._path, f"{prefix}.data-{number:05d}-of-{self._shards:05d}", where)

    def _assembled(self, entry: _Entry, where: str) -> np.ndarray:
        """A partitioned variable, from its slices, which have to tile it."""
        parts: list[tuple[tuple[slice, ...], _Entry]] = []
        for extents in _slices(self._table[entry.key]):
            fits = len(extents) == len(entry.shape)
            value = self._table.get(_slice_key(entry.key, extents)) if fits else None
            if value is None:
                raise InputError(f"{where}: malformed: a slice of it is missing")
            ends = [n if e.length == _WHOLE else e.start + e.length for e, n in zip(extents, entry.shape, strict=True)]
            if any(not 0 <= e.start <= end <= n for e, end, n in zip(extents, ends, entry.shape, strict=True)):
                raise InputError(f"{where}: malformed: a slice of it reaches beyond its shape {entry.shape}")
            place = tuple(slice(e.start, end) for e, end in zip(extents, ends, strict=True))
            part = _entry(entry.key, value)
            if part.dtype != entry.dtype or part.shape != tuple(s.stop - s.start for s in place):
                raise InputError(f"{where}: malformed: a slice of it has another type or shape")
            parts.append((place, part))
        numel = math.prod(entry.shape)
        files = {self._shard(n, where) for n in {part.shard for _, part in parts}}
        nbytes = sum(part.size for _, part in parts)
        if sum(math.prod(p.shape) for _, p in parts) != numel or nbytes > sum(f.stat().st_size for f in files):
            raise InputError(f"{where}: its slices, {len(parts)} in all, do not make up its shape {entry.shape}")
        if nbytes != numel * numpy_dtype(entry.dtype).itemsize:
            raise InputError(f"{where}: shape {entry.shape} does not fit the {nbytes} bytes of its slices")
        array, filled = np.empty(entry.shape, numpy_dtype(entry.dtype)), np.zeros(entry.shape, bool)
        for place, part in parts:
            array[place] = self._whole(part, where)
            filled[place] = True
        if not filled.all():
            raise InputError(f"{where}: malformed: its slices overlap")
        return array
