"""Power-law entries: Pareto (a pure power law above 1) and Lomax (the same, shifted to start at 0)."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rmt.laws.base import SymmetricLaw, check_parameter, parameter, signed_exponential


class _PowerLaw(SymmetricLaw):
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

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """1."""
        return jnp.ones_like(self.mu)

    def __check_init__(self):
        check_parameter(self, "mu")
        if not isinstance(self.signed, bool):
            raise ValueError(f"{type(self).__name__}(signed) must be True or False, got {self.signed!r}")

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        # l(|w|) is exponential: no uniform is raised to a power, so the lattice of the uniforms never shows.
        exponential, sign = signed_exponential(key, shape)
        size = self._exp(exponential / self.mu)
        return size * sign if self.signed else size

    def _log_abs_sf(self, t: Array) -> Array:
        smallest = self._exp(jnp.zeros(()))
        return jnp.where(t > smallest, -self.mu * self._log(jnp.where(t > smallest, t, 2.0)), 0.0)

    def _abs_quantile(self, log_p: Array) -> Array:
        return self._exp(-log_p / self.mu)

    def _logpdf(self, x: Array) -> Array:
        size, smallest = jnp.abs(x) if self.signed else x, self._exp(jnp.zeros(()))
        inside = size >= smallest
        log_density = jnp.log(self.mu) - (self.mu + 1) * self._log(jnp.where(inside, size, 2.0))
        return jnp.where(inside, log_density - (jnp.log(2.0) if self.signed else 0.0), -jnp.inf)

    # One-sided, |w| is w; signed, the symmetric law's own methods do.

    def _cdf(self, x: Array) -> Array:
        return super()._cdf(x) if self.signed else -jnp.expm1(self._log_abs_sf(x))

    def _sf(self, x: Array) -> Array:
        return super()._sf(x) if self.signed else jnp.exp(self._log_abs_sf(x))

    def _ppf(self, q: Array) -> Array:
        return super()._ppf(q) if self.signed else self._abs_quantile(jnp.log1p(-q))

    def _logsf(self, x: Array) -> Array:
        return super()._logsf(x) if self.signed else self._log_abs_sf(x)

    def _quantile_above(self, log_p: Array) -> Array:
        return super()._quantile_above(log_p) if self.signed else self._abs_quantile(log_p)


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
