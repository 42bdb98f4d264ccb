"""The metrics of a model that the papers compare: what each is, what it needs, and how layers make it."""

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realnets.analysis import ALPHA_CUT, Row
from rmt.calibration import noise_p_value
from rmt.calibration.card import LEVEL
from rmt.errors import InputError

SCALE, SHAPE, BOTH, NEITHER = "scale", "shape", "both", "neither"
_WEIGHTS, _INITIAL = "weights", "weights, initial weights"
_DATA, _GRADIENTS = "weights, training data", "weights, training data, gradients"


@dataclass(frozen=True)
class Metric:
    """A number of a model.

    Attributes:
        name: its column.
        title: its name in the papers.
        kind: scale, how large the weights are; shape, how their spectra fall; both; or neither.
        needs: what it takes to compute it.
        formula: what it is.
    """

    name: str
    title: str
    kind: str
    needs: str
    formula: str


METRICS = {
    metric.name: metric
    for metric in (
        Metric("alpha", "Alpha", SHAPE, _WEIGHTS, "mean of α over the layers"),
        Metric("ks", "QualityOfAlphaFit", SHAPE, _WEIGHTS, "mean of D of the fit"),
        Metric("log_spectral_norm", "LogSpectralNorm", SCALE, _WEIGHTS, "mean of log10 ‖W‖2²"),
        Metric("log_norm", "LogFrobeniusNorm", SCALE, _WEIGHTS, "mean of log10 ‖W‖F²"),
        Metric("alpha_weighted", "AlphaHat", BOTH, _WEIGHTS, "mean of α log10 λmax, λ of WᵀW"),
        Metric("log_alpha_schatten_norm", "LogAlphaSchattenNorm", BOTH, _WEIGHTS, "mean of log10 Σ λ^α, λ of WᵀW"),
        Metric("log10_stable_rank", "LogStableRank", SHAPE, _WEIGHTS, "mean of log10 (‖W‖F² / ‖W‖2²)"),
        Metric("distance_from_init", "DistanceFromInit", SCALE, _INITIAL, "mean of ‖W - W at the start‖F, all layers"),
        Metric("alpha_hat", "AlphaHat, ready made", BOTH, _WEIGHTS, "as the table has it"),
        Metric("sharpness", "Sharpness", SCALE, _GRADIENTS, "as the table has it"),
    )
}
"""Name -> metric: those that are measured here, and those that tables bring; svd_smoothing_..., of any percentage, is one too."""

OF_WEIGHTS = tuple(METRICS)[:7]
"""Those that are means over layers."""

RULES = {
    "": f"fitted layers with α < {ALPHA_CUT:g}",
    "_all": "all fitted layers",
    "_signal": f"those with α < {ALPHA_CUT:g} that at most {LEVEL:.0%} of noise of their shape are below",
}
"""Suffix of a metric -> the layers that it is the mean of. The first rule is the papers'."""

COUNTS = {
    "n_layers": "weight matrices",
    "n_fitted": "fitted ones",
    "n_averaged": f"fitted ones with α < {ALPHA_CUT:g}",
    "n_noise": f"of these, with an α that is that of noise: more than {LEVEL:.0%} of noise of their shape have a smaller one",
    "n_untold": "of these, of a shape whose noise is not known",
}
"""How many layers a model has of each kind."""


def metric_of(column: str) -> Metric:
    """The metric of a column: by its name here or in the papers, whatever its capitals and underscores; of others by itself."""
    squeezed = _squeezed(column)
    if squeezed.startswith("svdsmoothing") and (kept := squeezed.removeprefix("svdsmoothing")):
        return Metric(f"svd_smoothing_{kept}", f"SVDSmoothing{kept.capitalize()}", SHAPE, _DATA, "as the table has it")
    return (
        METRICS.get(column)
        or _BY_TITLE.get(squeezed)
        or Metric(column, column, NEITHER, "the table", "as the table has it")
    )


def _squeezed(name: str) -> str:
    return re.sub(r"[\s_]", "", name).casefold()


_BY_TITLE = {_squeezed(metric.title): metric for metric in METRICS.values()}


def is_metric(name: str) -> bool:
    """Whether a column of this name is a metric without being called one."""
    return metric_of(name).kind != NEITHER


def is_measured(name: str) -> bool:
    """Whether a column of this name is one that the program itself writes of a model."""
    return name in COUNTS or any(name == metric + rule for metric in OF_WEIGHTS for rule in RULES)


def with_noise(row: Row, known: bool = True) -> Row:
    """The row of a layer, and in alpha_p the share of noise matrices of its shape that have so small an alpha; NaN if not known."""
    p = math.nan
    if known and row["fitted"]:
        with contextlib.suppress(InputError):  # beyond the table of noise
            p = float(noise_p_value(row["alpha"], row["N"], row["M"]))
    return row | {"alpha_p": p}


def of_layers(rows: Sequence[Row]) -> dict[str, float]:
    """The metrics of a model by each of `RULES`, and its `COUNTS`.

    Eigenvalues of AlphaHat and LogAlphaSchattenNorm are those of W^T W here, as in the papers, N times those of the rest of this
    program: each is the row's own plus alpha log10 N.

    Args:
        rows: of `realnets.analyze`, each `with_noise`.

    Returns:
        Name -> number; NaN for a mean of no layers.

    Source: C. H. Martin & M. W. Mahoney, arXiv:2106.00734, for the metrics and the rule alpha < 8.
    """
    fitted = [row | _of_layer(row) for row in rows if row["fitted"]]
    averaged = [row for row in fitted if row["alpha"] < ALPHA_CUT]
    signal = [row for row in averaged if row["alpha_p"] <= LEVEL]
    found = {
        name + rule: float(np.mean([row[name] for row in chosen])) if chosen else math.nan
        for rule, chosen in zip(RULES, (averaged, fitted, signal), strict=True)
        for name in OF_WEIGHTS
    }
    counts = (
        len(rows),
        len(fitted),
        len(averaged),
        sum(row["alpha_p"] > LEVEL for row in averaged),
        sum(math.isnan(row["alpha_p"]) for row in averaged),
    )
    return found | dict(zip(COUNTS, map(float, counts), strict=True))


def _of_layer(row: Row) -> dict[str, float]:
    shift = row["alpha"] * math.log10(row["N"])
    return {
        "alpha_weighted": row["alpha_hat"] + shift,
        "log_alpha_schatten_norm": row["log_alpha_norm"] + shift,
        "log10_stable_rank": row["log_norm"] - row["log_spectral_norm"],
    }
