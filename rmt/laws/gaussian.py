"""Gaussian entries."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Float

from rmt.laws.base import Law, check_parameter, parameter


class Gaussian(Law):
    """Centred Gaussian with density exp(-w^2/(2 sigma^2)) / (sqrt(2 pi) sigma).

    Args:
        sigma: standard deviation, > 0.

    Raises:
        ValueError: sigma <= 0.

    Accuracy: cdf and sf to 1e-13 relative as far as 30 sigma (`tests/test_laws.py`, against SciPy).
    """

    sigma: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def mean(self) -> Float[Array, ""]:
        """0."""
        return jnp.zeros_like(self.sigma)

    @property
    def var(self) -> Float[Array, ""]:
        """sigma^2."""
        return self.sigma**2

    def __check_init__(self):
        check_parameter(self, "sigma")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self.sigma * jax.random.normal(key, shape, float)

    def _logpdf(self, x: Array) -> Array:
        return -((x / self.sigma) ** 2) / 2 - jnp.log(self.sigma) - jnp.log(2 * jnp.pi) / 2

    def _cdf(self, x: Array) -> Array:
        return ndtr(x / self.sigma)

    def _sf(self, x: Array) -> Array:
        return ndtr(-x / self.sigma)

    def _ppf(self, q: Array) -> Array:
        return self.sigma * ndtri(q)
