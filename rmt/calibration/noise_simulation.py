"""What the thresholds of noise rest on: tail fits of simulated Gaussian matrices over a grid of shapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from rmt.calibration.noise import LEVELS, WHAT, NoiseTable
from rmt.calibration.simulation import purpose_key, sweep_shapes
from rmt.ensembles import Wishart
from rmt.laws import Pareto
from rmt.sweeps import Threads, sweep
from rmt.tails import Hill, fit_tail

if TYPE_CHECKING:
    import xarray as xr


TRIALS: Mapping[int, int] = {25: 20000, 35: 20000, 50: 20000, 70: 20000, 100: 20000, 140: 12000, 200: 12000}
TRIALS = {**TRIALS, 300: 6000, 450: 6000, 700: 3000, 1000: 2000}
"""M -> number of matrices. Where they are large there are fewer of them, which the smooth surface through all evens out."""


def trials_of(M: int) -> int:
    """The number of matrices of M columns: that of the next larger M of `TRIALS`, or of the largest."""
    return TRIALS[min((m for m in TRIALS if m >= M), default=max(TRIALS))]


def _shapes() -> dict[tuple[int, int], int]:
    every, some = (1, 1.25, 1.5, 2, 3, 4, 8, 16), (1, 1.5, 2, 4, 16)
    return {(round(Q * M), M): n for M, n in TRIALS.items() for Q in (every if M <= 200 else some)}


SHAPES: Mapping[tuple[int, int], int] = _shapes()
"""(N, M) -> number of matrices, of the shipped table."""

SAMPLES = (10, 20, 35, 50, 70, 100, 200, 350, 500, 1000, 2000, 5000)
"""Sizes of the samples of independent values."""

BLOCK = 500


def measure(key: jax.Array, *, N: int, M: int) -> dict[str, jax.Array]:
    """alpha, D and size of the tail by the default fit, alpha of Hill above the median, lambda_max and the mean eigenvalue."""
    s = Wishart().spectrum(key, (N, M))
    fit = fit_tail(s)
    return {
        "alpha": fit.alpha,
        "ks": fit.ks,
        "n_tail": fit.n_tail,
        "hill": fit_tail(s, Hill(xmin="median")).alpha,
        "lambda_max": s.lambda_max,
        "mean": s.eigenvalues.mean(),
    }


def simulate(
    shapes: Mapping[tuple[int, int], int] = SHAPES,
    *,
    seed: int,
    store: Path | None = None,
    workers: int | None = None,
    restart: bool = False,
    progress: bool = True,
) -> "dict[tuple[int, int], xr.Dataset]":
    """For every shape (N, M) what `measure` finds in so many matrices of noise; see `sweep_shapes`."""
    return sweep_shapes(
        measure,
        shapes,
        {},
        purpose="noise",
        seed=seed,
        block=BLOCK,
        store=store,
        workers=workers,
        restart=restart,
        progress=progress,
    )


def measure_independent(key: jax.Array, *, n: int) -> dict[str, jax.Array]:
    """sqrt(n_tail) D of n independent values of a Pareto law; of which one does not matter, as x -> x^c changes no D."""
    fit = fit_tail(Pareto(mu=1.0, signed=False).sample(key, (n,)))
    return {"scaled_ks": jnp.sqrt(fit.n_tail) * fit.ks, "n_tail": fit.n_tail}


def simulate_independent(
    sizes: Sequence[int] = SAMPLES,
    *,
    seed: int,
    n_trials: int = 20_000,
    store: Path | None = None,
    workers: int | None = None,
    restart: bool = False,
    progress: bool = True,
) -> "xr.Dataset":
    """What `measure_independent` finds in samples of every size; resumes what `store` holds."""
    return sweep(
        measure_independent,
        {"n": tuple(sizes)},
        key=purpose_key("independent", seed),
        n_trials=n_trials,
        block=BLOCK,
        store=store,
        executor=Threads(workers),
        progress="independent values" if progress else False,
        restart=restart,
    )


def build(noise: "Mapping[tuple[int, int], xr.Dataset]", independent: "xr.Dataset", seed: int) -> NoiseTable:
    """The table of what `simulate` and `simulate_independent` found with a seed."""
    shapes = sorted(noise, key=lambda shape: shape[::-1])
    quantiles = [[np.quantile(noise[shape][what].values, LEVELS) for shape in shapes] for what in WHAT]
    return NoiseTable(
        N=np.array([N for N, _ in shapes]),
        M=np.array([M for _, M in shapes]),
        n_trials=np.array([noise[shape].sizes["trial"] for shape in shapes]),
        quantiles=np.array(quantiles),
        n_independent=independent.n.values,
        independent=np.quantile(independent.scaled_ks.values, LEVELS, axis=1).T,
        seed=seed,
    )


def deviations(
    table: NoiseTable, N: int, M: int, workers: int | None = None, progress: bool = False
) -> dict[str, float]:
    """How far the quantiles of `WHAT` at a shape of the table are, at worst and relative, from its matrices drawn again."""
    i = int(np.flatnonzero((table.N == N) & (table.M == M))[0])
    data = simulate({(N, M): int(table.n_trials[i])}, seed=table.seed, workers=workers, progress=progress)[N, M]
    again = {what: np.quantile(data[what].values, LEVELS) for what in WHAT}
    return {what: float(np.abs(table.quantiles[w, i] / again[what] - 1).max()) for w, what in enumerate(WHAT)}
