"""The spectrum of a matrix that comes in blocks of rows: one too large to be held in double precision."""

import math
from collections.abc import Iterable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from rmt.spectra.base import Route, Spectrum
from rmt.spectra.dense import gram_error


def spectrum_of_rows(blocks: Iterable[Float[np.ndarray, "n M"]]) -> Spectrum:
    """Eigenvalues of X = W^T W / N, from the Gram matrix W^T W summed over blocks of the rows of W.

    Memory is that of one block and two M x M matrices, in float64 whatever the blocks are.

    Args:
        blocks: rows of W, any number at a time, M columns each; N >= M in all.

    Returns:
        Spectrum, of the route GRAM: small eigenvalues have large relative errors, which `error` tells. NaN where an entry is
        not finite.

    Raises:
        ValueError: there are fewer rows than columns, or the blocks differ in their columns.

    Accuracy: that of the method "gram" of `rmt.spectrum`, as `tests/test_spectra.py` holds it to.
    """
    N, G = 0, None
    for block in blocks:
        rows = np.asarray(block, np.float64)
        if rows.ndim != 2 or (G is not None and rows.shape[1] != len(G)):
            raise ValueError(f"spectrum_of_rows(blocks) needs blocks of equally many columns, got shape {rows.shape}")
        G = rows.T @ rows + (0 if G is None else G)
        N += len(rows)
    if G is None or not N >= len(G) >= 1:
        raise ValueError(f"spectrum_of_rows(blocks) needs N >= M >= 1, got {N} rows of {0 if G is None else len(G)}")
    if not np.all(np.isfinite(G)):
        x = np.full(len(G), math.nan)
    else:
        x = np.linalg.eigvalsh(G)
    values = jnp.asarray(x)
    return Spectrum(values / N, N, gram_error(values, N) / N, jnp.asarray(int(Route.GRAM)), len(x))
