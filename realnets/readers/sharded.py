"""Sharded checkpoints: an index (model.safetensors.index.json) that says which file beside it holds which tensor.

The whole of each file that the index names is listed, also tensors that it does not name: the libraries that load such
checkpoints read whole files too. A tensor that two files have is taken from the one that the index names.

Source: https://huggingface.co/docs/transformers/big_models, on the index of save_pretrained.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

from realnets.readers import _dispatch
from realnets.readers._paths import beside, is_plain
from realnets.readers.base import MAX_TENSORS, Probe, Tensor, unreadable
from rmt.errors import InputError, printable

FORMAT = "sharded checkpoint"

_MAX_BYTES = 32 * 2**20  # three times the longest index there is; as Python objects it may take tenfold
_MAX_SHARDS = 4096
_OBJECT = re.compile(rb'\s*\{\s*"')


def recognises(probe: Probe) -> bool:
    """A JSON object that speaks of a weight_map."""
    if _OBJECT.match(probe.head) is None:
        return False
    with probe.path.open("rb") as file:
        return b'"weight_map"' in file.read(_MAX_BYTES)


def shards(path: Path) -> dict[str, list[str]]:
    """The names of the files that an index speaks of, each with the names of its tensors; none is looked for.

    Raises:
        InputError: the index is damaged.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise InputError(f"{path}: has more than {_MAX_BYTES} bytes, more than any index needs")
    try:
        tree = json.loads(path.read_bytes())
    except (ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{path}: truncated or damaged JSON ({printable(str(error))[:120]})") from error
    weight_map = tree.get("weight_map") if isinstance(tree, dict) else None
    if not isinstance(weight_map, dict) or not weight_map or len(weight_map) > MAX_TENSORS:
        raise InputError(f"{path}: its weight_map is no list of tensors")
    found: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        if not isinstance(file, str):
            raise InputError(f"{path}: {printable(name)[:120]}: its file is not named")
        found.setdefault(file, []).append(printable(name))
    if len(found) > _MAX_SHARDS:
        raise InputError(f"{path}: names {len(found)} files, more than any checkpoint has")
    return found


def tensors(path: Path) -> list[Tensor]:
    """Every tensor of every shard; those of a shard that is missing or damaged are listed as unreadable."""
    named = shards(path)
    home = {name: file for file, names in named.items() for name in names}
    listed: dict[str, Tensor] = {}
    failures: list[InputError] = []
    for file, names in named.items():
        try:
            inside = {t.name: t for t in _shard(path, file)}
        except InputError as error:
            failures.append(error)
            listed |= {name: unreadable(name, str(error)) for name in names}
            continue
        for name, tensor in inside.items():
            if name not in listed and home.get(name, file) == file:
                listed[name] = replace(tensor, memory=None if tensor.memory is None else (file, tensor.memory))
        for name in names:
            if name not in inside:
                listed[name] = unreadable(name, f"{path}: {name}: is not in {file}, where the index says")
    if len(failures) == len(named):
        raise failures[0]
    return list(listed.values())


def shard(path: Path, name: str) -> Path:
    """The file that an index calls by that name: beside the index, in no folder of its own.

    Raises:
        InputError: it would be elsewhere, or is not there.
    """
    if not is_plain(name):
        raise InputError(f"{path}: refers to {printable(name)[:80]}, which is not beside it; refused")
    return beside(path, name, str(path))


def _shard(path: Path, name: str) -> list[Tensor]:
    file = shard(path, name)
    try:
        reader = _dispatch.reader_of(Probe(file))
        if reader is None or reader.FORMAT == FORMAT:
            raise InputError(f"{path}: {name}: is not a weight file of a known format")
        return reader.tensors(file)
    except OSError as error:
        raise InputError(f"{path}: {name}: cannot be read ({error.strerror or error})") from error
