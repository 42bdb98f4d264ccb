"""The high-temperature Marchenko-Pastur law: eigenvalues that hardly repel, and the power law of their inverses."""

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from rmt.laws.base import check_parameter, parameter, signed_exponential
from rmt.laws.htmp_solver import table
from rmt.laws.tables import Table
from rmt.laws.tabulated import Tabulated

_LEAST_KAPPA, _LEAST_ABOVE, _LARGEST = 1e-6, 1e-3, 50.0


class HighTemperatureMarchenkoPastur(Tabulated):
    """High-temperature Marchenko-Pastur (HTMP): the limit of the spectrum of the beta-Laguerre ensemble with beta = 2 kappa/M.

    The eigenvalues of the ensemble `rmt.HTMP(kappa, a)`, M -> inf, have the density, with U Tricomi's function,

        rho(x) = x^a exp(-x)/(Gamma(kappa + 1) Gamma(kappa + a + 1) |U(kappa, -a, x exp(-i pi))|^2),    x > 0,

    and pi kappa cdf(x) is the phase of U(kappa, -a, x exp(-i pi)). It is the spectral measure of the associated Laguerre
    polynomials (with c = kappa and the first mean a + 1 + kappa). rho ~ x^a below and x^(a + 2 kappa) exp(-x) above.
    kappa -> 0 is the Gamma(a + 1) law; for kappa -> inf with a = (Q - 1) kappa, x/(Q kappa) follows `MarchenkoPastur(Q)`.

    If `inverse`, the law of 1/x: that of the eigenvalues of `rmt.HTMP(kappa, a, inverse=True)`, with the tail
    rho ~ x^-(a + 2) for every kappa.

    Args:
        kappa: M beta/2, a Python number, static: 1e-6 <= kappa <= 50.
        a: exponent at 0, a Python number, static: -0.999 <= a <= 50.
        inverse: whether it is the law of 1/x, static.
        scale: the unit of the eigenvalues, > 0.

    Raises:
        ValueError: kappa, a, inverse or scale out of range; a traced or array-valued kappa or a.

    Source: L. Hodgkinson, Z. Wang, M. W. Mahoney, arXiv:2506.03470 (2025). Moments are derived here from the quadratic
        equation of G(z) = E 1/(z - x), a G - z G + 1 - z G' + kappa z G^2 = 0. The table is made on the first use of each
        (kappa, a), in a fraction of a second: `rmt.laws.htmp_solver`.
    Accuracy: pdf, cdf and sf to 1e-11 relative, down to a cdf and an sf of 1e-300, against Tricomi's function and its phase
        in 60 digits, for seven (kappa, a) up to (50, 49.5); mass 1 to 1e-12 for 42 of them, from kappa = 1e-6 and
        a = -0.999 up to both limits (`tests/test_htmp_law.py`, with simulated matrices). Above, logsf and `isf` go on where
        sf underflows; below, so do logpdf and `ppf` down to the smallest x.
    """

    kappa: float = eqx.field(static=True)
    a: float = eqx.field(static=True)
    inverse: bool = eqx.field(static=True)
    scale: Float[Array, ""] = eqx.field(converter=parameter)

    def __init__(self, kappa: float, a: float, inverse: bool = False, scale: float | Array = 1.0):
        try:
            self.kappa, self.a = float(kappa), float(a)
        except TypeError:
            raise ValueError(
                f"HighTemperatureMarchenkoPastur(kappa, a) needs Python numbers, got kappa = {kappa!r}, a = {a!r}"
            ) from None
        self.inverse, self.scale = inverse, parameter(scale)

    def __check_init__(self):
        name = type(self).__name__
        if not _LEAST_KAPPA <= self.kappa <= _LARGEST:
            remedy = "; at 0 it is the Gamma(a + 1) law" if 0 <= self.kappa < _LEAST_KAPPA else ""
            remedy = "; far above, it is nearly MarchenkoPastur(1 + a/kappa)" if self.kappa > _LARGEST else remedy
            raise ValueError(
                f"{name}(kappa) needs {_LEAST_KAPPA:g} <= kappa <= {_LARGEST:g}, got {self.kappa:g}{remedy}"
            )
        if not _LEAST_ABOVE - 1 <= self.a <= _LARGEST:
            raise ValueError(f"{name}(a) needs {_LEAST_ABOVE - 1:g} <= a <= {_LARGEST:g}, got {self.a:g}")
        if not isinstance(self.inverse, bool):
            raise ValueError(f"{name}(inverse) must be True or False, got {self.inverse!r}")
        check_parameter(self, "scale")

    @property
    def tail_index(self) -> Float[Array, ""]:
        """A + 1 for the inverse, inf for the law itself."""
        return jnp.asarray(self.a + 1 if self.inverse else jnp.inf)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """Gamma(kappa + a + 1)/(Gamma(kappa + 1) Gamma(a + 1) Gamma(a + 2)) scale^(a + 1) for the inverse."""
        if not self.inverse:
            return jnp.asarray(jnp.nan)
        log_constant = gammaln(self.kappa + self.a + 1) - sum(
            gammaln(g) for g in (self.kappa + 1, self.a + 1, self.a + 2)
        )
        return jnp.exp(log_constant + (self.a + 1) * jnp.log(self.scale))

    @property
    def mean(self) -> Float[Array, ""]:
        """Scale times a + 1 + kappa; for the inverse 1/a, inf for a <= 0."""
        if self.inverse:
            return self.scale * (1 / self.a if self.a > 0 else jnp.inf)
        return self.scale * (self.a + 1 + self.kappa)

    @property
    def var(self) -> Float[Array, ""]:
        """scale^2 times (1 + kappa) (a + 1 + kappa); for the inverse (1 + kappa)/(a^2 (a - 1)), inf for a <= 1."""
        if self.inverse:
            return self.scale**2 * ((1 + self.kappa) / (self.a**2 * (self.a - 1)) if self.a > 1 else jnp.inf)
        return self.scale**2 * ((1 + self.kappa) * (self.a + 1 + self.kappa))

    @property
    def _table(self) -> Table:
        return table(self.kappa, self.a)

    @property
    def _steepness(self) -> float:
        return 1.0

    @property
    def _falling(self) -> bool:
        return self.inverse

    def _place(self, x: Array) -> Array:
        l = jnp.log(x / self.scale)
        return -l if self.inverse else l

    def _at(self, l: Array) -> Array:
        return self.scale * jnp.exp(-l if self.inverse else l)

    def _draw(self, key: Array, shape: tuple[int, ...]) -> Array:
        """By inversion from the nearer end, whose mass is that of an exponential: both tails are drawn without a lattice."""
        size, side = signed_exponential(key, shape)
        near = -size - jnp.log(2.0)
        far = jnp.log1p(-jnp.exp(near))
        return self._quantile(jnp.where(side < 0, near, far), jnp.where(side < 0, far, near))
