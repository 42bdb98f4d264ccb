"""What `rmt fit` and `rmt card` share: their file, the matrix in it, the picture that they leave, lines of text."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from rmt.console import one_line, written_whole
from rmt.errors import InputError

PICTURES = (".svg", ".png", ".pdf")
WIDTH, NAME, VALUE = 80, 10, 10
"""Letters of a line of text, of its name and of its value."""

File = Annotated[Path, typer.Argument(metavar="FILE", help=".npy, .npz, .csv or .txt; - for standard input.")]
ArrayName = Annotated[str | None, typer.Option(metavar="NAME|N", help="Array of an .npz, by name or number from 0.")]
NoPicture = Annotated[bool, typer.Option("--no-picture", help="Draw none.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; draws only with --picture.")]


def picture_path(file: Path, part: str | None, what: str, asked: Path | None, none: bool, as_json: bool) -> Path | None:
    """Where to draw; what cannot work is found out now, and not after the work.

    Args:
        file: that of the numbers.
        part: the array or the column of it that was chosen.
        what: ends the name of a picture that was not asked for.
        asked: --picture.
        none: --no-picture.
        as_json: --json, which draws only what was asked for.
    """
    from rmt.datafiles import STDIN

    if asked is not None and none:
        raise InputError("--picture and --no-picture exclude each other; give one")
    if asked is None:
        stem = ("stdin" if file == STDIN else file.stem) + (re.sub(r"\W+", "-", f"-{part}") if part else "")
        return None if none or as_json else Path(f"{stem}-{what}.svg")
    if asked.suffix not in PICTURES:
        raise InputError(f"--picture {asked}: end it in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
    if asked.is_dir():
        raise InputError(f"--picture {asked}: is a folder")
    return asked


def upright(name: str, W: Any, transpose: bool, what: str) -> Any:
    """W, or its transpose, which must not lie on its side; `what` needs it."""
    if W.ndim != 2:
        raise InputError(f"{name}: {what} needs a 2-D array, this one has shape {W.shape}")
    W = W.T if transpose else W
    if W.shape[0] < W.shape[1]:
        advice = "leave out --transpose" if transpose else "pass --transpose"
        raise InputError(f"{name}: a spectrum needs N >= M, got {W.shape[0]} x {W.shape[1]}; {advice}")
    return W


def drawn(target: Path, asked: bool, what: str, *data: Any) -> bool:
    """Write a picture of `rmt.plots`; one that nobody asked for may fail, with a line that says so."""
    from rmt import plots

    try:
        with written_whole(target) as aside:
            figure = getattr(plots, what)(*data)
            if target.suffix == ".svg":
                aside.write_text(plots.svg(figure), encoding="utf-8")
            else:
                figure.savefig(aside, format=target.suffix[1:])
    except OSError as error:
        if asked:
            raise
        typer.echo(f"no picture: {one_line(error)}", err=True)
        return False
    return True


def entry(name: str, value: str, *notes: str, flagged: bool = False) -> Iterator[tuple[str, bool]]:
    """A name, a value, and notes, each on lines of its own beside them; and whether they are a warning."""
    wrapped = [line for note in notes for line in textwrap.wrap(note, WIDTH - NAME - VALUE)] or [""]
    yield f"{name:{NAME}}{value:{VALUE}}{wrapped[0]}".rstrip(), flagged
    yield from ((" " * (NAME + VALUE) + line, flagged) for line in wrapped[1:])


def words(name: str, *notes: str, flagged: bool = False) -> Iterator[tuple[str, bool]]:
    """A name and words without a value, each on lines of its own."""
    first, *rest = [line for note in notes for line in textwrap.wrap(note, WIDTH - NAME)]
    yield f"{name:{NAME}}{first}", flagged
    yield from ((" " * NAME + line, flagged) for line in rest)


def short(x: float) -> str:
    """A number to four digits."""
    return f"{x:.4g}"
