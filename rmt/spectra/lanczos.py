"""The k largest eigenvalues of W^T W where all of them would take too long: Lanczos, with a bound from the residuals."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from rmt.spectra.dense import ABSOLUTE
from rmt.spectra.scaling import power_of_two


def by_lanczos(W: Float[Array, "N M"], k: int, rtol: float) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """The k largest eigenvalues of W^T W, ascending, and a bound on the error of each.

    Lanczos from a fixed random vector, orthogonalised in full and twice, until the residual of each Ritz value is below
    rtol times it, but no longer than `most_steps` steps. There is an eigenvalue within the residual of each Ritz value; that
    it is the one of that rank holds for all starts but a null set, and is not checked. Where a subspace closes, at an exactly
    repeated eigenvalue for one, another random vector goes on.
    """
    N, M = W.shape
    steps, chunk = most_steps(k, M), 16 + k // 2
    scale = power_of_two(jnp.max(jnp.abs(W)))
    W = W / scale
    start = jax.random.normal(jax.random.key(0), (steps, M), float).astype(W.dtype)

    def more(carry):
        j, *_, x, residual = carry
        return (j < steps) & ~jnp.all(residual <= rtol * x)

    def several(carry):
        j, V, d, e, *_ = carry
        end = jnp.minimum(j + chunk, steps)
        V, d, e = lax.fori_loop(j, end, lambda i, state: _step(W, start, i, *state), (V, d, e))
        return end, V, d, e, *_ritz(d, e, end, k)

    nothing = (0, jnp.zeros((steps + 1, M), W.dtype).at[0].set(_unit(start[0])), *jnp.zeros((2, steps), W.dtype))
    _, _, _, _, x, residual = lax.while_loop(
        more, several, (*nothing, *jnp.stack([jnp.zeros(k), jnp.ones(k)]).astype(W.dtype))
    )
    error = residual + jnp.finfo(W.dtype).eps * (ABSOLUTE + 4 * math.sqrt(N)) * x[-1]
    return x * scale**2, error * scale**2


def most_steps(k: int, M: int) -> int:
    """Length of the longest Krylov space that is tried."""
    return min(M, 10 * k + 100)


def _step(W, start, i, V, d, e):
    """Row i + 1 of the orthonormal V, and T_ii and T_i,i+1 of the tridiagonal V W^T W V^T."""
    w = _times(W.T, _times(W, V[i]))
    d = d.at[i].set(_times(V[i], w))
    size = jnp.linalg.norm(w)
    w = _orthogonal(V, _orthogonal(V, w))
    beside = jnp.linalg.norm(w)
    closed = beside <= jnp.finfo(w.dtype).eps * 8 * size
    fresh = _orthogonal(V, _orthogonal(V, _unit(start[i])))
    V = V.at[i + 1].set(_unit(jnp.where(closed, fresh, w)))
    return V, d, e.at[i].set(jnp.where(closed, 0, beside))


def _ritz(d, e, j, k):
    """The k largest eigenvalues of the leading j x j part of T, and their residuals; fewer than k are left at zero."""
    i = jnp.arange(d.size)
    T = jnp.diag(jnp.where(i < j, d, -1)) + jnp.where(i < j - 1, e, 0)[:, None] * jnp.eye(d.size, k=1, dtype=d.dtype)
    x, Y = jnp.linalg.eigh(jnp.triu(T) + jnp.triu(T, 1).T)
    residual = e[j - 1] * jnp.abs(Y[j - 1])
    # What is not there yet has -1, below all of W^T W, and a residual that says so.
    there = x[-k:] >= -0.5
    return jnp.where(there, x[-k:], 0), jnp.where(there, residual[-k:], 1)


def _times(A, B):
    # Accelerators multiply float32 in fewer bits unless told not to.
    return jnp.matmul(A, B, precision=lax.Precision.HIGHEST)


def _orthogonal(V, w):
    return w - _times(_times(V, w), V)


def _unit(w):
    size = jnp.linalg.norm(w)
    return w / jnp.where(size > 0, size, 1)
