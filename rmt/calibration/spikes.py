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

    Raises:
        InputError: an argument is out of range, or `entries` comes with sigma, kurtosis or `estimated`.

    Source: centre and scale: Z. Ma, Bernoulli 18 (2012) 322; the kurtosis: see `rmt.extremes.LargestEigenvalue`.
    """
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in (N, M)) or not 2 <= M <= N:
        raise InputError(f"spike_threshold(N, M) needs integers N >= M >= 2, got {N!r} and {M!r}; use W.T")
    if not 0 < level < 1:
        raise InputError(f"spike_threshold(level) needs a probability between 0 and 1, got {level}")
    sigma, kurtosis = np.asarray(sigma, float), np.asarray(kurtosis, float)
    if entries is not None:
        if estimated or np.any(sigma != 1) or np.any(kurtosis != 0):
            raise InputError("spike_threshold takes sigma and kurtosis from the law of the entries; leave them out")
        return np.asarray(LargestEigenvalue(entries, N, M).isf(level))[()]
    if not (np.all((sigma > 0) & (sigma < np.inf)) and np.all((kurtosis >= SIGNS) & (kurtosis < np.inf))):
        raise InputError(
            f"spike_threshold needs sigma > 0 and an excess kurtosis of at least -2, got sigma = {sigma} and kurtosis = "
            f"{kurtosis}; for entries of infinite variance or fourth moment pass their law as entries"
        )
    tw = TracyWidom()
    centre, scale = (float(each) / N for each in ma(N, M))
    mean, var, point = float(tw.mean), float(tw.var), float(tw.isf(level))
    wider = 1 + (SIGNS if estimated else kurtosis) / (N * M) * (centre / scale) ** 2 / var
    point = mean + np.sqrt(np.maximum(wider, 0.1)) * (point - mean)  # only a few columns make it less
    return (sigma**2 * (1 + np.asarray(edge_shift(kurtosis, N, M))) * (centre + scale * point))[()]
