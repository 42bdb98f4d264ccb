"""Weibull: the stretched exponential, for a shape below 1."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, SurvivalLaw, check_parameter, parameter


class Weibull(SurvivalLaw, PositiveLaw):
    """Weibull: P(x > t) = exp(-(rate t)^shape) for t >= 0; a stretched exponential for shape < 1.

    Args:
        shape: exponent, > 0; `Exponential(rate)` is the law of shape 1.
        rate: in 1/units of x, > 0.

    Raises:
        ValueError: shape <= 0 or rate <= 0.

    Accuracy: sf to 1e-12 relative until it underflows, cdf to 1e-9 relative (`tests/test_laws.py`, against SciPy).
    """

    shape: Float[Array, ""] = eqx.field(converter=parameter)
    rate: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def mean(self) -> Float[Array, ""]:
        """Gamma(1 + 1/shape)/rate."""
        return jnp.exp(gammaln(1 + 1 / self.shape)) / self.rate

    @property
    def var(self) -> Float[Array, ""]:
        """(Gamma(1 + 2/shape) - Gamma(1 + 1/shape)^2)/rate^2."""
        return jnp.exp(gammaln(1 + 2 / self.shape)) / self.rate**2 - self.mean**2

    def __check_init__(self):
        check_parameter(self, "shape")
        check_parameter(self, "rate")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self._quantile_above(-jax.random.exponential(key, shape, float))

    def _logpdf(self, x: Array) -> Array:
        inside = (x > 0) & (x < jnp.inf)
        log_z = jnp.log(self.rate * jnp.where(inside, x, 1.0))
        log_density = jnp.log(self.shape * self.rate) + (self.shape - 1) * log_z - jnp.exp(self.shape * log_z)
        edge = jnp.where(self.shape == 1, jnp.log(self.rate), jnp.where(self.shape < 1, jnp.inf, -jnp.inf))
        return jnp.where(inside, log_density, jnp.where(x == 0, edge, -jnp.inf))

    def _logsf(self, x: Array) -> Array:
        return jnp.where(x > 0, -jnp.exp(self.shape * jnp.log(self.rate * jnp.where(x > 0, x, 1.0))), 0.0)

    def _quantile_above(self, log_p: Array) -> Array:
        positive = log_p < 0
        return jnp.where(positive, jnp.exp(jnp.log(jnp.where(positive, -log_p, 1.0)) / self.shape) / self.rate, 0.0)
