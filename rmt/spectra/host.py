"""The spectrum of a matrix on the host by its LAPACK, for which nothing is compiled: many shapes, one matrix of each."""

import math

import numpy as np
from jaxtyping import Float

from rmt.spectra.base import Route, Spectrum
from rmt.spectra.dense import condition_by_norms, gram_error, gram_may_do, predicted_error, qr_first, svd_error

_EPS = float(np.finfo(np.float64).eps)
_BLOCK = 2**18  # entries in double precision at a time: they stay in the cache


def spectrum_on_host(W: Float[np.ndarray, "N M"], rtol: float = 1e-6) -> Spectrum:
    """`rmt.spectrum(W, rtol=rtol)` in float64, its arrays NumPy's: the same choice between the same two routes.

    XLA takes a second or more to compile that for each shape, which a network has many of, and few matrices of each.

    Args:
        W: real matrix with N >= M >= 1.
        rtol: relative accuracy wanted.

    Returns:
        Spectrum, with `error` and `route`; all of it NaN where an entry of W is not finite.

    Raises:
        ValueError: W is not 2-D, or has more columns than rows.

    Accuracy: that of `rmt.spectrum`, and held to the same bounds (`tests/test_spectra.py`).
    """
    if W.ndim != 2 or not W.shape[0] >= W.shape[1] >= 1:
        raise ValueError(f"spectrum_on_host(W) needs a matrix of N >= M >= 1, got shape {W.shape}")
    N, M = W.shape
    size = float(max(W.max(), -W.min()))
    x, error, route = np.full(M, np.nan), np.full(M, np.nan), Route.SVD
    if math.isfinite(size):
        # A power of two, by which dividing rounds nothing
        scale = np.ldexp(1.0, math.frexp(size)[1] - 1) if size > 0 else np.float64(1)
        if gram_may_do(N, M, _EPS, rtol):
            G, condition = _gram(W, scale)
            if predicted_error(condition, N, _EPS) <= rtol:
                x, route = np.linalg.eigvalsh(G), Route.GRAM
                error = gram_error(x, N)
        if not np.all(error <= rtol * x):
            s, route = _singular_values(W, scale), Route.SVD
            x, error = s**2, svd_error(s, N)
        with np.errstate(over="ignore", under="ignore"):
            x, error = x * scale**2, error * scale**2
    return Spectrum(x / N, N, error / N, np.asarray(int(route)), M)


def _gram(W: Float[np.ndarray, "N M"], scale: np.float64) -> tuple[Float[np.ndarray, "M M"], float]:
    """W^T W / scale^2, and by its way the guess at its condition."""
    N, M = W.shape
    G, norms, size = np.zeros((M, M)), np.empty(N), max(1, _BLOCK // M)
    for start in range(0, N, size):
        block = W[start : start + size] / scale
        G += block.T @ block
        np.einsum("ij,ij->i", block, block, out=norms[start : start + size])
    with np.errstate(all="ignore"):  # 0/0 of the zero matrix: NaN, so no
        return G, float(condition_by_norms(norms, np.diagonal(G)))


def _singular_values(W: Float[np.ndarray, "N M"], scale: np.float64) -> Float[np.ndarray, " M"]:
    W = W / scale
    return np.linalg.svd(np.linalg.qr(W, mode="r") if qr_first(*W.shape) else W, compute_uv=False)[::-1]
