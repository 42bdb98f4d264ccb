"""Two networks of one architecture, layer by layer: what changed from the first to the second."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from realnets.analysis import CLAUSET, as_json, at_once, in_order, measure, rows_as_csv
from realnets.datasets import Row, as_dataset
from realnets.layers import Layer, Layers
from realnets.naming import shared_folder
from rmt import inference
from rmt.console import plain
from rmt.errors import InputError
from rmt.inference import Estimate
from rmt.provenance import versions
from rmt.tails.base import Method

if TYPE_CHECKING:
    import xarray as xr

CHANGES = ("alpha", "ks", "log_norm", "log_spectral_norm", "alpha_hat", "log_alpha_norm", "stable_rank", "entropy")
"""Columns whose change is told, and the mean of it over the layers."""

_BLOCK = 2**22


@dataclass(frozen=True)
class Difference:
    """A table with one row for each pair of layers.

    Attributes:
        sources: the two files, as they were named.
        formats: what kind of files they are.
        rows: name, kind, N and M; of each of `CHANGES` the value in either, NAME_first and NAME_second, and NAME_change;
            alpha_stderr, of the change if the two were independent, which of a network and its descendant is too much;
            distance ||W_2 - W_1||_F and relative_distance ||W_2 - W_1||_F / ||W_1||_F; fitted, whether both are.
        unpaired: names of layers that only the first has, and only the second.
        settings: everything else that the rows depend on.
    """

    sources: tuple[str, str]
    formats: tuple[str, str]
    rows: list[Row]
    unpaired: tuple[list[str], list[str]]
    settings: dict[str, Any]

    @property
    def means(self) -> dict[str, Estimate]:
        """Mean change of each of `CHANGES` over the layers fitted in both, with a joint 95 % interval of all of them.

        Student's, of layers that are taken as independent draws; what they share is not in it.
        """
        fitted = [row for row in self.rows if row["fitted"]]
        return {
            name: inference.mean_interval([row[f"{name}_change"] for row in fitted], comparisons=len(CHANGES))
            for name in CHANGES
        }

    @property
    def distance_from_init(self) -> dict[str, Estimate]:
        """DistanceFromInit, the mean of ||W_2 - W_1||_F over the pairs, and the relative one, over ||W_1||_F.

        That is its name where the first network is the second before its training. With a joint 95 % interval of both, as of
        `means`; over all pairs that have a distance, fitted or not.

        Source: C. H. Martin & M. W. Mahoney, arXiv:2106.00734.
        """
        return {
            name: inference.mean_interval([row[name] for row in self.rows], comparisons=2)
            for name in ("distance", "relative_distance")
        }

    def to_json(self) -> str:
        """Everything as one JSON object; non-finite numbers are null."""
        tree = {
            "sources": self.sources,
            "formats": self.formats,
            "settings": self.settings,
            "versions": versions(),
            "layers": self.rows,
            "mean_changes": as_json(self.means, "mean"),
            "distance_from_init": as_json(self.distance_from_init, "mean"),
            "unpaired": dict(zip(("first", "second"), self.unpaired, strict=True)),
        }
        return json.dumps(plain(tree), indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """The rows as CSV with a header; non-finite numbers are spelt nan and inf."""
        return rows_as_csv(self.rows)

    def to_dataset(self) -> "xr.Dataset":
        """The rows over the dimension `layer`, its labels the names; layers without a partner over `first` and `second`.

        Sources, formats, settings and versions are attributes.
        """
        attrs = dict(zip(("first", "second"), self.sources, strict=True))
        attrs |= dict(zip(("first_format", "second_format"), self.formats, strict=True))
        unpaired: dict[str, Sequence[str]] = {
            f"{which}_unpaired": names for which, names in zip(("first", "second"), self.unpaired, strict=True)
        }
        return as_dataset(self.rows, attrs | self.settings | versions(), unpaired)


def diff(
    first: Layers,
    second: Layers,
    workers: int = 1,
    on_row: Callable[[Row], None] = lambda row: None,
    method: Method = CLAUSET,
) -> Difference:
    """What changed in every layer from one network to another: fine-tuned beside base, distilled beside teacher.

    Layers are paired by name and shape. If no name is in both, those without the folder that all layers of their network share
    are compared ("model.layer.0.weight" with "layer.0.weight").

    Args:
        first, second: the weight matrices of the two.
        workers: pairs worked on at once.
        on_row: called with each row as it is done, in order.
        method: of the fit.

    Raises:
        InputError: no layer of the one has the name and shape of one of the other.
    """
    pairs = pairs_of(first, second)
    workers = at_once(workers, first, second)
    rows = list(in_order(lambda pair: _compared(*pair, method), _loaded(first, second, pairs), workers, on_row))
    known = {name for name, _ in pairs}, {name for _, name in pairs}
    lost = tuple(
        [name for name, _, _ in layers.planned if name not in names]
        for layers, names in zip((first, second), known, strict=True)
    )
    settings = {"min_M": first.min_M, "conv": first.conv.value, "method": repr(method)}
    return Difference((first.source, second.source), (first.format, second.format), rows, (lost[0], lost[1]), settings)


def distances(first: Layers, second: Layers) -> list[float]:
    """||W_2 - W_1||_F of each pair of layers, as in `Difference.rows`, without a fit of either.

    Raises:
        InputError: as of `pairs_of`.
    """
    return [_distance(a.W, b.W) for a, b in _loaded(first, second, pairs_of(first, second))]


def pairs_of(first: Layers, second: Layers) -> list[tuple[str, str]]:
    """Names of the layers that belong together, in the order of the first; nothing is loaded.

    Raises:
        InputError: no layer of the one has the name and shape of one of the other.
    """
    for short in (False, True):
        keys = []
        for layers in (first, second):
            head = shared_folder([name for name, _, _ in layers.planned]) if short else ""
            keys.append({(name.removeprefix(head), N, M): name for name, N, M in layers.planned})
        if found := [(name, keys[1][key]) for key, name in keys[0].items() if key in keys[1]]:
            return found
    raise InputError(
        f"{first.source} and {second.source} have no layer of the same name and shape; theirs begin with "
        f"{_begin(first)} and {_begin(second)}"
    )


def _begin(layers: Layers) -> str:
    return next((f"{name} ({N} x {M})" for name, N, M in layers.planned), "nothing")


def _loaded(first: Layers, second: Layers, pairs: list[tuple[str, str]]) -> Iterator[tuple[Layer, Layer]]:
    """Both layers of each pair; a tensor of the second is read when the first asks for a piece of it."""
    partner = dict(pairs)
    held: dict[str, Layer] = {}
    for layer in first:
        if layer.name not in partner:
            continue
        name = partner[layer.name]
        if name not in held:
            held = {other.name: other for other in second.of_tensor_with(name)}
        if name in held:
            yield layer, held.pop(name)


def _compared(a: Layer, b: Layer, method: Method) -> Row:
    (one, _), (two, _) = measure(a, method), measure(b, method)
    row: Row = {name: one[name] for name in ("name", "kind", "N", "M")}
    for name in CHANGES:
        row |= {f"{name}_first": one[name], f"{name}_second": two[name], f"{name}_change": two[name] - one[name]}
    distance = _distance(a.W, b.W)
    size = 10 ** (one["log_norm"] / 2)
    return row | {
        "alpha_stderr": math.hypot(one["stderr"], two["stderr"]),
        "distance": distance,
        "relative_distance": distance / size if size > 0 else math.nan,
        "fitted": one["fitted"] and two["fitted"],
        "status": one["status"] if not one["fitted"] else two["status"],
    }


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """||B - A||_F, a part of the rows at a time."""
    total, step = 0.0, max(1, _BLOCK // math.prod(a.shape[1:]))
    for i in range(0, len(a), step):
        off = np.asarray(b[i : i + step], float) - np.asarray(a[i : i + step], float)
        total += float(np.sum(off * off))
    return math.sqrt(total)
