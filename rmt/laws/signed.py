"""Signed: a law with a random sign."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import Law, SymmetricLaw, check_law


class Signed(SymmetricLaw):
    """e w with e = 1 or -1, each with probability 1/2: P(|w| > t) stays what it is, and the density is halved.

    `Signed(LogNormal(0, 1))` has every moment and a heavier tail than any exponential; `Signed(PowerLaw(mu + 1, 1, tmax))`
    is the Pareto law of index mu cut off at tmax, P(|w| > t) = (t^-mu - tmax^-mu)/(1 - tmax^-mu).

    Args:
        law: the law of w: a positive one, or any, which is thereby made symmetric.

    Raises:
        ValueError: `law` is not a law.
    """

    law: Law

    @property
    def tail_index(self) -> Float[Array, ""]:
        """That of the law."""
        return self.law.tail_index

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """That of the law."""
        return self.law.tail_constant

    @property
    def mean(self) -> Float[Array, ""]:
        """0, and NaN where the law has no finite mean."""
        return jnp.where(jnp.isfinite(self.law.mean), 0.0, jnp.nan)

    @property
    def var(self) -> Float[Array, ""]:
        """var + mean^2 of the law; NaN where it has no finite mean."""
        finite = jnp.isfinite(self.law.mean)
        return jnp.where(finite, self.law.var + jnp.where(finite, self.law.mean, 0.0) ** 2, jnp.nan)

    def __check_init__(self):
        check_law("Signed", self.law, "rmt.laws.LogNormal()")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        size_key, sign_key = jax.random.split(key)
        return self.law._draw(size_key, shape) * jax.random.rademacher(sign_key, shape, float)

    def _logpdf(self, x: Array) -> Array:
        return jnp.logaddexp(self.law._logpdf(x), self.law._logpdf(-x)) - jnp.log(2.0)

    def _log_abs_sf(self, t: Array) -> Array:
        return self.law._log_abs_sf(t)

    def _abs_sf(self, t: Array) -> Array:
        return self.law._abs_sf(t)

    def _abs_quantile(self, log_p: Array) -> Array:
        return self.law._abs_quantile(log_p)
