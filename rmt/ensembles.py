"""Ensembles: random matrices to draw W from."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from rmt.laws import Law


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


class IID(Ensemble):
    """W_ij independent, all with the same law.

    Args:
        law: the law of the entries.
    """

    law: Law

    def __check_init__(self):
        if not isinstance(self.law, Law):
            raise ValueError(f"IID(law) needs a law such as rmt.Pareto(mu=1.5), got {self.law!r}")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; see `Ensemble.sample`."""
        return self.law.sample(key, check_shape(shape), dtype)


class Spiked(Ensemble):
    """W = Z + sqrt(N) sum_i theta_i u_i v_i^T: Z drawn from `base`, u_i and v_i orthonormal and uniformly random.

    `rmt.spikes` says which strengths show, and where: theta_i on its own is an eigenvalue theta_i^2 of W^T W / N.

    Args:
        base: the ensemble of Z.
        strengths: theta_1, theta_2, ...: at least one, at most min(N, M), in units of the entries of W.

    Raises:
        ValueError: no strengths, or more than one axis of them.
    """

    base: Ensemble
    strengths: Float[Array, " k"] = eqx.field(converter=lambda value: jnp.atleast_1d(jnp.asarray(value, float)))

    def __check_init__(self):
        if not isinstance(self.base, Ensemble):
            raise ValueError(f"Spiked(base) needs an ensemble such as rmt.IID(rmt.Gaussian()), got {self.base!r}")
        if self.strengths.ndim != 1 or self.strengths.size == 0:
            raise ValueError(f"Spiked(strengths) needs one or more numbers in a row, got shape {self.strengths.shape}")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; see `Ensemble.sample`."""
        N, M = check_shape(shape)
        rank = self.strengths.size
        if rank > min(N, M):
            raise ValueError(f"Spiked: {rank} spikes do not fit a matrix of shape ({N}, {M}); its rank is {min(N, M)}")
        base_key, left_key, right_key = jax.random.split(key, 3)
        u, v = _orthonormal(left_key, N, rank), _orthonormal(right_key, M, rank)
        spikes = jnp.sqrt(float(N)) * (u * self.strengths[None, :]) @ v.T
        return (self.base.sample(base_key, (N, M)) + spikes).astype(dtype)


class _OfEntries(Ensemble):
    """What a given matrix's entries make."""

    W: Float[Array, "N M"] = eqx.field(converter=jnp.asarray)

    def __check_init__(self):
        if self.W.ndim != 2:
            raise ValueError(f"{type(self).__name__}(W) needs one 2-D matrix, got shape {self.W.shape}")


class Shuffled(_OfEntries):
    """The entries of a given matrix in uniformly random order: same entries, no structure.

    Args:
        W: the matrix, N x M.

    Raises:
        ValueError: W is not a matrix.
    """

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; `shape` must be that of W. See `Ensemble.sample`."""
        if check_shape(shape) != self.W.shape:
            raise ValueError(f"Shuffled(W).sample needs the shape of W, {self.W.shape}, got {tuple(shape)}")
        return self.W.ravel()[_permutation(key, self.W.size)].reshape(self.W.shape).astype(dtype)


class Resampled(_OfEntries):
    """Matrices whose entries are drawn, with replacement, from the entries of a given matrix.

    The bootstrap of iid entries: what W's own entries say of the law they came from, and nothing of their places.

    Args:
        W: the matrix.

    Raises:
        ValueError: W is not a matrix.
    """

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix, of any shape. See `Ensemble.sample`."""
        return self.W.ravel()[jax.random.randint(key, check_shape(shape), 0, self.W.size)].astype(dtype)


def check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    """The shape of one matrix as two ints.

    Raises:
        ValueError: it is not two positive integers.
    """
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if len(sizes) != 2 or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise ValueError(f"sample(key, shape) needs shape = (N, M), two positive integers, got {shape!r}")
    return sizes


def _permutation(key: Array, n: int) -> Array:
    """A random order of n things by one sort of random words that carry their index in the low bits.

    Nine times faster than `jax.random.permutation`, which sorts pairs, more than once. With at least 32 random bits above
    the index, two of which agree for some pair, the order of that pair follows its index: no effect that could be seen.
    """
    bits = max(1, (n - 1).bit_length())
    index = jnp.arange(n, dtype=jnp.uint64)
    words = jax.random.bits(key, (n,), jnp.uint64) >> bits << bits | index
    return jnp.sort(words) & ((1 << bits) - 1)


def _orthonormal(key: Array, n: int, k: int) -> Array:
    """k orthonormal vectors in n dimensions, uniform: QR of a Gaussian matrix, with the signs LAPACK chose undone."""
    q, r = jnp.linalg.qr(jax.random.normal(key, (n, k), float))
    return q * jnp.where(jnp.diagonal(r) < 0, -1.0, 1.0)[None, :]
