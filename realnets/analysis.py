"""Layers to a table: the metrics of every weight matrix, and their averages over the layers of the network."""

import csv
import io
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from realnets.layers import LARGE, Layer, Layers, Skipped
from realnets.naming import by_depth
from rmt import inference, metrics
from rmt.calibration.ranks import Ranks, ranks_of
from rmt.console import plain
from rmt.inference import Estimate
from rmt.provenance import versions
from rmt.spectra import Spectrum, spectrum, spectrum_of_rows, spectrum_on_host
from rmt.tails import Clauset, Status, TailFit, fit_tail
from rmt.tails.base import Method
from rmt.threads import one_blas_thread

if TYPE_CHECKING:
    import xarray as xr

ALPHA_CUT = 8.0
"""Layers with alpha >= 8 have no power-law tail worth averaging: Martin & Mahoney, arXiv:2106.00734, footnote 10."""

AVERAGED = ("alpha", "ks", "lambda_max", "log_norm", "log_spectral_norm", "alpha_hat", "log_alpha_norm", "stable_rank")
"""Columns that the layer averages are taken of."""

TRENDS = ("alpha", "log_spectral_norm", "entropy", "stable_rank")
"""Columns whose trend with depth is told."""

FEWEST_LAYERS = 10
"""Fitted layers that a trend takes."""

CLAUSET = Clauset()

Row = dict[str, Any]
"""Of a table of layers: column -> value."""


@dataclass(frozen=True)
class Analysis:
    """A table with one row for each weight matrix of a network.

    Attributes:
        source: the file, as it was named.
        format: what kind of file it is.
        rows: name, tensor, kind, transposed, N, M, Q, alpha, its stderr, alpha_low and alpha_high (95 %, all given xmin), xmin, ks (D),
            n_tail, lambda_max of W^T W / N, log_norm (log10 ||W||_F^2), log_spectral_norm (log10 ||W||_2^2),
            alpha_hat (alpha log10 lambda_max), log_alpha_norm, stable_rank, log_stable_rank, entropy, lambda_min, rank and
            status of each matrix; NaN where it cannot be fitted.
        skipped: the tensors left out, with reasons.
        n_tensors: how many tensors the file has.
        settings: everything else that the rows depend on.
        ranks: eigenvalues of each row's matrix at some ranks; columns of no table, "ranks" of the JSON.
    """

    source: str
    format: str
    rows: list[Row]
    skipped: list[Skipped]
    n_tensors: int
    settings: dict[str, Any]
    ranks: list[Ranks] = field(default_factory=list)

    @property
    def n_matrices(self) -> int:
        """How many tensors the rows come from: an LSTM kernel is one tensor and four rows."""
        return len({row["tensor"] for row in self.rows})

    @property
    def averages(self) -> dict[str, Row]:
        """Means over the fitted rows, `all` of them and those with alpha below `ALPHA_CUT`; n is their number."""
        return {
            rule: {"n": means["alpha"].n} | {name: mean.value for name, mean in means.items()}
            for rule, means in self.average_intervals.items()
        }

    @property
    def average_intervals(self) -> dict[str, dict[str, Estimate]]:
        """The same means with Student's intervals, the 95 % joint over the columns; layers are taken as independent draws."""
        fitted = [row for row in self.rows if row["fitted"]]
        few = [row for row in fitted if row["alpha"] < ALPHA_CUT]
        return {
            rule: {
                name: inference.mean_interval([row[name] for row in rows], comparisons=len(AVERAGED))
                for name in AVERAGED
            }
            for rule, rows in (("all", fitted), ("alpha < 8", few))
        }

    @cached_property
    def depth_trends(self) -> dict[str, Estimate]:
        """Kendall's tau of each of `TRENDS` with depth, over the fitted rows, with a joint 95 % interval of all of them.

        tau is the share of pairs of layers in which the deeper one has the larger number, less that in which it has the smaller.
        Depth is the place in the file, with numbered blocks by their numbers. The trend of alpha is the papers' correlation flow;
        where that of log_spectral_norm breaks off they speak of scale collapse.

        The interval takes layers as independent draws of one kind. Layers of unlike shape are not: where embeddings or wide layers
        stand at one end, tau tells their shape. Empty with fewer than `FEWEST_LAYERS`.

        Source: C. H. Martin, T. Peng & M. W. Mahoney, Nature Commun. 12 (2021) 4122, for the names.
        """
        rows = [self.rows[i] for i in by_depth([row["name"] for row in self.rows]) if self.rows[i]["fitted"]]
        if len(rows) < FEWEST_LAYERS:
            return {}
        depth = range(len(rows))
        return {
            name: inference.rank_correlation(
                depth, [row[name] for row in rows], comparisons=len(TRENDS), method="kendall"
            )
            for name in TRENDS
        }

    def to_json(self) -> str:
        """Everything as one JSON object; non-finite numbers are null."""
        tree = {
            "source": self.source,
            "format": self.format,
            "settings": self.settings,
            "versions": versions(),
            "n_tensors": self.n_tensors,
            "n_matrices": self.n_matrices,
            "layers": self.rows,
            "averages": self.averages,
            "average_intervals": {rule: as_json(of, "mean") for rule, of in self.average_intervals.items()},
            "depth_trends": as_json(self.depth_trends, "tau"),
            "ranks": [ranks.plain() for ranks in self.ranks],
            "skipped": [asdict(s) for s in self.skipped],
        }
        return json.dumps(plain(tree), indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """The rows as CSV with a header; non-finite numbers are spelt nan and inf."""
        return rows_as_csv(self.rows)

    def to_dataset(self) -> "xr.Dataset":
        """The rows over the dimension `layer`, its labels the names; what was left out over the dimension `skipped`.

        Source, format, settings and versions are attributes.
        """
        from realnets.datasets import as_dataset  # which knows the columns of the nulls, too

        attrs = {
            "source": self.source,
            "format": self.format,
            "n_tensors": self.n_tensors,
            "n_matrices": self.n_matrices,
        }
        skipped = {
            "skipped_name": [s.name for s in self.skipped],
            "skipped_shape": [" x ".join(map(str, s.shape)) for s in self.skipped],
            "skipped_reason": [s.reason for s in self.skipped],
            "skipped_note": [s.note for s in self.skipped],
        }
        return as_dataset(self.rows, attrs | self.settings | versions(), skipped)

    def to_html(self) -> str:
        """One self-contained page: what was found, plots against depth, the table, and the spectrum of every layer."""
        from realnets.page import model_page  # which draws, and knows of the comparison that is built on this

        return model_page(self)


def as_json(estimates: Mapping[str, Estimate], what: str) -> dict[str, Row]:
    """Estimates as JSON has them: the value under the name `what`, interval and n."""
    return {name: {what: of.value, "interval": of.interval, "n": of.n} for name, of in estimates.items()}


def rows_as_csv(rows: list[Row]) -> str:
    """Rows as CSV with a header; non-finite numbers are spelt nan and inf."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def analyze(
    layers: Layers,
    workers: int = 1,
    on_row: Callable[[Row], None] = lambda row: None,
    method: Method = CLAUSET,
) -> Analysis:
    """Fit and measure every layer: `rmt.fit_tail(rmt.spectrum(W), method)` and the metrics of both.

    Args:
        layers: the weight matrices, read one tensor at a time.
        workers: layers worked on at once, each in memory and with one BLAS thread; one where any has more than `LARGE` entries.
        on_row: called with each row as it is done, in order.
        method: of the fit: `rmt.WeightWatcher()` for the numbers of that tool, with `Layers(conv="pooled")`, its default.

    Returns:
        Analysis. A matrix that cannot be fitted has its row, with NaN and a status.
    """
    rows = list(in_order(lambda layer: _measured(layer, method), layers, at_once(workers, layers), on_row))
    ranks = [row.pop("ranks") for row in rows]
    settings = {"min_M": layers.min_M, "conv": layers.conv.value, "method": repr(method)}
    return Analysis(layers.source, layers.format, rows, layers.skipped, layers.n_tensors, settings, ranks)


def nothing_read(result: Analysis) -> str:
    """Why there are no rows, in one line."""
    first = next((s.note for s in result.skipped if s.reason == "unreadable"), "")
    return f"{result.source}: no tensor could be read: {first}"


def _measured(layer: Layer, method: Method) -> Row:
    row, eigenvalues = measure(layer, method)
    return row | {"ranks": ranks_of(eigenvalues)}


def measure(layer: Layer, method: Method = CLAUSET) -> tuple[Row, np.ndarray]:
    """The row of one layer, and its eigenvalues."""
    s = jax.device_get(spectrum_of(layer))
    fit = jax.device_get(fit_tail(s, method))
    with np.errstate(all="ignore"):  # of a matrix that has no fit
        values = {name: float(value) for name, value in _columns(s, fit).items()}
    row = {
        "name": layer.name,
        "tensor": layer.tensor,
        "kind": layer.kind,
        "transposed": layer.transposed,
        "N": (N := layer.W.shape[-2]),
        "M": (M := layer.W.shape[-1]),
        "Q": N / M,
        **values,
        "rank": int(s.rank),
        "n_tail": int(fit.n_tail),
        "fitted": bool(fit.ok),
        "status": Status(int(fit.status)).name.lower(),
    }
    return row, s.eigenvalues


def columns_of(
    matrices: Mapping[Any, Float[Array, "N M"]], method: Method = CLAUSET
) -> dict[str, Float[Array, " matrices"]]:
    """The numbers of `Analysis.rows` for many matrices at once, which may be traced: each an array in their order.

    One program for each shape, in double precision as for files. NaN where a matrix cannot be fitted.
    """
    by_shape: dict[tuple[int, ...], list[Any]] = {}
    for name, W in matrices.items():
        by_shape.setdefault(W.shape, []).append(name)

    def of_one(W: Array) -> dict[str, Array]:
        s = spectrum(W.astype(float))
        return _columns(s, fit_tail(s, method))

    parts = [jax.lax.map(of_one, jnp.stack([matrices[name] for name in names])) for names in by_shape.values()]
    place = {name: i for i, name in enumerate(name for names in by_shape.values() for name in names)}
    order = jnp.asarray([place[name] for name in matrices])
    return {name: jnp.concatenate([part[name] for part in parts])[order] for name in parts[0]}


def spectrum_of(layer: Layer) -> Spectrum:
    """Of its matrix; of a pool all eigenvalues of its members, which are then those of one matrix with as many columns."""
    W = layer.W
    if W.ndim == 3:
        each = [spectrum_on_host(w) for w in W]
        return Spectrum(np.sort(np.concatenate([s.eigenvalues for s in each])), each[0].N)
    if W.size > LARGE:
        rows = max(1, _BLOCK // W.shape[1])
        return spectrum_of_rows(W[i : i + rows] for i in range(0, len(W), rows))
    return spectrum_on_host(W)


_BLOCK = 2**22  # entries of a large matrix that are in double precision at a time


def _columns(s: Spectrum, fit: TailFit) -> dict[str, Any]:
    low, high = fit.interval()
    return {
        "alpha": fit.alpha,
        "stderr": fit.stderr,
        "alpha_low": low,
        "alpha_high": high,
        "xmin": fit.xmin,
        "ks": fit.ks,
        "n_tail": fit.n_tail,
        "lambda_max": s.lambda_max,
        "log_norm": metrics.log_frobenius_norm(s),
        "log_spectral_norm": metrics.log_spectral_norm(s),
        "alpha_hat": metrics.alpha_hat(s, fit),
        "log_alpha_norm": metrics.log_alpha_norm(s, fit),
        "stable_rank": metrics.stable_rank(s),
        "log_stable_rank": metrics.log_stable_rank(s),
        "entropy": metrics.entropy(s),
        "lambda_min": s.eigenvalues[0],
    }


T = TypeVar("T")


def at_once(workers: int, *networks: Layers) -> int:
    """As many workers, but one where a layer is so large that two of them are too much."""
    return 1 if any(N * M > LARGE for layers in networks for _, N, M in layers.planned) else workers


def in_order(
    function: Callable[[T], Row], layers: Iterable[T], workers: int, on_row: Callable[[Row], None]
) -> Iterator[Row]:
    """function(layer) for each layer, in order, at most `workers` of them in memory."""
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[Row]] = deque()
    with one_blas_thread(of_jax=False):
        try:
            for layer in layers:
                pending.append(pool.submit(function, layer))
                del layer
                if len(pending) >= workers:
                    yield _report(pending.popleft().result(), on_row)
            while pending:
                yield _report(pending.popleft().result(), on_row)
        finally:
            # Not waited for: after Ctrl-C nobody wants the rest of a layer.
            pool.shutdown(wait=False, cancel_futures=True)


def _report(row: Row, on_row: Callable[[Row], None]) -> Row:
    on_row(row)
    return row
