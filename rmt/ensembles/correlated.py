"""Correlated columns, and the correlation matrix: a population covariance put into W, and each column's scale taken out."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from rmt.ensembles.base import Ensemble, check_base, check_shape
from rmt.laws.base import Law, parameter, somewhere


class Toeplitz(eqx.Module):
    """The covariance rho^|i - j| of a stationary AR(1) process along each row.

    Args:
        rho: correlation of neighbouring columns, -1 < rho < 1.

    Raises:
        ValueError: rho is not between -1 and 1.
    """

    rho: Float[Array, ""] = eqx.field(converter=parameter)

    def __check_init__(self):
        if somewhere(self.rho, lambda rho: ~(np.abs(rho) < 1)):
            raise ValueError(f"Toeplitz(rho) needs -1 < rho < 1, got {self.rho}")

    def root(self, M: int) -> Float[Array, "M M"]:
        """The lower triangular L with L L^T = covariance: rho^(i-j) sqrt(1 - rho^2), in the first column rho^i."""
        lag = jnp.arange(M)[:, None] - jnp.arange(M)[None, :]
        first = jnp.arange(M)[None, :] == 0
        scale = jnp.where(first, 1.0, jnp.sqrt(1 - self.rho**2))
        return jnp.where(lag >= 0, self.rho ** jnp.maximum(lag, 0) * scale, 0.0)


class Correlated(Ensemble):
    """W = Z S^(1/2): Z drawn from `base`, and S the population covariance of the rows of W where Z's entries are white.

    Args:
        base: the ensemble of Z.
        population: S by its eigenvalues, in the basis of the columns, or whole. One of: a positive law, such as
            `rmt.laws.PowerLaw(alpha=3)`, whose quantiles at (j - 1/2)/M are the eigenvalues; the M eigenvalues
            themselves; `Toeplitz(rho)`. For Gaussian Z the basis does not matter.

    Raises:
        ValueError: the population is none of these.

    Source: the limit is that of V. A. Marchenko, L. A. Pastur, Math. USSR Sb. 1 (1967) 457 and J. W. Silverstein, J.
        Multivar. Anal. 55 (1995) 331; `tests/test_ensembles.py` holds the first two moments to it.
    """

    base: Ensemble
    population: Law | Toeplitz | Float[Array, " M"] = eqx.field(
        converter=lambda p: p if isinstance(p, Law | Toeplitz) else parameter(p)
    )

    def __check_init__(self):
        check_base(self, self.base)
        p = self.population
        if isinstance(p, Law | Toeplitz):
            return
        if p.ndim != 1 or somewhere(p, lambda p: ~((p >= 0) & np.isfinite(p))):
            raise ValueError(f"Correlated(population) needs a row of eigenvalues >= 0, a law or Toeplitz(rho), got {p}")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; see `Ensemble.sample`."""
        N, M = check_shape(shape)
        Z = self.base.sample(key, (N, M))
        if isinstance(self.population, Toeplitz):
            return (Z @ self.population.root(M).T).astype(dtype)
        return (Z * jnp.sqrt(self.eigenvalues(M))[None, :]).astype(dtype)

    def eigenvalues(self, M: int) -> Float[Array, " M"]:
        """Eigenvalues of S for M columns, in the order of the columns; those of Toeplitz ascending.

        Raises:
            ValueError: eigenvalues were given, and not M of them.
        """
        if isinstance(self.population, Toeplitz):
            L = self.population.root(M)
            return jnp.linalg.eigvalsh(L @ L.T)
        if isinstance(self.population, Law):
            return self.population.ppf((jnp.arange(M) + 0.5) / M)
        if self.population.size != M:
            raise ValueError(f"Correlated: {self.population.size} population eigenvalues do not fit {M} columns")
        return self.population


class Correlation(Ensemble):
    """W with each column's mean taken off and its standard deviation made 1: W^T W / N is the columns' correlation matrix.

    The scale of a heavy-tailed column goes with its largest entry, so that every column weighs the same: for symmetric
    entries of tail index 2 < mu < 4 the edge of the Marchenko-Pastur law is restored. Centring costs one dimension: at N = M
    the smallest eigenvalue is 0.

    Args:
        base: the ensemble before it.
        centre: whether the mean is taken off; static.

    Source: J. Heiny, T. Mikosch, Stoch. Proc. Appl. 128 (2018) 2779, for the edge.
    """

    base: Ensemble
    centre: bool = eqx.field(default=True, static=True)

    def __check_init__(self):
        check_base(self, self.base)
        if not isinstance(self.centre, bool):
            raise ValueError(f"Correlation(centre) must be True or False, got {self.centre!r}")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; a constant column is NaN. See `Ensemble.sample`."""
        W = self.base.sample(key, check_shape(shape))
        W = W / jnp.max(jnp.abs(W), axis=0, keepdims=True)  # so that no square overflows
        if self.centre:
            W = W - jnp.mean(W, axis=0, keepdims=True)
        return (W / jnp.sqrt(jnp.mean(W**2, axis=0, keepdims=True))).astype(dtype)
