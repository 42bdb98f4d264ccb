"""PyTorch's format before 1.6: five pickles (magic number, version, system, object, storage keys), then the storages.

Each storage is its number of elements (8 bytes) and its data. PyTorch writes both in little-endian order on every
machine, so the byte order that the third pickle records is not that of the data.
"""

import io
from pathlib import Path
from typing import Any

from realnets.readers import _torch
from realnets.readers._pickle import Interpreter, PickleError
from realnets.readers.base import MAX_INDEX_BYTES, Probe, Tensor, numpy_dtype
from rmt.errors import InputError

FORMAT = "PyTorch (legacy)"

_MAGIC = (0x1950A86A20F9469CFC6C).to_bytes(10, "little")


def recognises(probe: Probe) -> bool:
    """A pickle of the format's magic number: PROTO, LONG1 of ten bytes, STOP."""
    return probe.head[:1] == b"\x80" and probe.head[2:15] == b"\x8a\x0a" + _MAGIC + b"."


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of the pickled dict; the pickles are read as data and nothing in them is run."""
    with path.open("rb") as file:
        stream = io.BytesIO(file.read(MAX_INDEX_BYTES))
    storages: dict[str, _torch.Storage] = {}

    def persistent(reference: Any) -> Any:
        storage = _torch.persistent(reference)
        if isinstance(storage, _torch.Storage) and storages.setdefault(storage.key, storage) != storage:
            raise PickleError("gives one storage two types or sizes")
        return storage

    interpreter = Interpreter(_torch.NAMES, persistent)
    try:
        _, _, _, root, keys = [interpreter.load(stream) for _ in range(5)]
        views = list(_torch.named_views(root))
    except PickleError as error:
        raise InputError(f"{path}: its pickle {error}") from error
    offsets = _offsets(path, stream.tell(), keys, storages)

    def read(storage: _torch.Storage, start: int, length: int) -> bytes:
        if start + length > storage.numel * numpy_dtype(storage.dtype).itemsize:
            raise InputError(f"{path}: a tensor reaches beyond the end of storage {storage.key[:40]}")
        with path.open("rb") as file:
            file.seek(offsets[storage.key] + start)
            return file.read(length)

    return [_torch.tensor(path, name, view, read) for name, view in views]


def _offsets(path: Path, start: int, keys: Any, storages: dict[str, _torch.Storage]) -> dict[str, int]:
    """Where each storage's data begin; the whole file is accounted for before any of it is used."""
    size = path.stat().st_size
    offsets: dict[str, int] = {}
    if not isinstance(keys, list):
        raise InputError(f"{path}: the list of storages is missing")
    with path.open("rb") as file:
        for key in keys:
            storage = storages.get(str(key))
            if storage is None:
                raise InputError(f"{path}: holds a storage that no tensor uses, of unknown type")
            try:
                nbytes = storage.numel * numpy_dtype(storage.dtype).itemsize
            except ValueError as error:
                raise InputError(f"{path}: {error}") from error
            file.seek(start)
            numel = int.from_bytes(file.read(8), "little")
            if start + 8 + nbytes > size:
                left = max(size - start - 8, 0)
                raise InputError(f"{path}: truncated: storage {storage.key[:40]} has {nbytes} bytes, {left} are left")
            if numel != storage.numel:
                raise InputError(
                    f"{path}: damaged: storage {storage.key[:40]} says {numel} elements, not {storage.numel}"
                )
            offsets[storage.key] = start + 8
            start += 8 + nbytes
    if missing := storages.keys() - offsets.keys():
        raise InputError(f"{path}: truncated: {len(missing)} storages are missing")
    return offsets
