"""spectrum: the one door to every way of computing eigenvalues of W^T W / N; checks the matrix, bounds the errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rmt.batching import row_by_row
from rmt.spectra.base import Bidiagonal, Route, Spectrum
from rmt.spectra.bidiagonal import by_counting
from rmt.spectra.dense import by_cheaper, by_gram, by_svd
from rmt.spectra.lanczos import by_lanczos

METHODS = ("auto", "svd", "gram", "bidiagonal", "top")
RTOL = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-4}
"""The relative accuracy that is asked for by default.

A fit reads ln(lambda), so its alpha moves by about this much times alpha - 1 at most, against a standard error of
(alpha - 1) / sqrt(n_tail): 1e-6 is a thousandth of that up to a million eigenvalues.
"""


def spectrum(
    W: Float[Array, "N M"] | Bidiagonal, method: str = "auto", *, rtol: float | None = None, k: int | None = None
) -> Spectrum:
    """Eigenvalues of X = W^T W / N, ascending, with a bound on the error of each.

    Args:
        W: real matrix with N >= M >= 1, or a `Bidiagonal`. Integers are taken as float64, half precision as float32; float32
            stays float32.
        method: with eps = 2.2e-16, or 1.2e-7 in float32, and s_max^2 = N lambda_max,

            "svd": lambda = s^2 / N for the singular values s of W; |ds| <= eps (8 s_max + 2 sqrt(N) s), so a relative error
                of about 16 eps sqrt(lambda_max / lambda) for small lambda, and 4 sqrt(N) eps for large ones. By LAPACK on
                a CPU, by `bidiagonalised` and counting elsewhere;
            "gram": eigenvalues of the matrix W^T W; |d lambda| <= eps (16 lambda_max + 4 sqrt(N) lambda), so 16 eps lambda_max /
                lambda for small ones: the condition number enters squared. Fewer operations;
            "auto": "gram" where that bound holds every relative error to `rtol`, else "svd". The norms of rows and columns
                tell beforehand, at a few hundredths of the cost, where it would not: with heavy tails, mu < 1.25 or so, for
                square matrices, and for those without full rank. On an accelerator, where a batch would go both ways, "svd";
            "bidiagonal": for a `Bidiagonal`, where it is what "auto" does; |d lambda| <= eps (16 + 4 sqrt(M)) lambda, however
                small lambda is, in O(M^2);
            "top": the k largest by Lanczos iteration; |d lambda| is the residual and eps (16 + 4 sqrt(N)) lambda_max.
        rtol: relative accuracy wanted by "auto" and "top"; None is 1e-6, and 1e-4 in float32.
        k: number of eigenvalues, for "top" only.

    Returns:
        Spectrum of M eigenvalues, or of k, with `error` and `route`. Non-finite entries of W make all of it NaN. Where "top"
        does not reach rtol in 10 k + 100 steps, `error` says so.

    Raises:
        ValueError: W is not 2-D, is complex, or has more columns than rows; an option is unknown or does not fit.

    Accuracy: the bounds are not theorems: their shape is LAPACK's, and their constants are at least twice the largest errors
        seen: `tests/test_spectra.py` holds half of them to mpmath on a thousand small matrices, with Gaussian entries and with
        mu = 0.5, 1 and 2.
        On an H100 differences from the CPU were below 0.2 of both bounds (`tests/benchmarks/devices.py`).
        Times are those of `tests/benchmarks/spectra.py`.
    """
    _check_options(method, rtol, k)
    W = _checked(W)
    method = _resolved(method, isinstance(W, Bidiagonal))
    dtype = np.dtype(W.diagonal.dtype if isinstance(W, Bidiagonal) else W.dtype)
    M = W.M if isinstance(W, Bidiagonal) else W.shape[1]
    if k is not None and k > M:
        raise ValueError(f"spectrum(k) needs at most M = {M} eigenvalues, got k={k}")
    N = W.N if isinstance(W, Bidiagonal) else W.shape[0]
    x, error, route = _measured(W, method, RTOL[dtype] if rtol is None else float(rtol), k)
    return Spectrum(x, N, error, route, M)


def _check_options(method, rtol, k):
    if method not in METHODS:
        raise ValueError(f"spectrum(method) is one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if rtol is not None and not 0 < rtol < 1:
        raise ValueError(f"spectrum(rtol) needs a relative accuracy between 0 and 1, such as 1e-6, got {rtol!r}")
    if (k is None) == (method == "top"):
        raise ValueError(f'spectrum(k) goes with method="top", and only with it; got method={method!r}, k={k!r}')
    if k is not None and (isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1):
        raise ValueError(f"spectrum(k) needs a positive number of eigenvalues, got {k!r}")


def _resolved(method: str, bidiagonal: bool) -> str:
    if bidiagonal and method not in ("auto", "bidiagonal"):
        raise ValueError(
            f'spectrum of a Bidiagonal has method "bidiagonal", got {method!r}; pass its dense .matrix for the others'
        )
    if not bidiagonal and method == "bidiagonal":
        raise ValueError('spectrum(method="bidiagonal") needs a rmt.spectra.Bidiagonal; use "auto" for a dense matrix')
    return "bidiagonal" if bidiagonal else method


def _checked(W):
    """The matrix in float64 or float32."""
    if isinstance(W, Bidiagonal):
        dtype = _working(jnp.result_type(W.diagonal, W.offdiagonal))
        return Bidiagonal(W.diagonal.astype(dtype), W.offdiagonal.astype(dtype), W.N)
    W = jnp.asarray(W)
    if W.ndim != 2:
        raise ValueError(
            f"spectrum(W) needs one 2-D matrix, got shape {W.shape}; use jax.vmap(rmt.spectrum) for a stack"
        )
    if jnp.iscomplexobj(W):
        raise ValueError(f"spectrum(W) needs a real matrix, got dtype {W.dtype}")
    N, M = W.shape
    if N < M:
        raise ValueError(f"spectrum(W) needs N >= M, got ({N}, {M}); pass W.T")
    if M == 0:
        raise ValueError(f"spectrum(W) needs at least one column, got shape {W.shape}")
    return W.astype(_working(W.dtype))


def _working(dtype):
    if not jnp.issubdtype(dtype, jnp.floating):
        return np.dtype(float)
    return np.dtype(np.float32) if jnp.finfo(dtype).bits < 32 else np.dtype(dtype)


# Compiled, so that a call outside jit costs one compilation a shape. The derivative is that of simple eigenvalues,
# d lambda_i = 2 s_i u_i^T dW v_i / N, whatever the route: LAPACK and a search by counting have none of their own.


@partial(jax.jit, static_argnames=("method", "rtol", "k"))
def _measured(W, method: str, rtol: float, k: int | None):
    return _values(W, method, rtol, k)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _values(W, method, rtol, k):
    def one(W):
        N = W.N if isinstance(W, Bidiagonal) else W.shape[0]
        x, error, route = _routes(W, method, rtol, k)
        nan = jnp.where(jnp.all(jnp.asarray([jnp.all(jnp.isfinite(a)) for a in jax.tree.leaves(W)])), 0, jnp.nan)
        return x / N + nan.astype(x.dtype), error / N + nan.astype(x.dtype), route

    return row_by_row(one)(W)


def _routes(W, method, rtol, k):
    """Eigenvalues of W^T W, their errors, and the route."""
    if method == "auto":
        return by_cheaper(W, rtol)
    if method == "svd":
        return *by_svd(W), jnp.asarray(int(Route.SVD))
    if method == "gram":
        return *by_gram(W), jnp.asarray(int(Route.GRAM))
    if method == "top":
        return *by_lanczos(W, k, rtol), jnp.asarray(int(Route.TOP))
    return *by_counting(W), jnp.asarray(int(Route.BIDIAGONAL))


@_values.defjvp
def _values_jvp(method, rtol, k, primals, tangents):
    (W,), (dW,) = primals, tangents
    x, error, route = _values(W, method, rtol, k)
    N = W.N if isinstance(W, Bidiagonal) else W.shape[0]
    dense, d_dense = (W.matrix, dW.matrix) if isinstance(W, Bidiagonal) else (W, dW)
    u, s, vT = jnp.linalg.svd(dense, full_matrices=False)
    dx = (2 / N * s * jnp.sum(u * (d_dense @ vT.T), axis=0))[::-1][-x.shape[-1] :]
    return (x, error, route), (dx.astype(x.dtype), jnp.zeros_like(error), np.zeros(route.shape, jax.dtypes.float0))
