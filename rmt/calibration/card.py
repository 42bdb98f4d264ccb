"""The card of a weight matrix: what its spectrum says, each statement with the rate at which noise would say it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from rmt import inference
from rmt.calibration import classes
from rmt.calibration.classes import HEAVY, UNDECIDED, ClassEstimate, classify
from rmt.calibration.mu import MuEstimate, estimate_mu
from rmt.calibration.mu_table import shipped as shipped_mu
from rmt.calibration.noise import ks_threshold, noise_p_value, noise_threshold
from rmt.calibration.nulls import (
    MIN_NULLS,
    NOT_TESTED,
    NULLS,
    NullTest,
    localised,
    n_replicates,
    null_p_value,
    null_spectra,
    null_tests,
    spike_edge,
    verdict,
)
from rmt.calibration.ranks import Ranks, ranks_of
from rmt.calibration.traps import expected_traps, trap_p_value
from rmt.errors import InputError
from rmt.keys import point_key
from rmt.phases import Phase, weigh
from rmt.spectra import Spectrum, spectrum_on_host
from rmt.tails import Status, TailFit, fit_tail

LEVEL = 0.05
"""Probability that a verdict, or any of a table of them, is wrong about a matrix that is its own null; that of the thresholds."""

JUDGED: tuple[str, ...] = ("gaussian", "shuffled")
"""The nulls of the verdict."""

FEWEST = 10
"""Columns from which on there is a card."""


@dataclass(frozen=True)
class Card:
    """What `class_card` finds.

    Attributes:
        s: the spectrum.
        fit: the default tail fit.
        phase: by `rmt.phases`.
        n_outside: eigenvalues above the edge of the bulk, of variance by the median, that noise passes in 1 % of cases.
        edge: that edge.
        spike_edge: the one for entries of this mean square and no excess kurtosis, in 1 % of matrices again.
        n_spikes: eigenvalues above `spike_edge`.
        alpha_threshold: the alpha below which a matrix of this shape is not noise, at 5 %; NaN outside of the table.
        alpha_p: share of noise matrices with so small an alpha, by that table.
        ks_threshold: the D above which n_tail independent values of a power law are rejected, at 5 %; NaN outside of the table.
        class_: class and probabilities; None with a reason in `remarks`.
        class_shape: shape of the random block that they are of.
        mu: tail index of the entries, if they are independent; None with a reason in `remarks`.
        mu_shape: shape of the random block that it is of.
        tests: null -> statistic -> `NullTest`.
        p: null -> p-value of the decisive tests; p_adjusted: by Holm over the nulls of the verdict.
        verdict: near-random, heavy entries, correlated or not tested (`rmt.calibration.nulls.VERDICTS`).
        n_nulls: replicates of each null.
        localised: single entries make eigenvalues of their own.
        traps_expected: eigenvalues above `spike_edge` that the entries make in whatever order, by `expected_traps`.
        traps_p: whether the shuffles have more of them than noise, by `trap_p_value`.
        ranks: the eigenvalues at some ranks, with the bands of the nulls.
        remarks: what was left out, and why; what to be careful about.
    """

    s: Spectrum
    fit: TailFit
    phase: Phase
    n_outside: int
    edge: float
    spike_edge: float
    n_spikes: int
    alpha_threshold: float
    alpha_p: float
    ks_threshold: float
    class_: ClassEstimate | None
    class_shape: tuple[int, int] | None
    mu: MuEstimate | None
    mu_shape: tuple[int, int] | None
    tests: Mapping[str, Mapping[str, NullTest]]
    p: Mapping[str, float]
    p_adjusted: Mapping[str, float]
    verdict: str
    n_nulls: int
    localised: bool
    traps_expected: int
    traps_p: float
    ranks: Ranks
    remarks: tuple[str, ...]

    @property
    def class_name(self) -> str:
        """That of `class_`, "" if there is none; undecided for a heavy-tailed one if no heavy tail fits the spectrum."""
        if self.class_ is None:
            return ""
        no_tail = self.mu is not None and not self.mu.entries
        return UNDECIDED if no_tail and self.class_.name in HEAVY else self.class_.name

    def row(self) -> dict[str, Any]:
        """The card in plain numbers and words: the fit, `card_columns`, and what no column holds."""
        fit = self.fit
        low, high = fit.interval()
        row: dict[str, Any] = {
            "N": self.s.N,
            "M": self.s.M,
            "Q": self.s.Q,
            "alpha": float(fit.alpha),
            "alpha_low": float(low),
            "alpha_high": float(high),
            "xmin": float(fit.xmin),
            "n_tail": int(fit.n_tail),
            "ks": float(fit.ks),
            "lambda_max": float(self.s.lambda_max),
            "status": Status(int(fit.status)).name.lower(),
        }
        row |= card_columns(self, tuple(self.tests))
        row |= {f"{null}_p_adjusted": p for null, p in self.p_adjusted.items()}
        by_entries = {} if self.mu is None else self.mu.by_entries
        return row | {
            "class_shape": self.class_shape,
            "mu_shape": self.mu_shape,
            "mu_by_entries": {name: {"mu": of.mu, "interval": of.interval} for name, of in by_entries.items()},
            "remarks": list(self.remarks),
        }


def card_columns(card: Card | None, nulls: Sequence[str]) -> dict[str, Any]:
    """All of a card but its fit, as columns of a table; of no card, as many that say nothing.

    n_spikes, mp_distance and the others of `STATISTICS` are the matrix's own, NULL_n_spikes the median over the replicates of a
    null, and NULL_n_spikes_t, _p, _rank and _beyond the fields of its `NullTest`; NULL_esd_layer is the distance of the ESD.
    shuffled_n_spikes are the traps of `rmt.calibration.traps`.
    NULL_p is the p-value of the decisive tests.
    """
    number = {name: getattr(card, name, math.nan) for name in _NUMBERS}
    columns = number | {
        "phase": "" if card is None else card.phase.label,
        "n_nulls": 0 if card is None else card.n_nulls,
        "localised": card is not None and card.localised,
        "mp_distance": math.nan if card is None else card.tests[nulls[0]]["mp_distance"].observed,
    }
    for null in nulls:
        tests = NOT_TESTED if card is None else card.tests[null]
        for what, test in tests.items():
            columns |= {
                f"{null}_{what}": test.median,
                f"{null}_{what}_t": test.t,
                f"{null}_{what}_p": test.p,
                f"{null}_{what}_rank": test.rank,
                f"{null}_{what}_beyond": test.beyond,
            }
        columns |= {f"{null}_esd_layer": tests["esd"].observed, f"{null}_p": math.nan if card is None else card.p[null]}
    class_, mu = (None, None) if card is None else (card.class_, card.mu)
    low, high = (math.nan, math.nan) if mu is None else mu.interval
    columns |= {
        "class": "" if card is None else card.class_name,
        "class_likely": "" if class_ is None else " or ".join(class_.likely),
        **{f"p_{name}": math.nan if class_ is None else class_.probabilities[name] for name in classes.CLASSES},
        "unlike": math.nan if class_ is None else class_.unlike,
        "mu": math.nan if mu is None else mu.mu,
        "mu_low": low,
        "mu_high": high,
        "identifiable": mu is not None and mu.identifiable,
        "verdict": "not tested" if card is None else card.verdict,
        "remarks": "" if card is None else "; ".join(card.remarks),
    }
    return columns


_NUMBERS = (
    *("alpha_threshold", "alpha_p", "ks_threshold", "n_outside", "edge", "n_spikes", "spike_edge"),
    *("traps_expected", "traps_p"),
)


def class_card(
    W: Float[ArrayLike, "N M"],
    key: Key[Array, ""] | None = None,
    n_nulls: int = 99,
    nulls: Sequence[str] = NULLS,
    name: str = "",
) -> Card:
    """Everything that the lab can say of one weight matrix, with the rates of its errors.

    The tail fit beside that of noise of the same shape; the phase; the universality class with probabilities; mu of the entries or
    a bound on it; and the matrix beside its nulls: Gaussian matrices, its own entries shuffled, Student t entries fitted to its
    own. Class and mu are for independent entries. Where the verdict is correlated they are of the independent matrix whose
    spectrum is most like this one. Shapes beyond their tables are cut to a random block, whose entries have the same law; if they
    are independent that loses precision and no more.

    Args:
        W: the matrix, N >= M >= 10. There is no phase below M = 20, and no class below that of the table.
        key: of the nulls and the block; `jax.random.key(0)` by default.
        n_nulls: replicates of each null, 5 at least; fewer for large matrices (`n_replicates`).
        nulls: which of them, at least gaussian and shuffled.
        name: of the layer: its draws depend on it and on the key.

    Raises:
        InputError: W is too small, lies on its side, is no matrix of finite numbers, or is constant.
    """
    w = np.asarray(W, float)
    _check(w, n_nulls)
    key = jax.random.key(0) if key is None else key
    remarks: list[str] = []
    s = spectrum_on_host(w)
    N, M = s.N, s.M
    fit, n_tail = fit_tail(s), 0
    if fit.ok:
        n_tail = int(fit.n_tail)
    else:
        remarks.append(f"no tail fit: {Status(int(fit.status)).remedy}")
    evidence = _or_none(lambda: weigh(s), remarks, "no phase")
    alpha_threshold = _or_none(lambda: noise_threshold(N, M, LEVEL), remarks, "no threshold of alpha")
    D_threshold = _or_none(lambda: ks_threshold(n_tail, LEVEL), remarks, "no threshold of D") if fit.ok else None
    alpha_p = float(noise_p_value(float(fit.alpha), N, M)) if alpha_threshold is not None and fit.ok else math.nan
    edge = float(spike_edge(s))
    class_, class_shape = _of_block(w, s, key, "class", _class_block(N, M), classify, remarks)
    mu, mu_shape = _of_block(w, s, key, "mu", _mu_block(N, M), estimate_mu, remarks)
    is_localised, n = localised(w), n_replicates(N, M, n_nulls)
    eigenvalues = np.asarray(s.eigenvalues)
    spectra = {null: null_spectra(w, null, key, n, name) for null in nulls if fit.ok}
    tests = {null: null_tests(eigenvalues, N, spectra[null]) if fit.ok else NOT_TESTED for null in nulls}
    p = {null: null_p_value(null, of, is_localised) for null, of in tests.items()}
    p_adjusted = dict(zip(JUDGED, map(float, inference.holm([p[null] for null in JUDGED])), strict=True))
    return Card(
        s=s,
        fit=fit,
        phase=Phase.UNDEFINED if evidence is None else Phase(int(evidence.phase)),
        n_outside=0 if evidence is None else int(evidence.n_outside),
        edge=math.nan if evidence is None else float(evidence.edge),
        spike_edge=edge,
        n_spikes=int(np.sum(eigenvalues > edge)),
        alpha_threshold=_number(alpha_threshold),
        alpha_p=alpha_p,
        ks_threshold=_number(D_threshold),
        class_=class_,
        class_shape=class_shape,
        mu=mu,
        mu_shape=mu_shape,
        tests=tests,
        p=p,
        p_adjusted=p_adjusted,
        verdict=verdict(p_adjusted, LEVEL),
        n_nulls=n,
        localised=is_localised,
        traps_expected=expected_traps(w),
        traps_p=trap_p_value(spectra["shuffled"], N) if fit.ok else math.nan,
        ranks=ranks_of(eigenvalues, spectra),
        remarks=tuple(remarks),
    )


def _check(w: np.ndarray, n_nulls: int) -> None:
    if w.ndim != 2:
        raise InputError(f"class_card(W) needs a matrix, got shape {w.shape}")
    N, M = w.shape
    if N < M:
        raise InputError(f"class_card(W) needs N >= M, got {N} x {M}; pass W.T, which has the same spectrum but for N")
    if M < FEWEST:
        raise InputError(
            f"class_card(W) needs at least {FEWEST} columns, got {N} x {M}: of fewer eigenvalues no statement has an error rate"
        )
    if not np.all(np.isfinite(w)):
        raise InputError(f"class_card(W) needs finite numbers, got {np.sum(~np.isfinite(w))} of {w.size} that are not")
    if np.ptp(w) == 0:
        raise InputError("class_card(W) needs entries that differ; this matrix is constant")
    if n_nulls < MIN_NULLS:
        raise InputError(f"class_card(n_nulls) needs at least {MIN_NULLS} replicates of each null, got {n_nulls}")


def _class_block(N: int, M: int) -> tuple[int, int]:
    """The largest block that the table of classes reaches."""
    table = classes.shipped()
    M = min(M, int(table.M.max()))
    return min(N, int(M * max(table.N[table.M >= M] / table.M[table.M >= M]))), M


def _mu_block(N: int, M: int) -> tuple[int, int]:
    """The largest block that the table of mu reaches."""
    table = shipped_mu()
    N = min(N, int(table.N[-1]))
    M = min(N, M)
    return min(N, int(M * np.min(table.N / table.M.min(axis=1)))), M


def _of_block(
    w: np.ndarray, s: Spectrum, key: Array, purpose: str, shape: tuple[int, int], estimate: Any, remarks: list[str]
) -> Any:
    """The estimate of a random block of that shape, and its shape; None with a remark where there is none. s is of all of w."""
    block = random_block(w, key, purpose, shape)
    found = _or_none(lambda: estimate(s if block is w else spectrum_on_host(block)), remarks, f"no {purpose}")
    return found, None if found is None else shape


def random_block(w: np.ndarray, key: Array, purpose: str, shape: tuple[int, int]) -> np.ndarray:
    """The entries where that many random rows and columns cross, in their order; w itself where these are all.

    Args:
        w: the matrix.
        key: which rows and columns depends on it and on the purpose alone.
        purpose: what the block is for.
        shape: of the block.
    """
    if shape == w.shape:
        return w
    rows, columns = (
        np.sort(np.asarray(jax.random.permutation(point_key(key, {"block": purpose, "axis": axis}), size)[:n]))
        for axis, (size, n) in enumerate(zip(w.shape, shape, strict=True))
    )
    return w[np.ix_(rows, columns)]


def _or_none(find: Callable[[], Any], remarks: list[str], what: str) -> Any:
    """What it finds; None with a remark where it cannot."""
    try:
        return find()
    except (InputError, ValueError) as error:
        remarks.append(f"{what}: {error}")
        return None


def _number(x: float | None) -> float:
    return math.nan if x is None else float(x)
