"""Claim 20: smaller batches drive a layer through the phases - alpha falls with the batch size, and nulls do not move."""

import gzip
import os
import zlib
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import rmt
from rmt import inference, phases, plots
from rmt.phases import Phase

RISES, FLAT, MOST = (0.3, 1.0), (-0.5, 0.5), (0.5, 1.0)
TRENDS = 5  # rank correlations judged, one family
SIDE, CLASSES, UNITS = 28, 10, 256
RATE, MOMENTUM = 0.002, 0.9  # at 0.005 the loss of batch size 2 diverges
MATRICES = ("trained", "initial", "trained, shuffled")
CURVE = 20  # points of a loss curve
FASHION = os.environ.get("FASHION_MNIST")  # the folder of its four IDX files
DATA = "Fashion-MNIST" if FASHION else "made images"


def fashion(n, part):
    """The first n images, as rows of pixels, and their classes; "train" or "t10k"."""
    folder = Path(FASHION or "")
    try:
        raw = [
            gzip.decompress((folder / f"{part}-{name}-ubyte.gz").read_bytes())
            for name in ("images-idx3", "labels-idx1")
        ]
    except (OSError, EOFError, zlib.error) as error:
        raise rmt.InputError(f"FASHION_MNIST={FASHION}: {error}") from error
    images = np.frombuffer(raw[0], np.uint8, n * SIDE**2, offset=16)
    return images.reshape(n, -1) / 255.0, np.frombuffer(raw[1], np.uint8, n, offset=8).astype(int)


def made(key, n):
    """Images of ten classes: two smooth templates each, cosines of low frequency, shifted by up to 3 pixels, in noise."""
    keys = jax.random.split(key, 5)
    waves = jnp.cos(jnp.pi * (jnp.arange(SIDE)[:, None] + 0.5) * jnp.arange(6)[None, :] / SIDE)
    amplitudes = jax.random.normal(keys[0], (CLASSES, 2, 6, 6)) / 3
    templates = jnp.einsum("xi,ctij,yj->ctxy", waves, amplitudes, waves)
    label = jax.random.randint(keys[1], (n,), 0, CLASSES)
    image = templates[label, jax.random.randint(keys[2], (n,), 0, 2)]
    shift = jax.random.randint(keys[3], (n, 2), -3, 4)
    image = jax.vmap(lambda x, by: jnp.roll(x, by, (0, 1)))(image, shift)
    return (image + jax.random.normal(keys[4], image.shape)).reshape(n, -1), label


def images(key, data, n):
    """n images to train on and n/4 to test on, of mean 0 and variance 1 over all pixels."""
    if data == "Fashion-MNIST":
        parts = [fashion(n, "train"), fashion(n // 4, "t10k")]
        x, y = (jnp.concatenate([jnp.asarray(part[i]) for part in parts]) for i in (0, 1))
    else:
        x, y = made(key, n + n // 4)
    x = ((x - jnp.mean(x[:n])) / jnp.std(x[:n])).astype(jnp.float32)
    return (x[:n], y[:n]), (x[n:], y[n:])


def initial(key):
    """One hidden layer, Glorot's normal weights."""
    keys = jax.random.split(key)
    shapes = ((SIDE**2, UNITS), (UNITS, CLASSES))
    weights = [jax.random.normal(k, s, jnp.float32) * (2 / sum(s)) ** 0.5 for k, s in zip(keys, shapes, strict=True)]
    return [(W, jnp.zeros(W.shape[1], jnp.float32)) for W in weights]


def logits(network, x):
    (W, a), (V, b) = network
    return jax.nn.relu(x @ W + a[None, :]) @ V + b[None, :]


def cross_entropy(network, x, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits(network, x)), y[:, None], axis=1))


def train(key, network, x, y, batch_size, steps):
    """SGD with momentum; every epoch is a new order of all images. The network and its loss at each step."""
    epochs = -(-steps * batch_size // len(y))
    orders = jax.vmap(lambda k: jax.random.permutation(k, len(y)))(jax.random.split(key, epochs))
    batches = orders.ravel()[: steps * batch_size].reshape(steps, batch_size)

    def step(state, batch):
        network, velocity = state
        loss, gradient = jax.value_and_grad(cross_entropy)(network, x[batch], y[batch])
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v - RATE * g, velocity, gradient)
        return (jax.tree.map(jnp.add, network, velocity), velocity), loss

    (network, _), losses = jax.lax.scan(step, (network, jax.tree.map(jnp.zeros_like, network)), batches)
    return network, losses


def measure(key, *, data, n_images, epochs, equal, batch_size):
    data_key, weight_key, order_key, shuffle_key = jax.random.split(key, 4)
    (x, y), (x_test, y_test) = images(data_key, data, n_images)
    steps = epochs * n_images // (batch_size if equal == "epochs" else 32)
    start = initial(weight_key)
    network, losses = train(order_key, start, x, y, batch_size, steps)
    W = network[0][0]
    shuffled = rmt.ensembles.Shuffled(W).sample(shuffle_key, W.shape, W.dtype)

    def judged(W):
        s = rmt.spectrum(W)
        e = phases.weigh(s)
        return e.alpha, e.phase, s.eigenvalues

    alpha, phase, eigenvalues = jax.lax.map(judged, jnp.stack([W, start[0][0], shuffled]))
    at = np.linspace(0, steps, CURVE + 1).astype(int)
    return {
        "alpha": alpha,
        "phase": phase,
        "eigenvalues": eigenvalues[0],
        "loss": jnp.stack([jnp.mean(losses[low:high]) for low, high in pairwise(at)]),
        "accuracy": jnp.mean(jnp.argmax(logits(network, x_test), axis=1) == y_test),
    }


def part(ds, equal="epochs"):
    return ds.sel(equal=equal).isel(data=0, n_images=0, epochs=0).transpose("batch_size", "trial", ...)


def trend(ds, statement, claimed, name="alpha", matrix=0, equal="epochs"):
    """Kendall's rank correlation of a number with the batch size over all networks."""
    values = part(ds, equal)[name].values[..., matrix].astype(float)
    values[part(ds, equal).phase.values[..., matrix] == Phase.UNDEFINED] = np.nan
    batch = np.repeat(ds.batch_size.values, values.shape[1])
    tau = inference.bootstrap_interval(
        lambda b, v: float(np.asarray(stats.kendalltau(b, v))[0]),
        batch,
        values.ravel(),
        comparisons=TRENDS,
        paired=True,
    )
    medians = np.nanmedian(values, axis=1)
    failed = int(np.isnan(values).sum())
    sentence = (
        f"Kendall's tau of {name} and batch size is {tau.value:+.2f}; the median {name} is {medians[0]:.3g} at batch size "
        f"{batch[0]} and {medians[-1]:.3g} at {batch[-1]}"
    )
    sentence += f"; {failed} of {values.size} networks have none." if failed else "."
    return rmt.Verdict.of(statement, tau, claimed, sentence)


def leaves(ds):
    smallest = part(ds).isel(batch_size=0)
    found = smallest.phase.values[:, 0]
    moved = inference.proportion_interval(int((found > Phase.RANDOM_LIKE).sum()), found.size)
    names = ", ".join(f"{Phase(code).label} {np.sum(found == code)}" for code in np.unique(found))
    accuracy = 100 * float(smallest.accuracy.mean())
    sentence = f"At batch size {int(smallest.batch_size)}: {names}, of {found.size}; test accuracy {accuracy:.0f} %, {data_used(ds)}."
    statement = "Most networks of the smallest batch size are no longer Random-like"
    return rmt.Verdict.of(statement, moved, MOST, sentence)


def data_used(ds):
    return f"data: {ds.data.values[0]}"


def check(ds):
    down = (-RISES[1], -RISES[0])
    return [
        trend(ds, "alpha falls as the batch size does, at an equal number of epochs", RISES),
        trend(ds, "The phase moves on as the batch size falls, at an equal number of epochs", down, "phase"),
        leaves(ds),
        trend(ds, "alpha falls as the batch size does, at an equal number of steps", RISES, equal="steps"),
        trend(ds, "Control: the initial matrices show no trend", FLAT, matrix=1),
        trend(ds, "Control: the shuffled matrices show no trend", FLAT, matrix=2),
    ]


def figure(ds):
    batch = ds.batch_size.values
    titles = (f"{data_used(ds)}", "training loss, equal epochs", f"batch size {batch[0]}", f"batch size {batch[-1]}")
    fig, [[alpha, loss], esds] = plots.figure(2, 2, titles=titles)
    for i, name in enumerate(MATRICES):
        values = part(ds).alpha.values[..., i]
        plots.points(
            alpha,
            batch * 1.06 ** (i - 1),
            inference.median_interval(values),
            f"{name}, equal epochs" if not i else name,
        )
    plots.points(
        alpha, batch * 1.12, inference.median_interval(part(ds, "steps").alpha.values[..., 0]), "trained, equal steps"
    )
    plots.ticks_at(plots.log_axes(alpha), batch)
    alpha.set(xlabel="batch size", ylabel="fitted alpha, median")
    plots.log_ticks(alpha, "y")
    for i, b in enumerate(batch):
        plots.curve(
            loss, (np.arange(CURVE) + 0.5) / CURVE, part(ds).loss.sel(batch_size=b).mean("trial"), f"batch {b}", i
        )
    loss.set(xlabel="share of the training", ylabel="cross-entropy", yscale="log")
    for ax, i in zip(esds, (0, -1), strict=True):
        plots.log_ticks(plots.loglog_esd(ax, part(ds).eigenvalues.values[i]))
    for ax in (alpha, loss):
        plots.legend(ax)
    return fig


def _size(batch_sizes, n_images, epochs, n_trials):
    axes = {"data": (DATA,), "n_images": (n_images,), "epochs": (epochs,), "equal": ("epochs", "steps")}
    return rmt.Size({**axes, "batch_size": batch_sizes}, n_trials)


claim = rmt.Claim(
    name="batch-size",
    title="Smaller batches drive a layer through the phases",
    quote="Paraphrased: as the batch size falls, all else equal, a layer's spectrum moves through the phases from Random-like towards "
    "Heavy-tailed, and its alpha falls.",
    source="Martin & Mahoney, JMLR 22(165) 2021, on batch size; slides, 5+1 phases. Here: one hidden layer of 256 units, SGD",
    criterion="Supported if Kendall's rank correlation of the fitted alpha with the batch size is above 0.3, at an equal number of "
    "epochs as published, and that of the phase below -0.3 (simultaneous 95 % intervals over networks). Phases: more than half of the "
    "networks of the smallest batch size are not Random-like. Controls: rank correlations within 0.5 of zero.",
    sizes={
        "smoke": _size((8, 128), 512, 5, 3),
        "default": _size((2, 8, 32, 128, 512), 2048, 10, 8),
        "paper": _size((2, 8, 32, 128, 512), 2048, 10, 30),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Median fitted alpha of the hidden layer's weights against batch size, with 95 % intervals, beside "
    "its initial and its shuffled weights and networks of an equal number of steps; training loss; eigenvalues pooled over networks. "
    "Equal epochs give small batches more steps; the equal-steps networks tell the two apart. Fewer than 100 networks a point.",
)
