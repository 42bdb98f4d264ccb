"""Layers beside their matched nulls (`rmt.calibration.nulls`): what a random matrix of the same shape and entries would give."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Array, Key

from realnets.analysis import Analysis, Row, in_order, measure
from realnets.layers import Layer, Layers
from rmt import inference
from rmt.calibration.nulls import (
    MIN_NULLS,
    NOT_TESTED,
    STATISTICS,
    VERDICTS,
    decisive,
    localised,
    n_replicates,
    null_p_value,
    null_spectra,
    null_tests,
    verdict,
)
from rmt.console import plain

NULLS = ("gaussian", "shuffled")
LEVEL = 0.05
"""Probability that any verdict of a table is wrong about a layer that is its own null."""


@dataclass(frozen=True)
class Comparison(Analysis):
    """An Analysis whose rows also hold each layer beside its nulls.

    With NULL one of gaussian and shuffled, and WHAT one of `rmt.calibration.nulls.STATISTICS`: NULL_WHAT is the median over
    the replicates, NULL_WHAT_layer the layer's own (where no column has it), NULL_WHAT_t, _p, _rank and _beyond are the
    fields of its `NullTest`; NULL_p is the p-value of the decisive ones, NULL_p_adjusted that by Holm over all layers and
    nulls. Further columns are n_nulls, localised (see `localised`) and verdict.
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


def compare(
    layers: Layers,
    key: Key[Array, ""],
    n_nulls: int = 20,
    workers: int = 1,
    on_row: Callable[[Row], None] = lambda row: None,
) -> Comparison:
    """Analyze every layer and put it beside replicates of its two nulls.

    A verdict takes lambda_max (two-sided) and the distance of the ESD (one-sided) against both nulls, 4 tests a layer: by
    Student's p-value, and the layer must lie beyond every replicate too. Holm's rule keeps the probability of any wrong verdict
    of the table at 0.05. In a layer with entries so large that they make eigenvalues of their own (`localised`) lambda_max is
    not judged by the shuffles.
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
    n_tests = sum(len(decisive(null, row["localised"])) for row in rows for null in NULLS if row["fitted"])
    settings = {"min_M": layers.min_M, "n_nulls": n_nulls, "level": LEVEL, "tests": n_tests}
    p = inference.holm([[row[f"{null}_p"] for null in NULLS] for row in rows])
    rows = [row | _judged(dict(zip(NULLS, each, strict=True))) for row, each in zip(rows, p, strict=True)]
    return Comparison(layers.source, layers.format, rows, layers.skipped, layers.n_tensors, settings)


def _judged(p: dict[str, float]) -> Row:
    return {f"{null}_p_adjusted": float(of) for null, of in p.items()} | {"verdict": verdict(p, LEVEL)}


def _compare_layer(layer: Layer, key: Key[Array, ""], n_nulls: int) -> Row:
    row, eigenvalues = measure(layer)
    n = n_replicates(row["N"], row["M"], n_nulls)
    row |= {"n_nulls": n, "localised": localised(layer.W)}
    for null in NULLS:
        nulls = np.full((n, row["M"]), np.nan)
        if row["fitted"]:
            nulls = null_spectra(layer.W, null, key, n, layer.name)
        row |= _beside(row, eigenvalues, null, nulls)
    return row


def _beside(row: Row, eigenvalues: np.ndarray, null: str, nulls: np.ndarray) -> Row:
    """The columns of one null."""
    tests = null_tests(eigenvalues, row["N"], nulls) if row["fitted"] else NOT_TESTED
    columns: Row = {}
    for what in STATISTICS:
        test = tests[what]
        columns |= {
            f"{null}_{what}": test.median,
            f"{null}_{what}_t": test.t,
            f"{null}_{what}_p": test.p,
            f"{null}_{what}_rank": test.rank,
            f"{null}_{what}_beyond": test.beyond,
        }
        if what not in row:
            columns[f"{null}_{what}_layer"] = test.observed
    return columns | {f"{null}_p": null_p_value(null, tests, row["localised"])}
