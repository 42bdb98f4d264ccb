"""FrechetOrder: the law of the k-th largest of many power-law variables."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammainc, gammaincc, gammaln
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, bisect, check_parameter, implicit, log_or_never, parameter


class FrechetOrder(PositiveLaw):
    """k-th largest: P(x <= t) = Gamma(k, y)/Gamma(k) = exp(-y) sum_(j<k) y^j/j!, y = (t/scale)^-shape, for t > 0.

    It is the k-th largest point, scale (E_1 + ... + E_k)^(-1/shape) with unit exponentials E_i, of the Poisson process of
    which y is the mean number of points above t. k = 1 is `Frechet`. The k-th largest eigenvalue of W^T W for N x M iid
    entries of tail index mu < 4 (centred if mu >= 2), divided by b^2, b = law.abs_isf(1/(N M)), has in the limit the
    shape mu/2 and scale 1.

    Args:
        shape: tail index of the points, > 0; that of the k-th largest is k times as large.
        k: 1 for the largest, 2 for the second largest, ..., static.
        scale: in units of x, > 0.

    Raises:
        ValueError: shape <= 0, scale <= 0, or k not an integer >= 1.

    Source: A. Soshnikov, Lect. Notes Phys. 690 (2006) 351 for mu < 2; A. Auffinger, G. Ben Arous, S. Peche, Ann. Inst.
        H. Poincare Probab. Statist. 45 (2009) 589 for 2 <= mu < 4.
    Accuracy: cdf to 1e-13 absolute and sf to 1e-12 relative, however small (`tests/test_laws.py`, against SciPy's
        generalised gamma).
    """

    shape: Float[Array, ""] = eqx.field(converter=parameter)
    k: int = eqx.field(static=True)
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """K times the shape."""
        return self.k * self.shape

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """scale^(k shape)/k!."""
        return jnp.exp(self.k * self.shape * jnp.log(self.scale) - gammaln(self.k + 1.0))

    @property
    def mean(self) -> Float[Array, ""]:
        """scale Gamma(k - 1/shape)/Gamma(k), inf for k shape <= 1."""
        return jnp.where(self.tail_index > 1, self.scale * self._moment(1), jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """scale^2 (Gamma(k - 2/shape)/Gamma(k) - (Gamma(k - 1/shape)/Gamma(k))^2), inf for k shape <= 2."""
        return jnp.where(self.tail_index > 2, self.scale**2 * (self._moment(2) - self._moment(1) ** 2), jnp.inf)

    def __check_init__(self):
        check_parameter(self, "shape")
        check_parameter(self, "scale")
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            raise ValueError(f"FrechetOrder(k) needs an integer k >= 1, 1 for the largest, got {self.k!r}")

    def _moment(self, order: int) -> Array:
        exists = self.tail_index > order
        return jnp.exp(gammaln(self.k - order / jnp.where(exists, self.shape, order + 1.0)) - gammaln(float(self.k)))

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        # A sum of exponentials has no lattice near 0, which is where the largest draws come from.
        rate = jax.random.exponential(key, (self.k, *shape), float).sum(0)
        return self.scale * rate ** (-1 / self.shape)

    def _log_rate(self, x: Array) -> Array:
        """log y for x > 0."""
        return -self.shape * jnp.log(jnp.where(x > 0, x, 1.0) / self.scale)

    def _logpdf(self, x: Array) -> Array:
        log_rate = self._log_rate(x)
        z = jnp.where(x > 0, x, 1.0)
        log_density = jnp.log(self.shape / z) + self.k * log_rate - jnp.exp(log_rate) - gammaln(float(self.k))
        return jnp.where(x > 0, log_density, -jnp.inf)

    def _cdf(self, x: Array) -> Array:
        return jnp.where(x > 0, gammaincc(float(self.k), jnp.exp(self._log_rate(x))), 0.0)

    def _sf(self, x: Array) -> Array:
        return jnp.exp(self._logsf(x))

    def _logsf(self, x: Array) -> Array:
        return jnp.where(x > 0, _log_lower(self.k, self._log_rate(x)), 0.0)

    def _ppf(self, q: Array) -> Array:
        # In log y. P(Gamma_k < y) <= y^k/k! bounds y from below; above 2 k + 1500, cdf underflows.
        high = jnp.full_like(q, jnp.log(2 * self.k + 1500.0))
        low = (jnp.log(jnp.clip(1 - q, 1e-300)) + gammaln(self.k + 1.0)) / self.k - 1
        log_rate = bisect(lambda u: q - gammaincc(float(self.k), jnp.exp(u)), low, high)
        x = self.scale * jnp.exp(-log_rate / self.shape)
        return implicit(self, jnp.where(q == 0, 0.0, jnp.where(q == 1, jnp.inf, x)), q)


def _log_lower(k: int, log_rate: Array) -> Array:
    """log of P(Gamma_k < y): below y = (k + 1)/2 by y^k exp(-y)/k! (1 + y/(k+1) (1 + y/(k+2) (1 + ...)))."""
    near = log_rate < jnp.log((k + 1) / 2)
    small = jnp.where(near, log_rate, 0.0)
    y = jnp.exp(small)

    def term(i: Any, total: Array) -> Array:
        return 1 + y / (k + _TERMS - i) * total

    total = jax.lax.fori_loop(0, _TERMS, term, jnp.ones_like(y))
    series = k * small - y - gammaln(k + 1.0) + jnp.log(total)
    large = jnp.exp(jnp.where(near, jnp.log(k + 1.0), log_rate))
    return jnp.where(near, series, log_or_never(gammainc(float(k), large)))


_TERMS = 60  # the ratio of successive terms is below 1/2
