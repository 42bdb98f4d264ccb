"""Claim 23: in trained networks the eigenvalues are heavy-tailed and the weights are not - layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import realnets
import rmt
from realnets.analysis import measure as analysed
from rmt import inference, plots
from rmt.sweeps import one_blas_thread

NEARLY_ALL = (0.9, 1.0)
HEAVY_INDEX = 4.0  # entries with a smaller tail index make eigenvalues outside the bulk in any number
MARGIN = np.log(1.1)  # of lambda_max over that of the shuffled entries
SEARCHED = 1.5  # xmin was searched for, which the standard error given xmin leaves out
LARGEST = 2000  # weights whose tail is fitted: one shape for all layers
NONE = "no network"
LAYERS = realnets.cached_layers(max_entries=2**20) or (NONE,)


def measure(key, *, layer):
    """The layer itself, which is the same in every trial, and one draw of each of its nulls."""
    if layer == NONE:
        return dict.fromkeys(NAMES, jnp.nan)
    W = realnets.cached_layer(layer).W
    with one_blas_thread(), jax.ensure_compile_time_eval():  # as in workers, to the last bit
        fixed = of_layer(layer)
    shuffle, noise = jax.random.split(key)
    shuffled = rmt.spectrum(rmt.Shuffled(W).sample(shuffle, W.shape))
    gaussian = rmt.spectrum(W.mean() + rmt.Gaussian(W.std()).sample(noise, W.shape))
    drawn = {
        "shuffled_alpha": rmt.fit_tail(shuffled).alpha,
        "shuffled_lambda_max": shuffled.lambda_max,
        "gaussian_lambda_max": gaussian.lambda_max,
    }
    return {name: (fixed | drawn)[name] for name in NAMES}


def of_layer(name):
    layer = realnets.cached_layer(name)
    row, _ = analysed(layer)
    w = layer.W.ravel()
    tails = rmt.compare(jnp.asarray(np.sort(np.abs(w))[-LARGEST:]), (rmt.Exponential(), rmt.LogNormal()))
    p = [float(tails.p_vuong[0]), float(tails.p_nested[1])]
    return {
        "alpha": row["alpha"],
        "lambda_max": row["lambda_max"],
        "kurtosis": float(stats.kurtosis(w)),
        "mu": float(tails.power_law.alpha) - 1,
        "mu_stderr": SEARCHED * float(tails.power_law.stderr),
        "n_tail": float(tails.power_law.n_tail),
        "R_exponential": float(tails.R[0]),
        "p_exponential": p[0],
        "R_log_normal": float(tails.R[1]),
        "p_log_normal": p[1],
    }


NAMES: tuple[str, ...] = (
    *("alpha", "lambda_max", "kurtosis", "mu", "mu_stderr", "n_tail"),
    *("R_exponential", "p_exponential", "R_log_normal", "p_log_normal"),
    *("shuffled_alpha", "shuffled_lambda_max", "gaussian_lambda_max"),
)


def fixed(ds, name):
    """One number a layer."""
    return ds[name].isel(trial=0).values


def index_interval(ds):
    """mu of the entries of each layer, simultaneously."""
    half = stats.norm.ppf(1 - 0.025 / ds.layer.size) * fixed(ds, "mu_stderr")
    return fixed(ds, "mu") - half, fixed(ds, "mu") + half


def above_null(observed, null):
    """Interval of the logarithm of an observation over its null's mean: Student's, for one more log-normal replicate."""
    log_ratio, n = np.log(observed)[:, None] - np.log(null), np.sum(~np.isnan(null), axis=1)
    scale = np.nanstd(log_ratio, axis=1, ddof=1) * np.sqrt(1 + 1 / n)
    half = stats.t.ppf(1 - 0.025 / len(null), n - 1) * scale
    return np.nanmean(log_ratio, axis=1) - half, np.nanmean(log_ratio, axis=1) + half


def share(statement, certain, ruled_out, sentence, claimed=NEARLY_ALL):
    """A statement on all these layers: from those where it is certain to those where it is not ruled out."""
    interval = (float(np.mean(certain)), 1 - float(np.mean(ruled_out)))
    count = f"Certain for {np.sum(certain)} of {certain.size} layers, ruled out for {np.sum(ruled_out)}. "
    return rmt.Verdict.judge(statement, interval[0], interval, claimed, certain.size, count + sentence)


def check(ds):
    statement = "The eigenvalues of trained layers are heavy-tailed, their weights are not"
    if ds.layer.values[0] == NONE:
        sentence = "Not tested: no network of the zoo is cached here; `realnets zoo g2p` fetches a small one."
        return [rmt.Verdict(statement, "inconclusive", np.nan, (0.0, 1.0), 0, sentence)]
    (low, high), L = index_interval(ds), ds.layer.size
    light, heavy = low > HEAVY_INDEX, high < HEAVY_INDEX
    top_low, top_high = above_null(fixed(ds, "lambda_max"), ds.shuffled_lambda_max.transpose("layer", "trial").values)
    made, kept = top_low > MARGIN, top_high < MARGIN
    below_low, below_high = above_null(fixed(ds, "alpha") - 1, ds.shuffled_alpha.transpose("layer", "trial").values - 1)
    R, p = (np.stack([fixed(ds, f"{what}_{law}") for law in ("exponential", "log_normal")]) for what in "Rp")
    clear = p <= 0.05 / (2 * L)
    other, power = np.any(clear & (R < 0), axis=0), np.all(clear & (R > 0), axis=0)
    failed = int(np.isnan(fixed(ds, "mu")).sum() + np.isnan(ds.shuffled_alpha).sum())
    networks = ", ".join(dict.fromkeys(str(name).split("/")[0] for name in ds.layer.values))
    ratio = np.exp((top_low + top_high) / 2)
    control = ds.gaussian_lambda_max.transpose("layer", "trial").values
    alarm = above_null(control[:, 0], control[:, 1:])[0] > MARGIN
    return [
        share(statement, light & made, heavy | kept, f"Layers of {networks}; {failed} fits failed."),
        share(
            f"The weights are not heavy-tailed: the tail index of |w| is above {HEAVY_INDEX:g}",
            light,
            heavy,
            f"CSN index of the {LARGEST} largest |w|: median {np.nanmedian(fixed(ds, 'mu')):.1f}, smallest "
            f"{np.nanmin(fixed(ds, 'mu')):.1f}; excess kurtosis: median {np.median(fixed(ds, 'kurtosis')):.1f}, "
            f"largest {np.max(fixed(ds, 'kurtosis')):.1f}.",
        ),
        share(
            "The tail of |w| is not a power law: exponential or log-normal describe it better",
            other,
            power,
            "By likelihood above the xmin of the power law.",
        ),
        share(
            "Shuffling its weights takes a layer's large eigenvalues away: lambda_max above 1.1 times that of its shuffles",
            made,
            kept,
            f"lambda_max is {np.median(ratio):.2f} times that of the shuffled layer in the median, {ratio.min():.2f} to "
            f"{ratio.max():.2f}.",
        ),
        share(
            "A layer's alpha is below that of its shuffles",
            below_high < 0,
            below_low > 0,
            f"Median alpha {np.nanmedian(fixed(ds, 'alpha')):.2f}, shuffled {np.nanmedian(ds.shuffled_alpha):.2f}.",
        ),
        share(
            "Negative control: no Gaussian matrix of a layer's shape and variance passes for one with large eigenvalues",
            ~alarm,
            alarm,
            "One replicate of each against the others.",
        ),
    ]


def figure(ds):
    titles = ("tail index of |w|", "largest eigenvalue", "fitted alpha of the spectrum")
    fig, axes = plots.figure(3, 1, titles, panel=(8, 3))
    at = np.arange(ds.layer.size)
    low, high = index_interval(ds)
    plots.points(axes[0, 0], at, inference.Estimate(fixed(ds, "mu"), low, high, at), "CSN, simultaneous 95 %")
    plots.curve(axes[0, 0], at, np.full(at.size, HEAVY_INDEX), f"heavy below {HEAVY_INDEX:g}")
    axes[0, 0].set(ylabel="tail index of |w|")
    plots.points(axes[1, 0], at, fixed(ds, "lambda_max"), "layer")
    plots.points(axes[1, 0], at, ds.shuffled_lambda_max.transpose("layer", "trial").values, "weights shuffled")
    plots.points(axes[1, 0], at, ds.gaussian_lambda_max.transpose("layer", "trial").values, "Gaussian")
    plots.points(axes[2, 0], at, fixed(ds, "alpha"), "layer")
    shuffled = inference.median_interval(ds.shuffled_alpha.transpose("layer", "trial").values)
    plots.points(axes[2, 0], at, shuffled, "weights shuffled, median")
    axes[1, 0].set(ylabel="lambda_max")
    axes[2, 0].set(ylabel="alpha", xlabel="layer, in the order of the network's file")
    for ax in axes.flat:
        plots.log_ticks(plots.log_axes(ax, "y"), "y")
        plots.legend(ax)
    return fig


def _small(count):
    """Layers of at most 256 x 256 entries."""
    return realnets.cached_layers(2**16, count) or (NONE,)


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
        "smoke": rmt.Size({"layer": _small(4)}, 10),
        "default": rmt.Size({"layer": _small(35)}, 20),
        "paper": rmt.Size({"layer": LAYERS}, 100),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Layers of the networks of the zoo that were fetched before. Top: the tail index of the weights' sizes. Middle and bottom: "
    "lambda_max and alpha beside those of the same weights in random order, and of Gaussian matrices.",
)
