"""PyTorch's zip archives, of tensors or of TorchScript: pickles under NAME/, and one stored member for each storage."""

import io
from collections.abc import Sequence
from pathlib import Path

from realnets.readers import _torch, _zip
from realnets.readers._pickle import Interpreter, PickleError
from realnets.readers.base import MAX_INDEX_BYTES, Tensor
from rmt.errors import InputError


def root(members: Sequence[str]) -> str | None:
    """The archive's folder with its slash, which is the one that holds a data.pkl; None if it is no such archive."""
    index = next((name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")), None)
    return index and index.removesuffix("data.pkl")


class Archive:
    """One archive, whose list of members has been read."""

    def __init__(self, path: Path):
        self._path, self._members = path, _zip.members(path)
        self._root = root(list(self._members)) or ""
        order = self._members.get(f"{self._root}byteorder")
        self._order = ">" if order is not None and _zip.read(order, 0, min(order.size, 8)).strip() == b"big" else "<"

    def tensors(self, pickle: str, folder: str, prefix: str = "") -> list[Tensor]:
        """The tensors of one pickle, whose storages lie in `folder`; it is read as data and nothing in it is run."""
        index = self._members.get(f"{self._root}{pickle}")
        if index is None:
            return []
        if index.size > MAX_INDEX_BYTES:
            raise InputError(f"{self._path}: {index.name} has {index.size} bytes, more than any list of tensors needs")

        def read(storage: _torch.Storage, start: int, length: int) -> bytes:
            member = self._members.get(f"{self._root}{folder}/{storage.key}")
            if member is None:
                raise InputError(f"{self._path}: storage {storage.key[:40]} is missing from the archive")
            return _zip.read(member, start, length)

        try:
            value = Interpreter(_torch.NAMES, _torch.persistent).load(io.BytesIO(_zip.read(index)))
            views = list(_torch.named_views(value))
        except PickleError as error:
            raise InputError(f"{self._path}: its pickle {error}") from error
        return [_torch.tensor(self._path, prefix + name, view, read, self._order) for name, view in views]
