"""Tracy-Widom: fluctuations of the largest eigenvalue of a Gaussian matrix, with the centre and scale they need."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import Law, bisect, implicit
from rmt.laws.chebyshev import clenshaw, segment

_ENTRIES = {1: "real", 2: "complex", 4: "quaternion"}


class TracyWidom(Law):
    """Tracy-Widom: F_2(s) = exp(-int_s^inf (x - s) q(x)^2 dx), F_1(s)^2 = F_2(s) exp(-int_s^inf q(x) dx).

    Here q'' = x q + 2 q^3 with q ~ Ai at +inf. If l is the largest eigenvalue of W^T W for an N x M matrix of unit
    Gaussian entries, (l - centre)/scale tends to F_1, with `johnstone(N, M)` or `ma(N, M)`; F_2 is for complex entries.

    F_4(s) = (F_1(t) + F_2(t)/F_1(t))/2, t = sqrt(2) s, is for quaternions: for entries of mean square 1, 2^(1/6) (l -
    centre)/scale tends to it. This is Tracy and Widom's and Bornemann's scale, with mean -2.3069; other authors tabulate
    t, with mean -3.2624.

    Args:
        beta: 1 (real entries), 2 (complex) or 4 (quaternion), static.

    Raises:
        ValueError: another beta.

    Source: C. A. Tracy, H. Widom, Commun. Math. Phys. 177 (1996) 727. The values come from a table of Chebyshev
        coefficients of log F and log(1 - F), made from Fredholm determinants in 50 digits by
        `tests/reference/tracy_widom.py`, which names the formulas.
    Accuracy: cdf and sf to 1e-13 relative between -10 and 9 (-7 and 6 for F_4), beyond it sf to 1e-9 however small; on the
        left, where cdf < 1e-14, the leading asymptotic form, joined to the table (`tests/test_tracy_widom.py`).
    """

    beta: int = eqx.field(default=1, static=True)

    @property
    def mean(self) -> Float[Array, ""]:
        """-1.20653, -1.77109, -2.30688 for beta = 1, 2, 4."""
        return jnp.asarray(_table(self.beta).moments["mean"])

    @property
    def var(self) -> Float[Array, ""]:
        """1.60778, 0.81319, 0.51772 for beta = 1, 2, 4."""
        return jnp.asarray(_table(self.beta).moments["var"])

    @property
    def skewness(self) -> Float[Array, ""]:
        """E[((s - mean)/sd)^3]: 0.29346, 0.22408, 0.16551 for beta = 1, 2, 4."""
        return jnp.asarray(_table(self.beta).moments["skewness"])

    @property
    def excess_kurtosis(self) -> Float[Array, ""]:
        """E[((s - mean)/sd)^4] - 3: 0.16524, 0.09345, 0.04920 for beta = 1, 2, 4."""
        return jnp.asarray(_table(self.beta).moments["excess_kurtosis"])

    def __check_init__(self):
        if self.beta not in _ENTRIES:
            known = ", ".join(f"{beta} ({entries})" for beta, entries in _ENTRIES.items())
            raise ValueError(f"TracyWidom(beta) needs the beta of the entries, one of {known}, got {self.beta!r}")

    def _logpdf(self, x: Array) -> Array:
        table = _table(self.beta)
        value, slope = self._log_tail(x, 0), self._log_tail(x, 1)
        # log of |d/dx exp(value)|: the density both of F, where log F is tabulated, and of 1 - F
        return jnp.where(jnp.isinf(x), -jnp.inf, value + jnp.log(jnp.where(x < table.middle, slope, -slope)))

    def _cdf(self, x: Array) -> Array:
        value = self._log_tail(x, 0)
        return jnp.where(x < _table(self.beta).middle, jnp.exp(value), -jnp.expm1(value))

    def _sf(self, x: Array) -> Array:
        value = self._log_tail(x, 0)
        return jnp.where(x < _table(self.beta).middle, -jnp.expm1(value), jnp.exp(value))

    def _ppf(self, q: Array) -> Array:
        low, high = jnp.full_like(q, -60.0), jnp.full_like(q, 120.0)  # sf and cdf underflow before either end
        x = bisect(lambda s: self._cdf(s) - q, low, high)
        x = jnp.where(q == 0, -jnp.inf, jnp.where(q == 1, jnp.inf, x))
        return implicit(self, x, q)

    def _log_tail(self, x: Array, order: int) -> Array:
        """log F (below the table's middle) or log(1 - F) (above), or its derivative for order 1."""
        table = _table(self.beta)
        low, high = table.low, table.high
        x = table.scale * jnp.clip(x, -1e100, 1e100)  # infinities would meet zero coefficients
        inner = _series(table, jnp.clip(x, low, high), order)
        left = _left(self.beta, jnp.minimum(x, low), order)
        if order == 0:
            left = left + (table.first - _left(self.beta, jnp.asarray(low), 0))
        right = _right(table, jnp.maximum(x, high), order)
        return table.scale**order * jnp.where(x < low, left, jnp.where(x > high, right, inner))


class _Table(NamedTuple):
    """Chebyshev coefficients, a row a segment of `width` from `low`, and the series for the right tail, of s = scale x."""

    scale: float
    low: float
    middle: float
    high: float
    width: float
    rows: tuple[np.ndarray, np.ndarray]  # coefficients of the function and of its derivative
    first: float  # the function at `low`
    rate: float
    power: float
    tail: np.ndarray
    moments: dict[str, float]


@cache
def _table(beta: int) -> _Table:
    """Read once, on first use. NumPy, not JAX, so that a traced caller cannot leave a tracer in the cache."""
    raw = json.loads(files("rmt.laws").joinpath("tracy_widom.json").read_text())[str(beta)]
    rows = np.asarray(raw["coefficients"])
    slopes = np.polynomial.chebyshev.chebder(rows, scl=2 / raw["width"], axis=1)
    return _Table(
        scale=raw["scale"],
        low=raw["low"],
        middle=raw["middle"],
        high=raw["low"] + raw["width"] * len(rows),
        width=raw["width"],
        rows=(rows, slopes),
        first=float(np.polynomial.chebyshev.chebval(-1.0, rows[0])),
        rate=raw["tail"]["rate"],
        power=raw["tail"]["power"],
        tail=np.asarray(raw["tail"]["coefficients"]),
        moments=raw["moments"],
    )


def _series(table: _Table, x: Array, order: int) -> Array:
    """The Chebyshev series of the segment that holds x."""
    rows = table.rows[order]
    at = segment(table.low + table.width * np.arange(len(rows)), x)
    return clenshaw(jnp.asarray(rows)[at], 2 * ((x - table.low) / table.width - at) - 1)


def _left(beta: int, x: Array, order: int) -> Array:
    """log F for s -> -inf without its constant, or its derivative.

    Source: J. Baik, R. Buckingham, J. DiFranco, Commun. Math. Phys. 280 (2008) 463; F_4 is F_2/(2 F_1) there.
    """
    cube, root, log_power = {
        1: (1 / 24, 1 / (3 * np.sqrt(2)), 1 / 16),
        2: (1 / 12, 0.0, 1 / 8),
        4: (1 / 24, -1 / (3 * np.sqrt(2)), 1 / 16),
    }[beta]
    y = -x
    if order == 0:
        return -(cube * y**3 + root * y**1.5 + log_power * jnp.log(y))
    return 3 * cube * y**2 + 1.5 * root * y**0.5 + log_power / y


def _right(table: _Table, x: Array, order: int) -> Array:
    """log(1 - F) beyond the table, or its derivative: exp(-rate x^(3/2)) x^(-power) sum_k a_k x^(-3k/2)."""
    z = x**-1.5
    series = jnp.polyval(jnp.asarray(table.tail[::-1]), z, unroll=1)
    if order == 0:
        return jnp.log(series) - table.rate * x**1.5 - table.power * jnp.log(x)
    slope = -1.5 / x * jnp.polyval(jnp.asarray((table.tail * np.arange(len(table.tail)))[::-1]), z, unroll=1)
    return slope / series - 1.5 * table.rate * jnp.sqrt(x) - table.power / x


def johnstone(N: Any, M: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Centre (a + b)^2 and scale (a + b)(1/a + 1/b)^(1/3), a = sqrt(N - 1), b = sqrt M, of the largest eigenvalue.

    They are those of W^T W for unit Gaussian entries. For X = W^T W / N and entries of standard deviation
    sigma, multiply both by sigma^2 / N.

    Args:
        N: rows of W, >= 2.
        M: columns of W, >= 1.

    Returns:
        (centre, scale): (lambda_max(W^T W) - centre)/scale tends to `TracyWidom(1)`, to first order.

    Raises:
        ValueError: N < 2 or M < 1.

    Source: I. M. Johnstone, Ann. Statist. 29 (2001) 295, Theorem 1.1.
    """
    _check_size("johnstone", (N, M), (2, 1))
    return _centre_and_scale(jnp.asarray(N, float) - 1, jnp.asarray(M, float))


def ma(N: Any, M: Any) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """The same as `johnstone` with a = sqrt(N - 1/2), b = sqrt(M - 1/2): accurate to second order, M^(-2/3).

    What it improves is the upper tail: at 20 x 10 the shares of lambda_max above the 90 and 95 % points are right to
    5 %, those of `johnstone` a tenth too small. In the middle, and so in KS distance, `johnstone` is the closer one at
    N = 2 M (0.028 against 0.039 at M = 10, 0.009 against 0.016 at M = 40).

    Args:
        N: rows of W, >= 1.
        M: columns of W, >= 1.

    Returns:
        (centre, scale) for lambda_max(W^T W); multiply by sigma^2 / N for X = W^T W / N.

    Raises:
        ValueError: N < 1 or M < 1.

    Source: Z. Ma, Bernoulli 18 (2012) 322, equation (3).
    """
    _check_size("ma", (N, M), (1, 1))
    return _centre_and_scale(jnp.asarray(N, float) - 0.5, jnp.asarray(M, float) - 0.5)


def _centre_and_scale(rows: Array, columns: Array) -> tuple[Array, Array]:
    a, b = jnp.sqrt(rows), jnp.sqrt(columns)
    return (a + b) ** 2, (a + b) * jnp.cbrt(1 / a + 1 / b)


def _check_size(name: str, size: tuple[Any, Any], smallest: tuple[int, int]) -> None:
    if any(isinstance(n, int) and n < least for n, least in zip(size, smallest, strict=True)):
        raise ValueError(f"{name}(N, M) needs N >= {smallest[0]} and M >= {smallest[1]}, got {size}")
