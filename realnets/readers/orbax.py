"""Orbax checkpoints: folders of zarr arrays, each in a folder of its name or all in one OCDBT database.

A checkpoint may be the folder of one item, or of several items as CheckpointManager writes them for one step (default,
params, opt_state, ...). Older ones have small arrays in a msgpack file, `checkpoint`, beside the folders. They are read
without tensorstore, which would be needed to write them.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from realnets.readers import _stores, _zarr, flax_msgpack
from realnets.readers.base import Probe, Tensor, unreadable
from rmt.errors import InputError

FORMAT = "Orbax checkpoint"

_METADATA, _STEP, _AGGREGATE = "_METADATA", "_CHECKPOINT_METADATA", "checkpoint"
_MAX_ITEMS = 10_000  # entries of a folder that are looked at to tell what it is


def recognises(probe: Probe) -> bool:
    """Never: a checkpoint is a folder."""
    return False


def recognises_folder(path: Path) -> bool:
    """A manifest of OCDBT, Orbax's metadata or folders of zarr arrays, here or in the folders of items."""
    try:
        return _is_item(path) or bool(_items(path)) or bool(_steps(path))
    except OSError:
        return False


def tensors(path: Path) -> list[Tensor]:
    """Every array of the checkpoint, by the name Orbax has for it, behind its item's name if there are several items."""
    try:
        items = [path] if _is_item(path) else _items(path)
        steps = [] if items else _steps(path)
        if steps:
            known = ", ".join(s.name for s in steps[:5])
            raise InputError(f"{path}: is a folder of checkpoints, {known}; give that of one, {path / steps[-1].name}")
        if not items:
            raise InputError(f"{path}: is no Orbax checkpoint")
        found = []
        for item in items:
            prefix = f"{item.name}." if len(items) > 1 else ""
            found += _item_tensors(path, item, prefix)
        return found
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _folders(path: Path) -> list[Path]:
    found = []
    for i, child in enumerate(path.iterdir()):
        if i >= _MAX_ITEMS:
            break
        if child.is_dir() and not child.is_symlink():
            found.append(child)
    return sorted(found)


def _is_item(path: Path) -> bool:
    if (path / _stores.MANIFEST).is_file() or (path / _METADATA).is_file():
        return True
    return any((child / name).is_file() for child in _folders(path) for name in _zarr.METADATA)


def _items(path: Path) -> list[Path]:
    """Folders of items; those of steps are numbers, and are chosen among and not put together."""
    return [f for f in _folders(path) if not f.name.isdigit() and _holds_arrays(f)]


def _steps(path: Path) -> list[Path]:
    found = [f for f in _folders(path) if f.name.isdigit() and ((f / _STEP).is_file() or _is_item(f) or _items(f))]
    return sorted(found, key=lambda f: (len(f.name), f.name))


def _holds_arrays(path: Path) -> bool:
    return (path / _stores.MANIFEST).is_file() or ((path / _METADATA).is_file() and _is_item(path))


def _item_tensors(root: Path, item: Path, prefix: str) -> Iterator[Tensor]:
    try:
        store = _stores.ocdbt(item) if (item / _stores.MANIFEST).is_file() else _stores.files(item)
    except _stores.StoreError as error:
        raise InputError(f"{root}: {item.name}: {error}") from error
    names = {key.rpartition("/")[0]: value for key, value in store.items() if key.rpartition("/")[2] in _zarr.METADATA}
    chunks: dict[str, dict[str, _stores.Value]] = {name: {} for name in names}
    for key, value in store.items():
        place = key.find("/")
        while place >= 0:  # names have slashes now and then, and so do keys of chunks
            if key[:place] in chunks:
                chunks[key[:place]][key[place + 1 :]] = value
                break
            place = key.find("/", place + 1)
    for name, value in names.items():
        yield _tensor(root, prefix + name.replace("/", "."), value, chunks[name])
    aggregate = item / _AGGREGATE
    if aggregate.is_file() and not aggregate.is_symlink() and flax_msgpack.recognises(Probe(aggregate)):
        yield from flax_msgpack.tensors(aggregate)


def _tensor(root: Path, name: str, metadata: _stores.Value, chunks: dict[str, _stores.Value]) -> Tensor:
    where = f"{root}: {name}"
    try:
        meta = _zarr.meta(metadata)
    except (_stores.StoreError, OSError) as error:
        return unreadable(name, f"{where}: {error}")

    def load() -> np.ndarray:
        try:
            return _zarr.array(meta, chunks, where)
        except OSError as error:
            raise InputError(f"{where}: cannot be read ({error.strerror or error})") from error
        except (ValueError, OverflowError) as error:  # StoreError; no elements, and an impossible shape
            raise InputError(f"{where}: {error}") from error

    return Tensor(name, meta.shape, meta.dtype, load)
