"""The class of a spectrum: what is plain is found, what is not is undecided, and probabilities are as often right as they say."""

import jax
import numpy as np
import pytest

import rmt
from rmt.calibration import class_simulation
from rmt.calibration import classes as table_of
from rmt.calibration.classes import CLASSES, UNDECIDED, ClassEstimate, classify
from rmt.errors import InputError

N, M = 180, 120  # no shape of the table


def spectrum_of(ensemble, seed: int, shape=(N, M)) -> rmt.Spectrum:
    return rmt.spectrum(ensemble.sample(jax.random.key(seed), shape))


PLAIN = {
    "MP": rmt.IID(rmt.Gaussian(0.1)),
    "spiked": rmt.Spiked(rmt.IID(rmt.Gaussian()), [2.5, 1.8, 1.5]),
    "MHT": rmt.IID(rmt.StudentT(2.2)),
    "VHT": rmt.IID(rmt.Pareto(1.0)),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_cases_have_the_greatest_probability(name):
    found = [classify(spectrum_of(PLAIN[name], seed)) for seed in range(5)]
    best = [max(each.probabilities, key=lambda c: each.probabilities[c]) for each in found]
    assert best.count(name) >= 4
    assert all(each.unlike <= 1 for each in found)
    assert all(sum(each.probabilities.values()) == pytest.approx(1) for each in found)


def test_a_scale_does_not_matter():
    s = spectrum_of(PLAIN["spiked"], 3)
    scaled = rmt.Spectrum(1e-6 * s.eigenvalues, s.N)
    assert classify(s).probabilities == pytest.approx(classify(scaled).probabilities, abs=1e-6)


def test_a_light_tail_and_a_weak_one_are_not_told_apart_with_certainty():
    """mu = 5 against Gaussian entries at M = 120: nobody can, so that P must not say otherwise."""
    found = [classify(spectrum_of(rmt.IID(rmt.StudentT(5.0)), seed)) for seed in range(12)]
    assert np.mean([each.probabilities["MP"] + each.probabilities["WHT"] for each in found]) > 0.6
    assert sum(each.name in ("spiked", "VHT") for each in found) == 0


def orthogonal(rng: np.random.Generator) -> np.ndarray:
    """Orthonormal columns and some noise: a narrow bulk."""
    return np.linalg.qr(rng.normal(size=(N, M)))[0] + 0.3 * rng.normal(size=(N, M)) / np.sqrt(N)


def thin(rng: np.random.Generator) -> np.ndarray:
    """A product of thin matrices and a little noise: a third of a spectrum, then almost nothing."""
    return rng.normal(size=(N, 40)) @ rng.normal(size=(40, M)) + 1e-3 * rng.normal(size=(N, M))


@pytest.mark.parametrize("make", [orthogonal, thin])
def test_a_matrix_of_no_class_is_said_to_be_unlike_all(make):
    found = classify(rmt.spectrum(make(np.random.default_rng(0))))
    assert found.unlike > 1.5
    assert found.name == UNDECIDED


def test_undecided_is_below_four_fifths():
    p = dict.fromkeys(CLASSES, 0.0)
    assert ClassEstimate(p | {"MP": 0.79, "WHT": 0.21}, 0.5).name == UNDECIDED
    assert ClassEstimate(p | {"MP": 0.81, "WHT": 0.19}, 0.5).name == "MP"
    assert ClassEstimate(p | {"MP": 0.81, "WHT": 0.19}, 1.1).name == UNDECIDED
    assert ClassEstimate(p | {"MP": 0.3, "WHT": 0.5, "MHT": 0.2}, 0.5).likely == ("WHT", "MP")
    assert ClassEstimate(p | {"MP": 0.3, "WHT": 0.5, "MHT": 0.2}, 1.5).likely == ()


@pytest.mark.slow
def test_probabilities_are_right_as_often_as_they_say():
    """One shape, 36 matrices of each law; tests/benchmarks/classes.json has 1,000 of six shapes."""
    ds = class_simulation.simulate({(100, 70): 36}, seed=7, progress=False)[100, 70]
    label = ds.label.values.ravel()
    p = table_of.shipped().probabilities(ds.features.values.reshape(len(label), -1))
    share = np.bincount(label, minlength=5)[label]  # every class alike, as in the table
    weight = 1 / share / 5
    right = p[np.arange(len(label)), label]
    for c in range(len(CLASSES)):
        # the mean probability of a class is its share among the classes, if probabilities are calibrated
        sd = np.sqrt(np.sum(weight**2 * p[:, c] * (1 - p[:, c])))
        assert abs(weight @ p[:, c] - 0.2) < 4 * sd + 0.01
    assert weight @ np.log(right) > np.log(0.2) / 2  # and they know something


@pytest.mark.parametrize(
    ("shape", "what"), [((30, 30), "30 x 30"), ((4000, 100), "4000 x 100"), ((900, 800), "900 x 800")]
)
def test_shapes_beyond_the_table_are_refused(shape, what):
    with pytest.raises(InputError, match=f"got {what}"):
        classify(rmt.Spectrum(np.linspace(0.1, 2, shape[1]), shape[0]))


def test_a_collapsed_rank_is_not_classified():
    W = np.asarray(spectrum_of(PLAIN["MP"], 0).eigenvalues) * 0
    with pytest.raises(InputError, match="120 of 120 eigenvalues are zero"):
        classify(rmt.Spectrum(W, N))
    with pytest.raises(ValueError, match="one matrix"):
        classify(rmt.Spectrum(np.ones((2, M)), N))


@pytest.fixture(scope="module")
def small():
    """Of one shape, where it holds alone."""
    return class_simulation.build(class_simulation.simulate({(36, 20): 30}, seed=3, progress=False), 3)


def test_a_table_of_ones_own_is_written_and_read(small, tmp_path):
    table_of.save(small, tmp_path / "classes.npz")
    s = spectrum_of(PLAIN["VHT"], 1, (36, 20))
    here, there = classify(s, small), classify(s, tmp_path / "classes.npz")
    assert here.probabilities == pytest.approx(there.probabilities, abs=1e-4)
    assert max(here.probabilities, key=lambda c: here.probabilities[c]) == "VHT"
    with pytest.raises(InputError, match="got 38 x 20"):
        classify(rmt.Spectrum(s.eigenvalues, 38), small)


@pytest.mark.slow
def test_a_table_agrees_with_its_matrices_drawn_again(small):
    assert class_simulation.deviations(small, 36, 20)["spectra"] < 1e-5


def test_wrong_tables_are_named(small, tmp_path):
    bad = tmp_path / "bad.npz"
    with pytest.raises(InputError, match="no such file"):
        table_of.load(bad)
    bad.write_bytes(b"junk")
    with pytest.raises(InputError, match=r"bad\.npz: not heavytail-lab table of classes"):
        table_of.load(bad)
    table_of.save(small, bad)
    arrays = dict(np.load(bad))
    np.savez(bad, **(arrays | {"weights": arrays["weights"][:-1]}))
    with pytest.raises(InputError, match="damaged: weights"):
        table_of.load(bad)
    np.savez(bad, **(arrays | {"far": np.nan}))
    with pytest.raises(InputError, match="damaged"):
        table_of.load(bad)
