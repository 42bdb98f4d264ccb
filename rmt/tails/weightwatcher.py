"""WeightWatcher's fits, number for number: its plain search over xmin, and its two ways with outliers ("fingers")."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rmt.laws import PowerLaw
from rmt.tails.base import MIN_POINTS, Method, Sample, Scan, Status, TailFit, last_true
from rmt.tails.clauset import exponents
from rmt.tails.options import check_choice
from rmt.tails.search import every_distance, gaps, search

_SMALLEST = 1e-5
_SMALL_COUNT, _SMALL_TAIL = 20, 8
_FIRST_CLIP, _LAST_CLIP, _CHECKS = 2, 9, 3
_BINS = 100


class WeightWatcher(Method):
    """The fits of WeightWatcher 0.7.7 to the eigenvalues of W^T W, which are N times those of a `Spectrum`.

    An array is taken as eigenvalues of W^T W. Values <= 1e-5 are dropped, whatever the scale, so that the fit is not scale
    free; then, with x_i <= x_(i+1) <= ... the n_i values from the i-th on, numbered j = 0 .. n_i - 1,

        alpha_i = 1 + n_i / sum_j ln(x_j / x_i),    D_i = max_j |1 - (x_j / x_i)^(1 - alpha_i) - j / n_i|

    and the first minimum of D wins, as in `Clauset()`, but for this:

        repeated values   each is a candidate with the tail that begins at its own place, and n_tail counts from there.
        few values        below 20 of them n_i becomes n_i - 1 in alpha, and a tail has at least 8. (Where "clip_xmax" tries
                          what happens with fewer than 8 values, it is all of them; such a fit is never the one chosen.)
        "clip_xmax"       the fit without the m largest values, for the first m = 2 .. 9 that lowers alpha by more than 1, and
                          then xmax is the largest one kept; the first alpha below 2 before that ends the search without
                          effect. The likelihood is not truncated at xmax, so alpha is too large for data that were cut
                          there: `Clauset(xmax=...)` is the fit that knows. `law` has no end either.
        "xmin_peak"       with p the lower end of the fullest of 100 bins of log10 x (the first of several), xmin is one of
                          the distinct values in [log10(0.95 p), 1.5 p], but not the largest of them. That sets a logarithm
                          against plain values: below p = 1/0.95 the lower end bounds nothing. Repeated values have the rank
                          j of the first of them, and nothing is done about few values.

    Numbers that the peer returns and are none have a status here. Where its fit is "failed", alpha = -1, it is TOO_FEW: fewer
    than two values above 1e-5; fewer than two in the range of "xmin_peak"; or, in "clip_xmax" with 13 values or fewer, the up
    to three further fits with which it ends running out of values. Where the chosen tail is of equal values, alpha = 0 or inf,
    it is NO_CONVERGENCE. Fewer than MIN_POINTS values above 1e-5 are TOO_FEW, though the peer fits them down to 2.

    Args:
        fix_fingers: None for the plain search, "clip_xmax" or "xmin_peak".

    Raises:
        ValueError: fix_fingers is none of these.

    Source: Martin, Peng, Mahoney, Nature Communications 12 2021, for the method; its details are those of the package's
        version 0.7.7, as observed. The code is ours.
    Accuracy: alpha, D, xmin and sigma agree to 1e-9 with that version in all three modes on the spectra of
        `tests/reference/weightwatcher.py`, and with its scans of larger ones at every xmin (`tests/test_weightwatcher.py`).
        In "xmin_peak", rounding decides about a value that lies on an edge of a bin or of the range, there as here.
    """

    fix_fingers: Literal["clip_xmax", "xmin_peak"] | None = eqx.field(default=None, static=True)

    def __check_init__(self):
        check_choice("WeightWatcher(fix_fingers)", self.fix_fingers, (None, "clip_xmax", "xmin_peak"))

    @property
    def searches(self) -> bool:
        """Always."""
        return True

    def fit(self, sample: Sample) -> TailFit:
        """The fit of the chosen mode."""
        sample, enough = _kept(sample)
        if self.fix_fingers == "clip_xmax":
            sample, index, ks, enough = _clipped(sample, enough)
        b, candidates = self._tails(sample)
        if self.fix_fingers is None:
            index, ks = _first_minimum(sample, b, candidates)
        if self.fix_fingers == "xmin_peak":
            index, ks = _first_minimum_by_first_ranks(sample, b, candidates)
            enough &= jnp.any(candidates)
        at_edge = sample.at_edge(index, candidates)
        tied = jnp.sum(sample.x == sample.x[index]) > 1
        b, xmin, n_tail = b[index], sample.x[index], jnp.asarray(sample.x.size - index)
        status = jnp.select(
            [~enough, ~jnp.any(candidates) | (b == 0), at_edge, tied],
            [Status.TOO_FEW, Status.NO_CONVERGENCE, Status.XMIN_AT_EDGE, Status.TIES_AT_XMIN],
            Status.OK,
        )
        stderr = b / jnp.sqrt(n_tail.astype(b.dtype))
        return TailFit(1 + b, stderr, xmin, sample.x[-1], ks, n_tail, status, PowerLaw(1 + b, xmin))

    def scan(self, sample: Sample) -> Scan:
        """D and alpha at every candidate, inf for a tail of equal values; "clip_xmax": of the values that the fit keeps."""
        sample, enough = _kept(sample)
        if self.fix_fingers == "clip_xmax":
            sample, _, _, enough = _clipped(sample, enough)
        b, candidates = self._tails(sample)
        if self.fix_fingers == "xmin_peak":
            ks = _distances_by_first_ranks(sample, b)
        else:
            ks = every_distance(sample.log_x, b, None, False)
        n = sample.x.size
        return Scan(sample.x, 1 + jnp.where(b > 0, b, jnp.inf), ks, n - jnp.arange(n), candidates & enough)

    def _tails(self, sample: Sample) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
        """alpha_i - 1 for every start i, 0 for a tail of equal values; and which of them are candidates."""
        return _tails_at_the_peak(sample) if self.fix_fingers == "xmin_peak" else _tails_anywhere(sample)


def _kept(sample: Sample) -> tuple[Sample, Bool[Array, ""]]:
    """The values above the threshold, and whether they are enough for a fit."""
    start = jnp.maximum(sample.start, jnp.sum(_unscaled(sample) <= _SMALLEST))
    return sample.since(start), sample.x.size - start >= MIN_POINTS


def _unscaled(sample: Sample) -> Float[Array, " n"]:
    """Eigenvalues of W^T W."""
    return sample.x if sample.N is None else sample.x * sample.N


def _tails_anywhere(sample: Sample) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    n = sample.x.size
    n_tail, count = n - jnp.arange(n), n - sample.start
    small = count < _SMALL_COUNT
    b, _ = exponents(sample)
    b = jnp.where(small, b * (n_tail - 1) / n_tail, b)
    fewest = jnp.where(small, jnp.minimum(_SMALL_TAIL, count), 2)
    return b, (n_tail <= count) & (n_tail >= fewest) & ((b > 0) | ~small)


def _tails_at_the_peak(sample: Sample) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    b, _ = exponents(sample)
    x, p = _unscaled(sample), _peak(sample)
    within = (jnp.arange(x.size) >= sample.start) & (x >= jnp.log10(0.95 * p)) & (x <= 1.5 * p)
    return b, within & ~sample.repeated & (x < x[last_true(within)])


def _peak(sample: Sample) -> Float[Array, ""]:
    """Lower end of the fullest of the bins, of which the last holds its upper end too."""
    above_first = sample.log_x - sample.log_x[sample.start]
    edges = jnp.arange(_BINS) * (above_first[-1] / _BINS)
    first = jnp.maximum(jnp.searchsorted(above_first, edges), sample.start)
    counts = jnp.diff(first, append=sample.x.size)
    return _unscaled(sample)[sample.start] * jnp.exp(edges[jnp.argmax(counts)])


def _first_minimum(sample: Sample, b, candidates) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """Index and D of the best candidate; without one, an index that is in range."""
    index, ks = search(sample.log_x, b, None, candidates, False)
    return jnp.minimum(index, sample.x.size - 1), ks


def _first_minimum_by_first_ranks(sample: Sample, b, candidates) -> tuple[Int[Array, ""], Float[Array, ""]]:
    def over_all():
        ks = jnp.where(candidates, _distances_by_first_ranks(sample, b), jnp.inf)
        return jnp.argmin(ks), jnp.min(ks)

    # Only repeated values have other ranks, and then it takes a pass over the data for each candidate.
    return jax.lax.cond(jnp.any(sample.repeated), over_all, lambda: _first_minimum(sample, b, candidates))


def _distances_by_first_ranks(sample: Sample, b: Float[Array, " n"], block: int = 64) -> Float[Array, " n"]:
    """D at every i where repeated values have the rank of the first of them, so that only that one counts."""
    every, repeated = jnp.arange(sample.x.size), sample.repeated

    def one(i):
        return jnp.max(jnp.where(repeated, 0, gaps(sample.log_x, b, None, False, i, every)))

    return jax.lax.map(one, every, batch_size=block)


def _clipped(sample: Sample, enough) -> tuple[Sample, Int[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """The values that "clip_xmax" keeps, index and D of their fit, and whether there are enough for all its fits."""
    dropped, index, ks, ran_out = _clip(jax.lax.stop_gradient(sample))
    return sample.without(dropped), index, ks, enough & ~ran_out


def _clip(sample: Sample) -> tuple[Int[Array, ""], Int[Array, ""], Float[Array, ""], Bool[Array, ""]]:
    """How many of the largest values to drop, index and D of the fit without them, and whether the values ran out.

    One loop makes the fits without 0, 2, 3, .. values, until one of them settles it; and the further ones, which can
    only run out of values, if there are that few.
    """
    count = sample.x.size - sample.start

    def unfinished(state):
        m, _, _, settled, settled_alpha, alpha = state
        checks = (m <= settled + _CHECKS) & (jnp.abs(alpha - settled_alpha) <= 1) & (count - settled - _CHECKS < 2)
        return (count - m >= 2) & ((settled == 0) | checks)

    def step(state):
        m, raw_alpha, found, settled, settled_alpha, _ = state
        part = sample.without(m)
        b, candidates = _tails_anywhere(part)
        index, ks = _first_minimum(part, b, candidates)
        # What the peer goes by where values are all equal.
        of_equals = jnp.where(part.x.size - part.start < _SMALL_COUNT, -1, jnp.inf).astype(b.dtype)
        alpha = 1 + jnp.where(jnp.any(candidates) & (b[index] > 0), b[index], of_equals)
        open_, whole = settled == 0, m == 0
        raw_alpha = jnp.where(whole, alpha, raw_alpha)
        taken = open_ & (raw_alpha - alpha > 1)
        found = [jnp.where(whole | taken, new, old) for new, old in zip((m, index, ks), found, strict=True)]
        settles = open_ & ~whole & (taken | (alpha < 2) | (m == _LAST_CLIP))
        settled, settled_alpha = jnp.where(settles, m, settled), jnp.where(settles, alpha, settled_alpha)
        return jnp.where(whole, _FIRST_CLIP, m + 1), raw_alpha, found, settled, settled_alpha, alpha

    zero, none = jnp.zeros((), int), jnp.zeros((), sample.x.dtype)
    end = jax.lax.while_loop(unfinished, step, (zero, none, [zero, zero, none], zero, none, none))
    m, _, (dropped, index, ks), settled, settled_alpha, alpha = end
    checking = (m <= settled + _CHECKS) & (jnp.abs(alpha - settled_alpha) <= 1)
    return dropped, index, ks, (count - m < 2) & ((settled == 0) | checking)
