"""Above: a law conditioned on being at least xmin."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import Law, SurvivalLaw, capped, check_law, check_parameter, parameter


class Above(SurvivalLaw):
    """A law given x >= xmin: density pdf(x)/sf(xmin) and P(x > t) = sf(t)/sf(xmin) for t >= xmin.

    Works on logarithms, so xmin may be as far out as the law's logsf is accurate: any distance for the log-normal,
    Weibull, exponential, Pareto and Gaussian laws, whose sf(xmin) may underflow; sf(xmin) > 1e-300 for the others.

    Args:
        law: the law to condition.
        xmin: where it starts. Below the law's support it changes nothing; above it there is no such law: NaN.

    Raises:
        ValueError: `law` is not a law, or xmin is not finite.

    Accuracy: that of the law's logsf, so sf to 1e-15 |law.logsf(xmin)| relative, and cdf to the same, absolute. mean and
        var are integrals over quantiles, to 1e-9; within 5 % of the tail index where they diverge the quantiles overflow,
        and they are inf too soon (`tests/test_laws.py`, against mpmath).
    """

    law: Law
    xmin: Float[Array, ""] = eqx.field(converter=parameter)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """That of the law."""
        return self.law.tail_index

    @property
    def mean(self) -> Float[Array, ""]:
        """By quadrature; inf for a tail index <= 1."""
        return self.xmin + _excess(self)[0]

    @property
    def var(self) -> Float[Array, ""]:
        """By quadrature; inf for a tail index <= 2."""
        first, second = _excess(self)
        return jnp.where(second < jnp.inf, second - jnp.where(second < jnp.inf, first, 0.0) ** 2, jnp.inf)

    def __check_init__(self):
        check_law("Above", self.law, "rmt.laws.LogNormal()")
        check_parameter(self, "xmin", -np.inf)

    def _at_depth(self, l: Array) -> Array:
        """The x with logsf(x) = -l."""
        x = self.law._quantile_above(self.law._logsf(self.xmin) - l)
        return jnp.where((x < self.xmin) | (l == 0), self.xmin, x)

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        return self._at_depth(jax.random.exponential(key, shape, float))

    def _logpdf(self, x: Array) -> Array:
        inside = x >= self.xmin
        log_density = self.law._logpdf(jnp.where(inside, x, self.xmin)) - self.law._logsf(self.xmin)
        return jnp.where(inside, log_density, -jnp.inf)

    def _logsf(self, x: Array) -> Array:
        inside = x >= self.xmin
        log_sf = self.law._logsf(jnp.where(inside, x, self.xmin)) - self.law._logsf(self.xmin)
        return jnp.where(inside, capped(log_sf, 0.0), 0.0)

    def _quantile_above(self, log_p: Array) -> Array:
        return self._at_depth(-log_p)


@jax.jit
def _excess(law: Above) -> Array:
    """E[(x - xmin)^order] = int_0^inf (x(l) - xmin)^order exp(-l) dl for order 1 and 2, where x(l) has logsf = -l."""
    nodes, weights = (jnp.asarray(values) for values in exponential_rule())

    def moment(order: Array) -> Array:
        decay = 1 - order / law.tail_index  # the integrand's, for a power-law tail
        exists = decay > 0
        decay = jnp.where(exists, decay, 1.0)
        l = nodes / decay
        excess = law._at_depth(l) - law.xmin
        positive = excess > 0
        log_power = order * jnp.log(jnp.where(positive, excess, 1.0)) - l
        total = jnp.where(positive, weights * jnp.exp(log_power), 0.0).sum() / decay
        return jnp.where(exists, total, jnp.inf)

    return jax.vmap(moment)(jnp.array([1.0, 2.0]))


@cache
def exponential_rule() -> tuple[np.ndarray, np.ndarray]:
    """Nodes t and weights of the double-exponential rule on (0, inf), t = exp(s - exp(-s)), for integrands like exp(-t)."""
    step = 0.05
    s = np.arange(-90, 77) * step
    nodes = np.exp(s - np.exp(-s))
    return nodes, step * nodes * (1 + np.exp(-s))
