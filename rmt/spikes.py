"""Outliers of X = W^T W / N: where one lone direction, or one huge entry, puts an eigenvalue outside the bulk.

W = Z + sqrt(N) theta u v^T is N x M, the entries of Z are centred with standard deviation sigma, and Q = N/M = 1/c. An
eigenvalue leaves the bulk once theta^2 > sigma^2 sqrt c. One large entry w is the case theta^2 = w^2/N.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

Scalar = Float[Array, "*batch"]


def spike_threshold(Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """theta* = sigma Q^(-1/4): an additive spike theta shows as an eigenvalue of its own once theta > theta*.

    Args:
        Q: aspect ratio N/M >= 1.
        sigma: standard deviation of the entries of the noise.

    Source: F. Benaych-Georges, R. R. Nadakuditi, J. Multivar. Anal. 111 (2012) 120, section 3.1.
    """
    return jnp.asarray(sigma, float) * jnp.asarray(Q, float) ** -0.25


def spike_location(theta: ArrayLike, Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """(theta^2 + sigma^2)(theta^2 + c sigma^2)/theta^2, or lambda_plus at and below the threshold.

    The limit of the largest eigenvalue of X for W = Z + sqrt(N) theta u v^T.

    Args:
        theta: strength of the spike, in units of the entries of W.
        Q: aspect ratio N/M >= 1.
        sigma: standard deviation of the entries of the noise.

    Source: as `spike_threshold`.
    Accuracy: `tests/test_spikes.py` finds simulated spikes there within their standard error.
    """
    return outlier_map(jnp.asarray(theta, float) ** 2, Q, sigma)


def spike_std(theta: ArrayLike, Q: ArrayLike, N: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """Standard deviation of the outlier, sigma^2 sqrt((2/N)(1 - c/t^4)(1 + 2 t^2 + c)), t = theta/sigma.

    For Gaussian noise, to leading order in N; NaN at and below the threshold, where no outlier stands free.

    Args:
        theta: strength of the spike, in units of the entries of W.
        Q: aspect ratio N/M >= 1.
        N: rows of W.
        sigma: standard deviation of the entries of the noise.

    Source: derived by linear perturbation of `spike_location`; `tests/test_spikes.py` holds it to simulated spikes.
    """
    theta, c, sigma = jnp.asarray(theta, float), 1 / jnp.asarray(Q, float), jnp.asarray(sigma, float)
    t2 = (theta / sigma) ** 2
    var = 2 / jnp.asarray(N, float) * (1 - c / t2**2) * (1 + 2 * t2 + c)
    return _sqrt_or_nan(sigma**4 * var)


def mean_spike_rank(mean: ArrayLike, var: ArrayLike, N: ArrayLike, M: ArrayLike) -> Scalar:
    """log(N M (var + mean^2)) / log g(M mean^2): log ||W||_F^2 / log lambda_max of i.i.d. entries that have a mean.

    The mean of the entries is a spike of theta^2 = M mean^2, whatever their law, so that the logarithmic stable rank (see
    `metrics.log_stable_rank`) of an N x N matrix goes to 2 with N. For square matrices g(t) = (var + t)^2/t.

    Args:
        mean: mean of the entries; enough for M mean^2 > var/sqrt Q, or it is lambda_plus that makes lambda_max.
        var: their variance, finite.
        N: rows of W, N >= M.
        M: columns of W.

    Source: W = Z + mean sqrt(N M) u v^T with u and v of equal components; then `outlier_map`.
    Accuracy: within 0.1 % of the mean over simulated Lomax matrices, mu >= 3 and N = 1000: `experiments/12_pl_norm.py`.
    """
    mean, var, N, M = (jnp.asarray(x, float) for x in (mean, var, N, M))
    lambda_max = outlier_map(M * mean**2, N / M, jnp.sqrt(var))
    return jnp.log(N * M * (var + mean**2)) / jnp.log(lambda_max)


def spike_overlaps(theta: ArrayLike, Q: ArrayLike, sigma: ArrayLike = 1.0) -> tuple[Scalar, Scalar]:
    """|<v, v^>|^2 = (t^2 - c)/(t (t + c)) and |<u, u^>|^2 = (t^2 - c)/(t (t + 1)), t = theta^2/sigma^2; 0 below threshold.

    Squared cosines between the spike u v^T of W = Z + sqrt(N) theta u v^T and the first right and left singular vectors v^
    (in M dimensions, the eigenvector of X) and u^ (in N dimensions) of W, in the limit. For one large entry W_ij,
    theta^2 = W_ij^2/N, they are the shares of both vectors that sit on j and on i.

    Args:
        theta: strength of the spike, in units of the entries of W.
        Q: aspect ratio N/M >= 1.
        sigma: standard deviation of the entries of the noise.

    Returns:
        (right, left).

    Source: F. Benaych-Georges, R. R. Nadakuditi, J. Multivar. Anal. 111 (2012) 120, section 3.1; there the matrix is M x N.
    Accuracy: `tests/test_spikes.py` finds the overlaps of simulated spikes there within their standard error.
    """
    c = 1 / jnp.asarray(Q, float)
    t = (jnp.asarray(theta, float) / jnp.asarray(sigma, float)) ** 2
    t = jnp.maximum(t, jnp.sqrt(c))
    return (t**2 - c) / (t * (t + c)), (t**2 - c) / (t * (t + 1))


def covariance_spike_threshold(Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """l* = sigma^2 (1 + sqrt c): an eigenvalue l of the population covariance, the others being sigma^2, shows once l > l*.

    Args:
        Q: aspect ratio N/M >= 1.
        sigma: square root of the other eigenvalues.

    Source: J. Baik, G. Ben Arous, S. Peche, Ann. Probab. 33 (2005) 1643; J. Baik, J. W. Silverstein, J. Multivar. Anal.
        97 (2006) 1382 for real entries.
    """
    return jnp.asarray(sigma, float) ** 2 * (1 + jnp.asarray(Q, float) ** -0.5)


def covariance_spike_location(l: ArrayLike, Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """l (1 + c sigma^2/(l - sigma^2)), or lambda_plus at and below the threshold.

    The limit of the largest eigenvalue of X if the covariance of the rows of W has one eigenvalue l and the others sigma^2.

    Args:
        l: population eigenvalue, > 0.
        Q: aspect ratio N/M >= 1.
        sigma: square root of the other eigenvalues.

    Source: as `covariance_spike_threshold`.
    """
    l, var = jnp.maximum(jnp.asarray(l, float), covariance_spike_threshold(Q, sigma)), jnp.asarray(sigma, float) ** 2
    return l * (1 + var / (jnp.asarray(Q, float) * (l - var)))


def covariance_spike_std(l: ArrayLike, Q: ArrayLike, N: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """Standard deviation of that eigenvalue, l sqrt((2/N)(1 - c sigma^4/(l - sigma^2)^2)); NaN up to the threshold.

    Args:
        l: population eigenvalue, > 0.
        Q: aspect ratio N/M >= 1.
        N: rows of W.
        sigma: square root of the other eigenvalues.

    Source: D. Paul, Statist. Sinica 17 (2007) 1617, Theorem 3.
    """
    l, Q, var = jnp.asarray(l, float), jnp.asarray(Q, float), jnp.asarray(sigma, float) ** 2
    above = l > covariance_spike_threshold(Q, sigma)
    gap = jnp.where(above, l / var - 1, 1.0)
    return jnp.where(above, l, jnp.nan) * _sqrt_or_nan(2 / jnp.asarray(N, float) * (1 - 1 / (Q * gap**2)))


def covariance_spike_overlap(l: ArrayLike, Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """(1 - c/(r - 1)^2)/(1 + c/(r - 1)), r = l/sigma^2: |<v, v^>|^2 of the eigenvectors to l and to the outlier.

    The limit of the squared cosine between the population's and the sample's eigenvector; 0 at and below the threshold.

    Args:
        l: population eigenvalue, > 0.
        Q: aspect ratio N/M >= 1.
        sigma: square root of the other eigenvalues.

    Source: D. Paul, Statist. Sinica 17 (2007) 1617, Theorem 4. With r = 1 + theta^2 it is the right one of `spike_overlaps`.
    """
    c = 1 / jnp.asarray(Q, float)
    gap = jnp.maximum(jnp.asarray(l, float) / jnp.asarray(sigma, float) ** 2 - 1, jnp.sqrt(c))
    return (1 - c / gap**2) / (1 + c / gap)


def outlier_map(t: ArrayLike, Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """g(t) = (sigma^2 + t)(c sigma^2 + t)/t for t > sigma^2 sqrt c, and lambda_plus below.

    Where one large entry w, t = w^2/N, puts an eigenvalue; the same map as that of a spike, t = theta^2.

    Args:
        t: squared strength, >= 0, in units of W squared.
        Q: aspect ratio N/M >= 1.
        sigma: standard deviation of the other entries.

    Source: G. Biroli, J.-P. Bouchaud, M. Potters, Europhys. Lett. 78 (2007) 10001, for the idea.
    """
    var, c = jnp.asarray(sigma, float) ** 2, 1 / jnp.asarray(Q, float)
    t = jnp.maximum(jnp.asarray(t, float), var * jnp.sqrt(c))
    return (var + t) * (c * var + t) / t


def outlier_inverse(x: ArrayLike, Q: ArrayLike, sigma: ArrayLike = 1.0) -> Scalar:
    """g^-1(x) = (B + sqrt(B^2 - 4 c sigma^4))/2, B = x - sigma^2 (1 + c): the squared strength behind an outlier at x.

    At and below lambda_plus, where no outlier is, it is the threshold sigma^2 sqrt c.

    Args:
        x: eigenvalue of X.
        Q: aspect ratio N/M >= 1.
        sigma: standard deviation of the other entries.

    Source: the larger root of g(t) = x; see `outlier_map`.
    Accuracy: undoes `outlier_map` to 1e-12 relative away from the edge, where its slope is infinite.
    """
    var, c = jnp.asarray(sigma, float) ** 2, 1 / jnp.asarray(Q, float)
    edge = 2 * var * jnp.sqrt(c)
    beyond = jnp.maximum(jnp.asarray(x, float) - (var * (1 + c) + edge), 0.0)  # x - lambda_plus
    root = jnp.sqrt(jnp.where(beyond > 0, beyond * (beyond + 2 * edge), 1.0))
    return (beyond + edge + jnp.where(beyond > 0, root, 0.0)) / 2


def _sqrt_or_nan(x: Array) -> Array:
    """sqrt x, NaN for x <= 0, with a derivative that is NaN only there."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), jnp.nan)
