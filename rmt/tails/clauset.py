"""Clauset-Shalizi-Newman: maximum-likelihood alpha above the xmin whose fit is nearest in KS distance."""

from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rmt.laws import PowerLaw
from rmt.tails.base import Method, Sample, Scan, Status, TailFit
from rmt.tails.options import check_choice, check_tail, positive
from rmt.tails.search import every_distance, search
from rmt.tails.truncated import truncated_exponent, truncated_stderr


class Clauset(Method):
    """Exact search over every observed value: xmin = argmin_i D(x_i), alpha = 1 + n_i / sum_{j >= i} ln(x_j / x_i).

    With F_i(x) = 1 - (x / x_i)^(1 - alpha_i) and n_i values >= x_i, numbered j = 0 .. n_i - 1 in ascending order, D(x_i) is

        one-sided  max_j |F_i(x_j) - j / n_i|                                 (plfit, powerlaw, WeightWatcher)
        two-sided  max_j max(F_i(x_j) - j / n_i, (j + 1) / n_i - F_i(x_j))    (the KS distance proper)

    Ties in the data are kept; candidates are all distinct values but the largest; of equal minima the smallest xmin wins.

    Args:
        ks: which D. The choice moves xmin in about half of all spectra.
        xmin: None searches all candidates, (lo, hi) those with lo <= x_i <= hi, and a number is xmin itself, which then
            need not be one of the data.
        xmax: None for a tail without end. A number leaves out the data above it, "max" is the largest value; either way the
            likelihood is normalised to [xmin, xmax]: alpha solves `truncated_exponent`, and F_i(x_max) = 1. Data cut at xmax
            and fitted without that (as WeightWatcher does) give too large an alpha.
        min_tail: fewest values in a tail, at least 2.
        correction: report the estimate that is unbiased given xmin, alpha (n - 1)/n + 1/n, as CSN do for small samples; D
            and xmin are those of the search. Without xmax only.

    Raises:
        ValueError: an option is none of the above.

    Source: Clauset, Shalizi, Newman, SIAM Review 51(4), 2009, eqs 3.1 and 3.9; with xmax, Aban, Meerschaert, Panorska, JASA
        101 2006. The search is ours (`rmt.tails.search`).
    Accuracy: agrees with brute force to 1e-9 in alpha and D with the same xmin, on 10,000 random sets in a slow test and on
        the shared reference sets (`tests/test_tails.py`).
    """

    ks: Literal["one-sided", "two-sided"] = eqx.field(default="one-sided", static=True)
    xmin: Float[Array, ""] | tuple[Float[Array, ""], Float[Array, ""]] | None = None
    xmax: Float[Array, ""] | Literal["max"] | None = None
    min_tail: int = eqx.field(default=2, static=True)
    correction: bool = eqx.field(default=False, static=True)

    def __init__(
        self,
        ks: Literal["one-sided", "two-sided"] = "one-sided",
        xmin: Any = None,
        xmax: Any = None,
        min_tail: int = 2,
        correction: bool = False,
    ):
        check_choice("Clauset(ks)", ks, ("one-sided", "two-sided"))
        self.ks = ks
        if isinstance(xmin, tuple | list):
            if len(xmin) != 2:
                raise ValueError(f"Clauset(xmin) needs a number or (lo, hi), got {xmin!r}")
            self.xmin = positive("Clauset(xmin=(lo, ...))", xmin[0]), positive("Clauset(xmin=(..., hi))", xmin[1])
        else:
            self.xmin = None if xmin is None else positive("Clauset(xmin)", xmin)
        if isinstance(xmax, str):
            check_choice("Clauset(xmax)", xmax, ("max",))
            self.xmax = "max"
        else:
            self.xmax = None if xmax is None else positive("Clauset(xmax)", xmax)
        self.min_tail = check_tail("Clauset(min_tail)", min_tail)
        self.correction = bool(correction)
        if correction and xmax is not None:
            raise ValueError("Clauset(correction=True) is the correction of the untruncated estimate; leave out xmax")

    @property
    def searches(self) -> bool:
        """Unless xmin is given."""
        return self.xmin is None or isinstance(self.xmin, tuple)

    def fit(self, sample: Sample) -> TailFit:
        """The search, or the one fit above a given xmin."""
        sample, x_end = self._end(sample)
        if self.xmin is not None and not isinstance(self.xmin, tuple):
            return self._above(sample, self.xmin.astype(sample.x.dtype), x_end)
        candidates = self._candidates(sample)
        b, total = exponents(sample, x_end)
        index, ks = search(sample.log_x, b, total, candidates, self.ks == "two-sided")
        found = jnp.any(candidates)
        at_edge = sample.at_edge(index, candidates)
        index = jnp.minimum(index, sample.x.size - 1)
        tied = sample.x[index] == sample.x[jnp.minimum(index + 1, sample.x.size - 1)]
        status = jnp.select(
            [~found, at_edge, tied], [Status.TOO_FEW, Status.XMIN_AT_EDGE, Status.TIES_AT_XMIN], Status.OK
        )
        return self._result(sample, index, sample.x[index], x_end, b[index], ks, status)

    def scan(self, sample: Sample) -> Scan:
        """D and alpha at every candidate."""
        if not self.searches:
            raise ValueError("a scan needs a search: give Clauset xmin=None or (lo, hi)")
        sample, x_end = self._end(sample)
        b, total = exponents(sample, x_end)
        candidate, n = self._candidates(sample), sample.x.size
        ks = every_distance(sample.log_x, b, total, self.ks == "two-sided")
        return Scan(sample.x, 1 + b, ks, n - jnp.arange(n), candidate)

    def _end(self, sample: Sample) -> tuple[Sample, Float[Array, ""] | None]:
        """The sample up to xmax, and xmax."""
        if self.xmax is None:
            return sample, None
        x_end = sample.x[-1] if isinstance(self.xmax, str) else self.xmax.astype(sample.x.dtype)
        return sample.up_to(x_end), x_end

    def _candidates(self, sample: Sample) -> Bool[Array, " n"]:
        n = sample.x.size
        candidates = sample.candidates & (n - jnp.arange(n) >= self.min_tail)
        if isinstance(self.xmin, tuple):
            low, high = (end.astype(sample.x.dtype) for end in self.xmin)
            candidates &= (sample.x >= low) & (sample.x <= high)
        return candidates

    def _above(self, sample: Sample, xmin: Float[Array, ""], x_end: Float[Array, ""] | None) -> TailFit:
        index = sample.index(xmin)
        n_tail = sample.x.size - index
        excess = jnp.where(jnp.arange(sample.x.size) >= index, sample.log_x - sample.log(xmin), 0)
        mean = jnp.sum(excess) / jnp.maximum(n_tail, 1)
        b, total = _exponent(mean, None if x_end is None else sample.log(x_end) - sample.log(xmin))
        cdf = -jnp.expm1(-b * excess) / (1 if total is None else total)
        ks = sample.distance(index, cdf, self.ks == "two-sided")
        status = jnp.where((n_tail >= self.min_tail) & (mean > 0), Status.OK, Status.TOO_FEW)
        tied = jnp.sum(sample.x == xmin) > 1
        status = jnp.where((status == Status.OK) & tied, Status.TIES_AT_XMIN, status)
        return self._result(sample, index, xmin, x_end, b, ks, status)

    def _result(self, sample, index, xmin, x_end, b, ks, status) -> TailFit:
        n_tail = sample.x.size - index
        stderr = b if x_end is None else truncated_stderr(b, sample.log(x_end) - sample.log(xmin))
        b, stderr = (b * (n_tail - 1) / n_tail, stderr * (n_tail - 1) / n_tail) if self.correction else (b, stderr)
        stderr = stderr / jnp.sqrt(n_tail.astype(b.dtype))
        law = PowerLaw(1 + b, xmin, jnp.inf if x_end is None else x_end)
        return TailFit(1 + b, stderr, xmin, sample.x[-1], ks, n_tail, status, law)


def exponents(
    sample: Sample, x_end: Float[Array, ""] | None = None
) -> tuple[Float[Array, " n"], Float[Array, " n"] | None]:
    """alpha_i - 1 for every start i; and, for a law that ends, the mass below x_end of the one that does not.

    The sums of ln(x_j / x_i) come from S_i = S_(i+1) + (n_i - 1)(ln x_(i+1) - ln x_i), where nothing cancels.
    """
    n = sample.x.size
    steps = jnp.diff(sample.log_x) * jnp.arange(n - 1, 0, -1)
    S = jnp.concatenate([jnp.cumsum(steps[::-1])[::-1], jnp.zeros(1, sample.x.dtype)])
    mean = S / jnp.arange(n, 0, -1)
    return _exponent(mean, None if x_end is None else sample.log(x_end) - sample.log_x)


def _exponent(mean, span):
    """(b, total) from the mean of ln(x / xmin) and the span ln(x_end / xmin); b = 0 where no value is above xmin."""
    spread = mean > 0
    mean = jnp.where(spread, mean, 1)
    if span is None:
        return jnp.where(spread, 1 / mean, 0), None
    span = jnp.where(spread, span, 2)
    b = truncated_exponent(mean, span)
    b = jnp.where(
        jnp.abs(b * span) < 1e-12, 1e-12 / span, b
    )  # at 0 the law is log-uniform, which needs another formula
    return jnp.where(spread, b, 0), jnp.where(spread, -jnp.expm1(-b * span), 1)
