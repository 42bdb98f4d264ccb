"""Claim 23: in trained networks the eigenvalues are heavy-tailed and the weights are not - layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import realnets
import rmt
from realnets import per_draw, per_layer
from realnets.analysis import measure as analysed
from rmt import inference, plots

NEARLY_ALL = (0.9, 1.0)
HEAVY_INDEX = 4.0  # entries with a smaller tail index make eigenvalues outside the bulk in any number
MARGIN = np.log(1.1)  # of lambda_max over that of the shuffled entries
SEARCHED = 1.5  # xmin was searched for, which the standard error given xmin leaves out
LARGEST = 2000  # weights whose tail is fitted: one shape for all layers
NAMES: tuple[str, ...] = (
    *("alpha", "lambda_max", "kurtosis", "mu", "mu_stderr", "n_tail"),
    *("R_exponential", "p_exponential", "R_log_normal", "p_log_normal"),
    *("shuffled_alpha", "shuffled_lambda_max", "gaussian_lambda_max"),
)


def measure(key, *, layer):
    """The layer itself, which is the same in every trial, and one draw of each of its nulls."""
    if layer == realnets.NO_NETWORK:
        return dict.fromkeys(NAMES, jnp.nan)
    W = realnets.cached_layer(layer).W
    with realnets.eagerly():
        fixed = of_layer(realnets.cached_layer(layer))
    shuffle, noise = jax.random.split(key)
    shuffled = rmt.spectrum(rmt.Shuffled(W).sample(shuffle, W.shape))
    gaussian = rmt.spectrum(W.mean() + rmt.Gaussian(W.std()).sample(noise, W.shape))
    drawn = rmt.fit_tail(shuffled).alpha, shuffled.lambda_max, gaussian.lambda_max
    return dict(zip(NAMES, (*fixed, *drawn), strict=True))


def of_layer(layer):
    """The numbers that do not depend on a draw, in the order of NAMES."""
    row, _ = analysed(layer)
    w = layer.W.ravel()
    tails = rmt.compare(jnp.asarray(np.sort(np.abs(w))[-LARGEST:]), (rmt.Exponential(), rmt.LogNormal()))
    law = tails.power_law
    index = float(law.alpha) - 1, SEARCHED * float(law.stderr), float(law.n_tail)
    ratios = float(tails.R[0]), float(tails.p_vuong[0]), float(tails.R[1]), float(tails.p_nested[1])
    return row["alpha"], row["lambda_max"], float(stats.kurtosis(w)), *index, *ratios


def tail_index(ds):
    """mu of the entries of each layer, simultaneously."""
    mu, half = per_layer(ds, "mu"), stats.norm.ppf(1 - 0.025 / ds.layer.size) * per_layer(ds, "mu_stderr")
    return inference.Estimate(mu, mu - half, mu + half, per_layer(ds, "n_tail"))


def above_null(observed, null):
    """ln(observed / one more replicate of its null), these being log-normal, simultaneously over the layers."""
    y, replicate = np.log(observed), inference.prediction_interval(np.log(null), comparisons=len(null))
    return inference.Estimate(y - replicate.value, y - replicate.high, y - replicate.low, replicate.n)


def share(statement, certain, ruled_out, sentence):
    """A statement on all these layers: from those where it is certain to those where it is not ruled out."""
    interval = (float(np.mean(certain)), 1 - float(np.mean(ruled_out)))
    count = f"Certain for {np.sum(certain)} of {certain.size} layers, ruled out for {np.sum(ruled_out)}. "
    return rmt.Verdict.judge(statement, interval[0], interval, NEARLY_ALL, certain.size, count + sentence)


def check(ds):
    statement = "The eigenvalues of trained layers are heavy-tailed, their weights are not"
    if ds.layer.values[0] == realnets.NO_NETWORK:
        return [rmt.Verdict.not_tested(statement, realnets.NOT_CACHED)]
    index, mu, kurtosis, alpha = tail_index(ds), *(per_layer(ds, name) for name in ("mu", "kurtosis", "alpha"))
    light, heavy = index.low > HEAVY_INDEX, index.high < HEAVY_INDEX
    top = above_null(per_layer(ds, "lambda_max"), per_draw(ds, "shuffled_lambda_max"))
    made, kept, ratio = top.low > MARGIN, top.high < MARGIN, np.exp(top.value)
    shuffled, gaussian = per_draw(ds, "shuffled_alpha"), per_draw(ds, "gaussian_lambda_max")
    below = above_null(alpha - 1, shuffled - 1)
    medians = f"Median alpha {np.nanmedian(alpha):.2f}, shuffled {np.nanmedian(shuffled):.2f}."
    R, p = (np.stack([per_layer(ds, f"{what}_{law}") for law in ("exponential", "log_normal")]) for what in "Rp")
    clear = p <= 0.05 / p.size
    other, power_law = np.any(clear & (R < 0), axis=0), np.all(clear & (R > 0), axis=0)
    no_power_law = "The tail of |w| is not a power law: exponential or log-normal describe it better"
    alarm = above_null(gaussian[:, 0], gaussian[:, 1:]).low > MARGIN
    control = (
        "Negative control: no Gaussian matrix of a layer's shape and variance passes for one with large eigenvalues"
    )
    networks = ", ".join(dict.fromkeys(str(name).split("/")[0] for name in ds.layer.values))
    return [
        share(
            statement, light & made, heavy | kept, f"Layers of {networks}.{inference.left_out([*mu, *shuffled.flat])}"
        ),
        share(
            f"The weights are not heavy-tailed: the tail index of |w| is above {HEAVY_INDEX:g}",
            light,
            heavy,
            f"CSN index of the {LARGEST} largest |w|: median {np.nanmedian(mu):.1f}, smallest {np.nanmin(mu):.1f}; "
            f"excess kurtosis: median {np.median(kurtosis):.1f}, largest {np.max(kurtosis):.1f}.",
        ),
        share(no_power_law, other, power_law, "By likelihood above the xmin of the power law."),
        share(
            "Shuffling its weights takes a layer's large eigenvalues away: lambda_max above 1.1 times that of its shuffles",
            made,
            kept,
            f"It is {np.median(ratio):.2f} times theirs in the median, {ratio.min():.2f} to {ratio.max():.2f}.",
        ),
        share("A layer's alpha is below that of its shuffles", below.high < 0, below.low > 0, medians),
        share(control, ~alarm, alarm, "One replicate of each against the others."),
    ]


def figure(ds):
    titles = ("tail index of |w|", "largest eigenvalue", "fitted alpha of the spectrum")
    fig, [[index], [top], [alpha]] = plots.figure(3, 1, titles, panel=(8, 3))
    at = np.arange(ds.layer.size)
    plots.points(index, at, tail_index(ds), "CSN, simultaneous 95 %")
    plots.curve(index, at, np.full(at.size, HEAVY_INDEX), f"heavy below {HEAVY_INDEX:g}")
    plots.points(top, at, per_layer(ds, "lambda_max"), "layer")
    plots.points(top, at, per_draw(ds, "shuffled_lambda_max"), "weights shuffled")
    plots.points(top, at, per_draw(ds, "gaussian_lambda_max"), "Gaussian")
    plots.points(alpha, at, per_layer(ds, "alpha"), "layer")
    plots.points(alpha, at, inference.median_interval(per_draw(ds, "shuffled_alpha")), "weights shuffled, median")
    alpha.set_xlabel("layer, in the order of the network's file")
    for ax, name in ((index, "tail index of |w|"), (top, "lambda_max"), (alpha, "alpha")):
        plots.log_ticks(plots.log_axes(ax, "y"), "y").set_ylabel(name)
    plots.legend(index, top, alpha)
    return fig


claim = rmt.Claim(
    name="weight-entries",
    title="Real layers: the eigenvalues are heavy-tailed, the weights are not",
    quote='"The eigenvalues are heavy-tailed; the weights are NOT".',
    source="Mahoney, slides Practical Theory and Neural Network Models, 2021; layers of networks that ship inside Python packages",
    criterion=f"For at least 90 % of the layers: the tail index of |w| is above {HEAVY_INDEX:g} (CSN on the {LARGEST} largest, 1.5 "
    "standard errors for each nominal one), and lambda_max is above 1.1 times that of its shuffled entries (Student's prediction "
    "interval of its logarithm); Bonferroni over the layers. Supported if that is certain for 90 % of them, contradicted if it is "
    "ruled out for more than 10 %.",
    sizes={
        "smoke": rmt.Size({"layer": realnets.layer_axis(2**16, 3)}, 10),
        "default": rmt.Size({"layer": realnets.layer_axis(2**18, 20)}, 20),
        "paper": rmt.Size({"layer": realnets.layer_axis(2**20)}, 100),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Layers of the networks of the zoo that were fetched before. Top: the tail index of the weights' sizes. Middle and bottom: "
    "lambda_max and alpha beside those of the same weights in random order, and of Gaussian matrices.",
)
