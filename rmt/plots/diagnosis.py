"""The picture of a fit: its data on three scales, the search over xmin, and in words what not to trust."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rmt.plots.figures import COLOURS, LabFigure, figure, headline, legend, nothing, stacked, styled
from rmt.plots.search import scan_alpha, scan_distance
from rmt.plots.tails import alpha_of, tail_density, tail_fit
from rmt.spectra import Spectrum
from rmt.tails.base import Status

if TYPE_CHECKING:
    from rmt.tails import Diagnosis

_SEARCH = 1.25  # height of the search's panel, which holds two, in panels


@styled
def diagnosis(data: Spectrum | ArrayLike, d: "Diagnosis", cols: int = 2) -> LabFigure:
    """Four panels of one fit: log-log, linear and log-linear with the fitted law, and D and alpha against xmin.

    The log-log panel shows the share of values >= x, which needs no bins; the other two are histograms. In the last one the
    fit's xmin and the two next minima of D that stand apart are marked (`rmt.tails.diagnose.minima`). For a Spectrum a thin
    line is lambda_plus, the edge of the Marchenko-Pastur bulk that `rmt.diagnose` compares with. The lines above the panels
    say what was fitted and what the flags mean.

    Args:
        data: what was given to `rmt.diagnose`, without padding.
        d: what it returned, for one data set. After a failed fit the data are drawn with the cause and the cure.
        cols: panels across: 2 for a page, 1 for the width of a phone.

    Raises:
        ValueError: d is of a batch, or cols is neither 1 nor 2.

    Source: the panels are those of Martin & Mahoney, arXiv:2106.00734, figures 1 and 8.
    """
    if np.ndim(d.fit.alpha) != 0:
        raise ValueError(
            f"diagnosis(data, d) draws one fit, got a batch of shape {np.shape(d.fit.alpha)}; pick a row with"
            " jax.tree.map(lambda a: a[0], d)"
        )
    if cols not in (1, 2):
        raise ValueError(f"diagnosis(cols) needs 1 or 2, got {cols!r}")
    rows = 4 // cols
    fig, axes = figure(rows, cols, ("log-log", "linear", "log-linear", "the search over xmin"))
    axes[0, 0].get_gridspec().set_height_ratios([1.0] * (rows - 1) + [_SEARCH])
    fig.set_figheight(fig.get_figheight() * (rows - 1 + _SEARCH) / rows)
    loglog, linear, loglinear, search = axes.flat
    of_spectrum = isinstance(data, Spectrum)
    label = "eigenvalues" if of_spectrum else "values"
    every = np.ravel(np.asarray(data.eigenvalues if of_spectrum else data, float))
    if np.any(every[np.isfinite(every)] > 0):
        tail_fit(loglog, data, d.fit, label)
        tail_density(loglinear, data, d.fit, log=True, label=label)
    else:
        nothing(loglog, "there is no positive value")
        nothing(loglinear, "there is no positive value")
    if np.any(np.isfinite(every)):
        tail_density(linear, data, d.fit, label=label)
    else:
        nothing(linear, "there is no finite value")
    searches = (search,)
    if d.fit.ok and np.any(d.scan.candidate):
        searches = stacked(search, (5, 3))
        scan_distance(searches[0], d).set_xlabel("")
        scan_alpha(searches[1], d)
    else:
        nothing(search, "nothing could be searched")
    if not of_spectrum:
        loglog.set(xlabel="value x", ylabel="share of values ≥ x")
        linear.set_xlabel("value x")
        loglinear.set_xlabel("value x")
    for ax in (loglog, linear, loglinear, *searches):
        _bulk_edge(ax, float(d.lambda_plus))
    legend(fig)
    headline(fig, *_words(d, f"{np.sum(np.isfinite(every))} {label}"))
    return fig


def _words(d: "Diagnosis", all_of_them: str) -> tuple[str, list[str]]:
    """What was fitted to `all_of_them` ("500 eigenvalues"), and what the flags say."""
    status = Status(int(d.fit.status))
    if status.failed:
        return "No fit", [status.remedy[0].upper() + status.remedy[1:] + "."]
    fit = d.fit
    fitted = f"xmin = {float(fit.xmin):.3g}, D = {float(fit.ks):.2g}, "
    fitted += f"{int(fit.n_tail)} of {all_of_them} over {float(d.decades):.1f} decades"
    if np.isfinite(fit.alpha):
        fitted = f"{alpha_of(fit)}, {fitted}"
    notes = []
    if d.searched:
        notes.append(
            "D has a clear minimum." if d.clear else "Caution, no clear minimum: D is as low at an xmin with another α."
        )
    if np.isfinite(d.lambda_plus):
        inside = f"{100 * float(d.bulk_share):.0f} % of the tail lies inside the Marchenko-Pastur bulk"
        notes.append(f"Caution, {inside}: this fits its edge, not a tail." if d.in_bulk else f"{inside}.")
    if status != Status.OK:
        notes.append(f"Note, {status.remedy}.")
    return fitted, notes


def _bulk_edge(ax: Axes, lambda_plus: float) -> None:
    if np.isfinite(lambda_plus):
        ax.axvline(
            lambda_plus, color=COLOURS[3], linewidth=1.3, label="λ₊, edge of the Marchenko-Pastur bulk", zorder=1
        )
