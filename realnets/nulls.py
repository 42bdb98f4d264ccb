"""Layers beside their matched nulls: what a random matrix of the same shape and entries would have given.

Two nulls a layer, N x M like it: `gaussian`, iid normal entries of its mean and variance, and `shuffled`, its own
entries in random order. A layer apart from its shuffled self owes its spectrum to where its entries stand; one apart
from the Gaussian null alone owes it to their law (a few large entries); one apart from neither is near-random.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy import stats

import rmt
from realnets.analysis import Analysis, Row, in_order, measure
from realnets.layers import Layer, Layers
from rmt.console import plain
from rmt.keys import point_key, trial_keys
from rmt.spectra import Spectrum, spectrum
from rmt.tails import fit_tail

NULLS = ("gaussian", "shuffled")
MIN_NULLS = 5
WORK = 2e10
"""Bound on n_nulls N M^2 for a layer: a large layer gets fewer replicates, MIN_NULLS at least."""

LEVEL = 0.05
"""Probability that any verdict of a table is wrong about a layer that is its own null."""

VERDICTS = {
    "near-random": "neither null can be told from it",
    "heavy entries": "apart from the Gaussian null only: its entries' law explains its spectrum, not their places",
    "correlated": "apart from its own shuffled entries: where they stand matters",
    "not tested": "its spectrum cannot be fitted; see status",
}


@dataclass(frozen=True)
class Comparison(Analysis):
    """An Analysis whose rows also hold each layer's distance from its nulls.

    With NULL one of gaussian and shuffled, and WHAT one of alpha, lambda_max and esd (the KS distance of an ESD to the
    pooled ESD of the null's other replicates): NULL_WHAT is the median over the replicates, NULL_WHAT_t, _p, _rank and
    _beyond are the fields of the layer's `Distance` from them, and NULL_esd_layer is the layer's own KS distance.
    Further columns are n_nulls, localised (see `localised`) and verdict.
    """

    @property
    def verdicts(self) -> dict[str, int]:
        """How many layers got which verdict."""
        found = [row["verdict"] for row in self.rows]
        return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}

    def to_json(self) -> str:
        """As of Analysis, with the counts of verdicts."""
        tree = json.loads(super().to_json())
        return json.dumps(tree | {"verdicts": plain(self.verdicts)}, indent=2, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Distance:
    """How far an observation is from replicates of its null.

    Attributes:
        t: (y - mean) / (s sqrt(1 + 1/n)) of the logarithms, Student with n - 1 degrees of freedom under a log-normal
            null.
        p: its p-value.
        rank: the rank p-value (r + 1) / (n + 1), doubled where two-sided, r replicates being at least as extreme: exact
            under any null, and never below 1 / (n + 1).
        beyond: the observation lies beyond every replicate.
    """

    t: float
    p: float
    rank: float
    beyond: bool


def distance(observed: float, replicates: Float[np.ndarray, " n"], two_sided: bool = True) -> Distance:
    """Distance of a positive number from replicates of it under the null, on the log scale.

    A handful of replicates cannot give a small rank p-value, so small ones rest on Student's prediction interval for
    one more log-normal replicate, and the rank has to agree with them.

    Args:
        observed: the layer's number.
        replicates: the same number of at least two replicates of the null.
        two_sided: whether small is as extreme as large.

    Returns:
        Distance; NaN where the replicates do not vary or the observation is not a positive number.

    Accuracy: the false-alarm rate of the verdicts built on it is simulated in `tests/realnets/test_nulls.py`.
    """
    with np.errstate(divide="ignore"):
        y, x = np.log(observed), np.log(replicates)
    n = len(x)
    scale = np.std(x, ddof=1) * math.sqrt(1 + 1 / n)
    if not (np.isfinite(y) and scale > 0):
        return Distance(math.nan, math.nan, math.nan, False)
    t = float((y - np.mean(x)) / scale)
    above, below = int(np.sum(x >= y)), int(np.sum(x <= y))
    r = min(above, below) if two_sided else above
    sides = 2 if two_sided else 1
    p = sides * float(stats.t.sf(abs(t) if two_sided else t, n - 1))
    return Distance(t, p, min(1.0, sides * (r + 1) / (n + 1)), r == 0)


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
    """How many nulls a layer gets: n_nulls, fewer where N M^2 is large."""
    return min(n_nulls, max(MIN_NULLS, int(WORK / (N * M * M))))


def compare(
    layers: Layers,
    key: Key[Array, ""],
    n_nulls: int = 20,
    workers: int = 1,
    on_row: Callable[[Row], None] = lambda row: None,
) -> Comparison:
    """Analyze every layer and put it beside replicates of its two nulls.

    A verdict takes lambda_max (two-sided) and the distance of the ESD (one-sided) against both nulls, 4 tests a layer,
    each at level 0.05 / (4 number of layers): by Student's p-value, and the layer must lie beyond every replicate too.
    In a layer with entries so large that they make eigenvalues of their own (`localised`) lambda_max is not judged by
    the shuffles.
    alpha is compared but decides nothing: on pure noise it ranges from 4 to 30.

    Args:
        layers: the weight matrices.
        key: a layer's draws depend on it and on the layer's name alone.
        n_nulls: replicates of each null, at least 5; large layers get fewer, see `n_replicates`.
        workers: layers worked on at once.
        on_row: called with each row as it is done, in order; its verdict is not known before the last.

    Returns:
        Comparison.

    Raises:
        ValueError: `n_nulls` is too small.
    """
    if n_nulls < MIN_NULLS:
        raise ValueError(f"compare(n_nulls) needs at least {MIN_NULLS} replicates of each null, got {n_nulls}")
    rows = list(in_order(partial(_compare_layer, key=key, n_nulls=n_nulls), layers, workers, on_row))
    settings = {"min_M": layers.min_M, "n_nulls": n_nulls, "level": LEVEL, "tests": 4 * len(rows)}
    rows = [row | {"verdict": verdict(row, LEVEL / (4 * len(rows)))} for row in rows]
    return Comparison(layers.source, layers.format, rows, layers.skipped, layers.n_tensors, settings)


def verdict(row: Row, level: float) -> str:
    """near-random, heavy entries or correlated, by the tests of `compare` each at `level`."""
    if not row["fitted"]:
        return "not tested"
    if _apart(row, "shuffled", level):
        return "correlated"
    return "heavy entries" if _apart(row, "gaussian", level) else "near-random"


def _apart(row: Row, null: str, level: float) -> bool:
    tests = ["esd"] if null == "shuffled" and row["localised"] else ["lambda_max", "esd"]
    return any(row[f"{null}_{what}_p"] <= level and row[f"{null}_{what}_beyond"] for what in tests)


def localised(W: Float[np.ndarray, "N M"]) -> bool:
    """Whether single entries are large enough to make eigenvalues of their own, or two of them in one row or column.

    An entry w pulls an eigenvalue out of the bulk if w^2 / N > sigma^2 sqrt(M / N), the threshold of a rank-one spike;
    this asks for half of it. lambda_max of a shuffle is then ruled by which large entries happen to share a row or
    column: now and then it jumps by many standard deviations, and no Student interval holds.
    """
    N, M = W.shape
    centred = W - np.mean(W)
    return bool(np.max(centred**2) > 0.5 * np.var(W) * math.sqrt(N * M))


def _compare_layer(layer: Layer, key: Key[Array, ""], n_nulls: int) -> Row:
    row, eigenvalues = measure(layer)
    n = n_replicates(row["N"], row["M"], n_nulls)
    row |= {"n_nulls": n, "localised": localised(layer.W)}
    W = jnp.asarray(layer.W)
    for null in NULLS:
        nulls, alphas = np.full((n, row["M"]), np.nan), np.full(n, np.nan)
        if row["fitted"]:
            keys = trial_keys(point_key(key, {"layer": layer.name, "null": null}), 0, n)
            spectra = _draw(W, keys, null)
            alphas = np.asarray(fit_tail(Spectrum(spectra, row["N"])).alpha)
            nulls = np.asarray(spectra)
        row |= _beside(row, eigenvalues, null, nulls, alphas)
    return row


@partial(jax.jit, static_argnames="null")
def _draw(W: Float[Array, "N M"], keys: Key[Array, " n"], null: str) -> Float[Array, "n M"]:
    """Eigenvalues of n draws of a null, one after another in bounded memory."""

    N, M = W.shape

    def one(key: Key[Array, ""]) -> Array:
        if null == "shuffled":
            return spectrum(rmt.Shuffled(W).sample(key, (N, M))).eigenvalues
        noise = rmt.IID(rmt.Gaussian(jnp.std(W))).sample(key, (N, M))
        return spectrum(jnp.mean(W) + noise).eigenvalues

    return jax.lax.map(one, keys)


def _beside(row: Row, layer: np.ndarray, null: str, nulls: np.ndarray, alphas: np.ndarray) -> Row:
    """The columns of one null."""
    fitted = row["fitted"]
    D = esd_distances(layer, nulls) if fitted else np.full(len(nulls) + 1, np.nan)
    # alpha - 1 is a mean of logarithms: its own logarithm is the nearest to normal.
    tests = {
        "alpha": (alphas, distance(row["alpha"] - 1, alphas - 1)),
        "lambda_max": (nulls[:, -1], distance(row["lambda_max"], nulls[:, -1])),
        "esd": (D[1:], distance(float(D[0]), D[1:], two_sided=False)),
    }
    columns: dict[str, Any] = {f"{null}_esd_layer": float(D[0])}
    for what, (replicates, d) in tests.items():
        columns |= {
            f"{null}_{what}": float(np.median(replicates)),
            f"{null}_{what}_t": d.t,
            f"{null}_{what}_p": d.p,
            f"{null}_{what}_rank": d.rank,
            f"{null}_{what}_beyond": d.beyond,
        }
    return columns
