"""Reduction of a matrix to bidiagonal form by reflections, in whole-array steps: the SVD of accelerators, in batches."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from rmt.spectra.base import Bidiagonal
from rmt.spectra.scaling import power_of_two

_STAGES = 8  # shapes on the way from N x M to nothing: a program has one loop for each
_SHORT = 64  # columns of a stage at least


def bidiagonalised(W: Float[Array, "N M"]) -> tuple[Bidiagonal, Float[Array, ""]]:
    """B and a power of two c: c B has the singular values of W, N >= M, to a few eps of the largest.

    A reflection from the left clears the column below the diagonal, one from the right the row beyond the next entry, and so on
    through the columns, 4 N M^2 - 4/3 M^3 operations. An update of the whole matrix is put off until the next column
    is known, and with it that column's product: so the matrix is read twice and written once a column, which is what the
    time goes to.

    Solvers of accelerators' libraries take one matrix at a time, of a few hundred columns by Jacobi's method, whose errors
    exceed the bounds of `rmt.spectrum`.

    Source: Golub & Kahan, SIAM J. Numer. Anal. B 2 (1965).
    """
    N, M = W.shape
    scale = power_of_two(jnp.max(jnp.abs(W)))
    A, diagonal, beside = W / scale, [], []
    step = max(-(-M // _STAGES), min(M, _SHORT))
    for first in range(0, M, step):
        A, d, e = _columns_cleared(A, min(step, M - first))
        diagonal.append(d)
        beside.append(e)
    return Bidiagonal(jnp.concatenate(diagonal), jnp.concatenate(beside)[:-1], N), scale


def _columns_cleared(
    A: Float[Array, "n m"], k: int
) -> tuple[Float[Array, "n-k m-k"], Float[Array, " k"], Float[Array, " k"]]:
    """What is left of A after k columns and rows, and these columns' entries of the bidiagonal matrix."""
    n, m = A.shape
    down, across = jnp.arange(n), jnp.arange(m)

    def clear(i, carry):
        A, v, y, x, u, d, e = carry
        column = A[:, i] - v * y[i] - x * u[i]
        v_new, tau, beta = _reflector(column, down, i)
        d = d.at[i].set(beta)
        A = A - v[:, None] * y[None, :] - x[:, None] * u[None, :]
        y_new = jnp.where(across > i, tau * jnp.sum(A * v_new[:, None], axis=0), 0)
        u_new, tau, beta = _reflector(A[i] - y_new, across, i + 1)
        e = e.at[i].set(beta)
        x_new = tau * (jnp.sum(A * u_new[None, :], axis=1) - v_new * jnp.sum(y_new * u_new))
        return A, v_new, y_new, x_new, u_new, d, e

    zero = jnp.zeros_like(A, shape=n), jnp.zeros_like(A, shape=m), jnp.zeros_like(A, shape=k)
    start = A, zero[0], zero[1], zero[0], zero[1], zero[2], zero[2]
    A, v, y, x, u, d, e = lax.fori_loop(0, k, clear, start)
    A = A[k:, k:] - v[k:, None] * y[None, k:] - x[k:, None] * u[None, k:]
    return A, d, e


def _reflector(
    a: Float[Array, " n"], place: Int[Array, " n"], i: Int[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, ""], Float[Array, ""]]:
    """v with v_i = 1, tau and beta of the reflection 1 - tau v v^T that makes a_i, a_i+1, ... into beta, 0, ...; i may be n."""
    a = jnp.where(place >= i, a, 0)
    first = jnp.sum(jnp.where(place == i, a, 0))
    norm = jnp.sqrt(jnp.sum(a * a))
    beta = jnp.where(first > 0, -norm, norm)
    some = norm > 0
    v = jnp.where(place == i, 1, a / jnp.where(some, first - beta, 1))
    return v, jnp.where(some, (beta - first) / jnp.where(some, beta, 1), 0), beta
