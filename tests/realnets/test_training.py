"""Small networks: their shapes, what training does to them, what data-dependent metrics are, and their way out of a store."""

import csv
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file
from typer.testing import CliRunner

import realnets
import rmt
from realnets import cli, transforms
from realnets.analysis import analyze
from realnets.diff import diff
from realnets.families import Affine, _convolved, _dropped, initial
from realnets.images import made_images
from realnets.live import arrays_of, matrices_of, with_matrices
from realnets.trained import (
    COLUMNS,
    LOSS,
    MEASURED,
    SHUFFLED,
    WEIGHTS,
    Models,
    flat,
    outputs_of,
    size_of,
    unflat,
    write_corpus,
)
from realnets.training import accuracy, cross_entropy, train

IMAGES = made_images(jax.random.key(0), 96, 40)


class Perceptron(eqx.Module):
    """One hidden layer: small enough to be written out in NumPy."""

    W: jax.Array
    a: jax.Array
    V: jax.Array

    def __call__(self, x, *dropout):
        return jax.nn.relu(x @ self.W.T + self.a[None, :]) @ self.V.T


def perceptron(inputs=9, hidden=7, classes=3):
    keys = jax.random.split(jax.random.key(1), 3)
    shapes = (hidden, inputs), (hidden,), (classes, hidden)
    return Perceptron(*(jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)))


@pytest.fixture(scope="module")
def nin():
    """Matrices of one shape, slices of 3 x 3 kernels among them: one program for all."""
    return initial(jax.random.key(2), "NIN", 7, 50)


@pytest.mark.parametrize(("family", "depths"), [("VGG", range(4, 10)), ("NIN", (7, 10, 13))])
def test_depth_counts_the_weight_layers(family, depths):
    for depth in depths:
        network = jax.eval_shape(lambda depth=depth: initial(jax.random.key(0), family, depth, 4))
        assert sum(leaf.ndim > 1 for leaf in jax.tree.leaves(network)) == depth
        assert jax.eval_shape(lambda network, x: network(x), network, IMAGES.x[:5]).shape == (5, 10)
    for depth in (3, 8 if family == "NIN" else 2):
        with pytest.raises(ValueError, match="families are VGG of depth 4 or more"):
            initial(jax.random.key(0), family, depth, 4)


def test_initial_weights_have_variance_2_over_inputs_and_biases_are_zero(nin):
    for leaf in jax.tree.leaves(nin):
        inputs, error = leaf[0].size, 4 / math.sqrt(2 * leaf.size)
        assert not leaf.any() if leaf.ndim == 1 else abs(float(jnp.std(leaf)) * math.sqrt(inputs / 2) - 1) < error


def test_convolutions_are_those_of_xla():
    rng, cases = np.random.default_rng(0), ((3, 1, 5), (3, 2, 4), (5, 2, 4), (1, 1, 3))
    for k, stride, size in cases:
        layer = Affine(rng.standard_normal((6, 4, k, k)), rng.standard_normal(6))
        x = rng.standard_normal((2, size, size, 4))
        padding = [(k // 2, k // 2 - (stride - 1) * (size % 2 == 0))] * 2
        theirs = jax.lax.conv(
            jnp.pad(x.transpose(0, 3, 1, 2), [(0, 0)] * 2 + padding), layer.weight, [stride] * 2, "VALID"
        )
        ours = _convolved(layer, x, stride).transpose(0, 3, 1, 2) - layer.bias[None, :, None, None]
        np.testing.assert_allclose(ours, theirs, atol=1e-10)


def test_dropout_is_of_a_share_of_the_units_and_keeps_their_mean(nin):
    x = jnp.ones((300, 200))
    dropped = _dropped(x, 0.25, jax.random.key(1))
    assert set(np.unique(dropped).tolist()) == {0.0, 1 / 0.75}
    assert float(jnp.mean(dropped == 0)) == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / x.size))
    logits = jax.jit(lambda rate: (nin(IMAGES.x[:4], rate, jax.random.key(2)), nin(IMAGES.x[:4])))
    np.testing.assert_allclose(*logits(0.0), rtol=1e-5)
    assert not np.allclose(*logits(0.5), rtol=0.1)


def test_training_is_deterministic_learns_and_stops_where_it_is_told():
    network, x = perceptron(), jax.random.normal(jax.random.key(6), (90, 9))
    y = jnp.argmax(x[:, :3], axis=1)

    @jax.jit
    def trained(key, epochs, decay):
        options = {"batch_size": 15, "rate": 0.05, "most_epochs": 45}
        return train(key, network, x, y, epochs=epochs, weight_decay=decay, **options)

    first, losses = trained(jax.random.key(4), 40.0, 0.0)
    again, _ = trained(jax.random.key(4), 40.0, 0.0)
    other, _ = trained(jax.random.key(5), 40.0, 0.0)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True))
    assert not np.allclose(first.W, other.W)
    assert losses[39] < losses[0] / 3
    assert not losses[40:].any()
    right = [np.mean(np.argmax(one(x), axis=1) == y) for one in (first, network)]
    assert right[0] > 0.9 > 0.6 > right[1]
    same, none = trained(jax.random.key(4), 0.0, 0.0)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(network), strict=True))
    assert not none.any()
    assert np.std(trained(jax.random.key(4), 40.0, 0.05)[0].W) < np.std(first.W)


def test_two_steps_are_momentum_sgd_with_decay_of_weights_alone():
    network, x, y = perceptron(), jax.random.normal(jax.random.key(6), (16, 9)), jnp.arange(16) % 3

    @jax.jit
    def twice(network):  # of one whole batch, in any order
        moments = jax.tree.map(jnp.zeros_like, network)
        for _ in range(2):
            gradient = jax.grad(cross_entropy)(network, x, y)
            moments = jax.tree.map(lambda m, g, W: 0.9 * m + g + 0.1 * W * (W.ndim > 1), moments, gradient, network)
            network = jax.tree.map(lambda W, m: W - 0.03 * m, network, moments)
        return network

    settings = {"batch_size": 16, "epochs": 2, "rate": 0.03, "weight_decay": 0.1, "most_epochs": 2}
    found, losses = jax.jit(lambda network: train(jax.random.key(5), network, x, y, **settings))(network)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(twice(network)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert losses[0] == pytest.approx(float(cross_entropy(network, x, y)), rel=1e-6)


def test_accuracy_of_chance_of_the_truth_and_of_a_network_that_diverged():
    model, x = perceptron(), jax.random.normal(jax.random.key(6), (600, 9))
    best, share = jnp.argmax(model(x), axis=1), jax.jit(accuracy)
    assert share(model, x, best) == 1
    assert share(model, x, (best + 1) % 3) == 0
    assert share(eqx.tree_at(lambda m: m.V, model, model.V * jnp.nan), x, jnp.zeros(600, int)) == 0


def test_matrices_of_a_model_are_those_of_its_file_also_when_traced(nin):
    layers, matrices = list(realnets.model_layers(nin)), jax.jit(matrices_of)(nin)
    assert [layer.name for layer in layers] == list(matrices_of(nin))
    assert len(layers) == 2 + 9 + 2  # the first convolution has one channel, the last ten
    for layer in layers:
        np.testing.assert_array_equal(matrices[layer.name], layer.W)
    doubled = with_matrices(nin, {name: 2 * W for name, W in matrices.items()})
    np.testing.assert_array_equal(doubled.blocks[1][0].weight, 2 * nin.blocks[1][0].weight)
    np.testing.assert_array_equal(doubled.blocks[0][0].weight, nin.blocks[0][0].weight)
    np.testing.assert_array_equal(doubled.classes.weight, nin.classes.weight)


def by_hand(W, kept):
    """The sum of the first singular components, one by one."""
    U, s, Vt = np.linalg.svd(np.asarray(W, float))
    return sum(s[i] * np.outer(U[:, i], Vt[i]) for i in range(kept))


def test_svd_smoothing_is_its_twin_by_hand_and_100_percent_changes_no_bit(nin):
    smoothing = jax.jit(transforms.svd_smoothed)
    smoothed, same = smoothing(nin, 21.0), smoothing(nin, 100.0)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(nin), strict=True))
    kernel, theirs = smoothed.blocks[1][0].weight, nin.blocks[1][0].weight
    for i, j in np.ndindex(3, 3):
        np.testing.assert_allclose(kernel[:, :, i, j], by_hand(theirs[:, :, i, j], 11), atol=1e-6)  # 10.5, rounded up
    one, its = smoothed.blocks[0][2].weight, nin.blocks[0][2].weight
    np.testing.assert_allclose(one[:, :, 0, 0], by_hand(its[:, :, 0, 0], 11), atol=1e-6)
    np.testing.assert_array_equal(smoothed.blocks[0][0].weight, nin.blocks[0][0].weight)
    np.testing.assert_array_equal(smoothed.classes.weight, nin.classes.weight)


def test_svd_smoothing_to_the_tail_keeps_what_the_fit_found():
    model = perceptron(55, 55, 55)
    model = eqx.tree_at(lambda m: m.a, model, jnp.eye(55))  # equal singular values: no fit
    smoothed, rows = transforms.svd_smoothed_to_tail(model), analyze(realnets.model_layers(model)).rows
    for name, row in zip(("W", "a", "V"), rows, strict=True):
        W = getattr(model, name)
        kept = int(np.sum(np.linalg.svd(W, compute_uv=False) ** 2 / 55 >= row["xmin"] * (1 - 1e-9)))
        assert row["fitted"] == (2 <= kept < 55) == (name != "a")
        np.testing.assert_allclose(getattr(smoothed, name), by_hand(W, kept or 55), atol=1e-10)
    x = jax.random.normal(jax.random.key(6), (90, 55))
    y = jnp.argmax(x @ by_hand(model.W, 6).T, axis=1)
    logits = np.asarray(x) @ by_hand(model.W, 6).T
    share = transforms.svd_smoothing(Linear(model.W), x, y, 10.0)
    assert share == np.mean(np.argmax(logits, axis=1) == y) == 1


class Linear(eqx.Module):
    """Logits W x."""

    W: jax.Array

    def __call__(self, x):
        return x @ self.W.T


def test_sharpness_is_its_twin_by_hand():
    model, x, y = perceptron(), np.asarray(jax.random.normal(jax.random.key(7), (40, 9))), np.arange(40) % 3
    W, a, V = (np.array(leaf) for leaf in (model.W, model.a, model.V))
    for _ in range(4):
        W, V = (np.minimum(np.maximum(M, M.mean() - 1.5 * M.std()), M.mean() + 1.5 * M.std()) for M in (W, V))
        h = x @ W.T + a
        logits = np.maximum(h, 0) @ V.T
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        error = (p - np.eye(3)[y]) / len(y)
        back = (error @ V) * (h > 0)
        W, a, V = W - 0.3 * back.T @ x, a - 0.3 * back.sum(axis=0), V - 0.3 * error.T @ np.maximum(h, 0)
    found = transforms.sharpened(model, jnp.asarray(x), jnp.asarray(y), rate=0.3, clip=1.5, times=4)
    for ours, theirs in zip((found.W, found.a, found.V), (W, a, V), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-10)
    share = transforms.sharpness(model, jnp.asarray(x), jnp.asarray(y), rate=0.3, clip=1.5, times=4)
    assert share == pytest.approx(np.mean(np.argmax(np.maximum(x @ W.T + a, 0) @ V.T, axis=1) == y))


def test_distance_from_init_is_that_of_realnets_diff(nin):
    other = initial(jax.random.key(8), "NIN", 7, 50)
    theirs = diff(realnets.model_layers(nin), realnets.model_layers(other)).distance_from_init["distance"]
    assert transforms.distance_from_init(other, nin) == pytest.approx(theirs.value, rel=1e-6)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A sweep with the outputs of one that trains two networks, its numbers made up."""

    def measure(key, *, family, depth, width, batch_size, dropout, weight_decay, rate, epochs):
        size = size_of(family, depth, width) + 5
        start = initial(key, family, depth, width)
        trained = jax.tree.map(lambda W: W + epochs, start)
        alpha = jnp.array([[2.0, 4.0, 9.0, jnp.nan, 0.0], [1.0, 1, 1, 1, 1], [3.0, 3, 3, 3, 0]]) + rate * epochs
        return {
            **{name: jnp.asarray(i + epochs) / 16 for i, name in enumerate(MEASURED)},
            "alpha": alpha * jnp.array([1.0, 1, 1, 1, 0])[None, :],
            "log_spectral_norm": jnp.arange(15.0).reshape(3, 5) * epochs,
            LOSS: jnp.array([3.0, 2.0, 1.0]) * (jnp.arange(3) < epochs),
            WEIGHTS: jnp.stack([flat(trained, size), flat(start, size)]),
        }

    axes = {"family": ["NIN"], "depth": [4], "width": [6], "batch_size": [32], "dropout": [0.0]}
    axes |= {"weight_decay": [0.0], "rate": [0.01], "epochs": [1.0, 2.0]}
    path = tmp_path_factory.mktemp("trained") / "a.zarr"
    return path, rmt.sweep(measure, axes, key=jax.random.key(11), n_trials=1, store=path, progress=False)


def test_a_store_of_trained_networks_becomes_files_and_a_table(store, tmp_path):
    path, ds = store
    table = write_corpus(path, tmp_path / "corpus")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["model"] for row in rows] == [f"NIN4-w6-b32-d0-l0-r0.01-e{e}-s0" for e in (1, 2)]
    for i, row in enumerate(rows):
        one = ds.isel(epochs=i).squeeze()
        assert (row["group"], row["batch_size"], float(row["epochs"])) == ("NIN 4", "32", i + 1)
        for name in MEASURED:
            assert float(row[name]) == float(one[name])
        files = [load_file(table.parent / row[column]) for column in ("file", "initial")]
        networks = [unflat(weights, "NIN", 4, 6) for weights in one[WEIGHTS].values]
        for arrays, network in zip(files, networks, strict=True):
            for name, array in arrays_of(network).items():
                np.testing.assert_array_equal(arrays.pop(name), array)
            assert not arrays
        np.testing.assert_allclose(networks[0].classes.weight, networks[1].classes.weight + i + 1, rtol=1e-5)
    losses = list(csv.DictReader((table.parent / "loss.csv").read_text().splitlines()))
    names = [row["model"] for row in rows]
    expected = [(names[0], "1", "3.0"), (names[1], "1", "3.0"), (names[1], "2", "2.0")]
    assert [(row["model"], row["epoch"], row["loss"]) for row in losses] == expected


def test_means_over_the_layers_with_a_power_law(store):
    models = Models(store[1], "NIN")
    assert models.depth.tolist() == [4, 4]
    assert models.quality.tolist() == [100 * 2 / 16, 100 * 3 / 16]
    np.testing.assert_allclose(models.mean("Alpha"), [3.01, 3.02])  # neither 9, nor NaN, nor what is no layer
    np.testing.assert_allclose(models.mean("LogSpectralNorm"), [0.5, 1])
    np.testing.assert_allclose(models.mean("AlphaHat"), [4.01 / 2, 4.02])
    np.testing.assert_allclose(models.mean("Alpha", SHUFFLED), [3.01, 3.02])


@pytest.mark.slow
def test_the_outputs_of_a_trained_network_are_those_of_its_files():
    start = initial(jax.random.key(1), "NIN", 4, 50)
    options = {"batch_size": 32, "epochs": 3.0, "rate": 0.01, "most_epochs": 3}
    size = size_of("NIN", 4, 50)

    @jax.jit
    def trained(key):
        network, losses = train(jax.random.fold_in(key, 0), start, IMAGES.x, IMAGES.y, **options)
        return network, outputs_of(jax.random.fold_in(key, 1), network, start, losses, IMAGES, 0.01, 5, size)

    network, found = trained(jax.random.key(2))
    for i, model in enumerate((network, start)):
        rows = analyze(realnets.model_layers(model)).rows
        for name in COLUMNS:
            np.testing.assert_allclose(found[name][i, :2], [row[name] for row in rows], rtol=1e-9)
            assert not found[name][:, 2:].any()
    np.testing.assert_allclose(found["log_norm"][SHUFFLED], found["log_norm"][0], rtol=1e-9)
    assert not np.allclose(found["log_spectral_norm"][SHUFFLED, :2], found["log_spectral_norm"][0, :2], rtol=1e-6)
    x, y = IMAGES.x, IMAGES.y
    assert found["train_accuracy"] == accuracy(network, x, y)
    assert found["test_accuracy"] == accuracy(network, IMAGES.x_test, IMAGES.y_test)
    assert found["Sharpness"] == transforms.sharpness(network, x, y, rate=0.01)
    for percent in (10, 20):
        assert found[f"SVDSmoothing{percent}"] == transforms.svd_smoothing(network, x, y, percent)
    assert found["SVDSmoothingTail"] == accuracy(transforms.svd_smoothed_to_tail(network), x, y)
    assert found["DistanceFromInit"] == pytest.approx(float(transforms.distance_from_init(network, start)), rel=1e-6)
    np.testing.assert_array_equal(unflat(found[WEIGHTS][0], "NIN", 4, 50).classes.weight, network.classes.weight)


def test_a_network_survives_its_row(nin):
    size = size_of("NIN", 7, 50)
    row = flat(nin, size + 7)
    assert np.isnan(row[size:]).all()
    assert np.isfinite(row[:size]).all()
    back = unflat(row, "NIN", 7, 50)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(back), jax.tree.leaves(nin), strict=True))
    with pytest.raises(ValueError, match="of depth 7 and width 50 has"):
        unflat(row[:50], "NIN", 7, 50)
    with pytest.raises(ValueError, match="no room for a network"):
        flat(nin, 10)


def test_export_says_what_is_wrong_with_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(cli, "keep_compiled_programs", lambda: None)
    rmt.sweep(
        lambda key, n: {"x": n},
        {"n": [1]},
        key=jax.random.key(0),
        n_trials=1,
        store=tmp_path / "b.zarr",
        progress=False,
    )
    for name, line in (("a.zarr", "no store of a sweep"), ("b.zarr", "not of a sweep that trains networks")):
        result = CliRunner().invoke(cli.app, ["export", str(tmp_path / name), str(tmp_path / "out")])
        assert result.exit_code == 2
        assert line in result.stderr.splitlines()[-1]
        assert not (tmp_path / "out").exists()
