"""Arrays from what people have: npy, npz, csv, txt, standard input. Told by content; nothing in it is ever executed."""

import codecs
import contextlib
import csv
import io
import math
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from rmt.errors import InputError, few, printable

STDIN = Path("-")

_SHOWN = 40  # characters of a name in a message
_MAX_HEADER = 10_000  # numpy's own bound: a longer one can exhaust the parser of the literal in it
NPY_HEAD = 12 + 2 * _MAX_HEADER
"""As many first bytes of an .npy array as `npy_header` looks at."""

_MAX_PIPED = 2**31
_BOMB_BYTES, _BOMB_RATIO = 64 * 2**20, 200
_LIKE_A_NUMBER = re.compile(r"[-+(]?\.?\d[\d\s.,_'+\-eExXjJ%]*\)?")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,0\d+\s*$")  # as two columns of integers, the second would begin with a zero


def load_array(file: Path, column: str | None = None, array: str | None = None) -> np.ndarray:
    """The real numbers in a file, as float64.

    Everything becomes float64, which holds any bool, float16, float32 and integer below 2^53 exactly, so that the same
    numbers give the same fit in every format; a longdouble or text such as 1e400 that is too large becomes inf.

    Args:
        file: .npy; .npz; .csv with semicolons, tabs or commas; text with one row a line, its numbers apart by spaces; or `-`
            for any of them from standard input. Text is UTF-8, and numbers have a decimal point. Blank lines and lines
            that begin with # are left out, and a first row without any number names the columns.
        column: the column to take, by name, or by number from 0. The other columns may then hold anything.
        array: the array of an .npz to take, by name, or by number from 0; needed if it has several.

    Returns:
        A 1-D array if the file has one column or one is taken, otherwise the array as it is.

    Raises:
        InputError: the file is not there, is not of numbers, is cut short, damaged or hostile, or has no such column or
            array.
    """
    where = shown_name(file)
    try:
        with _opened(file, ".npy, .npz, .csv or .txt") as stream:
            found = _load(stream, where, column, array)
    except MemoryError as error:
        raise InputError(f"{where}: does not fit into memory") from error
    if not found.size:
        raise InputError(f"{where}: holds no numbers; its shape is {found.shape}")
    return found.ravel() if found.ndim == 2 and 1 in found.shape else found


def load_table(file: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """A table of words and numbers: the names of its columns, and each row's line and cells as text.

    Args:
        file: .csv with semicolons, tabs or commas, whose first row names the columns; UTF-8; or `-` for standard input. Blank
            lines and lines that begin with # are left out, and so are columns without name and cells.

    Raises:
        InputError: the file is not there, is no such table, has no row, or names two columns alike.
    """
    where = shown_name(file)
    with _opened(file, ".csv") as stream:
        data = stream.read()
    lines = [line if _is_row(line) else "\n" for line in _decoded(data, where)]
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise InputError(f"{where}: is empty")
    reader = csv.reader(lines, delimiter=_delimiter(first, first) or ",", skipinitialspace=True)
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: {error}") from error
    (_, names), *rows = rows
    for line, cells in rows:
        if len(cells) != len(names):
            raise InputError(f"{where}, line {line}: has {len(cells)} columns, the first row has {len(names)}")
    used = [i for i, name in enumerate(names) if name or any(cells[i] for _, cells in rows)]
    names = [names[i] for i in used]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{where}: {names.count(twice)} columns are called {twice[:_SHOWN]!r}; give each its own name")
    if not rows:
        raise InputError(f"{where}: has column names but no rows")
    return names, [(line, [cells[i] for i in used]) for line, cells in rows]


def cell_number(cell: str, where: str) -> float:
    """The number in a cell of a table; NaN of an empty one, of nan and of NA.

    Raises:
        InputError: it is something else.
    """
    if cell.casefold() in ("", "nan", "na"):
        return math.nan
    number = _number(cell)
    if number is None:
        raise InputError(f"{where}: {_fault(cell)}")
    return number


def shown_name(file: Path) -> str:
    """What messages call a file: `<stdin>` for standard input."""
    return "<stdin>" if file == STDIN else str(file)


@contextlib.contextmanager
def _opened(file: Path, kinds: str) -> Iterator[BinaryIO]:
    """The bytes as a stream that can be sought: a pipe is read whole."""
    where = shown_name(file)
    if file != STDIN and not file.exists():
        raise InputError(f"{where}: no such file")
    if file != STDIN and file.is_dir():
        raise InputError(f"{where}: is a folder; give a {kinds} file")
    if file == STDIN and sys.stdin is None:
        raise InputError(f"{where}: standard input is closed")
    with contextlib.nullcontext(sys.stdin.buffer) if file == STDIN else open(file, "rb", opener=_opener) as stream:
        if stream.isatty():
            raise InputError(f"{where}: is a terminal; give a file, or pipe numbers in: `cut -f2 x.tsv | rmt fit -`")
        if file != STDIN and file.is_file():
            yield stream
            return
        data = stream.read(_MAX_PIPED + 1)
        if len(data) > _MAX_PIPED:
            raise InputError(f"{where}: more than {_MAX_PIPED} bytes; save them to a file and give that")
        yield io.BytesIO(data)


def _opener(path: str, flags: int) -> int:
    """A terminal that is opened to be refused must not become that of the process, which would be hung up with it."""
    return os.open(path, flags | getattr(os, "O_NOCTTY", 0))


def _load(stream: BinaryIO, where: str, column: str | None, array: str | None) -> np.ndarray:
    magic = stream.read(6)
    stream.seek(0)
    if magic.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        found, where = _npz(stream, where, array)
    elif array is not None:
        raise InputError(f"{where}: has no arrays to choose from, as only .npz files have; leave out --array")
    elif magic == b"\x93NUMPY":
        found = npy_array(stream.read(), where)
    else:
        return _text(stream.read(), where, column)
    if found.dtype.kind not in "biuf":
        raise InputError(f"{where}: holds {str(found.dtype)[:80]} values; real numbers are needed")
    if column is not None:
        if found.ndim != 2:
            raise InputError(f"{where}: has no columns to choose from; its shape is {found.shape}")
        found = found[:, _choose(where, "column", [], found.shape[1], column)]
    with np.errstate(over="ignore", invalid="ignore"):  # longdouble beyond float64; signalling NaN
        return np.asarray(found, dtype=np.float64)


def _choose(where: str, kind: str, names: Sequence[str], count: int, wanted: str) -> int:
    """The place of the column or array that has this name, or this number."""
    if names.count(wanted) == 1:
        return names.index(wanted)
    numbers = f"0 to {count - 1}" if count else "none"
    if names.count(wanted) > 1:
        raise InputError(f"{where}: {names.count(wanted)} {kind}s are called {wanted!r}; give the number, {numbers}")
    if wanted in map(str, range(count)):
        return int(wanted)
    known = f"{few([printable(name[:_SHOWN]) for name in names])}, or " if names else ""
    raise InputError(f"{where}: no {kind} {wanted!r}; there are {known}{numbers}")


# --- npy and npz


def npy_header(head: bytes, where: str) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Shape, Fortran order, dtype and the place of the data of an .npy array, as its header claims.

    Args:
        head: the array's bytes; NPY_HEAD of them are enough.
        where: what an error calls the array.

    Raises:
        InputError: this is no .npy header.
    """
    stream = io.BytesIO(head[:NPY_HEAD])
    try:
        with warnings.catch_warnings(action="ignore"):
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(stream, max_header_size=_MAX_HEADER)
    except Exception as error:  # numpy evaluates the header's literal and raises whatever that meets
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{where}: not a usable .npy array ({reason})") from error
    return tuple(int(n) for n in shape), fortran, dtype, stream.tell()


def npy_array(data: bytes, where: str) -> np.ndarray:
    """The .npy array in `data`, a view of it.

    Raises:
        InputError: the header claims another size than is there, or objects, which are never loaded.
    """
    shape, fortran, dtype, start = npy_header(data, where)
    if dtype.hasobject:
        raise InputError(f"{where}: holds pickled Python objects, which are never loaded")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise InputError(f"{where}: shape {str(shape)[:80]} does not fit the {len(data) - start} bytes of its data")
    try:
        return np.frombuffer(data, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
    except (ValueError, OverflowError) as error:  # no elements, and an impossible shape or type
        raise InputError(f"{where}: not a usable .npy array ({error})") from error


def refuse_zip_bomb(where: str, packed: int, size: int) -> None:
    """InputError if `packed` bytes would unpack to more than 64 MiB at over 200 times their size.

    Trained weights and measured numbers never do, and zip bombs must.
    """
    if size > _BOMB_BYTES and size > _BOMB_RATIO * packed:
        raise InputError(f"{where}: would unpack from {packed} to {size} bytes; refused as a zip bomb")


def _npz(stream: BinaryIO, where: str, wanted: str | None) -> tuple[np.ndarray, str]:
    """One array of a zip, and what to call it; nothing is written, so members may be called anything."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = [i for i in archive.infolist() if i.filename.endswith(".npy")]
            names = [i.filename.removesuffix(".npy") for i in members]
            if not members:
                inside = few([printable(name[:_SHOWN]) for name in archive.namelist()]) or "nothing"
                raise InputError(f"{where}: a zip of no .npy arrays, it holds {inside}; give .npz, .npy or text")
            if wanted is None and len(members) > 1:
                inside = few(
                    [f"{printable(n[:_SHOWN])} {_shape(archive, i)}" for n, i in zip(names, members, strict=True)]
                )
                raise InputError(f"{where}: holds {len(members)} arrays: {inside}; choose one with --array NAME")
            chosen = 0 if wanted is None else _choose(where, "array", names, len(members), wanted)
            where = f"{where}: {printable(names[chosen][:_SHOWN])}"
            return npy_array(_unpacked(archive, members[chosen], stream.seek(0, io.SEEK_END), where), where), where
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zipfile raises whatever it meets in a damaged archive
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{where}: truncated or damaged zip archive ({reason})") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, archive_size: int, where: str) -> bytes:
    if member.flag_bits & 1:
        raise InputError(f"{where}: is encrypted; save it again without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # zipfile inflates others without bound
        raise InputError(f"{where}: compression method {member.compress_type} is not supported; save with numpy.savez")
    if member.compress_size > archive_size:
        raise InputError(f"{where}: truncated: has {member.compress_size} bytes in an archive of {archive_size}")
    refuse_zip_bomb(where, member.compress_size, member.file_size)
    with archive.open(member) as stream:
        return stream.read(member.file_size)  # to its end, where zipfile checks the checksum


def _shape(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
    try:
        with archive.open(member) as stream:
            return str(npy_header(stream.read(NPY_HEAD), "")[0])[:80]
    except Exception:  # the list of what there is stands all the same
        return "unreadable"


# --- text


def _text(data: bytes, where: str, column: str | None) -> np.ndarray:
    lines = _decoded(data, where).readlines()
    kept = [line for line in lines if _is_row(line)]
    if not kept:
        raise InputError(f"{where}: is empty")
    delimiter = _delimiter(kept[0], kept[:2][-1])
    first = _split(kept[0], delimiter)
    named = any(first) and not any(_number(cell) is not None or _LIKE_A_NUMBER.fullmatch(cell) for cell in first)
    rows = kept[named:]
    if not rows:
        raise InputError(f"{where}: has column names but no numbers")
    index = None if column is None else _choose(where, "column", first if named else [], len(first), column)
    if delimiter == "," and len(first) == 2 and not named and (odd := next(filter(_DECIMAL_COMMA.match, rows), "")):
        advice = "write decimals with a point, or name the two columns in a first line"
        raise InputError(f"{where}: {odd.strip()[:40]!r} looks like one number with a decimal comma; {advice}")
    try:
        values = np.loadtxt(rows, delimiter=delimiter, comments=None, ndmin=2)
    except ValueError:
        values = None
    if values is not None and values.shape[1] == len(first):
        return values if index is None else values[:, index]
    # numpy gave up: quoted numbers and words in other columns are read here, and the rest is told what is wrong where.
    numbered = [(i, line) for i, line in enumerate(lines, 1) if _is_row(line)][named:]
    return np.array([_cells(f"{where}, line {i}", line, delimiter, len(first), index) for i, line in numbered])


def _decoded(data: bytes, where: str) -> io.StringIO:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{where}: is UTF-16 text; save it as UTF-8, as with `iconv -f UTF-16 -t UTF-8`")
    try:
        text = data.decode("utf-8-sig")
        reason = f"a zero at byte {data.index(0)}" if 0 in data else None
    except UnicodeDecodeError as error:
        text, reason = "", f"{error.reason} at byte {error.start}"
    if reason:
        raise InputError(f"{where}: neither .npy, .npz nor UTF-8 text ({reason}); unpack or convert it first")
    return io.StringIO(text, newline=None)


def _is_row(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _delimiter(first: str, second: str) -> str | None:
    """What parts the cells of the first two rows, or of one of them; None for spaces."""
    in_first, in_second = ([d for d in ";\t," if d in re.sub('"[^"]*"', "", line)] for line in (first, second))
    return next(iter([d for d in in_first if d in in_second] + in_first + in_second), None)


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return [re.sub('^"(.*)"$', r"\1", cell) for cell in line.split()]
    cells = line.split(delimiter)
    if '"' in line:
        with contextlib.suppress(csv.Error):
            cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    return [cell.strip() for cell in cells]


def _cells(where: str, line: str, delimiter: str | None, width: int, index: int | None) -> list[float]:
    """The numbers of one row, or of one of its columns."""
    cells = _split(line, delimiter)
    if len(cells) != width:
        advice = "if these are decimal commas, write points" if delimiter == "," else "titles and notes begin with #"
        raise InputError(f"{where}: has {len(cells)} columns, the first row has {width}; {advice}")
    numbers = []
    for cell in cells if index is None else [cells[index]]:
        numbers.append(_number(cell))
        if numbers[-1] is None:
            raise InputError(f"{where}: {_fault(cell)}")
    return numbers


def _number(cell: str) -> float | None:
    if "_" in cell or not cell.isascii():  # Python reads 1_000, and digits of every script
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _fault(cell: str) -> str:
    if not cell:
        return "an empty cell; fill it, or leave the row out"
    if _LIKE_A_NUMBER.fullmatch(cell) and cell.rstrip(")")[-1:] in "jJ":
        return f"{cell[:40]!r} is a complex number; real numbers are needed"
    advice = "; write it like 1234.5, a decimal point and nothing else between digits"
    return f"{cell[:40]!r} is not a number{advice if _LIKE_A_NUMBER.fullmatch(cell) else ''}"
