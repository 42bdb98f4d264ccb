"""The Levy-Wishart law: eigenvalues of W^T W for iid entries without a variance."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, check_parameter, derivative, implicit, implicit_above, parameter
from rmt.laws.chebyshev import clenshaw, segment
from rmt.laws.levy_wishart_solver import Table, table

_SUPPORTED, _LARGEST_Q = (0.2, 1.9), 1e6


class LevyWishart(PositiveLaw):
    """Levy-Wishart: the limit of the eigenvalues of W^T W / N^(2/mu), iid entries with P(|w| > t) ~ t^-mu, 0 < mu < 2.

    W is N x M, Q = N/M, N -> inf. The eigenvalues of X = W^T W / N, the convention of this package, follow the law with
    scale N^(2/mu - 1): `LevyWishart.of_matrix`. With s = mu/2, g(y) = int_0^inf u^(s-1) exp(-u - y u^s) du,
    kappa = Gamma(1-s)/Gamma(s) (lambda/scale)^-s and G(x) = exp(i pi s) g(exp(i pi s) x), the density is

        rho(lambda) = s Im(x G(x))/(pi lambda),    x = kappa g(v),    v = kappa/Q G(x).

    Above, rho ~ s lambda^(-1-s) whatever Q is, but only far out (`local_slope`). Below, rho ~ lambda^(-1/2) for Q = 1;
    for Q > 1 it vanishes faster than any power, log rho ~ -lambda^(-s/(1-s)), and where mu is not small or Q is near 1
    that looks like a square-root edge. Q -> inf is the positive stable law with E exp(-p x) = exp(-Gamma(1-s) p^s).

    Args:
        mu: tail index of the entries, a Python number, static: 0.2 <= mu <= 1.9.
        Q: aspect ratio N/M, a Python number, static: 1 <= Q <= 1e6.
        scale: the unit of the eigenvalues, > 0.

    Raises:
        ValueError: mu, Q or scale out of range; a traced or array-valued mu or Q.

    Source: S. Belinschi, A. Dembo, A. Guionnet, Commun. Math. Phys. 289 (2009) 1023, Theorem 1.10, for the law; the form
        here is that of the cavity method: J.-P. Bouchaud, P. Cizeau, Phys. Rev. E 50 (1994) 1810, made for W^T W. The
        table is solved on the first use of each (mu, Q), in one to a few seconds: `rmt.laws.levy_wishart_solver`.
    Accuracy: pdf and sf to 1e-10 and 1e-11 relative against the same equations in 30 digits (3e-14 found), pdf to 1e-10
        down to cdf = 1e-80, mass 1 to 1e-12 (`tests/test_levy_wishart.py`). The exceptions: below a cdf of about 1e-100 pdf
        and cdf follow their leading asymptotics; within 1e-8 of a sharp lower edge, relative to it in lambda^(mu/2), pdf is
        right in size only. At finite N, shares of 12 bins hold within 3 standard errors for 40 matrices of 800 rows and
        Pareto entries with mu <= 1; at mu = 1.5 those miss by 0.3 to 1.1 % of the mass a bin, falling as N^(1 - 2/mu),
        and entries whose squares are stable do not (`tests/benchmarks/levy_wishart.json`).
    """

    mu: float = eqx.field(static=True)
    Q: float = eqx.field(static=True)
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    def __init__(self, mu: float, Q: float, scale: float | Array = 1.0):
        try:
            self.mu, self.Q = float(mu), float(Q)
        except TypeError:
            raise ValueError(f"LevyWishart(mu, Q) needs Python numbers, got mu = {mu!r}, Q = {Q!r}") from None
        self.scale = parameter(scale)

    def __check_init__(self):
        low, high = _SUPPORTED
        if not low <= self.mu <= high:
            remedy = "; from 2 on the law is MarchenkoPastur(Q, sigma)" if self.mu >= 2 else ""
            raise ValueError(f"LevyWishart(mu) needs {low} <= mu <= {high}, got {self.mu}{remedy}")
        check_parameter(self, "Q", 1, closed=True, remedy="; Q = N/M with N >= M, so pass W.T and its Q")
        if self.Q > _LARGEST_Q:
            raise ValueError(
                f"LevyWishart(Q) needs Q <= {_LARGEST_Q:g}, got {self.Q:g}: nearly its limit, a stable law"
            )
        check_parameter(self, "scale")

    @classmethod
    def of_matrix(cls, mu: float, N: int, M: int, constant: float = 1.0) -> "LevyWishart":
        """The law of the eigenvalues of X = W^T W / N, scale = N^(2/mu - 1) constant^(2/mu).

        Args:
            mu: tail index of the entries, 0.2 <= mu <= 1.9.
            N: rows of W.
            M: columns of W, at most N.
            constant: lim t^mu P(|w| > t): 1 for `Pareto(mu)`.

        Raises:
            ValueError: mu, N or M out of range.
        """
        if not N >= M >= 1:
            raise ValueError(f"LevyWishart.of_matrix(mu, N, M) needs N >= M >= 1, got ({N}, {M}); pass W.T")
        return cls(mu, N / M, N ** (2 / mu - 1) * constant ** (2 / mu))

    @property
    def tail_index(self) -> Float[Array, ""]:
        """mu/2."""
        return jnp.asarray(self.mu / 2)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """lim x^(mu/2) sf(x) = scale^(mu/2), for any Q; the density is (mu/2) times it, times x^(-1 - mu/2)."""
        return self.scale ** (self.mu / 2)

    @property
    def mean(self) -> Float[Array, ""]:
        """It diverges: inf."""
        return jnp.asarray(jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """It diverges: inf."""
        return jnp.asarray(jnp.inf)

    def local_slope(self, x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """-d log pdf / d log x: the exponent a narrow window at x shows; mu/2 + 1 only in the limit x -> inf."""
        x = jnp.asarray(x, float)
        valid = x > 0
        l = self._place(jnp.where(valid, x, 1.0))
        slope = derivative(lambda l: _log_density(self._table, l), l)
        return jnp.where(valid, 1 - self.mu / 2 * slope, jnp.nan)

    @property
    def _table(self) -> Table:
        return table(self.mu, self.Q)

    def _place(self, x: Array) -> Array:
        """l = log (x/scale)^(mu/2), for x > 0."""
        return self.mu / 2 * jnp.log(x / self.scale)

    def _inside(self, x: Array) -> tuple[Array, Array]:
        inside = (x > 0) & (x < jnp.inf)
        return inside, jnp.where(inside, x, self.scale)

    def _logpdf(self, x: Array) -> Array:
        inside, x = self._inside(x)
        log_density = _log_density(self._table, self._place(x)) + jnp.log(self.mu / 2) - jnp.log(x)
        return jnp.where(inside, log_density, -jnp.inf)

    def _tails(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """Inside, whether the tail below is the smaller one, and the log of the smaller one."""
        inside, moved = self._inside(x)
        lower, log_tail = _log_tail(self._table, self._place(moved))
        return inside, x > 0, lower, log_tail

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

    def _at(self, l: Array) -> Array:
        return self.scale * jnp.exp(2 / self.mu * l)

    def _ppf(self, q: Array) -> Array:
        inner = jnp.where((q > 0) & (q < 1), q, 0.5)
        l = _quantile(self._table, jnp.log(inner), jnp.log1p(-inner))
        x = implicit(self, self._at(l), q)
        return jnp.where(q == 0, 0.0, jnp.where(q == 1, jnp.inf, x))

    def _quantile_above(self, log_p: Array) -> Array:
        inner = jnp.where((log_p < 0) & (log_p > -jnp.inf), log_p, -1.0)
        x = self._at(_quantile(self._table, jnp.log(-jnp.expm1(inner)), inner))
        x = jnp.where(jnp.isfinite(x), implicit_above(self, jnp.where(jnp.isfinite(x), x, self.scale), inner), x)
        return jnp.where(log_p == 0, 0.0, jnp.where(log_p == -jnp.inf, jnp.inf, x))


def _log_density(table: Table, l: Array) -> Array:
    """log f, the density of l."""
    low, high = table.edges[0], table.edges[-1]
    inner = _series(table.edges, table.density, jnp.clip(l, low, high))
    n = np.arange(1, len(table.upper) + 1)
    below = _below(table, l) + jnp.log(table.rate) - table.decay * jnp.minimum(l - low, 0.0)
    return jnp.where(l < low, below, jnp.where(l > high, _above(table.upper * n, l, high), inner))


def _log_tail(table: Table, l: Array) -> tuple[Array, Array]:
    """Whether l is below the middle, and log cdf if it is, log sf if not."""
    low, high = table.edges[0], table.edges[-1]
    inner = _series(table.edges, table.tail, jnp.clip(l, low, high))
    tail = jnp.where(l < low, _below(table, l), jnp.where(l > high, _above(table.upper, l, high), inner))
    return l < table.edges[table.middle], tail


def _below(table: Table, l: Array) -> Array:
    """log cdf below the table."""
    away = jnp.minimum(l - table.edges[0], 0.0)
    if table.decay == 0:
        return table.log_cdf[0] + table.rate * away
    return table.log_cdf[0] - table.rate / table.decay * jnp.expm1(jnp.minimum(-table.decay * away, 600.0))


def _quantile_below(table: Table, log_cdf: Array) -> Array:
    """The inverse of `_below`."""
    fall = jnp.minimum(log_cdf - table.log_cdf[0], 0.0) / table.rate
    return table.edges[0] + (fall if table.decay == 0 else -jnp.log1p(-table.decay * fall) / table.decay)


def _above(coefficients: np.ndarray, l: Array, high: float) -> Array:
    """log of sum_n a_n exp(-n l), whose first term goes on where exp(-l) underflows."""
    l = jnp.maximum(l, high)
    ratio = jnp.polyval(jnp.asarray(coefficients[::-1]), jnp.exp(-l), unroll=len(coefficients))
    return jnp.log(ratio) - l


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
    l = jnp.where(log_sf < table.log_sf[-1], jnp.maximum(-log_sf, high), l)
    l = jnp.where(log_cdf < table.log_cdf[0], _quantile_below(table, log_cdf), l)
    at, ends = segment(table.edges[:-1], l), jnp.asarray(table.edges)

    def newton(_: int, l: Array) -> Array:
        tail = _log_tail(table, l)[1]
        slope = jnp.exp(_log_density(table, l) - tail)
        moved = l + jnp.where(lower, 1.0, -1.0) * (target - tail) / slope
        kept = jnp.clip(moved, ends[at], ends[at + 1])
        return jnp.where(l < low, l, jnp.where(l > high, moved, kept))

    return jax.lax.stop_gradient(jax.lax.fori_loop(0, 6, newton, l))
