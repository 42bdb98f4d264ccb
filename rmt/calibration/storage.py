"""Tables on disk: named arrays in a compressed .npz that says what it is, and is read as data and nothing else."""

import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import numpy as np

from rmt import console
from rmt.console import written_whole
from rmt.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


def save_table(path: Path, kind: str, table: "DataclassInstance") -> None:
    """Write the fields of a table, what is simulated in single precision: its arrays of more than one axis of floats."""
    values = {each.name: np.asarray(getattr(table, each.name)) for each in fields(table)}
    simulated = {name for name, of in values.items() if of.dtype.kind == "f" and of.ndim > 1}
    save_arrays(path, kind, {name: of.astype(np.float32) if name in simulated else of for name, of in values.items()})


def save_arrays(path: Path, kind: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the arrays of a table, whole or not at all."""
    with written_whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **{"kind": np.asarray(kind), **arrays})  # pyright: ignore[reportArgumentType]


def load_arrays(file: "Path | BinaryIO", kind: str, table: "type[DataclassInstance]") -> dict[str, np.ndarray]:
    """The fields of a table of that kind.

    Args:
        kind: what `save_arrays` wrote: the name of the table and its version.
        table: the class of it.

    Raises:
        InputError: the file is missing, is no table, is another one, or is damaged.
    """
    where = str(getattr(file, "name", file))
    try:
        # Opened here, since NumPy leaves open what it cannot read
        opened = file.open("rb") if isinstance(file, Path) else nullcontext(file)
        with opened as source, np.load(source, allow_pickle=False) as stored:
            found = str(stored["kind"]) if "kind" in stored else "an .npz of something else"
            arrays = {name: stored[name] for name in stored if name != "kind"} if found == kind else {}
    except FileNotFoundError:
        raise InputError(f"{where}: no such file") from None
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
        raise InputError(f"{where}: not {kind}, or damaged ({console.one_line(error)})") from None
    if found != kind:
        raise InputError(f"{where}: not {kind} but {found}")
    if missing := [each.name for each in fields(table) if each.name not in arrays]:
        raise damaged(where, f"it has no {', '.join(missing)}")
    return arrays


def chosen(table: "T | str | Path | None", shipped: Callable[[], T], load: Callable[[Path], T]) -> T:
    """The table that a caller gave, as itself or as the path of its file, or the shipped one."""
    if table is None:
        return shipped()
    return load(Path(table)) if isinstance(table, str | Path) else table


def shipped_arrays(name: str, kind: str, table: "type[DataclassInstance]") -> dict[str, np.ndarray]:
    """Those of a table inside the package."""
    with files("rmt.calibration").joinpath(name).open("rb") as file:
        return load_arrays(file, kind, table)  # pyright: ignore[reportArgumentType]


def check_shapes(arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], where: object) -> None:
    """Raise InputError unless each of these arrays has its shape and is finite."""
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.all(np.isfinite(arrays[name])):
            raise damaged(where, f"{name} of shape {arrays[name].shape} is not {shape} finite numbers")


def damaged(where: object, what: str) -> InputError:
    """The error for a table whose arrays do not fit together."""
    return InputError(f"{where}: damaged: {what}")
