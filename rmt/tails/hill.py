"""The Hill estimator: alpha above the k-th largest value, with k given or chosen by a rule."""

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rmt.laws import Law, PowerLaw
from rmt.tails.base import Method, Sample, Status, TailFit
from rmt.tails.options import check_choice

_CRITICAL = 1.25
_NODES = 64


class Hill(Method):
    """alpha = 1 + k / sum_{i <= k} ln(x_(i) / x_(k+1)), with x_(1) >= x_(2) >= ... the largest values; xmin is x_(k+1).

    Args:
        k: the number of values above xmin, at least 2; or "guillou-hall" (the default where nothing else is given): the
            smallest k from which on a test for a trend in the spacings i ln(x_(i) / x_(i+1)), which are exponential and alike
            above a Pareto tail's start, keeps rejecting. If it never does, k is the largest that it can judge, two thirds of
            the values.
        fraction: k as a share of the values, in (0, 1).
        xmin: "median": xmin is the value of rank n // 2 from below, and the n - n // 2 values from it on count as k. That is
            what TempBalance and FARMS report; it is (k + 1)/k of Hill's alpha - 1.

    Raises:
        ValueError: more than one of k, fraction and xmin, or a value out of range.

    Source: Hill, Annals of Statistics 3 1975. The rule: Guillou & Hall, JRSS B 63 2001, with their moving average of squared
        statistics over [k - k/2, k + k/2] and critical value 1.25. The median: Zhou et al., NeurIPS 2023 (TempBalance).
    Accuracy: closed form. The rule keeps 0.6 n of exact Pareto data and finds the splice of a spliced sample within a factor
        of two in most draws (`tests/test_hill.py`).
    """

    k: int | Literal["guillou-hall"] | None = eqx.field(default=None, static=True)
    fraction: float | None = eqx.field(default=None, static=True)
    xmin: Literal["median"] | None = eqx.field(default=None, static=True)

    def __init__(self, k: Any = None, fraction: float | None = None, xmin: Literal["median"] | None = None):
        if sum(option is not None for option in (k, fraction, xmin)) > 1:
            raise ValueError(
                f"Hill needs one of k, fraction and xmin, got k={k!r}, fraction={fraction!r}, xmin={xmin!r}"
            )
        if isinstance(k, str):
            check_choice("Hill(k)", k, ("guillou-hall",))
        elif k is not None and (not isinstance(k, int) or isinstance(k, bool) or k < 2):
            raise ValueError(f"Hill(k) needs an int of at least 2 or 'guillou-hall', got {k!r}")
        if fraction is not None and not (isinstance(fraction, int | float) and 0 < fraction < 1):
            raise ValueError(f"Hill(fraction) needs a share between 0 and 1, got {fraction!r}")
        if xmin is not None:
            check_choice("Hill(xmin)", xmin, ("median",))
        if isinstance(k, str) or (k is None and fraction is None and xmin is None):
            self.k = "guillou-hall"
        else:
            self.k = k
        self.fraction = fraction
        self.xmin = xmin

    def fit(self, sample: Sample) -> TailFit:
        """The estimate above the chosen value."""
        n = sample.x.size
        count = n - sample.start
        if self.xmin is not None:
            k = count - count // 2
            index = n - k
        else:
            k = self._k(sample, count)
            index = n - 1 - k
        enough = (k >= 2) & (index >= sample.start)
        index = jnp.clip(index, 0, n - 1)
        excess = jnp.where(jnp.arange(n) >= index, sample.log_x - sample.log_x[index], 0)
        total = jnp.sum(excess)
        enough &= total > 0
        b = k / jnp.where(total > 0, total, 1)
        ks = sample.distance(index, -jnp.expm1(-b * excess))
        # Equal values across the threshold are counted where they stand, as the definition has it.
        tied = sample.x[index] == sample.x[jnp.minimum(index + 1, n - 1)]
        status = jnp.select([~enough, tied], [Status.TOO_FEW, Status.TIES_AT_XMIN], Status.OK)
        xmin = sample.x[index]
        return TailFit(
            1 + b, b / jnp.sqrt(k.astype(b.dtype)), xmin, sample.x[-1], ks, n - index, status, PowerLaw(1 + b, xmin)
        )

    def _k(self, sample: Sample, count: Int[Array, ""]) -> Int[Array, ""]:
        if self.fraction is not None:
            return jnp.floor(self.fraction * count).astype(int)
        return guillou_hall(sample.log_x, count) if self.k == "guillou-hall" else jnp.asarray(self.k)


def guillou_hall(log_x: Float[Array, " n"], count: Int[Array, ""]) -> Int[Array, ""]:
    """The k of Guillou & Hall for the `count` largest of ascending values.

    T_k = (3 / (k (k^2 - 1)))^(1/2) sum_{i <= k} (k - 2 i + 1) Z_i / mean(Z_1 .. Z_k) with Z_i = i ln(x_(i) / x_(i+1)) is
    standard normal for large k while the Z are alike; Q_k^2 is the mean of T^2 over [k - k/2, k + k/2].
    """
    k = jnp.arange(1, log_x.size)
    Z = k * (log_x[::-1][:-1] - log_x[::-1][1:])
    sum_Z, sum_iZ = jnp.cumsum(Z), jnp.cumsum(k * Z)
    spread = jnp.sqrt(k * (k * k - 1.0) / 3)
    T = (
        ((k + 1) * sum_Z - 2 * sum_iZ)
        * k
        / (jnp.where(spread > 0, spread, jnp.inf) * jnp.where(sum_Z > 0, sum_Z, jnp.inf))
    )
    sum_T2 = jnp.concatenate([jnp.zeros(1, T.dtype), jnp.cumsum(T * T)])
    half = k // 2
    Q2 = (sum_T2[jnp.minimum(k + half, k.size)] - sum_T2[k - half - 1]) / (2 * half + 1)
    judged = (k >= 2) & (k + half <= count - 1)
    passes = judged & (Q2 <= _CRITICAL**2)
    # One past the last k that passes: from there on every one is rejected. If the last one judged passes, it.
    last_pass = jnp.max(jnp.where(passes, k, 1))
    return jnp.minimum(last_pass + 1, jnp.max(jnp.where(judged, k, 2)))


def hill_limit(law: Law, share: float = 0.5) -> float:
    """1 + 1/E[ln(x / q) | x > q], q the quantile that x exceeds with probability `share`: the limit of Hill's alpha in n.

    Of `MarchenkoPastur(Q)` and share 1/2 it is what `Hill(xmin="median")` says of pure noise, a function of Q alone.

    Args:
        law: a law with a positive quantile there.
        share: k/n, in (0, 1).

    Raises:
        ValueError: share is out of range.

    Accuracy: Gauss-Legendre quadrature in s, where the mass above x is share s^3, which takes away the square root of an edge:
        1e-9 relative for the Marchenko-Pastur law, 1e-6 for a power law (`tests/test_hill.py`).
    """
    if not 0 < share < 1:
        raise ValueError(f"hill_limit(share) needs a share between 0 and 1, got {share!r}")
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    s = (node + 1) / 2
    log_x = np.log(np.asarray(law.isf(share * s**3)) / float(law.ppf(1 - share)))
    return float(1 + 1 / np.sum(weight / 2 * 3 * s**2 * log_x))
