"""Readers of weight files, one format a file, chosen by content.

A reader is a module of this folder with `FORMAT` (its name), `recognises(probe) -> bool` and
`tensors(path) -> list[Tensor]`, which reads the list of contents and no weights. Putting one here adds the format.
"""

import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from realnets.readers.base import Probe as Probe
from realnets.readers.base import Tensor as Tensor
from rmt.errors import InputError


@dataclass(frozen=True)
class Checkpoint:
    """A weight file: where it is, what it is, and its tensors, none of them loaded."""

    path: Path
    format: str
    tensors: list[Tensor]


def readers() -> list[ModuleType]:
    """Every reader in this folder, in the order of their names."""
    names = sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [m for m in modules if hasattr(m, "recognises")]


def open_checkpoint(path: Path) -> Checkpoint:
    """List the tensors of a weight file; the format is told from its first bytes, never from its name.

    Args:
        path: a safetensors file, a NumPy .npz archive, or a PyTorch state dict in zip or legacy format.

    Returns:
        Checkpoint whose tensors load one at a time.

    Raises:
        InputError: the file is missing, a folder, unreadable, damaged, hostile, or of no known format.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give one weight file")
    try:
        probe = Probe(path)
        for reader in readers():
            if reader.recognises(probe):
                return Checkpoint(path, reader.FORMAT, reader.tensors(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    raise InputError(f"{path}: {_describe(probe)}; known formats: {', '.join(r.FORMAT for r in readers())}")


def _describe(probe: Probe) -> str:
    if probe.size == 0:
        return "an empty file"
    if probe.head.startswith(b"\x80"):
        return "a bare Python pickle, which is never loaded"
    if probe.head.startswith(b"\x93NUMPY"):
        return "a single NumPy array; save it with numpy.savez, or fit it with `rmt fit`"
    if probe.head.isascii() and b"\x00" not in probe.head:
        return "a text file, not weights"
    return "not a weight file of a known format"
