"""What a search over xmin looked like: D and alpha at every candidate, and the flags that say when not to trust its minimum."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rmt.laws.marchenko_pastur import MarchenkoPastur
from rmt.spectra import Spectrum
from rmt.tails.base import Method, Scan, TailFit, failed
from rmt.tails.clauset import Clauset
from rmt.tails.fit import fit_tail, on_samples

AS_GOOD = 1.1
"""A D that exceeds the lowest by no more than this factor is as good."""

_APART = 3.0
_IN_BULK = 2 / 3


class Diagnosis(eqx.Module):
    """A fit, its scan, and what they say about each other.

    Attributes:
        fit: the fit.
        scan: D(xmin) and alpha(xmin) at every candidate; of `Clauset()`'s search where the method has none of its own.
        searched: whether xmin comes from a search, so that `clear` means something.
        clear: whether D has a clear minimum: no other candidate has D <= 1.1 D(xmin) and an alpha that differs by more than
            three standard errors of a difference, (stderr^2 + stderr_i^2)^(1/2).
        lambda_plus: upper edge of the Marchenko-Pastur law of the same N and M whose median is that of the spectrum; NaN for
            data that are no spectrum, or not all of one.
        bulk_share: share of the tail's values below lambda_plus; 0 for data that are no spectrum.
        in_bulk: whether that is most of them, bulk_share > 2/3: the fit then describes the edge of the bulk and not a tail.
        decades: log10(xmax / xmin), how much of a power law was seen.
    """

    fit: TailFit
    scan: Scan
    searched: bool = eqx.field(static=True)
    clear: Bool[Array, "*batch"]
    lambda_plus: Float[Array, "*batch"]
    bulk_share: Float[Array, "*batch"]
    in_bulk: Bool[Array, "*batch"]
    decades: Float[Array, "*batch"]


def scan(data: Spectrum | Float[Array, "*batch n"], method: Method | None = None, mask=None) -> Scan:
    """D(xmin), alpha(xmin) and n_tail at every candidate of a search; arguments as for `fit_tail`.

    Unlike the search itself this costs O(n^2). The arrays are as long as the padded data: use them where `candidate`, which
    is nowhere if the data cannot be fitted.
    """
    return on_samples(_scan, data, Clauset() if method is None else method, mask)


def _scan(method, sample, status) -> Scan:
    found = method.scan(sample)
    candidate = found.candidate & ~failed(status)
    nan = jnp.where(candidate, 0, jnp.nan)
    return Scan(found.xmin, found.alpha + nan, found.ks + nan, found.n_tail, candidate)


def diagnose(data: Spectrum | Float[Array, "*batch n"], method: Method | None = None, mask=None) -> Diagnosis:
    """The fit and the scan of a search over xmin, and whether its minimum can be trusted; arguments as for `fit_tail`."""
    method = Clauset() if method is None else method
    fit, found = fit_tail(data, method, mask), scan(data, _search_around(method), mask)
    error = (found.alpha - 1) / jnp.sqrt(found.n_tail)
    apart = jnp.abs(found.alpha - fit.alpha[..., None]) > _APART * jnp.hypot(error, fit.stderr[..., None])
    rival = found.candidate & (found.ks <= AS_GOOD * fit.ks[..., None]) & apart
    if isinstance(data, Spectrum) and data.complete:
        lambda_plus = _bulk_edge(data)
        bulk_share = _share_below(lambda_plus, data, fit)
    else:
        lambda_plus, bulk_share = jnp.full(fit.xmin.shape, jnp.nan), jnp.zeros(fit.xmin.shape)
    clear = fit.ok & ~jnp.any(rival, axis=-1)
    decades = jnp.log10(fit.xmax / fit.xmin)
    return Diagnosis(fit, found, method.searches, clear, lambda_plus, bulk_share, bulk_share > _IN_BULK, decades)


def _search_around(method: Method) -> Method:
    """The method, or the search that is most like it."""
    if method.searches:
        return method
    return Clauset(method.ks, None, method.xmax, method.min_tail) if isinstance(method, Clauset) else Clauset()


def minima(scan: Scan) -> list[int]:
    """Indices of the local minima of D(xmin) that stand apart, the lowest D first; none if there is no candidate.

    Two stand apart if D rises by more than 10 % above the higher one on the way between them (the topographic prominence of
    -ln D, where either end of the scan may be a minimum too), and if their tails differ in size by more than 10 %.
    """
    from scipy.signal import find_peaks  # brings in scipy.stats, which nobody should wait for who only fits a tail

    at = np.flatnonzero(scan.candidate)
    depth = -np.log(np.maximum(np.asarray(scan.ks, float)[at], np.finfo(float).tiny))
    peaks, _ = find_peaks(np.pad(depth, 1, constant_values=-np.inf), prominence=np.log(AS_GOOD))
    found, log_n = [], np.log(scan.n_tail)
    for i in at[peaks - 1][np.argsort(-depth[peaks - 1], kind="stable")]:
        if np.all(np.abs(log_n[i] - log_n[found]) > np.log(AS_GOOD)):
            found.append(int(i))
    return found


def _bulk_edge(s: Spectrum) -> Float[Array, "*batch"]:
    # The median, and not the trace, gives the variance: a few heavy-tailed entries carry most of the trace below mu = 2, and
    # would put lambda_plus above every eigenvalue that a power law could describe.
    law = MarchenkoPastur(Q=s.Q)
    return jnp.median(s.eigenvalues, axis=-1) / law.ppf(0.5) * law.lambda_plus


def _share_below(edge: Float[Array, "*batch"], s: Spectrum, fit: TailFit) -> Float[Array, "*batch"]:
    in_tail = s.eigenvalues >= fit.xmin[..., None]
    below = in_tail & (s.eigenvalues < edge[..., None])
    return jnp.sum(below, axis=-1) / jnp.maximum(jnp.sum(in_tail, axis=-1), 1)
