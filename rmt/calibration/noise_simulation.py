"""What the thresholds of noise rest on: tail fits of simulated Gaussian matrices over a grid of shapes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from rmt.calibration.noise import LEVELS, WHAT, NoiseTable
from rmt.ensembles import Wishart
from rmt.keys import point_key
from rmt.laws import Pareto
from rmt.sweeps import Threads, sweep
from rmt.tails import Hill, fit_tail

if TYPE_CHECKING:
    import xarray as xr


def _shapes() -> dict[tuple[int, int], int]:
    trials = {25: 20000, 35: 20000, 50: 20000, 70: 20000, 100: 20000, 140: 12000, 200: 12000}
    trials |= {300: 6000, 450: 6000, 700: 3000, 1000: 2000}
    every, some = (1, 1.25, 1.5, 2, 3, 4, 8, 16), (1, 1.5, 2, 4, 16)
    return {(round(Q * M), M): n for M, n in trials.items() for Q in (every if M <= 200 else some)}


SHAPES: Mapping[tuple[int, int], int] = _shapes()
"""(N, M) -> number of matrices. Where they are large there are fewer of them, which the smooth surface through all evens out."""

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
    workers: int = 1,
    progress: bool = True,
) -> "dict[tuple[int, int], xr.Dataset]":
    """For every shape (N, M) what `measure` finds in so many matrices of noise; resumes what the folder `store` holds.

    Args:
        seed: matrices of another seed, or of another purpose, share no draws with these.
        workers: threads.
    """
    key = point_key(jax.random.key(seed), {"calibration": "noise"})
    return {
        (N, M): sweep(
            measure,
            {"N": (N,), "M": (M,)},
            key=key,
            n_trials=n,
            block=min(BLOCK, n),
            store=None if store is None else store / f"{N}x{M}.zarr",
            executor=Threads(workers),
            progress=f"{N} x {M}" if progress else False,
        )
        for (N, M), n in shapes.items()
    }


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
    workers: int = 1,
    progress: bool = True,
) -> "xr.Dataset":
    """What `measure_independent` finds in samples of every size; resumes what `store` holds."""
    return sweep(
        measure_independent,
        {"n": tuple(sizes)},
        key=point_key(jax.random.key(seed), {"calibration": "independent"}),
        n_trials=n_trials,
        block=min(BLOCK, n_trials),
        store=store,
        executor=Threads(workers),
        progress=progress,
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
