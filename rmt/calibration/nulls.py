"""One matrix beside its matched nulls: random matrices of its shape, each with something of it and nothing else.

`gaussian` has its mean and variance, `shuffled` its own entries in random order, `fitted` independent entries of the Student t
law that fits its own. A matrix apart from its shuffled self owes its spectrum to where its entries stand; one apart from the
Gaussian null alone owes it to their law (a few large entries); one apart from neither is near-random.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, ArrayLike, Float, Key

from rmt import metrics
from rmt.calibration.spikes import spike_threshold
from rmt.ensembles import IID, Shuffled
from rmt.keys import point_key, trial_keys
from rmt.laws import Gaussian, MarchenkoPastur, StudentT
from rmt.spectra import Spectrum, spectrum_on_host
from rmt.tails import fit_tail

NULLS = ("gaussian", "shuffled", "fitted")
STATISTICS = ("alpha", "lambda_max", "n_spikes", "mp_distance", "ks", "esd")
MIN_NULLS = 5
WORK = 2e10
"""Bound on n_nulls N M^2 for a matrix: a large one gets fewer replicates, MIN_NULLS at least."""

VERDICTS = {
    "near-random": "neither null can be told from it",
    "heavy entries": "apart from the Gaussian null only: its entries' law explains its spectrum, not their places",
    "correlated": "apart from its own shuffled entries: where they stand matters",
    "not tested": "its spectrum cannot be fitted; see status",
}

SPIKE_LEVEL = 0.01
"""Share of noise matrices in which `n_spikes` finds any."""

POWERS = {"alpha": -1 / 3, "lambda_max": 0, "n_spikes": 0, "mp_distance": -0.5, "ks": 2, "esd": -0.5}
"""Of alpha - 1 and the others: where the skewness of Gaussian matrices, four shapes from 60 x 40 to 200 x 100, is least; of
lambda_max it is 0.3 for the logarithm, which heavy entries need."""

_ONE_SIDED = ("n_spikes", "esd")
_LIGHT = 1e4  # degrees of freedom from which on a Student t law is a Gaussian one
_WIDTH = 512  # spectra are padded to multiples of it, so that few programs serve all shapes
_BINS, _DEPTH = 4000, 60.0  # of the histogram of ln |w|, and how far below the largest it reaches


@dataclass(frozen=True)
class NullTest:
    """A number of a matrix beside the same number of replicates of its null.

    Attributes:
        observed: of the matrix.
        median: of the replicates.
        t: (y - mean) / (s sqrt(1 + 1/n)), y a power or the logarithm of the number that makes it nearly normal
            (`POWERS`): Student with n - 1 degrees of freedom if it is.
        p: its p-value.
        rank: the rank p-value (r + 1) / (n + 1), doubled where two-sided, r replicates being at least as extreme: exact
            under any null, and never below 1 / (n + 1).
        beyond: the observation lies beyond every replicate.
    """

    observed: float
    median: float
    t: float
    p: float
    rank: float
    beyond: bool

    @property
    def p_value(self) -> float:
        """The rank, which is exact; beyond every replicate, where it has nothing more to say, p if that is smaller."""
        return float(np.fmin(self.p, self.rank)) if self.beyond else self.rank


NOT_TESTED = {what: NullTest(*[math.nan] * 5, beyond=False) for what in STATISTICS}
"""The tests of a matrix whose spectrum cannot be fitted."""


def null_test(
    observed: float, replicates: Float[np.ndarray, " n"], two_sided: bool = True, power: float = 0.0
) -> NullTest:
    """A number beside replicates of it under the null.

    A handful of replicates cannot give a small rank p-value, so beyond all of them it rests on Student's prediction interval
    for one more replicate.

    Args:
        observed: the number of the matrix.
        replicates: the same number of at least two replicates of the null; NaN ones do not count.
        two_sided: whether small is as extreme as large.
        power: the one to take numbers to, 0 for their logarithm.

    Returns:
        NullTest; NaN where the observation is not finite. Where one number is not positive, or the replicates do not vary,
        there is no t and no p, and the rank is all; equal numbers make it too large.

    Accuracy: the false-alarm rate of the verdicts built on it is simulated in `tests/realnets/test_layer_nulls.py`, the laws of p and
        rank under the null in `tests/benchmarks/null_tests.json`.
    """
    replicates = replicates[np.isfinite(replicates)]
    n = len(replicates)
    median = float(np.median(replicates)) if n else math.nan
    if not (math.isfinite(observed) and n > 1):
        return NullTest(observed, median, math.nan, math.nan, math.nan, False)
    above, below = int(np.sum(replicates >= observed)), int(np.sum(replicates <= observed))
    r = min(above, below) if two_sided else above
    sides = 2 if two_sided else 1
    t = p = math.nan
    if observed > 0 and np.all(replicates > 0) and np.ptp(replicates) > 0:
        rising = np.log if power == 0 else lambda x: math.copysign(1, power) * x**power
        y, x = float(rising(observed)), rising(replicates)
        t = float((y - np.mean(x)) / (np.std(x, ddof=1) * math.sqrt(1 + 1 / n)))
        p = sides * float(scipy.stats.t.sf(abs(t) if two_sided else t, n - 1))
    return NullTest(observed, median, t, p, min(1.0, sides * (r + 1) / (n + 1)), r == 0)


def null_tests(eigenvalues: Float[np.ndarray, " M"], N: int, nulls: Float[np.ndarray, "n M"]) -> dict[str, NullTest]:
    """Every statistic of a spectrum beside those of replicates of one null.

    alpha and ks are those of `rmt.fit_tail`; n_spikes is the number of eigenvalues above the 1 % point of lambda_max for
    noise of the same mean square (`spike_threshold`); mp_distance is the KS distance from the Marchenko-Pastur law of that mean
    square; esd is the KS distance of the ESD from the pooled ESD of the (other) replicates. n_spikes and esd are large or
    not, the others also small. n_spikes is a small number, often the same: there is no t and no p, and equal ones are
    ranked by lambda_max, which makes its rank exact, as the others are.

    Args:
        eigenvalues: of W^T W / N, rising.
        N: rows of W.
        nulls: those of the replicates, from `null_spectra`.
    """
    found = _statistics(np.vstack([eigenvalues[None], nulls]), N)
    found["esd"] = esd_distances(eigenvalues, nulls)
    return {what: _tested(what, float(found[what][0]), found[what][1:]) for what in STATISTICS}


def _tested(what: str, observed: float, replicates: np.ndarray) -> NullTest:
    shift = 1.0 if what == "alpha" else 0.0  # alpha - 1 is a scale
    test = null_test(observed - shift, replicates - shift, what not in _ONE_SIDED, POWERS[what])
    if what == "n_spikes":
        whole, median = (float(np.floor(x)) for x in (observed, test.median))
        return replace(test, observed=whole, median=median, t=math.nan, p=math.nan)
    return replace(test, observed=observed, median=test.median + shift)


def null_spectra(
    W: Float[ArrayLike, "N M"], null: str, key: Key[Array, ""], n: int, name: str = ""
) -> Float[np.ndarray, "n M"]:
    """Eigenvalues of W^T W / N for n draws of a null of W, one after another in bounded memory.

    Gaussian draws are shifted and scaled to have the very mean and variance of W: a Gaussian W and they are then exchangeable,
    exactly, the spectrum given both being independent of them. Fitted draws are scaled to have the scale of W by maximum
    likelihood; their df is taken from W and is not theirs, which brings W closer to them than they are to each other: the p-values
    of this null are too large, of esd above all (`tests/benchmarks/null_tests.json`).

    Args:
        W: the matrix, N >= M.
        null: one of `NULLS`.
        key: the draws depend on it, on the null and on the name alone.
        n: replicates.
        name: of the layer.
    """
    keys = trial_keys(point_key(key, {"layer": name, "null": null}), 0, n)
    law = fitted_student(np.asarray(W)) if null == "fitted" else Student(1.0, 0.0, 1.0)
    w = jnp.asarray(W)
    draws = (_draw(w, key, null, law.df, law.location, law.scale) for key in keys)
    return np.stack([spectrum_on_host(np.asarray(draw)).eigenvalues for draw in draws])


@partial(jax.jit, static_argnames="null")
def _draw(
    W: Float[Array, "N M"], key: Key[Array, ""], null: str, df: ArrayLike, location: ArrayLike, scale: ArrayLike
) -> Float[Array, "N M"]:
    shape = W.shape[0], W.shape[1]
    if null == "gaussian":
        w = IID(Gaussian()).sample(key, shape)
        return jnp.mean(W) + jnp.std(W) * (w - jnp.mean(w)) / jnp.std(w)
    if null == "fitted":
        w = IID(StudentT(df)).sample(key, shape)
        return jnp.asarray(location + scale * w / _scale(w, df))
    return Shuffled(W).sample(key, shape)


def _scale(w: Float[Array, "N M"], df: ArrayLike) -> Float[Array, ""]:
    """The most likely scale of Student t values with df degrees of freedom, near 1, about 0."""
    return jax.lax.fori_loop(0, 30, lambda _, s2: jnp.mean((df + 1) * w**2 / (df + w**2 / s2)), jnp.ones(())) ** 0.5


class Student(NamedTuple):
    """A Student t law: degrees of freedom, location, scale."""

    df: float
    location: float
    scale: float


def fitted_student(W: Float[np.ndarray, "N M"]) -> Student:
    """The Student t law of the entries about their median, by maximum likelihood.

    df is the tail index mu of that law, up to 1e4, which is a Gaussian one; what it says of mu is what the whole law of the
    entries says, not their tail alone.
    """
    location = float(np.median(W))
    size = np.abs(W - location).ravel()
    size = size[size > 0]
    if size.size == 0:
        return Student(_LIGHT, location, 0.0)
    # The likelihood depends on ln |w| alone: a histogram of it is enough, whatever the number of entries
    high = np.log(size.max())
    low = max(np.log(size.min()), high - _DEPTH)
    count, edges = np.histogram(np.log(size), np.linspace(low, high + 1e-9, _BINS + 1))
    log_size, share = (edges[1:] + edges[:-1]) / 2, count / count.sum()

    def loss(parameters: np.ndarray) -> float:
        log_df, log_scale = parameters
        df = math.exp(log_df)
        log_norm = scipy.special.gammaln((df + 1) / 2) - scipy.special.gammaln(df / 2) - log_df / 2 - log_scale
        return -(log_norm - (df + 1) / 2 * share @ np.log1p(np.exp(2 * (log_size - log_scale)) / df))

    start = [math.log(5.0), float(np.log(np.median(size) / 0.7))]
    bounds = [(math.log(0.05), math.log(_LIGHT)), (start[1] - 20, start[1] + 20)]
    log_df, log_scale = scipy.optimize.minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return Student(math.exp(log_df), location, math.exp(log_scale))


def esd_distances(layer: Float[np.ndarray, " M"], nulls: Float[np.ndarray, "n M"]) -> Float[np.ndarray, " n+1"]:
    """KS distances of each spectrum from the pooled others: the layer from all nulls, then each null from the rest.

    D_i = sup_x |F_i(x) - mean of F_j(x)|. The nulls' own distances are what the layer's would be if it were one of them
    (slightly larger, with one spectrum fewer in the pool).
    """
    n, M = nulls.shape
    everything = np.vstack([layer[None], nulls])
    order = np.argsort(everything, axis=None, kind="stable")
    owner = order // M
    F = np.cumsum(owner[None] == np.arange(n + 1)[:, None], axis=1) / M
    # Between tied values the curves are not yet complete: compare after the last of them only.
    values = everything.ravel()[order]
    F = F[:, np.append(values[1:] != values[:-1], True)]
    pooled = F[1:].sum(axis=0)
    D = [np.max(np.abs(F[0] - pooled / n))]
    return np.array(D + [np.max(np.abs(f - (pooled - f) / (n - 1))) for f in F[1:]])


def n_replicates(N: int, M: int, n_nulls: int) -> int:
    """How many nulls a matrix gets: n_nulls, fewer where N M^2 is large."""
    return min(n_nulls, max(MIN_NULLS, int(WORK / (N * M * M))))


def localised(W: Float[np.ndarray, "N M"]) -> bool:
    """Whether single entries are large enough to make eigenvalues of their own, or two of them in one row or column.

    An entry w pulls an eigenvalue out of the bulk if w^2 / N > sigma^2 sqrt(M / N), the threshold of a rank-one spike;
    this asks for half of it. lambda_max of a shuffle is then ruled by which large entries happen to share a row or
    column: now and then it jumps by many standard deviations, and no Student interval holds.
    """
    N, M = W.shape
    centred = W - np.mean(W)
    return bool(np.max(centred**2) > 0.5 * np.var(W) * math.sqrt(N * M))


def decisive(null: str, is_localised: bool) -> tuple[str, ...]:
    """The statistics by which a matrix is judged to be apart from a null; alpha ranges from 4 to 30 on pure noise.

    Where single entries rule lambda_max, as in `localised` matrices and in their nulls but the Gaussian one, it jumps, and p is
    too small too often: of signed Pareto matrices with mu = 1 it is below 0.005 in 5 %, and in 1.6 % with mu = 3.
    """
    return ("lambda_max", "esd") if null == "gaussian" or not is_localised else ("esd",)


def null_p_value(null: str, tests: Mapping[str, NullTest], is_localised: bool) -> float:
    """One p-value for a matrix and a null: the least of the decisive tests, times their number; NaN if there is none."""
    p = [tests[what].p_value for what in decisive(null, is_localised)]
    return min(1.0, len(p) * float(np.nanmin(p))) if np.isfinite(p).any() else math.nan


def verdict(p: Mapping[str, float], level: float) -> str:
    """near-random, heavy entries or correlated, by p-values of the shuffled and the Gaussian null, adjusted for all tests."""
    if not all(math.isfinite(each) for each in p.values()):
        return "not tested"
    return "correlated" if p["shuffled"] <= level else "heavy entries" if p["gaussian"] <= level else "near-random"


def spike_edge(s: Spectrum) -> Float[Array, "*batch"]:
    """The point that lambda_max of noise of the same mean square exceeds in `SPIKE_LEVEL` of matrices."""
    return s.eigenvalues.mean(axis=-1) * spike_threshold(s.N, s.M, SPIKE_LEVEL, estimated=True)


def _statistics(x: Float[np.ndarray, "n M"], N: int) -> dict[str, np.ndarray]:
    """Of spectra of one shape, all but esd."""
    s = Spectrum(x, N)
    # One by one: the program is that of the layer's own fit
    fits = [jax.device_get(fit_tail(Spectrum(row, N))) for row in x]
    edge, largest = np.asarray(spike_edge(s)), np.asarray(s.lambda_max)
    with np.errstate(invalid="ignore"):  # of constant matrices
        ratio = largest / edge
        scaled = np.pad(x / x.mean(axis=-1, keepdims=True), [(0, 0), (0, -s.M % _WIDTH)])
    return {
        "alpha": np.array([fit.alpha for fit in fits]),
        "lambda_max": largest,
        # The fraction puts equal numbers in order
        "n_spikes": np.sum(x > edge[:, None], axis=-1) + ratio / (1 + ratio),
        "mp_distance": np.array([_mp_distance(row, s.M, s.Q) for row in scaled]),
        "ks": np.array([fit.ks for fit in fits]),
    }


@jax.jit
def _mp_distance(x: Float[Array, " n"], M: ArrayLike, Q: ArrayLike) -> Float[Array, ""]:
    """Of the first M values, of mean 1, from the Marchenko-Pastur law."""
    return metrics.largest_gap(MarchenkoPastur(Q=Q).cdf(x), M)
