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
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers import plain, silenced, update_readme, write  # first: it sets the number of threads

# isort: split
import jax
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

_MINE = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def run(side: str, task: str, file: Path, threads: int, cache: Path, folder: Path | None = None) -> dict[str, Any]:
    """One run of `one_side.py`: what it says, and the seconds of the whole process."""
    few = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, str(Path(__file__).with_name("one_side.py")), side, task, str(file), str(threads)]
    processors = sorted(_MINE)[-threads:]

    def confined() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, processors)

    begin = time.perf_counter()
    done = subprocess.run(
        command + ([] if folder is None else [str(folder)]),
        env=os.environ | few | {"XDG_CACHE_HOME": str(cache), "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        preexec_fn=confined,
    )
    whole = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"process": whole}


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
