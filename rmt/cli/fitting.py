"""`rmt fit`: the tail of the numbers in a file, with what it is worth."""

import math
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmt.cli.sharing import ArrayName, File, Json, NoPicture, drawn, picture_path, upright
from rmt.console import boundary, keep_compiled_programs
from rmt.errors import InputError

if TYPE_CHECKING:
    from rmt.spectra import Spectrum
    from rmt.tails import Method

RESAMPLES, RESAMPLES_FOR_P = 1000, 2500
"""As many as an interval, and a p-value to two digits, need."""

MATRICES, MATRIX_WORK = 200, 5e9
"""As many replicated matrices as an interval needs, where N M^2 is small enough: this many take a minute."""


class MethodName(StrEnum):
    """A method of `rmt.tails`."""

    clauset = "clauset"
    truncated = "truncated"
    hill = "hill"
    weightwatcher = "weightwatcher"


class Sides(StrEnum):
    """Which D."""

    one_sided = "one-sided"
    two_sided = "two-sided"


Column = Annotated[str | None, typer.Option(metavar="NAME|N", help="Column to fit, by name or number from 0.")]
Matrix = Annotated[bool, typer.Option("--matrix", help="FILE is a matrix W: fit its spectrum.")]
Transpose = Annotated[bool, typer.Option("--transpose", help="With --matrix: W transposed.")]
MethodOption = Annotated[MethodName, typer.Option(metavar="NAME", help="clauset, truncated, hill or weightwatcher.")]
KS = Annotated[Sides | None, typer.Option(metavar="SIDES", help="D is one-sided (default) or two-sided.")]
Xmin = Annotated[str | None, typer.Option(metavar="X|LO:HI", help="xmin, or where to search for it.")]
Xmax = Annotated[str | None, typer.Option(metavar="X|max", help="The tail ends here; max: at the largest value.")]
MinTail = Annotated[int | None, typer.Option(metavar="N", min=2, help="Fewest values in a tail; 2 by default.")]
K = Annotated[str | None, typer.Option("--k", metavar="N|SHARE", help="With hill: the values above xmin.")]
Resamples = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help=f"For the intervals: {RESAMPLES}, or {MATRICES} matrices; 0 for none."),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Seed of the resamples.")]
PValue = Annotated[bool, typer.Option("--p-value", help=f"Test the fit, with {RESAMPLES_FOR_P} resamples by default.")]
NoCompare = Annotated[bool, typer.Option("--no-compare", help="Leave out the other laws.")]
Picture = Annotated[Path | None, typer.Option(help=".svg, .png or .pdf; NAME-fit.svg of FILE's NAME by default.")]


@boundary()
def fit(
    file: File,
    column: Column = None,
    array: ArrayName = None,
    matrix: Matrix = False,
    transpose: Transpose = False,
    method: MethodOption = MethodName.clauset,
    ks: KS = None,
    xmin: Xmin = None,
    xmax: Xmax = None,
    min_tail: MinTail = None,
    k: K = None,
    resamples: Resamples = None,
    seed: Seed = 0,
    p_value: PValue = False,
    no_compare: NoCompare = False,
    picture: Picture = None,
    no_picture: NoPicture = False,
    as_json: Json = False,
) -> None:
    """Fit a power law, rho(x) ~ x^-alpha, to the tail of the numbers in FILE.

    The exact Clauset-Shalizi-Newman search: alpha by maximum likelihood above
    each xmin, and the xmin whose fit has the smallest Kolmogorov-Smirnov
    distance D. Prints intervals, warnings and a comparison with other laws, and
    draws the fit.

    Examples:

      rmt fit eigenvalues.npy
      rmt fit weights.npz --array fc1 --matrix
      rmt fit table.csv --column lambda --p-value --picture fit.png
      cut -f2 table.tsv | rmt fit - --json
    """
    from rmt.cli.analysis import Wanted, find
    from rmt.cli.findings_text import lines
    from rmt.datafiles import load_array, shown_name

    chosen = _method(method, ks, xmin, xmax, min_tail, k)
    if transpose and not matrix:
        raise InputError("--transpose goes with --matrix")
    if resamples == 0 and p_value:
        raise InputError("--p-value needs resamples; leave out --resamples 0")
    target = picture_path(file, array or column, "fit", picture, no_picture, as_json)
    name = shown_name(file)
    numbers = load_array(file, column, array)
    W = upright(name, numbers, transpose, "--matrix") if matrix else None
    if W is None and numbers.ndim != 1:
        advice = "--matrix to fit its spectrum, or --column to fit one column" if numbers.ndim == 2 else "a 1-D array"
        raise InputError(f"{name}: holds an array of shape {numbers.shape}; give {advice}")
    keep_compiled_programs()
    data = numbers if W is None else _spectrum(W)
    default = RESAMPLES_FOR_P if p_value else RESAMPLES
    wanted = Wanted(
        method_name=method.value,
        method=chosen,
        n_resamples=0 if matrix and not p_value else default if resamples is None else resamples,
        n_matrices=0 if W is None else _n_matrices(W) if resamples is None else resamples,
        seed=seed,
        p_value=p_value,
        compare=not no_compare,
        scan=picture is not None,
    )
    found, diagnosis = find(name, data, W, wanted)
    if not as_json:
        for line, flagged in lines(found):
            typer.secho(line, fg="yellow" if flagged else None)
    if (
        target is not None
        and diagnosis is not None
        and drawn(target, picture is not None, "diagnosis", data, diagnosis)
    ):
        found = replace(found, picture=str(target))
        if not as_json:
            typer.echo(f"\npicture: {target}")
    if as_json:
        typer.echo(found.to_json())


def _method(
    name: MethodName, ks: Sides | None, xmin: str | None, xmax: str | None, min_tail: int | None, k: str | None
) -> "Method":
    """The method that these options ask for."""
    from rmt.tails import Clauset, Hill, WeightWatcher

    searches = name in (MethodName.clauset, MethodName.truncated)
    for option, value, allowed in (
        ("--ks", ks, searches),
        ("--xmin", xmin, searches or (name == MethodName.hill and xmin == "median")),
        ("--xmax", xmax, searches),
        ("--min-tail", min_tail, searches),
        ("--k", k, name == MethodName.hill),
    ):
        if value is not None and not allowed:
            raise InputError(f"{option} {value} does not go with --method {name.value}")
    if name == MethodName.weightwatcher:
        return WeightWatcher()
    if name == MethodName.hill:
        if xmin is not None and k is not None:
            raise InputError("--k and --xmin median exclude each other; give one")
        share = None if k is None else _number("--k", k, "a whole number from 2, or a share below 1")
        if share is None:
            return Hill(xmin="median") if xmin else Hill()
        if share < 1:
            return Hill(fraction=share)
        if share < 2 or share != int(share):
            raise InputError(f"--k needs a whole number from 2, or a share below 1, got {k!r}")
        return Hill(k=int(share))
    end = xmax or ("max" if name == MethodName.truncated else None)
    end = end if end is None or end == "max" else _number("--xmax", end, "a positive number or max")
    start = _start(xmin)
    low = start[0] if isinstance(start, tuple) else start
    if isinstance(end, float) and low is not None and end <= low:
        raise InputError(f"--xmax {xmax} is not above --xmin {xmin}")
    return Clauset(ks.value if ks else "one-sided", start, end, 2 if min_tail is None else min_tail)


def _start(xmin: str | None) -> float | tuple[float, float] | None:
    needs = "a positive number or LO:HI"
    if xmin is None:
        return None
    if ":" not in xmin:
        return _number("--xmin", xmin, needs)
    low, high = (_number("--xmin", end, needs) for end in xmin.split(":", 1))
    if low > high:
        raise InputError(f"--xmin {xmin}: LO is above HI")
    return low, high


def _number(option: str, text: str, needs: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise InputError(f"{option} needs {needs}, got {text!r}")
    return value


def _n_matrices(W: Any) -> int:
    N, M = W.shape
    return MATRICES if N * M * M <= MATRIX_WORK else 0


def _spectrum(W: Any) -> "Spectrum":
    from rmt.spectra import spectrum
    from rmt.threads import one_blas_thread

    with one_blas_thread():
        s = spectrum(W)
        s.eigenvalues.block_until_ready()
    return s
