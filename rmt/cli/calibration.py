"""`rmt calibrate`: the tables behind `estimate_mu`, `classify` and the thresholds of noise: made, or drawn again and compared."""

import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmt.console import boundary, keep_compiled_programs
from rmt.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

CELLS = 3
"""As many as take less than a minute of two cores: a cell of mu is a family at a shape, at all its mu."""

Cells = Mapping[str, tuple[float, Callable[[], dict[str, float]]]]
"""Name -> cost in any unit, and what draws the cell again and gives its deviations."""

Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Make a table and write it here.")]
Shapes = Annotated[str | None, typer.Option(metavar="NxM,...", help="Shapes; by default those of the shipped table.")]
Trials = Annotated[
    int | None, typer.Option(metavar="N", help="Matrices of each cell; by default as the shipped table.")
]
Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, max=2**32 - 1, help="Seed of all draws; by default that of the shipped table."),
]
MuGrid = Annotated[str | None, typer.Option("--mu", metavar="MU,...", help="Tail indices.")]
Entries = Annotated[str | None, typer.Option(metavar="NAME,...", help="Families of entries; by default all.")]
Jobs = Annotated[int | None, typer.Option(metavar="N", min=1, help="Threads; by default one per core.")]
Restart = Annotated[bool, typer.Option("--restart", help="Throw away what FILE.parts holds of these shapes.")]
Check = Annotated[bool, typer.Option("--check", help="Draw cells of a table again and compare.")]
Table = Annotated[Path | None, typer.Option(metavar="FILE", help="With --check: this table, not the shipped one.")]
CellCount = Annotated[
    int | None, typer.Option("--cells", metavar="N", min=1, help=f"With --check: how many cells; {CELLS} by default.")
]
CheckSeed = Annotated[
    int | None, typer.Option(metavar="N", min=0, help="With --check: chooses the cells; a random number by default.")
]

calibrate = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="""Make the tables of rmt.calibration for shapes of your own, or draw cells of one again.

      rmt calibrate mu --shapes 500x500,500x250 --out mu.npz
      rmt calibrate noise --shapes 4096x1024 --out noise.npz
      rmt calibrate mu --check
    """,
)

command = boundary(interrupted="stopped; finished cells are kept, run the same command to continue")


@calibrate.command()
@command
def mu(
    out: Out = None,
    shapes: Shapes = None,
    trials: Trials = None,
    seed: Seed = None,
    mu: MuGrid = None,
    entries: Entries = None,
    jobs: Jobs = None,
    restart: Restart = False,
    check: Check = False,
    table: Table = None,
    cells: CellCount = None,
    check_seed: CheckSeed = None,
) -> None:
    """The table of rmt.calibration.estimate_mu, of summaries of simulated matrices.

    With --out: for every N as many M, at the same Q = N/M. The table reaches
    from the smallest to the largest N and Q, by cubics, of fewer than four by a
    parabola or a line; a table of one N or one Q holds there alone. What is
    simulated stays in the folder FILE.parts: after Ctrl-C, a crash or kill -9
    the same command continues, and with more shapes, trials or mu those that
    are there are not simulated again.

    With --check: draws a few cells of a table again, the cheap ones mostly, and
    compares. Exit code 1 if one disagrees.

    Examples:

      rmt calibrate mu --shapes 500x500,500x250,1000x1000,1000x500 --out mu.npz
      rmt calibrate mu --shapes 768x768 --entries "Student t" --out mu.npz
      rmt calibrate mu --check --cells 3
    """
    making = {
        "--shapes": shapes,
        "--trials": trials,
        "--seed": seed,
        "--mu": mu,
        "--entries": entries,
        "--restart": restart,
    }
    _one_of(out, check, making, {"--table": table, "--cells": cells, "--check-seed": check_seed})
    from rmt.calibration import mu_simulation, mu_table

    if check:
        held = mu_table.load(table) if table is not None else mu_table.shipped()
        keep_compiled_programs()
        every: Cells = {
            f"{name}, {N} x {M}": (N * M * M, partial(mu_simulation.deviations, held, name, N, M, jobs))
            for name in held.entries
            for N, Ms in zip(held.N.astype(int).tolist(), held.M.astype(int).tolist(), strict=True)
            for M in Ms
        }
        _compare(every, cells or CELLS, check_seed)
        return
    assert out is not None
    shipped = mu_table.shipped()
    grid = [(int(N), int(M)) for N, Ms in zip(shipped.N, shipped.M, strict=True) for M in Ms]
    asked = grid if shapes is None else _shapes(shapes, mu_table.FEWEST_COLUMNS)
    rows, columns = mu_table.rows_and_columns(asked)
    counts = {
        (N, M): _trials(trials, mu_table.FEWEST_TRIALS, mu_simulation.trials_of(N))
        for N, Ms in zip(rows, columns, strict=True)
        for M in Ms
    }
    indices = mu_simulation.MU if mu is None else _mu(mu)
    families = tuple(mu_simulation.FAMILIES) if entries is None else _entries(entries, mu_simulation.FAMILIES)
    seed = shipped.seed if seed is None else seed
    parts = _parts(out, mu_table.load)
    keep_compiled_programs()
    data = mu_simulation.simulate(
        counts,
        seed=seed,
        store=parts,
        mu=indices,
        entries=families,
        workers=jobs,
        restart=restart,
    )
    _all_finite(data)
    mu_table.save(mu_simulation.build(data, seed), out)
    typer.echo(f"shapes: {_listed(data)}")
    typer.echo(f"mu: {len(indices)} from {indices[0]:g} to {indices[-1]:g}, of {', '.join(families)}")
    typer.echo(f"matrices: {_range(counts.values())} of each, seed {seed}")
    _written(out, f'estimate_mu(s, table="{out}")')


@calibrate.command()
@command
def noise(
    out: Out = None,
    shapes: Shapes = None,
    trials: Trials = None,
    seed: Seed = None,
    jobs: Jobs = None,
    restart: Restart = False,
    check: Check = False,
    table: Table = None,
    cells: CellCount = None,
    check_seed: CheckSeed = None,
) -> None:
    """The table of noise_threshold and its kin, of fits to simulated noise.

    With --out: between the shapes the table is a smooth surface, which needs
    about twenty of them, of five M, odd ones too, and of four Q; a table of
    fewer holds at its own shapes alone. Levels below 1/n of n matrices are the
    smallest value among them. What is simulated stays in the folder FILE.parts:
    after Ctrl-C, a crash or kill -9 the same command continues, and with more
    shapes or trials those that are there are not simulated again.

    With --check: draws the matrices of a few shapes of a table again, the cheap
    ones mostly, and compares their quantiles. Exit code 1 if one disagrees.

    Examples:

      rmt calibrate noise --shapes 4096x1024,3072x768 --out noise.npz
      rmt calibrate noise --check --cells 5
    """
    making = {"--shapes": shapes, "--trials": trials, "--seed": seed, "--restart": restart}
    _one_of(out, check, making, {"--table": table, "--cells": cells, "--check-seed": check_seed})
    from rmt.calibration import noise as noise_table
    from rmt.calibration import noise_simulation
    from rmt.tails.base import MIN_POINTS

    if check:
        held = noise_table.load(table) if table is not None else noise_table.shipped()
        keep_compiled_programs()
        every: Cells = {
            f"noise, {N} x {M}": (n * M * M, partial(noise_simulation.deviations, held, N, M, jobs))
            for N, M, n in zip(held.N.tolist(), held.M.tolist(), held.n_trials.tolist(), strict=True)
        }
        _compare(every, cells or CELLS, check_seed)
        return
    assert out is not None
    asked = list(noise_simulation.SHAPES) if shapes is None else _shapes(shapes, MIN_POINTS)
    counts = {(N, M): _trials(trials, 2, noise_simulation.trials_of(M)) for N, M in asked}
    seed = noise_table.shipped().seed if seed is None else seed
    parts = _parts(out, noise_table.load)
    keep_compiled_programs()
    how: dict[str, Any] = {"seed": seed, "workers": jobs, "restart": restart}
    data = noise_simulation.simulate(counts, store=parts, **how)
    independent = noise_simulation.simulate_independent(
        noise_simulation.SAMPLES, store=parts / "independent.zarr", **how
    )
    _all_finite(data)
    made = noise_simulation.build(data, independent, seed)
    noise_table.save(made, out)
    typer.echo(f"shapes: {_listed(data)}")
    alone = [what for what in noise_table.WHAT if what not in made.coefficients]
    typer.echo("between them: " + (f"nothing of {', '.join(alone)}" if alone else "a smooth surface"))
    typer.echo(f"matrices: {_range(counts.values())} of each, seed {seed}")
    _written(out, f'noise_threshold(N, M, table="{out}")')


@calibrate.command()
@command
def classes(
    out: Out = None,
    shapes: Shapes = None,
    trials: Trials = None,
    seed: Seed = None,
    jobs: Jobs = None,
    restart: Restart = False,
    check: Check = False,
    table: Table = None,
    cells: CellCount = None,
    check_seed: CheckSeed = None,
) -> None:
    """The table of rmt.calibration.classify, of features of simulated matrices.

    With --out: a regression through all shapes, which should lie around those
    it is asked about. What is simulated stays in the folder FILE.parts, and the
    same command continues, or adds shapes or trials.

    With --check: draws the matrices of a few shapes of a table again and
    compares the spectra that it keeps. Exit code 1 if one disagrees.

    Examples:

      rmt calibrate classes --shapes 768x768,1536x768,3072x768 --out classes.npz
      rmt calibrate classes --check --cells 1
    """
    making = {"--shapes": shapes, "--trials": trials, "--seed": seed, "--restart": restart}
    _one_of(out, check, making, {"--table": table, "--cells": cells, "--check-seed": check_seed})
    from rmt.calibration import class_simulation
    from rmt.calibration import classes as class_table
    from rmt.phases import FEWEST

    held = class_table.load(table) if table is not None else class_table.shipped()
    if check:
        keep_compiled_programs()
        every: Cells = {
            f"classes, {N} x {M}": (n * M * M, partial(class_simulation.deviations, held, N, M, jobs))
            for N, M, n in zip(held.N.tolist(), held.M.tolist(), held.n_trials.tolist(), strict=True)
        }
        _compare(every, cells or CELLS, check_seed)
        return
    assert out is not None
    asked = list(class_simulation.SHAPES) if shapes is None else _shapes(shapes, FEWEST)
    counts = {(N, M): _trials(trials, class_simulation.FEWEST_TRIALS, class_simulation.trials_of(M)) for N, M in asked}
    seed = held.seed if seed is None else seed
    parts = _parts(out, class_table.load)
    keep_compiled_programs()
    data = class_simulation.simulate(counts, seed=seed, store=parts, workers=jobs, restart=restart)
    _all_finite(data)
    class_table.save(class_simulation.build(data, seed), out)
    typer.echo(f"shapes: {_listed(data)}")
    typer.echo(f"matrices: {_range(counts.values())} of each law of the entries, seed {seed}")
    _written(out, f'classify(s, table="{out}")')


def _one_of(out: Path | None, check: bool, making: Mapping[str, Any], checking: Mapping[str, Any]) -> None:
    """Refuse options that do not go together."""
    if check == (out is not None):
        raise InputError("give --out FILE to make a table, or --check to draw cells of one again")
    for option, value in (making if check else checking).items():
        if value is not None and value is not False:
            raise InputError(f"{option} goes with {'--out' if check else '--check'}")


def _shapes(text: str, fewest: int) -> list[tuple[int, int]]:
    """The shapes of --shapes, each once."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})x(\d{1,9})\s*", part)
        if not match:
            raise InputError(f"--shapes are N x M as 200x100,200x50; got {part.strip()!r}")
        N, M = int(match[1]), int(match[2])
        if N < M:
            raise InputError(f"--shapes need N >= M, got {N}x{M}; the spectrum of W is that of its transpose")
        if fewest > M:
            raise InputError(f"--shapes need M >= {fewest}, got {N}x{M}; fewer eigenvalues hold no tail")
        found.append((N, M))
    return list(dict.fromkeys(found))


def _trials(asked: int | None, fewest: int, default: int) -> int:
    if asked is not None and asked < fewest:
        raise InputError(f"--trials must be at least {fewest}, got {asked}")
    return default if asked is None else asked


def _mu(text: str) -> tuple[float, ...]:
    """The tail indices of --mu, rising."""
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        values = []
    if len(values) < 2 or not all(0 < x < math.inf for x in values):
        raise InputError(f"--mu needs two or more positive numbers, as 0.5,1,1.5,2,3; got {text!r}")
    return tuple(values)


def _entries(text: str, families: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [name for name in names if name not in families]:
        raise InputError(f"--entries are {', '.join(families)}; got {unknown[0]!r}")
    return names


def _parts(out: Path, load: Callable[[Path], Any]) -> Path:
    """The folder of what is simulated for this file; what cannot be written is found out now, and not after the work."""
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the file to write")
    if out.exists():
        try:
            load(out)  # nothing but a table is replaced by one
        except InputError as error:
            raise InputError(f"{error}; choose another --out") from None
    parts = out.with_name(f"{out.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"{out.parent}: cannot be written; choose another --out")
    return parts


def _all_finite(data: "Mapping[tuple[int, int], xr.Dataset]") -> None:
    from rmt.sweeps import count_nonfinite

    for (N, M), ds in data.items():
        for name, count in count_nonfinite(ds).items():
            raise InputError(f"{name} is not finite in {count} matrices of {N} x {M}: no table can be made of them")


def _listed(shapes: "Mapping[tuple[int, int], Any]") -> str:
    names = [f"{N} x {M}" for N, M in shapes]
    return ", ".join(names) if len(names) < 8 else f"{len(names)}, from {names[0]} to {names[-1]}"


def _range(counts: Collection[int]) -> str:
    fewest, most = min(counts), max(counts)
    return str(fewest) if fewest == most else f"{fewest} to {most}"


def _written(out: Path, use: str) -> None:
    typer.echo(f"written: {out}, {out.stat().st_size / 1e3:.0f} kB; what was simulated is in {out}.parts")
    typer.echo(f"to use it: rmt.calibration.{use}")


def _compare(cells: Cells, count: int, seed: int | None) -> None:
    """Draw some cells again and say how far off they are; dear ones seldom, as the square of what they cost."""
    import numpy as np

    from rmt.calibration.simulation import TOLERANCE

    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    names = list(cells)
    weight = np.array([cost for cost, _ in cells.values()], float) ** -2
    rng, share = np.random.default_rng(seed), weight / weight.sum()
    chosen = [names[i] for i in rng.choice(len(names), min(count, len(names)), replace=False, p=share)]
    typer.echo(f"{len(chosen)} of {len(names)} cells, chosen by --check-seed {seed}")
    wrong = []
    for name in chosen:
        off = cells[name][1]()
        what = max(off, key=lambda each: math.inf if math.isnan(off[each]) else off[each])
        agrees = off[what] <= TOLERANCE
        wrong += [] if agrees else [name]
        typer.secho(
            f"{name}: {'agrees' if agrees else 'DISAGREES'}; largest deviation {off[what]:.1e}, of {what}",
            fg=None if agrees else "red",
        )
    if wrong:
        typer.secho(
            f"the table disagrees with its matrices drawn again by more than {TOLERANCE:g}: {'; '.join(wrong)}",
            fg="red",
            err=True,
        )
        raise SystemExit(1)
