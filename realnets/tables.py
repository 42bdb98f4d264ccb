"""Results as text for a terminal: tables that fit its width, averages, what was left out."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from realnets.analysis import FEWEST_LAYERS, TRENDS, Analysis, Row
from realnets.corpus.table import AVERAGE, POOLED
from realnets.diff import Difference
from realnets.layers import describe_skipped
from realnets.naming import shared_folder
from realnets.networks import Network
from realnets.nulls import Comparison
from realnets.zoo import ZOO
from rmt.calibration.card import LEVEL
from rmt.calibration.nulls import VERDICTS
from rmt.errors import few
from rmt.inference import Estimate

if TYPE_CHECKING:
    from realnets.corpus import Corpus

_WIDE = 120
_WIDEST = 140
_NARROW = 76
_SHORTEST_NAME = 12
_LISTED = 8


@dataclass(frozen=True)
class _Column:
    head: str
    text: Callable[[Row], str]
    at: int = 0  # the least terminal width at which it is shown


def _number(name: str, digits: int = 2) -> Callable[[Row], str]:
    return lambda row: _fixed(row[name], digits)


def _signed(name: str, digits: int = 2) -> Callable[[Row], str]:
    return lambda row: ("+" if row[name] > 0 else "") + _fixed(row[name], digits)


def _whole(name: str) -> Callable[[Row], str]:
    return lambda row: str(row[name])


def _fixed(x: float, digits: int) -> str:
    if not math.isfinite(x):
        return "-"
    return f"{x:.{digits}f}" if abs(x) < 10**4 else f"{x:.1e}"


def _significant(x: float) -> str:
    return f"{x:.3g}" if math.isfinite(x) else "-"


def _distance(name: str) -> Callable[[Row], str]:
    return lambda row: _fixed(row[f"{name}_t"], 1) + ("*" if row[f"{name}_beyond"] else " ")


def _ratio(null: str) -> Callable[[Row], str]:
    return lambda row: _fixed(row["lambda_max"] / row[f"{null}_lambda_max"], 2)


_ANALYSIS = (
    _Column("kind", _whole("kind"), at=_WIDE),
    _Column("N", _whole("N"), at=_NARROW),
    _Column("M", _whole("M"), at=_NARROW),
    _Column("Q", _number("Q"), at=_WIDE),
    _Column("α", _number("alpha")),
    _Column("±", lambda row: _fixed(row["alpha_high"] - row["alpha"], 2)),
    _Column("xmin", lambda row: _significant(row["xmin"]), at=_WIDE),
    _Column("D", _number("ks", 3)),
    _Column("tail", _whole("n_tail"), at=_NARROW),
    _Column("λmax", lambda row: _significant(row["lambda_max"])),
    _Column("log F", _number("log_norm"), at=_NARROW),
    _Column("log S", _number("log_spectral_norm"), at=_WIDE),
    _Column("α^", _number("alpha_hat"), at=_NARROW),
    _Column("log A", _number("log_alpha_norm"), at=_WIDE),
    _Column("R", _number("stable_rank", 1)),
    _Column("status", lambda row: "" if row["status"] == "ok" else row["status"]),
)


def _interval(row: Row) -> str:
    """The tail index that the entries would have, if they were independent: its interval or its bound."""
    low, high = row["mu_low"], row["mu_high"]
    if not low > 0:
        return f"< {_fixed(high, 1)}" if math.isfinite(high) else "-"
    return f"{low:.1f} to {high:.1f}" if math.isfinite(high) else f"> {low:.1f}"


def _shuffled_lambda(row: Row) -> str:
    text = _distance("shuffled_lambda_max")(row)
    return f"({text.strip()})" if row["localised"] else text


_COMPARISON = (
    _Column("N", _whole("N"), at=_WIDE),
    _Column("M", _whole("M"), at=_WIDE),
    _Column("α", _number("alpha")),
    _Column("α0", _number("shuffled_alpha")),
    _Column("t(α)", _distance("shuffled_alpha"), at=_NARROW),
    _Column("λ/λ0", _ratio("shuffled")),
    _Column("t(λ)", _shuffled_lambda),
    _Column("D", _number("shuffled_esd_layer", 3), at=_NARROW),
    _Column("t(D)", _distance("shuffled_esd"), at=_NARROW),
    _Column("αG", _number("gaussian_alpha"), at=_WIDE),
    _Column("t(α)", _distance("gaussian_alpha"), at=_WIDE),
    _Column("λ/λG", _ratio("gaussian"), at=_WIDE),
    _Column("t(λ)", _distance("gaussian_lambda_max"), at=_WIDE),
    _Column("D", _number("gaussian_esd_layer", 3), at=_WIDE),
    _Column("t(D)", _distance("gaussian_esd"), at=_WIDE),
    _Column("class", _whole("class"), at=_WIDEST),
    _Column("μ", _interval, at=_WIDEST),
    _Column("verdict", lambda row: row["verdict"] if row["fitted"] else row["status"]),
)


def print_analysis(result: Analysis, console: Console, verbose: bool = False) -> None:
    """The table, the layer averages, and what was left out."""
    _print_rows(result, _ANALYSIS, console)
    _lines(console, f"α ± 95 % given xmin; {SYMBOLS}")
    _print_averages(result, console)
    _print_skipped(result, console, verbose)


def how_judged(result: Comparison) -> str:
    """By what the verdicts are, and how often any is wrong."""
    tests = result.settings["tests"]
    return f"Verdicts from λ and D against both nulls, {tests} tests, any of them wrong in {LEVEL:.0%} of cases"


def print_comparison(result: Comparison, console: Console, verbose: bool = False) -> None:
    """The table of distances from the nulls, the counts of verdicts, the averages, and what was left out."""
    _print_rows(result, _COMPARISON, console)
    _lines(console, _legend(result, console.width >= _WIDE))
    _lines(console, f"{how_judged(result)}:")
    for verdict, count in result.verdicts.items():
        _lines(console, f"{count} {verdict}: {VERDICTS[verdict]}", indent=2)
    _lines(console, _traps(result))
    found = Counter(row["class"] for row in result.rows if row["class"])
    if found:
        counts = ", ".join(f"{count} {name}" for name, count in found.most_common())
        _lines(
            console,
            f"Class of the independent matrix whose spectrum is most like the layer's: {counts} (--json: P and μ).",
        )
    _print_averages(result, console)
    _print_skipped(result, console, verbose)


def _alpha_interval(row: Row) -> str:
    return f"[{_fixed(row['alpha_low'], 2)}, {_fixed(row['alpha_high'], 2)}]" if row["fitted"] else "-"


_PAGE = (
    _Column("kind", _whole("kind")),
    _Column("N", _whole("N")),
    _Column("M", _whole("M")),
    _Column("α", _number("alpha")),
    _Column("95 %", _alpha_interval),
    _Column("tail", _whole("n_tail")),
    _Column("λmax", lambda row: _significant(row["lambda_max"])),
)
_JUDGED_PAGE = (
    _Column("verdict", _whole("verdict")),
    _Column("class", _whole("class")),
    _Column("μ", _interval),
    _Column("spikes", lambda row: _fixed(row["n_spikes"], 0)),
)
_REMARKS = _Column(
    "remarks", lambda row: "; ".join(filter(None, ("" if row["fitted"] else row["status"], row.get("remarks", ""))))
)
SYMBOLS = (
    "D of the fit; λ of WᵀW/N; log F = log10 ‖W‖F², log S = log10 ‖W‖2², α^ = α log10 λmax,"
    " log A = log10 Σ λ^α; R = stable rank."
)
_WORDS = ("kind", "verdict", "class", "status", "remarks")


def page_table(rows: Sequence[Row], judged: bool) -> tuple[list[tuple[str, bool]], list[list[str]]]:
    """The table of a model's page: heads, each with whether it is of words, and the cells of every row."""
    columns = (*_PAGE, *(_JUDGED_PAGE if judged else ()))
    if any(_REMARKS.text(row) for row in rows):
        columns = (*columns, _REMARKS)
    cells = [[column.text(row).strip() for column in columns] for row in rows]
    return [(column.head, column.head in _WORDS) for column in columns], cells


def layer_caption(row: Row, judged: bool) -> str:
    """A fit in a line: alpha with its interval, and the largest eigenvalue beside that of the Gaussian null."""
    if not row["fitted"]:
        return f"not fitted: {row['status']}"
    beside = f"; λmax {_ratio('gaussian')(row)} times the Gaussian null's" if judged else ""
    return f"α = {_fixed(row['alpha'], 2)} {_alpha_interval(row)}, {row['n_tail']} in the tail{beside}"


_DIFFERENCE = (
    _Column("N", _whole("N"), at=_WIDE),
    _Column("M", _whole("M"), at=_WIDE),
    _Column("α1", _number("alpha_first")),
    _Column("α2", _number("alpha_second")),
    _Column("Δα", _signed("alpha_change")),
    _Column("±", lambda row: _fixed(1.96 * row["alpha_stderr"], 2)),
    _Column("Δ log F", _signed("log_norm_change", 3), at=_NARROW),
    _Column("Δ log S", _signed("log_spectral_norm_change", 3), at=_NARROW),
    _Column("Δα^", _signed("alpha_hat_change"), at=_WIDE),
    _Column("ΔR", _signed("stable_rank_change", 1)),
    _Column("moved", lambda row: _significant(row["relative_distance"])),
    _Column("status", lambda row: "" if row["fitted"] else row["status"]),
)


def print_difference(result: Difference, console: Console) -> None:
    """The table of changes, their means, and the layers that have no partner."""
    first, second = result.sources
    _lines(
        console,
        f"1: {first}, {result.formats[0]}; 2: {second}, {result.formats[1]}; {len(result.rows)} pairs of layers",
    )
    _print_table(result.rows, _DIFFERENCE, console)
    _lines(
        console,
        "Δ: second less first; ± 1.96 standard errors of Δα if the two were independent; log F = log10 ‖W‖F²,",
        "log S = log10 ‖W‖2², α^ = α log10 λmax, R = stable rank; moved: ‖W2 - W1‖F / ‖W1‖F.",
    )
    table = _table(2)
    for head, justify in (("mean change", "left"), ("", "right"), ("95 % interval", "left"), ("", "left")):
        table.add_column(head, justify=justify, no_wrap=True)  # pyright: ignore[reportArgumentType]
    for name, mean in result.means.items():
        low, high = mean.interval
        known = "" if not (low > 0 or high < 0) else "apart from 0"
        table.add_row(name, f"{mean.value:+.4g}", f"[{low:+.4g}, {high:+.4g}]", known)
    console.print(table, markup=False, highlight=False)
    fitted = sum(row["fitted"] for row in result.rows)
    _lines(
        console, f"Over the {fitted} pairs with two fits; the intervals hold together, layers being independent draws."
    )
    moved, relative = (
        f"{_significant(mean.value)} [{_significant(mean.low)}, {_significant(mean.high)}]"
        for mean in result.distance_from_init.values()
    )
    _lines(
        console,
        f"DistanceFromInit, the mean of ‖W2 - W1‖F over all {len(result.rows)} pairs: {moved}, of moved: {relative}; 95 %, both"
        " together.",
    )
    for which, names in zip(("first", "second"), result.unpaired, strict=True):
        if names:
            _lines(console, f"Only in the {which}: {few(names, _LISTED)}.")


_TITLE = 20  # letters of a metric
_WITH_P = 90


def print_corpus(corpus: "Corpus", console: Console) -> None:
    """Every metric against quality, Simpson's paradox, and what is missing."""
    sizes = Counter(filter(None, corpus.groups))
    names = few([f"{name} ({n})" for name, n in sizes.items()], _LISTED)
    groups = f"{len(sizes)} group{'s' * (len(sizes) != 1)}"
    _lines(console, f"{corpus.source}: {len(corpus.rows)} models in {groups}: {names}")
    narrow, wide = console.width < _NARROW, console.width >= _WIDE
    table = _table(1)
    heads = [
        "metric",
        *(["of"] if wide else []),
        "τ average",
        "τ pooled",
        *(["R² average", "R² pooled"] if wide else []),
    ]
    heads += ["paradox", *(["p"] if console.width >= _WITH_P else [])]
    for head in heads:
        table.add_column(head, no_wrap=True)
    for name, of in corpus.table.items():
        metric, paradox = corpus.titled[name], corpus.paradoxes[name]
        cells = [
            metric.title if len(metric.title) <= _TITLE else metric.title[: _TITLE - 1] + "…",
            metric.kind,
            *(
                _estimate(parts[what], narrow)
                for what in ("tau", "r2")
                for parts in (of.parts[AVERAGE], of.parts[POOLED])
            ),
            paradox.verdict,
            _fixed(corpus.paradox_p[name], 4),
        ]
        shown = [0, 1, 2, 3, 4, 5, 6, 7] if wide else [0, 2, 3, 6, *([7] if console.width >= _WITH_P else [])]
        table.add_row(*(cells[i] for i in shown))
    console.print(table, markup=False, highlight=False)
    _lines(
        console,
        f"Kendall's τ with {corpus.columns.quality}: the unweighted average over groups of three models or more, and over all",
        "models; [95 %] for these groups, each column together. Paradox: Simpson's, by Holm's rule over the metrics.",
    )
    for said, of in (
        ("Alpha against LogSpectralNorm", corpus.alpha_and_norm),
        (f"{corpus.columns.baseline} against {corpus.columns.quality}", corpus.baseline),
    ):
        if of is not None:
            average, pooled = (_estimate(of.parts[part]["tau"]) for part in (AVERAGE, POOLED))
            _lines(console, f"{said}: τ average {average}, pooled {pooled}.")
    for line in corpus.remarks:
        _lines(console, line)


def _estimate(of: Estimate, alone: bool = False) -> str:
    value, low, high = (_fixed(round(x, 2) + 0.0, 2) for x in (of.value, of.low, of.high))  # no minus before zeros
    return value if alone or value == "-" else f"{value} [{low},{high}]"


def report_table(result: Comparison) -> dict[str, object]:
    """The comparison as a table for the page of `rmt report`: title, note, columns and rows of text."""
    columns = [c for c in _COMPARISON if c.at < _WIDE]
    counts = ", ".join(f"{count} {verdict}" for verdict, count in result.verdicts.items())
    left_out = f" Left out: {describe_skipped(result.skipped)}." if result.skipped else ""
    return {
        "title": f"A real network beside its matched nulls: {result.source}",
        "note": f"{result.format}, {_matrices(result)}: {counts}. {_legend(result, False)}{left_out}",
        "columns": ["layer", *(c.head for c in columns)],
        "rows": [[row["name"], *(c.text(row).strip() for c in columns)] for row in result.rows],
    }


def _legend(result: Comparison, wide: bool) -> str:
    """What the columns of a comparison mean."""
    counts = sorted({row["n_nulls"] for row in result.rows})
    gaussian = ", and as many Gaussian matrices (G)" if wide else " (the Gaussian null: --json, or a wider terminal)"
    return (
        f"Each layer beside {_either(counts)} shuffles of its own entries (0){gaussian}. D: distance of its ESD from"
        " theirs. t: distance from the replicates' mean, in predicted standard deviations of a power or the logarithm (Student,"
        f" {_either(n - 1 for n in counts)} degrees of freedom). *: beyond every replicate, rank p ="
        f" {_either(f'{2 / (n + 1):.3f}' for n in counts)}, half of it for D. In brackets: single entries rule λ, so it"
        " is not judged by the shuffles."
    )


def _traps(result: Comparison) -> str:
    """Which layers have eigenvalues beyond the edge whatever the order of their entries."""
    trapped = result.trapped
    said = f"{len(trapped)} of {sum(row['fitted'] for row in result.rows)} layers"
    if not trapped:
        return f"Traps, eigenvalues that shuffling leaves beyond the edge of noise: in {said}."
    names = [
        f"{name} {row['shuffled_n_spikes']:.0f} ({row['traps_expected']})"
        for name, row in zip(short_names([row["name"] for row in trapped], _NARROW // 3), trapped, strict=True)
    ]
    return (
        f"Traps, eigenvalues that shuffling leaves beyond the edge of noise: in {said}, any of them wrong in {LEVEL:.0%} of cases,"
        f" and in brackets how many the largest entries explain: {few(names, _LISTED)}."
    )


def _either(values: Iterable[object]) -> str:
    return " or ".join(str(v) for v in values)


def print_zoo(console: Console, cached: Callable[[Network], bool]) -> None:
    """The list of networks."""
    for network in ZOO.values():
        state = "cached" if cached(network) else f"{network.megabytes} MB to fetch"
        console.print(f"[bold]{network.name}[/]  {network.package}, {state}", highlight=False)
        _lines(
            console,
            f"{network.what}. {network.format}, {network.matrices} weight matrices in {network.rows} rows."
            f" Licence of the weights: {network.licence}.",
            indent=4,
        )
    _lines(
        console, "Use zoo:NAME wherever a FILE is asked for, or `realnets zoo NAME` to fetch one and print its path."
    )


def _print_rows(result: Analysis, columns: Sequence[_Column], console: Console) -> None:
    _lines(console, f"{result.source}: {result.format}, {result.n_tensors} tensors, {_matrices(result)}")
    _print_table(result.rows, columns, console)


def _print_table(rows: Sequence[Row], columns: Sequence[_Column], console: Console) -> None:
    shown = [c for c in columns if console.width >= c.at]
    shown = [c for c in shown if c.head != "status" or any(c.text(row) for row in rows)]
    cells = [[c.text(row) for c in shown] for row in rows]
    widths = [max(len(c.head), *(len(row[i]) for row in cells)) for i, c in enumerate(shown)]
    room = max(console.width - sum(w + 1 for w in widths), _SHORTEST_NAME)
    names = short_names([row["name"] for row in rows], room)
    spare = room - max(map(len, names)) >= len(shown)
    table = _table(2 if spare else 1)
    table.add_column("layer", no_wrap=True)
    for column, width in zip(shown, widths, strict=True):
        words = column.head in _WORDS
        table.add_column(column.head, justify="left" if words else "right", no_wrap=True, min_width=width)
    for name, row in zip(names, cells, strict=True):
        table.add_row(name, *row, style="bold" if "near-random" in row else None)
    console.print(table, markup=False, highlight=False)


def _table(gap: int) -> Table:
    """An empty table with `gap` spaces between columns, one of which the box draws."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, gap - 1, 0, 0), pad_edge=False, show_edge=False)


def _matrices(result: Analysis) -> str:
    n, rows = result.n_matrices, len(result.rows)
    return f"{n} weight matrices" + (f" in {rows} rows" if rows != n else "")


def short_names(names: Sequence[str], room: int) -> list[str]:
    """Names without the folder they all share and without ".weight", abbreviated to `room` characters."""
    shared = shared_folder(names) if len(names) > 1 else ""
    short = [re.sub(r"(\.weight|/kernel:0)(?=\[|$)", "", name.removeprefix(shared)) or name for name in names]
    if len(set(short)) < len(set(names)):
        short = [name.removeprefix(shared) for name in names]
    folders = max(len(re.findall(r"[./]", name)) for name in short)
    for k in range(folders + 1):
        fitting = [name if len(name) <= room else _abbreviated(name, k) for name in short]
        if max(map(len, fitting)) <= room:
            return fitting
    return [name if len(name) <= room else "…" + name[len(name) - room + 1 :] for name in fitting]


def _abbreviated(name: str, k: int) -> str:
    """The first k folders by their first letter, numbers whole: layer.0.attention.dense -> l.0.a.dense for k = 3."""
    parts = re.split(r"(?<=[./])", name)
    head = [part if part[:-1].isdigit() else part[0] + part[-1] for part in parts[:-1][:k]]
    return "".join(head + parts[len(head) :])


AVERAGE_HEADS = {
    "n": "layers",
    "alpha": "α",
    "lambda_max": "λmax",
    "log_norm": "log F",
    "alpha_hat": "α^",
    "stable_rank": "R",
    "ks": "D",
    "log_spectral_norm": "log S",
    "log_alpha_norm": "log A",
}
"""What the averages are called in a table."""


def average_rows(result: Analysis, columns: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The layer averages as text, each with the half width of its interval below: the rule and its cells, `n` the number of layers."""
    rows = []
    for rule, means in result.average_intervals.items():
        n = str(means["alpha"].n)
        halves = {k: of.high - of.value for k, of in means.items()}
        rows += [
            (rule.replace("alpha", "α"), [n if k == "n" else _significant(means[k].value) for k in columns]),
            ("±", ["" if k == "n" else f"{halves[k]:.2g}" if math.isfinite(halves[k]) else "-" for k in columns]),
        ]
    return rows


HOW_SURE = "±: 95 % of all columns together, Student's, layers being independent draws."
"""What the intervals of the averages are."""


def _print_averages(result: Analysis, console: Console) -> None:
    shown = len(AVERAGE_HEADS) if console.width >= _NARROW else 6
    heads = dict(list(AVERAGE_HEADS.items())[:shown])
    table = _table(2)
    table.add_column("average")
    for head in heads.values():
        table.add_column(head, justify="right", no_wrap=True)
    for rule, cells in average_rows(result, list(heads)):
        table.add_row(rule, *cells)
    console.print(table, markup=False, highlight=False)
    _lines(console, HOW_SURE)
    _lines(console, depth_trends(result))


def depth_trends(result: Analysis) -> str:
    """Which numbers rise or fall with depth."""
    n = sum(row["fitted"] for row in result.rows)
    if not result.depth_trends:
        return f"Trends with depth take {FEWEST_LAYERS} fitted layers; here are {n}."
    said = []
    for name, tau in result.depth_trends.items():
        trend = "rises " if tau.low > 0 else "falls " if tau.high < 0 else ""
        said.append(f"{_TRENDS[name]} {trend}{tau.value:+.2f} [{tau.low:+.2f}, {tau.high:+.2f}]")
    return f"With depth, Kendall's τ [95 %, all together, as if layers were draws of one kind]: {'; '.join(said)}."


_TRENDS: dict[str, str] = dict(zip(TRENDS, ("α", "log S", "entropy", "R"), strict=True))


def _print_skipped(result: Analysis, console: Console, verbose: bool) -> None:
    if not result.skipped:
        _lines(console, "No tensor was left out.")
        return
    _lines(console, f"Left out: {describe_skipped(result.skipped)}." + ("" if verbose else " (--verbose lists them)"))
    if verbose:
        for s in result.skipped:
            shape = " x ".join(map(str, s.shape)) or "scalar"
            _lines(console, f"{s.name} ({shape}): {s.reason}" + (f", {s.note}" if s.note else ""), indent=2)


def _lines(console: Console, *lines: str, indent: int = 0) -> None:
    console.print(Padding(Text(" ".join(lines)), (0, 0, 0, indent), expand=False))
