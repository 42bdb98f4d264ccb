"""From a spectrum to the tail index of the entries behind it, or to as much of it as the spectrum holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from rmt.calibration.mu_table import Family, MuTable, load, shipped
from rmt.calibration.storage import chosen
from rmt.calibration.summary import check_full_rank, summary
from rmt.spectra import Spectrum

IDENTIFIABLE = 1.5
"""mu counts as known where the upper end of its interval is at most this times the lower."""


@dataclass(frozen=True)
class MuEstimate:
    """The tail index of the entries, by one spectrum.

    Attributes:
        mu: median-unbiased estimate: the mu at which the statistic is as often larger as smaller than what was seen; inf
            where all of the table's mu would give a smaller one. NaN if no family fits.
        interval: 95 %, equal-tailed; (low, inf) is a lower bound: the spectrum cannot tell mu from a lighter tail.
        entries: the families that the spectrum fits, which alone the interval covers.
        by_entries: the estimate for each of them.
        refused: families that it does not fit, at the 1 % level.
    """

    mu: float
    interval: tuple[float, float]
    entries: tuple[str, ...]
    refused: tuple[str, ...] = ()
    by_entries: Mapping[str, "MuEstimate"] = field(default_factory=dict)

    @property
    def identifiable(self) -> bool:
        """Whether the spectrum tells mu: the ends of the interval are finite and within a factor of 1.5.

        Near the largest mu that a shape tells, the flag is up for the matrices whose estimate is small.
        """
        low, high = self.interval
        return bool(low > 0 and high <= IDENTIFIABLE * low)


def estimate_mu(
    s: Spectrum, entries: str | Sequence[str] | None = None, table: "MuTable | str | Path | None" = None
) -> MuEstimate:
    """mu of the entries of a matrix, P(|w| > t) ~ t^-mu, with an interval, from its eigenvalues alone.

    For independent entries that are alike, of one of the families of the table. All of these have zero mean, and that is
    stated, not tested: the mean of one-sided entries is a spike of its own (`spikes.mean_spike_rank`); centre W first. The
    eigenvalues come down to ten scale-free numbers (`rmt.calibration.summary`), which of simulated matrices have a known mean
    and covariance at each mu. That makes a likelihood; its posterior mean of ln mu is the statistic, and the interval holds
    every mu at which a statistic like the one seen is not among the 2.5 % of either side, by simulation again. So the
    interval covers what it says whether or not the likelihood is right.

    Families that the spectrum does not fit are left out; of the others the interval is the union. One spectrum seldom tells
    them apart, and they disagree on mu: at N = 200 by 5 to 10 % at mu = 1.25 and by a factor from mu = 2.5 on. Who knows the
    family says so, and gets a narrower interval.

    Args:
        s: all eigenvalues of one N x M matrix.
        entries: names of the families that may be meant (`rmt.calibration.FAMILIES`), or one name; all by default.
        table: a `MuTable` or the path of one, as `rmt calibrate mu` makes it, instead of the shipped one.

    Returns:
        `MuEstimate`. Where the spectrum cannot tell mu from lighter tails the interval is (low, inf); where no family fits,
        (0, inf), with mu = NaN: the entries are not independent, or of another law.

    Raises:
        ValueError: s is a batch, or has not all eigenvalues.
        InputError: the shape is outside of the table, or a family is not in it; the matrix has not full rank; the table cannot be
            read.

    Source: the likelihood is S. N. Wood's, Nature 466 (2010) 1102; the interval is Neyman's.
    Accuracy: the shipped table has N = 100 to 1000 and Q = 1 to 4, of 400 matrices of each entries, shape and mu, and 1000 up to
        N = 200. Of 1000 fresh matrices in each of 216 cells, N = 200 to 1000, mu = 0.5 to 5, with the family stated, 92.9 to
        98.0 % of a cell's intervals hold mu, and the union of all families does in 94.7 to 99.8 % (claim 25,
        `experiments/25_one_spectrum.py`). Where at least half of a cell is identifiable at N = 1000, the mean of these is within 4 %
        of mu; where few are, they are the ones that read low, by up to 17 %.
    """
    if s.eigenvalues.ndim != 1 or not s.complete:
        raise ValueError(
            f"estimate_mu(s) needs all eigenvalues of one matrix, got shape {s.eigenvalues.shape} of M = {s.M}"
        )
    check_full_rank(s, "estimate_mu")
    table = chosen(table, shipped, load)
    names = table.entries if entries is None else (entries,) if isinstance(entries, str) else tuple(entries)
    found = invert(table, s.N, s.M, np.asarray(summary(s))[None], names)
    return found[0]


def invert(
    table: MuTable, N: int, M: int, summaries: Float[np.ndarray, "n K"], entries: Sequence[str], level: float = 0.95
) -> list[MuEstimate]:
    """`estimate_mu` of many matrices of one shape, by their summaries."""
    tail = round((1 - level) / 2, 4)
    found = {}
    for name in entries:
        family = table.family(name, N, M)
        like = family.likelihoods(summaries)
        median, high, low = (family.mu_at(like.statistic, p) for p in (0.5, tail, 1 - tail))
        # Beyond the grid is as far as the table can tell
        low, high = np.minimum(low, table.mu[-1]), np.maximum(high, table.mu[0])
        fits = family.fits(like)
        found[name] = [
            _Reading(float(median[i]), float(low[i]), float(high[i]), bool(fits[i]), float(like.log_evidence[i]))
            for i in range(len(summaries))
        ]
    return [_together({name: of[i] for name, of in found.items()}) for i in range(len(summaries))]


class _Reading(NamedTuple):
    """What one spectrum says of mu if its entries are of one family."""

    mu: float
    low: float
    high: float
    fits: bool
    log_evidence: float


def _together(found: Mapping[str, _Reading]) -> MuEstimate:
    fits = {name: of for name, of in found.items() if of.fits}
    by_entries = {name: MuEstimate(of.mu, (of.low, of.high), (name,)) for name, of in fits.items()}
    refused = tuple(name for name in found if name not in fits)
    if not fits:
        return MuEstimate(math.nan, (0.0, math.inf), (), refused)
    # The mean by evidence, of those that have a number to give
    evidence = np.array([of.log_evidence for of in fits.values()])
    weight = np.exp(evidence - evidence.max())
    median = np.array([of.mu for of in fits.values()])
    there = (median > 0) & (median < math.inf)
    mu = np.exp(np.average(np.log(median[there]), weights=weight[there])) if there.any() else median[np.argmax(weight)]
    interval = min(of.low for of in fits.values()), max(of.high for of in fits.values())
    return MuEstimate(float(mu), interval, tuple(fits), refused, by_entries)


def rows_to_know(
    mu: ArrayLike, Q: float, entries: str, accuracy: float = 0.1, table: "MuTable | str | Path | None" = None
) -> Float[np.ndarray, "*batch"]:
    """The N from which on one N x N/Q matrix tells mu to that accuracy: the identifiability of mu.

    Known to 10 % means that the 95 % interval of the matrix whose estimate is mu reaches from mu/1.1 to 1.1 mu, by the geometric
    mean of the two sides. inf where the largest N of the table is too small, its smallest N where that will do.

    Args:
        mu: tail indices, within the table's.
        Q: aspect ratio N/M.
        entries: the family, stated.
        accuracy: 0.1 for 10 %.
        table: as for `estimate_mu`.

    Raises:
        InputError: Q or the family is not in the table.
    """
    table = chosen(table, shipped, load)
    mu = np.asarray(mu, float)
    N = np.unique(np.round(np.geomspace(table.N[0], table.N[-1], _N_STEPS)).astype(int))
    known = np.stack([_half_width(table.family(entries, n, math.ceil(n / Q)), mu) <= math.log1p(accuracy) for n in N])
    from_here_on = np.logical_and.accumulate(known[::-1])[::-1]
    return np.where(from_here_on.any(axis=0), N[np.argmax(from_here_on, axis=0)], math.inf)[()]


_N_STEPS = 40


def _half_width(family: Family, mu: np.ndarray) -> np.ndarray:
    """Half of ln(high/low), of the interval of a matrix whose estimate is mu."""
    statistic = family.statistic_at(mu, 0.5)
    return np.log(family.mu_at(statistic, 0.025) / np.maximum(family.mu_at(statistic, 0.975), 1e-300)) / 2
