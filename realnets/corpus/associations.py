"""One number of the models against another: R^2, RMSE and Kendall's tau in each group, on average, and over all models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realnets.analysis import as_json
from realnets.corpus.table import AVERAGE, POOLED
from rmt.association import FEWEST_OF_GROUP, INTERVALS, RANGES, average_interval, pooled_interval
from rmt.inference import Estimate

STATISTICS = {"r2": "R²", "rmse": "RMSE", "tau": "τ"}
"""Statistic -> its sign, in the order of the papers."""


@dataclass(frozen=True)
class Association:
    """What goes with what, and how closely.

    Attributes:
        x, y: names of the two columns.
        parts: group, `AVERAGE` or `POOLED` -> statistic -> estimate.
        comparisons: in how many intervals each holds: of a group together with the other groups, `AVERAGE` and `POOLED` each with
            those of the other metrics of its table.
    """

    x: str
    y: str
    parts: dict[str, dict[str, Estimate]]
    comparisons: dict[str, int]

    def plain(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "x": self.x,
            "y": self.y,
            "comparisons": self.comparisons,
            "parts": {part: as_json(found, "value") for part, found in self.parts.items()},
        }


def associate(
    x: tuple[str, np.ndarray], y: tuple[str, np.ndarray], group: Sequence[str], metrics: int = 1
) -> Association:
    """Two columns, each with its name, by the groups in the order of their first models; models without a group count nowhere.

    Args:
        x: what predicts.
        y: what is predicted.
        group: of each model.
        metrics: of how many metrics the table is.
    """
    names = np.array(group, object)
    there = names != ""
    names, a, b = names[there], x[1][there], y[1][there]
    groups = list(dict.fromkeys(names.tolist()))
    comparisons = {"groups": max(len(groups), 1), AVERAGE: metrics, POOLED: metrics}
    parts = {name: _of_group(a[names == name], b[names == name], len(groups)) for name in groups}
    for part, of in ((AVERAGE, average_interval), (POOLED, pooled_interval)):
        parts[part] = {what: of(what, a, b, names, comparisons=metrics) for what in INTERVALS}
    return Association(
        x[0], y[0], {part: {what: of[what] for what in STATISTICS} for part, of in parts.items()}, comparisons
    )


def _of_group(x: np.ndarray, y: np.ndarray, comparisons: int) -> dict[str, Estimate]:
    n = int(np.sum(np.isfinite(x) & np.isfinite(y)))
    if n < FEWEST_OF_GROUP:
        return {what: Estimate(math.nan, *RANGES[what], n) for what in INTERVALS}
    return {what: of(x, y, comparisons=comparisons) for what, of in INTERVALS.items()}
