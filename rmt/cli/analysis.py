"""How `rmt fit` finds it out: the fit, its diagnosis, the resamples and the other laws, at once as far as they can be."""

import dataclasses
import math
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Key

import rmt
from rmt.cli.findings import BOOTSTRAP, GIVEN_XMIN, LARGEST_SCAN, LEVEL, MATRIX_BOOTSTRAP, Findings
from rmt.console import plain
from rmt.errors import InputError
from rmt.laws import Above
from rmt.spectra import Spectrum
from rmt.sweeps.progress import Progress
from rmt.tails import Bootstrap, Clauset, Diagnosis, Method, Status, TailFit

Data = Spectrum | Any  # or an array

CHUNK = 50
"""Resamples between two looks at the clock."""

_PATIENCE = 2.0  # seconds before a bar is shown


@dataclass(frozen=True)
class Wanted:
    """What to find out.

    Attributes:
        method_name: the method, as --method has it.
        method: the method.
        n_resamples: of the values.
        n_matrices: of replicated matrices.
        seed: of the resamples.
        p_value: whether to give p-values.
        compare: whether to compare with other laws.
        scan: whether to look at D at every xmin, however long it takes.
    """

    method_name: str
    method: Method
    n_resamples: int
    n_matrices: int
    seed: int
    p_value: bool
    compare: bool
    scan: bool


def find(name: str, data: Data, W: Any, wanted: Wanted) -> tuple[Findings, Diagnosis | None]:
    """What was found, and what to draw.

    Args:
        name: what to call the data.
        data: the values.
        W: the matrix, if they are its spectrum.
        wanted: what to find out.

    Raises:
        InputError: no tail can be fitted to the data.
    """
    method = wanted.method
    fit = rmt.fit_tail(data, method)
    status = Status(int(fit.status))
    if status.failed:
        raise InputError(f"{name}: {status.remedy}")
    of_spectrum = isinstance(data, Spectrum)
    n = data.M if of_spectrum else len(data)
    with _threads(2) as pool:  # most of a short run is JAX compiling, which need not wait for its turn
        diagnosing = pool.submit(rmt.diagnose, data, method) if n <= LARGEST_SCAN or wanted.scan else None
        comparing = pool.submit(_comparison, data, method) if wanted.compare else None
        resampling = _resampling(data, W, fit, wanted)
        diagnosis = diagnosing.result() if diagnosing else None
        comparison = comparing.result() if comparing else None
    bulk = diagnosis if of_spectrum else None
    found = Findings(
        file=name,
        n=n,
        N=data.N if isinstance(data, Spectrum) else None,
        M=data.M if isinstance(data, Spectrum) else None,
        method=wanted.method_name,
        sides=method.ks if isinstance(method, Clauset) else "one-sided",
        alpha=float(fit.alpha),
        stderr=float(fit.stderr),
        xmin=float(fit.xmin),
        xmax=float(fit.xmax),
        decades=math.log10(fit.xmax / fit.xmin),
        ks=float(fit.ks),
        n_tail=int(fit.n_tail),
        status=status.name,
        remedy=None if status == Status.OK else status.remedy,
        clear_minimum=bool(diagnosis.clear) if diagnosis and diagnosis.searched else None,
        lambda_plus=float(bulk.lambda_plus) if bulk else None,
        bulk_share=float(bulk.bulk_share) if bulk else None,
        in_bulk=bool(bulk.in_bulk) if bulk else None,
        seed=wanted.seed,
        comparison=comparison,
        **resampling,
    )
    return found, diagnosis


@contextmanager
def _threads(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """A pool that nobody waits for after an error or Ctrl-C."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _comparison(data: Data, method: Method) -> list[dict[str, Any]]:
    """Rows of one set of keys, with the fitted values of each law's parameters."""
    found = rmt.compare(data, method=method)
    rows = found.rows()
    for row, fit in zip(rows, (found.power_law, *found.fits), strict=True):
        law = fit.law.law if isinstance(fit.law, Above) else fit.law
        values = {f.name: float(getattr(law, f.name)) for f in dataclasses.fields(law)}
        row["values"] = {name: x for name, x in values.items() if name != "xmin" and math.isfinite(x)}
    return [{key: plain(row.get(key)) for key in rows[-1]} for row in rows]


def _resampling(data: Data, W: Any, fit: TailFit, wanted: Wanted) -> dict[str, Any]:
    """The intervals and p-values."""
    key = jax.random.key(wanted.seed)
    found: dict[str, Any] = dict.fromkeys(("xmin_low", "xmin_high", "p_value", "p_stderr", "p_scaled"))
    found |= {"interval": GIVEN_XMIN, "n_resamples": 0, "n_matrices": 0, "n_failed": 0}
    ends = None
    if wanted.n_resamples:
        b = resampled(key, data, wanted.method, wanted.n_resamples)
        *ends, p = _floats(_summary(b))
        found |= {"interval": BOOTSTRAP, "n_resamples": wanted.n_resamples, "n_failed": _count_nan(b.refits.alpha)}
        if wanted.p_value:
            found |= dict(zip(("p_value", "p_stderr", "p_scaled"), p, strict=True))
    if W is not None:
        found["interval"], ends = GIVEN_XMIN, None
        if wanted.n_matrices:
            progress = "matrices" if sys.stderr.isatty() else False
            m = rmt.bootstrap_matrix(key, W, wanted.method, n_resamples=wanted.n_matrices, progress=progress)
            ends = _floats((m.interval(LEVEL), m.xmin_interval(LEVEL)))
            found |= {"interval": MATRIX_BOOTSTRAP, "n_matrices": wanted.n_matrices}
            found["n_failed"] += _count_nan(m.alpha)
    if ends:
        (found["alpha_low"], found["alpha_high"]), (found["xmin_low"], found["xmin_high"]) = ends
    else:
        found["alpha_low"], found["alpha_high"] = _floats(_given_xmin(fit))
    return found


def _count_nan(values: Any) -> int:
    return int(np.isnan(values).sum())


# Compiled as one, since that is kept for the next run, while a few dozen small programs are not.


@eqx.filter_jit
def _summary(b: Bootstrap):
    return b.interval(LEVEL), b.xmin_interval(LEVEL), (b.p_value, b.p_stderr, b.p_scaled)


@eqx.filter_jit
def _given_xmin(fit: TailFit):
    return fit.interval(LEVEL)


def _floats(tree: Any) -> Any:
    return jax.tree.map(float, tree)


def resampled(key: Key[Array, ""], data: Data, method: Method, count: int) -> Bootstrap:
    """`rmt.bootstrap` in chunks: one on each core, with a bar on a terminal if it takes long.

    Every count shares the compiled program of a chunk, and gives what one call would.
    """

    def chunk(i: int) -> Bootstrap:
        if i:
            futures[0].result()  # which compiles the program for all
        return jax.block_until_ready(rmt.bootstrap(key, data, method, CHUNK, first=i * CHUNK))

    futures = []
    with _threads(os.cpu_count()) as pool:
        futures += [pool.submit(chunk, 0)]
        futures += [pool.submit(chunk, i) for i in range(1, -(-count // CHUNK))]
        done, waiting = wait(futures, timeout=_PATIENCE)
        label = "bootstrap" if sys.stderr.isatty() else False
        with Progress(label, len(futures), len(done), len(waiting), f"batches of {CHUNK}") as bar:
            for future in as_completed(waiting):
                future.result()
                bar.advance(1)
        chunks = [future.result() for future in futures]
    refits, second = (
        jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *(getattr(c, level) for c in chunks))
        for level in ("refits", "second")
    )
    return Bootstrap(chunks[0].fit, refits, second, chunks[0].smallest)
