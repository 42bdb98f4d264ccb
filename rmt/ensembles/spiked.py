"""Spiked matrices: noise and a few directions that stand out, added to W or put into the covariance of its rows."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from rmt.ensembles.base import Ensemble, check_base, check_shape, orthonormal
from rmt.laws.base import check_parameter


def _vector(value: Any) -> Array:
    return jnp.atleast_1d(jnp.asarray(value, float))


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
    strengths: Float[Array, " k"] = eqx.field(converter=_vector)

    def __check_init__(self):
        check_base(self, self.base)
        _check_spikes(self, "strengths", self.strengths)

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; see `Ensemble.sample`."""
        N, M = check_shape(shape)
        rank = self.strengths.size
        _check_rank(self, rank, N, M)
        base_key, left_key, right_key = jax.random.split(key, 3)
        u, v = orthonormal(left_key, N, rank), orthonormal(right_key, M, rank)
        spikes = jnp.sqrt(float(N)) * (u * self.strengths[None, :]) @ v.T
        return (self.base.sample(base_key, (N, M)) + spikes).astype(dtype)


class SpikedCovariance(Ensemble):
    """W = Z (1 + sum_i (sqrt(l_i) - 1) v_i v_i^T), Z drawn from `base`, the v_i orthonormal and uniformly random.

    If the entries of Z are iid with variance sigma^2, the covariance of the rows of W has the eigenvalues sigma^2 l_i, and
    sigma^2 otherwise. `rmt.spikes.covariance_spike_location` says which show, and where.

    Args:
        base: the ensemble of Z.
        spikes: l_1, l_2, ... > 0: at least one, at most M; l_i = 1 is no spike.

    Raises:
        ValueError: no spikes, more than one axis of them, or one that is not positive.
    """

    base: Ensemble
    spikes: Float[Array, " k"] = eqx.field(converter=_vector)

    def __check_init__(self):
        check_base(self, self.base)
        _check_spikes(self, "spikes", self.spikes)
        check_parameter(self, "spikes")

    def sample(self, key: Key[Array, ""], shape: tuple[int, int], dtype: Any = float) -> Float[Array, "N M"]:
        """One matrix; see `Ensemble.sample`."""
        N, M = check_shape(shape)
        _check_rank(self, self.spikes.size, M, M)
        base_key, key = jax.random.split(key)
        Z, v = self.base.sample(base_key, (N, M)), orthonormal(key, M, self.spikes.size)
        return (Z + (Z @ v * (jnp.sqrt(self.spikes) - 1)[None, :]) @ v.T).astype(dtype)


def _check_spikes(owner: Ensemble, name: str, value: Array) -> None:
    if value.ndim != 1 or value.size == 0:
        raise ValueError(f"{type(owner).__name__}({name}) needs one or more numbers in a row, got shape {value.shape}")


def _check_rank(owner: Ensemble, count: int, N: int, M: int) -> None:
    if count > min(N, M):
        raise ValueError(
            f"{type(owner).__name__}: {count} spikes do not fit a matrix of shape ({N}, {M}); its rank is {min(N, M)}"
        )
