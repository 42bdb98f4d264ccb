"""Laplace entries: exponential tails on both sides."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import SymmetricLaw, check_parameter, parameter


class Laplace(SymmetricLaw):
    """Laplace: density exp(-|w|/scale)/(2 scale), so P(|w| > t) = exp(-t/scale).

    Args:
        scale: in units of w, > 0.

    Raises:
        ValueError: scale <= 0.

    Accuracy: cdf and sf to 1e-13 relative (`tests/test_laws.py`, against SciPy).
    """

    scale: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)

    @property
    def mean(self) -> Float[Array, ""]:
        """0."""
        return jnp.zeros_like(self.scale)

    @property
    def var(self) -> Float[Array, ""]:
        """2 scale^2."""
        return 2 * self.scale**2

    def __check_init__(self):
        check_parameter(self, "scale")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self.scale * jax.random.laplace(key, shape, float)

    def _logpdf(self, x: Array) -> Array:
        return -jnp.abs(x) / self.scale - jnp.log(2 * self.scale)

    def _log_abs_sf(self, t: Array) -> Array:
        return -t / self.scale

    def _abs_quantile(self, log_p: Array) -> Array:
        return -self.scale * log_p
