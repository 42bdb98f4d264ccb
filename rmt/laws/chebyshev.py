"""Chebyshev series on consecutive segments: how laws that come from a table are evaluated."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def segment(starts: np.ndarray, x: Float[Array, "*batch"]) -> Int[Array, "*batch"]:
    """Number of the segment that holds x: the last that starts at or below it, or the first.

    By comparison: a division would round the numbers just below a start up to it, and so into the wrong segment.
    """
    return jnp.maximum(jnp.searchsorted(jnp.asarray(starts), x, side="right") - 1, 0)


def clenshaw(coefficients: Float[Array, "*batch n"], t: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """sum_k c_k T_k(t) for -1 <= t <= 1, by Clenshaw's recurrence; every t has coefficients of its own."""

    def step(carry: tuple[Array, Array], coefficient: Array) -> tuple[tuple[Array, Array], None]:
        last, before = carry
        return (coefficient + 2 * t * last - before, last), None

    backwards = jnp.moveaxis(coefficients[..., :0:-1], -1, 0)
    (last, before), _ = jax.lax.scan(step, (jnp.zeros_like(t), jnp.zeros_like(t)), backwards)
    return coefficients[..., 0] + t * last - before
