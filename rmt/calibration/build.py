"""From simulated summaries to a `MuTable`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

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

    The statistic of either half of the matrices comes from the likelihood that the other half gives.
    """
    halves = np.array_split(x, 2, axis=1)
    found = [_moments(log_mu, other).likelihoods(half) for half, other in zip(halves, halves[::-1], strict=True)]
    statistic = np.concatenate([each.statistic for each in found], axis=1)
    misfit = np.concatenate([each.misfit for each in found], axis=1)
    family = _moments(log_mu, x)
    return family.mean, family.cov, pooled_quantiles(statistic, LEVELS), pooled_quantiles(misfit, [FIT_LEVEL])[:, 0]


def pooled_quantiles(values: Float[np.ndarray, "J n"], levels: Sequence[float]) -> Float[np.ndarray, "J P"]:
    """Quantiles at each mu, whose shape is that of the values at this mu and its neighbours, each less its median over its IQR.

    Location and scale are those of this mu alone: it is the far quantiles that n values do not determine.
    """
    low, centre, high = np.quantile(values, [0.25, 0.5, 0.75], axis=1)
    scale = np.where(high > low, high - low, 1.0)
    z = (values - centre[:, None]) / scale[:, None]
    shape = [np.quantile(z[max(j - 1, 0) : j + 2], levels) for j in range(len(z))]
    return centre[:, None] + scale[:, None] * np.array(shape)


def _moments(log_mu: Float[np.ndarray, " J"], x: Float[np.ndarray, "J n K"]) -> Moments:
    return Moments(log_mu, x.mean(axis=1), np.stack([np.cov(each, rowvar=False) for each in x]))
