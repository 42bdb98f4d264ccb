"""Cells: the unit of work, of storage and of loss; what a sweep, or a shard of one, has to compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rmt.sweeps.layout import Layout


@dataclass(frozen=True)
class Cell:
    """One grid point and one block of its trials.

    Attributes:
        point: every coordinate of the point.
        index: its place on the axes.
        block: the trials `block * size, ...`, where size is the sweep's block size.
        done: how many of them are finished.
        stop: how many of them are asked for.
    """

    point: Mapping[str, Any]
    index: tuple[int, ...]
    block: int
    done: int
    stop: int

    @property
    def cost(self) -> float:
        """Trials still to run, times N M^2 (an SVD) as far as the axes tell N and M: the unit of the ETA."""
        return (self.stop - self.done) * self._svd

    @property
    def whole_cost(self) -> float:
        """The cost of the cell when nothing of it is finished."""
        return self.stop * self._svd

    @property
    def _svd(self) -> float:
        N, M, Q = (_positive(self.point.get(name)) for name in ("N", "M", "Q"))
        N = N or (M * Q if M and Q else M) or 1.0
        M = M or (N / Q if Q else N)
        return N * M**2

    def __str__(self) -> str:
        point = ", ".join(f"{name} = {value}" for name, value in self.point.items())
        return f"cell ({point or 'no axes'}; block {self.block})"


def all_cells(layout: Layout, done: np.ndarray) -> list[Cell]:
    """Every cell of the grid, the most expensive first, so that no worker is left with one at the end.

    The order does not depend on what is finished, so that shards which start at different times agree on it.
    """
    cells = []
    for index in np.ndindex(layout.sizes):
        point = {name: values[i] for (name, values), i in zip(layout.axes.items(), index, strict=True)}
        for block in range(layout.n_blocks):
            stop = min(layout.block, layout.n_trials - block * layout.block)
            cells.append(Cell(point, index, block, int(done[(*index, block)]), stop))
    return sorted(cells, key=lambda cell: -cell.whole_cost)


def of_shard(cells: list[Cell], shard: tuple[int, int] | None) -> list[Cell]:
    """Every n-th cell from the i-th on: cells come by cost, so that shards of one sweep cost about the same."""
    return cells if shard is None else cells[shard[0] :: shard[1]]


def check_shard(shard: object) -> None:
    """Raise ValueError unless `shard` is None or (i, n) with 0 <= i < n."""
    if shard is None:
        return
    ok = isinstance(shard, tuple) and len(shard) == 2 and all(isinstance(x, int) for x in shard)
    if not ok or not 0 <= shard[0] < shard[1]:  # pyright: ignore[reportIndexIssue]
        raise ValueError(f"shard must be (i, n) with 0 <= i < n, as (0, 3), (1, 3), (2, 3); got {shard!r}")


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
