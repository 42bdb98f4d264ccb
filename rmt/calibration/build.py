"""From simulated summaries to a `MuTable`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.interpolate import make_smoothing_spline

from rmt.calibration.table import FIT_LEVEL, LEVELS, Moments, MuTable

if TYPE_CHECKING:
    import xarray as xr


def build(data: "Mapping[tuple[int, int], xr.Dataset]", seed: int) -> MuTable:
    """The table of datasets by shape, as `simulate` makes them: for every N as many M, at about the same Q."""
    first = next(iter(data.values()))
    entries, mu = tuple(map(str, first.entries.values)), first.mu.values
    rows = sorted({N for N, _ in data})
    columns = [sorted((M for at, M in data if at == N), reverse=True) for N in rows]

    def of_all(make):
        """make(summaries) of every family and shape, an array for each of what it returns, by entries, N and M."""
        every = [
            [[make(name, data[N, M]) for M in Ms] for N, Ms in zip(rows, columns, strict=True)] for name in entries
        ]
        return [np.array([[[cell[i] for cell in row] for row in of] for of in every]) for i in range(4)]

    def cell(name, ds):
        x = ds.summary.sel(entries=name).isel(N=0, M=0).transpose("mu", "trial", ...).values
        return calibrated(np.log(mu), x)

    mean, cov, quantiles, misfit = of_all(cell)
    return MuTable(
        entries,
        np.array(rows, float),
        np.array(columns, float),
        mu,
        mean,
        cov,
        quantiles,
        misfit,
        first.sizes["trial"],
        seed,
    )


def calibrated(log_mu: Float[np.ndarray, " J"], x: Float[np.ndarray, "J n K"]) -> tuple[np.ndarray, ...]:
    """Mean, covariance, quantiles of the statistic and of the misfit, from n summaries at each mu.

    The statistic of either half of the matrices comes from the likelihood that the other half gives; its quantiles are
    smooth in mu, as they must be, by a spline of least generalised cross-validation error.
    """
    halves = np.array_split(x, 2, axis=1)
    found = [_moments(log_mu, other).likelihoods(half) for half, other in zip(halves, halves[::-1], strict=True)]
    statistic = np.concatenate([each.statistic for each in found], axis=1)
    misfit = np.concatenate([each.misfit for each in found], axis=1)
    family = _moments(log_mu, x)
    smooth = [make_smoothing_spline(log_mu, np.quantile(statistic, level, axis=1))(log_mu) for level in LEVELS]
    beyond = make_smoothing_spline(log_mu, np.quantile(misfit, FIT_LEVEL, axis=1))(log_mu)
    return family.mean, family.cov, np.stack(smooth, axis=-1), beyond


def _moments(log_mu: Float[np.ndarray, " J"], x: Float[np.ndarray, "J n K"]) -> Moments:
    return Moments(log_mu, x.mean(axis=1), np.stack([np.cov(each, rowvar=False) for each in x]))
