"""The page of a model: one file that runs and fetches nothing, with every layer, whatever their names are."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torchfiles as tf
from safetensors.numpy import save_file
from test_commands import error_line, run
from test_layers import layers_of

from realnets.analysis import Analysis, analyze
from realnets.layers import Skipped
from realnets.nulls import Comparison
from realnets.page import model_page
from rmt.calibration.card import JUDGED, card_columns
from rmt.calibration.ranks import Ranks, ranks_of
from rmt.plots import Frame, alpha_plane, rank_axes, rank_plot

HOSTILE = "<script>alert(1)</script>\u202e.weight"
LONG = "y" * 10_000
ARRAYS = {
    "noise.weight": tf.random(60, 52),
    "bulk.weight": tf.random(60, 52, seed=1) * np.linspace(0.2, 2, 52, dtype=np.float32),
    HOSTILE: tf.random(60, 52, seed=2),
    LONG: tf.random(60, 52, seed=4),
    "nan.weight": tf.random(60, 52, seed=3) * np.float32(np.nan),
    "<b>.bias": tf.random(7),
}


class Page(HTMLParser):
    """Ids, links and everything that a browser would fetch or run."""

    def __init__(self, text: str):
        super().__init__()
        self.text, self.ids, self.links, self.tags = text, [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        assert not any(name.startswith("on") or name == "src" for name in found)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [value for name, value in attrs if name in ("href", "xlink:href")]


def judged(result: Analysis, verdicts: Sequence[str]) -> Comparison:
    """An analysis as if it had been put beside nulls: these verdicts, and bands about its own eigenvalues."""
    rows = [
        row | card_columns(None, JUDGED) | {"gaussian_lambda_max": row["lambda_max"] / 2, "verdict": verdict}
        for row, verdict in zip(result.rows, verdicts, strict=True)
    ]
    bands = np.array([[0.9], [1.1]])
    ranks = [replace(each, bands=dict.fromkeys(JUDGED, bands * each.eigenvalues)) for each in result.ranks]
    settings = result.settings | {"tests": 4 * len(rows), "n_nulls": 5}
    return Comparison(result.source, result.format, rows, result.skipped, result.n_tensors, settings, ranks)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    verdicts = ["near-random", "correlated", "near-random", "heavy entries", "not tested"]
    result = judged(analyze(layers_of(ARRAYS, 50)), verdicts)
    return replace(result, source=HOSTILE, skipped=[*result.skipped, Skipped("<i>", (3,), "unreadable", LONG)])


@pytest.fixture(scope="module")
def page(comparison) -> Page:
    return Page(comparison.to_html())


def test_nothing_is_run_or_fetched_and_every_link_leads_somewhere(page):
    assert not {"script", "link", "img", "iframe", "object", "i", "b"} & set(page.tags)
    assert "default-src 'none'" in page.text
    assert {where[0] for where in re.findall(r"url\(\"?([#\w]+)", page.text)} == {"#", "d"}
    assert page.text.count('url("data:image/svg+xml;base64,') == 1
    assert len(page.ids) == len(set(page.ids))
    assert set(page.links) <= {f"#{name}" for name in page.ids}


def test_every_layer_has_a_row_that_leads_to_its_spectrum(page, comparison):
    for number, row in enumerate(comparison.rows, 1):
        assert page.links.count(f"#layer-{number}") == page.ids.count(f"layer-{number}") == 1
        if row["fitted"]:
            assert "λmax 2.00 times the Gaussian" in page.text
            assert f"α = {row['alpha']:.2f} [{row['alpha_low']:.2f}, {row['alpha_high']:.2f}]" in page.text
    assert page.text.count("There is no spectrum to draw.") == 1  # of NaN
    assert page.text.count('aria-label="spectrum of layer') == 4


def test_names_are_escaped_and_clipped(page):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e.weight" in page.text
    assert "\u202e" not in page.text
    assert "y" * 500 not in page.text
    for reason in ("not fitted, non_finite: 1", "bias, scalar or other vector: 1", "unreadable: 1"):
        assert f"<summary>{reason}</summary>" in page.text


def test_the_page_is_a_function_of_the_result(comparison, page):
    assert model_page(comparison) == page.text


@pytest.mark.parametrize("kept", [slice(0, 1), slice(4, 5), slice(0, 0)])
def test_one_layer_or_none_fitted_is_a_page_too(comparison, kept):
    few = replace(comparison, rows=comparison.rows[kept], ranks=comparison.ranks[kept])
    text = few.to_html()
    assert ("Against depth" in text) == any(row["fitted"] for row in few.rows)
    assert text.count("<figure id=") == len(few.rows)


def test_without_nulls_there_are_no_verdicts():
    text = analyze(layers_of(ARRAYS, 50)).to_html()
    assert "swatch" not in text.split("</style>")[1]
    assert "null" not in text.split("</style>")[1]


def test_ranks_are_in_json_and_no_column(comparison):
    tree = json.loads(comparison.to_json())
    ranks = tree["ranks"][0]
    assert ranks["eigenvalues"][0] == pytest.approx(tree["layers"][0]["lambda_max"], rel=1e-5)
    assert len(ranks["rank"]) == len(ranks["gaussian"][1]) == len(ranks["shuffled"][0])
    assert "ranks" not in comparison.rows[0]


def test_ranks_keep_the_whole_top_and_both_ends():
    x = np.sort(np.random.default_rng(0).pareto(2, 1000))
    ranks = ranks_of(x)
    assert list(ranks.rank[:8]) == list(range(1, 9))
    assert (ranks.rank[-1], ranks.eigenvalues[0], ranks.eigenvalues[-1]) == (1000, x[-1], x[0])
    assert len(ranks.rank) <= 60
    assert np.array_equal(ranks.share, [np.mean(x >= value) for value in ranks.eigenvalues])


@pytest.mark.parametrize(("n", "low", "high"), [(5, 0, 4), (19, 0, 18), (99, 4, 94)])
def test_a_band_is_the_middle_90_percent_or_all_of_few(n, low, high):
    nulls = np.sort(np.random.default_rng(1).normal(size=(n, 50)))
    band = ranks_of(nulls[0], {"gaussian": nulls}).bands["gaussian"]
    assert band[:, 0] == pytest.approx(np.sort(nulls[:, -1])[[low, high]])


def test_the_spectrum_is_drawn_where_it_is():
    x = np.sort(np.random.default_rng(2).pareto(2, 200) + 1)
    ranks = ranks_of(x, {"gaussian": np.sort(np.random.default_rng(3).normal(2, 0.1, (9, 200)))})
    frame = Frame.around([(ranks, 2.0), (Ranks(0, np.zeros(0, int), np.zeros(0)), np.nan)])
    (ax,) = rank_plot(frame, ranks, 2.0, (3.0, 4.0, 20), bands=["gaussian"]).axes
    curve, _, tail, start = ax.lines
    assert np.array_equal(curve.get_xdata(), ranks.eigenvalues / 2)
    assert np.array_equal(curve.get_ydata(), ranks.share)
    assert tail.get_ydata() == pytest.approx([0.1, 0.1 * (x[-1] / 4) ** -2.0])
    assert (start.get_xdata()[0], start.get_ydata()[0]) == (2.0, 0.1)
    assert len(ax.collections) == 1
    (axes,) = rank_axes(frame).axes
    assert (axes.get_xlim(), axes.get_ylim()) == (ax.get_xlim(), ax.get_ylim())
    assert np.array_equal(axes.get_position().bounds, ax.get_position().bounds)


def test_a_region_of_the_plane_holds_nine_tenths():
    rng = np.random.default_rng(4)
    alpha, y = np.exp(rng.normal([[1], [2]], [[0.2], [1.0]], (2, 400)))
    (ax,) = alpha_plane({"class": (alpha, y)}, {"model": ([2.0, np.nan, 3.0], [9.0, 1.0, np.inf])}).axes
    (region,) = ax.collections[0].get_paths()
    inside = region.contains_points(np.stack([alpha, y], axis=1))
    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)
    assert [len(line.get_xdata()) for line in ax.lines] == [1]


def test_the_command_writes_it_by_suffix(tmp_path):
    save_file({"a.weight": tf.random(60, 52)}, tmp_path / "a")
    result = run("analyze", tmp_path / "a", "--out", tmp_path / "new" / "page.html")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "new" / "page.html").read_text().endswith("</html>\n")
    line = error_line(run("diff", tmp_path / "a", tmp_path / "a", "--out", tmp_path / "x.html"))
    assert line.endswith("end it in .json, .csv or .nc, or add --json or --csv")
