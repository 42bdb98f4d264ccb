"""Keras 3's .keras archives: a zip of config.json, metadata.json and model.weights.h5.

Nothing is unpacked to disk, and nothing that config.json describes is built: it only tells what layers are called.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from realnets.readers import _hdf5, _keras, _zip
from realnets.readers.base import Probe, Tensor
from rmt.errors import InputError

FORMAT = "Keras archive (.keras)"

_CONFIG, _WEIGHTS = "config.json", ".weights.h5"
_MAX_CONFIG = 2**24  # as Python objects it may take 25-fold
_MAX_INFLATED = 2**28
_MAX_DEPTH = 16


def recognises(probe: Probe) -> bool:
    """A zip with config.json and model.weights.h5, or the shards of it."""
    return _CONFIG in probe.members and any(name.endswith(_WEIGHTS) for name in probe.members)


def tensors(path: Path) -> list[Tensor]:
    """Every dataset of the HDF5 files in the archive."""
    members = _zip.members(path)
    titles = _titles(members[_CONFIG])
    weights = [m for name, m in members.items() if name.endswith(_WEIGHTS)]
    return [tensor for m in weights for tensor in _keras.tensors(path, lambda m=m: _opened(m), m.size, m.name, titles)]


@contextmanager
def _opened(member: _zip.Member) -> Iterator[_hdf5.Read]:
    """A stored member is read by offset. A deflated one, which Keras does not write, is held in memory meanwhile."""
    if member.method == zipfile.ZIP_STORED:
        yield lambda start, length: _zip.read(member, start, length)
        return
    if member.size > _MAX_INFLATED:
        raise InputError(
            f"{member.path}: {member.name}: has {member.size} bytes that are compressed; unpack the archive"
        )
    data = _zip.read(member)
    yield lambda start, length: data[start : start + length]


def _titles(config: _zip.Member) -> dict[tuple[str, ...], str]:
    """Names of layers by their groups, which are called after the class: the second Dense is layers/dense_1.

    A config that cannot be read costs the names only, since the weights have paths of their own.
    """
    if config.size > _MAX_CONFIG:
        return {}
    try:
        root = json.loads(_zip.read(config))
    except (InputError, ValueError, RecursionError):
        return {}
    found: dict[tuple[str, ...], str] = {}
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while pending:
        group, model = pending.pop()
        layers = _item(_item(model, "config"), "layers")
        if not isinstance(layers, list) or len(group) > 2 * _MAX_DEPTH:
            continue
        met: dict[str, int] = {}
        for layer in layers:
            kind, title = _item(layer, "class_name"), _item(_item(layer, "config"), "name")
            if not isinstance(kind, str) or not isinstance(title, str):
                continue
            kind = _snake_case(kind[:200])
            count = met[kind] = met.get(kind, -1) + 1
            place = (*group, "layers", f"{kind}_{count}" if count else kind)
            found[place] = title
            pending.append((place, layer))
    return found


def _item(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _snake_case(name: str) -> str:
    """LSTMCell -> lstm_cell, Conv2D -> conv2d: as Keras calls groups after classes."""
    name = re.sub(r"\W+", "", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
