"""Laws given by a table over a logarithm of x: how they are evaluated and inverted."""

from abc import abstractmethod

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, implicit, implicit_above
from rmt.laws.chebyshev import clenshaw, segment
from rmt.laws.tables import Table


class Tabulated(PositiveLaw):
    """A positive law given by the table of l, linear in log x. `_falling` says that l falls as x rises, and the tails change places."""

    scale: Float[Array, ""]

    @property
    @abstractmethod
    def _table(self) -> Table: ...

    @property
    @abstractmethod
    def _steepness(self) -> float:
        """|dl/dlog x|."""

    @abstractmethod
    def _place(self, x: Array) -> Array:
        """The l of x > 0."""

    @abstractmethod
    def _at(self, l: Array) -> Array:
        """The inverse of `_place`."""

    @property
    def _falling(self) -> bool:
        return False

    def _inside(self, x: Array) -> tuple[Array, Array]:
        inside = (x > 0) & (x < jnp.inf)
        return inside, jnp.where(inside, x, self.scale)

    def _logpdf(self, x: Array) -> Array:
        inside, x = self._inside(x)
        log_f = log_density(self._table, self._place(x)) + jnp.log(self._steepness)
        return jnp.where(inside, log_f - jnp.log(x), -jnp.inf)

    def _tails(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """Inside, whether the tail below is the smaller one, and the log of the smaller one."""
        inside, moved = self._inside(x)
        lower, log_tail = _log_tail(self._table, self._place(moved))
        return inside, x > 0, lower != self._falling, log_tail

    def _cdf(self, x: Array) -> Array:
        inside, above, lower, log_tail = self._tails(x)
        return jnp.where(inside, jnp.where(lower, jnp.exp(log_tail), -jnp.expm1(log_tail)), jnp.where(above, 1.0, 0.0))

    def _sf(self, x: Array) -> Array:
        inside, above, lower, log_tail = self._tails(x)
        return jnp.where(inside, jnp.where(lower, -jnp.expm1(log_tail), jnp.exp(log_tail)), jnp.where(above, 0.0, 1.0))

    def _logsf(self, x: Array) -> Array:
        inside, above, lower, log_tail = self._tails(x)
        log_sf = jnp.where(lower, jnp.log1p(-jnp.exp(jnp.where(lower, log_tail, -1.0))), log_tail)
        return jnp.where(inside, log_sf, jnp.where(above, -jnp.inf, 0.0))

    def _quantile(self, log_cdf: Array, log_sf: Array) -> Array:
        """The x with these two logs of its tails."""
        tails = (log_sf, log_cdf) if self._falling else (log_cdf, log_sf)
        return self._at(_quantile(self._table, *tails))

    def _ppf(self, q: Array) -> Array:
        inner = jnp.where((q > 0) & (q < 1), q, 0.5)
        x = implicit(self, self._quantile(jnp.log(inner), jnp.log1p(-inner)), q)
        return jnp.where(q == 0, 0.0, jnp.where(q == 1, jnp.inf, x))

    def _quantile_above(self, log_p: Array) -> Array:
        inner = jnp.where((log_p < 0) & (log_p > -jnp.inf), log_p, -1.0)
        x = self._quantile(jnp.log(-jnp.expm1(inner)), inner)
        x = jnp.where(jnp.isfinite(x), implicit_above(self, jnp.where(jnp.isfinite(x), x, self.scale), inner), x)
        return jnp.where(log_p == 0, 0.0, jnp.where(log_p == -jnp.inf, jnp.inf, x))


def log_density(table: Table, l: Array) -> Array:
    """log f, the density of l."""
    low, high = table.edges[0], table.edges[-1]
    inner = _series(table.edges, table.density, jnp.clip(l, low, high))
    below, above = table.below.log_density(jnp.minimum(l, low)), table.above.log_density(jnp.maximum(l, high))
    return jnp.where(l < low, below, jnp.where(l > high, above, inner))


def _log_tail(table: Table, l: Array) -> tuple[Array, Array]:
    """Whether l is below the middle, and log cdf if it is, log sf if not."""
    low, high = table.edges[0], table.edges[-1]
    inner = _series(table.edges, table.tail, jnp.clip(l, low, high))
    below, above = table.below.log_tail(jnp.minimum(l, low)), table.above.log_tail(jnp.maximum(l, high))
    return l < table.edges[table.middle], jnp.where(l < low, below, jnp.where(l > high, above, inner))


def _series(edges: np.ndarray, rows: np.ndarray, l: Array) -> Array:
    """The Chebyshev series of the segment that holds l."""
    at = segment(edges[:-1], l)
    left, right = jnp.asarray(edges)[at], jnp.asarray(edges)[at + 1]
    return clenshaw(jnp.asarray(rows)[at], (2 * l - left - right) / (right - left))


def _quantile(table: Table, log_cdf: Array, log_sf: Array) -> Array:
    """The l with these two logs of its tails, by Newton's method from linear interpolation between the edges.

    On log cdf below the middle and log sf above it; both are concave in l, so that it does not overshoot twice.
    """
    low, high = table.edges[0], table.edges[-1]
    lower = log_cdf < table.log_cdf[table.middle]
    rising = jnp.interp(log_cdf, jnp.asarray(table.log_cdf), jnp.asarray(table.edges))
    falling = jnp.interp(-log_sf, jnp.asarray(-table.log_sf), jnp.asarray(table.edges))
    l = jnp.where(lower, rising, falling)
    target = jnp.where(lower, log_cdf, log_sf)
    least, most = table.log_cdf[0], table.log_sf[-1]
    l = jnp.where(log_sf < most, jnp.maximum(table.above.quantile(jnp.minimum(log_sf, most)), high), l)
    l = jnp.where(log_cdf < least, table.below.quantile(jnp.minimum(log_cdf, least)), l)
    at, ends = segment(table.edges[:-1], l), jnp.asarray(table.edges)

    def newton(_: int, l: Array) -> Array:
        tail = _log_tail(table, l)[1]
        slope = jnp.exp(log_density(table, l) - tail)
        moved = l + jnp.where(lower, 1.0, -1.0) * (target - tail) / slope
        kept = jnp.clip(moved, ends[at], ends[at + 1])
        return jnp.where(l < low, l, jnp.where(l > high, moved, kept))

    return jax.lax.stop_gradient(jax.lax.fori_loop(0, 6, newton, l))
