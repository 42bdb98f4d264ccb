"""The table of a corpus: for each model its weight file or its metrics, its group, its settings and its accuracies."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from realnets.corpus.metrics import OF_WEIGHTS, is_measured, is_metric, metric_of
from rmt.datafiles import cell_number, load_table, shown_name
from rmt.errors import InputError

AVERAGE, POOLED = "AVG", "pooled"
"""What the rows of a table are called that are of all groups."""

ALL = "all"
"""The group of all models where the table has none."""


@dataclass(frozen=True)
class Columns:
    """Which column of a table is what; one that is None may be missing.

    Attributes:
        model: the name of a model.
        file: its weight file: a path from the table's folder, zoo:NAME or hf:OWNER/REPO.
        initial: its weights before the training, in the same ways.
        group: models that differ in their settings alone: a depth, an architecture.
        quality: what is to be predicted.
        baseline: what is at hand without any metric, the training accuracy.
        metrics: metrics that are ready made, beside those that are known by their names.
    """

    model: str = "model"
    file: str = "file"
    initial: str = "initial"
    group: str = "group"
    quality: str = "test_accuracy"
    baseline: str = "train_accuracy"
    metrics: tuple[str, ...] = ()


ROLES = ("model", "file", "initial", "group", "quality", "baseline")
"""What a column can be, beside a metric or a setting."""


@dataclass(frozen=True)
class Model:
    """A row of the table.

    Attributes:
        name: the model.
        group: its group; "" if none is given.
        file, initial: sources of weights as `open_source` takes them; "" if there are none.
        quality, baseline: NaN if not given.
        ready: metrics that the table holds.
        settings: all other columns, numbers where the whole column is of numbers.
    """

    name: str
    group: str
    file: str
    initial: str
    quality: float
    baseline: float
    ready: dict[str, float]
    settings: dict[str, float | str] = field(default_factory=dict)

    @property
    def measured(self) -> bool:
        """Whether its metrics are to be measured: it has a file, and the table no mean over its layers."""
        return bool(self.file) and not any(math.isfinite(self.ready.get(name, math.nan)) for name in OF_WEIGHTS)


@dataclass(frozen=True)
class Table:
    """What `read_table` finds.

    Attributes:
        source: the file, as it was named.
        columns: which column is what; "" for those that the table lacks.
        models: its rows.
        remarks: what is missing, in sentences.
    """

    source: str
    columns: Columns
    models: list[Model]
    remarks: list[str]


def read_table(file: Path, columns: Columns = Columns(), where: Sequence[str] = ()) -> Table:
    """Read the table of a corpus.

    Args:
        file: as of `rmt.datafiles.load_table`.
        columns: what its columns are called. A column that is named otherwise than by default must be there; of those by
            default model and quality must.
        where: COLUMN=VALUE, each a condition on the rows that count.

    Raises:
        InputError: it cannot be read, lacks a column or the quality of all models, holds text for a number, two models of one
            name, or a group that is called like a row of all groups.
    """
    source = shown_name(file)
    names, rows = load_table(file)
    place = {name: i for i, name in enumerate(names)}
    columns = _present(source, place, columns)
    rows = _chosen(source, place, rows, where)
    metrics = _metrics(source, names, columns)
    taken = {*(getattr(columns, role) for role in ROLES), *metrics}
    others = [name for name in names if name and name not in taken]
    numeric = {name for name in others if all(_is_number(cells[place[name]]) for _, cells in rows)}
    models: dict[str, Model] = {}
    lines: dict[str, int] = {}
    for line, cells in rows:

        def text(column: str, cells: list[str] = cells) -> str:
            return cells[place[column]] if column else ""

        def number(column: str, line: int = line, cells: list[str] = cells) -> float:
            value = cell_number(text(column, cells), f"{source}, line {line}, column {column}") if column else math.nan
            return value if math.isfinite(value) else math.nan

        name, group = text(columns.model), text(columns.group) if columns.group else ALL
        if not name:
            raise InputError(f"{source}, line {line}: has no name in column {columns.model}")
        if name in models:
            raise InputError(
                f"{source}, line {line}: model {name[:80]!r} is in line {lines[name]} too; give each its own name"
            )
        if group in (AVERAGE, POOLED):
            raise InputError(
                f"{source}, line {line}: group {group!r} is what a row of all groups is called; leave it out"
            )
        models[name] = Model(
            name=name,
            group=group,
            file=_source(file, text(columns.file)),
            initial=_source(file, text(columns.initial)),
            quality=number(columns.quality),
            baseline=number(columns.baseline),
            ready={metric: number(column) for column, metric in metrics.items()},
            settings={other: number(other) if other in numeric else text(other) for other in others},
        )
        lines[name] = line
    found = list(models.values())
    if all(math.isnan(model.quality) for model in found):
        raise InputError(f"{source}: column {columns.quality} is empty; name another with --quality")
    if not any(model.file for model in found) and not metrics:
        raise InputError(
            f"{source}: has neither weight files in column {Columns.file} nor metrics; name columns with --file or --metric"
        )
    return Table(source, columns, found, _remarks(columns, found))


def _present(source: str, place: dict[str, int], columns: Columns) -> Columns:
    """The columns that the table has."""
    there = {}
    for role in ROLES:
        name, usual = getattr(columns, role), getattr(Columns, role)
        if name not in place and (name != usual or role in ("model", "quality")):
            raise _no_column(source, place, name, f"; name another with --{role}" if name == usual else "")
        there[role] = name if name in place else ""
    if missing := next((name for name in columns.metrics if name not in place), None):
        raise _no_column(source, place, missing, "")
    return Columns(**there, metrics=columns.metrics)


def _metrics(source: str, names: Sequence[str], columns: Columns) -> dict[str, str]:
    """Column -> the name of its metric."""
    roles = [getattr(columns, role) for role in ROLES]
    found: dict[str, str] = {}
    for column in names:
        if column in roles or not (is_metric(column) or is_measured(column) or column in columns.metrics):
            continue
        name = metric_of(column).name
        if twice := next((other for other, of in found.items() if of == name), None):
            raise InputError(
                f"{source}: columns {twice!r} and {column!r} are both {metric_of(column).title}; leave one out"
            )
        found[column] = name
    return found


def _no_column(source: str, place: dict[str, int], name: str, advice: str) -> InputError:
    known = ", ".join(list(place)[:12])[:200] + (" and others" if len(place) > 12 else "")
    return InputError(f"{source}: no column {name[:40]!r}; there are {known}{advice}")


def _chosen(
    source: str, place: dict[str, int], rows: list[tuple[int, list[str]]], where: Sequence[str]
) -> list[tuple[int, list[str]]]:
    for condition in where:
        column, equals, value = condition.partition("=")
        if not equals:
            raise InputError(f"--where {condition}: is not COLUMN=VALUE")
        if column not in place:
            raise _no_column(source, place, column, "")
        rows = [row for row in rows if row[1][place[column]] == value]
    if not rows:
        raise InputError(f"{source}: no row has {' and '.join(where)}")
    return rows


def _is_number(cell: str) -> bool:
    try:
        cell_number(cell, "")
    except InputError:
        return False
    return True


def _source(table: Path, file: str) -> str:
    """A path is from the table's folder on."""
    return file if not file or file.startswith(("zoo:", "hf:")) else str(table.parent / file)


def _remarks(columns: Columns, models: Sequence[Model]) -> list[str]:
    said = []
    if not columns.group:
        said.append(f"The table has no column {Columns.group}; all models are one group.")
    sizes = Counter(model.group for model in models if model.group)
    if columns.group and len(sizes) == 1:
        said.append("All models are one group: no paradox can be tested.")
    if few := [f"{name or 'no name'} ({n})" for name, n in sizes.items() if n < 3]:
        said.append(f"Groups of one or two models, which have no statistics of their own: {', '.join(few)}.")
    if none := sum(not model.group for model in models):
        said.append(f"Models without a group, which count in no table: {none}.")
    if none := sum(math.isnan(model.quality) for model in models):
        said.append(f"Models without {columns.quality}, which count in no table of it: {none}.")
    ready = [model for model in models if model.file and not model.measured]
    if ready:
        said.append(f"Models whose metrics are in the table, so that their files were not read: {len(ready)}.")
    if none := sum(not model.file and all(map(math.isnan, model.ready.values())) for model in models):
        said.append(f"Models with neither a file nor a metric: {none}.")
    return said
