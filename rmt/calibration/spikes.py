"""Where noise ends in lambda_max: the eigenvalue that the largest one of noise exceeds at a stated rate."""

import numpy as np
from jaxtyping import ArrayLike, Float

from rmt.errors import InputError
from rmt.extremes import LargestEigenvalue, edge_shift
from rmt.laws import Law, TracyWidom
from rmt.laws.tracy_widom import ma

SIGNS = -2.0
"""Excess kurtosis of random signs, whose mean square does not fluctuate: nor does that of W over its own."""


def spike_threshold(
    N: int,
    M: int,
    level: float = 0.01,
    sigma: ArrayLike = 1.0,
    kurtosis: ArrayLike = 0.0,
    *,
    estimated: bool = False,
    entries: Law | None = None,
) -> Float[np.ndarray, "*batch"]:
    """The x that lambda_max of X = W^T W / N exceeds with probability `level`, for N x M noise W.

        x = sigma^2 (1 + kappa/sqrt(N M)) (centre + scale (m + r (s - m)))/N,
        r^2 = 1 + kappa' (centre/scale)^2/(v N M)

    s is the point that the Tracy-Widom law exceeds with probability `level`, m and v its mean and variance, centre and
    scale those of `rmt.laws.tracy_widom.ma`. kappa moves the edge; kappa' = kappa adds to the fluctuation what that of the
    mean of w^2 has beyond Gaussian entries, or, if sigma is `estimated` by that mean, kappa' = -2 takes out all of it.

    What to leave the kurtosis at depends on the question. W's own kurtosis asks whether lambda_max is more than independent
    entries of that law make: for spikes, of which it takes no power. But heavy-tailed entries are what it allows for: of
    signed Pareto matrices with mu = 2 it detects 1 in 2 at M = 200, and none with mu = 1. 0 asks whether lambda_max is more
    than light-tailed entries make, and takes a moderate kurtosis for a signal too: of Laplace entries 3 to 8 % at 1 %.

    WeightWatcher counts as spikes what is above lambda_plus + sqrt(T), T = lambda_plus^(2/3)/(sqrt(Q) M^(2/3)). T is the
    scale of Tracy-Widom, and its root is of another order: it lies 2.9 scales beyond lambda_plus at 100 x 100, 5 at 500 x
    500 and 10 at 4000 x 4000, where the 1 % threshold lies at 1.85 to 1.97. Gaussian noise passes it in 1.4e-3, 2e-5 and
    1e-11 of matrices. So do no spikes up to theta^2 = 1.8, 1.6 and 1.4 times that of `rmt.spikes.spike_threshold`, where
    those from 1.6, 1.3 and 1.15 times on show at 1 %.

    Args:
        N: rows of W, N >= M >= 2.
        M: columns of W.
        level: in (0, 1).
        sigma: standard deviation of the entries. sqrt(mean(W^2)) will do, with `estimated`, as long as the spikes hold a
            small share of the sum of squares: they raise it, and a matrix with a strong spike hides weaker ones.
        kurtosis: excess kurtosis kappa of the entries. That of W's own entries will do; or leave 0 for unknown.
        estimated: sigma is the root mean square of the entries of this very matrix.
        entries: their law instead of sigma and kurtosis: then x is `LargestEigenvalue(entries, N, M).isf(level)`, which
            counts the single large entries that make outliers; what heavy tails need, mu from above 2 to about 6.

    Returns:
        x, in units of W squared, of the shape of sigma and kurtosis.

    Raises:
        InputError: an argument is out of range, or `entries` comes with sigma, kurtosis or `estimated`.

    Source: centre and scale: Z. Ma, Bernoulli 18 (2012) 322; the kurtosis: see `rmt.extremes.LargestEigenvalue`. That the
        mean square takes its own variance out of a ratio to it is exact for Gaussian entries, where the two are independent.
    Accuracy: of 2,000 matrices of Gaussian, Laplace and Student t(10) entries at each of four shapes, 120 x 80 to 900 x 400, the
        share above was within the error of a binomial test at 1 and 5 %, sigma and kurtosis given or estimated
        (`tests/benchmarks/thresholds.json`). Gaussian matrices with M = 25 to 50 and sigma estimated pass 1.0 to 1.3 times as
        often as the 1 % say. Of 20,000 Laplace matrices of 120 x 80, 1.4 and 5.7 % pass at 1 and 5 % (1.6 and 5.9 % if sigma and
        kurtosis are estimated): entries near the threshold sigma (N M)^(1/4) of an outlier move the edge. Where none is
        above 0.7 of it the rates are 1.0 and 4.3 %; where one is above 0.9, in 3 % of the matrices, 4.5 and 15 %: look at
        the largest entry before a lambda_max at the threshold is called a spike.
    """
    _check_shape(N, M, "spike_threshold")
    if not 0 < level < 1:
        raise InputError(f"spike_threshold(level) needs a probability between 0 and 1, got {level}")
    if entries is not None:
        if estimated or np.any(np.asarray(sigma) != 1) or np.any(np.asarray(kurtosis) != 0):
            raise InputError("spike_threshold takes sigma and kurtosis from the law of the entries; leave them out")
        return np.asarray(LargestEigenvalue(entries, int(N), int(M)).isf(level))[()]
    unit, centre, scale, wider = _edge(N, M, sigma, kurtosis, estimated, "spike_threshold")
    tw = TracyWidom()
    mean, point = float(tw.mean), float(tw.isf(level))
    return (unit * (centre + scale * (mean + wider * (point - mean))))[()]


def spike_p_value(
    lambda_max: ArrayLike,
    N: int,
    M: int,
    sigma: ArrayLike = 1.0,
    kurtosis: ArrayLike = 0.0,
    *,
    estimated: bool = False,
) -> Float[np.ndarray, "*batch"]:
    """P(lambda_max of N x M noise >= lambda_max): the level at which it is the `spike_threshold`.

    Args:
        lambda_max: of W^T W / N, in units of W squared.
        N, M, sigma, kurtosis, estimated: as of `spike_threshold`.

    Raises:
        InputError: as `spike_threshold`.

    Accuracy: that of `spike_threshold`, whose rates were simulated at 1 and 5 %; far smaller ones are Tracy-Widom's word.
    """
    _check_shape(N, M, "spike_p_value")
    unit, centre, scale, wider = _edge(N, M, sigma, kurtosis, estimated, "spike_p_value")
    tw = TracyWidom()
    mean = float(tw.mean)
    point = (np.asarray(lambda_max, float) / unit - centre) / scale
    return np.asarray(tw.sf(mean + (point - mean) / wider))[()]


def _check_shape(N: int, M: int, what: str) -> None:
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in (N, M)) or not 2 <= M <= N:
        raise InputError(f"{what}(N, M) needs integers N >= M >= 2, got {N!r} and {M!r}; use W.T")


def _edge(
    N: int, M: int, sigma: ArrayLike, kurtosis: ArrayLike, estimated: bool, what: str
) -> tuple[np.ndarray, float, float, np.ndarray]:
    """sigma^2 (1 + kappa/sqrt(N M)), centre/N, scale/N and r of `spike_threshold`."""
    N, M = int(N), int(M)
    sigma, kurtosis = np.asarray(sigma, float), np.asarray(kurtosis, float)
    if not (np.all((sigma > 0) & (sigma < np.inf)) and np.all((kurtosis > SIGNS - 1e-9) & (kurtosis < np.inf))):
        raise InputError(
            f"{what} needs sigma > 0 and an excess kurtosis of at least -2, got sigma = {sigma} and kurtosis = "
            f"{kurtosis}; for entries of infinite variance or fourth moment pass their law as entries"
        )
    centre, scale = (float(each) / N for each in ma(N, M))
    var = float(TracyWidom().var)
    wider = 1 + (SIGNS if estimated else kurtosis) / (N * M) * (centre / scale) ** 2 / var
    wider = np.sqrt(np.maximum(wider, 0.1))  # only a few columns make it less
    return sigma**2 * (1 + np.asarray(edge_shift(kurtosis, N, M))), centre, scale, wider
