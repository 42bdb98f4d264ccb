"""Spectrum: eigenvalues of X = W^T W / N with what is known of their errors; Route, how they came about."""

from enum import IntEnum

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int


class Route(IntEnum):
    """How the eigenvalues of a `Spectrum` were computed."""

    SVD = 0
    GRAM = 1
    BIDIAGONAL = 2
    TOP = 3


class Spectrum(eqx.Module):
    """Eigenvalues of X = W^T W / N in ascending order, for an N x M matrix W with N >= M.

    Attributes:
        eigenvalues: lambda_1 <= ... <= lambda_M, or the k largest of them, in units of W squared; a leading batch axis appears
            under `vmap`.
        N: the number of rows of W, static.
        error: bound on the absolute error of each eigenvalue, whose relative error is so at most error / eigenvalue. None if
            nothing is known, as for a Spectrum made by hand.
        route: the `Route` taken; None as for `error`.
        M: the number of columns of W, static; by default that of the eigenvalues.

    Raises:
        ValueError: M is below the number of eigenvalues, or above N.
    """

    eigenvalues: Float[Array, "*batch k"]
    N: int = eqx.field(static=True)
    error: Float[Array, "*batch k"] | None
    route: Int[Array, "*batch"] | None
    M: int = eqx.field(static=True)

    def __init__(self, eigenvalues, N: int, error=None, route=None, M: int | None = None):
        k = jnp.shape(eigenvalues)[-1]
        if M is not None and not k <= M <= N:
            raise ValueError(f"Spectrum(M) needs the columns of W, {k} eigenvalues <= M <= N = {N}, got {M}")
        self.eigenvalues, self.N, self.error, self.route, self.M = eigenvalues, N, error, route, k if M is None else M

    @property
    def Q(self) -> float:
        """Aspect ratio N / M >= 1."""
        return self.N / self.M

    @property
    def complete(self) -> bool:
        """Whether these are all M eigenvalues, and not the k largest."""
        return jnp.shape(self.eigenvalues)[-1] == self.M

    @property
    def lambda_max(self) -> Float[Array, "*batch"]:
        """Largest eigenvalue of W^T W / N."""
        return self.eigenvalues[..., -1]

    @property
    def resolved(self) -> Bool[Array, "*batch k"]:
        """Which eigenvalues are above their error bound, and so known not to be zero.

        Without a bound: those above (N eps)^2 lambda_max, about what an SVD resolves.
        """
        return self.eigenvalues > (self.floor[..., None] if self.error is None else self.error)

    @property
    def floor(self) -> Float[Array, "*batch"]:
        """The eigenvalue from which downwards nothing is vouched for: the largest one within its error; 0 if none is.

        Without a bound: (N eps)^2 lambda_max.
        """
        x = self.eigenvalues
        if self.error is None:
            return svd_floor(x[..., -1], self.N)
        return largest_within(x, self.error) if isinstance(x, np.ndarray) else _largest_within(x, self.error)

    @property
    def rank(self) -> Int[Array, "*batch"]:
        """How many eigenvalues are known not to be zero: the rank of W to working precision if all of them are here."""
        return self.resolved.sum(axis=-1)

    def inverse(self) -> "Spectrum":
        """The spectrum of X^-1: 1/lambda, ascending, with errors e/(lambda (lambda - e)); infinite where lambda <= e.

        Raises:
            ValueError: not all eigenvalues are here.
        """
        if not self.complete:
            raise ValueError(f"inverse() needs all M = {self.M} eigenvalues, got {jnp.shape(self.eigenvalues)[-1]}")
        x, error = self.eigenvalues[..., ::-1], self.error
        if error is not None:
            error = error[..., ::-1]
            error = jnp.where(x > error, error / (x * (x - error)), jnp.inf)
        return Spectrum(1 / x, self.N, error, self.route)


def svd_floor(largest: Float[Array, "*batch"], N: int | Float[Array, ""]) -> Float[Array, "*batch"]:
    """(N eps)^2 lambda_max: about the smallest eigenvalue that an SVD tells from zero."""
    return (N * jnp.finfo(largest.dtype).eps) ** 2 * largest


def largest_within(x: Float[Array, "*batch k"], error: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """The largest |x| that is within its error; 0 if none is."""
    size = abs(x)
    return x.__array_namespace__().where(size > error, 0, size).max(axis=-1)


_largest_within = jax.jit(largest_within)  # every fit of a Spectrum on a device asks for it


class Bidiagonal(eqx.Module):
    """An upper bidiagonal M x M matrix B with the singular values of an N x M matrix W, such as a Gaussian one.

    Attributes:
        diagonal: B_ii, shape (M,); signs do not matter.
        offdiagonal: B_i,i+1, shape (M - 1,).
        N: the number of rows of the W it stands for, static.

    Raises:
        ValueError: the shapes do not fit each other, or M > N.

    Source: of Gaussian W, diagonal_i^2 ~ chi^2(N - i + 1), offdiagonal_i^2 ~ chi^2(M - i), all independent: Dumitriu &
        Edelman, J. Math. Phys. 43 (2002).
    """

    diagonal: Float[Array, " M"] = eqx.field(converter=jnp.asarray)
    offdiagonal: Float[Array, " M-1"] = eqx.field(converter=jnp.asarray)
    N: int = eqx.field(static=True)

    def __check_init__(self):
        M = self.diagonal.shape[0] if self.diagonal.ndim == 1 else 0
        if M == 0 or self.offdiagonal.shape != (M - 1,):
            raise ValueError(
                "Bidiagonal(diagonal, offdiagonal, N) needs vectors of M >= 1 and M - 1 numbers, got shapes "
                f"{self.diagonal.shape} and {self.offdiagonal.shape}"
            )
        if M > self.N:
            raise ValueError(f"Bidiagonal(N) needs N >= M = {M} rows, got {self.N}")
        if jnp.iscomplexobj(self.diagonal) or jnp.iscomplexobj(self.offdiagonal):
            raise ValueError("Bidiagonal needs real numbers; the moduli of complex ones have the same singular values")

    @property
    def M(self) -> int:
        """Number of columns."""
        return self.diagonal.shape[-1]

    @property
    def matrix(self) -> Float[Array, "M M"]:
        """The dense B."""
        return jnp.diag(self.diagonal) + jnp.diag(self.offdiagonal, 1)
