"""Which reader a file is for."""

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

from realnets.readers.base import Probe


@cache
def readers() -> tuple[ModuleType, ...]:
    """Every reader in this folder, in the order of their names."""
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if not m.name.startswith("_"))
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    return tuple(m for m in modules if hasattr(m, "recognises"))


def reader_of(probe: Probe) -> ModuleType | None:
    """The reader that recognises the content of a file.

    Raises:
        InputError: the file is a damaged archive.
    """
    return next((r for r in readers() if r.recognises(probe)), None)


def folder_reader_of(path: Path) -> ModuleType | None:
    """The reader for whose format this folder is one checkpoint."""
    return next((r for r in readers() if hasattr(r, "recognises_folder") and r.recognises_folder(path)), None)
