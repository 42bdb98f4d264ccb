"""How many decades each of several fits covers."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from matplotlib.axes import Axes

from rmt.plots.figures import COLOURS, LabFigure, figure, log_axes, log_ticks, styled
from rmt.plots.tails import alpha_of
from rmt.tails.base import Status

if TYPE_CHECKING:
    from rmt.tails import TailFit

_ROW, _TWO_LINE_ROW = 0.3, 0.46  # inches
_FRAME = 1.1  # inches above and below the rows
_BESIDE = 14  # letters that a name beside its line may have
_NAME = 36  # letters of any name
_COLUMNS = (10, 74)  # points right of the frame
_TEXT: dict[str, Any] = {"textcoords": "offset points", "annotation_clip": False}


@styled
def decades(fits: "Mapping[str, TailFit] | TailFit", xlabel: str = "eigenvalue λ, from xmin to xmax") -> LabFigure:
    """One line for each fit from its xmin to its xmax, with log10(xmax / xmin) and alpha beside it, the longest on top.

    Args:
        fits: fits by name, or a batch, whose rows are named by their number. A failed fit is a line of text at the end.
        xlabel: what the values are.

    Raises:
        ValueError: there is no fit, or one of the named ones is a batch.
    """
    named = _named(fits)
    order = sorted(named, key=lambda name: -_decades(named[name]) if named[name].ok else np.inf)
    above = max(map(len, order)) > _BESIDE
    fig, [[ax]] = figure(panel=(5.4, _FRAME + (_TWO_LINE_ROW if above else _ROW) * len(order)))
    log_axes(ax, "x")
    for row, name in enumerate(order):
        fit = named[name]
        if fit.ok:
            ends = [float(fit.xmin), float(fit.xmax)]
            ax.plot(ends, [row, row], color=COLOURS[0], linewidth=5, solid_capstyle="butt", marker="|", markersize=9)
            alpha = alpha_of(fit).removeprefix("α = ") if np.isfinite(fit.alpha) else "no exponent"
            _cells(ax, (f"{_decades(fit):.1f}", alpha), (1, row))
        else:
            _cells(ax, ("no fit: " + Status(int(fit.status)).name.lower().replace("_", " "),), (1, row))
        if above:
            ax.annotate(_short(name), (0, row), xycoords=ax.get_yaxis_transform(), xytext=(5, 6), **_TEXT, va="bottom")
    for words, x in zip(("decades", "α ± s.e."), _COLUMNS, strict=True):
        ax.annotate(words, (1, 1), xycoords="axes fraction", xytext=(x, 4), **_TEXT, va="bottom", weight="bold")
    ax.set_yticks(range(len(order)), [""] * len(order) if above else order)
    ax.set(xlabel=xlabel, ylim=(len(order) - 0.5, -0.8 if above else -0.5))
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_visible(any(fit.ok for fit in named.values()))
    log_ticks(ax, "x")
    return fig


def _cells(ax: Axes, words: tuple[str, ...], at: tuple[float, float]) -> None:
    for cell, x in zip(words, _COLUMNS, strict=False):
        ax.annotate(cell, at, xycoords=ax.get_yaxis_transform(), xytext=(x, 0), **_TEXT, va="center")


def _named(fits: "Mapping[str, TailFit] | TailFit") -> "dict[str, TailFit]":
    if isinstance(fits, Mapping):
        named = dict(fits)
    else:
        batch = np.shape(fits.alpha)
        if len(batch) != 1:
            raise ValueError(f"decades(fits) needs fits by name or a batch of one axis, got the shape {batch}")
        named = {str(i): jax.tree.map(lambda a, i=i: a[i], fits) for i in range(batch[0])}
    if not named:
        raise ValueError("decades(fits) needs at least one fit, got none")
    for name, fit in named.items():
        if np.ndim(fit.alpha) != 0:
            raise ValueError(
                f"decades(fits) needs single fits by name, got a batch of shape {np.shape(fit.alpha)} for {name!r}"
            )
    return named


def _decades(fit: "TailFit") -> float:
    return float(np.log10(float(fit.xmax)) - np.log10(float(fit.xmin)))


def _short(name: str) -> str:
    """The end of a long name, which tells layers apart."""
    return name if len(name) <= _NAME else "…" + name[1 - _NAME :]
