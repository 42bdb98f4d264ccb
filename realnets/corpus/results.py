"""A corpus of models examined: their metrics, the tables of the papers with what they leave out, and Simpson's paradox."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realnets.analysis import as_json, rows_as_csv
from realnets.corpus.associations import STATISTICS, Association, associate
from realnets.corpus.measured import Measured, measure_models
from realnets.corpus.metrics import COUNTS, METRICS, OF_WEIGHTS, RULES, Metric, is_measured, metric_of
from realnets.corpus.table import Columns, Table
from realnets.cutting import Conv
from realnets.datasets import Row, as_array, of_columns
from realnets.layers import MIN_M
from realnets.simpson import Simpson, simpson_each
from realnets.zoo import Unreachable
from rmt.console import plain, write_text
from rmt.errors import InputError, few
from rmt.inference import Estimate, holm, stack
from rmt.netcdf import write
from rmt.provenance import versions
from rmt.tails import Status

if TYPE_CHECKING:
    import xarray as xr

ALPHA, NORM = "alpha", "log_spectral_norm"


@dataclass(frozen=True)
class Corpus:
    """What `examine` finds.

    Attributes:
        source: the table, as it was named.
        columns: which of its columns was what.
        rows: for each model its name, group, settings and accuracies as in the table, its metrics by each of `RULES` with the
            rule's suffix, and its `COUNTS`; NaN where there is none.
        groups: the group of each model, "" where it has none.
        layers: the rows of all layers that were measured, each with its model.
        metrics: those that any model has.
        remarks: what is missing or not told, in sentences.
        unread: one line for each file that could not be read.
        settings: everything else that the rows depend on.
    """

    source: str
    columns: Columns
    rows: list[Row]
    groups: list[str]
    layers: list[Row]
    metrics: list[Metric]
    remarks: list[str]
    unread: list[str]
    settings: dict[str, Any]

    def column(self, name: str) -> np.ndarray:
        """A number of each model."""
        return np.array([row[name] for row in self.rows], float)

    @cached_property
    def titled(self) -> dict[str, Metric]:
        """Name -> metric."""
        return {metric.name: metric for metric in self.metrics}

    @cached_property
    def table(self) -> dict[str, Association]:
        """Metric -> it against the quality."""
        return {metric.name: self._against_quality(metric.name, len(self.metrics)) for metric in self.metrics}

    @cached_property
    def baseline(self) -> Association | None:
        """The baseline against the quality: train against test; None if the table has none."""
        name = self.columns.baseline
        return self._against_quality(name, 1) if name and np.any(np.isfinite(self.column(name))) else None

    @cached_property
    def alpha_and_norm(self) -> Association | None:
        """Alpha against LogSpectralNorm; None where either is missing."""
        if not {ALPHA, NORM} <= {metric.name for metric in self.metrics}:
            return None
        return associate((ALPHA, self.column(ALPHA)), (NORM, self.column(NORM)), self.groups)

    @cached_property
    def rules(self) -> dict[str, dict[str, Association]]:
        """Metric -> suffix of each of `RULES` -> the mean over its layers against the quality; the metrics of measured layers."""
        known = set(self.rows[0]) if self.rows else set()
        names = [metric.name for metric in self.metrics if all(metric.name + rule in known for rule in RULES)]
        count = len(names) * len(RULES)
        return {name: {rule: self._against_quality(name + rule, count) for rule in RULES} for name in names}

    @cached_property
    def paradoxes(self) -> dict[str, Simpson]:
        """Metric -> Simpson's paradox of it and the quality, by Holm's rule over the metrics."""
        groups = [name or None for name in self.groups]
        columns = {metric.name: self.column(metric.name) for metric in self.metrics}
        return simpson_each(columns, self.column(self.columns.quality), groups)

    @cached_property
    def paradox_p(self) -> dict[str, float]:
        """Metric -> the p-value of its verdict, by Holm's rule."""
        return dict(zip(self.paradoxes, holm([of.p for of in self.paradoxes.values()]).tolist(), strict=True))

    def _against_quality(self, name: str, metrics: int) -> Association:
        quality = self.columns.quality
        return associate((name, self.column(name)), (quality, self.column(quality)), self.groups, metrics)

    def to_json(self) -> str:
        """Everything but the layers as one JSON object; non-finite numbers are null."""
        tree = {
            "source": self.source,
            "columns": asdict(self.columns),
            "settings": self.settings,
            "versions": versions(),
            "metrics": [asdict(metric) for metric in self.metrics],
            "layer_rules": RULES,
            "models": self.rows,
            "alpha_and_log_spectral_norm": self.alpha_and_norm and self.alpha_and_norm.plain(),
            "baseline": self.baseline and self.baseline.plain(),
            "metrics_against_quality": {name: of.plain() for name, of in self.table.items()},
            "by_layers": {
                name: {RULES[rule]: of.plain() for rule, of in by_rule.items()} for name, by_rule in self.rules.items()
            },
            "simpson": {
                name: {key: of for key, of in vars(found).items() if not isinstance(of, Estimate)}
                | as_json({key: of for key, of in vars(found).items() if isinstance(of, Estimate)}, "value")
                | {"slopes": as_json(found.slopes, "value"), "p_holm": self.paradox_p[name]}
                for name, found in self.paradoxes.items()
            },
            "remarks": self.remarks,
            "unread": self.unread,
        }
        return json.dumps(plain(tree), indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """The models as a table that `read_table` takes, with their metrics."""
        return rows_as_csv(self.rows)

    def tables(self) -> dict[str, str]:
        """Name -> CSV of the tables of the papers, one row for each pair of columns and group, and that of the paradoxes."""
        found = {"metrics": list(self.table.values())}
        if self.alpha_and_norm:
            found["alpha-log-spectral-norm"] = [self.alpha_and_norm]
        if self.baseline:
            found["train-test"] = [self.baseline]
        if self.rules:
            found["layers"] = [of for by_rule in self.rules.values() for of in by_rule.values()]
        texts = {name: rows_as_csv([row for of in tables for row in _flat(of)]) for name, tables in found.items()}
        return texts | {"simpson": rows_as_csv([self._paradox_row(name) for name in self.paradoxes])}

    def _paradox_row(self, name: str) -> Row:
        found = self.paradoxes[name]
        slopes = {
            key: number
            for what in ("within", "between", "pooled")
            for key, number in _three(what, getattr(found, what)).items()
        }
        plain_columns = ("eta2", "tau_within", "tau_between", "tau_pooled", "p_every", "remark")
        return {
            "metric": name,
            "verdict": found.verdict,
            "p": found.p,
            "p_holm": self.paradox_p[name],
            **slopes,
            **{key: getattr(found, key) for key in plain_columns},
        }

    def to_dataset(self) -> "xr.Dataset":
        """The models over `model`; statistics over `metric` and `part`, a group, AVG or pooled; paradoxes over `metric`; `layer`.

        Each metric's attributes are its formula, kind and needs; source, columns, settings and versions are attributes of the dataset.
        """
        import xarray as xr

        rows = [{name: of for name, of in row.items() if name != self.columns.model} for row in self.rows]
        layers = [{f"layer_{name}": of for name, of in row.items()} for row in self.layers]
        paradoxes = [self._paradox_row(name) for name in self.table]
        parts = list(next(iter(self.table.values())).parts)
        coords = {
            "model": as_array([row[self.columns.model] for row in self.rows]),
            "metric": as_array(list(self.table)),
            "part": as_array(parts),
        }
        variables: dict[str, Any] = self._statistics(parts)
        found = of_columns(paradoxes, "metric", lambda name: {})
        variables |= {f"simpson_{name}": of for name, of in found.items() if name != "metric"}
        variables |= of_columns(layers, "layer", lambda name: {})
        taken = {*variables, *coords, "layer"}
        models = of_columns(rows, "model", _about)
        # netCDF has no slash in a name
        variables |= {f"table_{name}" if name in taken else name.replace("/", "|"): of for name, of in models.items()}
        if not self.columns.group:
            variables.setdefault("group", ("model", as_array(self.groups), {"long_name": "group"}))
        attrs = {
            "source": self.source,
            **{f"column_{name}": of for name, of in asdict(self.columns).items() if isinstance(of, str)},
            **self.settings,
            **versions(),
        }
        return xr.Dataset(variables, coords=coords, attrs=attrs)

    def _statistics(self, parts: Sequence[str]) -> dict[str, Any]:
        """The numbers of all tables as variables of a dataset."""
        found: dict[str, Any] = {}
        for prefix, tables, dims, of in (
            ("", list(self.table.values()), ("metric", "part"), "metric and quality"),
            ("alpha_norm_", [self.alpha_and_norm], ("part",), "Alpha and LogSpectralNorm"),
            ("baseline_", [self.baseline], ("part",), "baseline and quality"),
        ):
            known = [table for table in tables if table is not None]
            for what, sign in STATISTICS.items() if known else ():
                numbers = [stack([table.parts[part][what] for part in parts]) for table in known]
                for end, said in (
                    ("value", ""),
                    ("low", "lower end of the interval of "),
                    ("high", "upper end of the interval of "),
                ):
                    values = np.array([getattr(each, end) for each in numbers])
                    key = f"{prefix}{what}" if end == "value" else f"{prefix}{what}_{end}"
                    found[key] = (dims, values if len(dims) > 1 else values[0], {"long_name": f"{said}{sign} of {of}"})
        return found

    @cached_property
    def figures(self) -> dict[str, str]:
        """Name -> SVG of the figures of the page."""
        from realnets.corpus.page import figures  # which draws

        return figures(self)

    def to_html(self) -> str:
        """One self-contained page: summary, paradoxes, the papers' tables and figures, all models."""
        from realnets.corpus.page import corpus_page  # which draws

        return corpus_page(self)

    def write(self, folder: Path) -> None:
        """Write models.csv, corpus.nc, corpus.json, tables/NAME.csv, figures/NAME.svg and index.html into a folder."""
        for name, text in self.tables().items():
            write_text(folder / "tables" / f"{name}.csv", text)
        for name, text in self.figures.items():
            write_text(folder / "figures" / f"{name}.svg", text)
        write_text(folder / "models.csv", self.to_csv())
        write_text(folder / "corpus.json", self.to_json())
        write(self.to_dataset(), folder / "corpus.nc")
        write_text(folder / "index.html", self.to_html())


def examine(
    table: Table,
    folder: Path | None = None,
    conv: Conv = Conv.SLICES,
    min_M: int = MIN_M,
    workers: int = 1,
    say: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> Corpus:
    """Measure the models of a table that have a weight file and no metrics, and put all of them together.

    Args:
        table: of `read_table`.
        folder: where results of models are kept and found again; None keeps none.
        conv, min_M: as of `Layers`.
        workers: models at once.
        say: told in a line what is fetched, what is reused and what cannot be read.
        progress: show it on stderr.

    Returns:
        Corpus. A model whose file cannot be read stays in it, without metrics.

    Raises:
        InputError: no model has a metric; `zoo.Unreachable` if only the network is missing.
    """
    waiting = [model for model in table.models if model.measured]
    measured = measure_models(waiting, folder, conv, min_M, workers, say, progress)
    unread = [line for of in measured.values() for line in of.remarks]
    for line in unread:
        say(f"error: {line}")
    nothing = Measured({}, [], [])
    known = {model.name: model.ready | measured.get(model.name, nothing).metrics for model in table.models}
    names = list(dict.fromkeys(name for of in known.values() for name in of))
    metrics = sorted(
        (
            metric_of(name)
            for name in names
            if (name in METRICS or not is_measured(name))
            and any(math.isfinite(of.get(name, math.nan)) for of in known.values())
        ),
        key=lambda metric: list(METRICS).index(metric.name) if metric.name in METRICS else len(METRICS),
    )
    if not metrics:
        error = Unreachable if measured and all(of.unreachable for of in measured.values()) else InputError
        raise error(f"{table.source}: no model has a metric" + (f"; {unread[0]}" if unread else ""))
    ordered = [metric.name for metric in metrics] + [name for name in names if name not in {m.name for m in metrics}]
    columns = table.columns
    rows = []
    for model in table.models:
        row: Row = {columns.model: model.name}
        row |= {columns.group: model.group} if columns.group else {}
        row |= model.settings
        row |= {columns.baseline: model.baseline} if columns.baseline else {}
        row |= {columns.quality: model.quality}
        rows.append(row | {name: known[model.name].get(name, math.nan) for name in ordered})
    layers = [{"model": name, **row} for name, of in measured.items() for row in of.layers]
    groups = [model.group for model in table.models]
    settings = {"min_M": min_M, "conv": conv.value} if measured else {}
    remarks = [*table.remarks, *_remarks(metrics, rows, measured)]
    return Corpus(table.source, columns, rows, groups, layers, metrics, remarks, unread, settings)


def _remarks(metrics: Sequence[Metric], rows: Sequence[Row], measured: Mapping[str, Measured]) -> list[str]:
    said: list[str] = []
    lacking: dict[int, list[str]] = {}
    for metric in metrics:
        x = np.array([row[metric.name] for row in rows], float)
        x = x[np.isfinite(x)]
        if len(x) > 1 and np.ptp(x) == 0:
            said.append(f"{metric.title} is the same in all models that have it: it goes with nothing.")
        elif len(np.unique(x)) < len(x):
            said.append(f"{metric.title} is equal in some models; τ is tau-b, which takes ties out.")
        if len(x) < len(rows):
            lacking.setdefault(len(x), []).append(metric.title)
    said += [f"Known of {n} of {len(rows)} models: {', '.join(titles)}." for n, titles in lacking.items()]
    said += _unfitted(measured)
    counts = [[row.get(name, math.nan) for name in ("n_noise", "n_untold", "n_averaged")] for row in rows]
    known = [of for of in counts if np.isfinite(of).all()]
    if known:
        noise, untold, averaged = (int(sum(of)) for of in zip(*known, strict=True))
        said.append(
            f"Of {averaged} averaged layers {noise} have an α that is that of noise of their shape; {untold} are of a shape whose"
            " noise is not known. The means of the other layers are in the columns that end in _signal."
        )
    return said


def _unfitted(measured: Mapping[str, Measured]) -> Iterator[str]:
    """Which models have layers without a fit, by its cause."""
    models: dict[str, list[str]] = {}
    for name, of in measured.items():
        for status, n in Counter(row["status"] for row in of.layers if not row["fitted"]).items():
            models.setdefault(status, []).append(f"{name} ({n} of {len(of.layers)})")
    for status, which in models.items():
        cause, *_ = Status[status.upper()].remedy.partition(":")
        yield f"Layers left out of the means, {cause}: {few(which)}."


def _flat(of: Association) -> list[Row]:
    return [
        {"x": of.x, "y": of.y, "group": part, "n": found["tau"].n}
        | {key: number for what in STATISTICS for key, number in _three(what, found[what]).items()}
        | {"comparisons": of.comparisons.get(part, of.comparisons["groups"])}
        for part, found in of.parts.items()
    ]


def _three(what: str, of: Estimate) -> dict[str, float]:
    return {what: of.value, f"{what}_low": of.low, f"{what}_high": of.high}


def _about(name: str) -> dict[str, str]:
    if name in COUNTS:
        return {"long_name": COUNTS[name]}
    rule = next((rule for rule in reversed(RULES) if rule and name.endswith(rule)), "")
    base = name.removesuffix(rule)
    metric = metric_of(base)
    if base not in METRICS and metric.title == base:
        return {}
    layers = {"layers": RULES[rule]} if base in OF_WEIGHTS else {}
    return {"long_name": metric.title, "formula": metric.formula, "kind": metric.kind, "needs": metric.needs} | layers
