"""What every fit is made of: the sorted data a method sees, the result it returns, and the status that says what it is worth."""

from abc import abstractmethod
from enum import IntEnum
from statistics import NormalDist

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rmt.laws.base import Law
from rmt.tails.options import check_level

MIN_POINTS = 10
"""Fewer points than this are not fitted: with nine, the search over xmin ends on two or three of them."""


class Status(IntEnum):
    """What a fit is worth: OK; a failure, with NaN for every number; or a note on numbers that are there.

    Codes are in order of gravity: where several apply, the smallest is reported.
    """

    OK = 0
    TOO_FEW = 1
    NON_FINITE = 2
    NON_POSITIVE = 3
    CONSTANT = 4
    NO_CONVERGENCE = 5
    RANK_COLLAPSE = 6
    BOUND_REACHED = 7
    XMIN_AT_EDGE = 8
    TIES_AT_XMIN = 9

    @property
    def failed(self) -> bool:
        """Whether there are no numbers."""
        return bool(failed(self))

    @property
    def remedy(self) -> str:
        """Cause and cure in one line."""
        return _REMEDIES[self]


_REMEDIES = {
    Status.OK: "fitted",
    Status.TOO_FEW: f"fewer than {MIN_POINTS} positive values, or fewer than two in the tail: no tail can be fitted; use a "
    "larger matrix or sample, or a smaller xmin",
    Status.NON_FINITE: "NaN or infinite values in the data: remove or repair them first",
    Status.NON_POSITIVE: "zeros or negative values in the data: a power law has positive support; select the positive ones",
    Status.CONSTANT: "all values are equal: there is no tail",
    Status.NO_CONVERGENCE: "the likelihood has no maximum that could be found: this law does not describe the tail; use "
    "another one, or more data",
    Status.RANK_COLLAPSE: "some eigenvalues are zero to within their error, and were left out: the matrix has not full rank",
    Status.BOUND_REACHED: "a parameter is at the end of its range: the law has turned into its limit there; compare it with "
    "the simpler law",
    Status.XMIN_AT_EDGE: "xmin is the first or the last value it was allowed to be: the best one may lie outside; widen the "
    "range of xmin, or bring more data",
    Status.TIES_AT_XMIN: "several values are equal to xmin: rounded or repeated data; the law is continuous, so D and its "
    "p-value are rough",
}


def failed(status):
    """Whether a status code, or an array of them, means that there are no numbers."""
    return (status > Status.OK) & (status <= Status.NO_CONVERGENCE)


def graver(a, b):
    """The graver of two status codes: the smaller, with OK behind all others."""
    last = len(Status)
    return jnp.minimum(jnp.where(a == Status.OK, last, a), jnp.where(b == Status.OK, last, b)) % last


class TailFit(eqx.Module):
    """A law fitted to the values >= xmin; for a power law rho(x) ~ x^-alpha. Fields gain a batch axis under `vmap`.

    Attributes:
        alpha: exponent of the density; NaN for laws that have none.
        stderr: standard error of alpha *given xmin*: (alpha - 1) / sqrt(n_tail) for a power law.
        xmin: start of the tail, in the units of the data.
        xmax: largest value fitted, in the units of the data.
        ks: Kolmogorov-Smirnov distance D between the tail and the fitted law, at xmin.
        n_tail: number of values in [xmin, xmax].
        status: a `Status` code. If it is a failure the numbers are NaN and n_tail is 0.
        law: the fitted law itself, on [xmin, ...): what plots draw, comparisons evaluate and the bootstrap draws from.
    """

    alpha: Float[Array, "*batch"]
    stderr: Float[Array, "*batch"]
    xmin: Float[Array, "*batch"]
    xmax: Float[Array, "*batch"]
    ks: Float[Array, "*batch"]
    n_tail: Int[Array, "*batch"]
    status: Int[Array, "*batch"]
    law: Law

    @property
    def ok(self) -> Bool[Array, "*batch"]:
        """Whether there are numbers: status is OK or a note."""
        return ~failed(self.status)

    def interval(self, level: float = 0.95) -> tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
        """alpha -+ z stderr, the normal interval *given xmin*.

        Accuracy: it ignores that xmin was chosen from the data, so it covers less than `level`: on exact Pareto data with
            alpha = 2.5, nominal 95 % covers about 92 % at n = 100 and 1000, and on spliced data 85 to 90 %; `rmt.bootstrap` has
            the interval that accounts for it, and its table. On a spectrum it covers 73 (noise) to 96 %: see
            `rmt.bootstrap_matrix`.
        """
        check_level("interval", level)
        z = NormalDist().inv_cdf(0.5 + level / 2)
        return self.alpha - z * self.stderr, self.alpha + z * self.stderr


class Scan(eqx.Module):
    """Every candidate for xmin, in ascending order; shapes (n,), or (rows, n) for a batch.

    Attributes:
        xmin: the value, in the units of the data.
        alpha: the exponent fitted above it.
        ks: its D.
        n_tail: number of values >= xmin.
        candidate: whether it is one: False for padding, repeated values, and those the method's options exclude, where alpha
            and ks are NaN.
    """

    xmin: Float[Array, "*batch n"]
    alpha: Float[Array, "*batch n"]
    ks: Float[Array, "*batch n"]
    n_tail: Int[Array, "*batch n"]
    candidate: Bool[Array, "*batch n"]


class Sample(eqx.Module):
    """Data as a method sees them: ascending, static in shape, with whatever takes no part in front.

    Attributes:
        x: ascending values; those in front of `start` (padding, zero eigenvalues) are 0.
        log_x: ln x up to a constant, which keeps the digits in which near-constant data differ; in front of `start` it
            repeats the value there, so that no step counts.
        start: index of the first value that takes part.
        N: rows of the matrix, if x is a spectrum of W^T W / N.
    """

    x: Float[Array, " n"]
    log_x: Float[Array, " n"]
    start: Int[Array, ""]
    N: Float[Array, ""] | None = None

    @property
    def candidates(self) -> Bool[Array, " n"]:
        """The values xmin may take: each distinct one but the largest, at its first index."""
        return ~self.repeated & (self.x < self.x[-1]) & (jnp.arange(self.x.size) >= self.start)

    @property
    def repeated(self) -> Bool[Array, " n"]:
        """Whether a value is that in front of it once more."""
        again = jnp.concatenate([jnp.zeros(1, bool), self.x[1:] == self.x[:-1]])
        return again & (jnp.arange(self.x.size) > self.start)

    def at_edge(self, index: Int[Array, ""], candidates: Bool[Array, " n"]) -> Bool[Array, ""]:
        """Whether an xmin is the first or the last candidate.

        The smallest value of all is no edge: the power law then holds over all of the data.
        """
        return ((index == jnp.argmax(candidates)) & (index > self.start)) | (index == last_true(candidates))

    def log(self, value: Float[Array, ""]) -> Float[Array, ""]:
        """ln of a value, up to the constant of `log_x`."""
        return self.log_x[-1] + log_ratio(value, self.x[-1])

    def index(self, value: Float[Array, ""]) -> Int[Array, ""]:
        """Index of the first value that takes part and is >= `value`; n if there is none."""
        return jnp.maximum(self.start, jnp.searchsorted(self.x, value.astype(self.x.dtype)))

    def up_to(self, x_end: Float[Array, ""]) -> "Sample":
        """The sample without the values above `x_end`."""
        return self.without(jnp.sum(self.x > x_end))

    def without(self, count: Int[Array, ""]) -> "Sample":
        """The sample without its `count` largest values."""
        return Sample(jnp.roll(self.x, count), jnp.roll(self.log_x, count), self.start, self.N).since(
            self.start + count
        )

    def since(self, start: Int[Array, ""]) -> "Sample":
        """The sample without the values in front of index `start`; one is left."""
        start = jnp.minimum(start, self.x.size - 1)
        inside = jnp.arange(self.x.size) >= start
        return Sample(jnp.where(inside, self.x, 0), jnp.where(inside, self.log_x, self.log_x[start]), start, self.N)

    def distance(self, index: Int[Array, ""], cdf: Float[Array, " n"], two_sided: bool = False) -> Float[Array, ""]:
        """D of a law whose cdf at every x is given, over the tail that begins at `index`."""
        n = self.x.size
        rank, n_tail = (jnp.arange(n) - index).astype(cdf.dtype), jnp.maximum(n - index, 1)
        return jnp.max(jnp.where(rank >= 0, ks_gap(cdf, rank, n_tail, two_sided), 0))


def ks_gap(F, rank, n_tail, two_sided: bool):
    """|F - rank/n_tail|, the value's own rank from 0; two-sided, or |(rank + 1)/n_tail - F| if that is more."""
    gap = jnp.abs(F - rank / n_tail)
    return jnp.maximum(gap, jnp.abs((rank + 1) / n_tail - F)) if two_sided else gap


def last_true(flags: Bool[Array, " n"]) -> Int[Array, ""]:
    """Index of the last True."""
    return flags.size - 1 - jnp.argmax(flags[::-1])


def total(values: Float[Array, " n"]) -> Float[Array, ""]:
    """Sum from the last value down, so that zeros in front, where padding is, change no bit of it."""
    return jnp.cumsum(values[::-1])[-1]


def log_ratio(a: Float[Array, "*n"], b: Float[Array, ""]) -> Float[Array, "*n"]:
    """ln(a / b) for positive a and b, with the digits in which they differ where they are close."""
    close = jnp.abs(a - b) < b / 2
    return jnp.where(close, jnp.log1p(jnp.where(close, a - b, 0) / b), jnp.log(a) - jnp.log(b))


class Method(eqx.Module):
    """A way to choose xmin and to fit a law to the values above it."""

    @abstractmethod
    def fit(self, sample: Sample) -> TailFit:
        """Fit a sample of at least MIN_POINTS values, not all equal. Its status is OK, a note, NO_CONVERGENCE or TOO_FEW."""

    @property
    def searches(self) -> bool:
        """Whether xmin is the one of smallest D among several."""
        return False

    def scan(self, sample: Sample) -> Scan:
        """Every candidate of a method that searches over xmin, whatever stands elsewhere; the others have none."""
        raise ValueError(
            f"{type(self).__name__} does not search over xmin; scan with rmt.Clauset() or rmt.WeightWatcher()"
        )
