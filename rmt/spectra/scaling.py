"""Scaling by powers of two, which rounds nothing."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def power_of_two(size: Float[Array, ""]) -> Float[Array, ""]:
    """The power of two below a size, so that dividing by it rounds nothing; 1 for zero and what is not finite."""
    usable = (size > 0) & jnp.isfinite(size)
    return jnp.exp2(jnp.frexp(jnp.where(usable, size, 1))[1].astype(size.dtype) - 1)
