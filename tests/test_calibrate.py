"""`rmt calibrate`: the table it makes, how it goes on, what it finds in a table that is not right, what it refuses."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import rmt
from rmt.calibration import estimate_mu, mu_simulation, mu_table, noise_simulation, noise_threshold
from rmt.calibration import noise as noise_table
from rmt.calibration.simulation import TOLERANCE
from rmt.calibration.storage import save_arrays
from rmt.calibration.summary import N_FEATURES
from rmt.cli import app
from rmt.errors import InputError
from rmt.sweeps.programs import Program

MU = ("--mu", "1,2,0.5,4", "--entries", "signed Pareto", "--trials", "24")
INDICES = (0.5, 1.0, 2.0, 4.0)
TRUE_MU, TRUE_NOISE = mu_simulation.measure, noise_simulation.measure


def normal_summary(key, *, entries, N, M, mu):
    """In place of a summary of a matrix: quickly compiled."""
    return {"summary": jnp.log(mu) * len(entries) / M + jax.random.normal(key, (N_FEATURES,))}


def uniform_fits(key, *, N, M):
    """In place of fits to noise."""
    values = dict(zip(noise_table.WHAT, M / N + jax.random.uniform(key, (4,)), strict=True))
    return values | {
        "alpha": values["alpha"] + 1,
        "hill": values["hill"] + 1,
        "n_tail": jnp.ceil(10 * values["n_tail"]),
    }


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Measures that take no time to compile, but where a test is of the true ones; and few independent values."""
    with pytest.MonkeyPatch.context() as patch:
        # It belongs to the process: leave it as the other tests expect it
        patch.setattr("rmt.cli.calibration.keep_compiled_programs", lambda: None)
        patch.setattr(mu_simulation, "measure", normal_summary)
        patch.setattr(noise_simulation, "measure", uniform_fits)
        patch.setattr(noise_simulation, "SAMPLES", (10, 20))
        few = partial(noise_simulation.simulate_independent, n_trials=20)
        patch.setattr(noise_simulation, "simulate_independent", few)
        patch.setattr(noise_simulation, "measure_independent", lambda key, *, n: {"scaled_ks": jax.random.uniform(key)})
        yield


@pytest.fixture
def true_measures(monkeypatch):
    monkeypatch.setattr(mu_simulation, "measure", TRUE_MU)
    monkeypatch.setattr(noise_simulation, "measure", TRUE_NOISE)


@pytest.fixture
def counted(monkeypatch):
    """The cells that are computed."""
    cells = []
    compute = Program.run

    def count(self, keys, point, done, stop, device):
        cells.append(tuple(point.values()))
        return compute(self, keys, point, done, stop, device)

    monkeypatch.setattr(Program, "run", count)
    return cells


def invoke(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)])


def done(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def same(table, other):
    for field in dataclasses.fields(table):
        np.testing.assert_array_equal(getattr(table, field.name), getattr(other, field.name))


@pytest.fixture(scope="module")
def tables(tmp_path_factory, quick):
    """A small table of mu and one of noise, made here from the library."""
    folder = tmp_path_factory.mktemp("tables")
    how = {"seed": 3, "progress": False}
    data = mu_simulation.simulate({(30, 30): 24, (30, 15): 24}, mu=INDICES, entries=["signed Pareto"], **how)
    mu_table.save(mu_simulation.build(data, 3), folder / "mu.npz")
    data = noise_simulation.simulate({(30, 25): 40, (25, 25): 40}, **how)
    independent = noise_simulation.simulate_independent((10, 20), **how)
    noise_table.save(noise_simulation.build(data, independent, 3), folder / "noise.npz")
    return folder


def test_the_table_of_mu_is_that_of_the_library_and_is_used_by_its_path(tables, tmp_path):
    out = tmp_path / "new" / "mu.npz"
    told = done("mu", "--out", out, "--shapes", "30x15, 30x30", "--seed", 3, *MU)
    assert "shapes: 30 x 30, 30 x 15 mu: 4 from 0.5 to 4, of signed Pareto matrices: 24 of each, seed 3" in told
    assert f'estimate_mu(s, table="{out}")'.replace(" ", "") in told.replace(" ", "")
    same(mu_table.load(out), mu_table.load(tables / "mu.npz"))


def test_a_table_of_one_shape_tells_mu_there(true_measures, tmp_path):
    out = tmp_path / "mu.npz"
    done("mu", "--out", out, "--shapes", "60x40", "--trials", 50, "--mu", "0.5,1,2,4", "--entries", "signed Pareto")
    s = rmt.spectrum(rmt.Pareto(1.0).sample(jax.random.key(1), (60, 40)))
    low, high = estimate_mu(s, table=str(out)).interval
    assert 0.6 < low < 1 < high < 1.6
    with pytest.raises(InputError, match=r"N = 60 to 60 .* rmt calibrate mu --shapes 60x39 --out FILE"):
        mu_table.load(out).family("signed Pareto", 60, 39)


def test_a_table_of_noise_is_that_of_the_library_and_tells_of_its_own_shapes(tables, tmp_path):
    out = tmp_path / "noise.npz"
    told = done("noise", "--out", out, "--shapes", "30x25,25x25", "--trials", 40, "--seed", 3)
    assert "between them: nothing of alpha, ks, n_tail, hill matrices: 40 of each" in told
    table = noise_table.load(out)
    same(table, noise_table.load(tables / "noise.npz"))
    assert table.N.tolist() == [25, 30]
    alpha = table.quantiles[0, 1, noise_table.LEVELS.index(0.05)]
    assert noise_threshold(30, 25, table=out) == pytest.approx(alpha)
    with pytest.raises(
        InputError, match=r"tells alpha of 25 x 25, 30 x 25 alone; got 30 x 26\. To make another: rmt cali"
    ):
        noise_threshold(30, 26, table=str(out))


def test_stopped_it_goes_on_and_more_shapes_leave_the_others(tables, tmp_path, monkeypatch, counted):
    out = tmp_path / "mu.npz"
    command = ("mu", "--out", out, "--seed", 3, "--jobs", 1, *MU)
    with monkeypatch.context() as context:
        compute = Program.run

        def stopped(self, keys, point, *rest):
            if len(counted) == 6:
                raise KeyboardInterrupt
            return compute(self, keys, point, *rest)

        context.setattr(Program, "run", stopped)
        result = invoke(*command, "--shapes", "30x30,30x15")
    assert result.exit_code == 130
    assert "run the same command to continue" in result.stderr
    assert not out.exists()
    assert len(counted) == 6
    done(*command, "--shapes", "30x30,30x15")
    assert len(set(counted)) == 8
    assert {cell[3] for cell in counted[6:]} == {
        15
    }  # the first shape was there; so was of the other what had been kept
    counted.clear()
    done(*command, "--shapes", "30x30,30x15")
    assert not counted
    same(mu_table.load(out), mu_table.load(tables / "mu.npz"))
    done(*command, "--shapes", "60x60,60x30,30x30,30x15")
    assert {cell[2] for cell in counted} == {60}
    larger, table = mu_table.load(out), mu_table.load(tables / "mu.npz")
    np.testing.assert_array_equal(larger.quantiles[:, :1], table.quantiles)
    assert larger.M.tolist() == [[30, 15], [60, 30]]
    larger.family("signed Pareto", 45, 30)


@pytest.mark.parametrize("kind", ["mu", "noise"])
def test_a_table_agrees_with_its_matrices_until_a_number_is_another(kind, tables, tmp_path):
    file = tables / f"{kind}.npz"
    told = done(kind, "--check", "--table", file, "--cells", 5, "--check-seed", 1)
    assert told.startswith("2 of 2 cells, chosen by --check-seed 1")
    assert told.count("agrees; largest deviation") == 2
    module, simulation = {"mu": (mu_table, mu_simulation), "noise": (noise_table, noise_simulation)}[kind]
    table = module.load(file)
    at = ("signed Pareto",) if kind == "mu" else ()
    N, M = (30, 15) if kind == "mu" else (30, 25)
    for field in ("mean", "cov", "quantiles", "misfit") if kind == "mu" else ("quantiles",):
        getattr(table, field)[..., -1] *= 1.001
    off = simulation.deviations(table, *at, N, M)
    assert all(value > TOLERANCE for value in off.values())
    table = module.load(file)
    table.quantiles.flat[-1] *= 1.001
    module.save(table, tmp_path / "other.npz")
    result = invoke(kind, "--check", "--table", tmp_path / "other.npz")
    assert result.exit_code == 1
    assert result.stdout.count(": agrees") == 1
    assert result.stdout.count("DISAGREES") == 1
    assert result.stderr.startswith("the table disagrees with its matrices drawn again by more than 0.0001: ")


def test_the_shipped_tables_agree_with_their_matrices(true_measures):
    off = noise_simulation.deviations(noise_table.shipped(), 100, 25)
    assert max(off.values()) < TOLERANCE
    table = mu_table.shipped()
    N, M, some = int(table.N[0]), int(table.M[0, -1]), table.mu[[1, 9, -1]]
    how = {"seed": table.seed, "progress": False}
    data = mu_simulation.simulate({(N, M): int(table.n_trials[0])}, mu=some.tolist(), entries=["signed Pareto"], **how)[
        N, M
    ]
    x = data.summary.values[0, :, 0, 0]
    at = table.entries.index("signed Pareto"), 0, -1, [1, 9, -1]
    std = x.std(axis=1)
    assert np.abs((table.mean[at] - x.mean(axis=1)) / std).max() < TOLERANCE
    cov = np.stack([np.cov(each, rowvar=False) for each in x])
    assert np.abs((table.cov[at] - cov) / (std[:, :, None] * std[:, None])).max() < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mu", "noise"])
def test_a_cell_of_the_shipped_table_agrees(kind, true_measures):
    assert "1 of " in done(kind, "--check", "--cells", 1)


def test_what_cannot_be_is_one_line(tables, tmp_path):
    def error(*arguments):
        result = invoke(*arguments)
        assert result.exit_code == 2, result.output
        assert result.stderr.startswith("error: ")
        assert len(result.stderr.splitlines()) == 1
        return result.stderr

    out = ("--out", tmp_path / "t.npz")
    for kind in ("mu", "noise"):
        assert "give --out FILE to make a table, or --check" in error(kind, "--jobs", 1)
        assert "give --out FILE to make a table, or --check" in error(kind, "--check", *out)
        assert "--trials goes with --out" in error(kind, "--check", "--trials", 30)
        assert "--cells goes with --check" in error(kind, "--cells", 2, *out)
        assert "--shapes are N x M as 200x100,200x50; got '30'" in error(kind, "--shapes", "30x20,30", *out)
        assert "--shapes need N >= M, got 20x30" in error(kind, "--shapes", "20x30", *out)
        assert "--shapes need M >= 1" in error(kind, "--shapes", "20x8", *out)
        assert "--trials must be at least" in error(kind, "--trials", 1, *out)
        assert "is a folder" in error(kind, "--out", tmp_path)
        (tmp_path / "notes.txt").write_text("mine")
        assert "not heavytail-lab table of" in error(kind, "--out", tmp_path / "notes.txt")
        assert "Not a directory" in error(kind, "--out", tmp_path / "notes.txt" / "t.npz")
        assert "none.npz: no such file" in error(kind, "--check", "--table", tmp_path / "none.npz")
        other = tables / {"mu": "noise.npz", "noise": "mu.npz"}[kind]
        assert "but heavytail-lab table of" in error(kind, "--check", "--table", other)
    assert "as many M for every N, at the same Q = N/M; got 1 at N = 30, 2 at N = 60" in error(
        "mu", "--shapes", "30x30,60x60,60x30", *out
    )
    assert "the same Q = N/M for every N, within 5%; got 30 x 30, 60 x 30" in error(
        "mu", "--shapes", "30x30,60x30", *out
    )
    for wrong in ("1", "1,x", "0,1", "1,inf"):
        assert "--mu needs two or more positive numbers" in error("mu", "--mu", wrong, *out)
    assert "--entries are signed Pareto, Student t, centred Lomax; got 'Cauchy'" in error(
        "mu", "--entries", "Cauchy", *out
    )
    table = dataclasses.replace(mu_table.load(tables / "mu.npz"), entries=("Cauchy",))
    mu_table.save(table, tmp_path / "foreign.npz")
    assert "which cannot be drawn again" in error("mu", "--check", "--table", tmp_path / "foreign.npz")
    save_arrays(tmp_path / "z.npz", mu_table.KIND, {"N": np.arange(3)})
    assert "damaged: it has no entries" in error("mu", "--check", "--table", tmp_path / "z.npz")
    assert not (tmp_path / "t.npz").exists()


def test_another_seed_in_the_same_folder_is_refused_until_restart(tmp_path):
    command = ("noise", "--out", tmp_path / "noise.npz", "--shapes", "25x25", "--trials", 4)
    done(*command)
    assert noise_table.load(tmp_path / "noise.npz").seed == noise_table.shipped().seed
    assert "--restart" in invoke(*command, "--seed", 1).stderr
    done(*command, "--seed", 1, "--restart")
    assert noise_table.load(tmp_path / "noise.npz").seed == 1
