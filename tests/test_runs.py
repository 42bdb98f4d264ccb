"""A run of a claim leaves its data, and the committed verdicts follow from the committed data."""

import json
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from matplotlib.figure import Figure

import rmt
from rmt.claims import Claim, Size, load_claims
from rmt.keys import point_key
from rmt.report import read_results
from rmt.runs import run_claim

RECORDS = {record["claim"]: record for record in read_results(ROOT / "experiments" / "verdicts").records}


def test_a_size_of_several_grids_is_one_dataset(tmp_path):
    def measure(key, *, N, mu):
        return {"x": N + mu, "draw": jax.random.uniform(key)}

    size = Size({"N": (1, 2), "mu": (2.0, 1.0)}, 3, also=(Size({"N": (9,), "mu": (1.0,)}, 2),))
    seen = []
    claim = Claim("c", "", "", "", "", {"smoke": size}, measure, lambda ds: seen.append(ds) or [], _no_figure, "")
    ds, _ = run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0)
    assert ds.N.values.tolist() == [1, 2, 9]
    assert ds.mu.values.tolist() == [1.0, 2.0]
    assert ds.x.sel(N=9, mu=1.0).values.tolist()[:2] == [10, 10]
    assert np.isnan(ds.x.sel(N=9, mu=2.0)).all()
    assert int(np.isfinite(ds.draw).sum()) == 14
    alone = rmt.sweep(measure, size.grid, key=point_key(jax.random.key(0), {"claim": "c"}), n_trials=3, progress=False)
    np.testing.assert_array_equal(alone.draw, ds.draw.sel(N=[1, 2], mu=[2.0, 1.0]))


def test_a_size_says_how_many_trials_are_computed_at_once(tmp_path):
    def measure(key, *, N):
        return {"draw": N * jax.random.uniform(key)}

    size = Size({"N": (1,)}, 2, also=(Size({"N": (9,)}, 1),))
    draws = []
    for block in (10, 1):
        claim = Claim("c", *[""] * 4, {"smoke": replace(size, block=block)}, measure, lambda ds: [], _no_figure, "")
        ds, _ = run_claim(tmp_path / "c.py", claim, "smoke", tmp_path / str(block), seed=0)
        assert ds.attrs["block"] == block
        draws.append(ds.draw)
    assert np.isfinite(draws[1]).sum() == 3
    np.testing.assert_array_equal(*draws)


def test_what_is_stored_stays_in_the_store(tmp_path):
    def measure(key, *, N):
        return {"x": N, "weights": jax.random.normal(key, (5,))}

    size, seen = Size({"N": (1,)}, 2, also=(Size({"N": (3,)}, 2),)), []
    claim = Claim(
        "c", "", "", "", "", {"smoke": size}, measure, lambda ds: seen.append(ds) or [], _no_figure, "", ("weights",)
    )
    ds, _ = run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0)
    with xr.open_dataset(tmp_path / "c" / "smoke.nc") as written:
        assert set(ds) == set(seen[0]) == set(written) == {"x"}
    with xr.open_zarr(tmp_path / "c" / "smoke.zarr", consolidated=False) as store:
        assert np.isfinite(store.weights.values).all()
        assert store.weights.shape == (2, 2, 5)


def test_the_command_of_a_record_names_the_folders_that_were_read(tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGES", "/somewhere")
    claim = Claim(
        "c", *[""] * 4, {"smoke": Size({"N": (1,)}, 1)}, _one, lambda ds: [], _no_figure, "", folders=("IMAGES", "ELSE")
    )
    run_claim(Path("c.py"), claim, "smoke", tmp_path, seed=3)
    record = json.loads((tmp_path / "c" / "smoke.json").read_text())
    assert record["command"] == "IMAGES=FOLDER rmt run c.py --size smoke --seed 3"


def _one(key, *, N):
    return {"x": N}


def _no_figure(ds):
    return Figure()


def test_the_seconds_of_a_killed_run_are_counted(tmp_path):
    claim = Claim(
        "c", "", "", "", "", {"smoke": Size({"N": (1,)}, 2)}, lambda key, N: {"x": N}, lambda ds: [], _no_figure, ""
    )
    journal, record = tmp_path / "c" / ".smoke.time", tmp_path / "c" / "smoke.json"
    run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0)
    first = json.loads(record.read_text())["seconds"]
    run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0)
    assert first <= json.loads(record.read_text())["seconds"] < first + 20
    journal.write_text(json.dumps({"start": time.time() - 1000, "earlier": 500.0}))  # as a kill leaves it
    (tmp_path / "c" / "smoke.zarr" / "done" / "zarr.json").touch()
    run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0)
    assert 1500 <= json.loads(record.read_text())["seconds"] < 1520
    run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0, restart=True)
    assert json.loads(record.read_text())["seconds"] < 20


def test_the_seconds_of_shards_add_up(tmp_path):
    claim = Claim(
        "c", "", "", "", "", {"smoke": Size({"N": (1, 2)}, 2)}, lambda key, N: {"x": N}, lambda ds: [], _no_figure, ""
    )
    run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0, shard=(0, 2))
    first = tmp_path / "c" / ".smoke.0of2.time"
    assert 0 < json.loads(first.read_text())["seconds"] < 20
    first.write_text(json.dumps({"seconds": 500.0}))
    for _ in range(2):  # the same when it is run again
        run_claim(tmp_path / "c.py", claim, "smoke", tmp_path, seed=0, shard=(1, 2))
        assert 500 < json.loads((tmp_path / "c" / "smoke.json").read_text())["seconds"] < 520


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDS)
def test_the_committed_verdicts_follow_from_the_committed_data(name):
    record = RECORDS[name]
    claim = load_claims([ROOT / record["file"]])[ROOT / record["file"]]
    with xr.open_dataset(record["path"].with_suffix(".nc")) as ds:
        verdicts = claim.check(ds.load())
    for found, kept in zip(verdicts, record["verdicts"], strict=True):
        assert (found.statement, found.outcome) == (kept["statement"], kept["outcome"])
        if kept["effect"] is not None:
            low, high = kept["interval"]
            width = np.inf if low is None or high is None else high - low
            assert found.effect == pytest.approx(kept["effect"], rel=2e-3, abs=max(0.1 * min(width, 1), 1e-9))
