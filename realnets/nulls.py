"""Layers beside their matched nulls (`rmt.calibration.nulls`): what a random matrix of the same shape and entries would give."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from jaxtyping import Array, Key

from realnets.analysis import Analysis, Row, at_once, in_order, measure
from realnets.cutting import Conv
from realnets.layers import LARGE, Layer, Layers
from rmt import inference
from rmt.calibration.card import FEWEST, JUDGED, LEVEL, card_columns, class_card, random_block
from rmt.calibration.nulls import MIN_NULLS, VERDICTS, decisive, n_replicates, verdict
from rmt.calibration.ranks import ranks_of
from rmt.console import plain
from rmt.keys import point_key


@dataclass(frozen=True)
class Comparison(Analysis):
    """An Analysis whose rows also hold each layer beside its nulls.

    Each has its card in the columns of `rmt.calibration.card.card_columns`, with NULL one of gaussian and shuffled.
    NULL_p_adjusted is NULL_p by Holm over all layers and nulls, and the verdict follows from it; traps_p_adjusted is traps_p by
    Holm over all layers.
    """

    @property
    def verdicts(self) -> dict[str, int]:
        """How many layers got which verdict."""
        found = [row["verdict"] for row in self.rows]
        return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}

    @property
    def trapped(self) -> list[Row]:
        """The rows of correlation traps: shuffled, too, they have more eigenvalues beyond the edge than noise (`LEVEL`, Holm).

        How many is in shuffled_n_spikes, how many its large entries and its mean explain in traps_expected
        (`rmt.calibration.traps`). Those it does not are of heavy tails, which move the edge.
        """
        return [row for row in self.rows if row["traps_p_adjusted"] <= LEVEL]

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
    alpha is compared but decides nothing: on pure noise it ranges from 4 to 30. A layer of more than `LARGE` entries is put beside
    its nulls by a random block, as the remark in its row says.

    Args:
        layers: the weight matrices.
        key: a layer's draws depend on it and on the layer's name alone.
        n_nulls: replicates of each null, at least 5; large layers get fewer, see `n_replicates`.
        workers: layers worked on at once.
        on_row: called with each row as it is done, in order; its verdict is not known before the last.

    Returns:
        Comparison.

    Raises:
        ValueError: `n_nulls` is too small, or convolutions are pooled, which have no null of their own.
    """
    if layers.conv is Conv.POOLED:
        raise ValueError("compare(layers) needs matrices one by one: conv='slices' or 'reshaped', got 'pooled'")
    if n_nulls < MIN_NULLS:
        raise ValueError(f"compare(n_nulls) needs at least {MIN_NULLS} replicates of each null, got {n_nulls}")
    rows = list(in_order(partial(_compare_layer, key=key, n_nulls=n_nulls), layers, at_once(workers, layers), on_row))
    ranks = [row.pop("ranks") for row in rows]
    n_tests = sum(len(decisive(null, row["localised"])) for row in rows for null in JUDGED if row["fitted"])
    settings = {"min_M": layers.min_M, "conv": layers.conv.value, "n_nulls": n_nulls, "level": LEVEL, "tests": n_tests}
    p = inference.holm([[row[f"{null}_p"] for null in JUDGED] for row in rows])
    traps = inference.holm([row["traps_p"] for row in rows])
    rows = [
        row | {"traps_p_adjusted": float(of)} | _judged(dict(zip(JUDGED, each, strict=True)))
        for row, each, of in zip(rows, p, traps, strict=True)
    ]
    return Comparison(layers.source, layers.format, rows, layers.skipped, layers.n_tensors, settings, ranks)


def cost(N: int, M: int, n_nulls: int) -> float:
    """Of a layer, with its replicates, in units of N M^2 products."""
    return N * M * M * (1 + 2 * n_replicates(N, M, n_nulls))


def _judged(p: dict[str, float]) -> Row:
    return {f"{null}_p_adjusted": float(of) for null, of in p.items()} | {"verdict": verdict(p, LEVEL)}


def _compare_layer(layer: Layer, key: Key[Array, ""], n_nulls: int) -> Row:
    row, eigenvalues = measure(layer)
    row["ranks"] = ranks_of(eigenvalues)
    if not row["fitted"] or row["M"] < FEWEST:
        return row | card_columns(None, JUDGED)
    W = layer.W
    if W.size > LARGE:
        M = min(W.shape[1], math.isqrt(LARGE))
        shape = min(W.shape[0], LARGE // M), M
        W = random_block(W, point_key(key, {"layer": layer.name}), "nulls", shape)
    card = class_card(W, key, n_nulls, JUDGED, layer.name)
    columns = card_columns(card, JUDGED)
    if W is layer.W:
        row["ranks"] = card.ranks  # with the bands; those of a block are no bands of the layer
    else:
        said = f"the nulls are beside a random block of {W.shape[0]} x {W.shape[1]}"
        columns["remarks"] = "; ".join(filter(None, (said, columns["remarks"])))
    return row | columns
