"""Times `rmt.fit_tail` against the tail fitters people use, on the same data in one run, and counts who is exact.

    make bench                                  # everything, in an environment of its own: about ten minutes
    make bench BENCH='--readme README.md'       # and README's table from it
    python tests/benchmarks/peers.py --quick    # two minutes, in any environment; peers that are not there are left out

Every contestant has one core and one thread. Calls are interleaved, times are medians, and the first call of each, which
for rmt compiles, is not among them. plfit is the C library, through ctypes, where the system has it; igraph contains the
same code but can be had only with a bootstrap: p_precision=0.5 is its smallest, one refit.
"""

import argparse
import contextlib
import ctypes
import ctypes.util
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1"))

import jax
import numpy as np

import rmt
from rmt.console import written_whole

SIZES = (500, 1_000, 2_000, 10_000, 100_000)
LARGEST_SPECTRUM = 2_000
SLOW = 60.0
"""A call that would take longer than this, in seconds, is not made."""
MARKERS = ("<!-- bench:begin -->", "<!-- bench:end -->")

Fit = tuple[float, float]  # alpha, xmin


@dataclass
class Contestant:
    """One way to fit a tail: `fit(prepare(x))` gives alpha and xmin; only `fit` is timed."""

    name: str
    version: str
    fit: Callable[[Any], Fit]
    prepare: Callable[[np.ndarray], Any] = np.asarray
    two_sided: bool = False
    costs: dict[str, tuple[int, float]] = field(default_factory=dict)  # by kind of data: the last n and its seconds

    def expected(self, kind: str, n: int) -> float:
        """Seconds a call on n values will take if it is quadratic in n, as every peer is."""
        known, cost = self.costs.get(kind, (n, 0.0))
        return cost * (n / known) ** 2


def fit_rmt(x: np.ndarray) -> Fit:
    fit = rmt.fit_tail(x, rmt.Clauset())
    return float(fit.alpha), float(fit.xmin)


def fit_rmt_batch(x: np.ndarray) -> jax.Array:
    return rmt.fit_tail(x, rmt.Clauset(), mask=np.ones(x.shape, bool)).alpha


def p_value_rmt(x: np.ndarray) -> float:
    """One level of resamples, as the peers have."""
    return float(rmt.bootstrap(jax.random.key(0), x, rmt.Clauset(), n_resamples=2500, calibrate=False).p_value)


# The peers.


def igraph() -> Contestant:
    from igraph import power_law_fit

    def fit(x: list[float], p_precision: float = 0.5) -> Fit:
        found = power_law_fit(x, method="continuous", p_precision=p_precision)
        return found.alpha, found.xmin

    return Contestant("igraph", importlib.metadata.version("igraph"), fit, np.ndarray.tolist)


def plfit() -> Contestant:
    class Options(ctypes.Structure):
        _fields_ = (
            ("finite_size_correction", ctypes.c_ushort),
            ("xmin_method", ctypes.c_int),
            ("p_value_method", ctypes.c_int),
            ("p_value_precision", ctypes.c_double),
            ("rng", ctypes.c_void_p),
        )

    class Result(ctypes.Structure):
        _fields_ = tuple((name, ctypes.c_double) for name in ("alpha", "xmin", "L", "D", "p"))

    path = ctypes.util.find_library("plfit")
    if path is None:
        raise ImportError("the C library libplfit is not on this system")
    library = ctypes.CDLL(path)
    options = Options(xmin_method=0, p_value_method=0)  # every value as xmin; no p-value

    def fit(x: np.ndarray) -> Fit:
        result = Result()
        data = x.ctypes.data_as(ctypes.c_void_p)
        if library.plfit_continuous(data, ctypes.c_size_t(len(x)), ctypes.byref(options), ctypes.byref(result)):
            raise RuntimeError("plfit failed")
        return result.alpha, result.xmin

    return Contestant("plfit", Path(path).name, fit, partial(np.array, dtype=float, order="C"))


def powerlaw() -> Contestant:
    import powerlaw

    def fit(x: np.ndarray) -> Fit:
        found = powerlaw.Fit(x, parameter_ranges={"alpha": [1, None]}, verbose=0)
        return float(found.alpha), float(found.xmin)

    return Contestant("powerlaw", importlib.metadata.version("powerlaw"), fit)


def powerlawrs() -> Contestant:
    import powerlawrs

    def fit(x: list[float]) -> Fit:
        found = powerlawrs.fit(x).ParetoFit
        return found.alpha + 1, found.x_min

    return Contestant("powerlawrs", importlib.metadata.version("powerlawrs"), fit, np.ndarray.tolist, two_sided=True)


def weightwatcher() -> Contestant:
    import weightwatcher

    watcher = weightwatcher.WeightWatcher()

    def fit(x: np.ndarray) -> Fit:
        found = watcher.fit_powerlaw(x, plot=False, savefig=False)
        return float(found[0]), float(found[2])

    return Contestant("WeightWatcher", importlib.metadata.version("weightwatcher"), fit, np.sort)


def line_up() -> tuple[list[Contestant], list[str]]:
    """rmt and every peer that is installed, and a line on each that is not."""
    present, absent = [Contestant("rmt", importlib.metadata.version("heavytail-lab"), fit_rmt)], []
    for make in (igraph, plfit, powerlaw, powerlawrs, weightwatcher):
        try:
            with silenced():
                present.append(make())
        except (ImportError, OSError) as error:
            absent.append(f"{make.__name__} left out: {error}")
    return present, absent


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """What a peer prints or warns of, from Python or from C, goes nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            yield
            sys.stdout.flush()
            sys.stderr.flush()
    finally:
        for fd, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, fd)
            os.close(copy)
        os.close(nowhere)


# The data.


def pareto(rng: np.random.Generator, n: int) -> np.ndarray:
    """Pareto with alpha = 2.5."""
    return rng.pareto(1.5, n) + 1


def spliced(rng: np.random.Generator, n: int) -> np.ndarray:
    """A log-normal body below 1 and, with probability 0.3, a Pareto tail of alpha = 2.5 above; the density is continuous."""
    return np.where(rng.random(n) < 0.3, pareto(rng, n), np.exp(-1.241 * np.abs(rng.standard_normal(n))))


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Spectrum of a 2n x n matrix of signed Pareto entries with mu = 3."""
    return spectrum((rng.pareto(3, (2 * n, n)) + 1) * rng.choice([-1, 1], (2 * n, n)))


def gaussian(rng: np.random.Generator, n: int) -> np.ndarray:
    """Spectrum of a 2n x n Gaussian matrix."""
    return spectrum(rng.standard_normal((2 * n, n)))


def tied(rng: np.random.Generator, n: int) -> np.ndarray:
    """The spliced data rounded to one decimal, without zeros."""
    return np.maximum(np.round(spliced(rng, n), 1), 0.1)


def spectrum(W: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(W.T @ W / len(W))


KINDS = {"Pareto": pareto, "spliced": spliced, "heavy spectrum": heavy, "Gaussian spectrum": gaussian}


# The measurements. Each returns a table {"title", "columns", "rows", "notes"}.


def seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def interleaved(calls: dict[str, Callable[[], Any]], repeats: int, budget: float) -> dict[str, tuple[float, float]]:
    """Median time of each call and time of its first; a call stops being repeated once it has had `budget` seconds."""
    with silenced():
        first = {name: seconds(call) for name, call in calls.items()}
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(repeats):
            for name, call in calls.items():
                # A slow peer's first call is all there is of it; what warms up there is a small part of it.
                if not times[name] and name != "rmt" and first[name] > budget:
                    times[name].append(first[name])
                elif not times[name] or sum(times[name]) + times[name][-1] < budget:
                    times[name].append(seconds(call))
    return {name: (statistics.median(times[name]), first[name]) for name in calls}


def single(contestants: Sequence[Contestant], sizes: Sequence[int], repeats: int, budget: float) -> dict[str, Any]:
    """One data set a call."""
    rows, notes = [], []
    for n in sizes:
        for kind, make in KINDS.items():
            if n > LARGEST_SPECTRUM and "spectrum" in kind:
                continue
            x = make(np.random.default_rng([n, list(KINDS).index(kind)]), n)
            racing = [c for c in contestants if c.expected(kind, n) <= SLOW]
            notes += [
                f"{c.name} left out for {kind}, n = {n:,}: a call would take about {c.expected(kind, n):.0f} s"
                for c in contestants
                if c not in racing
            ]
            calls = {c.name: partial(c.fit, c.prepare(x)) for c in racing}
            found = interleaved(calls, repeats, budget)
            for c in racing:
                c.costs[kind] = n, found[c.name][0]
            steady, first = found["rmt"]
            ratios = [found[c.name][0] / steady if c.name in found else None for c in contestants[1:]]
            rows.append(
                [n, kind, 1e3 * steady, first - steady if kind == "Pareto" and first > steady else None, *ratios]
            )
    columns = ["n", "data", "rmt, ms", "compile, s", *(f"{c.name} / rmt" for c in contestants[1:])]
    return {
        "title": "One data set a call: time of the peer over time of rmt",
        "columns": columns,
        "rows": rows,
        "notes": notes,
    }


def batched(contestants: Sequence[Contestant], sets: int, n: int) -> dict[str, Any]:
    """Many data sets, rmt in one call and the peers in a loop over some of them."""
    x = pareto(np.random.default_rng(n), sets * n).reshape(sets, n)
    with silenced():
        first = seconds(lambda: fit_rmt_batch(x).block_until_ready())
        ours = statistics.median(seconds(lambda: fit_rmt_batch(x).block_until_ready()) for _ in range(3)) / sets
        rows = [["rmt", sets, 1e3 * ours, 1.0]]
        for c in contestants[1:]:
            inputs = [c.prepare(row) for row in x[: 50 if c.name in ("igraph", "plfit") else 10]]
            c.fit(inputs[0])
            theirs = statistics.median(seconds(partial(c.fit, row)) for row in inputs)
            rows.append([c.name, len(inputs), 1e3 * theirs, theirs / ours])
    return {
        "title": f"{sets:,} data sets of n = {n:,}, rmt in one batched call, the peers looped",
        "columns": ["", "data sets timed", "ms per data set", "ratio"],
        "rows": rows,
        "notes": [f"rmt compiles in {first - ours * sets:.2f} s"],
    }


def p_value(contestants: Sequence[Contestant], n: int, quick: bool) -> dict[str, Any]:
    """A goodness-of-fit p-value from 2,500 refitted replicates; igraph's number of them is 1 / (4 p_precision^2)."""
    x = pareto(np.random.default_rng(n), n)
    with silenced():
        first = seconds(lambda: p_value_rmt(x))
        ours = seconds(lambda: p_value_rmt(x))
    rows: list[list[Any]] = [["rmt", 2500, ours]]
    notes = [f"rmt compiles in {first - ours:.1f} s"]
    for c in contestants:
        if c.name == "igraph":
            resamples = 100 if quick else 2500
            with silenced():
                took = seconds(lambda c=c, k=resamples: c.fit(c.prepare(x), p_precision=0.5 / np.sqrt(k)))
            rows.append(["igraph", resamples, took * 2500 / resamples])
    for row in rows:
        row.append(row[2] / ours)
    if quick:
        notes.append("igraph's time is scaled up from 100 replicates")
    return {
        "title": f"p-value of 2,500 refitted replicates at n = {n:,}",
        "columns": ["", "replicates run", "s", "ratio"],
        "rows": rows,
        "notes": notes,
    }


def beside_eigenvalues(M: int, repeats: int) -> dict[str, Any]:
    """What the fit of a square matrix's spectrum costs beside the eigenvalues themselves."""
    W = np.random.default_rng(M).standard_normal((M, M))
    x = spectrum(W)
    calls = {
        "rmt": partial(fit_rmt, x),
        "numpy singular values": partial(np.linalg.svd, W, compute_uv=False),
        "numpy eigvalsh(W.T @ W)": lambda: np.linalg.eigvalsh(W.T @ W),
    }
    found = interleaved(calls, repeats, 10.0)
    fit = found.pop("rmt")[0]
    rows = [[name, 1e3 * took, 1e3 * fit, f"{100 * fit / took:.2f} %"] for name, (took, _) in found.items()]
    columns = ["eigenvalues by", "eigenvalues, ms", "fit, ms", "fit / eigenvalues"]
    return {
        "title": f"Fit of an M = {M:,} spectrum beside its eigenvalues",
        "columns": columns,
        "rows": rows,
        "notes": [],
    }


def brute_force(x: np.ndarray, two_sided: bool) -> Fit:
    """The minimum over every distinct value but the largest, by definition, in O(n^2): the referee."""
    x = np.sort(x)
    best = (np.inf, np.nan, np.nan)
    for xmin in np.unique(x)[:-1]:
        tail = np.log(x[np.searchsorted(x, xmin) :] / xmin)
        alpha = 1 + len(tail) / tail.sum()
        F, rank = -np.expm1((1 - alpha) * tail), np.arange(len(tail))
        D = np.abs(F - rank / len(tail)).max()
        if two_sided:
            D = max(D, np.abs((rank + 1) / len(tail) - F).max())
        best = min(best, (D, xmin, alpha))
    return best[2], best[1]


def agreement(contestants: Sequence[Contestant], seeds: int) -> dict[str, Any]:
    """Who returns the exact xmin and alpha, by its own definition of D, on small data sets."""
    sets = {
        "untied": [
            make(np.random.default_rng([seed, i]), (60, 120, 250, 500)[seed % 4])
            for seed in range(seeds)
            for i, make in enumerate(KINDS.values())
        ],
        "tied": [tied(np.random.default_rng(seed), (60, 120, 250, 500)[seed % 4]) for seed in range(seeds)],
    }
    truth = {
        (kind, side): [brute_force(x, side) for x in data] for kind, data in sets.items() for side in (False, True)
    }
    rows = []
    for c in contestants:
        for kind, data in sets.items():
            with silenced():
                fits = np.array([attempt(c, x) for x in data])
            exact = np.array(truth[kind, c.two_sided])
            same = np.isclose(fits, exact, rtol=1e-6, atol=0)
            off = np.abs(fits[:, 0] - exact[:, 0])[~same[:, 0] & np.isfinite(fits[:, 0])]
            errors = [float(np.median(off)), float(off.max())] if off.size else [None, None]
            sides = "two-sided" if c.two_sided else "one-sided"
            rows.append([c.name, sides, kind, len(data), int(same[:, 1].sum()), int(same[:, 0].sum()), *errors])
    columns = ["", "its D", "data", "sets", "exact xmin", "exact alpha", "median |error| of the rest", "worst"]
    return {
        "title": "Agreement with the exact minimum of D, found by brute force",
        "columns": columns,
        "rows": rows,
        "notes": [
            "igraph and plfit may correct alpha for finite size, so its xmin can be exact where its alpha is not"
        ],
    }


def attempt(c: Contestant, x: np.ndarray) -> Fit:
    try:
        return c.fit(c.prepare(x))
    except Exception:
        return np.nan, np.nan


# The output.


def cell(value: Any) -> str:
    """A number to three digits, a dash for what is missing."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plain(table: dict[str, Any]) -> str:
    """The table as aligned text."""
    cells = [table["columns"], *([cell(value) for value in row] for row in table["rows"])]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([table["title"], *("  " + line for line in lines), *("  " + note for note in table["notes"]), ""])


def markdown(tables: dict[str, Any]) -> str:
    """README's table: how much longer the peers take than rmt, and how often each is exact."""
    peers = [column.removesuffix(" / rmt") for column in tables["single"]["columns"][4:]]
    rows = [["", "rmt", *peers], ["---"] * (2 + len(peers))]
    for n, kind, ms, _, *ratios in tables["single"]["rows"]:
        rows.append([f"{kind}, n = {n:,}", f"{cell(ms)} ms", *map(times, ratios)])
    batch = {name: (ms, ratio) for name, _, ms, ratio in tables["batched"]["rows"]}
    rows.append(
        [tables["batched"]["title"], f"{cell(batch['rmt'][0])} ms each", *(times(batch[name][1]) for name in peers)]
    )
    refits = {name: (took, ratio) for name, _, took, ratio in tables["p-value"]["rows"]}
    if "rmt" in refits:
        ratios = [times(refits[name][1] if name in refits else None) for name in peers]
        rows.append([tables["p-value"]["title"], f"{cell(refits['rmt'][0])} s", *ratios])
    for kind in ("untied", "tied"):
        exact = {
            name: f"{alphas} of {sets}" for name, _, k, sets, _, alphas, *_ in tables["agreement"]["rows"] if k == kind
        }
        rows.append([f"exact alpha, {kind} data", *(exact[name] for name in ("rmt", *peers))])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def times(ratio: float | None) -> str:
    return "–" if ratio is None else f"{cell(ratio)} x"


def update_readme(readme: Path, table: str, markers: tuple[str, str] = MARKERS) -> None:
    """Put the table between the marks of a README."""
    text = readme.read_text(encoding="utf-8")
    begin, end = markers
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        sys.exit(f"{readme}: needs the lines {begin} and {end} once each, around the table")
    before, after = text.split(begin)[0], text.split(end)[1]
    write(readme, f"{before}{begin}\n\n{table}\n{end}{after}")


def write(path: Path, text: str) -> None:
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer sizes and repeats; its figures are rough")
    parser.add_argument("--out", type=Path, help="write the tables to this JSON file")
    parser.add_argument(
        "--readme", type=Path, help="put a table into this file, between the lines " + " and ".join(MARKERS)
    )
    options = parser.parse_args()
    quick = options.quick
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before JAX starts its threads

    contestants, absent = line_up()
    versions = {c.name: c.version for c in contestants}
    versions |= {"jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()}
    print(", ".join(f"{name} {version}" for name, version in versions.items()), *absent, "", sep="\n")
    benchmarks = {
        "single": lambda: single(contestants, SIZES[:3] if quick else SIZES, 5 if quick else 25, 0.3 if quick else 3.0),
        "batched": lambda: batched(contestants, 100 if quick else 1000, 1000),
        "p-value": lambda: p_value(contestants, 2000, quick),
        "eigenvalues": lambda: beside_eigenvalues(1000, 3 if quick else 10),
        "agreement": lambda: agreement(contestants, 5 if quick else 20),
    }
    tables = {}
    for name, benchmark in benchmarks.items():
        tables[name] = benchmark()
        print(plain(tables[name]), flush=True)
    if options.out:
        write(options.out, json.dumps({"versions": versions, "absent": absent, "tables": tables}, indent=1) + "\n")
    if options.readme:
        update_readme(options.readme, markdown(tables))


if __name__ == "__main__":
    main()
