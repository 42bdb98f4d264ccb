"""Results kept beside each other under plain names, and taken again while their weight files are the same."""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from realnets.readers import Checkpoint
from realnets.readers.base import Tensor, numpy_dtype

_LONGEST = 80  # letters of a name


def page_names(sources: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Source -> a plain file name without suffix, of its letters and digits; those that would be equal get a hash of theirs.

    Args:
        sources: any texts.
        taken: names that are of something else.
    """
    plain = {source: file_name(source) for source in sources}
    others = [name.casefold() for name in plain.values()] + list(taken)

    def unique(source: str, name: str) -> str:
        if others.count(name.casefold()) == 1:
            return name
        return f"{name}-{hashlib.blake2b(source.encode(errors='surrogateescape'), digest_size=4).hexdigest()}"

    return {source: unique(source, name) for source, name in plain.items()}


def file_name(source: str) -> str:
    """The end of a source's name as that of a file anywhere: letters and digits of ASCII, and dashes."""
    return re.sub(r"[^A-Za-z0-9]+", "-", source)[-_LONGEST:].strip("-") or "model"


def kept(path: Path, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON object that is there, if it says of itself what is wanted; of its settings those that are named count."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found_for = {name: found[name] for name in wanted} | {
            "settings": {name: found["settings"][name] for name in wanted["settings"]}
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None  # nothing there, or not by this program
    return found if found_for == wanted else None


def stamp(checkpoint: Checkpoint) -> list[list[Any]]:
    """Name, size and time of change of every file that its weights can be in.

    All files below a folder. A file alone; but where it is smaller than its tensors, which are then in others or compressed, all
    files beside it too.
    """
    path = checkpoint.path
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
    elif path.stat().st_size < sum(map(_bytes, checkpoint.tensors)):
        files = [file for file in path.parent.iterdir() if file.is_file()]
    else:
        files = [path]
    return sorted([str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files)


def _bytes(tensor: Tensor) -> int:
    try:
        return math.prod(tensor.shape) * numpy_dtype(tensor.dtype).itemsize
    except ValueError:
        return 0
