"""All eigenvalues of W^T W: by the singular values of W, by the Gram matrix, or by whichever is enough."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxlib import lapack
from jaxtyping import Array, Bool, Float

from rmt.spectra.base import Route
from rmt.spectra.bidiagonal import by_counting
from rmt.spectra.householder import bidiagonalised
from rmt.spectra.scaling import power_of_two

ABSOLUTE = 16
"""Errors relative to the largest value, in eps: at least twice the largest seen (see `spectrum`)."""
MARGIN = 3.0
"""How much worse a matrix may be than `predicted_condition` says before the Gram route was taken in vain."""

_BLOCKS, _ROWS = 4, 256
_UNBLOCKED = 64


def by_svd(W: Float[Array, "N M"]) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """Ascending s^2 for the singular values s of W, and a bound on the error of each."""
    s = lax.platform_dependent(W, cpu=_svd_lapack, default=svd_by_reflections)
    return s**2, svd_error(s, W.shape[0])


def _svd_lapack(W: Float[Array, "N M"]) -> Float[Array, " M"]:
    N, M = W.shape
    if qr_first(N, M):
        W = jnp.linalg.qr(W, mode="r")
    return jnp.linalg.svd(W, compute_uv=False)[::-1]


def svd_by_reflections(W: Float[Array, "N M"]) -> Float[Array, " M"]:
    """Ascending singular values: what `by_svd` takes where there is no LAPACK. Any device has it."""
    B, scale = bidiagonalised(W)
    return jnp.sqrt(by_counting(B)[0]) * scale


def qr_first(N: int, M: int) -> bool:
    """Whether singular values come sooner from the factor R; LAPACK's driver does so itself, but from 11/6 on."""
    return N >= 4 / 3 * M


def svd_error(s: Float[Any, " M"], N: int) -> Float[Any, " M"]:
    """Bound on the errors of the squares of ascending singular values of a matrix of N rows."""
    ds = jnp.finfo(s.dtype).eps * (ABSOLUTE / 2 * s[-1] + 2 * math.sqrt(N) * s)
    return (2 * s + ds) * ds


def by_gram(W: Float[Array, "N M"]) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """Ascending eigenvalues of W^T W, and a bound on the error of each."""
    N, _ = W.shape
    scale = power_of_two(jnp.max(jnp.abs(W)))
    x = lax.platform_dependent(W, scale, cpu=_gram_lapack, default=_gram_eigenvalues)
    return x * scale**2, gram_error(x, N) * scale**2


def gram_error(x: Float[Any, " M"], N: int) -> Float[Any, " M"]:
    """Bound on the errors of ascending eigenvalues of a Gram matrix of N rows."""
    return jnp.finfo(x.dtype).eps * (ABSOLUTE * x[-1] + 4 * math.sqrt(N) * abs(x))


def by_cheaper(W: Float[Array, "N M"], rtol: float) -> tuple[Float[Array, " M"], Float[Array, " M"], Array]:
    """The Gram route where its bound holds every relative error to `rtol`, and else the SVD; and the route taken.

    A batch on an accelerator would go both ways, so there it is the SVD.
    """
    N, M = W.shape
    if not gram_may_do(N, M, float(jnp.finfo(W.dtype).eps), rtol):
        return _only_svd(W)
    return lax.platform_dependent(W, cpu=partial(_cheaper, rtol=rtol), default=_only_svd)


def _only_svd(W: Float[Array, "N M"]) -> tuple[Float[Array, " M"], Float[Array, " M"], Array]:
    return *by_svd(W), jnp.asarray(int(Route.SVD))


def _cheaper(W: Float[Array, "N M"], rtol: float) -> tuple[Float[Array, " M"], Float[Array, " M"], Array]:
    zero = jnp.zeros(W.shape[1], W.dtype)
    x, error = lax.cond(gram_will_do(W, rtol), by_gram, lambda _: (zero, zero + 1), W)
    enough = jnp.all(error <= rtol * x)
    # Without the barrier XLA transposes W for LAPACK's SVD before it is known whether there will be one.
    x, error = lax.cond(enough, lambda W: (x, error), by_svd, lax.optimization_barrier(W))
    return x, error, jnp.where(enough, int(Route.GRAM), int(Route.SVD))


def gram_will_do(W: Float[Array, "N M"], rtol: float) -> Bool[Array, ""]:
    """Whether the Gram route should hold every relative error to `rtol`, before any work is done: False if in doubt."""
    return predicted_error(predicted_condition(W), W.shape[0], jnp.finfo(W.dtype).eps) <= rtol


def gram_may_do(N: int, M: int, eps: float, rtol: float) -> bool:
    """What the shape alone says of `gram_will_do`: the medians are at most twice the means, so the condition at least this."""
    smallest, edge = _ends(N, M)
    return predicted_error(edge / (2 * smallest), N, eps) <= rtol


def predicted_error(condition, N: int, eps):
    """Relative, of the smallest eigenvalue by the Gram route."""
    return eps * (ABSOLUTE * MARGIN * condition + 4 * math.sqrt(N))


def _ends(N: int, M: int) -> tuple[float, float]:
    """About the smallest eigenvalue of W^T W for entries of mean square 1, at its decile where N is M or little more; the edge."""
    smallest = (math.sqrt(N) - math.sqrt(M - 1)) ** 2 * 0.2 ** (2 / (N - M + 1))
    return smallest, (math.sqrt(N) + math.sqrt(M)) ** 2


def predicted_condition(W: Float[Array, "N M"]) -> Float[Array, ""]:
    """Guess at lambda_max / lambda_min of a matrix of independent entries, from the norms of its rows and columns alone.

    lambda_max is at least the largest squared norm of a row or column, which it is about where tails are heavy, and the
    Marchenko-Pastur edge of the mean square where they are not. lambda_min is about v (sqrt N - sqrt(M - 1))^2, v the mean
    square of a typical row or column; of a square matrix it scatters down to zero, P(lambda_min < v t^2 / M) ~ t, and its
    decile stands for it.

    Source: Edelman, SIAM J. Matrix Anal. Appl. 9 (1988) for the scatter. The rest is measured: within a factor of 2 for
        mu >= 1.25 and N >= 1.5 M; too small, by up to 10^4, where it is above 10^9 anyway (`tests/test_spectra.py`).
    """
    M = W.shape[1]
    scale = power_of_two(jnp.max(jnp.abs(W)))
    rows = jnp.sum((W / scale) ** 2, axis=1)
    columns = _fold_rows(W, lambda sums, rows: sums + jnp.sum((rows / scale) ** 2, axis=0), jnp.zeros(M, W.dtype))
    return condition_by_norms(rows, columns)


def condition_by_norms(rows: Float[Any, " N"], columns: Float[Any, " M"]) -> Float[Any, ""]:
    """`predicted_condition`, from the squared norms of the rows and columns, on the host or on a device as these are."""
    N, M, xp = len(rows), len(columns), rows.__array_namespace__()
    smallest, edge = _ends(N, M)
    largest = xp.maximum(xp.mean(columns) / N * edge, xp.maximum(xp.max(rows), xp.max(columns)))
    typical = xp.minimum(xp.median(rows) / M, xp.median(columns) / N)
    return largest / (typical * smallest)


def _gram_eigenvalues(W: Float[Array, "N M"], scale: Float[Array, ""]) -> Float[Array, " M"]:
    W = W / scale
    # Accelerators multiply float32 in fewer bits unless told not to.
    return jnp.linalg.eigvalsh(jnp.matmul(W.T, W, precision=lax.Precision.HIGHEST))


def _gram_lapack(W: Float[Array, "N M"], scale: Float[Array, ""]) -> Float[Array, " M"]:
    return eigenvalues_lapack(_gram_blocked(W, scale))


def _gram_blocked(W: Float[Array, "N M"], scale: Float[Array, ""]) -> Float[Array, "M M"]:
    """W^T W / scale^2 on and above the diagonal, zero far below it.

    No product of blocks is made twice, which is 5/8 of the work. On a CPU XLA multiplies fastest what lies row beside row:
    so the left factor is transposed first.
    """
    M = W.shape[1]
    ends = [M * i // _BLOCKS for i in range(1, _BLOCKS + 1)] if M >= _UNBLOCKED else [M]
    spans = list(zip([0, *ends], ends, strict=False))

    def add(blocks: list[Array], rows: Array) -> list[Array]:
        rows = rows / scale
        columns = lax.optimization_barrier(rows.T)
        return [G + columns[:end] @ rows[:, start:end] for G, (start, end) in zip(blocks, spans, strict=True)]

    blocks = _fold_rows(W, add, [jnp.zeros((end, end - start), W.dtype) for start, end in spans])
    return jnp.concatenate([jnp.pad(G, ((0, M - len(G)), (0, 0))) for G in blocks], axis=1)


def _fold_rows(W: Float[Array, "N M"], add: Callable[[Any, Array], Any], total: Any) -> Any:
    """add(... add(add(total, first rows), next rows) ..., last rows): no copy of all of W is made on the way."""
    N = len(W)
    size = min(N, _ROWS)
    total = lax.fori_loop(0, N // size, lambda i, total: add(total, lax.dynamic_slice_in_dim(W, i * size, size)), total)
    return add(total, W[N - N % size :]) if N % size else total


def eigenvalues_lapack(G: Float[Array, "M M"]) -> Float[Array, " M"]:
    """Ascending eigenvalues of a symmetric matrix given on and above its diagonal, by LAPACK: CPU only.

    `jnp.linalg.eigvalsh` computes eigenvectors and drops them. LAPACK's own driver, asked for none, gets from jaxlib the
    least workspace there is, with which its reduction to tridiagonal form runs at half speed; but on a matrix that is
    tridiagonal already it has nothing to reduce. So the reduction is a call of its own.
    """
    M = G.shape[0]
    if M >= _UNBLOCKED:
        _, diagonal, beside, _ = lax.linalg.tridiagonal(G, lower=False)
        i, j = jnp.arange(M)[:, None], jnp.arange(M)[None, :]
        beside = jnp.append(beside, 0)
        G = jnp.where(i == j, diagonal[:, None], jnp.where(j == i + 1, beside[:, None], 0))
    values = jax.ShapeDtypeStruct((M,), G.dtype)
    call = jax.ffi.ffi_call(
        lapack.prepare_lapack_call("syevd_ffi", G.dtype),
        (jax.ShapeDtypeStruct(G.shape, G.dtype), values, jax.ShapeDtypeStruct((), np.int32)),
        input_output_aliases={0: 0},
        vmap_method="sequential",
    )
    _, x, info = call(G, mode=np.uint8(ord("N")), uplo=np.uint8(ord("L")))  # LAPACK reads columns: our rows
    return jnp.where(info == 0, x, jnp.nan)
