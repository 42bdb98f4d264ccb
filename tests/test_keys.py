"""The key policy: draws belong to a point and a trial number, not to the grid around them."""

import itertools

import jax
import numpy as np
import pytest

from rmt.keys import canonical, point_key, trial_keys

GOLDEN_POINT = (279356378, 2467215159)
GOLDEN_TRIAL = (840950311, 2261471544)


def data(key):
    return tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())


def test_order_of_the_axes_does_not_matter():
    key = jax.random.key(0)
    assert data(point_key(key, {"N": 100, "mu": 1.5})) == data(point_key(key, {"mu": 1.5, "N": 100}))


def test_every_point_and_trial_of_a_grid_has_its_own_key():
    points = [{"N": N, "mu": mu, "law": law} for N, mu, law in itertools.product((100, 200), (0.5, 1.5), ("a", "b"))]
    keys = [data(k) for point in points for k in trial_keys(point_key(jax.random.key(0), point), 0, 20)]
    assert len(set(keys)) == len(points) * 20


def test_trial_keys_depend_on_the_number_alone():
    key = jax.random.key(3)
    whole = jax.random.key_data(trial_keys(key, 0, 30))
    parts = [jax.random.key_data(trial_keys(key, start, 10)) for start in (0, 10, 20)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize(
    ("python", "numpy"), [(3, np.int32(3)), (0.1, np.float64(0.1)), (True, np.bool_(True)), (0.5, np.float32(0.5))]
)
def test_numpy_scalars_are_spelled_as_python_ones(python, numpy):
    assert canonical(python) == canonical(numpy)


def test_kinds_are_told_apart():
    assert len({canonical(v) for v in (1, 1.0, True, "1")}) == 4


def test_floats_are_exact():
    assert canonical(0.3) != canonical(0.1 + 0.2)


def test_other_coordinates_are_refused():
    with pytest.raises(TypeError, match="must be a str, bool, int or float; got None"):
        canonical(None)


def test_the_policy_is_frozen():
    # A change of these numbers moves every published draw: the policy may not change without a major version.
    point = point_key(jax.random.key(0), {"N": 100, "law": "Pareto", "mu": 1.5})
    assert data(point) == GOLDEN_POINT
    assert data(trial_keys(point, 7, 1)) == GOLDEN_TRIAL
