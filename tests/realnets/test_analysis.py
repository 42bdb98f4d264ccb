"""The table is what rmt says of each matrix, and its averages are means of its rows."""

import csv
import io
import json
import math

import numpy as np
import pytest
import torchfiles as tf
import xarray as xr
from rich.console import Console
from scipy import stats
from test_layers import layers_of

import realnets.analysis as analysis_module
import realnets.layers as layers_module
import rmt
from realnets.analysis import AVERAGED, TRENDS, Analysis, analyze
from realnets.tables import _print_averages
from rmt.inference import stack
from rmt.netcdf import write

NAN = tf.random(60, 52, seed=9)
NAN[3, 4] = np.nan
ARRAYS = {
    "a.weight": tf.random(52, 120),
    "b.weight": (np.random.default_rng(1).pareto(2.0, (80, 52)) + 1).astype(np.float32),
    "nan.weight": NAN,
    "zero.weight": np.zeros((60, 52), np.float32),
    "c.bias": tf.random(7),
}


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyze(layers_of(ARRAYS, 50))


def test_each_row_is_what_rmt_gives(analysis):
    for row, array in zip(analysis.rows[:2], (ARRAYS["a.weight"].T, ARRAYS["b.weight"]), strict=True):
        s = rmt.spectrum(array.astype(float))
        fit = rmt.fit_tail(s)
        low, high = fit.interval()
        W2 = np.linalg.svd(array.astype(float), compute_uv=False) ** 2
        expected = {
            "N": s.N, "M": s.M, "Q": s.Q, "alpha": fit.alpha, "alpha_low": low, "alpha_high": high, "xmin": fit.xmin,
            "ks": fit.ks, "n_tail": fit.n_tail, "lambda_max": W2[0] / s.N, "log_norm": np.log10(W2.sum()),
            "log_spectral_norm": np.log10(W2[0]), "alpha_hat": fit.alpha * np.log10(W2[0] / s.N),
            "log_alpha_norm": np.log10(np.sum((W2 / s.N) ** float(fit.alpha))), "stable_rank": W2.sum() / W2[0],
        }  # fmt: skip
        for name, value in expected.items():
            assert row[name] == pytest.approx(float(value), rel=1e-12), name
        assert row["status"] == "ok"


def test_a_matrix_that_cannot_be_fitted_has_a_status_and_the_rest_is_analysed(analysis):
    assert [row["status"] for row in analysis.rows] == ["ok", "ok", "non_finite", "too_few"]
    assert math.isnan(analysis.rows[2]["alpha"])
    assert analysis.averages["all"]["n"] == 2


def test_averages_with_and_without_the_rule_of_eight():
    rows = [{"name": str(a), "tensor": str(a), "status": "ok", "fitted": True, "alpha": a} for a in (2.0, 4.0, 9.0)]
    rest = dict.fromkeys(
        ["ks", "lambda_max", "log_norm", "log_spectral_norm", "alpha_hat", "log_alpha_norm", "stable_rank"], 1.0
    )
    averages = Analysis("", "", [row | rest for row in rows], [], 3, {}).averages
    assert (averages["all"]["n"], averages["all"]["alpha"]) == (3, 5.0)
    assert (averages["alpha < 8"]["n"], averages["alpha < 8"]["alpha"]) == (2, 3.0)


def test_averages_have_students_interval_with_the_level_shared_by_the_columns(analysis):
    x = [analysis.rows[0]["log_norm"], analysis.rows[1]["log_norm"]]
    mean = analysis.average_intervals["all"]["log_norm"]
    assert mean.value == analysis.averages["all"]["log_norm"] == pytest.approx(np.mean(x))
    half = abs(x[0] - x[1]) / 2 * stats.t.ppf(1 - 0.025 / len(AVERAGED), 1)
    assert mean.interval == pytest.approx((mean.value - half, mean.value + half))
    tree = json.loads(analysis.to_json())
    assert set(tree["average_intervals"]["all"]) == set(AVERAGED) == set(tree["averages"]["all"]) - {"n"}
    assert tree["average_intervals"]["all"]["log_norm"] == {"mean": mean.value, "interval": list(mean.interval), "n": 2}


def layered(columns: dict[str, np.ndarray]) -> Analysis:
    """Rows of numbered layers, from the first on, in the alphabetical order of a file."""
    n = len(next(iter(columns.values())))
    rows = [
        {"name": f"h.{i}.weight", "tensor": "", "fitted": True} | {c: float(of[i]) for c, of in columns.items()}
        for i in sorted(range(n), key=str)
    ]
    return Analysis("", "", rows, [], n, {})


def test_trends_are_of_the_layers_by_number_and_take_ten():
    n = 14
    columns = dict.fromkeys(AVERAGED, np.ones(n)) | {c: np.random.default_rng(0).normal(size=n) for c in TRENDS}
    columns["alpha"] = np.append(np.arange(n - 1.0), 0.5)  # the last of them is out of place
    trends = layered(columns).depth_trends
    assert trends["alpha"].value == pytest.approx(1 - 4 * (n - 2) / (n * (n - 1)))
    assert trends["alpha"].low > 0
    assert trends["entropy"].low < 0 < trends["entropy"].high
    few = layered({name: of[:9] for name, of in columns.items()})
    assert few.depth_trends == {}
    assert json.loads(few.to_json())["depth_trends"] == {}
    for result, said in (
        (layered(columns), "α rises +0.74 ["),
        (few, "Trends with depth take 10 fitted layers; here are 9."),
    ):
        console = Console(width=200, record=True, file=io.StringIO())
        _print_averages(result, console)
        assert said in console.export_text()


def test_intervals_of_trends_hold_together():
    """Layers whose depth and column are normal with correlation rho have tau = 2 asin(rho) / pi."""
    rng, rho, n = np.random.default_rng(1), np.array([0.0, 0.5, -0.95, 0.0]), 12
    truth, held, apart = 2 / np.pi * np.arcsin(rho), 0, np.zeros(4)
    for _ in range(100):
        depth, noise = np.sort(rng.normal(size=n)), rng.normal(size=(4, n))
        of = rho[:, None] * depth + np.sqrt(1 - rho**2)[:, None] * noise
        trends = stack(list(layered(dict(zip(TRENDS, of, strict=True))).depth_trends.values()))
        held += np.all((trends.low <= truth) & (truth <= trends.high))
        apart += (trends.low > 0) | (trends.high < 0)
    assert stats.binomtest(int(held), 100, 0.95, alternative="less").pvalue > 0.01
    assert apart[2] > 70  # and they are not merely wide
    assert apart[0] + apart[3] <= 5


@pytest.mark.filterwarnings("error")
def test_the_dataset_holds_what_the_rows_hold(analysis, tmp_path):
    write(analysis.to_dataset(), tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc") as ds:
        assert ds.layer.values.tolist() == [row["name"] for row in analysis.rows]
        for name in analysis.rows[0].keys() - {"name"}:
            assert ds[name].dims == ("layer",)
            np.testing.assert_array_equal(ds[name].values, [row[name] for row in analysis.rows])
            assert ds[name].attrs["long_name"]
        assert ds.lambda_max.attrs["units"] == "unit of W squared"
        assert ds.transposed.dtype == bool
        assert float(ds.alpha.sel(layer="b.weight")) == analysis.rows[1]["alpha"]
        assert ds.skipped_name.values.tolist() == ["c.bias"]
        assert ds.skipped_shape.values.tolist() == ["7"]
        assert (ds.attrs["min_M"], ds.attrs["conv"], ds.attrs["numpy"]) == (50, "slices", np.__version__)


def test_hostile_names_are_labels_of_the_dataset(tmp_path):
    names = ["a/b", "w\n; rm", "Ω 🦊", "nul\0", "half \ud800", "twice", ""]
    result = analyze(layers_of({name: tf.random(52, 120, seed=i) for i, name in enumerate(names)}, 50))
    write(result.to_dataset(), tmp_path / "x.nc")
    with xr.open_dataset(tmp_path / "x.nc") as ds:
        assert ds.layer.values.tolist() == [*names[:3], "nul\\x00", "half \\ud800", *names[5:]]
        assert ds.skipped_name.size == 0


def test_json_and_csv_hold_the_same_table(analysis):
    tree = json.loads(analysis.to_json(), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    rows = list(csv.DictReader(io.StringIO(analysis.to_csv())))
    assert [r["name"] for r in rows] == [r["name"] for r in tree["layers"]]
    assert float(rows[1]["alpha"]) == tree["layers"][1]["alpha"] == analysis.rows[1]["alpha"]
    assert tree["layers"][2]["alpha"] is None
    assert rows[2]["alpha"] == "nan"
    assert tree["skipped"] == [{"name": "c.bias", "shape": [7], "reason": "bias, scalar or other vector", "note": ""}]


def test_workers_change_nothing_but_the_time(analysis):
    seen = []
    again = analyze(layers_of(ARRAYS, 50), workers=3, on_row=lambda row: seen.append(row["name"]))
    assert again.to_json() == analysis.to_json()
    assert seen == [row["name"] for row in analysis.rows]


def test_a_large_matrix_is_measured_in_the_precision_of_its_file(monkeypatch, analysis):
    monkeypatch.setattr(layers_module, "LARGE", 1000)
    monkeypatch.setattr(analysis_module, "LARGE", 1000)
    monkeypatch.setattr(analysis_module, "_BLOCK", 600)
    layers = layers_of({name: ARRAYS[name] for name in ("a.weight", "b.weight", "nan.weight")}, 50)
    assert [layer.W.dtype for layer in layers] == [np.float32] * 3
    for row, small in zip(analyze(layers).rows, analysis.rows, strict=False):
        for name in ("N", "M", "alpha", "lambda_max", "log_norm", "stable_rank", "rank"):
            assert row[name] == pytest.approx(small[name], rel=1e-9, nan_ok=True), name
        assert row["status"] == small["status"]


def test_a_pool_has_the_eigenvalues_of_all_its_slices():
    array = tf.random(70, 60, 2, 2)
    (row,) = analyze(layers_of({"conv.weight": array}, 50, "pooled")).rows
    slices = [rmt.spectrum(array[:, :, i, j].astype(float)) for i in range(2) for j in range(2)]
    pool = np.sort(np.concatenate([s.eigenvalues for s in slices]))
    fit = rmt.fit_tail(pool)
    assert (row["N"], row["M"], row["rank"]) == (70, 60, 240)
    assert row["alpha"] == pytest.approx(float(fit.alpha), rel=1e-12)
    assert row["n_tail"] == int(fit.n_tail)
    assert row["log_norm"] == pytest.approx(math.log10(np.sum(array.astype(float) ** 2)), rel=1e-6)
