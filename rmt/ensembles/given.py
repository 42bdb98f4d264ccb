"""Ensembles of the entries of a given matrix: shuffled, or drawn with replacement."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from rmt.ensembles.base import Ensemble, check_shape


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


def _permutation(key: Array, n: int) -> Array:
    """A random order of n things by one sort of random words that carry their index in the low bits.

    Nine times faster than `jax.random.permutation`, which sorts pairs, more than once. With at least 32 random bits above
    the index, two of which agree for some pair, the order of that pair follows its index: no effect that could be seen.
    """
    bits = max(1, (n - 1).bit_length())
    index = jnp.arange(n, dtype=jnp.uint64)
    words = jax.random.bits(key, (n,), jnp.uint64) >> bits << bits | index
    return jnp.sort(words) & ((1 << bits) - 1)
