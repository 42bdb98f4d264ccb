"""Quality metrics of the Heavy-Tailed Self-Regularization papers: plain functions of a Spectrum, and of a fit where needed.

One convention throughout: eigenvalues lambda are of X = W^T W / N, norms are norms of W, logarithms are base 10.
WeightWatcher has no 1/N: its eigenvalues are N lambda, and its `alpha_weighted` is `alpha_hat + alpha log10 N`.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from rmt.laws.base import Law
from rmt.laws.marchenko_pastur import MarchenkoPastur
from rmt.spectra import Spectrum
from rmt.tails.base import TailFit


def log_frobenius_norm(s: Spectrum) -> Float[Array, "*batch"]:
    """log10 ||W||_F^2 = log10(N sum_i lambda_i)."""
    return _namespace(s).log10(s.N * _all(s).sum(axis=-1))


def log_spectral_norm(s: Spectrum) -> Float[Array, "*batch"]:
    """log10 ||W||_2^2 = log10(N lambda_max)."""
    return _namespace(s).log10(s.N * s.lambda_max)


def alpha_hat(s: Spectrum, fit: TailFit) -> Float[Array, "*batch"]:
    """alpha log10 lambda_max (Martin & Mahoney, SDM 2020, eq 8's left side)."""
    return fit.alpha * _namespace(s).log10(s.lambda_max)


def log_alpha_norm(s: Spectrum, fit: TailFit) -> Float[Array, "*batch"]:
    """log10 of the alpha-Schatten norm, log10 Tr X^alpha = log10 sum_i lambda_i^alpha; alpha_hat <= it <= alpha_hat + log10 M."""
    xp, x = _namespace(s), _all(s)
    powers = xp.sum((x / s.lambda_max[..., None]) ** fit.alpha[..., None], axis=-1)
    return alpha_hat(s, fit) + xp.log10(powers)


def stable_rank(s: Spectrum) -> Float[Array, "*batch"]:
    """||W||_F^2 / ||W||_2^2 = sum_i lambda_i / lambda_max, in [1, M]."""
    return _all(s).sum(axis=-1) / s.lambda_max


def log_stable_rank(s: Spectrum) -> Float[Array, "*batch"]:
    """R = log ||W||_F^2 / log lambda_max, the stable rank "in log units" (SDM 2020, section 3).

    Not scale invariant: W -> c W adds 2 log c to both logarithms. Undefined at lambda_max = 1.
    """
    return log_frobenius_norm(s) / jnp.log10(s.lambda_max)


def entropy(s: Spectrum) -> Float[Array, "*batch"]:
    """Matrix entropy -sum_i p_i ln p_i / ln r in [0, 1], p_i = lambda_i / sum lambda, r = `s.rank`; 0 at rank one."""
    xp, x = _namespace(s), _all(s)
    p = x / x.sum(axis=-1, keepdims=True)
    rank = s.rank
    H = -xp.sum(xp.where(p > 0, p * xp.log(xp.where(p > 0, p, 1)), 0), axis=-1)
    return xp.where(rank > 1, H / xp.log(xp.maximum(rank, 2)), 0 * H)


def bulk_variance(s: Spectrum) -> Float[Array, "*batch"]:
    """sigma^2 of the entries of W from the bulk: median eigenvalue / median of the Marchenko-Pastur law of unit variance.

    The mean eigenvalue is in the hands of the largest, which the median hardly feels: with k outliers among M it is the
    M/(2 (M - k)) quantile of the bulk (`rmt.phases.weigh` leaves them out). Where the entries have no variance there is no
    such bulk, and this is a scale of the eigenvalues.

    Source: M. Gavish & D. L. Donoho, IEEE Trans. Inf. Theory 60 (2014) 5040, for the singular values.
    """
    return jnp.median(_all(s), axis=-1) / MarchenkoPastur(Q=s.Q).ppf(0.5)


def ks_distance(s: Spectrum, law: Law) -> Float[Array, "*batch"]:
    """sup_x |F_M(x) - F(x)| between the ESD, F_M(x) = #{lambda_i <= x} / M, and a law such as `MarchenkoPastur(s.Q)`.

    Eigenvalues repel, so this is far below the KS distance of M independent draws, and no table of that test applies.
    """
    return largest_gap(law.cdf(_all(s)), s.M)


def largest_gap(F: Float[Array, "*batch M"], m: ArrayLike) -> Float[Array, "*batch"]:
    """sup |F_m - F| for F at the m smallest of sorted values; those after them do not count."""
    i = jnp.arange(F.shape[-1], dtype=F.dtype)
    return jnp.max(jnp.where(i < m, jnp.maximum(F - i / m, (i + 1) / m - F), 0), axis=-1)


def _namespace(s: Spectrum) -> Any:
    """jax.numpy, or NumPy for a spectrum on the host, for which nothing is compiled then."""
    return s.eigenvalues.__array_namespace__()


def _all(s: Spectrum) -> Float[Array, "*batch M"]:
    """The eigenvalues, which must be all M: a sum over the largest is another quantity."""
    if not s.complete:
        raise ValueError(
            f"this metric needs all M = {s.M} eigenvalues, got the largest {s.eigenvalues.shape[-1]}; use rmt.spectrum(W)"
        )
    return s.eigenvalues
