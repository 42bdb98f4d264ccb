"""One self-contained HTML page about a corpus: metrics against quality, Simpson's paradox, the papers' tables and figures."""

import math
from typing import Any

import numpy as np

from realnets.analysis import ALPHA_CUT
from realnets.corpus.associations import STATISTICS, Association
from realnets.corpus.metrics import COUNTS, RULES, metric_of
from realnets.corpus.results import ALPHA, NORM, Corpus
from realnets.corpus.table import AVERAGE, POOLED
from realnets.kept import page_names
from realnets.page import TEMPLATES, shown
from realnets.simpson import Simpson
from rmt.inference import Estimate
from rmt.inline_svg import svg_element
from rmt.report import template

_NORM, _BASELINE, _TAUS, _LEGEND = "alpha-log-spectral-norm", "train-test", "taus", "legend"


def corpus_page(corpus: Corpus) -> str:
    """The page of a corpus: HTML with inline style and figures, no scripts, nothing loaded. Equal results, equal bytes."""
    groups = list(dict.fromkeys(filter(None, corpus.groups)))
    pages = _figure_names(corpus)
    return template("corpus.html", TEMPLATES).render(
        source=shown(corpus.source),
        n_models=len(corpus.rows),
        n_groups=len(groups),
        quality=shown(corpus.columns.quality),
        unread=[shown(line, of_end=False) for line in corpus.unread],
        remarks=[shown(line, of_end=False) for line in corpus.remarks],
        metrics=[_summary(corpus, name) for name in corpus.table],
        cut=f"{ALPHA_CUT:g}",
        taus=_element(corpus, _TAUS, "Kendall's tau of every metric, its average over groups and pooled"),
        paradoxes=[_paradox(corpus, name, of) for name, of in corpus.paradoxes.items()],
        heads=["group", "n", *STATISTICS.values()],
        pairs=_pairs(corpus),
        legend=_element(corpus, _LEGEND, "markers of the groups"),
        panels=[
            {
                "title": shown(metric.title),
                "kind": metric.kind,
                "plot": _element(corpus, pages[metric.name], f"{shown(metric.title)}, by group"),
            }
            for metric in corpus.metrics
        ],
        tables=[(shown(metric.title), _rows(corpus.table[metric.name])) for metric in corpus.metrics],
        rules=[
            (
                metric_of(name).title,
                [_hundredths(by_rule[rule].parts[part]["tau"]) for rule in RULES for part in (AVERAGE, POOLED)],
            )
            for name, by_rule in corpus.rules.items()
        ],
        rule_words=RULES.values(),
        counts=COUNTS.items(),
        model_heads=[shown(name) for name in corpus.rows[0]],
        models=[[shown(x) if isinstance(x, str) else x for x in row.values()] for row in corpus.rows],
        settings=corpus.settings,
    )


def figures(corpus: Corpus) -> dict[str, str]:
    """Name -> SVG of every figure of the page: the markers of the groups are in `legend`."""
    from rmt import plots

    pages = _figure_names(corpus)
    named = {pages[name]: of for name, of in corpus.table.items()}
    if corpus.alpha_and_norm:
        named[_NORM] = corpus.alpha_and_norm
    if corpus.baseline:
        named[_BASELINE] = corpus.baseline
    groups = list(dict.fromkeys(filter(None, corpus.groups)))
    texts = {name: plots.svg(_figure(corpus, of)) for name, of in named.items()}
    legend = plots.group_legend([shown(name) for name in groups])
    return texts | {_TAUS: plots.svg(_taus(corpus)), _LEGEND: plots.svg(legend)}


def _figure_names(corpus: Corpus) -> dict[str, str]:
    """Metric -> the name of its figure."""
    return page_names(corpus.table, [_NORM, _BASELINE, _TAUS, _LEGEND])


def _element(corpus: Corpus, name: str, label: str) -> str:
    return svg_element(corpus.figures[name], f"{name}-", label)


def _pairs(corpus: Corpus) -> list[dict[str, Any]]:
    """The two tables of the papers beside that of the metrics, with their figures."""
    found = []
    for title, figure, of in (
        (f"{metric_of(ALPHA).title} against {metric_of(NORM).title}", _NORM, corpus.alpha_and_norm),
        (f"{corpus.columns.baseline} against {corpus.columns.quality}", _BASELINE, corpus.baseline),
    ):
        if of is not None:
            title = shown(title)
            found.append({"title": title, "rows": _rows(of), "plot": _element(corpus, figure, f"{title}, by group")})
    return found


def _summary(corpus: Corpus, name: str) -> dict[str, Any]:
    metric, parts = metric_of(name), corpus.table[name].parts
    return {
        "title": shown(metric.title),
        "name": shown(name),
        "kind": metric.kind,
        "needs": metric.needs,
        "formula": metric.formula,
        "cells": [_hundredths(parts[part][what]) for what in ("tau", "r2") for part in (AVERAGE, POOLED)],
        "verdict": corpus.paradoxes[name].verdict,
    }


def _paradox(corpus: Corpus, name: str, found: Simpson) -> dict[str, Any]:
    p = corpus.paradox_p[name]
    return {
        "title": shown(metric_of(name).title),
        "verdict": found.verdict,
        "p": "–" if math.isnan(p) else "< 0.001" if p < 1e-3 else f"{p:.3f}",
        "slopes": [
            (*_effect(slope), _fixed(tau))
            for slope, tau in (
                (found.within, found.tau_within),
                (found.between, found.tau_between),
                (found.pooled, found.tau_pooled),
            )
        ],
        "eta2": _fixed(found.eta2),
        "remark": found.remark,
    }


def _rows(of: Association) -> list[tuple[str, str, list[tuple[str, str]]]]:
    return [
        (
            shown(part),
            f"{found['tau'].n}" + (" groups" if part == AVERAGE else ""),
            [_effect(found[what]) if what == "rmse" else _hundredths(found[what]) for what in STATISTICS],
        )
        for part, found in of.parts.items()
    ]


def _effect(of: Estimate) -> tuple[str, str]:
    """Value and interval of a number of any size."""
    value, low, high = (f"{x:.3g}" if math.isfinite(x) else "–" for x in (of.value, *of.interval))
    return value, f"[{low}, {high}]"


def _hundredths(of: Estimate) -> tuple[str, str]:
    """Value and interval of a number between -1 and 1."""
    return _fixed(of.value), f"[{_fixed(of.low)}, {_fixed(of.high)}]"


def _fixed(x: float) -> str:
    return f"{round(x, 2) + 0.0:.2f}" if math.isfinite(x) else "–"  # no minus before zeros


def _figure(corpus: Corpus, of: Association) -> Any:
    from rmt import plots

    x, y, names = corpus.column(of.x), corpus.column(of.y), np.array(corpus.groups, object)
    groups = {name: (x[names == name], y[names == name]) for name in dict.fromkeys(filter(None, corpus.groups))}
    lines = {name: line for name, pair in groups.items() if (line := _line(*pair)) is not None}
    pooled = _line(x[names != ""], y[names != ""])
    return plots.by_group(groups, lines, pooled, _label(of.x), _label(of.y))


def _label(name: str) -> str:
    return shown(metric_of(name).title)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float] | None:
    """Slope and intercept of the least squares; None where there is no line."""
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if len(x) < 2 or np.ptp(x) == 0:
        return None
    a = x - np.mean(x)
    slope = float(a @ (y - np.mean(y)) / (a @ a))
    return slope, float(np.mean(y) - slope * np.mean(x))


def _taus(corpus: Corpus) -> Any:
    from rmt import plots

    rows = []
    for name, of in corpus.table.items():
        taus = {part: found["tau"] for part, found in of.parts.items()}
        average, pooled = taus.pop(AVERAGE), taus.pop(POOLED)
        two = {"average over groups": average, "all models": pooled}
        rows.append((shown(metric_of(name).title), two, [tau.value for tau in taus.values()]))
    return plots.interval_rows(rows, f"Kendall's τ with {shown(corpus.columns.quality)}", (-1.02, 1.02))
