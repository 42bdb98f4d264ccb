"""PyTorch's zip format (torch.save since 1.6): NAME/data.pkl, and one stored member NAME/data/KEY for each storage."""

import io
from pathlib import Path

from realnets.readers import _torch, _zip
from realnets.readers._pickle import Interpreter, PickleError
from realnets.readers.base import MAX_INDEX_BYTES, Probe, Tensor
from rmt.errors import InputError

FORMAT = "PyTorch (zip)"


def recognises(probe: Probe) -> bool:
    """A zip with a data.pkl one folder down."""
    return any(name.count("/") == 1 and name.endswith("/data.pkl") for name in probe.members)


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of the pickled dict; the pickle is read as data and nothing in it is run."""
    members = _zip.members(path)
    index = next(name for name in members if name.count("/") == 1 and name.endswith("/data.pkl"))
    folder = index.removesuffix("data.pkl")
    if members[index].size > MAX_INDEX_BYTES:
        raise InputError(f"{path}: {index} has {members[index].size} bytes, more than any list of tensors needs")
    big = f"{folder}byteorder" in members and _zip.read(members[f"{folder}byteorder"]).strip() == b"big"

    def read(storage: _torch.Storage, start: int, length: int) -> bytes:
        member = members.get(f"{folder}data/{storage.key}")
        if member is None:
            raise InputError(f"{path}: storage {storage.key[:40]} is missing from the archive")
        return _zip.read(member, start, length)

    try:
        root = Interpreter(_torch.NAMES, _torch.persistent).load(io.BytesIO(_zip.read(members[index])))
        views = list(_torch.named_views(root))
    except PickleError as error:
        raise InputError(f"{path}: its pickle {error}") from error
    return [_torch.tensor(path, name, view, read, ">" if big else "<") for name, view in views]
