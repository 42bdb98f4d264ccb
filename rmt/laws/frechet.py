"""Frechet: the law of the maximum of many power-law variables."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, check_parameter, parameter


class Frechet(PositiveLaw):
    """Frechet: P(x <= t) = exp(-(t/scale)^-shape) for t > 0.

    The largest eigenvalue of W^T W for N x M iid entries of tail index mu < 4 (centred if mu >= 2), divided by b^2, has
    in the limit the shape mu/2 and scale 1, where b = inf{t: P(|w| > t) <= 1/(N M)}, (N M)^(1/mu) for unit Pareto.

    Args:
        shape: tail index, > 0.
        scale: in units of x, > 0.

    Raises:
        ValueError: shape <= 0 or scale <= 0.

    Source: A. Soshnikov, Lect. Notes Phys. 690 (2006) 351 for mu < 2; A. Auffinger, G. Ben Arous, S. Peche, Ann. Inst.
        H. Poincare Probab. Statist. 45 (2009) 589 for 2 <= mu < 4.
    Accuracy: cdf and sf to 1e-13 relative (`tests/test_laws.py`, against SciPy).
    """

    shape: Float[Array, ""] = eqx.field(converter=parameter)
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """The shape."""
        return self.shape

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """scale^shape."""
        return self.scale**self.shape

    @property
    def mean(self) -> Float[Array, ""]:
        """scale Gamma(1 - 1/shape), inf for shape <= 1."""
        return jnp.where(self.shape > 1, self.scale * self._moment(1), jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """scale^2 (Gamma(1 - 2/shape) - Gamma(1 - 1/shape)^2), inf for shape <= 2."""
        return jnp.where(self.shape > 2, self.scale**2 * (self._moment(2) - self._moment(1) ** 2), jnp.inf)

    def __check_init__(self):
        check_parameter(self, "shape")
        check_parameter(self, "scale")

    def _moment(self, order: int) -> Array:
        exists = self.shape > order
        return jnp.exp(jax.lax.lgamma(1 - order / jnp.where(exists, self.shape, order + 1.0)))

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self.scale * jax.random.exponential(key, shape, float) ** (-1 / self.shape)

    def _rate(self, x: Array) -> Array:
        """(x/scale)^-shape, the mean number of points above x of the Poisson process behind the maximum."""
        return jnp.exp(-self.shape * jnp.log(jnp.where(x > 0, x, 1.0) / self.scale))

    def _logpdf(self, x: Array) -> Array:
        z = jnp.where(x > 0, x, 1.0) / self.scale
        log_density = jnp.log(self.shape / self.scale) - (1 + self.shape) * jnp.log(z) - self._rate(x)
        return jnp.where(x > 0, log_density, -jnp.inf)

    def _cdf(self, x: Array) -> Array:
        return jnp.where(x > 0, jnp.exp(-self._rate(x)), 0.0)

    def _sf(self, x: Array) -> Array:
        return jnp.where(x > 0, -jnp.expm1(-self._rate(x)), 1.0)

    def _ppf(self, q: Array) -> Array:
        return self.scale * jnp.exp(-jnp.log(-jnp.log(q)) / self.shape)

    def _quantile_above(self, log_p: Array) -> Array:
        # the rate is -log(1 - p): p itself far out, where 1 - p is 1
        deep = log_p < -40
        log_rate = jnp.where(deep, log_p, jnp.log(-jnp.log1p(-jnp.exp(jnp.where(deep, -1.0, log_p)))))
        return self.scale * jnp.exp(-log_rate / self.shape)
