"""How closely two columns go together, with intervals that hold for half a dozen rows: Kendall's tau, R^2 and RMSE.

In a group, on average over groups, and over all rows of these groups.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import scipy
from jaxtyping import ArrayLike

from rmt.inference import Estimate, single_level

FEWEST = 5
"""Rows below which there is no interval but the whole range."""

_SIMULATED = 40  # rows up to which the law of tau is simulated
_DRAWS, _STEPS = 20_000, 25
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(41)  # of integrals over a normal law
_STRENGTHS = np.linspace(0, 5, 201)  # artanh of correlations


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


def rmse_interval(x: ArrayLike, y: ArrayLike, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """Root mean square error of the straight line of y on x, sqrt(SS / (n - 2)), with the interval of chi^2 for normal errors.

    Args:
        x: one column.
        y: the other. A row with a value that is not finite is dropped.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate in the unit of y; NaN within [0, inf] below 3 rows and for an x of equal values.

    Raises:
        ValueError: unequal lengths, or `level` or `comparisons` is out of range.

    Accuracy: exact for normal errors; coverage at 6, 12 and 24 rows is simulated in `tests/test_association.py`.
    """
    single = single_level(level, comparisons)
    x, y = _rows(x, y, "rmse_interval")
    n = len(x)
    if n < 3 or np.ptp(x) == 0:
        return Estimate(math.nan, 0.0, math.inf, n)
    squares = float(np.sum(_residuals(x, y) ** 2))
    low, high = (
        math.sqrt(squares / float(scipy.stats.chi2.ppf(p, n - 2))) for p in ((1 + single) / 2, (1 - single) / 2)
    )
    return Estimate(math.sqrt(squares / (n - 2)), low, high, n)


FEWEST_OF_GROUP = 3
"""Rows that a group needs to count in an average: R^2 and |tau| of two are always 1."""

INTERVALS: dict[str, Callable[..., Estimate]] = {"tau": kendall_interval, "r2": r2_interval, "rmse": rmse_interval}
"""Statistic -> its interval in one group."""

RANGES = {"tau": (-1.0, 1.0), "r2": (0.0, 1.0), "rmse": (0.0, math.inf)}
"""Statistic -> all that it can be."""


def average_interval(
    statistic: str,
    x: ArrayLike,
    y: ArrayLike,
    group: Sequence[object] | np.ndarray,
    level: float = 0.95,
    comparisons: int = 1,
) -> Estimate:
    """The unweighted mean over groups of tau, R^2 or RMSE, with an interval for these very groups.

    Of tau and RMSE the distances of each group's limits from its value are added in quadrature. The R^2 of a small group is too
    large on average, which a mean over groups does not mend. So its interval has the rho^2 at which the observed mean of R^2 is
    no rare one, were rho^2 that of every group, which scatters most; that mean is taken to have the beta law with its two moments.
    The interval of a weak correlation may lie below the mean.

    Args:
        statistic: tau, r2 or rmse.
        x: one column.
        y: the other. A row with a value that is not finite is dropped.
        group: the group of each row.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate; n counts the groups of `FEWEST_OF_GROUP` rows that have a value, others are left out. Groups without an
        interval count with the whole range.

    Raises:
        ValueError: unequal lengths, an unknown statistic, or `level` or `comparisons` is out of range.

    Source: Zou & Donner, Stat. Med. 27 (2008) 1693 for the sum of intervals.
    Accuracy: coverage over 4 groups of 6 to 19 rows is simulated in `tests/test_association.py`.
    """
    single = single_level(level, comparisons)
    parts = [(a, b) for a, b in _parts(x, y, group) if len(a) >= FEWEST_OF_GROUP]
    each = [INTERVALS[statistic](a, b, single) for a, b in parts]
    found = [e for e in each if not math.isnan(e.value)]
    least, most = RANGES[statistic]
    if not found:
        return Estimate(math.nan, least, most, 0)
    mean = float(np.mean([e.value for e in found]))
    known = [e for e in found if e.interval != (least, most)]
    if not known:
        return Estimate(mean, least, most, len(found))
    share = len(known) / len(found)
    low, high = _mean_r2(known, single) if statistic == "r2" and len(known) > 1 else _quadrature(known)
    rest = (least * (1 - share), most * (1 - share)) if share < 1 else (0.0, 0.0)
    return Estimate(mean, max(share * low + rest[0], least), min(share * high + rest[1], most), len(found))


def _quadrature(found: Sequence[Estimate]) -> tuple[float, float]:
    value, low, high = (np.array([getattr(e, name) for e in found]) for name in ("value", "low", "high"))
    mean, n = float(np.mean(value)), len(found)
    return mean - math.sqrt(np.sum((value - low) ** 2)) / n, mean + math.sqrt(np.sum((high - value) ** 2)) / n


def _mean_r2(found: Sequence[Estimate], single: float) -> tuple[float, float]:
    """The means of rho^2 at which a mean of R^2 beyond the observed one has probability (1 - single) / 2 to either side."""
    value = np.array([e.value for e in found])
    n = np.array([e.n for e in found])
    z = _STRENGTHS[:, None] + np.tanh(_STRENGTHS)[:, None] / (2 * (n - 1))  # the mean of artanh(r), by Fisher
    squares = np.tanh(z[..., None] + _NODES / np.sqrt(n - 3)[:, None]) ** 2
    weights = _WEIGHTS / _WEIGHTS.sum()
    mean = squares @ weights
    spread = np.mean((squares - mean[..., None]) ** 2 @ weights, axis=-1) / len(found)
    mean, truth, observed = np.mean(mean, axis=-1), np.tanh(_STRENGTHS) ** 2, float(np.mean(value))
    count = np.maximum(mean * (1 - mean) / spread - 1, 1e-9)
    p = np.nan_to_num(scipy.stats.beta.cdf(observed, mean * count, (1 - mean) * count), nan=1.0)
    tail = (1 - single) / 2
    # P(as small) falls as the correlations grow
    return float(np.interp(tail, 1 - p, truth)), float(np.interp(-tail, -p, truth))


def pooled_interval(
    statistic: str,
    x: ArrayLike,
    y: ArrayLike,
    group: Sequence[object] | np.ndarray,
    level: float = 0.95,
    comparisons: int = 1,
) -> Estimate:
    """tau, R^2 or RMSE over all rows, with an interval for these very groups: only rows within a group are drawn at random.

    By the influence of each row on artanh(tau), artanh(r) or log RMSE, whose variance within the groups gives the standard
    error, with Student's quantile of n - G - 1 degrees of freedom for G groups. Groups of one row are taken as one group. A
    group that is alone has its own interval.

    Args:
        statistic: tau, r2 or rmse.
        x: one column.
        y: the other. A row with a value that is not finite is dropped.
        group: the group of each row.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate; the whole range where fewer than `FEWEST` rows or no degrees of freedom are left.

    Raises:
        ValueError: unequal lengths, an unknown statistic, or `level` or `comparisons` is out of range.

    Source: Hoeffding, Ann. Math. Stat. 19 (1948) 293 for the influence of a row on tau.
    Accuracy: asymptotic; over 4 groups of 6 rows an interval of 95 % covers in 88 % or more, over the 54 rows of 4 unequal
        groups in 92 % or more (`tests/test_association.py`).
    """
    single = single_level(level, comparisons)
    whole = INTERVALS[statistic](x, y, single)
    parts = _parts(x, y, group)
    lone = [part for part in parts if len(part[0]) == 1]
    if lone:
        parts = [part for part in parts if len(part[0]) > 1] + [
            tuple(np.concatenate(of) for of in zip(*lone, strict=True))
        ]
    if len(parts) == 1:
        return whole
    sizes = [len(a) for a, _ in parts]
    df = sum(sizes) - len(sizes) - 1
    least, most = RANGES[statistic]
    if math.isnan(whole.value) or whole.n < FEWEST or df < 1:
        return Estimate(whole.value, least, most, whole.n)
    a, b = (np.concatenate(of) for of in zip(*parts, strict=True))
    center, influence = _INFLUENCES[statistic](a, b)
    of_groups = np.split(influence, np.cumsum(sizes)[:-1])
    squares = sum(len(of) / (len(of) - 1) * np.sum((of - np.mean(of)) ** 2) for of in of_groups if len(of) > 1)
    off = float(scipy.stats.t.isf((1 - single) / 2, df)) * math.sqrt(squares) / whole.n
    low, high = center - off, center + off
    if statistic == "tau":
        return Estimate(whole.value, math.tanh(low), math.tanh(high), whole.n)
    if statistic == "rmse":
        return Estimate(whole.value, math.exp(low), math.exp(high), whole.n)
    ends = math.tanh(low) ** 2, math.tanh(high) ** 2
    return Estimate(whole.value, 0.0 if low <= 0 <= high else min(ends), max(ends), whole.n)


def _influence_on_tau(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    n = len(x)
    signs = [np.sign(of[:, None] - of) for of in (x, y)]
    concordance, untied = np.sum(signs[0] * signs[1], axis=1), [np.sum(of != 0) for of in signs]
    tau = float(np.sum(concordance) / math.sqrt(untied[0] * untied[1]))
    scale = 2 * n / math.sqrt(untied[0] * untied[1])
    within = 1 - min(tau * tau, 1 - 1 / n**2)  # of a perfect order, as if one pair were out of it
    return math.atanh(max(min(tau, 1 - 1 / n**2), 1 / n**2 - 1)), scale * concordance / within


def _influence_on_r(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    a, b = ((of - np.mean(of)) / np.std(of) for of in (x, y))
    r = float(np.clip(np.mean(a * b), -1 + 1e-12, 1 - 1e-12))
    return math.atanh(r), (a * b - r * (a * a + b * b) / 2) / (1 - r * r)


def _influence_on_log_rmse(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    squares = _residuals(x, y) ** 2
    n, total = len(x), float(np.sum(squares))
    if not total > 0:
        return -math.inf, np.zeros(n)
    return math.log(total / (n - 2)) / 2, n * squares / total / 2


_INFLUENCES: dict[str, Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]] = {
    "tau": _influence_on_tau,
    "r2": _influence_on_r,
    "rmse": _influence_on_log_rmse,
}


def _residuals(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = x - np.mean(x), y - np.mean(y)
    return b - a * (a @ b) / (a @ a)


def _parts(x: ArrayLike, y: ArrayLike, group: Sequence[object] | np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Both columns of each group, in the order of their first rows; rows that are not finite are dropped."""
    a, b, names = np.asarray(x, float), np.asarray(y, float), [str(name) for name in group]
    if a.ndim != 1 or a.shape != b.shape or len(names) != len(a):
        raise ValueError(f"x, y and group must be three columns of one length, got {a.shape}, {b.shape}, {len(names)}")
    there = np.isfinite(a) & np.isfinite(b)
    of = np.array([names.index(name) for name in names], int)  # the row that the group begins with
    return [(a[mine], b[mine]) for first in dict.fromkeys(of.tolist()) if np.any(mine := there & (of == first))]


def average_tau_gain(
    x: ArrayLike,
    other: ArrayLike,
    y: ArrayLike,
    group: Sequence[object] | np.ndarray,
    level: float = 0.95,
    comparisons: int = 1,
) -> Estimate:
    """How much larger the mean over groups of Kendall's tau(x, y) is than that of tau(other, y), of the same rows.

    Two predictors of one quality are no independent samples, so each row is left out of both at once: the interval is t s,
    s^2 = sum_g v_g / G^2, v_g the jackknife's variance of the difference in group g, with as many degrees of freedom as rows less
    groups. It is for these very groups.

    Args:
        x: one predictor.
        other: another.
        y: what they predict. A row with a value that is not finite, of any of the three, is dropped.
        group: the group of each row.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate, within [-2, 2]; n counts the groups. Groups of fewer than 5 rows, or where x, other or y has one value, are left
        out. The whole range where no group is left, or where no row matters.

    Raises:
        ValueError: unequal lengths, or `level` or `comparisons` is out of range.

    Source: B. Efron & C. Stein, Ann. Statist. 9 (1981) 586.
    Accuracy: coverage over 3 and 6 groups of 8 to 24 rows is simulated in `tests/test_association.py`.
    """
    single = single_level(level, comparisons)
    a, b = np.asarray(x, float), np.asarray(other, float)
    if a.shape != b.shape:
        raise ValueError(f"x and other must be two columns of one length, got {a.shape} and {b.shape}")
    missing = ~(np.isfinite(a) & np.isfinite(b))
    both = [_parts(np.where(missing, np.nan, of), y, group) for of in (a, b)]
    gains, variances, rows = [], [], 0
    for (first, quality), (second, _) in zip(*both, strict=True):
        n = len(quality)
        if n < FEWEST or any(np.ptp(of) == 0 for of in (first, second, quality)):
            continue
        (tau, without), (tau_other, without_other) = (_jackknifed_tau(of, quality) for of in (first, second))
        gains.append(tau - tau_other)
        left = without - without_other
        variances.append((n - 1) / n * np.sum((left - np.mean(left)) ** 2))
        rows += n
    gain = float(np.mean(gains)) if gains else math.nan
    if not np.sum(variances) > 0:
        return Estimate(gain, -2.0, 2.0, len(gains))
    s = math.sqrt(np.sum(variances)) / len(gains)
    off = float(scipy.stats.t.isf((1 - single) / 2, rows - len(gains))) * s
    return Estimate(gain, max(gain - off, -2.0), min(gain + off, 2.0), len(gains))


def _jackknifed_tau(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """tau-b of all rows, and of all but each."""
    signs = [np.sign(of[:, None] - of) for of in (x, y)]
    products = signs[0] * signs[1], signs[0] ** 2, signs[1] ** 2
    (c, u, v), (cs, us, vs) = zip(*((p.sum(), p.sum() - 2 * p.sum(axis=1)) for p in products), strict=True)
    return float(c / math.sqrt(u * v)), cs / np.sqrt(np.maximum(us * vs, 1))


def _rows(x: ArrayLike, y: ArrayLike, name: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"{name} needs two columns of one length, got shapes {x.shape} and {y.shape}")
    there = np.isfinite(x) & np.isfinite(y)
    return x[there], y[there]


def _upper(tau: float, n: int, single: float) -> float:
    """The largest tau at which a sample's as small as this one has probability (1 - single) / 2."""
    p = (1 - single) / 2
    grid, counts = _law_of_tau(n)
    agreeing = math.floor((tau + 1) / 4 * n * (n - 1) + 1e-6)
    shares = np.array([np.searchsorted(of, agreeing, side="right") for of in counts]) / _DRAWS
    above = np.flatnonzero(shares >= p)
    if len(above) == 0:
        return float(grid[0])
    i = int(above[-1])
    if i + 1 == len(grid):
        return float(grid[-1])
    return float(grid[i] + (grid[i + 1] - grid[i]) * (shares[i] - p) / (shares[i] - shares[i + 1]))


@lru_cache(maxsize=_SIMULATED)
def _law_of_tau(n: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A grid of tau from -1 to 1, and at each the sorted numbers of pairs that agree in simulated samples of n rows.

    All by the same draws.
    """
    rng = np.random.default_rng(n)
    x, noise = rng.standard_normal((_DRAWS, n), np.float32), rng.standard_normal((_DRAWS, n), np.float32)
    half = np.linspace(0, 1, _STEPS)
    first, second = np.triu_indices(n, 1)
    gaps, noise_gaps = x[:, first] - x[:, second], noise[:, first] - noise[:, second]
    positive = []
    for tau in half:
        rho = math.sin(math.pi / 2 * tau)
        agree = (gaps > 0) == (rho * gaps + math.sqrt(max(1 - rho * rho, 0)) * noise_gaps > 0)
        positive.append(np.sort(np.sum(agree, axis=1, dtype=np.uint16)))
    negative = [len(first) - of[::-1] for of in positive[:0:-1]]
    return np.concatenate([-half[:0:-1], half]), negative + positive
