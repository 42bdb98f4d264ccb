"""Tables on disk: named arrays in a compressed .npz that says what it is, and is read as data and nothing else."""

import zipfile
import zlib
from collections.abc import Mapping
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rmt import console
from rmt.console import written_whole
from rmt.errors import InputError


def save_arrays(path: Path, kind: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of a table, whole or not at all."""
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **{"kind": np.asarray(kind), **arrays})  # pyright: ignore[reportArgumentType]


def load_arrays(file: "Path | BinaryIO", kind: str) -> dict[str, np.ndarray]:
    """The arrays of a table of that kind.

    Args:
        kind: what `save_arrays` wrote: the name of the table and its version.

    Raises:
        InputError: the file is missing, is no table, is another one, or is damaged.
    """
    where = str(getattr(file, "name", file))
    again = "; `rmt calibrate` makes one"
    try:
        # Opened here, since NumPy leaves open what it cannot read
        opened = file.open("rb") if isinstance(file, Path) else nullcontext(file)
        with opened as source, np.load(source, allow_pickle=False) as stored:
            found = str(stored["kind"]) if "kind" in stored else "an .npz of something else"
            if found == kind:
                return {name: stored[name] for name in stored if name != "kind"}
    except FileNotFoundError:
        raise InputError(f"{where}: no such file{again}") from None
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InputError(f"{where}: not {kind}, or damaged ({console.one_line(error)}){again}") from None
    raise InputError(f"{where}: not {kind} but {found}{again}")


def shipped_arrays(name: str, kind: str) -> dict[str, np.ndarray]:
    """Those of a table inside the package."""
    with files("rmt.calibration").joinpath(name).open("rb") as file:
        return load_arrays(file, kind)  # pyright: ignore[reportArgumentType]


def damaged(where: object, what: str) -> InputError:
    """The error for a table whose arrays do not fit together."""
    return InputError(f"{where}: damaged: {what}; `rmt calibrate` makes a new one")
