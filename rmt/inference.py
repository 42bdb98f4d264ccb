"""Estimates with intervals: the statistics that checks judge by. Small samples of replicates, on the host.

Every interval takes the confidence `level` of the whole family and the number of `comparisons` in it: each single
interval has level 1 - (1 - level) / comparisons (Bonferroni), so that all of them hold together with that probability.
A sample too small for a bounded interval gets (-inf, inf), which no verdict can mistake for evidence.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike

_TAIL_REPLICATES = 10  # bootstrap replicates wanted beyond each end of an interval
_FEW_ROWS = 64  # of which all pairs are compared faster than they are sorted


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval; floats, or arrays of one shape when many were estimated at once.

    Attributes:
        value: the point estimate, NaN where there were no data.
        low: lower end of the interval.
        high: upper end of the interval.
        n: how many replicates it rests on, NaNs not counted.
    """

    value: Any
    low: Any
    high: Any
    n: Any

    @property
    def interval(self) -> tuple[Any, Any]:
        """(low, high)."""
        return self.low, self.high

    def map(self, increasing: Callable[[Any], Any]) -> "Estimate":
        """The estimate of an increasing function of the number, with the interval carried along."""
        return Estimate(increasing(self.value), increasing(self.low), increasing(self.high), self.n)

    def __getitem__(self, i: int) -> "Estimate":
        """One of many estimates."""
        return Estimate(float(self.value[i]), float(self.low[i]), float(self.high[i]), int(self.n[i]))


@dataclass(frozen=True)
class LineFit:
    """Slope and intercept of y = slope x + intercept."""

    slope: Estimate
    intercept: Estimate


@dataclass(frozen=True)
class KSTest:
    """Kolmogorov-Smirnov distance D = sup |F_n - F|, an interval for its limit in n, and the p-value of D under F."""

    distance: Estimate
    pvalue: float


def mean_interval(samples: ArrayLike, axis: int = -1, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """Mean and its Student interval, mean +- t_(n-1) s / sqrt(n), along one axis.

    Args:
        samples: replicates along `axis`; NaN marks a missing one.
        axis: the axis of the replicates.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate over the other axes, floats for a 1-D sample.

    Raises:
        ValueError: `level` or `comparisons` is out of range.

    Accuracy: exact for Gaussian replicates, asymptotic for others of finite variance; for replicates without one (an
        untransformed lambda_max) use `median_interval`. Coverage is simulated in `tests/test_inference.py`.
    """
    return _student(samples, axis, single_level(level, comparisons), np.sqrt)


def prediction_interval(samples: ArrayLike, axis: int = -1, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """Mean and where one more replicate falls, mean +- t_(n-1) s sqrt(1 + 1/n), along one axis.

    Args:
        samples: replicates along `axis`; NaN marks a missing one.
        axis: the axis of the replicates.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate over the other axes, floats for a 1-D sample.

    Raises:
        ValueError: `level` or `comparisons` is out of range.

    Accuracy: exact for Gaussian replicates and for no others, however many (`tests/test_inference.py`).
    """
    return _student(samples, axis, single_level(level, comparisons), lambda n: np.sqrt(n / (n + 1)))


def _student(samples: ArrayLike, axis: int, level: float, root: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """mean +- t_(n-1) s / root(n)."""
    x = np.moveaxis(np.asarray(samples, float), axis, -1)
    n = np.sum(~np.isnan(x), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(x, axis=-1) / n
        s = np.sqrt(np.nansum((x - mean[..., None]) ** 2, axis=-1) / (n - 1))
        half = scipy.stats.t.ppf((1 + level) / 2, np.maximum(n - 1, 1)) * s / root(n)
        half = np.where(n >= 2, half, np.inf)
        return _estimate(mean, mean - half, mean + half, n)


def median_interval(samples: ArrayLike, axis: int = -1, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """Median and the interval between two order statistics whose ranks come from Binomial(n, 1/2), along one axis.

    Args:
        samples: replicates along `axis`; NaN marks a missing one.
        axis: the axis of the replicates.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate over the other axes, floats for a 1-D sample. Below 6 replicates no 95 % interval is bounded.

    Raises:
        ValueError: `level` or `comparisons` is out of range.

    Accuracy: coverage is at least `level` for every continuous law, whatever its tails.
    """
    single = single_level(level, comparisons)
    x = np.moveaxis(np.asarray(samples, float), axis, -1)
    table = np.array([_median_interval(row[~np.isnan(row)], single) for row in x.reshape(-1, x.shape[-1])])
    value, low, high, n = np.moveaxis(table.reshape(*x.shape[:-1], 4), -1, 0)
    return _estimate(value, low, high, n.astype(int))


def _median_interval(x: np.ndarray, level: float) -> tuple[float, float, float, int]:
    if x.size == 0:
        return math.nan, -math.inf, math.inf, 0
    low, high = scipy.stats.quantile_test(x, p=0.5).confidence_interval(
        level
    )  # NaN where no order statistic is far enough out
    return float(np.median(x)), _or(low, -math.inf), _or(high, math.inf), x.size


def bootstrap_interval(
    statistic: Callable[..., float],
    *samples: ArrayLike,
    level: float = 0.95,
    comparisons: int = 1,
    n_boot: int = 2000,
    seed: int = 0,
    paired: bool = False,
    vectorized: bool = False,
) -> Estimate:
    """Any statistic of one or more samples with its bias-corrected and accelerated (BCa) bootstrap interval.

    Args:
        statistic: maps the 1-D samples to a float; if `vectorized`, samples along their last axis to what remains.
        samples: 1-D samples of independent replicates. NaNs are dropped, from paired samples together.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.
        n_boot: bootstrap replicates; raised where fewer than 10 of them would lie beyond each end of the interval.
        seed: seed of the resampling.
        paired: resample the samples together (columns of one table) instead of each by itself.
        vectorized: what `statistic` takes; the interval is the same.

    Returns:
        Estimate; n is the size of the smallest sample. Where BCa is undefined (a statistic that does not vary, fewer
        than two replicates) the interval is (-inf, inf).

    Raises:
        ValueError: no sample, samples that are not 1-D, paired samples of unequal length, `level` out of range.

    Source: Efron, JASA 82(397) 1987, by `scipy.stats.bootstrap`.
    Accuracy: second-order; coverage is simulated in `tests/test_inference.py`.
    """
    single = single_level(level, comparisons)
    data = _clean(samples, paired)
    n = min(x.size for x in data)
    if n < 2:
        return Estimate(float(statistic(*data)) if n else math.nan, -math.inf, math.inf, n)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        # SciPy warns and answers NaN where the statistic does not vary; here that is the unbounded interval.
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        result = scipy.stats.bootstrap(
            data,
            statistic,
            n_resamples=max(n_boot, math.ceil(2 * _TAIL_REPLICATES / (1 - single))),
            confidence_level=single,
            method="BCa",
            paired=paired,
            vectorized=vectorized,
            batch=100 if vectorized else None,
            rng=np.random.default_rng(seed),
        )
        value = float(statistic(*data))
    low, high = result.confidence_interval
    return Estimate(value, _or(low, -math.inf), _or(high, math.inf), n)


def fit_line(x: ArrayLike, y_trials: ArrayLike, level: float = 0.95, comparisons: int = 1) -> LineFit:
    """Least-squares line through the per-x means: slope = sum_i w_i ybar_i, variance sum_i w_i^2 s_i^2 / n_i.

    Both coefficients are fixed contrasts of independent means, so their intervals are Welch's: the scatter may differ
    from x to x, nothing is resampled, and curvature of the means does not pass for noise. If the means do not lie on a
    line, the target is the least-squares line through the true ones.

    Args:
        x: n_x abscissae, at least two of them distinct.
        y_trials: shape (n_x, n_trials), independent replicates at each x; NaN marks a missing one. An x without any is
            left out.
        level: joint confidence of the family; slope and intercept are two of it if both are judged.
        comparisons: number of intervals in the family.

    Returns:
        LineFit; n counts the replicates used. With a single replicate at some x the intervals are (-inf, inf); with
        fewer than two usable x the values are NaN.

    Raises:
        ValueError: shapes do not match, or `level` or `comparisons` is out of range.

    Source: Welch, Biometrika 34 1947, and Satterthwaite, Biometrics Bulletin 2(6) 1946, for the degrees of freedom.
    Accuracy: coverage under Gaussian scatter of unequal variance is simulated in `tests/test_inference.py`.
    """
    single = single_level(level, comparisons)
    x, y = np.asarray(x, float), np.asarray(y_trials, float)
    if x.ndim != 1 or y.ndim != 2 or len(x) != len(y):
        raise ValueError(f"fit_line(x, y_trials) needs shapes (n_x,) and (n_x, n_trials), got {x.shape} and {y.shape}")
    used = ~np.all(np.isnan(y), axis=1)
    x, y = x[used], y[used]
    if np.unique(x).size < 2:
        nothing = Estimate(math.nan, -math.inf, math.inf, int(np.sum(~np.isnan(y))))
        return LineFit(nothing, nothing)
    from_mean = x - x.mean()
    weights = from_mean / np.sum(from_mean**2)
    return LineFit(_contrast(weights, y, single), _contrast(1 / x.size - x.mean() * weights, y, single))


def fit_power(x: ArrayLike, y_trials: ArrayLike, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """The a of y ~ x^a: slope of `fit_line` through the means of log y at each log x.

    Args:
        x: n_x positive abscissae.
        y_trials: shape (n_x, n_trials), positive; NaN marks a missing replicate.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.
    """
    return fit_line(np.log(x), np.log(y_trials), level, comparisons).slope


def _contrast(w: np.ndarray, y: np.ndarray, level: float) -> Estimate:
    """sum_i w_i ybar_i with Welch's interval; y is (group, replicate), NaN where missing."""
    n = np.sum(~np.isnan(y), axis=1)
    value = float(w @ np.nanmean(y, axis=1))
    if np.any(n < 2):
        return Estimate(value, -math.inf, math.inf, int(n.sum()))
    parts = w**2 * np.nanvar(y, axis=1, ddof=1) / n
    variance = parts.sum()
    if variance == 0:
        return Estimate(value, value, value, int(n.sum()))
    dof = variance**2 / np.sum(parts**2 / (n - 1))
    half = float(scipy.stats.t.ppf((1 + level) / 2, dof) * np.sqrt(variance))
    return Estimate(value, value - half, value + half, int(n.sum()))


def slope_of_one_more(
    x: ArrayLike, y_trials: ArrayLike, draws: int, level: float = 0.95, comparisons: int = 1, seed: int = 0
) -> Estimate:
    """Slope of `fit_line`, and where the least-squares slope of one more experiment lies: single draws at `draws` random x.

    A prediction interval by resampling: the scatter of such an experiment, and the error of the rows it is drawn from.

    Args:
        x: n_x abscissae, from which the experiment draws its own with equal chances.
        y_trials: shape (n_x, n_trials), independent replicates at each x; NaN marks a missing one.
        draws: points of the experiment.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.
        seed: seed of the resampling.

    Returns:
        Estimate; n counts the replicates used.

    Accuracy: coverage is simulated in `tests/test_inference.py`; with fewer than ten replicates at an x it is too narrow.
    """
    single = single_level(level, comparisons)
    x, y, rng = np.asarray(x, float), np.asarray(y_trials, float), np.random.default_rng(seed)
    n_boot = 4000
    rows = rng.integers(len(x), size=(n_boot, draws))
    resampled = rng.integers(y.shape[1], size=(n_boot, *y.shape))  # the rows that the experiment draws from
    columns = np.take_along_axis(
        resampled[np.arange(n_boot)[:, None], rows], rng.integers(y.shape[1], size=(n_boot, draws, 1)), 2
    )
    new = y[rows, columns[..., 0]]
    there = np.where(np.isnan(new), np.nan, x[rows])
    from_mean = there - np.nanmean(there, axis=1, keepdims=True)
    slopes = np.nansum(from_mean * new, axis=1) / np.nansum(from_mean**2, axis=1)
    low, high = np.quantile(slopes, ((1 - single) / 2, (1 + single) / 2))
    slope = fit_line(x, y).slope
    return Estimate(slope.value, float(low), float(high), slope.n)


def ks_test(samples: ArrayLike, cdf: Callable[[np.ndarray], Any], level: float = 0.95, comparisons: int = 1) -> KSTest:
    """Two-sided Kolmogorov-Smirnov test, D = sup_x |F_n(x) - F(x)|, and an interval for the true distance.

    The interval is D +- sqrt(ln(2 / (1 - level)) / (2 n)) cut to [0, 1]: the Dvoretzky-Kiefer-Wolfowitz band holds F_n
    to the law of the samples, and the triangle inequality does the rest.

    Args:
        samples: independent draws; NaNs are dropped. Eigenvalues of one matrix are not independent: their D is smaller
            and neither the p-value nor the interval applies to it.
        cdf: the law's distribution function, of an array.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        KSTest(distance, pvalue); without samples NaN, with the interval (0, 1).

    Raises:
        ValueError: `level` or `comparisons` is out of range.

    Source: Massart, Annals of Probability 18(3) 1990, for the constant of the band; `scipy.stats.ks_1samp`.
    """
    single = single_level(level, comparisons)
    x = np.asarray(samples, float).ravel()
    x = x[~np.isnan(x)]
    if x.size == 0:
        return KSTest(Estimate(math.nan, 0.0, 1.0, 0), math.nan)
    test = scipy.stats.ks_1samp(x, lambda t: np.asarray(cdf(t), float))
    D, pvalue = float(test.statistic), float(test.pvalue)  # pyright: ignore[reportAttributeAccessIssue]
    half = math.sqrt(math.log(2 / (1 - single)) / (2 * x.size))
    return KSTest(Estimate(D, max(0.0, D - half), min(1.0, D + half), x.size), pvalue)


def proportion_interval(
    successes: int,
    n: int,
    level: float = 0.95,
    comparisons: int = 1,
    method: Literal["exact", "wilson"] = "exact",
) -> Estimate:
    """Proportion k / n with its Clopper-Pearson ("exact") or Wilson interval.

    Args:
        successes: k, how many of the replicates showed it.
        n: number of replicates.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.
        method: "exact" never covers less than `level`; "wilson" is shorter and covers it on average.

    Returns:
        Estimate; NaN with interval (0, 1) for n = 0.

    Raises:
        ValueError: not 0 <= successes <= n, or `level` or `comparisons` is out of range.
    """
    single = single_level(level, comparisons)
    if not 0 <= successes <= n:
        raise ValueError(f"proportion_interval needs 0 <= successes <= n, got {successes} of {n}")
    if n == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    low, high = scipy.stats.binomtest(int(successes), int(n)).proportion_ci(single, method=method)
    return Estimate(successes / n, float(low), float(high), int(n))


def mann_whitney_interval(x: ArrayLike, y: ArrayLike, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """P(X > Y) + P(X = Y)/2 of two independent samples, the Mann-Whitney U over n_x n_y: how often the first is the larger.

    Clopper-Pearson's interval for the p of all pairs and p (1 - p)/V trials, where V is DeLong's variance of p. V is at most
    p (1 - p)/m, m = min(n_x, n_y); fewer than 5/m of the pairs in either order do not determine it, and then it is that.

    Args:
        x: replicates of one kind; NaNs are dropped.
        y: replicates of the other, independent of x.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate; n is the size of the smaller sample. NaN with the interval (0, 1) if one is empty.

    Raises:
        ValueError: `level` or `comparisons` is out of range.

    Source: DeLong, DeLong, Clarke-Pearson, Biometrics 44 1988, for V; Korn & Graubard, Survey Methodology 24 1998, for the
        number of trials that a variance is worth.
    Accuracy: covers about `level`, and more where the pairs are few (`tests/test_inference.py`).
    """
    single = single_level(level, comparisons)
    x, y = (np.sort(np.asarray(sample, float).ravel()) for sample in (x, y))
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    m = min(x.size, y.size)
    if m == 0:
        return Estimate(math.nan, 0.0, 1.0, 0)
    above, below = _share_below(y, x), 1 - _share_below(x, y)
    p, n = float(above.mean()), float(m)
    if min(p, 1 - p) * m >= 5:
        V = above.var(ddof=1) / x.size + below.var(ddof=1) / y.size
        n = max(n, p * (1 - p) / V) if V > 0 else n
    low = 0.0 if p == 0 else float(scipy.stats.beta.ppf((1 - single) / 2, n * p, n * (1 - p) + 1))
    high = 1.0 if p == 1 else float(scipy.stats.beta.ppf((1 + single) / 2, n * p + 1, n * (1 - p)))
    return Estimate(p, low, high, m)


def _share_below(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of the sorted y, for each x: how many are smaller, and half of those equal to it."""
    return (np.searchsorted(y, x, "left") + np.searchsorted(y, x, "right")) / (2 * y.size)


def exponent_interval(first: int, last: int, factor: float, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """The a with which a Poisson mean grows as x^a, from its counts at two x: ln(last / first) / ln(factor).

    With r the ratio of the means, `last` given the sum of both is Binomial(first + last, r / (1 + r)).

    Args:
        first: count at the smaller x, such as the outliers of all matrices of one size.
        last: count at the larger x, independent of it.
        factor: the ratio of the two x, > 1.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate; n = first + last. Infinite where one of the counts is 0, NaN where both are.

    Raises:
        ValueError: a negative count, factor <= 1, or `level` or `comparisons` is out of range.

    Source: Przyborowski & Wilenski, Biometrika 31 1940, for the condition; the interval is Clopper-Pearson's.
    Accuracy: covers at least `level` for Poisson counts (`tests/test_inference.py`).
    """
    if min(first, last) < 0 or not factor > 1:
        raise ValueError(f"exponent_interval needs counts >= 0 and a factor > 1, got {first}, {last} and {factor}")
    share = proportion_interval(last, first + last, level, comparisons)
    with np.errstate(divide="ignore"):
        return share.map(lambda p: float((np.log(p) - np.log1p(-p)) / np.log(factor)))


def rate_interval(n: int, total: float, level: float = 0.95, comparisons: int = 1) -> Estimate:
    """The rate of n exponential variables from their sum, n / total: 2 rate total is chi-squared with 2 n degrees of freedom.

    Hill's estimator is one: logarithms over xmin of the values above it, of a power law, have the rate alpha - 1.

    Args:
        n: how many variables there are.
        total: their sum.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.

    Returns:
        Estimate; NaN with the interval (-inf, inf) for n = 0.

    Raises:
        ValueError: a negative n, or `level` or `comparisons` is out of range.

    Accuracy: covers exactly `level` (`tests/test_inference.py`).
    """
    single = single_level(level, comparisons)
    if n < 0:
        raise ValueError(f"rate_interval needs n >= 0, got {n}")
    if n == 0:
        return Estimate(math.nan, -math.inf, math.inf, 0)
    low, high = (float(scipy.stats.chi2.ppf(p, 2 * n)) / (2 * total) for p in ((1 - single) / 2, (1 + single) / 2))
    return Estimate(n / total, low, high, n)


def rank_correlation(
    x: ArrayLike,
    y: ArrayLike,
    level: float = 0.95,
    comparisons: int = 1,
    method: Literal["spearman", "kendall"] = "spearman",
) -> Estimate:
    """Rank correlation of two columns, with the interval of `bootstrap_interval` over their rows.

    Args:
        x: one column, of any shape.
        y: the other, in the same order. A row with a NaN is dropped.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.
        method: "spearman", the correlation of the ranks, or "kendall", tau-b, which is that of all pairs of rows.
    """

    def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.vecdot(a, b) / np.sqrt(np.vecdot(a, a) * np.vecdot(b, b))

    def spearman(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        return correlation(*(scipy.stats.rankdata(of, axis=axis) - (of.shape[axis] + 1) / 2 for of in (x, y)))

    def of_pairs(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
        i, j = np.triu_indices(x.shape[axis], 1)
        return correlation(*(np.sign(of[..., i] - of[..., j]) for of in (x, y)))

    def by_sorting(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.asarray(scipy.stats.kendalltau(x, y))[0])

    # Both are tau-b
    kendall = of_pairs if np.size(x) <= _FEW_ROWS else by_sorting
    statistic: Callable[..., Any] = spearman if method == "spearman" else kendall
    return bootstrap_interval(
        statistic,
        np.ravel(x),
        np.ravel(y),
        level=level,
        comparisons=comparisons,
        paired=True,
        vectorized=statistic is not by_sorting,
    )


def worst_rms_ratio(
    errors: ArrayLike, others: ArrayLike, level: float = 0.95, comparisons: int = 1, fewest: int = 10, seed: int = 0
) -> Estimate:
    """max_i rms(errors_i) / max_i rms(others_i), for two estimators whose errors in the same trials of each case i are known.

    With the interval of `bootstrap_interval` over the numbers of the trials, which all cases share.

    Args:
        errors: shape (case, trial). NaN is no answer, and that trial is left out for both.
        others: of the same shape, of the estimator to compare with.
        level: joint confidence of the family.
        comparisons: number of intervals in the family.
        fewest: cases with fewer trials in which both answer are left out.
        seed: seed of the resampling.

    Returns:
        Estimate; n is the number of trials. Errors that are all the same make an unbounded interval; so does no case, with
        NaN.

    Raises:
        ValueError: shapes do not match, or `level` or `comparisons` is out of range.

    Accuracy: coverage is simulated in `tests/test_inference.py`.
    """
    a, b = np.asarray(errors, float), np.asarray(others, float)
    if a.ndim != 2 or a.shape != b.shape:
        raise ValueError(f"worst_rms_ratio needs two tables of one shape (case, trial), got {a.shape} and {b.shape}")
    there = ~np.isnan(a) & ~np.isnan(b)
    there &= there.sum(axis=1, keepdims=True) >= fewest
    if not there.any():
        return Estimate(math.nan, -math.inf, math.inf, 0)
    squares = [np.where(there, table, 0) ** 2 for table in (a, b)]

    def ratio(draws: np.ndarray) -> float:
        times = np.bincount(draws.astype(int), minlength=a.shape[1])
        n = np.maximum(there @ times, 1)
        first, second = (np.max(table @ times / n) for table in squares)
        return float(np.sqrt(first / second))

    return bootstrap_interval(ratio, np.arange(a.shape[1]), level=level, comparisons=comparisons, seed=seed)


def holm(p: ArrayLike) -> np.ndarray:
    """p-values adjusted for their number: those at most 0.05 hold one wrong rejection or more in at most 5 % of such families.

    The i-th smallest of m becomes max over j <= i of (m - j + 1) p_(j), at most 1, whatever the dependence between them. NaN
    stays NaN and is not counted.

    Source: S. Holm, Scand. J. Statist. 6 (1979) 65.
    """
    p = np.asarray(p, float)
    there = np.flatnonzero(np.isfinite(p))
    order = there[np.argsort(p.flat[there], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted.flat[order] = np.minimum(np.maximum.accumulate(np.arange(len(order), 0, -1) * p.flat[order]), 1)
    return adjusted


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """Many estimates as one of arrays."""
    return Estimate(*(np.array([getattr(e, name) for e in estimates]) for name in ("value", "low", "high", "n")))


def worst(estimates: Estimate, claimed: tuple[float, float]) -> tuple[int, Estimate]:
    """The member of a family on which a claim about all of them stands or falls, and its index.

    That is the one farthest outside `claimed` with its whole interval; if there is none such, the one whose interval
    reaches farthest out, or least far in. Judge its interval, simultaneous over the family, in place of the family's.
    An unbounded or NaN interval reaches farthest of all.
    """
    low, high = np.nan_to_num(estimates.low, nan=-np.inf), np.nan_to_num(estimates.high, nan=np.inf)
    outside = np.maximum(claimed[0] - high, low - claimed[1])
    with np.errstate(invalid="ignore"):  # an unbounded interval against an unbounded claim: NaN, which argmax prefers
        reach = np.maximum(claimed[0] - low, high - claimed[1])
    i = int(np.argmax(outside if np.any(outside > 0) else reach))
    return i, estimates[i]


def spread(estimates: Iterable[Estimate]) -> Estimate:
    """The largest of two or more estimates less the smallest, where their intervals hold together; n is the largest's."""
    low, *_, high = sorted(estimates, key=lambda estimate: estimate.value)
    return Estimate(high.value - low.value, high.low - low.high, high.high - low.low, high.n)


def left_out(fits: ArrayLike) -> str:
    """A sentence on how many of the fits gave no number, NaN, to follow another; nothing where all did."""
    failed = int(np.isnan(np.asarray(fits, float)).sum())
    return f" {failed} fits gave no number and are left out." if failed else ""


def single_level(level: float, comparisons: int) -> float:
    """Confidence of each of so many intervals that all hold together with `level`; Bonferroni."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie strictly between 0 and 1, got {level}; 95 % is 0.95")
    if comparisons < 1:
        raise ValueError(f"comparisons must be at least 1, got {comparisons}")
    return 1 - (1 - level) / comparisons


def _clean(samples: tuple[ArrayLike, ...], paired: bool) -> list[np.ndarray]:
    """1-D float samples without NaNs, rows of a paired table dropped whole."""
    data = [np.asarray(x, float) for x in samples]
    if not data or any(x.ndim != 1 for x in data):
        raise ValueError(f"bootstrap_interval needs 1-D samples, got shapes {[x.shape for x in data]}")
    if not paired:
        return [x[~np.isnan(x)] for x in data]
    if len({x.size for x in data}) > 1:
        raise ValueError(f"paired samples must be of one length, got {[x.size for x in data]}")
    whole = ~np.any([np.isnan(x) for x in data], axis=0)
    return [x[whole] for x in data]


def _or(x: float, fallback: float) -> float:
    return fallback if np.isnan(x) else float(x)


def _estimate(value: np.ndarray, low: np.ndarray, high: np.ndarray, n: np.ndarray) -> Estimate:
    """Floats for 0-d arrays; no interval is bounded where there were no data."""
    low, high = np.where(n > 0, low, -np.inf), np.where(n > 0, high, np.inf)
    if np.ndim(value) == 0:
        return Estimate(float(value), float(low), float(high), int(n))
    return Estimate(value, low, high, n)
