"""What changed between two networks: pairs by name, changes with their sign, means with their intervals."""

import csv
import io
import json
import math

import numpy as np
import pytest
import torchfiles as tf
from safetensors.numpy import save_file
from scipy import stats
from test_commands import error_line, run
from test_layers import layers_of

from realnets import cli
from realnets.diff import CHANGES, diff
from rmt import InputError
from rmt.sweeps.progress import Progress

FIRST = {f"layer.{i}.weight": tf.random(70, 60, seed=i) for i in range(5)} | {"head.weight": tf.random(60, 50, seed=9)}
SPIKE = np.outer(np.ones(70), np.ones(60)).astype(np.float32) / 5


def test_a_network_twice_as_large_has_the_same_shapes_and_four_times_the_norms():
    difference = diff(layers_of(FIRST, 50), layers_of({name: 2 * W for name, W in FIRST.items()}, 50))
    assert [row["name"] for row in difference.rows] == list(FIRST)
    for row in difference.rows:
        assert row["alpha_change"] == pytest.approx(0, abs=1e-9)
        assert row["log_norm_change"] == pytest.approx(math.log10(4))
        assert row["stable_rank_change"] == pytest.approx(0, abs=1e-9)
        assert row["relative_distance"] == pytest.approx(1)
        assert row["alpha_stderr"] > 0
    low, high = difference.means["log_spectral_norm"].interval
    assert low <= math.log10(4) <= high
    assert high - low < 1e-6


def test_a_spike_in_every_layer_is_seen_on_average_and_noise_is_not():
    noise = {name: tf.random(*W.shape, seed=20 + i) for i, (name, W) in enumerate(FIRST.items())}
    other = diff(layers_of(FIRST, 50), layers_of(noise, 50))
    spiked = diff(layers_of(FIRST, 50), layers_of({n: W + SPIKE[: len(W), : W.shape[1]] for n, W in FIRST.items()}, 50))
    assert [name for name, mean in other.means.items() if mean.interval[0] > 0 or mean.interval[1] < 0] == []
    assert spiked.means["log_spectral_norm"].interval[0] > 0
    assert spiked.means["stable_rank"].interval[1] < 0
    assert all(abs(row["relative_distance"] - math.sqrt(2)) < 0.1 for row in other.rows)


def test_layers_are_paired_by_name_and_shape_or_without_the_folder_that_all_share():
    second = {f"model.{name}": W for name, W in reversed(FIRST.items())}
    difference = diff(layers_of(FIRST, 50), layers_of(second, 50))
    assert [(row["name"], row["distance"]) for row in difference.rows] == [(name, 0) for name in FIRST]
    wider = FIRST | {"layer.0.weight": tf.random(80, 60), "more.weight": tf.random(60, 60)}
    difference = diff(layers_of(FIRST, 50), layers_of(wider, 50))
    assert difference.unpaired == (["layer.0.weight"], ["layer.0.weight", "more.weight"])
    assert len(difference.rows) == 5


def test_pieces_of_one_tensor_are_paired_with_theirs():
    kernel = tf.random(60, 55, 2, 2)
    changed = kernel.copy()
    changed[:, :, 1, 0] *= 3
    difference = diff(layers_of({"conv.weight": kernel}, 50), layers_of({"conv.weight": changed}, 50))
    moved = {row["name"]: round(row["relative_distance"], 6) for row in difference.rows}
    assert moved == {"conv.weight[0,0]": 0, "conv.weight[0,1]": 0, "conv.weight[1,0]": 2, "conv.weight[1,1]": 0}


def test_networks_without_a_common_layer_are_refused():
    with pytest.raises(InputError, match=r"no layer of the same name and shape.*a\.weight \(60 x 50\).*b\.weight"):
        diff(layers_of({"a.weight": tf.random(60, 50)}, 50), layers_of({"b.weight": tf.random(70, 50)}, 50))


def test_a_layer_that_cannot_be_fitted_is_in_the_table_and_not_in_the_means():
    second = FIRST | {"layer.1.weight": FIRST["layer.1.weight"] * np.nan}
    difference = diff(layers_of(FIRST, 50), layers_of(second, 50))
    assert [row["fitted"] for row in difference.rows].count(False) == 1
    assert difference.means["alpha"].n == 5
    tree = json.loads(difference.to_json(), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))
    assert set(tree["mean_changes"]) == set(CHANGES)
    rows = list(csv.DictReader(io.StringIO(difference.to_csv())))
    assert rows[1]["alpha_change"] == "nan"


def test_distance_from_init_is_the_mean_over_all_pairs_with_students_interval():
    second = {name: W + i * SPIKE[: len(W), : W.shape[1]] for i, (name, W) in enumerate(FIRST.items())}
    difference = diff(layers_of(FIRST, 50), layers_of(second, 50))
    moved = [np.linalg.norm(second[name] - W) for name, W in FIRST.items()]
    mean, relative = (difference.distance_from_init[name] for name in ("distance", "relative_distance"))
    half = np.std(moved, ddof=1) / math.sqrt(6) * stats.t.ppf(1 - 0.025 / 2, 5)
    assert mean.value == pytest.approx(np.mean(moved))
    assert mean.interval == pytest.approx((np.mean(moved) - half, np.mean(moved) + half))
    sizes = [np.linalg.norm(W) for W in FIRST.values()]
    assert relative.value == pytest.approx(np.mean(np.divide(moved, sizes)))
    assert json.loads(difference.to_json())["distance_from_init"]["distance"]["mean"] == mean.value


def test_the_dataset_holds_the_pairs_and_who_has_no_partner():
    difference = diff(layers_of(FIRST, 50), layers_of(FIRST | {"new.weight": FIRST["head.weight"] + 1}, 50))
    ds = difference.to_dataset()
    assert ds.layer.values.tolist() == list(FIRST)
    assert ds.alpha_first.values.tolist() == [row["alpha_first"] for row in difference.rows]
    assert [name for name, of in ds.variables.items() if of.dims == ("layer",) and "long_name" not in of.attrs] == []
    assert (ds.first_unpaired.size, ds.second_unpaired.values.tolist()) == (0, ["new.weight"])


def test_the_progress_is_over_the_pairs(tmp_path, monkeypatch):
    seen = []

    class Bar(Progress):
        def __exit__(self, *error):
            seen.append((self._count(), self._spent / self._cost))
            super().__exit__(*error)

    monkeypatch.setattr(cli, "Progress", Bar)
    save_file(FIRST, tmp_path / "a")
    save_file({name: FIRST[name] for name in ("layer.1.weight", "head.weight")}, tmp_path / "b")
    for pair in (("a", "b"), ("b", "a")):
        assert run("diff", *(tmp_path / name for name in pair)).exit_code == 0
    assert seen == [("2/2 layers", 1.0)] * 2


def test_the_command_prints_a_table_within_80_columns(tmp_path):
    save_file(FIRST, tmp_path / "a")
    save_file({name: 2 * W for name, W in FIRST.items()} | {"new.weight": tf.random(60, 50)}, tmp_path / "b")
    result = run("diff", tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "+0.602" in result.stdout
    assert "Only in the second: new.weight." in result.stdout
    assert "DistanceFromInit, the mean of ‖W2 - W1‖F over all 6 pairs: " in " ".join(result.stdout.split())
    tree = json.loads(run("diff", tmp_path / "a", tmp_path / "b", "--json").stdout)
    assert len(tree["layers"]) == 6
    assert "no such file" in error_line(run("diff", tmp_path / "a", tmp_path / "none"))
