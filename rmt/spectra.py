"""Spectrum: the eigenvalues of X = W^T W / N, and the one function that computes them."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Spectrum(eqx.Module):
    """Eigenvalues of X = W^T W / N in ascending order, for an N x M matrix W with N >= M.

    Attributes:
        eigenvalues: lambda_1 <= ... <= lambda_M, in units of W squared; a leading batch axis appears under `vmap`.
        N: the number of rows of W, static.
    """

    eigenvalues: Float[Array, "*batch M"]
    N: int = eqx.field(static=True)

    @property
    def M(self) -> int:
        """Number of columns of W, and of eigenvalues."""
        return self.eigenvalues.shape[-1]

    @property
    def Q(self) -> float:
        """Aspect ratio N / M >= 1."""
        return self.N / self.M

    @property
    def lambda_max(self) -> Float[Array, "*batch"]:
        """Largest eigenvalue of W^T W / N."""
        return self.eigenvalues[..., -1]


def spectrum(W: Float[Array, "N M"]) -> Spectrum:
    """Eigenvalues of X = W^T W / N from the singular values s of W: lambda = s^2 / N, ascending.

    Args:
        W: real matrix with N >= M >= 1. Integers are taken as float64; float32 stays float32.

    Returns:
        Spectrum with M eigenvalues. Non-finite entries of W make every eigenvalue NaN.

    Raises:
        ValueError: W is not 2-D, is complex, or has more columns than rows.

    Accuracy: the SVD of W, never W^T W, whose condition number is squared: lambda_max is good to a few ulp, an eigenvalue
        lambda to about eps * sqrt(lambda_max / lambda) relative. `tests/test_spectra.py` holds it to mpmath.
    """
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
    if not jnp.issubdtype(W.dtype, jnp.floating):
        W = W.astype(float)
    s = jnp.linalg.svd(W, compute_uv=False)
    finite = jnp.all(jnp.isfinite(W))
    return Spectrum(eigenvalues=jnp.where(finite, s[::-1] ** 2 / N, jnp.nan), N=N)
