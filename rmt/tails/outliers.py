"""The tail index of the entries from the outliers of a spectrum: the outlier map undone, then Hill's estimator."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from rmt import spikes
from rmt.spectra import Spectrum
from rmt.tails.clauset import Clauset
from rmt.tails.fit import fit_tail


def outlier_tail_index(
    s: Spectrum, sigma: ArrayLike, multiple: float = 2.0, fewest: int = 10
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """mu = 2 (k - 1)/sum_i ln(t_i/t_min) from the k outliers with t_i = g^-1(lambda_i) >= t_min = multiple sigma^2 sqrt c.

    A large entry w puts an eigenvalue at g(w^2/N), with g the `spikes.outlier_map`, and P(w^2/N > t) ~ t^(-mu/2). So the t
    have the density exponent alpha = mu/2 + 1, where the outliers themselves, crowded at the edge by g, do not.

    Args:
        s: the spectrum of one matrix; `jax.vmap` for more.
        sigma: standard deviation of the entries of the bulk, such as sqrt of `metrics.bulk_variance(s)`.
        multiple: where the tail starts, in units of the threshold sigma^2 sqrt c: nearer to it the edge of the bulk
            fluctuates, and outliers repel each other.
        fewest: with fewer outliers there is no answer. The relative standard error of mu is about 1/sqrt(k).

    Returns:
        (k, mu), with mu = NaN for "cannot say".

    Source: ours; the map after G. Biroli, J.-P. Bouchaud, M. Potters, Europhys. Lett. 78 (2007) 10001. With k - 1 for k
        Hill's estimate has no bias.
    Accuracy: `tests/test_spikes.py` for the algebra, `experiments/21_mu_from_spectra.py` for matrices.
    """
    t = spikes.outlier_inverse(s.eigenvalues, s.Q, sigma)
    tmin = multiple * spikes.spike_threshold(s.Q, sigma) ** 2
    k = jnp.sum(t >= tmin)
    mu = 2 * (fit_tail(t, Clauset(xmin=tmin)).alpha - 1) * (k - 1) / k
    return k, jnp.where(k >= fewest, mu, jnp.nan)
