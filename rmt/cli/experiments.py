"""`rmt run` and `rmt report`: claims, their verdicts and the page that shows them."""

import re
import traceback
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rmt.console import boundary, keep_compiled_programs
from rmt.errors import InputError

if TYPE_CHECKING:
    from rmt.claims import Claim, Verdict

COLORS = {"supported": "green", "contradicted": "red", "inconclusive": "yellow"}


class SizeName(StrEnum):
    """How much of a claim's grid to run."""

    smoke = "smoke"
    default = "default"
    paper = "paper"


Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="Experiment files, or folders of them.")]
Size = Annotated[SizeName, typer.Option(help="smoke: seconds a claim; default: minutes; paper: the published sizes.")]
Out = Annotated[Path, typer.Option(help="Folder for datasets, verdicts, figures and the page.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all draws.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; by default threads of one process, one per core or device.")
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A dask scheduler, whose workers compute instead.")
]
Shard = Annotated[
    str | None,
    typer.Option(metavar="I/N", help="Only every N-th cell from the I-th on, 0/N .. N-1/N; all N share OUT."),
]
Restart = Annotated[bool, typer.Option("--restart", help="Throw away what earlier runs stored for these claims.")]


@boundary(interrupted="stopped; finished cells are kept, run the same command to continue")
def run(
    paths: Paths,
    size: Size = SizeName.default,
    out: Out = Path("results"),
    seed: Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    shard: Shard = None,
    restart: Restart = False,
) -> None:
    """Run experiments and judge their claims.

    For each claim: simulate its grid, check the claim, draw the figure, and
    keep all three in OUT. Ends with the table of verdicts and the path of a page
    that shows everything. A contradicted claim is a finding, not a failure.

    Every finished cell is on disk at once: after Ctrl-C, a crash or kill -9,
    the same command continues where it was and ends with the same numbers, bit
    for bit.

    Examples:

      rmt run experiments/05_alpha_mu.py --size smoke
      rmt run experiments --out results/seed1 --seed 1
      rmt run experiments --size paper --workers 32
      rmt run experiments --size paper --shard $SLURM_ARRAY_TASK_ID/32
    """
    from rmt.claims import load_claims

    how = _how(workers, scheduler, shard, restart)

    claims = load_claims(paths)
    for file, claim in claims.items():
        if size not in claim.sizes:
            raise InputError(f"{file}: has no size {size.value!r}; it has {', '.join(claim.sizes)}")
    out.mkdir(parents=True, exist_ok=True)
    keep_compiled_programs()
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    for i, (file, claim) in enumerate(claims.items(), 1):
        typer.secho(f"[{i}/{len(claims)}] {claim.title}", bold=True)
        try:
            verdicts = _run_one(file, claim, size.value, out, seed, how)
            rows += [{"claim": claim.name, **verdict.to_json()} for verdict in verdicts]
        except (InputError, OSError):
            raise
        except Exception:  # a bug of this experiment must not cost the others their run
            traceback.print_exc()
            failed.append(str(file))
    if rows:
        from rmt.report import write_report

        _print_table(rows)
        typer.echo(f"report: {write_report(out)}")
    if failed:
        typer.secho(f"failed: {', '.join(failed)}; the traceback is above", fg="red", err=True)
        raise SystemExit(1)


def _how(workers: int | None, scheduler: str | None, shard: str | None, restart: bool) -> dict[str, Any]:
    """The options of `run_claim` that say where cells are computed."""
    from rmt.sweeps import Dask, Processes

    if workers is not None and scheduler is not None:
        raise InputError("--workers are processes here and --scheduler has its own workers; give one of them")
    if shard is not None and restart:
        raise InputError(
            "--restart would throw away what other shards computed; remove the store, then start all shards"
        )
    executor = Dask(scheduler) if scheduler is not None else Processes(workers) if workers is not None else None
    return {"executor": executor, "shard": _shard(shard) if shard is not None else None, "restart": restart}


def _shard(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise InputError(f"--shard must be I/N with 0 <= I < N, as 0/3, 1/3 and 2/3 for three shards; got {text!r}")
    return int(match[1]), int(match[2])


def _run_one(
    file: Path, claim: "Claim", size: str, out: Path, seed: int, how: Mapping[str, Any]
) -> Sequence["Verdict"]:
    from rmt.runs import run_claim

    ds, verdicts = run_claim(file, claim, size, out, seed, **how)
    if missing := ds.attrs["missing_cells"]:
        typer.echo(
            f"  {missing} cells are left to other shards; the last to end gives the verdicts, or the same command without --shard"
        )
        return verdicts
    if ds.attrs["failures"]:
        typer.secho(f"  {ds.attrs['failures']}", fg="yellow")
    for verdict in verdicts:
        typer.secho(f"  {verdict.outcome}", fg=COLORS[verdict.outcome], nl=False)
        typer.echo(f": {verdict.statement}. {verdict.sentence}")
    return verdicts


@boundary()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `rmt run` wrote.")] = Path("results"),
    readme: Annotated[
        Path | None, typer.Option(help="Also put the verdict table into this file, between its verdicts marks.")
    ] = None,
) -> None:
    """Write the page again from the results in DIR, and print the table of verdicts.

    Example:

      rmt report results
    """
    from rmt.report import read_results, update_readme, verdict_rows, write_report

    if rows := verdict_rows(folder):
        _print_table(rows)
    if readme is not None:
        update_readme(readme, read_results(folder).records)
    typer.echo(f"report: {write_report(folder)}")


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from rmt.report import effect_text

    table = Table(title="Verdicts", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("verdict", no_wrap=True)
    table.add_column("effect", no_wrap=True, justify="right")
    table.add_column("95 % interval", no_wrap=True)
    table.add_column("n", no_wrap=True, justify="right")
    table.add_column("statement")
    claim = None
    for row in rows:
        if row["claim"] != claim:
            claim = row["claim"]
            table.add_row("", "", "", "", Text(claim, "bold"))
        outcome = Text(row["outcome"], COLORS[row["outcome"]])
        effect, interval = map(Text, effect_text(row))
        table.add_row(outcome, effect, interval, str(row["n"]), Text(row["statement"]))
    Console().print(table)
