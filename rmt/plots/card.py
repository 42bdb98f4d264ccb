"""The picture of a card: spectrum, tail, class, tail index and the distance from noise, at a glance."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from matplotlib.transforms import blended_transform_factory

from rmt.laws import MarchenkoPastur
from rmt.plots.densities import DRAWN, esd
from rmt.plots.figures import (
    COLOURS,
    GREY,
    MARKERS,
    LabFigure,
    figure,
    framed,
    headline,
    legend,
    log_axes,
    log_ticks,
    nothing,
    stacked,
    styled,
)
from rmt.plots.series import curve
from rmt.plots.tails import alpha_of, tail_density, tail_fit

if TYPE_CHECKING:
    from rmt.calibration import Card

_FAR = 5.0  # edges of the bulk; a lambda_max beyond needs a log axis
_CLIP = 8.0  # standard deviations from which on a marker stands at the frame
_DECIDED = 0.8
_STATISTICS = {"alpha": "α", "lambda_max": "λ max", "mp_distance": "MP distance", "ks": "D", "esd": "ESD"}
_NULLS = {"gaussian": "Gaussian matrices", "shuffled": "its entries shuffled", "fitted": "Student t entries"}
_LETTERS = 46  # in a line of a panel


@styled
def card(found: "Card", cols: int = 2) -> LabFigure:
    """Four panels of a `rmt.calibration.Card`.

    The eigenvalues beside the Marchenko-Pastur law of the bulk, whose variance is by the median of those inside, with its edge;
    the tail fit; the probabilities of the classes, and mu with its 95 % intervals by law of the entries; and how far the statistics
    are from each null, in standard deviations of its replicates (`NullTest.t`). Of a matrix that has not full rank only the
    eigenvalues that are not zero are drawn. What there is not says why.

    Args:
        found: what `rmt.calibration.class_card` returned.
        cols: panels across: 2 for a page, 1 for the width of a phone.

    Raises:
        ValueError: cols is neither 1 nor 2.
    """
    if cols not in (1, 2):
        raise ValueError(f"card(found, cols) needs 1 or 2, got {cols!r}")
    titles = ("eigenvalues", "their tail", "class", "distance from the nulls")
    fig, axes = figure(4 // cols, cols, titles)
    fig.set_figheight(1.1 * fig.get_figheight())
    spectrum, tail, kind, distances = axes.flat
    s = found.s
    every = np.asarray(s.eigenvalues, float)
    x = every[s.M - int(s.rank) :]
    if len(x) < s.M:
        spectrum.set_title(f"eigenvalues, without {s.M - len(x)} that are zero")
    _spectrum(spectrum, x, found)
    tail_fit(tail, x, found.fit)
    upper, lower = stacked(kind, (5, 4), sharex=False)
    _classes(upper, found)
    _mu(lower, found)
    _distances(distances, found)
    legend(fig)
    headline(fig, *_words(found))
    return fig


def _words(found: "Card") -> tuple[str, list[str]]:
    s, fit = found.s, found.fit
    notes = []
    if fit.ok:
        noise = ""
        if np.isfinite(found.alpha_threshold):
            noise = f"; 5 % of noise of this shape is below {found.alpha_threshold:.3g}"
        notes.append(f"{alpha_of(fit)}, {int(fit.n_tail)} of {s.M} eigenvalues in the tail{noise}.")
    if found.verdict == "correlated" and (found.class_ or found.mu):
        notes.append("Class and μ are of the matrix of independent entries whose spectrum is most like this one.")
    return f"{s.N} x {s.M}, {found.verdict}; phase {found.phase.label}", notes


def _spectrum(ax: Axes, x: np.ndarray, found: "Card") -> None:
    s = found.s
    full, known = len(x) == s.M, bool(np.isfinite(found.edge))
    edge = found.edge if full and known else found.spike_edge
    of_log = bool(x[-1] > _FAR * edge)
    if of_log:
        tail_density(ax, x, found.fit, log=True)
    else:
        esd(ax, x)
    if full:
        law = MarchenkoPastur(Q=s.Q)
        variance = float(np.median(x[x <= edge]) / law.ppf(0.5)) if known else float(x.mean())
        law = MarchenkoPastur(Q=s.Q, sigma=variance**0.5)
        start = max(float(law.lambda_minus), ax.get_xlim()[0] if of_log else 0.0)
        grid = (np.geomspace if of_log else np.linspace)(start, float(law.lambda_plus), DRAWN)
        pdf = np.asarray(law.pdf(grid), float) * (grid * np.log(10) if of_log else 1)
        curve(ax, grid, np.where(np.isfinite(pdf), pdf, np.nan), "Marchenko-Pastur law of the bulk", series=2)
        top = ax.get_ylim()[1]
        ax.set_ylim(0, max(top, min(1.06 * float(np.nanmax(pdf, where=np.isfinite(pdf), initial=0)), 1.5 * top)))
    ax.axvline(edge, color=COLOURS[3], linewidth=1.3, zorder=1, label="edge that 1 % of noise passes")


def _classes(ax: Axes, found: "Card") -> None:
    if found.class_ is None:
        nothing(ax, _why(found, "no class"))
        return
    names, p = zip(*found.class_.probabilities.items(), strict=True)
    rows = np.arange(len(names))
    likely = [COLOURS[0] if name == found.class_name else COLOURS[4] for name in names]
    ax.barh(rows, p, color=likely, height=0.7, zorder=1)
    for row, share in zip(rows, p, strict=True):
        ax.annotate(f"{share:.2f}", (share, row), xytext=(4, 0), textcoords="offset points", va="center")
    ax.axvline(_DECIDED, color=GREY, linestyle=":", linewidth=1.1)
    ax.set(xlim=(0, 1.12), ylim=(len(names) - 0.5, -0.5), yticks=rows, yticklabels=names)
    ax.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    ax.grid(visible=False, axis="y")
    name = found.class_name if found.class_.unlike <= 1 else "unlike any of the five"
    ax.set_title(f"class: {name}{_of_block(found.class_shape, found)}")


def _mu(ax: Axes, found: "Card") -> None:
    if found.mu is None:
        nothing(ax, _why(found, "no mu"))
        return
    if not found.mu.by_entries:
        nothing(ax, "no μ of independent entries makes such a spectrum")
        return
    rows = {**found.mu.by_entries} | ({"any of them": found.mu} if len(found.mu.by_entries) > 1 else {})
    ends = [x for each in rows.values() for x in (each.mu, *each.interval) if 0 < x < np.inf]
    low, high = framed(min(ends), max(max(ends), 1.5 * min(ends)))
    log_axes(ax, "x")
    at_frame = blended_transform_factory(ax.transAxes, ax.transData)
    for row, each in enumerate(rows.values()):
        first, last = each.interval
        colour = COLOURS[0] if row < len(found.mu.by_entries) else GREY
        ax.plot([max(first, low), min(last, high)], [row, row], color=colour, linewidth=2.4, zorder=1.5)
        for end, x, marker in ((last, 1, ">"), (-first, 0, "<")):
            if end in (np.inf, 0):
                ax.plot(x, row, marker=marker, color=colour, transform=at_frame, clip_on=False)
        if np.isfinite(each.mu) and each.mu > 0:
            ax.plot(each.mu, row, marker="o", color=colour, zorder=2)
    ax.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)), yticklabels=list(rows))
    ax.grid(visible=False, axis="y")
    ax.set_title(f"μ of the entries, 95 %{_of_block(found.mu_shape, found)}")
    log_ticks(ax, "x")


def _distances(ax: Axes, found: "Card") -> None:
    tests = list(found.tests.values())
    t = np.array([[of[what].t for of in tests] for what in _STATISTICS])
    if not np.any(np.isfinite(t)):
        nothing(ax, "not tested: the spectrum cannot be fitted")
        return
    ax.axvspan(-2, 2, color=GREY, alpha=0.15, linewidth=0, label="19 of 20 replicates")
    for series, (null, of_null) in enumerate(zip(found.tests, t.T, strict=True)):
        shift = 0.22 * (series - (len(tests) - 1) / 2)
        rows = np.arange(len(of_null)) + shift
        inside = np.abs(of_null) <= _CLIP
        look = {"color": COLOURS[series], "linestyle": "none", "zorder": 2}
        ax.plot(of_null[inside], rows[inside], marker=MARKERS[series], label=_NULLS.get(null, null), **look)
        for side, marker in ((1, ">"), (-1, "<")):
            far = side * of_null > _CLIP
            ends = np.full(far.sum(), side * _CLIP)
            ax.plot(ends, rows[far], marker=marker, **look)
            for x, row, value in zip(ends, rows[far], of_null[far], strict=True):
                beside = {"xytext": (-7 * side, 0), "textcoords": "offset points", "va": "center", "size": 9}
                ax.annotate(f"{value:.0f}", (x, row), ha="right" if side > 0 else "left", **beside)
    ax.axvline(0, color=GREY, linewidth=0.9, zorder=1)
    names = list(_STATISTICS.values())
    ax.set(xlim=(-1.06 * _CLIP, 1.06 * _CLIP), ylim=(len(names) - 0.5, -0.5), yticks=range(len(names)))
    ax.set(yticklabels=names, xlabel="standard deviations of the replicates")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.grid(visible=False, axis="y")


def _of_block(shape: tuple[int, int] | None, found: "Card") -> str:
    return "" if shape in (None, (found.s.N, found.s.M)) else f", of a block of {shape[0]} x {shape[1]}"


def _why(found: "Card", what: str) -> str:
    """The remark that says why, its first sentence."""
    remark = next((each for each in found.remarks if each.startswith(what)), what)
    return "\n".join(textwrap.wrap(remark.split(". ")[0], _LETTERS))
