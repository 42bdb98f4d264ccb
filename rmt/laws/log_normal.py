"""Log-normal: the exponential of a Gaussian."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from rmt.laws.base import PositiveLaw, check_parameter, implicit_above, parameter
from rmt.laws.gaussian import log_upper, quantile_above


class LogNormal(PositiveLaw):
    """Log-normal: density exp(-(ln x - log_mean)^2/(2 log_sd^2)) / (sqrt(2 pi) log_sd x) for x > 0.

    Args:
        log_mean: mean of ln x.
        log_sd: standard deviation of ln x, > 0.

    Raises:
        ValueError: log_mean is not finite, log_sd <= 0.

    Accuracy: sf to 1e-12 relative until it underflows, logsf to 1e-13 relative however far out (`tests/test_laws.py`,
        against SciPy).
    """

    log_mean: Float[Array, ""] = eqx.field(default=0.0, converter=parameter)
    log_sd: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def mean(self) -> Float[Array, ""]:
        """exp(log_mean + log_sd^2/2)."""
        return jnp.exp(self.log_mean + self.log_sd**2 / 2)

    @property
    def var(self) -> Float[Array, ""]:
        """(exp(log_sd^2) - 1) mean^2."""
        return jnp.expm1(self.log_sd**2) * self.mean**2

    def __check_init__(self):
        check_parameter(self, "log_mean", -jnp.inf)
        check_parameter(self, "log_sd")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return jnp.exp(self.log_mean + self.log_sd * jax.random.normal(key, shape, float))

    def _place(self, x: Array) -> tuple[Array, Array]:
        """Whether 0 < x < inf, and (ln x - log_mean)/log_sd there."""
        inside = (x > 0) & (x < jnp.inf)
        return inside, (jnp.log(jnp.where(inside, x, 1.0)) - self.log_mean) / self.log_sd

    def _logpdf(self, x: Array) -> Array:
        inside, z = self._place(x)
        log_scale = jnp.log(self.log_sd) + jnp.log(2 * jnp.pi) / 2 + self.log_mean + self.log_sd * z
        return jnp.where(inside, -z * z / 2 - log_scale, -jnp.inf)

    def _cdf(self, x: Array) -> Array:
        inside, z = self._place(x)
        return jnp.where(inside, ndtr(z), jnp.where(x > 0, 1.0, 0.0))

    def _sf(self, x: Array) -> Array:
        inside, z = self._place(x)
        return jnp.where(inside, ndtr(-z), jnp.where(x > 0, 0.0, 1.0))

    def _ppf(self, q: Array) -> Array:
        return jnp.exp(self.log_mean + self.log_sd * ndtri(q))

    def _logsf(self, x: Array) -> Array:
        inside, z = self._place(x)
        return jnp.where(inside, log_upper(z), jnp.where(x > 0, -jnp.inf, 0.0))

    def _quantile_above(self, log_p: Array) -> Array:
        return implicit_above(self, jnp.exp(self.log_mean + self.log_sd * quantile_above(log_p)), log_p)
