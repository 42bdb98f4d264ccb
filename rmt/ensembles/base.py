"""Ensemble: a random matrix to draw W from, and what all ensembles share."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from rmt.laws import Law
from rmt.laws.base import check_law
from rmt.spectra import Spectrum, spectrum


class Ensemble(eqx.Module):
    """A random N x M matrix. To add one, write `sample`, and let `check_shape` look at the shape."""

    @abstractmethod
    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix.

        Args:
            key: a `jax.random.key`, used up by this call; `jax.vmap` over keys for many matrices.
            shape: (N, M), static.
            dtype: a floating dtype, float64 by default.

        Raises:
            ValueError: `shape` is not two positive integers, or does not fit the ensemble.
        """

    def spectrum(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float, **options: Any) -> Spectrum:
        """The eigenvalues of W^T W / N of one draw, by the cheapest exact way that the ensemble knows.

        Args:
            key: a `jax.random.key`, used up by this call.
            shape: (N, M), static.
            dtype: a floating dtype, float64 by default.
            options: as for `rmt.spectrum`.

        Raises:
            ValueError: as `sample` and `rmt.spectrum`.
        """
        return spectrum(self.sample(key, shape, dtype), **options)


class IID(Ensemble):
    """W_ij independent, all with the same law.

    Args:
        law: the law of the entries.
    """

    law: Law

    def __check_init__(self):
        check_law("IID", self.law, "rmt.Pareto(mu=1.5)")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; see `Ensemble.sample`."""
        return self.law.sample(key, check_shape(shape), dtype)


def check_base(owner: Ensemble, base: object) -> None:
    """Raise ValueError unless the base of an ensemble is an ensemble itself."""
    if not isinstance(base, Ensemble):
        raise ValueError(
            f"{type(owner).__name__}(base) needs an ensemble such as rmt.IID(rmt.Gaussian()), got {base!r}"
        )


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """The shape of one matrix as two ints.

    Raises:
        ValueError: it is not two positive integers.
    """
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if len(sizes) != 2 or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise ValueError(f"sample(key, shape) needs shape = (N, M), two positive integers, got {shape!r}")
    return sizes


def orthonormal(key: Array, n: int, k: int) -> Array:
    """k orthonormal vectors in n dimensions, uniform: QR of a Gaussian matrix, with the signs LAPACK chose undone."""
    q, r = jnp.linalg.qr(jax.random.normal(key, (n, k), float))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)[None, :]
