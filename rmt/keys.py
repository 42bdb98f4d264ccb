"""The one key policy: a point's key comes from its coordinates, a trial's key from the point's key and its number.

So the draws of a point do not depend on the grid around it, on the order of the axes, or on how many trials are asked
for: extending a grid or adding trials leaves every earlier draw as it was.
"""

import hashlib
from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, Int, Key


def canonical(value: object) -> str:
    """One spelling per coordinate value: exact for floats, equal for Python and NumPy scalars, distinct across kinds."""
    if isinstance(value, str):
        return f"str:{value}"
    if isinstance(value, bool | np.bool_):
        return f"bool:{bool(value)}"
    if isinstance(value, int | np.integer):
        return f"int:{int(value)}"
    if isinstance(value, float | np.floating):
        return f"float:{float(value).hex()}"
    raise TypeError(
        f"a grid coordinate must be a str, bool, int or float; got {value!r} of type {type(value).__name__}"
    )


def point_key(key: Key[Array, ""], point: Mapping[str, object]) -> Key[Array, ""]:
    """Key of a grid point: `key` folded with 128 bits of the SHA-256 of its sorted `name=value` pairs."""
    text = "\n".join(f"{name}={canonical(point[name])}" for name in sorted(point))
    for word in np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u4"):
        key = jax.random.fold_in(key, word)
    return key


def trial_keys(key: Key[Array, ""], start: int | Int[Array, ""], count: int) -> Key[Array, " count"]:
    """Keys of the trials start .. start + count - 1 of a point; trial t's key depends on t alone."""
    return jax.vmap(lambda t: jax.random.fold_in(key, t))(start + np.arange(count, dtype=np.uint32))
