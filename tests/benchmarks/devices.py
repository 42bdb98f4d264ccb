"""The lab's programs on an accelerator beside the CPU of the same machine: whether the numbers agree, and how fast they come.

    python tests/benchmarks/devices.py --out devices.json      # 5 minutes beside an H100, most of them compilation
    python tests/benchmarks/devices.py --quick                 # small sizes only

Agreement: the same keys on both. Speed: milliseconds a matrix, for one matrix at a time and for a batch in one program, the
median of three calls after the one that compiles; and trials a second of `rmt.sweep` as a user starts it, on the
accelerator and on all cores of the CPU.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from peers import plain, write

import rmt
from rmt import laws
from rmt.console import keep_compiled_programs
from rmt.threads import cores

ENTRIES = {"Gaussian": laws.Gaussian(), **{f"mu = {mu:g}": laws.Signed(laws.Pareto(mu)) for mu in (0.5, 1.5, 3.0)}}
SAMPLED = {**ENTRIES, "Lomax": laws.Lomax(1.5), "Student t": laws.StudentT(3.0), "stable": laws.Stable(1.5)}
PARTS = ("agreement", "pieces", "sweeps")
LONG = 60.0
"""Seconds that the calls of one line may take; larger batches than that are left out."""

BATCHES = (1, 128)
TRIALS = 200_000_000
"""Trials of a sweep, times N^2."""

Row = list[Any]


def trial(key, shape, entries, dtype=float, method="auto"):
    """key -> W -> eigenvalues -> fit."""
    s = rmt.spectrum(rmt.IID(entries).sample(key, shape, dtype), method)
    return s, rmt.fit_tail(s)


def on(device: Any, function: Callable[..., Any], *args: Any) -> Any:
    """What a function compiled for a device gives, in NumPy's arrays."""
    with jax.default_device(device):
        return jax.tree.map(np.asarray, jax.jit(function)(*jax.device_put(args, device)))


def samples(here: Any, there: Any) -> Iterator[Row]:
    """One 400 x 200 matrix by the same key: the bits of a key are the same everywhere, the functions of them to rounding."""
    for name, law in SAMPLED.items():
        for dtype in (np.float64, np.float32):

            def draw(key_data, law=law, dtype=dtype):
                return rmt.IID(law).sample(jax.random.wrap_key_data(key_data), (400, 200), dtype)

            key = jax.random.key_data(jax.random.key(1))
            a, b = on(here, draw, key), on(there, draw, key)
            off = np.max(np.abs(a - b) / np.abs(b)) / np.finfo(dtype).eps
            yield [f"entries, {name}", np.dtype(dtype).name, float(off), "eps, of each entry"]


def spectra(here: Any, there: Any) -> Iterator[Row]:
    """Each route, on the same matrices: the largest difference beside what the two say of their errors."""
    for name, law in ENTRIES.items():
        for dtype in (np.float64, np.float32):
            W = np.asarray(rmt.IID(law).sample(jax.random.key(2), (400, 200), dtype))
            for method in ("svd", "gram", "auto"):
                a, b = (on(device, partial(rmt.spectrum, method=method), W) for device in (here, there))
                off = np.max(np.abs(a.eigenvalues - b.eigenvalues) / (a.error + b.error))
                said = f"of both errors; {rmt.Route(int(b.route)).name} and {rmt.Route(int(a.route)).name}"
                yield [f"{method}, {name}", np.dtype(dtype).name, float(off), said]


def fits(here: Any, there: Any, n: int) -> Iterator[Row]:
    """The tail fit of the same spectra, and of the same keys."""
    for name, law in ENTRIES.items():
        keys = jax.random.key_data(jax.random.split(jax.random.key(3), n))

        def trials(keys, law=law):
            return jax.vmap(lambda key: trial(jax.random.wrap_key_data(key), (400, 200), law))(keys)

        s, fit = on(there, trials, keys)
        again = on(here, jax.vmap(rmt.fit_tail), s)
        yield [f"alpha of the same spectra, {name}", "float64", *_apart(again, fit)]
        _, whole = on(here, trials, keys)
        yield [f"alpha of the same keys, {name}", "float64", *_apart(whole, fit)]


def _apart(a: Any, b: Any) -> tuple[float, str]:
    same = a.n_tail == b.n_tail
    off = np.abs(a.alpha - b.alpha)[same] / b.alpha[same]
    return float(
        np.max(off) / np.finfo(float).eps
    ) if same.any() else np.nan, f"eps; {same.sum()} of {same.size} same xmin"


def pieces(device: Any, sizes: tuple[int, ...]) -> Iterator[Row]:
    """Milliseconds a matrix of each step, alone and in a batch."""
    law = laws.Signed(laws.Pareto(1.5))
    for N in sizes:
        for dtype in (np.float64, np.float32):
            steps: dict[str, Callable[[Any], Any]] = {
                "draw": lambda k, N=N, t=dtype: rmt.IID(law).sample(jax.random.wrap_key_data(k), (N, N), t),
                "svd": lambda W: rmt.spectrum(W, "svd").eigenvalues,
                "gram": lambda W: rmt.spectrum(W, "gram").eigenvalues,
                "fit": lambda s: rmt.fit_tail(s).alpha,
            }
            for name, step in steps.items():
                row: Row = [name, N, np.dtype(dtype).name]
                for batch in BATCHES:
                    row.append(_batch(device, name, step, N, dtype, batch, row))
                yield row


def _batch(
    device: Any, name: str, step: Callable[[Any], Any], N: int, dtype: Any, batch: int, row: Row
) -> float | None:
    if batch > 1 and (row[-1] is None or 4e-3 * batch * row[-1] > LONG or batch * N * N * 8 > 4e9):
        return None
    with jax.default_device(device):
        keys = jax.random.key_data(jax.random.split(jax.random.key(4), batch))
        if name == "draw":
            given = keys
        elif name == "fit":
            given = jnp.sort(jax.random.pareto(jax.random.key(5), 1.5, (batch, N), dtype), axis=1) + 1
        else:
            given = jax.vmap(
                lambda k: rmt.IID(laws.Signed(laws.Pareto(1.5))).sample(jax.random.wrap_key_data(k), (N, N), dtype)
            )(keys)
        run = jax.jit(jax.vmap(step))
        jax.block_until_ready(run(given))
        return 1e3 * statistics.median(_seconds(lambda: run(given)) for _ in range(3)) / batch


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def measure(key, *, N, mu):
    """A trial of the sweep."""
    s, fit = trial(key, (N, N), laws.Signed(laws.Pareto(mu)))
    return {"alpha": fit.alpha, "lambda_max": s.lambda_max}


def sweep_rates(sizes: tuple[int, ...]) -> None:
    """Print trials a second of `rmt.sweep` on the default device, by N: of a second sweep, whose programs are compiled."""
    keep_compiled_programs()
    for N in sizes:
        n_trials = TRIALS // N**2 // cores() * cores()
        run = partial(rmt.sweep, measure, {"N": [N], "mu": [1.5]}, n_trials=n_trials, block=n_trials, progress=False)
        if jax.default_backend() == "cpu":  # as many cells as cores
            run = partial(run, block=max(1, n_trials // cores()))
        run(key=jax.random.key(0))
        took = _seconds(partial(run, key=jax.random.key(1)))
        print(json.dumps({"N": N, "rate": n_trials / took}), flush=True)


def sweeps(sizes: tuple[int, ...]) -> Iterator[Row]:
    """Each in a process of its own, which sees one of the two."""
    rates: dict[str, dict[int, float]] = {}
    for name, chosen in (("accelerator", {}), ("CPU", {"JAX_PLATFORMS": "cpu"})):
        command = [sys.executable, __file__, "--rates", *map(str, sizes)]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **chosen})
        rates[name] = {found["N"]: found["rate"] for found in map(json.loads, done.stdout.splitlines())}
    for N in sizes:
        a, b = (rates[name].get(N) for name in ("accelerator", "CPU"))
        yield [f"{N} x {N}", a, b, a / b if a and b else None]


def table(title: str, columns: list[str], rows: Iterator[Row], note: str) -> dict[str, Any]:
    """A table, whose rows are printed as they come."""
    found = []
    print(f"\n{title}", flush=True)
    start = time.perf_counter()
    for row in rows:
        print("  ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in row), flush=True)
        found.append(row)
    print(f"{time.perf_counter() - start:.0f} s")
    return {"title": title, "columns": columns, "rows": found, "notes": [note]}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--out", type=Path, help="write the tables to this JSON file")
    parser.add_argument("--sizes", type=int, nargs="+", help="N of the N x N matrices that are timed")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    parser.add_argument("--rates", type=int, nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rates:
        return sweep_rates(tuple(options.rates))
    there, here = jax.devices("cpu")[0], jax.devices()[0]
    if here.platform == "cpu":
        print("no accelerator: JAX sees CPUs only, which are compared with themselves", file=sys.stderr)
    sizes = tuple(options.sizes or ((100, 200) if options.quick else (200, 1000)))
    how = f"{here.device_kind} beside {cores()} cores of {platform.machine()}, JAX {jax.__version__}"
    tables: dict[str, Any] = {}

    def add(part: str, name: str, title: str, columns: list[str], rows: Iterator[Row]) -> None:
        if part in options.only:
            tables[name] = table(title, columns, rows, how)
            if options.out:
                write(options.out, json.dumps(tables, indent=1) + "\n")

    rate = ["N x M", "accelerator, trials/s", "CPU, trials/s", "ratio"]
    agreement = ["what", "dtype", "worst", "in"]
    add("sweeps", "sweeps", "rmt.sweep: draw, spectrum, fit", rate, sweeps(sizes))
    add("agreement", "samples", "The same entries from the same key", agreement, samples(here, there))
    add("agreement", "spectra", "The same eigenvalues of the same matrix", agreement, spectra(here, there))
    add("agreement", "fits", "The same fit", agreement, fits(here, there, 16 if options.quick else 64))
    step = ["step", "N = M", "dtype", *(f"{n} at once" for n in BATCHES)]
    add("pieces", "pieces", "Milliseconds a matrix on the accelerator", step, pieces(here, sizes))
    print()
    for found in tables.values():
        print(plain(found), flush=True)


if __name__ == "__main__":
    main()
