"""What a tail fit finds where there is no tail: quantiles of alpha and of D over noise, by shape."""

import jax

from rmt.ensembles import Wishart
from rmt.tails import fit_tail


def measure(key: jax.Array, *, N: int, M: int) -> dict[str, jax.Array]:
    """alpha, D and the size of the tail of one matrix of unit Gaussian entries, by the default fit."""
    fit = fit_tail(Wishart().spectrum(key, (N, M)))
    return {"alpha": fit.alpha, "ks": fit.ks, "n_tail": fit.n_tail}
