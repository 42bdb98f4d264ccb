"""Power-law entries: Pareto (a pure power law above 1) and Lomax (the same, shifted to start at 0)."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import Law, check_parameter, parameter


class _PowerLaw(Law):
    """P(|w| > t) = exp(-mu l(t)) for an increasing l with l' = exp(-l); a random sign where `signed`."""

    mu: eqx.AbstractVar[Float[Array, ""]]
    signed: eqx.AbstractVar[bool]

    @abstractmethod
    def _log(self, size: Array) -> Array:
        """The l of the class formula."""

    @abstractmethod
    def _exp(self, l: Array) -> Array:
        """Inverse of l; its value at 0 is the smallest size."""

    @property
    def tail_index(self) -> Float[Array, ""]:
        """mu."""
        return self.mu

    def __check_init__(self):
        check_parameter(self, "mu")
        if not isinstance(self.signed, bool):
            raise ValueError(f"{type(self).__name__}(signed) must be True or False, got {self.signed!r}")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        # l(|w|) is exponential: no uniform is raised to a power, so the lattice of the uniforms never shows.
        size_key, sign_key = jax.random.split(key)
        size = self._exp(jax.random.exponential(size_key, shape, float) / self.mu)
        return size * jax.random.rademacher(sign_key, shape, float) if self.signed else size

    def _size(self, x: Array) -> Array:
        return jnp.abs(x) if self.signed else x

    def _log_upper(self, x: Array) -> Array:
        """log P(|w| > size of x)."""
        size, smallest = self._size(x), self._exp(jnp.zeros(()))
        return jnp.where(size > smallest, -self.mu * self._log(jnp.where(size > smallest, size, 2.0)), 0.0)

    def _logpdf(self, x: Array) -> Array:
        size, smallest = self._size(x), self._exp(jnp.zeros(()))
        inside = size >= smallest
        log_density = jnp.log(self.mu) - (self.mu + 1) * self._log(jnp.where(inside, size, 2.0))
        return jnp.where(inside, log_density - (jnp.log(2.0) if self.signed else 0.0), -jnp.inf)

    def _cdf(self, x: Array) -> Array:
        if not self.signed:
            return -jnp.expm1(self._log_upper(x))
        half = jnp.exp(self._log_upper(x)) / 2
        return jnp.where(x < 0, half, 1 - half)

    def _sf(self, x: Array) -> Array:
        if not self.signed:
            return jnp.exp(self._log_upper(x))
        half = jnp.exp(self._log_upper(x)) / 2
        return jnp.where(x < 0, 1 - half, half)

    def _ppf(self, q: Array) -> Array:
        if not self.signed:
            return self._exp(-jnp.log1p(-q) / self.mu)
        size = self._exp(-jnp.log(2 * jnp.minimum(q, 1 - q)) / self.mu)
        return jnp.where(q > 0.5, size, -size)

    def _logsf(self, x: Array) -> Array:
        log_upper = self._log_upper(x)
        if not self.signed:
            return log_upper
        return jnp.where(x < 0, jnp.log1p(-jnp.exp(log_upper) / 2), log_upper - jnp.log(2.0))

    def _quantile_above(self, log_p: Array) -> Array:
        if not self.signed:
            return self._exp(-log_p / self.mu)
        upper = log_p < -jnp.log(2.0)
        lower = jnp.log(-jnp.expm1(jnp.where(upper, -1.0, log_p)))
        size = self._exp(-(jnp.where(upper, log_p, lower) + jnp.log(2.0)) / self.mu)
        return jnp.where(upper, size, -size)


class Pareto(_PowerLaw):
    """Unit Pareto: P(|w| > t) = t^-mu for t >= 1, with density mu |w|^(-mu-1), halved between the signs if `signed`.

    Args:
        mu: tail index, > 0.
        signed: give each entry a random sign (the default), so that the mean is 0 for mu > 1; or keep w >= 1.

    Raises:
        ValueError: mu <= 0.

    Accuracy: draws go through exponentials and are exact into the far tail; nothing is infinite for mu >= 0.06.
        `tests/test_laws.py` holds cdf and sf to SciPy at 1e-13 relative.
    """

    mu: Float[Array, ""] = eqx.field(converter=parameter)
    signed: bool = eqx.field(default=True, static=True)

    @property
    def mean(self) -> Float[Array, ""]:
        """mu/(mu-1), inf for mu <= 1; signed: 0, and NaN for mu <= 1."""
        if self.signed:
            return jnp.where(self.mu > 1, 0.0, jnp.nan)
        return jnp.where(self.mu > 1, self.mu / jnp.where(self.mu > 1, self.mu - 1, 1.0), jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """mu/((mu-1)^2 (mu-2)), inf for mu <= 2; signed: mu/(mu-2), inf for mu <= 2 and NaN for mu <= 1."""
        finite = self.mu > 2
        mu = jnp.where(finite, self.mu, 3.0)
        if self.signed:
            return jnp.where(finite, mu / (mu - 2), jnp.where(self.mu > 1, jnp.inf, jnp.nan))
        return jnp.where(finite, mu / ((mu - 1) ** 2 * (mu - 2)), jnp.inf)

    def _log(self, size: Array) -> Array:
        return jnp.log(size)

    def _exp(self, l: Array) -> Array:
        return jnp.exp(l)


class Lomax(_PowerLaw):
    """Lomax, which is NumPy's `pareto`: density mu/(1+w)^(1+mu), P(w > t) = (1+t)^-mu for t >= 0.

    One-sided and uncentred by default, as in the published experiments: its mean 1/(mu-1) puts a rank-one spike in W.
    `Centred(Lomax(mu))` and `Lomax(mu, signed=True)` are its two mean-zero variants.

    Args:
        mu: tail index, > 0.
        signed: give each entry a random sign.

    Raises:
        ValueError: mu <= 0.

    Accuracy: as for `Pareto`.
    """

    mu: Float[Array, ""] = eqx.field(converter=parameter)
    signed: bool = eqx.field(default=False, static=True)

    @property
    def mean(self) -> Float[Array, ""]:
        """1/(mu-1), inf for mu <= 1; signed: 0, and NaN for mu <= 1."""
        if self.signed:
            return jnp.where(self.mu > 1, 0.0, jnp.nan)
        return jnp.where(self.mu > 1, 1 / jnp.where(self.mu > 1, self.mu - 1, 1.0), jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """mu/((mu-1)^2 (mu-2)), inf for mu <= 2; signed: 2/((mu-1)(mu-2)), inf for mu <= 2 and NaN for mu <= 1."""
        finite = self.mu > 2
        mu = jnp.where(finite, self.mu, 3.0)
        if self.signed:
            return jnp.where(finite, 2 / ((mu - 1) * (mu - 2)), jnp.where(self.mu > 1, jnp.inf, jnp.nan))
        return jnp.where(finite, mu / ((mu - 1) ** 2 * (mu - 2)), jnp.inf)

    def _log(self, size: Array) -> Array:
        return jnp.log1p(size)

    def _exp(self, l: Array) -> Array:
        return jnp.expm1(l)
