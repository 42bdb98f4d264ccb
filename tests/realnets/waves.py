"""The numbers of the fixtures: what the scripts have written that need a framework, and what the tests expect without it."""

import ml_dtypes
import numpy as np


def wave(*shape: int) -> np.ndarray:
    """sin 0, sin 1, ... in float32."""
    return np.sin(np.arange(np.prod(shape), dtype=np.float64)).reshape(shape).astype(np.float32)


def values(name: str) -> np.ndarray:
    """A 3 x 4 array of a type."""
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    if name == "bool":
        return np.arange(12).reshape(3, 4) % 2 == 0
    if name.startswith(("int", "uint")):
        return np.arange(-6, 6).reshape(3, 4).astype(dtype)
    return (wave(3, 4) * (1 - 2j)).astype(dtype) if dtype.kind == "c" else wave(3, 4).astype(dtype)
