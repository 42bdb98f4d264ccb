"""The table of mu from simulated matrices of known entries, over a grid of shapes and tail indices."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Float
from numpy.polynomial.polynomial import polyfit

from rmt.calibration.mu_table import FIT_LEVEL, LEVELS, Moments, MuTable, rows_and_columns
from rmt.calibration.simulation import sweep_shapes
from rmt.calibration.summary import summary
from rmt.ensembles import IID
from rmt.errors import InputError
from rmt.laws import ENTRY_LAWS, Law, StudentT
from rmt.spectra import spectrum

if TYPE_CHECKING:
    import xarray as xr

FAMILIES: Mapping[str, Callable[[Any], Law]] = {
    "signed Pareto": ENTRY_LAWS["signed Pareto"],
    "Student t": StudentT,
    "centred Lomax": ENTRY_LAWS["centred Lomax"],
}
"""Name -> law of the entries at a tail index mu. All have mean zero, where there is a mean."""

MU = (0.32, 0.4, 0.5, 0.625, 0.75, 0.875, 1.0, 1.125, 1.25, 1.375, 1.5, 1.625, 1.75, 1.875, 2.0, 2.125, 2.25, 2.375)
MU = (*MU, 2.5, 2.75, 3.0, 3.25, 3.5, 4.0, 4.5, 5.0, 6.0, 8.0)

BLOCK = 50
PARTS = 10
NEIGHBOURS = 5


def trials_of(N: int) -> int:
    """Matrices of each entries, shape and mu in the shipped table. Where they are large there are fewer, for their time."""
    return 1000 if N <= 200 else 400


def measure(key: jax.Array, *, entries: str, N: int, M: int, mu: float) -> dict[str, jax.Array]:
    """The summary of one matrix."""
    return {"summary": summary(spectrum(IID(FAMILIES[entries](mu)).sample(key, (N, M))))}


def simulate(
    shapes: Mapping[tuple[int, int], int],
    *,
    seed: int,
    store: Path | None = None,
    mu: Sequence[float] = MU,
    entries: Sequence[str] = tuple(FAMILIES),
    workers: int | None = None,
    restart: bool = False,
    progress: bool = True,
) -> "dict[tuple[int, int], xr.Dataset]":
    """For every shape (N, M) a dataset of `summary`, of dims (entries, mu, N, M, trial, ...); see `sweep_shapes`.

    Args:
        shapes: (N, M) -> matrices of each entries and mu.
    """
    return sweep_shapes(
        measure,
        shapes,
        {"entries": tuple(entries), "mu": tuple(mu)},
        purpose="mu",
        seed=seed,
        block=BLOCK,
        store=store,
        workers=workers,
        restart=restart,
        progress=progress,
    )


def build(data: "Mapping[tuple[int, int], xr.Dataset]", seed: int) -> MuTable:
    """The table of datasets by shape, as `simulate` makes them: for every N as many M, at about the same Q."""
    first = next(iter(data.values()))
    entries, mu = tuple(map(str, first.entries.values)), first.mu.values
    rows, columns = rows_and_columns(data)

    def of_all(make):
        """make(summaries) of every family and shape, an array for each of what it returns, by entries, N and M."""
        every = [
            [[make(name, data[N, M]) for M in Ms] for N, Ms in zip(rows, columns, strict=True)] for name in entries
        ]
        return [np.array([[[cell[i] for cell in row] for row in of] for of in every]) for i in range(4)]

    mean, cov, quantiles, misfit = of_all(_calibrated_family)
    return MuTable(
        entries,
        np.array(rows, float),
        np.array(columns, float),
        mu,
        mean,
        cov,
        quantiles,
        misfit,
        np.array([data[N, Ms[0]].sizes["trial"] for N, Ms in zip(rows, columns, strict=True)]),
        seed,
    )


def _calibrated_family(entries: str, ds: "xr.Dataset") -> tuple[np.ndarray, ...]:
    x = ds.summary.sel(entries=entries).isel(N=0, M=0).transpose("mu", "trial", ...).values
    return calibrated(np.log(ds.mu.values), x)


def calibrated(log_mu: Float[np.ndarray, " J"], x: Float[np.ndarray, "J n K"]) -> tuple[np.ndarray, ...]:
    """Mean, covariance, quantiles of the statistic and of the misfit, from n summaries at each mu.

    The statistic of a matrix comes from a likelihood that it has no part in, as that of a matrix never seen: of nine
    tenths of them, without its own.
    """
    tenths = np.array_split(np.arange(x.shape[1]), PARTS)
    found = [_moments(log_mu, np.delete(x, part, axis=1)).likelihoods(x[:, part]) for part in tenths]
    statistic = np.concatenate([each.statistic for each in found], axis=1)
    misfit = np.concatenate([each.misfit for each in found], axis=1)
    all_of_them = _moments(log_mu, x)
    return (
        all_of_them.mean,
        all_of_them.cov,
        smooth_quantiles(log_mu, statistic, LEVELS),
        smooth_quantiles(log_mu, misfit, [FIT_LEVEL])[:, 0],
    )


def smooth_quantiles(
    log_mu: Float[np.ndarray, " J"], values: Float[np.ndarray, "J n"], levels: Sequence[float]
) -> Float[np.ndarray, "J P"]:
    """Quantiles at each mu, smoothed: of the cubic in ln mu that is nearest to those of `NEIGHBOURS` mu, for half the variance.

    But no further from those of this mu alone than a standard error of the share below them: where a spectrum ceases to tell
    mu they turn too sharply for a cubic. These are such that of further values just `levels` are below them, on average: x_(k)
    is the quantile of level k/(n + 1).
    """
    p = np.asarray(levels)
    stderr = np.sqrt(p * (1 - p) / values.shape[1])
    low, own, high = (
        np.quantile(values, np.clip(at, 0, 1), axis=1, method="weibull").T for at in (p - stderr, p, p + stderr)
    )
    if len(log_mu) < NEIGHBOURS:
        return own
    first = np.clip(np.arange(len(log_mu)) - NEIGHBOURS // 2, 0, len(log_mu) - NEIGHBOURS)
    near = first[:, None] + np.arange(NEIGHBOURS)
    cubic = [polyfit(log_mu[of] - at, own[of], 3)[0] for of, at in zip(near, log_mu, strict=True)]
    return np.clip(cubic, low, high)


def _moments(log_mu: Float[np.ndarray, " J"], x: Float[np.ndarray, "J n K"]) -> Moments:
    return Moments(log_mu, x.mean(axis=1), np.stack([np.cov(each, rowvar=False) for each in x]))


def deviations(
    table: MuTable, entries: str, N: int, M: int, workers: int | None = None, progress: bool = False
) -> dict[str, float]:
    """How far a family at a shape of the table is, at worst, from its matrices drawn again, at all mu.

    Means and covariances in standard deviations of the summaries, quantiles as differences of ln mu, the misfit relative.

    Raises:
        InputError: the table is of entries that are not among `FAMILIES`.
    """
    if entries not in FAMILIES:
        raise InputError(f"entries are {', '.join(FAMILIES)}; the table has {entries!r}, which cannot be drawn again")
    n = int(np.flatnonzero(table.N == N)[0])
    data = simulate(
        {(N, M): int(table.n_trials[n])},
        seed=table.seed,
        mu=tuple(map(float, table.mu)),
        entries=(entries,),
        workers=workers,
        progress=progress,
    )
    mean, cov, quantiles, misfit = _calibrated_family(entries, data[N, M])
    at = table.entries.index(entries), n, int(np.flatnonzero(table.M[n] == M)[0])
    std = np.sqrt(np.einsum("jkk->jk", cov))
    off = {
        "mean": (table.mean[at] - mean) / std,
        "cov": (table.cov[at] - cov) / (std[:, :, None] * std[:, None, :]),
        "quantiles": table.quantiles[at] - quantiles,
        "misfit": table.misfit[at] / misfit - 1,
    }
    return {name: float(np.abs(of).max()) for name, of in off.items()}
