"""The shape of a sweep: its axes, its trials, and what a trial holds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from rmt.keys import canonical

Axes = Mapping[str, tuple[Any, ...]]
Values = dict[str, np.ndarray]
Device = Any  # a jax.Device, which type checkers take for a variable

RESERVED = ("trial", "block", "key", "done")  # names of dims, arguments and arrays of a sweep's own


@dataclass(frozen=True)
class Output:
    """What the measure returns under one name, for one trial."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of these outputs in which nothing is computed yet: NaN, or 0 where the dtype has no NaN."""
        return np.full((*shape, *self.shape), self.fill, self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    @property
    def fill(self) -> float | int | bool:
        """Value of a trial that has not been computed."""
        return float("nan") if self.dtype.kind in "fc" else self.dtype.type(0).item()


@dataclass(frozen=True)
class Layout:
    """The shape of a store: which points and trials it has room for, and what a trial holds."""

    axes: Axes
    n_trials: int
    block: int
    outputs: Mapping[str, Output]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of values on each axis."""
        return tuple(len(values) for values in self.axes.values())

    @property
    def n_blocks(self) -> int:
        """Number of cells per grid point."""
        return -(-self.n_trials // self.block)

    def index(self, point: Mapping[str, Any]) -> tuple[int, ...]:
        """Position of a point on the axes."""
        return tuple(spell(values).index(canonical(point[name])) for name, values in self.axes.items())

    def union(self, other: "Layout") -> "Layout":
        """Room for both: the values of `other` that are new come after the old ones on each axis."""
        axes = {}
        for name, values in self.axes.items():
            known = set(spell(values))
            axes[name] = (*values, *(v for v in other.axes[name] if canonical(v) not in known))
        return replace(self, axes=axes, n_trials=max(self.n_trials, other.n_trials))


def spell(values: tuple[Any, ...]) -> list[str]:
    """The values as `rmt.keys.canonical` spells them, which tells 1 from 1.0 and True."""
    return [canonical(v) for v in values]


def output_dims(name: str, output: Output) -> tuple[str, ...]:
    """Names of the inner dims of an output: `name_dim`, or `name_dim0`, `name_dim1`, ... if there are several."""
    if len(output.shape) == 1:
        return (f"{name}_dim",)
    return tuple(f"{name}_dim{i}" for i in range(len(output.shape)))


def coordinates(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values of an axis as Python values of one type, all different."""
    if name in RESERVED:
        raise ValueError(f"an axis may not be called {name!r}, which a sweep uses itself; choose another name")
    if isinstance(values, str) or not np.iterable(values):
        raise ValueError(f"axis {name!r} must be a sequence of values, got {values!r}; write [{values!r}]")
    plain = tuple(v.item() if isinstance(v, np.generic | np.ndarray | jax.Array) else v for v in values)
    kinds = sorted({type(v).__name__ for v in plain})
    if not plain:
        raise ValueError(f"axis {name!r} is empty; give it at least one value")
    if len(kinds) > 1:
        raise ValueError(f"axis {name!r} mixes {' and '.join(kinds)}; write all its values as one of them")
    if kinds[0] not in ("int", "bool", "str", "float"):
        raise ValueError(f"axis {name!r} holds {kinds[0]} values; coordinates are int, bool, str or float")
    if kinds[0] == "float":
        plain = tuple(v + 0.0 for v in plain)  # -0.0 equals 0.0 and must be the same point
        if any(math.isnan(v) for v in plain):
            raise ValueError(f"axis {name!r} holds NaN, which is no coordinate")
    twice = [v for i, v in enumerate(plain) if v in plain[:i]]
    if twice:
        raise ValueError(f"axis {name!r} holds {twice[0]!r} more than once")
    return plain
