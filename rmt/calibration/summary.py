"""A spectrum in ten numbers: what simulated and observed matrices are compared by."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.errors import InputError
from rmt.spectra import Spectrum

EXPONENTS = (0.0, 0.15, 0.3, 0.45, 0.575, 0.7, 0.8)
LAST = 0.8
"""The smallest fifth of the eigenvalues is left out: they say little of a tail, and a collapsed rank makes them zero."""

N_BULK = 3
N_FEATURES = len(EXPONENTS) + N_BULK


def bands(M: int) -> Float[np.ndarray, "K M"]:
    """Weights of M eigenvalues, the largest first, in K means over neighbouring ranks.

    Band k is what lies between the ranks M^e_(k-1) and M^e_k, with e of `EXPONENTS`, the first of them the largest eigenvalue
    alone; then `N_BULK` of equal width up to `LAST` M. An eigenvalue on the border of two is shared, so that the weights
    change smoothly with M.
    """
    upper = [M**e for e in EXPONENTS]
    edges = np.array([0.0, *upper[:-1], *np.linspace(upper[-1], LAST * M, N_BULK + 1)])
    rank = np.arange(M)
    shared = np.minimum(edges[1:, None], rank + 1) - np.maximum(edges[:-1, None], rank)
    shared = np.clip(shared, 0, None)
    return shared / shared.sum(axis=1, keepdims=True)


def summary(s: Spectrum) -> Float[Array, "*batch K"]:
    """Means of ln lambda over the bands of ranks, less the median of ln lambda: no scale of W is in them.

    Args:
        s: all eigenvalues of a matrix, or of a batch of one shape.
    """
    log = jnp.log(s.eigenvalues[..., ::-1])
    return log @ jnp.asarray(bands(s.M)).T - jnp.median(log, axis=-1, keepdims=True)


def check_full_rank(s: Spectrum, what: str) -> None:
    """Raise InputError unless all eigenvalues are finite and none is zero to within its error."""
    if not bool(jnp.all(jnp.isfinite(s.eigenvalues))):
        raise InputError(f"{what}(s) needs finite eigenvalues")
    if (zeros := s.M - int(s.rank)) > 0:
        raise InputError(
            f"{what}(s) needs a matrix of full rank: {zeros} of {s.M} eigenvalues are zero to within their error. Independent "
            "entries do not do that; a collapsed rank is a phase of its own (rmt.phases.phase)"
        )
