"""Folders of keys and values: files by their names, and OCDBT, tensorstore's B-tree of keys with values of many in a file.

The tensorstore package reads more than this, but allocates what a file claims, and it is large; what training frameworks
write needs a manifest, its nodes and zstd.

Source: the storage format of tensorstore's ocdbt driver.
"""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import google_crc32c

from realnets.readers.base import MAX_INDEX_BYTES

MANIFEST = "manifest.ocdbt"

_MAX_ENTRIES = 1_000_000
_MAX_DEPTH = 4  # folders below a checkpoint's, in which arrays are files
_MAX_HEIGHT = 32
_MAX_KEY = 4096
_MANIFEST_MAGIC, _NODE_MAGIC = 0x0CDB3A2A, 0x0CDB20DE
_ZSTD_BLOCK = 2**17
_SLACK = 64 * 2**20


class StoreError(ValueError):
    """The folder is damaged, hostile, or holds what weights do not need."""


@dataclass(frozen=True)
class Value:
    """Bytes of a file, or those that stand in `inline`."""

    path: Path
    start: int
    length: int
    inline: bytes | None = None

    def read(self) -> bytes:
        """All of them, which the file is seen to have before any memory is taken.

        Raises:
            StoreError: the file is shorter, or is none.
        """
        if self.inline is not None:
            return self.inline
        size = self.path.stat().st_size if self.path.is_file() else 0
        if self.start + self.length > size:
            raise StoreError(f"{self.path.name} has {size} bytes, {self.start + self.length} are needed")
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


Store = Mapping[str, Value]


def files(folder: Path) -> Store:
    """The regular files below `folder` by their paths from there; links are not followed."""
    found: dict[str, Value] = {}
    pending = [("", folder)]
    while pending:
        prefix, here = pending.pop()
        with os.scandir(here) as entries:
            for entry in entries:
                if len(found) + len(pending) >= _MAX_ENTRIES:
                    raise StoreError(f"has more than {_MAX_ENTRIES} files")
                if entry.is_dir(follow_symlinks=False):
                    if prefix.count("/") < _MAX_DEPTH:
                        pending.append((f"{prefix}{entry.name}/", Path(entry.path)))
                elif entry.is_file(follow_symlinks=False):
                    size = entry.stat(follow_symlinks=False).st_size
                    found[prefix + entry.name] = Value(Path(entry.path), 0, size)
    return dict(sorted(found.items()))


def unzstd(data: bytes, limit: int) -> bytes:
    """The content of one zstd frame, refused before it is unpacked if it could be much longer than `limit`.

    Raises:
        StoreError: it is damaged, several frames, or could unpack to more than four times `limit` and 64 MiB.
    """
    most = _zstd_bound(data)
    if most > 4 * limit + _SLACK:
        raise StoreError(f"could unpack from {len(data)} to {most} bytes; refused as a zstd bomb")
    from numcodecs import Zstd  # slow to import, and for one format

    try:
        return bytes(Zstd().decode(data))
    except (RuntimeError, ValueError) as error:
        raise StoreError(f"is damaged ({error})") from error


def _zstd_bound(data: bytes) -> int:
    """Most bytes that a frame can unpack to, by its header and the headers of its blocks (RFC 8878)."""
    if data[:4] != b"\x28\xb5\x2f\xfd" or len(data) < 6:
        raise StoreError("is no zstd frame")
    flags = data[4]
    single, width = flags >> 5 & 1, (0, 2, 4, 8)[flags >> 6]
    width = width or single
    place = 5 + (0 if single else 1) + (0, 1, 2, 4)[flags & 3]
    claimed = int.from_bytes(data[place : place + width], "little") + (256 if width == 2 else 0)
    place += width
    most, last = 0, 0
    while not last:
        block = int.from_bytes(data[place : place + 3], "little")
        last, kind, size = block & 1, block >> 1 & 3, block >> 3
        most += _ZSTD_BLOCK if kind == 2 else size
        place += 3 + (1 if kind == 1 else size)
        if place > len(data) or kind == 3:
            raise StoreError("is a zstd frame that is cut short")
    if place + (4 if flags & 4 else 0) != len(data):
        raise StoreError("is followed by more than one zstd frame")
    return max(most, claimed)


class _Cursor:
    """Reads numbers and texts one after another from bytes."""

    def __init__(self, data: bytes):
        self._data, self._place = data, 0

    def take(self, length: int) -> bytes:
        found = self._data[self._place : self._place + length]
        if len(found) != length:
            raise StoreError("has a node that is cut short")
        self._place += length
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """A varint of at most 64 bits."""
        found = 0
        for shift in range(0, 64, 7):
            byte = self.byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
        raise StoreError("has a number that never ends")

    def numbers(self, count: int) -> list[int]:
        return [self.number() for _ in range(self._fitting(count))]

    def bytes_of(self, count: int) -> list[int]:
        return list(self.take(count))

    def _fitting(self, count: int) -> int:
        if count > len(self._data) - self._place:
            raise StoreError(f"says it has {count} entries, more than its bytes hold")
        return count

    def texts(self, prefixes: list[int], suffixes: list[int]) -> list[bytes]:
        """Texts of which each repeats the beginning of the one before."""
        found: list[bytes] = []
        last = b""
        for prefix, suffix in zip([0, *prefixes], suffixes, strict=True):
            if prefix > len(last) or prefix + suffix > _MAX_KEY:
                raise StoreError(f"has a key of more than {_MAX_KEY} bytes, or one that repeats what is not there")
            last = last[:prefix] + self.take(suffix)
            found.append(last)
        return found


Table = list[tuple[str, str]]  # (path of the file, what paths in its nodes begin with)


def ocdbt(folder: Path) -> Store:
    """Keys and values of the latest version of an OCDBT database; the values are not read.

    Raises:
        StoreError: it is damaged, or refers to files outside the folder.
    """
    return _Ocdbt(folder).entries()


class _Ocdbt:
    def __init__(self, folder: Path):
        self._folder = folder
        self._bytes, self._entries = MAX_INDEX_BYTES, _MAX_ENTRIES
        self._inside: dict[str, Path] = {}

    def entries(self) -> Store:
        manifest = self._folder / MANIFEST
        cursor = self._unpacked(Value(manifest, 0, manifest.stat().st_size), _MANIFEST_MAGIC)
        cursor.take(16)
        if cursor.number() != 0:
            raise StoreError("has numbered manifests, which are not read")
        cursor.numbers(2)
        cursor.byte()
        if cursor.number() == 1:
            cursor.take(4)
        table = self._table(cursor, "")
        count = cursor.number()
        if count == 0:
            raise StoreError("has no version")
        cursor.numbers(count)
        heights = cursor.bytes_of(count)
        identifiers, offsets, lengths, keys = (cursor.numbers(count) for _ in range(4))
        found: dict[str, Value] = {}
        if keys[-1] == 0:
            return found
        root = self._place(table, identifiers[-1], offsets[-1], lengths[-1])
        pending = [(*root, heights[-1], b"")]
        while pending:
            value, transitive, height, prefix = pending.pop()
            pending += reversed(self._node(value, transitive, height, prefix, found))
        return found

    def _unpacked(self, value: Value, magic: int) -> _Cursor:
        """The body of a manifest or node, whose checksum is right."""
        self._spend(value.length)
        data = value.read()
        if len(data) < 18 or struct.unpack_from(">I", data)[0] != magic:
            raise StoreError(f"{value.path.name} has no node where it should")
        (length,) = struct.unpack_from("<Q", data, 4)
        if length != len(data) or google_crc32c.value(data[:-4]) != int.from_bytes(data[-4:], "little"):
            raise StoreError(f"{value.path.name} is truncated or damaged: its length or checksum does not match")
        if data[12] != 0 or data[13] > 1:
            raise StoreError(f"{value.path.name} is of an unknown version")
        body = data[14:-4]
        if data[13] == 1:
            body = unzstd(body, self._bytes // 4)
            self._spend(len(body))
        return _Cursor(body)

    def _spend(self, length: int) -> None:
        self._bytes -= length
        if self._bytes < 0:
            raise StoreError(f"has lists of contents of more than {MAX_INDEX_BYTES} bytes")

    def _table(self, cursor: _Cursor, transitive: str) -> Table:
        count = cursor.number()
        prefixes, suffixes = cursor.numbers(max(count - 1, 0)), cursor.numbers(count)
        bases = cursor.numbers(count)
        if count == 0:
            return []
        texts = [t.decode("utf-8", "replace") for t in cursor.texts(prefixes, suffixes)]
        return [(transitive + t, transitive + t[:n]) for t, n in zip(texts, bases, strict=True)]

    def _place(self, table: Table, identifier: int, offset: int, length: int) -> tuple[Value, str]:
        """Bytes of a file that lies in the folder, and what paths in a node there begin with."""
        if identifier >= len(table):
            raise StoreError("refers to a file that it does not list")
        name, transitive = table[identifier]
        if name not in self._inside:
            self._inside[name] = self._checked(name)
        return Value(self._inside[name], offset, length), transitive

    def _checked(self, name: str) -> Path:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or not name.isprintable() or "\\" in name or ":" in name:
            raise StoreError(f"refers to the file {name[:80]!r}, which may be outside the folder; refused")
        path = self._folder / pure
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise StoreError(f"refers to the file {name[:80]!r}, which leads out of the folder; refused")
        return path

    def _node(
        self, value: Value, transitive: str, height: int, prefix: bytes, found: dict[str, Value]
    ) -> list[tuple[Value, str, int, bytes]]:
        """Children of an inner node; the entries of a leaf go to `found`."""
        cursor = self._unpacked(value, _NODE_MAGIC)
        if cursor.byte() != height or height > _MAX_HEIGHT:
            raise StoreError("has a node of the wrong height")
        table = self._table(cursor, transitive)
        count = cursor.number()
        self._entries -= count
        if count == 0 or self._entries < 0:
            raise StoreError(f"has an empty node, or more than {_MAX_ENTRIES} entries")
        prefixes, suffixes = cursor.numbers(count - 1), cursor.numbers(count)
        if height:
            common = cursor.numbers(count)
            keys = cursor.texts(prefixes, suffixes)
            identifiers, offsets, lengths = (cursor.numbers(count) for _ in range(3))
            return [
                (*self._place(table, identifiers[i], offsets[i], lengths[i]), height - 1, prefix + key[: common[i]])
                for i, key in enumerate(keys)
            ]
        keys = [prefix + key for key in cursor.texts(prefixes, suffixes)]
        lengths, kinds = cursor.numbers(count), cursor.numbers(count)
        outside = [i for i, kind in enumerate(kinds) if kind]
        identifiers, offsets = cursor.numbers(len(outside)), cursor.numbers(len(outside))
        places = {i: (identifiers[n], offsets[n]) for n, i in enumerate(outside)}
        for i, key in enumerate(keys):
            if i in places:
                entry = self._place(table, *places[i], lengths[i])[0]
            else:
                entry = Value(value.path, 0, lengths[i], cursor.take(lengths[i]))
            found[key.decode("utf-8", "replace")] = entry
        return []
