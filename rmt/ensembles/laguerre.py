"""Laguerre ensembles: bidiagonal matrices with exactly known singular values, drawn in O(M) and solved in O(M^2)."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from rmt.ensembles.base import Ensemble, check_shape
from rmt.laws.base import check_parameter, parameter
from rmt.spectra import Bidiagonal, Spectrum, spectrum


class _Laguerre(Ensemble):
    """An ensemble whose singular values are those of a random bidiagonal matrix."""

    @abstractmethod
    def bidiagonal(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Bidiagonal:
        """One draw as its two diagonals: the same singular values as `sample` has in law. See `Ensemble.sample`."""

    def spectrum(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float, **options: Any) -> Spectrum:
        """Eigenvalues of W^T W / N of one draw, by the bidiagonal model. See `Ensemble.spectrum`."""
        return spectrum(self.bidiagonal(key, shape, dtype), **options)


class Wishart(_Laguerre):
    """W of iid Gaussian entries, whose spectrum is drawn from its exact bidiagonal model.

    The singular values of W are in law those of the upper bidiagonal B with independent

        B_ii = sigma chi(beta (N - i + 1)) / sqrt(beta),   B_i,i+1 = sigma chi(beta (M - i)) / sqrt(beta),

    so that a spectrum costs O(M^2) and no N x M matrix is made.

    Args:
        sigma: standard deviation of the entries, > 0.
        beta: 1 for real entries; 2 and 4 for complex and quaternion ones, and any other > 0, of which there is no `sample`.

    Raises:
        ValueError: sigma <= 0 or beta <= 0.

    Source: I. Dumitriu, A. Edelman, J. Math. Phys. 43 (2002) 5830.
    Accuracy: the same law as dense matrices: `tests/test_ensembles.py`, by KS on the extreme eigenvalues and the trace.
    """

    sigma: Float[Array, ""] = eqx.field(default=1.0, converter=parameter)
    beta: float = eqx.field(default=1.0, static=True, converter=float)

    def __check_init__(self):
        check_parameter(self, "sigma")
        check_parameter(self, "beta")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One dense matrix; ValueError unless beta = 1. See `Ensemble.sample`."""
        if self.beta != 1:
            raise ValueError(f"Wishart(beta={self.beta:g}) has no real matrix of independent entries; use bidiagonal")
        return (self.sigma * jax.random.normal(key, check_shape(shape), float)).astype(dtype)

    def bidiagonal(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Bidiagonal:
        """One draw as its two diagonals. See `Ensemble.sample`."""
        N, M = check_shape(shape)
        if N < M:
            raise ValueError(f"Wishart().bidiagonal needs N >= M, got ({N}, {M}); swap them")
        degrees = self.beta * jnp.concatenate([N - jnp.arange(M), M - 1 - jnp.arange(M - 1)])
        entries = (self.sigma * jnp.sqrt(2 / self.beta) * _root_gamma(key, degrees / 2)).astype(dtype)
        return Bidiagonal(entries[:M], entries[M:], N)


class HTMP(_Laguerre):
    """The high-temperature beta-Laguerre ensemble: beta = 2 kappa/M falls as the matrix grows, and its levels hardly repel.

    W = sqrt(M) B, B upper bidiagonal and M x M with independent entries

        B_ii^2 ~ Gamma(a + 1 + kappa (M - i)/M),   B_i,i+1^2 ~ Gamma(kappa (M - i)/M),

    so that X = B^T B; or, if `inverse`, W = sqrt(M) B^(-T) and X = (B^T B)^-1, whose density has a power law of exponent a + 2.
    Its limit, as M grows, is `rmt.laws.HighTemperatureMarchenkoPastur(kappa, a, inverse)`.

    Args:
        kappa: M beta/2, > 0: the smaller, the less repulsion. kappa -> 0 leaves independent Gamma(a + 1) eigenvalues.
        a: > -1.
        inverse: the inverse ensemble; static.

    Raises:
        ValueError: kappa <= 0 or a <= -1; a shape that is not square.

    Source: L. Hodgkinson, Z. Wang, M. W. Mahoney, arXiv:2506.03470 (2025); the bidiagonal model by Dumitriu & Edelman 2002.
    """

    kappa: Float[Array, ""] = eqx.field(converter=parameter)
    a: Float[Array, ""] = eqx.field(converter=parameter)
    inverse: bool = eqx.field(default=False, static=True)

    def __check_init__(self):
        check_parameter(self, "kappa")
        check_parameter(self, "a", -1.0)
        if not isinstance(self.inverse, bool):
            raise ValueError(f"HTMP(inverse) must be True or False, got {self.inverse!r}")

    def bidiagonal(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Bidiagonal:
        """sqrt(M) B as its two diagonals, of the ensemble that is not inverted. See `Ensemble.sample`."""
        N, M = check_shape(shape)
        if N != M:
            raise ValueError(f"HTMP is square: pass (M, M), got ({N}, {M})")
        rest = self.kappa * (M - 1 - jnp.arange(M)) / M
        entries = _root_gamma(key, jnp.concatenate([self.a + 1 + rest, rest[:-1]]))
        entries = (jnp.sqrt(float(M)) * entries).astype(dtype)
        return Bidiagonal(entries[:M], entries[M:], M)

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One dense matrix, bidiagonal or the inverse of one. See `Ensemble.sample`."""
        B = self.bidiagonal(key, shape).matrix
        if self.inverse:
            B = shape[0] * jax.scipy.linalg.solve_triangular(B, jnp.eye(shape[0])).T
        return B.astype(dtype)

    def spectrum(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float, **options: Any) -> Spectrum:
        """Eigenvalues of X of one draw, by the bidiagonal model. See `Ensemble.spectrum`."""
        s = super().spectrum(key, shape, dtype, **options)
        return s.inverse() if self.inverse else s


def _root_gamma(key: Array, shape: Array) -> Array:
    """Square roots of Gamma(shape) draws, through their logarithms: a small shape draws what a float cannot hold.

    One call for all that are needed, since it compiles for seconds.
    """
    return jnp.exp(jax.random.loggamma(key, shape) / 2)
