"""The picture of a fit and that of many: what the artists hold, and that no data break them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import to_hex

import rmt
from rmt import plots
from rmt.laws.above import Above
from rmt.laws.log_normal import LogNormal
from rmt.tails import Scan
from rmt.tails.diagnose import minima

PARETO = np.random.default_rng(0).pareto(1.5, 400) + 1


def a_scan(ks, n_tail=None, candidate=None) -> Scan:
    n = len(ks)
    n_tail = 2 ** np.arange(n, 0, -1) if n_tail is None else n_tail
    candidate = np.ones(n, bool) if candidate is None else candidate
    return Scan(*(jnp.asarray(a) for a in (np.arange(1.0, n + 1), np.full(n, 2.5), ks, n_tail, candidate)))


def panels(fig) -> dict:
    """Axes by what they show."""
    names = {"share of": "loglog", "density": "linear", "share per": "loglinear", "D(xmin)": "D", "α(xmin)": "alpha"}
    return {name: ax for ax in fig.axes for start, name in names.items() if ax.get_ylabel().startswith(start)}


def line(ax, start):
    return next(artist for artist in ax.lines if str(artist.get_label()).startswith(start))


def words(fig) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in fig.texts)


def test_minima_of_a_known_curve_come_lowest_first():
    ks = [0.10, 0.30, 0.20, 0.25, 0.05, 0.40, 0.35, 0.50]
    assert minima(a_scan(ks)) == [4, 0, 2, 6]  # both ends of the scan count: 0 is one, 7 is none


def test_a_rise_of_ten_percent_or_less_is_one_minimum():
    assert minima(a_scan([0.5, 0.20, 0.2199, 0.21, 0.5])) == [1]
    assert minima(a_scan([0.5, 0.20, 0.2500, 0.21, 0.5])) == [1, 3]


def test_tails_that_share_nearly_all_their_values_are_one_minimum():
    ks = [0.5, 0.20, 0.25, 0.21, 0.5]
    assert minima(a_scan(ks, n_tail=[1000, 999, 998, 997, 996])) == [1]
    assert minima(a_scan(ks, n_tail=[1000, 999, 950, 900, 896])) == [1, 3]


def test_minima_see_candidates_only():
    ks = np.array([0.01, np.nan, 0.3, 0.2, 0.3])
    assert minima(a_scan(ks, candidate=[False, False, True, True, True])) == [3]
    assert minima(a_scan(ks, candidate=np.zeros(5, bool))) == []


@pytest.mark.parametrize("method", [None, rmt.Clauset(xmax="max"), rmt.Clauset(xmax=20.0)])
def test_the_curves_are_the_law_of_the_fit_and_the_marks_the_minima_of_the_scan(method):
    d = rmt.diagnose(PARETO, method)
    at = panels(plots.diagnosis(PARETO, d))
    share, above = int(d.fit.n_tail) / PARETO.size, np.mean(float(d.fit.xmax) < PARETO)
    x, y = line(at["loglog"], "fit").get_data()
    expected = above + share * np.asarray(d.fit.law.sf(x))
    np.testing.assert_allclose(y, np.where(expected > 0, expected, np.nan))
    assert (x[0], x[-1]) == pytest.approx((float(d.fit.xmin), float(d.fit.xmax)))
    x, y = line(at["linear"], "fit").get_data()
    np.testing.assert_allclose(y, share * np.asarray(d.fit.law.pdf(x)))
    x, y = line(at["loglinear"], "fit").get_data()
    np.testing.assert_allclose(y, share * np.asarray(d.fit.law.pdf(x)) * x * np.log(10))
    found = minima(d.scan)
    assert float(d.scan.xmin[found[0]]) == float(d.fit.xmin)
    for i, name in zip(found[:3], ("chosen", "second best", "runner-up"), strict=True):
        x, y = line(at["D"], name).get_data()
        np.testing.assert_allclose([x, y], [[d.scan.xmin[i]], [d.scan.ks[i]]])
        assert f"α = {float(d.scan.alpha[i]):.2f}" in line(at["D"], name).get_label()
    marks = [a for a in at["D"].lines if a.get_marker() not in ("", "None")]
    assert len({(to_hex(a.get_color()), a.get_marker()) for a in marks}) == 3


@pytest.mark.parametrize("decimals", [None, 1, 0])
@pytest.mark.parametrize("log", [False, True])
def test_the_histogram_is_a_density_whatever_the_rounding(log, decimals):
    x = PARETO if decimals is None else np.round(PARETO, decimals)
    ax = plots.figure()[1][0, 0]
    plots.tail_density(ax, x, rmt.fit_tail(x), log)
    steps = ax.patches[0].get_data()
    edges = np.log10(steps.edges) if log else steps.edges
    shown = (x >= steps.edges[0] * (1 - 1e-12)) & (x <= steps.edges[-1] * (1 + 1e-12))
    assert np.sum(steps.values * np.diff(edges)) == pytest.approx(np.mean(shown))
    outside = x.size - shown.sum()
    assert (f"{outside} of 400 outside the frame" in ax.get_title(loc="left")) == (outside > 0)


def test_rounding_makes_no_comb():
    x = np.round(np.random.default_rng(1).uniform(1, 10, 20_000), 1)
    ax = plots.figure()[1][0, 0]
    plots.tail_density(ax, x, rmt.fit_tail(x[:5]))  # a failed fit: data alone
    np.testing.assert_allclose(ax.patches[0].get_data().values[1:-1], 1 / 9, rtol=0.2)


def test_the_bulk_edge_of_a_spectrum_is_a_line_and_the_trap_is_said_in_words():
    s = rmt.spectrum(rmt.IID(rmt.Pareto(3.0)).sample(jax.random.key(0), (100, 100)))
    d = rmt.diagnose(s)
    assert d.in_bulk
    fig = plots.diagnosis(s, d)
    for ax in panels(fig).values():
        np.testing.assert_array_equal(line(ax, "λ₊").get_xdata(), float(d.lambda_plus))
    share = f"{100 * float(d.bulk_share):.0f} %"
    assert f"Caution, {share} of the tail lies inside the Marchenko-Pastur bulk" in words(fig)
    heavy = rmt.spectrum(rmt.IID(rmt.Pareto(1.0)).sample(jax.random.key(0), (100, 100)))
    assert "Caution" not in words(plots.diagnosis(heavy, rmt.diagnose(heavy)))


def test_what_the_flags_say_is_above_the_panels():
    d = rmt.diagnose(PARETO)
    unclear = eqx.tree_at(lambda d: d.clear, d, jnp.asarray(False))
    assert "Caution, no clear minimum" in words(plots.diagnosis(PARETO, unclear))
    fig = plots.diagnosis(PARETO, d)
    assert d.clear
    assert "D has a clear minimum" in words(fig)
    assert f"{int(d.fit.n_tail)} of 400 values" in words(fig)
    assert "Marchenko" not in words(fig)
    tied = np.round(PARETO, 1)
    assert rmt.Status.TIES_AT_XMIN.remedy in words(plots.diagnosis(tied, rmt.diagnose(tied)))


def with_one(value: float) -> np.ndarray:
    """The sample with one of its values replaced: each size is compiled anew."""
    return np.append(PARETO[1:], value)


HARD = {
    "NaN": with_one(np.nan),
    "only NaN": np.full(PARETO.size, np.nan),
    "infinite": with_one(np.inf),
    "empty": np.zeros(0),
    "one": np.ones(1),
    "constant": np.ones(PARETO.size),
    "zeros": np.zeros(PARETO.size),
    "negative": -PARETO,
    "a zero": with_one(0.0),
    "five": PARETO[:5],
    "ten": PARETO[:10],
    "two values": np.append(np.ones(PARETO.size - 1), 2.0),
    "near-constant": 1 + 1e-6 * np.random.default_rng(1).random(PARETO.size),
    "1e200": PARETO * 1e200,
    "1e-200": PARETO * 1e-200,
    "350 decades": np.exp(np.linspace(-400, 400, PARETO.size)),
    "integers": np.random.default_rng(2).integers(1, 6, PARETO.size).astype(float),
    "float32": PARETO.astype(np.float32),
}


@pytest.mark.parametrize("name", HARD)
def test_no_data_break_the_picture(name):
    d = rmt.diagnose(HARD[name])
    fig = plots.diagnosis(HARD[name], d)
    plots.svg(fig)
    status = rmt.Status(int(d.fit.status))
    if status.failed:
        assert words(fig).startswith("No fit")
        assert status.remedy[1:] in words(fig)


@pytest.mark.slow
def test_many_candidates_are_drawn_by_their_outline():
    n = 100_000
    rng = np.random.default_rng(0)
    x = np.sort(rng.pareto(1.5, n) + 1)
    fit = rmt.fit_tail(x)
    ks = np.asarray(0.01 + 0.3 * rng.random(n))
    ks[np.searchsorted(x, float(fit.xmin))] = float(fit.ks)
    scan = Scan(*map(jnp.asarray, (x, np.full(n, 2.5), ks, np.arange(n, 0, -1), np.arange(n) < n - 1)))
    d = rmt.Diagnosis(fit, scan, True, *map(jnp.asarray, (True, np.nan, 0.0, False, 2.0)))
    fig = plots.diagnosis(x, d)
    drawn = panels(fig)["D"].lines[0].get_ydata()
    assert len(drawn) <= 1602
    assert (min(drawn), max(drawn)) == (ks.min(), ks[:-1].max())
    assert len(plots.svg(fig)) < 400_000


def test_a_given_xmin_has_no_minimum_to_speak_of():
    d = rmt.diagnose(PARETO, rmt.Clauset(xmin=2.0))
    text = plots.svg(plots.diagnosis(PARETO, d))
    assert not d.searched
    assert "clear minimum" not in text
    assert "second best" not in text


def test_equal_pictures_have_equal_bytes():
    d = rmt.diagnose(PARETO)
    assert plots.svg(plots.diagnosis(PARETO, d)) == plots.svg(plots.diagnosis(PARETO, d))


@pytest.mark.parametrize("cols", [1, 2])
def test_words_and_legend_lie_outside_of_the_panels_and_inside_the_figure(cols):
    s = rmt.spectrum(rmt.IID(rmt.Pareto(3.0)).sample(jax.random.key(0), (100, 100)))
    fig = plots.diagnosis(s, rmt.diagnose(s), cols)
    plots.svg(fig)
    frames = [ax.get_tightbbox() for ax in fig.axes]
    legend = fig.legends[0].get_window_extent()
    assert legend.y1 <= min(frame.y0 for frame in frames)
    for text in fig.texts:
        assert text.get_window_extent().y0 >= max(frame.y1 for frame in frames)
    for box in [legend, *frames, *(text.get_window_extent() for text in fig.texts)]:
        assert box.x0 >= 0
        assert box.x1 <= fig.bbox.width + 1
    native = fig.get_figwidth() * 96
    assert native <= (560 if cols == 1 else 1280)  # pixels; a phone shows 390 of them


def test_a_law_without_alpha_is_named():
    fit = rmt.fit_tail(PARETO)
    fit = rmt.TailFit(
        jnp.nan, jnp.nan, fit.xmin, fit.xmax, fit.ks, fit.n_tail, fit.status, Above(LogNormal(), fit.xmin)
    )
    ax = plots.figure()[1][0, 0]
    plots.tail_fit(ax, PARETO, fit)
    assert line(ax, "fit").get_label() == "fit: log normal"


def test_wrong_arguments_say_what_to_do():
    d = rmt.diagnose(np.stack([PARETO, PARETO]), mask=np.ones((2, 400), bool))
    with pytest.raises(ValueError, match=r"batch of shape \(2,\); pick a row"):
        plots.diagnosis(PARETO, d)
    with pytest.raises(ValueError, match="needs 1 or 2, got 3"):
        plots.diagnosis(PARETO, rmt.diagnose(PARETO), cols=3)
    with pytest.raises(ValueError, match="at least one fit"):
        plots.decades({})
    with pytest.raises(ValueError, match=r"got a batch of shape \(2,\) for 'both'"):
        plots.decades({"both": d.fit})
    with pytest.raises(ValueError, match="by name or a batch"):
        plots.decades(rmt.fit_tail(PARETO))


def test_decades_are_sorted_segments_with_alpha_and_failures_last():
    wide, narrow, bad = (rmt.fit_tail(x) for x in (PARETO, 2 + 0.3 * PARETO[:40] % 1, np.ones(20)))
    fig = plots.decades({"bad": bad, "narrow": narrow, "wide": wide})
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["wide", "narrow", "bad"]
    for row, (segment, fit) in enumerate(zip(ax.lines, (wide, narrow), strict=True)):
        np.testing.assert_allclose(segment.get_xdata(), [fit.xmin, fit.xmax])
        assert list(segment.get_ydata()) == [row, row]
    cells = [text.get_text() for text in ax.texts]
    assert f"{float(wide.alpha):.2f} ± {float(wide.stderr):.2f}" in cells
    assert f"{np.log10(float(wide.xmax) / float(wide.xmin)):.1f}" in cells
    assert "no fit: constant" in cells


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("stem", ["fc", "model.decoder.layers.self_attention.query_projection.weight."])
def test_one_fit_or_forty_have_room_for_their_names(n, stem):
    fits = {f"{stem}{i}": rmt.fit_tail(PARETO[i : i + 50]) for i in range(n)}
    fig = plots.decades(fits)
    plots.svg(fig)
    boxes = [text.get_window_extent() for text in fig.axes[0].texts if text.get_text()]
    assert all(box.x0 >= 0 and box.x1 <= fig.bbox.width + 1 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_batch_is_named_by_row_numbers():
    fits = rmt.fit_tail(np.stack([PARETO[:100], np.ones(100)]), mask=np.ones((2, 100), bool))
    ax = plots.decades(fits).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1"]
