"""Times `rmt.spectrum` against the drivers of LAPACK that numpy and scipy reach, for the same accuracy, in one run.

    make bench                                    # after the tail fitters; a quarter of an hour
    python tests/benchmarks/spectra.py --quick    # small sizes only

One core and one thread for all, calls interleaved, medians, without the first call of each, which compiles. Targets: each
method within 1.15 of the best LAPACK driver, "auto" never above 1.05 of "svd", and a Gaussian spectrum by its bidiagonal form
15 times faster than by the matrix.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from peers import interleaved, plain, seconds, write  # first: it sets the number of threads
from scaling import measure

# isort: split
import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

import rmt
from rmt.console import keep_compiled_programs

SIZES = (500, 1000, 2000)
ENTRIES = {"mu=0.5": 0.5, "mu=1": 1.0, "mu=1.5": 1.5, "mu=2": 2.0, "mu=3": 3.0, "Gaussian": None}


def matrix(entries: str, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Signed Pareto entries, or Gaussian ones."""
    rng, mu = np.random.default_rng(seed), ENTRIES[entries]
    return rng.standard_normal(shape) if mu is None else (rng.pareto(mu, shape) + 1) * rng.choice([-1.0, 1.0], shape)


def ours(W: np.ndarray, method: str) -> Callable[[], Any]:
    on_device = jnp.asarray(W)
    return lambda: jax.block_until_ready(rmt.spectrum(on_device, method).eigenvalues)


def drivers(W: np.ndarray) -> dict[str, dict[str, Callable[[], Any]]]:
    """What there is for each method: singular values, and eigenvalues of W^T W with the product."""

    def gram(driver):
        return lambda: scipy.linalg.eigvalsh(W.T @ W, driver=driver, check_finite=False)

    def svd(driver):
        return partial(scipy.linalg.svd, W, compute_uv=False, check_finite=False, lapack_driver=driver)

    return {
        "svd": {
            "numpy svd": partial(np.linalg.svd, W, compute_uv=False),
            "gesdd": svd("gesdd"),
            "gesvd": svd("gesvd"),
        },
        "gram": {"numpy eigvalsh": lambda: np.linalg.eigvalsh(W.T @ W), "evr": gram("evr"), "evd": gram("evd")},
    }


def beside_lapack(sizes: tuple[int, ...], repeats: int, budget: float) -> dict[str, Any]:
    """Each method against the fastest driver of its kind."""
    rows = []
    for M in sizes:
        for Q in (1, 2):
            W = matrix("Gaussian", (Q * M, M))
            for method, calls in drivers(W).items():
                found = interleaved({"rmt": ours(W, method), **calls}, repeats, budget)
                mine = found.pop("rmt")[0]
                best = min(found, key=lambda name: found[name][0])
                rows.append([f"{Q * M} x {M}", method, 1e3 * mine, best, 1e3 * found[best][0], mine / found[best][0]])
    columns = ["N x M", "method", "rmt, ms", "best driver", "its ms", "rmt / best"]
    return {"title": "Eigenvalues of one Gaussian matrix", "columns": columns, "rows": rows, "notes": []}


def auto_beside_svd(sizes: tuple[int, ...], repeats: int, budget: float) -> dict[str, Any]:
    """What the choice costs where it goes one way, and saves where it goes the other."""
    rows = []
    for M in sizes:
        for Q in (1, 2):
            for entries in ENTRIES:
                W = matrix(entries, (Q * M, M))
                auto, svd, ratio = paired(ours(W, "auto"), ours(W, "svd"), repeats, budget)
                route = rmt.Route(int(rmt.spectrum(W).route)).name
                rows.append([entries, f"{Q * M} x {M}", route, 1e3 * auto, 1e3 * svd, ratio])
    columns = ["entries", "N x M", "route", "auto, ms", "svd, ms", "auto / svd"]
    notes = ["auto / svd is the median over pairs of calls, one right after the other"]
    return {"title": 'method="auto" beside method="svd"', "columns": columns, "rows": rows, "notes": notes}


def paired(a: Callable[[], Any], b: Callable[[], Any], repeats: int, budget: float) -> tuple[float, float, float]:
    """Median times, and the median ratio of calls right after each other, in turns: what a busy machine does to both cancels."""
    a(), b()
    times: list[tuple[float, float]] = []
    while len(times) < 3 or (len(times) < 2 * repeats and np.sum(times) < budget):
        order = (a, b) if len(times) % 2 else (b, a)
        took = {call: seconds(call) for call in order}
        times.append((took[a], took[b]))
    x, y = np.transpose(times)
    return float(np.median(x)), float(np.median(y)), float(np.median(x / y))


def bidiagonal_beside_dense(shapes: tuple[tuple[int, int], ...], repeats: int, budget: float) -> dict[str, Any]:
    """A key to a Gaussian spectrum: chi draws and counting, against the matrix and its SVD."""

    @partial(jax.jit, static_argnums=(1, 2))
    def short(key, N, M):
        return rmt.Wishart().spectrum(key, (N, M))

    @partial(jax.jit, static_argnums=(1, 2, 3))
    def long(key, N, M, method):
        return rmt.spectrum(rmt.Wishart().sample(key, (N, M)), method)

    rows, key = [], jax.random.key(0)
    for N, M in shapes:
        calls = {
            "bidiagonal": lambda N=N, M=M: jax.block_until_ready(short(key, N, M)),
            "svd": lambda N=N, M=M: jax.block_until_ready(long(key, N, M, "svd")),
            "auto": lambda N=N, M=M: jax.block_until_ready(long(key, N, M, "auto")),
        }
        took = {name: t for name, (t, _) in interleaved(calls, repeats, budget).items()}
        b = took["bidiagonal"]
        rows.append([f"{N} x {M}", 1e3 * b, 1e3 * took["svd"], took["svd"] / b, 1e3 * took["auto"], took["auto"] / b])
    columns = ["N x M", "bidiagonal, ms", "matrix + svd, ms", "times", "matrix + auto, ms", "times"]
    return {"title": "A Gaussian spectrum from a key", "columns": columns, "rows": rows, "notes": []}


def share_of_lapack(M: int, trials: int) -> dict[str, Any]:
    """Of the wall time of a sweep, draws, fits, dispatch and all: how much its programs spend in their calls of LAPACK's SVD."""
    keep_compiled_programs()
    run = partial(
        rmt.sweep,
        measure,
        {"N": [M], "mu": [1.0, 1.5]},
        key=jax.random.key(0),
        n_trials=trials,
        executor=rmt.Threads(1),
        progress=False,
    )
    run()
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            whole = seconds(run)
        (written,) = Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(written)).planes
    events = [
        event for plane in planes for line in plane.lines for event in line.events if event.name.startswith("svd")
    ]
    inner = sum(event.duration_ns for event in events) / 1e9
    rows = [[f"{M} x {M}", len(events), whole, inner, inner / whole]]
    columns = ["N x M", "trials", "sweep, s", "in LAPACK, s", "share"]
    notes = ["one thread; by JAX's profiler; the sweep's program is in the cache from a call before"]
    return {"title": "How much of a heavy-tailed sweep is LAPACK", "columns": columns, "rows": rows, "notes": notes}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats; its figures are rough")
    parser.add_argument("--out", type=Path, help="write the tables to this JSON file")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before JAX starts its threads
    sizes = SIZES[:1] if options.quick else SIZES
    shapes = ((1000, 500),) if options.quick else ((1000, 500), (1000, 1000), (2000, 1000), (4000, 2000))
    how = (3, 5.0) if options.quick else (15, 40.0)
    tables = {
        "lapack": beside_lapack(sizes, *how),
        "auto": auto_beside_svd(sizes, *how),
        "bidiagonal": bidiagonal_beside_dense(shapes, *how),
        "share": share_of_lapack(500, 10) if options.quick else share_of_lapack(1000, 100),
    }
    for table in tables.values():
        print(plain(table), flush=True)
    if options.out:
        write(options.out, json.dumps(tables, indent=1) + "\n")


if __name__ == "__main__":
    main()
