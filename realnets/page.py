"""One self-contained HTML page about a model: what was found, plots against depth, the table, every layer's spectrum."""

import base64
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from realnets.analysis import ALPHA_CUT, Analysis, Row
from realnets.naming import by_depth
from realnets.nulls import Comparison
from realnets.tables import (
    AVERAGE_HEADS,
    HOW_SURE,
    SYMBOLS,
    average_rows,
    depth_trends,
    how_judged,
    layer_caption,
    page_table,
    short_names,
)
from rmt.calibration.card import JUDGED
from rmt.calibration.nulls import VERDICTS
from rmt.calibration.ranks import Ranks
from rmt.errors import printable
from rmt.inline_svg import svg_element
from rmt.report import template

TEMPLATES = Path(__file__).parent / "templates"

_LINE = 30  # letters of a name over its spectrum
_LONGEST, _LONGEST_LINE = 120, 400  # letters of a name, and of what is said of it: more say nothing and break a page


def model_page(result: Analysis) -> str:
    """The page of a model: HTML with inline style and figures, no scripts, nothing loaded from anywhere.

    Layers stand in order of depth (`by_depth`). Names are shown with what does not print replaced and without their
    beginning where they are longer than 120 letters. Equal results give equal bytes.
    """
    from rmt import plots

    order = by_depth([row["name"] for row in result.rows])
    rows = [result.rows[i] for i in order]
    looks = _looks() if isinstance(result, Comparison) else {}
    known = [(ranks := result.ranks[i], _mean(result.rows[i], ranks)) for i in order]
    frame = plots.Frame.around(known)
    heads, cells = page_table(rows, judged=isinstance(result, Comparison))
    briefly = short_names([row["name"] for row in rows], _LONGEST) if rows else []
    layers = [
        {
            "number": number,
            "name": shown(row["name"]),
            "short": _breakable(shown(short)),
            "cells": texts,
            "verdict": row.get("verdict", ""),
            "plot": _panel(number, row, ranks, mean, frame, looks),
            "caption": layer_caption(row, bool(ranks.bands)),
        }
        for number, (row, short, texts, (ranks, mean)) in enumerate(zip(rows, briefly, cells, known, strict=True), 1)
    ]
    axes = plots.svg(plots.rank_axes(frame)).encode()
    return template("model.html", TEMPLATES).render(
        source=shown(result.source),
        format=result.format,
        n_tensors=result.n_tensors,
        n_rows=len(rows),
        n_matrices=result.n_matrices,
        n_fitted=sum(row["fitted"] for row in rows),
        n_skipped=len(result.skipped),
        looks=looks,
        **_judged(result),
        average_heads=AVERAGE_HEADS.values(),
        averages=average_rows(result, list(AVERAGE_HEADS)),
        symbols=SYMBOLS,
        how_sure=HOW_SURE,
        trends=depth_trends(result),
        settings=result.settings,
        **_figures(rows, looks),
        cut=f"{ALPHA_CUT:g}",
        heads=[{"head": head, "words": words} for head, words in heads],
        layers=layers,
        two_lines=max(map(len, briefly), default=0) > _LINE,
        axes=base64.b64encode(axes).decode(),
        left_out=_left_out(result),
    )


def shown(text: str, of_end: bool = True) -> str:
    """A text out of a file, safe to look at: what does not print replaced, and the end of a long name, or the beginning."""
    text = printable(text) if text.strip() else "(blank)"
    if of_end:
        return text if len(text) <= _LONGEST else "…" + text[1 - _LONGEST :]
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1] + "…"


def _breakable(name: str) -> Markup:
    """A name that may be broken after its folders."""
    return Markup("<wbr>").join(re.split(r"(?<=[._/])", name))


def _looks() -> dict[str, tuple[str, str]]:
    """Verdict -> colour and marker."""
    from rmt.plots import COLOURS, GREY, MARKERS

    return dict(zip(VERDICTS, zip((*COLOURS[2:0:-1], COLOURS[0], GREY), MARKERS, strict=False), strict=True))


def _judged(result: Analysis) -> dict[str, Any]:
    if not isinstance(result, Comparison):
        return {"verdicts": [], "judged": "", "classes": []}
    classes = Counter(row["class"] for row in result.rows if row["class"])
    return {
        "verdicts": [(name, count, VERDICTS[name]) for name, count in result.verdicts.items()],
        "judged": how_judged(result),
        "classes": classes.most_common(),
    }


def _figures(rows: list[Row], looks: dict[str, tuple[str, str]]) -> dict[str, str]:
    """The plots of all layers; none where no layer was fitted."""
    from rmt import plots

    if not any(row["fitted"] for row in rows):
        return {"depth": "", "histogram": ""}
    alpha, low, high, norm = (
        np.array([row[name] for row in rows], float)
        for name in ("alpha", "alpha_low", "alpha_high", "log_spectral_norm")
    )
    threshold = np.array([row["alpha_threshold"] for row in rows]) if looks else None
    groups = [row.get("verdict", "") for row in rows]
    layers = plots.Depth(alpha, low, high, threshold, norm, groups)
    figures = {
        "depth": plots.depth(layers, looks or {"": (plots.COLOURS[0], plots.MARKERS[0])}),
        "histogram": plots.alpha_histogram(alpha),
    }
    return {
        name: svg_element(plots.svg(figure), f"{name}-", f"{len(rows)} layers: {name}")
        for name, figure in figures.items()
    }


def _panel(number: int, row: Row, ranks: Ranks, mean: float, frame: Any, looks: dict[str, tuple[str, str]]) -> str:
    """The spectrum of a layer; "" where there is none."""
    from rmt import plots

    if not (ranks.rank.size and mean > 0):
        return ""
    colour = looks[row["verdict"]][0] if looks else plots.COLOURS[0]
    tail = (row["alpha"], row["xmin"], row["n_tail"]) if row["fitted"] else None
    figure = plots.rank_plot(frame, ranks, mean, tail, colour, _told_apart(ranks))
    return svg_element(plots.svg(figure), f"s{number}-", f"spectrum of layer {number}")


def _told_apart(ranks: Ranks) -> list[str]:
    """The nulls to be drawn: the first, and the others where their bands leave its band somewhere."""
    drawn = [null for null in JUDGED if null in ranks.bands]
    if not drawn:
        return []
    low, high = ranks.bands[drawn[0]]
    apart = [null for null in drawn if np.any((ranks.bands[null][0] > high) | (ranks.bands[null][1] < low))]
    return [drawn[0], *apart]


def _mean(row: Row, ranks: Ranks) -> float:
    """The mean eigenvalue, ||W||_F^2 / (N M); of a pool M is that of all its slices."""
    norm = row["log_norm"]
    return 10**norm / (row["N"] * ranks.M) if math.isfinite(norm) else math.nan


def _left_out(result: Analysis) -> list[tuple[str, list[tuple[str, str]]]]:
    """Reason -> names, each with its shape or its note: first what was read and not fitted, then the most frequent."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for row in result.rows:
        if not row["fitted"]:
            groups.setdefault(f"not fitted, {row['status']}", []).append(
                (shown(row["name"]), f"{row['N']} x {row['M']}")
            )
    skipped: dict[str, list[tuple[str, str]]] = {}
    for s in result.skipped:
        shape = " x ".join(map(str, s.shape)) or "scalar"
        skipped.setdefault(s.reason, []).append(
            (shown(s.name), f"{shape}, {shown(s.note, of_end=False)}" if s.note else shape)
        )
    return [*groups.items(), *sorted(skipped.items(), key=lambda item: -len(item[1]))]
