"""How closely two columns go together, with intervals that hold for half a dozen rows: Kendall's tau and R^2."""

import math
from functools import lru_cache

import numpy as np
import scipy
from jaxtyping import ArrayLike

from rmt.inference import Estimate, single_level

FEWEST = 5
"""Rows below which there is no interval but the whole range."""

_SIMULATED = 40  # rows up to which the law of tau is simulated
_DRAWS, _STEPS = 20_000, 25


def kendall_interval(x: ArrayLike, y: ArrayLike, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """Kendall's tau-b of two columns, with the interval of all tau whose tests it passes.

    The tests are those of a Gaussian copula: of columns that increasing functions make jointly normal with correlation rho,
    tau = 2/pi asin(rho). The law of the sample's tau is simulated up to 40 rows, with fixed draws; beyond that artanh(tau) is
    taken as normal with variance 0.437 / (n - 4), less one pair for continuity.

    Args:
        x: one column.
        y: the other. A row with a value that is not finite is dropped.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate, within [-1, 1]; that whole range below 5 rows, and NaN with it for a column of equal values.

    Raises:
        ValueError: unequal lengths, or `level` or `comparisons` is out of range.

    Source: Fieller, Hartley & Pearson, Biometrika 44 (1957) 470 for the variance.
    Accuracy: coverage at 6, 12 and 24 rows, of normal and of heavy-tailed columns, is simulated in `tests/test_association.py`.
    """
    single = single_level(level, comparisons)
    x, y = _rows(x, y, "kendall_interval")
    n = len(x)
    tau = float(np.asarray(scipy.stats.kendalltau(x, y))[0]) if n > 1 else math.nan
    if n < FEWEST or math.isnan(tau):
        return Estimate(tau, -1.0, 1.0, n)
    if n <= _SIMULATED:
        return Estimate(tau, -_upper(-tau, n, single), _upper(tau, n, single), n)
    off, pair = scipy.stats.norm.isf((1 - single) / 2) * math.sqrt(0.437 / (n - 4)), 2 / (n * (n - 1))
    with np.errstate(divide="ignore"):
        low, high = np.arctanh(max(tau - pair, -1.0)) - off, np.arctanh(min(tau + pair, 1.0)) + off
    return Estimate(tau, float(np.tanh(low)), float(np.tanh(high)), n)


def r2_interval(x: ArrayLike, y: ArrayLike, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """R^2 of the straight line of y on x, with the interval that Fisher's transform gives the correlation of normal columns.

    Args:
        x: one column.
        y: the other. A row with a value that is not finite is dropped.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate, within [0, 1]; that whole range below 5 rows, and NaN with it for a column of equal values.

    Raises:
        ValueError: unequal lengths, or `level` or `comparisons` is out of range.

    Source: R. A. Fisher, Metron 1 (1921) 3.
    Accuracy: coverage at 6, 12 and 24 rows is simulated in `tests/test_association.py`.
    """
    single = single_level(level, comparisons)
    x, y = _rows(x, y, "r2_interval")
    n = len(x)
    if n < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Estimate(math.nan, 0.0, 1.0, n)
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1, 1))
    if n < FEWEST:
        return Estimate(r * r, 0.0, 1.0, n)
    with np.errstate(divide="ignore"):
        z, off = np.arctanh(r), scipy.stats.norm.isf((1 - single) / 2) / math.sqrt(n - 3)
    low, high = np.tanh(z - off) ** 2, np.tanh(z + off) ** 2
    return Estimate(r * r, 0.0 if abs(z) < off else float(min(low, high)), float(max(low, high)), n)


def _rows(x: ArrayLike, y: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"{name} needs two columns of one length, got shapes {x.shape} and {y.shape}")
    there = np.isfinite(x) & np.isfinite(y)
    return x[there], y[there]


def _upper(tau: float, n: int, single: float) -> float:
    """The largest tau at which a sample's as small as this one has probability (1 - single) / 2."""
    p = (1 - single) / 2
    grid, sorted_taus = _law_of_tau(n)
    shares = np.array([np.searchsorted(of, tau + 1e-9, side="right") for of in sorted_taus]) / _DRAWS
    above = np.flatnonzero(shares >= p)
    if len(above) == 0:
        return float(grid[0])
    i = int(above[-1])
    if i + 1 == len(grid):
        return float(grid[-1])
    return float(grid[i] + (grid[i + 1] - grid[i]) * (shares[i] - p) / (shares[i] - shares[i + 1]))


@lru_cache(maxsize=8)
def _law_of_tau(n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A grid of tau from -1 to 1, and at each the sorted taus of simulated samples of n rows, all by the same draws."""
    rng = np.random.default_rng(n)
    x, noise = rng.standard_normal((_DRAWS, n), np.float32), rng.standard_normal((_DRAWS, n), np.float32)
    half = np.linspace(0, 1, _STEPS)
    first, second = np.triu_indices(n, 1)
    gaps, noise_gaps = x[:, first] - x[:, second], noise[:, first] - noise[:, second]
    positive = []
    for tau in half:
        rho = math.sin(math.pi / 2 * tau)
        agree = (gaps > 0) == (rho * gaps + math.sqrt(max(1 - rho * rho, 0)) * noise_gaps > 0)
        positive.append(np.sort(2 * np.mean(agree, axis=1) - 1))
    return np.concatenate([-half[:0:-1], half]), [-of[::-1] for of in positive[:0:-1]] + positive
