"""Tables of laws that have no closed form: Chebyshev series of the log density and of the log tails, made on the host.

Over l, a logarithm of x or of a power of it, in which such densities are smooth all the way out.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Array
from numpy.polynomial import chebyshev

Real = np.ndarray

NODES = 20  # of a segment
TURN = 6.0  # the most log f may change in a segment, so that f itself is a good polynomial there
NARROWEST = 1e-8  # segments stop being halved
_RESOLVED = 1e-12  # the last coefficients of log f in a segment
_MOST = 2000  # segments

PLACES = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
FIT = np.linalg.inv(chebyshev.chebvander(PLACES, NODES - 1)).T  # values at the nodes @ FIT = coefficients


class Outside(Protocol):
    """What goes on beyond one end of a table, in JAX. Each function is asked about that side only."""

    def log_density(self, l: Array) -> Array:
        """log f at l."""
        ...

    def log_tail(self, l: Array) -> Array:
        """log cdf below the table, log sf above it."""
        ...

    def quantile(self, log_tail: Array) -> Array:
        """The inverse of `log_tail`: exactly below the table, about above it, where Newton's method follows."""
        ...


class Table(NamedTuple):
    """Chebyshev coefficients in l, a row a segment between `edges`, and what goes on beyond.

    `density` holds log f, with f the density of l; `tail` log cdf in the segments below `middle` and log sf from there on.
    """

    edges: Real
    density: Real
    tail: Real
    middle: int
    below: Outside
    above: Outside
    log_cdf: Real  # at the edges, for the first guess of a quantile
    log_sf: Real
    gap: float  # cdf + sf - 1 where the two integrals meet: the error of the whole


def resolve(
    log_density: Callable[[Real], Real], segments: Real, owner: str, error_l: float = 2e-15, error_f: float = 0.0
) -> tuple[Real, Real]:
    """Edges of segments, halved until the Chebyshev series of log f has ended, and log f at the nodes of each.

    Args:
        log_density: log f at an array of l.
        segments: the first ones, (n, 2), adjacent to each other.
        owner: the law, for the message of the error.
        error_l: of l, absolute; log f has to be smooth only beyond what that does to it.
        error_f: the same for f.

    Raises:
        ArithmeticError: log f is NaN in a segment that is not halved any more, or there are too many.
    """
    pending, left, values = segments, [], []
    while len(pending):
        middle, half = pending.mean(1), (pending[:, 1] - pending[:, 0]) / 2
        log_f = log_density(middle[:, None] + half[:, None] * PLACES[None, :])
        rest = np.abs((log_f @ FIT)[:, -2:]).max(1)
        turn = np.ptp(log_f, axis=1)
        rounding = error_l * turn / half + error_f * np.exp(-log_f.min(1))
        good = (rest < np.maximum(_RESOLVED, rounding)) & (turn < TURN) | (half < NARROWEST)
        if np.isnan(log_f[half < NARROWEST]).any() or len(left) > _MOST:
            raise ArithmeticError(f"{owner}: no solution near l = {middle[0]}")
        left += list(pending[good, 0])
        values += list(log_f[good])
        wide, at_middle = pending[~good], middle[~good]
        pending = np.concatenate([np.stack([wide[:, 0], at_middle], 1), np.stack([at_middle, wide[:, 1]], 1)])
    order = np.argsort(left)
    return np.append(np.array(left)[order], segments.max()), np.array(values)[order]


def first_value(edges: Real, log_f: Real) -> tuple[float, float]:
    """log f and its slope at the first edge."""
    series = log_f[0] @ FIT
    slope = chebyshev.chebval(-1.0, chebyshev.chebder(series)) / (np.diff(edges)[0] / 2)
    return float(chebyshev.chebval(-1.0, series)), float(slope)


def tabulate(edges: Real, log_f: Real, cdf_below: float, sf_above: float, below: Callable, above: Outside) -> Table:
    """Both tails from the density: cdf from the left and sf from the right, up to the middle.

    Args:
        edges: of the segments, rising.
        log_f: at the nodes of each.
        cdf_below: the mass below the first edge.
        sf_above: the mass above the last.
        below: makes what goes on there of log cdf at the first edge.
        above: what goes on there.
    """
    half = np.diff(edges) / 2
    density = log_f @ FIT
    integral = half[:, None] * chebyshev.chebint(np.exp(log_f) @ FIT, lbnd=-1, axis=1)
    inside = chebyshev.chebval(PLACES, integral.T)  # from the left edge to each node
    mass = integral.sum(1)
    cdf = cdf_below + np.append(0.0, np.cumsum(mass))
    sf = sf_above + np.append(np.cumsum(mass[::-1])[::-1], 0.0)
    middle = min(int(np.searchsorted(cdf, 0.5)), len(half))
    left, right = cdf[:-1, None] + inside, sf[:-1, None] - inside
    tail = np.log(np.where(np.arange(len(half))[:, None] < middle, left, right)) @ FIT
    log_cdf, log_sf = np.log(cdf), np.log(np.minimum(sf, 1.0))
    gap = float(cdf[middle] + sf[middle] - 1)
    return Table(edges, density, tail, middle, below(log_cdf[0]), above, log_cdf, log_sf, gap)
