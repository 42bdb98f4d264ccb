"""One self-contained page out of a results folder: every claim's quote, figure, verdicts and reproduction command.

    OUT/<claim>/<size>.json   verdict record, written by `rmt run`
    OUT/<claim>/<size>.svg    its figure
    OUT/<claim>/<size>.nc     its data, to which page and README point
    OUT/tables/*.json         optional tables: {"title", "note", "columns": [...], "rows": [[...], ...]}

A claim that was run at several sizes is shown at the largest. A file that cannot be read is named on the page and hides
nothing else. The page holds no time stamp: equal results give equal bytes.
"""

import json
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmt.console import write_text
from rmt.errors import InputError
from rmt.inline_svg import inline_svg

if TYPE_CHECKING:
    import jinja2

SIZES = ("paper", "default", "smoke")  # largest first
OUTCOMES = ("supported", "contradicted", "inconclusive")

_NUMBER = (int, float)
_RECORD = {
    **dict.fromkeys(
        ("claim", "title", "quote", "source", "criterion", "caption", "size", "file", "command", "git"), str
    ),
    "seconds": _NUMBER,
    "seed": int,
    "versions": dict,
    "verdicts": list,
}
_VERDICT = {
    "statement": str,
    "outcome": str,
    "effect": (*_NUMBER, type(None)),
    "interval": list,
    "n": int,
    "sentence": str,
}
_TABLE = {"title": str, "columns": list, "rows": list}
Record = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """What a results folder holds.

    Attributes:
        records: one verdict record per claim, at its largest size, in the order of the experiment files. Beside its own
            entries a record has "path", and "others": the records of the same claim at smaller sizes.
        tables: the tables, in the order of their file names.
        unreadable: one line for each file that could not be read: its path and why.
    """

    records: list[Record]
    tables: list[dict[str, Any]]
    unreadable: list[str]


def read_results(directory: Path) -> Results:
    """Read every verdict record and table below a results folder.

    Raises:
        InputError: there is no such folder, or nothing readable in it.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory}: no such folder; `rmt run` makes it")
    unreadable: list[str] = []
    runs: dict[str, list[Record]] = {}
    for path in sorted(directory.glob("*/*.json"), key=_rank):
        if path.parent.name != "tables" and (record := _attempt(_read_record, path, unreadable)):
            runs.setdefault(path.parent.name, []).append(record)
    tables = [
        table for path in sorted(directory.glob("tables/*.json")) if (table := _attempt(_read_table, path, unreadable))
    ]
    if not runs and not tables:
        reason = "; ".join(unreadable) or "no verdict records (<claim>/<size>.json) in this folder; run `rmt run` first"
        raise InputError(f"{directory}: {reason}")
    records = [{**largest, "others": others} for largest, *others in runs.values()]
    return Results(sorted(records, key=lambda r: (r["file"], r["claim"])), tables, unreadable)


def verdict_rows(directory: Path) -> list[dict[str, Any]]:
    """One row per verdict of a results folder, the verdict on the claim itself first, then those on its parts.

    Returns:
        Dicts with claim, title, source, size, file, command, and statement, outcome, effect, interval, n, sentence.

    Raises:
        InputError: there is no such folder, or nothing readable in it.
    """
    shared = ("claim", "title", "source", "size", "file", "command")
    return [
        {**{name: record[name] for name in shared}, **verdict}
        for record in read_results(directory).records
        for verdict in record["verdicts"]
    ]


def write_report(directory: Path) -> Path:
    """Write `report.html` into a results folder, completely or not at all, and return its path.

    Raises:
        InputError: there is no such folder, nothing readable in it, or it cannot be written to.
    """
    directory = Path(directory)
    page = render(read_results(directory))
    return _write(directory / "report.html", page)


def render(results: Results) -> str:
    """The page as text: HTML with inline style and figures, no scripts, nothing loaded from anywhere."""
    unreadable = list(results.unreadable)
    claims = []
    for number, record in enumerate(results.records, 1):
        draw = partial(inline_svg, prefix=f"f{number}-", label=record["caption"])
        figure = _attempt(draw, record["path"].with_suffix(".svg"), unreadable)
        claims.append(
            {
                **_with_files(record),
                "anchor": f"claim-{_slug(record['claim'])}",
                "figure": figure,
                "number": number,
            }
        )
    counts = Counter(verdict["outcome"] for record in claims for verdict in record["verdicts"])
    return template("report.html").render(
        claims=claims,
        tables=results.tables,
        unreadable=unreadable,
        counts=[(outcome, counts[outcome]) for outcome in OUTCOMES],
        total=counts.total(),
    )


def _with_files(record: Record) -> dict[str, Any]:
    """A record with its table of cells and the path of its data, None where it has none."""
    data = record["path"].with_suffix(".nc")
    return {
        **record,
        "table": cell_table(record),
        "data": f"{record['claim']}/{data.name}" if data.exists() else None,
    }


@dataclass(frozen=True)
class Excerpt:
    """One claim of the page, as a notebook shows it: quote, criterion, verdicts, figure and command."""

    record: Record

    def _repr_html_(self) -> str:
        prefix = f"{_slug(self.record['claim'])}-{self.record['size']}-"
        figure = inline_svg(self.record["path"].with_suffix(".svg"), prefix, self.record["caption"])
        return template("excerpt.html").render(claim={**_with_files(self.record), "figure": figure, "number": None})


def excerpt(directory: Path, claim: str) -> Excerpt:
    """One claim of a results folder, at the largest size that it was run at.

    Raises:
        InputError: there is no such folder, or no readable record of that claim in it.
    """
    found = {record["claim"]: record for record in read_results(directory).records}
    if claim not in found:
        raise InputError(f"{directory}: no record of {claim!r}; there is {', '.join(found) or 'none'}")
    return Excerpt(found[claim])


def verdict_table_markdown(records: Sequence[Mapping[str, Any]], base: Path | None = None) -> str:
    """The verdicts as a Markdown table, one row each; claim, source and command stand in the first row of a claim.

    Args:
        records: of `read_results`.
        base: the folder that links to figures and data start from; None makes no links.
    """
    lines = [
        "| claim | what was judged | verdict | effect [interval] | n | command |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        for i, verdict in enumerate(record["verdicts"]):
            effect = " ".join(effect_text(verdict))
            claim = f"**{_cell(record['title'])}** ({_cell(record['source'])})" if i == 0 else ""
            command = f"`{record['command'].replace('|', chr(92) + '|').replace('`', '')}`" if i == 0 else ""
            if i == 0 and base is not None:
                command += _links(record, base)
            cells = [claim, _cell(verdict["statement"]), verdict["outcome"], effect, str(verdict["n"]), command]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _links(record: Mapping[str, Any], base: Path) -> str:
    """Markdown links to the figure and the data of a record, those that there are."""
    files = {"figure": record["path"].with_suffix(".svg"), "data": record["path"].with_suffix(".nc")}
    return "".join(
        f" [{name}]({Path(os.path.relpath(file, base)).as_posix()})" for name, file in files.items() if file.exists()
    )


def cell_table(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """The verdicts that are cells of their claim's table, as a table; None if there are no such verdicts.

    Returns:
        A dict of the names of its "columns" and its "rows": (name, verdicts), one verdict or None for each column.
    """
    cells = {tuple(v["cell"][:2]): v for v in record["verdicts"] if "cell" in v}
    columns = list(dict.fromkeys(column for _, column in cells))
    rows = [(row, [cells.get((row, column)) for column in columns]) for row in dict.fromkeys(r for r, _ in cells)]
    return {"columns": columns, "rows": rows} if cells else None


def cell_table_markdown(records: Sequence[Mapping[str, Any]], base: Path | None = None) -> str:
    """Every `cell_table` as Markdown: in each cell what is claimed, the verdict, and the effect with its interval."""
    lines = []
    for table in filter(None, map(cell_table, records)):
        lines += [f"| {' | '.join(map(_cell, ('', *table['columns'])))} |", "|---" * (len(table["columns"]) + 1) + "|"]
        for row, verdicts in table["rows"]:
            texts = [
                f"{_cell(v['cell'][2])}: **{v['outcome']}** {' '.join(effect_text(v))}" if v else "" for v in verdicts
            ]
            lines.append(f"| {' | '.join((_cell(row), *texts))} |")
    return "\n".join(lines) + "\n"


README_TABLES = {"verdicts": verdict_table_markdown, "classes": cell_table_markdown}


def update_readme(readme: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """Put the tables of README_TABLES into a README, each between `<!-- NAME:begin -->` and `<!-- NAME:end -->`.

    The marks of "verdicts" must be there; a table whose marks are missing otherwise is left out.

    Raises:
        InputError: the file cannot be read or written, or does not hold the marks once each, in this order.
    """
    readme = Path(readme)
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{readme}: cannot be read: {_reason(error)}") from error
    for name, table_of in README_TABLES.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if name != "verdicts" and begin not in text and end not in text:
            continue
        if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
            raise InputError(f"{readme}: needs the lines {begin} and {end} once each, around the table of {name}")
        before, after = text.split(begin)[0], text.split(end)[1]
        text = f"{before}{begin}\n\n{table_of(records, readme.absolute().parent)}\n{end}{after}"
    return _write(readme, text)


def effect_text(verdict: Mapping[str, Any]) -> tuple[str, str]:
    """Effect and interval of a verdict as text, to two digits of its width; a dash for what is not finite."""
    numbers = [x if x is not None and math.isfinite(x) else None for x in (verdict["effect"], *verdict["interval"])]
    effect, low, high = numbers
    form = ".4g"
    if effect is not None and low is not None and high is not None:
        width = high - low
        if width > 1e-6 and max(abs(low), abs(high), abs(effect)) < 1e6:
            form = f".{max(0, 1 - math.floor(math.log10(width)))}f"
    effect, low, high = ("–" if x is None else format(float(x), form) for x in numbers)
    return effect, f"[{low}, {high}]"


def cell_text(value: Any) -> str:
    """A table's value: four digits of a float, a dash for what is missing, anything else as it is."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def template(name: str, *folders: Path) -> "jinja2.Template":
    """A template of these folders, or of the lab's own, whose `page.html` is the frame of every page.

    What is put into it is escaped. Filters: `cell` and `effect`, see `cell_text` and `effect_text`.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(cell=cell_text, effect=effect_text)
    environment.tests["numeric"] = lambda value: isinstance(value, _NUMBER) and not isinstance(value, bool)
    return environment.get_template(name)


def _rank(path: Path) -> tuple[str, int, str]:
    size = path.stem
    return path.parent.name, SIZES.index(size) if size in SIZES else len(SIZES), size


def _attempt(read: Any, path: Path, unreadable: list[str]) -> Any:
    try:
        return read(path)
    except InputError as error:
        unreadable.append(str(error))
        return None


def _read_record(path: Path) -> Record:
    record = _read_json(path)
    _check(path, "the record", record, _RECORD)
    if not record["verdicts"]:
        raise InputError(f"{path}: the record holds no verdicts")
    for i, verdict in enumerate(record["verdicts"]):
        where = f"verdict {i + 1}"
        _check(path, where, verdict, _VERDICT)
        if verdict["outcome"] not in OUTCOMES:
            raise InputError(
                f"{path}: {where}: outcome must be one of {', '.join(OUTCOMES)}, got {verdict['outcome']!r}"
            )
        cell = verdict.get("cell", ["", "", ""])
        if not (isinstance(cell, list) and len(cell) == 3 and all(isinstance(text, str) for text in cell)):
            raise InputError(f"{path}: {where}: cell must be row, column and claim, three texts; got {cell!r}")
        if len(verdict["interval"]) != 2 or not all(x is None or isinstance(x, _NUMBER) for x in verdict["interval"]):
            raise InputError(f"{path}: {where}: interval must be two numbers, got {verdict['interval']!r}")
    return {**record, "path": path}


def _read_table(path: Path) -> dict[str, Any]:
    table = _read_json(path)
    _check(path, "the table", table, _TABLE)
    for i, row in enumerate(table["rows"], 1):
        if not isinstance(row, list) or len(row) != len(table["columns"]):
            raise InputError(f"{path}: row {i} must be a list of {len(table['columns'])} values, one for each column")
    return {"note": "", **table, "anchor": f"table-{_slug(path.stem)}"}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error


def _check(path: Path, what: str, value: Any, fields: Mapping[str, Any]) -> None:
    if not isinstance(value, dict):
        raise InputError(f"{path}: {what} must be a JSON object, got {type(value).__name__}")
    for name, kind in fields.items():
        if name not in value:
            raise InputError(f"{path}: {what} lacks {name!r}")
        if not isinstance(value[name], kind):
            raise InputError(f"{path}: {what}: {name!r} cannot be a {type(value[name]).__name__}")


def _write(path: Path, text: str) -> Path:
    try:
        write_text(path, text)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {_reason(error)}") from error
    return path


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


def _cell(text: str) -> str:
    """Text that neither ends a table cell nor starts HTML."""
    text = " ".join(text.split())
    return re.sub(r"([\\*|`\[\]])", r"\\\1", text.replace("&", "&amp;").replace("<", "&lt;"))
