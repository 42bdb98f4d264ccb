"""Arrays from files that people have: npy, csv, txt. Nothing in a file is ever executed."""

import csv
from pathlib import Path

import numpy as np

from rmt.errors import InputError


def load_array(file: Path, column: str | None = None) -> np.ndarray:
    """The numbers in a file, as float64.

    Args:
        file: .npy; .csv with commas, semicolons or tabs; or text with one row a line. Lines that begin with # are left
            out, and a first row that is not numbers names the columns.
        column: the column to take, by name, or by number from 0.

    Returns:
        A 1-D array if the file has one column or one is taken, otherwise the array as it is.

    Raises:
        InputError: the file is not there, is not of numbers, is cut short, or has no such column.
    """
    if not file.exists():
        raise InputError(f"{file}: no such file")
    if file.is_dir():
        raise InputError(f"{file}: is a folder; give a .npy, .csv or .txt file")
    array, names = (_npy(file), None) if _is_npy(file) else _text(file)
    if column is not None:
        return array[:, _column(file, array, names, column)]
    return array.ravel() if array.ndim == 2 and 1 in array.shape else array


def _is_npy(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(6) == b"\x93NUMPY" or file.suffix == ".npy"


def _npy(file: Path) -> np.ndarray:
    try:
        # Mapped, not read: a header that promises more than the file holds fails before any memory is taken.
        array = np.lib.format.open_memmap(file, mode="r")
    except OSError:
        raise
    except Exception as error:  # numpy evaluates the header and raises whatever that meets
        raise InputError(f"{file}: not a usable .npy file: {error}") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{file}: holds {array.dtype} values; real numbers are needed")
    return np.asarray(array, dtype=np.float64)


def _text(file: Path) -> tuple[np.ndarray, list[str] | None]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{file}: neither .npy nor text ({error.reason} at byte {error.start})") from error
    numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    rows = [(i, _split(line)) for i, line in numbered]
    if not rows:
        raise InputError(f"{file}: is empty")
    names = None if _numbers(rows[0][1]) is not None else [name.strip() for name in rows.pop(0)[1]]
    if not rows:
        raise InputError(f"{file}: has column names but no numbers")
    values = [_row(file, i, fields, len(rows[0][1])) for i, fields in rows]
    return np.array(values), names


def _split(line: str) -> list[str]:
    for delimiter in (",", ";", "\t"):
        if delimiter in line:
            return next(csv.reader([line], delimiter=delimiter))
    return line.split()


def _numbers(fields: list[str]) -> list[float] | None:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _row(file: Path, line: int, fields: list[str], width: int) -> list[float]:
    if len(fields) != width:
        raise InputError(f"{file}, line {line}: has {len(fields)} columns, the first row has {width}")
    numbers = _numbers(fields)
    if numbers is None:
        bad = next(field for field in fields if _numbers([field]) is None)
        raise InputError(f"{file}, line {line}: {bad[:40]!r} is not a number")
    return numbers


def _column(file: Path, array: np.ndarray, names: list[str] | None, column: str) -> int:
    if array.ndim != 2:
        raise InputError(f"{file}: has no columns to choose from; its shape is {array.shape}")
    if names and column in names:
        return names.index(column)
    if column.isdecimal() and int(column) < array.shape[1]:
        return int(column)
    known = f"{', '.join(names)}, or " if names else ""
    raise InputError(f"{file}: no column {column!r}; there are {known}0 to {array.shape[1] - 1}")
