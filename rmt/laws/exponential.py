"""Exponential: the law without memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, SurvivalLaw, check_parameter, parameter


class Exponential(SurvivalLaw, PositiveLaw):
    """Exponential: P(x > t) = exp(-rate t) for t >= 0, with density rate exp(-rate x).

    Args:
        rate: in 1/units of x, > 0.

    Raises:
        ValueError: rate <= 0.

    Accuracy: as for `Weibull`.
    """

    rate: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def mean(self) -> Float[Array, ""]:
        """1/rate."""
        return 1 / self.rate

    @property
    def var(self) -> Float[Array, ""]:
        """1/rate^2."""
        return self.rate**-2

    def __check_init__(self):
        check_parameter(self, "rate")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return jax.random.exponential(key, shape, float) / self.rate

    def _logpdf(self, x: Array) -> Array:
        return jnp.where(x >= 0, jnp.log(self.rate) - self.rate * x, -jnp.inf)

    def _logsf(self, x: Array) -> Array:
        return -self.rate * jnp.where(x >= 0, x, 0.0)

    def _quantile_above(self, log_p: Array) -> Array:
        return -log_p / self.rate
