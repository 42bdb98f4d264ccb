"""Models in groups: one number against another with a line for each group and one for all, and intervals side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.lines import Line2D

from rmt.inference import Estimate
from rmt.plots.figures import (
    INK,
    LabFigure,
    dress,
    figure,
    legend,
    legend_columns,
    nothing,
    series_look,
    styled,
)

_PANEL = (4.3, 3.3)  # inches: three across a desktop page when it shrinks them, one on a phone
_WIDE = 9.6  # inches: across a desktop page; a phone scrolls it
_LEGEND, _LEGEND_ROW = 5.4, 0.23  # inches, which a phone can shrink
_ROW = 0.34  # inches of one row of intervals
_DASHED: Any = (0, (5, 2.5))


@styled
def by_group(
    groups: Mapping[str, tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]],
    lines: Mapping[str, tuple[float, float]],
    pooled: tuple[float, float] | None,
    xlabel: str,
    ylabel: str,
) -> LabFigure:
    """One panel: the models of each group in its colour with its line, and the line of all, dashed and dark.

    Args:
        groups: group -> x and y of its models; pairs that are not finite are left out.
        lines: group -> slope and intercept; drawn over the group's own x.
        pooled: slope and intercept over all models.
        xlabel: what x is.
        ylabel: what y is.
    """
    # Fixed margins: a layout that measures its text takes longer than all else here.
    fig = LabFigure(figsize=_PANEL)
    ax = dress(fig.add_subplot())
    fig.subplots_adjust(left=0.2, right=0.97, bottom=0.17, top=0.96)
    drawn = []
    for (name, (x, y)), look in zip(groups.items(), _looks(len(groups)), strict=True):
        there = np.isfinite(x) & np.isfinite(y)
        x, y = x[there], y[there]
        drawn.append(x)
        ax.plot(x, y, **look, linestyle="none", zorder=3)
        if name in lines and x.size:
            _line(ax, x, lines[name], color=look["color"], linewidth=1.3, zorder=2)
    every = np.concatenate(drawn) if drawn else np.empty(0)
    if not every.size:
        nothing(ax, "no model has both")
        return fig
    if pooled is not None:
        _line(ax, every, pooled, color=INK, linewidth=1.4, linestyle=_DASHED, zorder=4)
    ax.set(xlabel=_text(xlabel), ylabel=_text(ylabel))
    return fig


@styled
def group_legend(names: Sequence[str]) -> LabFigure:
    """The markers of `by_group`, drawn once for all of its panels."""
    handles = [
        Line2D([], [], **look, linestyle="-", linewidth=1.3, label=_text(name))
        for name, look in zip(names, _looks(len(names)), strict=True)
    ]
    handles.append(Line2D([], [], color=INK, linewidth=1.4, linestyle=_DASHED, label="all models"))
    labels = [str(handle.get_label()) for handle in handles]
    columns = legend_columns(labels, _LEGEND)
    fig = LabFigure(figsize=(_LEGEND, _LEGEND_ROW * (math.ceil(len(labels) / columns) + 1)))
    fig.legend(handles, labels, ncols=columns, loc="center left", handlelength=1.8, columnspacing=1.4)
    return fig


@styled
def interval_rows(
    rows: Sequence[tuple[str, Mapping[str, Estimate], Sequence[float]]], xlabel: str, limits: tuple[float, float]
) -> LabFigure:
    """A row for each name, from above: its estimates with their intervals, one above the other, and small ticks of single values.

    Args:
        rows: name, series -> estimate, and single values, such as those of its groups.
        xlabel: what the numbers are.
        limits: of the axis.
    """
    series = list(dict.fromkeys(name for _, estimates, _ in rows for name in estimates))
    fig, [[ax]] = figure(panel=(_WIDE, 0.9 + _ROW * max(len(series), 1) * len(rows)))
    ax.axvline(0, color=INK, linewidth=0.9, zorder=1)
    for place, (_, estimates, single) in enumerate(rows):
        for i, name in enumerate(series):
            if name not in estimates or not np.isfinite(estimates[name].value):
                continue
            of, at = estimates[name], place + 0.3 * (i - (len(series) - 1) / 2)
            low, high = np.clip(of.interval, *limits)
            ax.plot([low, high], [at, at], color=series_look(i)["color"], linewidth=1.6, zorder=2)
            ax.plot([of.value], [at], **series_look(i), linestyle="none", label=name, zorder=3)
        shown = [value for value in single if np.isfinite(value)]
        label = "groups" if place == 0 else None
        ax.plot(
            shown, [place] * len(shown), color=INK, marker="|", linestyle="none", markersize=7, label=label, zorder=2
        )
    ax.set_yticks(range(len(rows)), [_text(name) for name, _, _ in rows])
    ax.set(xlim=limits, ylim=(len(rows) - 0.4, -0.6), xlabel=_text(xlabel))
    ax.grid(False, axis="y")
    legend(fig)
    return fig


def _text(name: str) -> str:
    """A name that is drawn as it is: no mathematics between dollars, and in the legend though it begins with an underscore."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _looks(n: int) -> list[dict[str, Any]]:
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.5, "markersize": 5.5}
    return [series_look(i) | edge for i in range(n)]


def _line(ax: Any, x: np.ndarray, line: tuple[float, float], **look: Any) -> None:
    ends = np.array([x.min(), x.max()])
    ax.plot(ends, line[0] * ends + line[1], **look)
