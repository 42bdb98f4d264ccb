"""Nulls tell noise from heavy entries from correlations, and do not cry wolf."""

import jax
import numpy as np
import pytest
from test_layers import layers_of

import realnets.nulls as nulls_module
from realnets.nulls import compare
from rmt.calibration.nulls import VERDICTS

N, M = 120, 60


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.01, 0.3, (N, M))


def heavy(seed: int, mu: float = 1.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.pareto(mu, (N, M)) + 1) * rng.choice([-1, 1], (N, M))


def spiked(seed: int, strength: float = 2.0) -> np.ndarray:
    """One direction above the threshold: a change of a single eigenvalue."""
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=(N, 1)), rng.normal(size=(1, M))
    return noise(seed + 1) + 0.3 * strength * np.sqrt(N) * (u / np.linalg.norm(u)) @ (v / np.linalg.norm(v))


def correlated(seed: int) -> np.ndarray:
    """Columns of unequal scale: no entry stands out, the bulk does."""
    return noise(seed) * np.linspace(0.4, 1.6, M)


@pytest.fixture(scope="module")
def comparison():
    planted = {
        "noise.weight": noise(1),
        "heavy.weight": heavy(2),
        "spiked.weight": spiked(3),
        "bulk.weight": correlated(4),
    }
    return compare(layers_of(planted | {"nan.weight": noise(5) * np.nan}), jax.random.key(0), n_nulls=10)


def test_planted_layers_are_told_apart(comparison):
    verdicts = {row["name"]: row["verdict"] for row in comparison.rows}
    assert verdicts == {
        "noise.weight": "near-random",
        "heavy.weight": "heavy entries",
        "spiked.weight": "correlated",
        "bulk.weight": "correlated",
        "nan.weight": "not tested",
    }
    assert comparison.verdicts == {"near-random": 1, "heavy entries": 1, "correlated": 2, "not tested": 1}
    assert set(comparison.verdicts) <= set(VERDICTS)


def test_distances_have_the_sign_and_size_of_what_was_planted(comparison):
    rows = {row["name"]: row for row in comparison.rows}
    spike = rows["spiked.weight"]
    # theta = 2 sigma at Q = 2: (theta^2 + sigma^2)(theta^2 + sigma^2 / 2) / theta^2 against (1 + 1/sqrt 2)^2 sigma^2
    assert spike["lambda_max"] / spike["shuffled_lambda_max"] == pytest.approx(5.625 / 2.914, rel=0.15)
    assert spike["shuffled_lambda_max_t"] > 10
    assert spike["shuffled_lambda_max_rank"] == pytest.approx(2 / 11)
    assert rows["heavy.weight"]["gaussian_lambda_max_t"] > 10
    assert abs(rows["heavy.weight"]["shuffled_lambda_max_t"]) < 4
    assert rows["heavy.weight"]["localised"]
    assert rows["bulk.weight"]["shuffled_esd_layer"] > 3 * rows["bulk.weight"]["shuffled_esd"]


def test_traps_are_of_large_entries_and_not_of_spikes(comparison):
    rows = {row["name"].removesuffix(".weight"): row for row in comparison.rows}
    assert [row["name"] for row in comparison.trapped] == ["heavy.weight"]
    assert 3 <= rows["heavy"]["shuffled_n_spikes"] == pytest.approx(rows["heavy"]["traps_expected"], abs=1)
    assert rows["heavy"]["traps_p_adjusted"] == 4 * rows["heavy"]["traps_p"]  # Holm over the four that were tested
    assert rows["spiked"]["n_spikes"] == 1
    for name in ("noise", "spiked", "bulk"):
        assert (rows[name]["shuffled_n_spikes"], rows[name]["traps_expected"]) == (0, 0)
        assert rows[name]["traps_p"] > 0.02
    assert np.isnan(rows["nan"]["traps_p_adjusted"])


def test_every_column_of_the_dataset_says_what_it_is(comparison):
    ds = comparison.to_dataset()
    assert [name for name, of in ds.variables.items() if of.dims == ("layer",) and "long_name" not in of.attrs] == []
    assert ds.shuffled_lambda_max.attrs["units"] == "unit of W squared"
    assert ds.shuffled_lambda_max_t.attrs["units"] == "1"
    assert "shuffled" in ds.shuffled_p_adjusted.attrs["long_name"]
    assert ds.attrs["n_nulls"] == 10


def without_family(row: dict) -> dict:
    """What does not depend on the other layers."""
    return {name: of for name, of in row.items() if not name.endswith("_adjusted")}


def test_a_layers_draws_depend_on_its_name_and_the_seed_alone(comparison):
    alone = compare(layers_of({"spiked.weight": spiked(3)}), jax.random.key(0), n_nulls=10, workers=2).rows[0]
    row = next(row for row in comparison.rows if row["name"] == "spiked.weight")
    np.testing.assert_equal(without_family(alone), without_family(row))
    other = compare(layers_of({"spiked.weight": spiked(3)}), jax.random.key(1), n_nulls=10).rows[0]
    assert other["shuffled_lambda_max"] != row["shuffled_lambda_max"]


def test_noise_is_flagged_no_more_often_than_promised():
    """Negative control: 60 Gaussian layers, 4 tests each, against what Student's law and Bonferroni promise."""
    result = compare(layers_of({f"{i}.weight": noise(100 + i) for i in range(60)}), jax.random.key(0), n_nulls=10)
    assert result.verdicts == {"near-random": 60}
    p = np.array(
        [
            [row[f"{null}_{what}_p"] for row in result.rows]
            for null in ("gaussian", "shuffled")
            for what in ("lambda_max", "esd")
        ]
    )
    rate = np.mean(p <= 0.1, axis=1)
    assert np.all(rate <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 60)), rate
    assert np.all(np.mean(p[[0, 2]] <= 0.5, axis=1) >= 0.3)  # and the p-values are not merely all large


def test_heavy_entries_are_not_taken_for_correlations():
    """Negative control: iid heavy-tailed layers are exchangeable with their shuffles, whatever their index."""
    arrays = {f"{mu}.{i}.weight": heavy(200 + i, mu) for mu in (0.8, 1.5, 3.0) for i in range(10)}
    result = compare(layers_of(arrays), jax.random.key(0), n_nulls=10)
    assert "correlated" not in result.verdicts
    assert result.verdicts["heavy entries"] >= 20


def test_too_few_nulls_are_refused():
    with pytest.raises(ValueError, match="at least 5"):
        compare(layers_of({}), jax.random.key(0), n_nulls=3)


def test_a_large_layer_is_put_beside_its_nulls_by_a_block(monkeypatch):
    monkeypatch.setattr(nulls_module, "LARGE", 60 * 45)
    result = compare(layers_of({"bulk.weight": correlated(4)}), jax.random.key(0), n_nulls=5)
    (row,), (ranks,) = result.rows, result.ranks
    assert (row["N"], row["M"]) == (N, M)
    assert row["remarks"].startswith("the nulls are beside a random block of 51 x 52") or row["remarks"].startswith(
        "the nulls are beside a random block of 52 x 51"
    )
    assert row["verdict"] == "correlated"
    assert ranks.bands == {}  # the block's are no bands of the layer
    assert ranks.eigenvalues[0] == pytest.approx(row["lambda_max"])


def test_the_bands_are_where_the_nulls_have_their_eigenvalues(comparison):
    noise, heavy, spiked, *_, nan = comparison.ranks
    inside = {
        null: (low <= noise.eigenvalues) & (noise.eigenvalues <= high) for null, (low, high) in noise.bands.items()
    }
    assert {null: bool(np.mean(each) > 0.5) for null, each in inside.items()} == {"gaussian": True, "shuffled": True}
    assert spiked.eigenvalues[0] > 1.5 * spiked.bands["shuffled"][1, 0]
    assert heavy.bands["gaussian"][1, 0] < heavy.bands["shuffled"][0, 0] < heavy.eigenvalues[0]
    assert nan.rank.size == 0


def test_pooled_convolutions_have_no_nulls():
    with pytest.raises(ValueError, match="'slices' or 'reshaped', got 'pooled'"):
        compare(layers_of({"conv.weight": np.ones((9, 8, 3, 3))}, conv="pooled"), jax.random.key(0))
