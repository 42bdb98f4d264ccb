"""Singular values of a bidiagonal matrix, to high relative accuracy in O(M^2), all at once: it runs on any device."""

import math

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from rmt.spectra.base import Bidiagonal
from rmt.spectra.scaling import power_of_two

SEPARATING = 6
"""Rounds of counting before Newton's method begins: by then most eigenvalues are alone in their bracket."""
LAST_ROUND = 100
"""Far more rounds than halving a bracket takes."""
WIDTH = 16
"""Width, in eps, of the interval in which the last count finds each eigenvalue."""
_UNROLLED = 4  # pivots to one pass over the points: a tenth to a third faster on CPU; more compile for long


def by_counting(B: Bidiagonal) -> tuple[Float[Array, " M"], Float[Array, " M"]]:
    """Ascending s^2 for the singular values s of B, and a bound on the error of each.

    x is between eigenvalues k and k + 1 of B^T B if k pivots of B^T B - x are negative. The pivots come from the stationary
    qd transform, which finds the count for a matrix whose entries differ from B's by a few eps each, and so for
    singular values that differ by a few M eps, however small they are. Every round counts at a point in each bracket, and all
    brackets learn from all counts; once an eigenvalue is alone in its bracket, Newton's method on the characteristic
    polynomial takes over, whose logarithmic derivative the same transform gives.

    Source: Fernando & Parlett, Numer. Math. 67 (1994), for the transform; Demmel & Kahan, SIAM J. Sci. Stat. Comput. 11
        (1990), for what the entries determine.
    """
    a, b, scale = _squares(B)
    M, eps = a.size, jnp.finfo(a.dtype).eps
    k = jnp.arange(M)
    # No singular value exceeds (max row sum x max column sum)^(1/2).
    row, column = jnp.sqrt(a) + jnp.sqrt(b), jnp.sqrt(a) + jnp.sqrt(jnp.roll(b, 1))
    top = jnp.max(row) * jnp.max(column) * (1 + 8 * eps)
    bracket = (jnp.zeros_like(a), jnp.full_like(a, top), jnp.zeros_like(k), jnp.full_like(k, M))
    x = top * ((k + 0.5) / M).astype(a.dtype) ** 2  # evenly in s

    def separate(_, carry):
        bracket, x = carry
        bracket = _learn_from_all(bracket, x, _count(a, b, x), k)
        return bracket, _inside(bracket, k)

    bracket, x = lax.fori_loop(0, SEPARATING, separate, (bracket, x))
    x = _confirmed(a, b, k, _polished(a, b, k, bracket, x))
    error = eps * (WIDTH + 4 * math.sqrt(M)) * x + jnp.finfo(a.dtype).tiny
    return x * scale**2, error * scale**2


def _squares(B: Bidiagonal) -> tuple[Float[Array, " M"], Float[Array, " M"], Float[Array, ""]]:
    """d_i^2 and e_i^2, with 0 for e_M, of B over a power of two that brings its largest entry near 1."""
    dtype = jnp.result_type(B.diagonal, B.offdiagonal)
    d, e = B.diagonal.astype(dtype), jnp.append(B.offdiagonal, 0).astype(dtype)
    size = jnp.maximum(jnp.max(jnp.abs(d)), jnp.max(jnp.abs(e)))
    scale = power_of_two(size)
    return (d / scale) ** 2, (e / scale) ** 2, scale


def _pivot(a, s):
    # A pivot of zero would divide: any tiny one will do, and this one lets nothing overflow.
    q = s + a
    tiny = jnp.finfo(q.dtype).tiny * 2**20
    return jnp.where(jnp.abs(q) < tiny, -tiny, q)


def _count(a: Float[Array, " M"], b: Float[Array, " M"], x: Float[Array, " n"]) -> Int[Array, " n"]:
    """How many eigenvalues of B^T B are below each x."""

    def step(i, carry):
        s, count = carry
        q = _pivot(a[i], s)
        return s * (b[i] / q) - x, count + (q < 0)

    return lax.fori_loop(0, a.size, step, (-x, jnp.zeros(x.shape, jnp.int32)), unroll=_UNROLLED)[1].astype(int)


def _count_and_slope(a, b, x):
    """The count, and p'/p for the characteristic polynomial p."""

    def step(i, carry):
        s, ds, slope, count = carry
        q = _pivot(a[i], s)
        inverse = 1 / q
        r = b[i] * inverse
        return s * r - x, ds * (r * (a[i] * inverse)) - 1, slope + ds * inverse, count + (q < 0)

    zero = jnp.zeros_like(x)
    start = (-x, zero - 1, zero, jnp.zeros(x.shape, jnp.int32))
    _, _, slope, count = lax.fori_loop(0, a.size, step, start, unroll=_UNROLLED)
    return count.astype(int), slope


def _learn_from_all(bracket, x, count, k):
    """Every bracket [low, high] with the counts at its ends, narrowed by the counts at all x, which ascend."""
    low, high, below, above = bracket
    last = x.size - 1
    count = lax.cummax(count)  # what rounding may have put out of order
    j = jnp.searchsorted(count, k, side="right")
    left, right = jnp.maximum(j - 1, 0), jnp.minimum(j, last)
    better = (j > 0) & (x[left] > low)
    low, below = jnp.where(better, x[left], low), jnp.where(better, count[left], below)
    better = (j <= last) & (x[right] < high)
    return low, jnp.where(better, x[right], high), below, jnp.where(better, count[right], above)


def _learn(bracket, x, count, k):
    """Every bracket narrowed by the count at its own x."""
    low, high, below, above = bracket
    up, inside = count <= k, (x > low) & (x < high)
    left, right = up & inside, ~up & inside
    return (
        jnp.where(left, x, low),
        jnp.where(right, x, high),
        jnp.where(left, count, below),
        jnp.where(right, count, above),
    )


def _inside(bracket, k):
    """A point in each bracket: in those that are wide by their ratio, evenly in ln x; brackets of several are divided evenly."""
    low, high, below, above = bracket
    tiny = jnp.finfo(low.dtype).tiny
    at = ((k - below + 0.5) / jnp.maximum(above - below, 1)).astype(low.dtype)
    start = jnp.maximum(low, tiny)
    wide = high > 16 * start
    ratio = jnp.where(wide, high / jnp.where(wide, start, 1), 1)
    return jnp.where(wide, start * ratio**at, low + (high - low) * at)


def _polished(a, b, k, bracket, x):
    """Each eigenvalue to a few eps: Newton's method in its bracket, a halving where that does not get on."""
    tolerance = jnp.finfo(x.dtype).eps * WIDTH / 4

    def more(carry):
        *_, done, round = carry
        return jnp.any(~done) & (round < LAST_ROUND)

    def improve(carry):
        bracket, x, last, done, round = carry
        count, slope = _count_and_slope(a, b, x)
        bracket = low, high, below, above = _learn(bracket, x, count, k)
        newton = x - 1 / slope
        alone = (below == k) & (above == k + 1)
        good = alone & (newton > low) & (newton < high) & (jnp.abs(newton - x) < last / 2)
        there = alone & (jnp.abs(newton - x) <= tolerance * x)
        narrow = high - low <= tolerance * high + jnp.finfo(x.dtype).tiny
        new = jnp.where(good | there, newton, _inside(bracket, k))
        size = jnp.where(good, jnp.abs(newton - x), high - low)
        return bracket, jnp.where(done, x, new), size, done | there | narrow, round + 1

    start = (bracket, x, jnp.full_like(x, jnp.inf), jnp.zeros(x.shape, bool), 0)
    return lax.while_loop(more, improve, start)[1]


def _confirmed(a, b, k, x):
    """Each eigenvalue once the counts on both sides of it agree, which takes one round; by halving where they do not."""
    half, tiny = jnp.finfo(x.dtype).eps * WIDTH / 2, jnp.finfo(x.dtype).tiny

    def wide(carry):
        low, high, _, round = carry
        return jnp.any(high > low * (1 + 4 * half) + 2 * tiny) & (round < LAST_ROUND)

    def narrow(carry):
        low, high, points, round = carry
        up = (_count(a, b, points.ravel()) <= jnp.tile(k, 2)).reshape(points.shape)
        low = jnp.maximum(low, jnp.max(jnp.where(up, points, 0), axis=0))
        high = jnp.minimum(high, jnp.min(jnp.where(up, jnp.inf, points), axis=0))
        middle = _inside((low, high, k, k + 1), k)
        return low, high, jnp.stack([middle, middle]), round + 1

    ends = jnp.stack([x * (1 - half), x * (1 + half) + tiny])
    top = jnp.full_like(x, 4 * jnp.max(a + b) + 1)
    low, high, points, _ = lax.while_loop(wide, narrow, (jnp.zeros_like(x), top, ends, 0))
    return jnp.where((low <= x) & (x <= high), x, points[0])
