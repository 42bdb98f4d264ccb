"""Claim 20: smaller batches drive a layer through the phases - alpha falls with the batch size, and nulls do not move."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax

import rmt
from realnets.images import CLASSES, SIDE, idx_images, made_images
from rmt import inference, phases, plots
from rmt.phases import Phase

RISES, FALLS, FLAT, MOST = (0.3, 1.0), (-1.0, -0.3), (-0.5, 0.5), (0.5, 1.0)
UNITS, CURVE, TRENDS = 256, 20, 5  # of the hidden layer; points of a loss curve; rank correlations judged, one family
SGD = optax.sgd(0.002, momentum=0.9)  # at a rate of 0.005 the loss of batch size 2 diverges
FOLDER = "FASHION_MNIST"  # the environment variable that names the folder of its four IDX files
FASHION = os.environ.get(FOLDER, "")
AXES = {"data": ("Fashion-MNIST" if FASHION else "made images",), "equal": ("epochs", "steps")}


def initial(key):
    """One hidden layer, Glorot's normal weights."""
    keys, shapes = jax.random.split(key), ((SIDE**2, UNITS), (UNITS, CLASSES))
    weights = [jax.random.normal(k, s, jnp.float32) * (2 / sum(s)) ** 0.5 for k, s in zip(keys, shapes, strict=True)]
    return [(W, jnp.zeros(W.shape[1], jnp.float32)) for W in weights]


def logits(network, x):
    (W, a), (V, b) = network
    return jax.nn.relu(x @ W + a[None, :]) @ V + b[None, :]


def train(key, network, x, y, batch_size, steps):
    """SGD with momentum; every epoch is a new order of all images. The network and its loss at each step."""
    epochs = -(-steps * batch_size // len(y))
    orders = jax.vmap(lambda k: jax.random.permutation(k, len(y)))(jax.random.split(key, epochs))
    batches = orders.ravel()[: steps * batch_size].reshape(steps, batch_size)

    def cross_entropy(network, batch):
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits(network, x[batch]), y[batch]))

    def step(state, batch):
        network, momentum = state
        loss, gradient = jax.value_and_grad(cross_entropy)(network, batch)
        updates, momentum = SGD.update(gradient, momentum)
        return (optax.apply_updates(network, updates), momentum), loss

    (network, _), losses = jax.lax.scan(step, (network, SGD.init(network)), batches)
    return network, losses


def measure(key, *, data, n_images, epochs, equal, batch_size):
    data_key, weight_key, order_key, shuffle_key = jax.random.split(key, 4)
    images = idx_images(FASHION, n_images) if data == "Fashion-MNIST" else made_images(data_key, n_images)
    steps = epochs * n_images // (batch_size if equal == "epochs" else 32)
    start = initial(weight_key)
    network, losses = train(order_key, start, images.x, images.y, batch_size, steps)
    W = jax.tree.leaves(network)[0]
    shuffled = rmt.ensembles.Shuffled(W).sample(shuffle_key, W.shape, W.dtype)
    spectra = jax.lax.map(rmt.spectrum, jnp.stack([W, start[0][0], shuffled]))
    evidence = jax.lax.map(phases.weigh, spectra)
    return {
        "alpha": evidence.alpha,
        "phase": evidence.phase,
        "eigenvalues": spectra.eigenvalues[0],
        "loss": jnp.stack([jnp.mean(share) for share in jnp.array_split(losses, CURVE)]),
        "accuracy": jnp.mean(jnp.argmax(logits(network, images.x_test), axis=1) == images.y_test),
    }


def part(ds, equal="epochs"):
    return ds.sel(equal=equal).isel(data=0, n_images=0, epochs=0).transpose("batch_size", "trial", ...)


def trend(ds, statement, claimed, name="alpha", matrix=0, equal="epochs"):
    """Kendall's rank correlation of a number with the batch size over all networks."""
    rows, batch = part(ds, equal), ds.batch_size.values
    values = np.where(rows.phase == Phase.UNDEFINED, np.nan, rows[name])[..., matrix]
    tau = inference.rank_correlation(batch.repeat(values.shape[1]), values, comparisons=TRENDS, method="kendall")
    medians = np.nanmedian(values, axis=1)
    sentence = (
        f"Kendall's tau of {name} and batch size is {tau.value:+.2f}; the median {name} is {medians[0]:.3g} at batch size "
        f"{batch[0]} and {medians[-1]:.3g} at {batch[-1]}.{inference.left_out(values)}"
    )
    return rmt.Verdict.of(statement, tau, claimed, sentence)


def leaves(ds):
    smallest = part(ds).isel(batch_size=0)
    found = smallest.phase.values[:, 0]
    moved = inference.proportion_interval(int((found > Phase.RANDOM_LIKE).sum()), found.size)
    names = ", ".join(f"{Phase(code).label} {np.sum(found == code)}" for code in np.unique(found))
    at, accuracy = int(smallest.batch_size), 100 * float(smallest.accuracy.mean())
    sentence = f"At batch size {at}: {names}, of {found.size}; test accuracy {accuracy:.0f} % on {ds.data.values[0]}."
    return rmt.Verdict.of("Most networks of the smallest batch size are no longer Random-like", moved, MOST, sentence)


def check(ds):
    return [
        trend(ds, "alpha falls as the batch size does, at an equal number of epochs", RISES),
        trend(ds, "The phase moves on as the batch size falls, at an equal number of epochs", FALLS, "phase"),
        leaves(ds),
        trend(ds, "alpha falls as the batch size does, at an equal number of steps", RISES, equal="steps"),
        trend(ds, "Control: the initial matrices show no trend", FLAT, matrix=1),
        trend(ds, "Control: the shuffled matrices show no trend", FLAT, matrix=2),
    ]


def figure(ds):
    batch, rows = ds.batch_size.values, part(ds)
    titles = (f"data: {ds.data.values[0]}", "training loss, equal epochs", *(f"batch size {b}" for b in batch[[0, -1]]))
    fig, [[alpha, loss], esds] = plots.figure(2, 2, titles=titles)
    names = ("trained, equal epochs", "initial", "trained, shuffled", "trained, equal steps")
    values = np.concatenate([rows.alpha, part(ds, "steps").alpha], axis=-1)
    for i, name in enumerate(names):
        plots.points(alpha, batch * 1.06 ** (i - 1), inference.median_interval(values[..., i]), name)
    plots.ticks_at(plots.log_axes(alpha), batch)
    plots.log_ticks(alpha, "y").set(xlabel="batch size", ylabel="fitted alpha, median")
    for i, mean in enumerate(rows.loss.mean("trial").values):
        plots.curve(loss, (np.arange(CURVE) + 0.5) / CURVE, mean, f"batch {batch[i]}", i)
    loss.set(xlabel="share of the training", ylabel="cross-entropy", yscale="log")
    for ax, i in zip(esds, (0, -1), strict=True):
        plots.log_ticks(plots.loglog_esd(ax, rows.eigenvalues.values[i]))
    plots.legend(alpha, loss)
    return fig


claim = rmt.Claim(
    name="batch-size",
    title="Smaller batches drive a layer through the phases",
    quote="Paraphrased: as the batch size falls, all else equal, a layer's spectrum moves through the phases from Random-like towards "
    "Heavy-tailed, and its alpha falls.",
    source="Martin & Mahoney, JMLR 22(165) 2021, on batch size; slides, 5+1 phases. Here: one hidden layer of 256 units, SGD by optax",
    criterion="Supported if Kendall's rank correlation of the fitted alpha with the batch size is above 0.3, at an equal number of "
    "epochs as published, and that of the phase below -0.3 (simultaneous 95 % intervals over networks). Phases: more than half of the "
    "networks of the smallest batch size are not Random-like. Controls: rank correlations within 0.5 of zero.",
    sizes={
        "smoke": rmt.Size({**AXES, "n_images": (512,), "epochs": (5,), "batch_size": (32, 128)}, 3),
        "default": rmt.Size({**AXES, "n_images": (2048,), "epochs": (10,), "batch_size": (2, 8, 32, 128, 512)}, 8),
        "paper": rmt.Size({**AXES, "n_images": (2048,), "epochs": (10,), "batch_size": (2, 8, 32, 128, 512)}, 100),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Median fitted alpha of the hidden layer's weights against batch size, with 95 % intervals, beside its initial and its "
    "shuffled weights and networks of an equal number of steps; training loss; eigenvalues pooled over networks. Equal epochs give "
    "small batches more steps; the equal-steps networks tell the two apart.",
    folders=(FOLDER,),
)
