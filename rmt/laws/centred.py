"""Centred: a law with its mean taken away."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import Law, check_law


class Centred(Law):
    """w - E[w] where the mean is finite; where it is not (Lomax, mu <= 1) there is nothing to subtract: w itself.

    The choice follows the value of a traced mu, so one program serves a grid of mu on both sides of 1; across 1 the
    draws then jump.

    Args:
        law: the law to centre.
    """

    law: Law

    @property
    def shift(self) -> Float[Array, ""]:
        """What is subtracted: E[w], or 0 where E[w] is infinite or does not exist."""
        mean = self.law.mean
        return jnp.where(jnp.isfinite(mean), mean, 0.0)

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
        """0 where the law's mean is finite, else the law's."""
        return self.law.mean - self.shift

    @property
    def var(self) -> Float[Array, ""]:
        """That of the law."""
        return self.law.var

    def __check_init__(self):
        check_law("Centred", self.law, "rmt.Lomax(mu=3)")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self.law._draw(key, shape) - self.shift

    def _logpdf(self, x: Array) -> Array:
        return self.law._logpdf(x + self.shift)

    def _cdf(self, x: Array) -> Array:
        return self.law._cdf(x + self.shift)

    def _sf(self, x: Array) -> Array:
        return self.law._sf(x + self.shift)

    def _ppf(self, q: Array) -> Array:
        return self.law._ppf(q) - self.shift

    def _logsf(self, x: Array) -> Array:
        return self.law._logsf(x + self.shift)

    def _quantile_above(self, log_p: Array) -> Array:
        return self.law._quantile_above(log_p) - self.shift
