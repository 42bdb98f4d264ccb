"""Claim 26: alpha falls with quality where hyperparameters vary, norms rise, and pooling depths turns both round."""

import os
from dataclasses import replace

import jax
import numpy as np

import realnets
import rmt
from realnets.families import FAMILIES, initial
from realnets.images import idx_images, made_images
from realnets.trained import FINAL, INITIAL, SHUFFLED, WEIGHTS, Models, outputs_of, size_of
from realnets.training import train
from rmt import plots
from rmt.association import average_interval, average_tau_gain, pooled_interval

FALLS, RISES, FLAT, BETTER, TURNED = (-1.0, -0.1), (0.1, 1.0), (-0.3, 0.3), (0.0, 2.0), (-np.inf, 0.0)
JOINT = 24  # intervals, one family: two slopes of each reversal
N_TEST, MOST_EPOCHS, RATE = 4096, 90, 0.01
ROWS, SIZE = 55, max(size_of("VGG", 9, 96), size_of("NIN", 13, 96))  # matrices and numbers of the largest network
FOLDER = "FASHION_MNIST"  # the environment variable that names the folder of its four IDX files
FASHION = os.environ.get(FOLDER, "")


def measure(key, *, data, family, depth, width, n_images, batch_size, dropout, weight_decay, rate, epochs):
    weight_key, train_key, shuffle_key = jax.random.split(key, 3)
    made = data != "Fashion-MNIST"  # one set of images for all networks
    images = made_images(jax.random.key(0), n_images, N_TEST) if made else idx_images(FASHION, n_images, N_TEST)
    start = initial(weight_key, family, depth, width)
    settings = {"epochs": epochs, "rate": rate, "dropout": dropout, "weight_decay": weight_decay}
    network, losses = train(
        train_key, start, images.x, images.y, batch_size=batch_size, most_epochs=MOST_EPOCHS, **settings
    )
    return outputs_of(shuffle_key, network, start, losses, images, RATE, ROWS, SIZE)


def tau(models, x):
    """Kendall's tau of x with the test accuracy within depths, its mean over them."""
    return counted(average_interval("tau", x, models.quality, models.depth, comparisons=JOINT), models)


def counted(found, models):
    return replace(found, n=len(models.quality))


def trend(families, statement, claimed, metric):
    """How a metric orders the models of one depth, in that family where it is farthest from the claim."""
    found = {family: tau(models, metric(models)) for family, models in families.items()}
    sentence = "; ".join(f"{family}: mean tau {of.value:+.2f}, {of.n} models" for family, of in found.items())
    return rmt.Verdict.of_all(statement, found, claimed, f"{sentence}.")


def gain(families, statement, metric, other):
    """How much better one metric orders them than another."""
    found, words = {}, []
    for family, m in families.items():
        x, z = metric(m), other(m)
        found[family] = counted(average_tau_gain(x, z, m.quality, m.depth, comparisons=JOINT), m)
        words.append(f"{family}: mean tau {tau(m, x).value:+.2f} and {tau(m, z).value:+.2f}")
    return rmt.Verdict.of_all(statement, found, BETTER, "; ".join(words) + ".")


def reversal(models, statement, name):
    """The pooled slope in the sense of that within depths, negative if pooling turns it round; in either where that has no sign."""
    found = realnets.simpson(models.mean(name), models.quality, models.depth, level=0.05 / JOINT)
    sign, (low, high) = 1 if found.within.value > 0 else -1, found.within.interval
    signs = (-1, 1) if low <= 0 <= high else (sign,)
    ends = [s * end for s in signs for end in found.pooled.interval]
    sentence = (
        f"Slopes of test accuracy in % within depths {found.within.value:+.2f} [{low:+.2f}, {high:+.2f}], pooled "
        f"{found.pooled.value:+.2f}; eta^2 {found.eta2:.2f}; {found.verdict}, p = {found.p:.2g}."
    )
    found = replace(found.pooled, value=sign * found.pooled.value, low=min(ends), high=max(ends))
    return rmt.Verdict.of(statement, found, TURNED, sentence)


def repaired(families, statement):
    found = {}
    for family, m in families.items():
        found[family, "within depths"] = tau(m, m.mean("AlphaHat"))
        found[family, "pooled"] = pooled_interval("tau", m.mean("AlphaHat"), m.quality, m.depth, comparisons=JOINT)
    sentence = ", ".join(f"{family} {where} {of.value:+.2f}" for (family, where), of in found.items())
    return rmt.Verdict.of_all(statement, found, FALLS, f"Kendall's tau: {sentence}.")


def mean(name, kind=FINAL):
    return lambda models: models.mean(name, kind)


def kept(name):
    return lambda models: models.rows[name].values


def excess(models):
    return models.mean("Alpha") - models.mean("Alpha", SHUFFLED)


def check(ds):
    both = {family: Models(ds, family) for family in FAMILIES}
    nin, smoothing = both["NIN"], kept("SVDSmoothing20")
    return [
        trend(both, "Alpha falls with test accuracy among models of one depth", FALLS, mean("Alpha")),
        trend(both, "LogSpectralNorm rises with it", RISES, mean("LogSpectralNorm")),
        reversal(nin, "Pooling the depths of the NIN turns the trend of Alpha round", "Alpha"),
        reversal(nin, "Pooling the depths of the NIN turns the trend of LogSpectralNorm round", "LogSpectralNorm"),
        repaired(both, "AlphaHat falls with test accuracy, within depths and pooled"),
        gain(
            both,
            "SVDSmoothing orders models of one depth better than training accuracy",
            smoothing,
            kept("train_accuracy"),
        ),
        gain(both, "SVDSmoothing orders them better than Sharpness", smoothing, kept("Sharpness")),
        trend(both, "Alpha falls against that of shuffled weights: it is the order of the weights", FALLS, excess),
        trend(both, "Control: Alpha of the initial weights", FLAT, mean("Alpha", INITIAL)),
        trend(both, "Control: Alpha of the shuffled weights", FLAT, mean("Alpha", SHUFFLED)),
        trend(both, "Control: LogSpectralNorm of the initial weights", FLAT, mean("LogSpectralNorm", INITIAL)),
    ]


def figure(ds):
    names = ("Alpha", "LogSpectralNorm", "AlphaHat")
    fig, panels = plots.figure(2, 3, titles=[f"{family}: {name}" for family in FAMILIES for name in names])
    for row, family in zip(panels, FAMILIES, strict=True):
        models = Models(ds, family)
        for ax, name in zip(row, names, strict=True):
            for i, depth in enumerate(np.unique(models.depth)):
                here = models.depth == depth
                plots.scatter(ax, models.mean(name)[here], 100 - models.quality[here], f"depth {depth}", i)
            plots.log_ticks(plots.log_axes(ax, "y"), "y").set(xlabel=name, ylabel="test error, %")
            ax.invert_yaxis()  # better is higher, as it is of accuracy
        plots.legend(row[0])
    return fig


def grid(*values):
    return dict(zip(("depth", "width", "batch_size", "dropout", "weight_decay"), values, strict=True))


def sizes(n_images, epochs, few_and_many, **families):
    """For each family a grid of the usual training, and one of bad training: too slow, too fast, too short, too long."""
    data = {"data": ("Fashion-MNIST" if FASHION else "made images",), "n_images": (n_images,)}
    usual, bad = {"rate": (RATE,), "epochs": (epochs,)}, {"rate": (0.0003, RATE, 0.03), "epochs": few_and_many}
    first, *others = (
        rmt.Size({**data, "family": (family,), **axes, **training}, 1)
        for family, usually in families.items()
        for axes, training in ((usually, usual), ({n: v if n == "depth" else v[:1] for n, v in usually.items()}, bad))
    )
    return replace(first, also=others, block=1)


SIZES = {
    "smoke": sizes(
        *(256, 2.0, (1.0, 4.0)),
        VGG=grid((5, 4), (52,), (32,), (0.0, 0.5), (0.0, 0.002)),
        NIN=grid((7,), (52,), (32,), (0.0, 0.25), (0.0, 0.002)),
    ),
    "default": sizes(
        *(2048, 12.0, (3.0, 36.0)),
        VGG=grid((8, 6, 4), (64,), (32, 128), (0.0, 0.5), (0.0, 0.002)),
        NIN=grid((10, 7), (64,), (32, 128), (0.0, 0.25), (0.0, 0.002)),
    ),
    "paper": sizes(
        *(4096, 30.0, (3.0, 90.0)),
        VGG=grid((9, 8, 7, 6, 5, 4), (64, 96), (32, 128), (0.0, 0.5), (0.0, 0.002)),
        NIN=grid((13, 10, 7), (96,), (32, 64, 128), (0.0, 0.25), (0.0, 0.0005, 0.002)),
    ),
}
claim = rmt.Claim(
    name="contest",
    title="Hyperparameters, depths, and Simpson's paradox",
    quote="Paraphrased: among models of one depth alpha falls and the spectral norm grows with quality; for network-in-network models "
    "both trends turn round when depths are pooled, and alpha-hat repairs both. SVD smoothing predicts quality better than training "
    "accuracy does.",
    source="Martin & Mahoney, arXiv:2106.00734. Here: VGG-like and network-in-network families of our own, SGD by optax",
    criterion="Quality is test accuracy; tau is Kendall's within depths, averaged over them; intervals hold together with 95 %; the "
    "family farther from the claim counts. Alpha, AlphaHat, and Alpha less that of shuffled weights: supported below -0.1. "
    "LogSpectralNorm: above 0.1. Pooling: supported if the pooled slope has the other sign than the slope within depths, both beyond "
    "zero. AlphaHat: pooled, too, below -0.1. SVDSmoothing (20 %): above the tau of the other predictor. Controls: within 0.3 of zero.",
    sizes=SIZES,
    measure=measure,
    check=check,
    figure=figure,
    caption="Test error, smaller upwards, against Alpha, LogSpectralNorm and AlphaHat, means over the layers with alpha < 8; a dot is "
    "a model, a colour a depth. Within a depth batch size, dropout, weight decay and, of the VGG, width vary; some models are trained "
    "too slowly, too fast, too short or too long on purpose. First layers, of one channel, and last ones, of ten classes, have no "
    "spectrum to fit.",
    stored=(WEIGHTS,),
    folders=(FOLDER,),
)
