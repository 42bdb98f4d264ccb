"""The Levy-Wishart law: eigenvalues of W^T W for iid entries without a variance."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.laws.base import check_parameter, derivative, parameter
from rmt.laws.levy_wishart_solver import table
from rmt.laws.tables import Table
from rmt.laws.tabulated import Tabulated, log_density

_SUPPORTED, _LARGEST_Q = (0.2, 1.9), 1e6


class LevyWishart(Tabulated):
    """Levy-Wishart: the limit of the eigenvalues of W^T W / N^(2/mu), iid entries with P(|w| > t) ~ t^-mu, 0 < mu < 2.

    W is N x M, Q = N/M, N -> inf. The eigenvalues of X = W^T W / N, the convention of this package, follow the law with
    scale N^(2/mu - 1); at finite N with a negative `noise` beside it: `LevyWishart.of_matrix`. With s = mu/2,
    g(y) = int_0^inf u^(s-1) exp(-u - y u^s) du, kappa = Gamma(1-s)/Gamma(s) (lambda/scale)^-s and
    G(x) = exp(i pi s) g(exp(i pi s) x), the density is

        rho(lambda) = s Im(x G(x))/(pi lambda),    x = kappa g(v),    v = kappa/Q G(x).

    Above, rho ~ s lambda^(-1-s) whatever Q is, but only far out (`local_slope`). Below, rho ~ lambda^(-1/2) for Q = 1;
    for Q > 1 it vanishes faster than any power, log rho ~ -lambda^(-s/(1-s)), and where mu is not small or Q is near 1
    that looks like a square-root edge. Q -> inf is the positive stable law with E exp(-p x) = exp(-Gamma(1-s) p^s).

    With `noise`, that of W + G for Gaussian G: rho is moved as MarchenkoPastur(Q, sqrt(noise scale)) would move it in
    the free convolution of rectangular matrices. A negative one takes noise away. That is the law at finite N of entries
    whose squares have a sum with less than a stable one: Pareto entries lack mu/(2 - mu) each.

    Args:
        mu: tail index of the entries, a Python number, static: 0.2 <= mu <= 1.9.
        Q: aspect ratio N/M, a Python number, static: 1 <= Q <= 1e6.
        scale: the unit of the eigenvalues, > 0.
        noise: variance of G / scale, a Python number, static; a negative one as far as there is a law.

    Raises:
        ValueError: mu, Q, scale or noise out of range; a traced or array-valued mu, Q or noise.

    Source: S. Belinschi, A. Dembo, A. Guionnet, Commun. Math. Phys. 289 (2009) 1023, Theorem 1.10, for the law; the form
        here is that of the cavity method: J.-P. Bouchaud, P. Cizeau, Phys. Rev. E 50 (1994) 1810, made for W^T W. Noise
        as in R. B. Dozier, J. W. Silverstein, J. Multivariate Anal. 98 (2007) 678; that a negative one is the first
        correction in N is derived here, and holds in simulation. The table of each (mu, Q, noise) is solved on first use, with
        noise already to see that there is a law, in one to a few seconds: `rmt.laws.levy_wishart_solver`.
    Accuracy: pdf and sf to 1e-10 and 1e-11 relative against the same equations in 30 digits (3e-14 found), pdf to 1e-10
        down to cdf = 1e-80, mass 1 to 1e-12 (`tests/test_levy_wishart.py`). The exceptions: below a cdf of about 1e-100, or
        1e-9 with noise, pdf and cdf follow their leading asymptotics; within 1e-8 of a sharp lower edge, relative to it in
        lambda^(mu/2), pdf is right in size only; where noise is nearly too far below 0, mass is 1 to 1e-6. In simulation
        (`tests/benchmarks/levy_wishart.json`), the shares of 12 bins for 40 matrices of 800 rows hold within 3 standard
        errors, two of 252 at 3.2 aside, for Pareto entries with mu = 0.5, 1, 1.5, 1.7, for Student t and for stable squares
        at mu = 1.5, Q = 1, 2, 5. Beside the limit alone, Pareto entries at mu = 1.5 miss by 0.3 to 1.1 % of the mass a bin.
    """

    mu: float = eqx.field(static=True)
    Q: float = eqx.field(static=True)
    scale: Float[Array, ""] = eqx.field(converter=parameter)
    noise: float = eqx.field(static=True)

    def __init__(self, mu: float, Q: float, scale: float | Array = 1.0, noise: float = 0.0):
        try:
            self.mu, self.Q, self.noise = float(mu), float(Q), float(noise)
        except TypeError:
            got = f"mu = {mu!r}, Q = {Q!r}, noise = {noise!r}"
            raise ValueError(f"LevyWishart(mu, Q, noise=...) needs Python numbers, got {got}") from None
        self.scale = parameter(scale)

    def __check_init__(self):
        low, high = _SUPPORTED
        if not low <= self.mu <= high:
            remedy = "; from 2 on the law is MarchenkoPastur(Q, sigma)" if self.mu >= 2 else ""
            raise ValueError(f"LevyWishart(mu) needs {low} <= mu <= {high}, got {self.mu}{remedy}")
        check_parameter(self, "Q", 1, closed=True, remedy="; Q = N/M with N >= M, so pass W.T and its Q")
        if self.Q > _LARGEST_Q:
            raise ValueError(
                f"LevyWishart(Q) needs Q <= {_LARGEST_Q:g}, got {self.Q:g}: nearly its limit, a stable law"
            )
        check_parameter(self, "scale")
        if not np.isfinite(self.noise):
            raise ValueError(f"LevyWishart(noise) must be finite, got {self.noise}")
        if self.noise:
            try:
                table(self.mu, self.Q, self.noise)
            except ArithmeticError as error:
                raise ValueError(
                    f"LevyWishart(noise) is too far below 0, got {self.noise:.4g} at mu = {self.mu:g}, Q = {self.Q:g}: "
                    f"there is no such law, or none that is solved; take more rows, or moment=0, the limit ({error})"
                ) from None

    @classmethod
    def of_matrix(cls, mu: float, N: int, M: int, constant: float = 1.0, moment: float | None = None) -> "LevyWishart":
        """The law of the eigenvalues of X = W^T W / N, with its first correction in N.

        scale = N^(2/mu - 1) constant^(2/mu), the limit; noise = moment/scale, of relative size N^(1 - 2/mu). There is a
        law of that noise for Pareto entries with mu <= 1.7 and N >= 50 (Q = 1 and mu <= 0.5: N >= 100).

        Args:
            mu: tail index of the entries, 0.2 <= mu <= 1.9.
            N: rows of W.
            M: columns of W, at most N.
            constant: lim t^mu P(|w| > t): 1 for `Pareto(mu)`.
            moment: second moment of the entries as a function of mu > 2, continued to this mu: the default,
                constant^(2/mu) mu/(mu - 2), for `Pareto(mu)` and its multiples; mu/(mu - 2) for `StudentT(mu)`, whose
                `constant` is its `tail_constant`; 0 where the squares are stable, and for the limit alone.

        Raises:
            ValueError: mu, N or M out of range, or no law with such a noise.
        """
        if not N >= M >= 1:
            raise ValueError(f"LevyWishart.of_matrix(mu, N, M) needs N >= M >= 1, got ({N}, {M}); pass W.T")
        unit = constant ** (2 / mu)
        scale = N ** (2 / mu - 1) * unit
        return cls(mu, N / M, scale, (unit * mu / (mu - 2) if moment is None else moment) / scale)

    @property
    def tail_index(self) -> Float[Array, ""]:
        """mu/2."""
        return jnp.asarray(self.mu / 2)

    @property
    def tail_constant(self) -> Float[Array, ""]:
        """lim x^(mu/2) sf(x) = scale^(mu/2), for any Q; the density is (mu/2) times it, times x^(-1 - mu/2)."""
        return self.scale ** (self.mu / 2)

    @property
    def mean(self) -> Float[Array, ""]:
        """It diverges: inf."""
        return jnp.asarray(jnp.inf)

    @property
    def var(self) -> Float[Array, ""]:
        """It diverges: inf."""
        return jnp.asarray(jnp.inf)

    def local_slope(self, x: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
        """-d log pdf / d log x: the exponent a narrow window at x shows; mu/2 + 1 only in the limit x -> inf."""
        x = jnp.asarray(x, float)
        valid = x > 0
        l = self._place(jnp.where(valid, x, 1.0))
        slope = derivative(lambda l: log_density(self._table, l), l)
        return jnp.where(valid, 1 - self.mu / 2 * slope, jnp.nan)

    @property
    def _table(self) -> Table:
        return table(self.mu, self.Q, self.noise)

    @property
    def _steepness(self) -> float:
        return self.mu / 2

    def _place(self, x: Array) -> Array:
        """l = log (x/scale)^(mu/2), for x > 0."""
        return self.mu / 2 * jnp.log(x / self.scale)

    def _at(self, l: Array) -> Array:
        return self.scale * jnp.exp(2 / self.mu * l)
