"""Claim 14: norms of real layers beside heavy-tailed matrices of their shapes: the PL-Norm relation, and class by class."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import realnets
import rmt
from realnets.analysis import measure as analysed
from rmt import inference, metrics, plots
from rmt.sweeps import one_blas_thread

RISES, WITHIN, BEHAVES = (0.5, 1.0), (-0.1, 0.1), (0.9, 1.0)
MU = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
NONE = "no network"
LAYERS = realnets.cached_layers(max_entries=2**20) or (NONE,)
NAMES: tuple[str, ...] = (
    "alpha",
    "log_frobenius",
    "log_lambda_max",
    "log_stable_rank",
    "N",
    "drawn_alpha",
    "drawn_log_stable_rank",
)


def measure(key, *, layer, mu):
    """The layer, which is the same in every trial, and a signed Pareto matrix of its shape."""
    if layer == NONE:
        return dict.fromkeys(NAMES, jnp.nan)
    W = realnets.cached_layer(layer).W
    with one_blas_thread(), jax.ensure_compile_time_eval():  # as in workers, to the last bit
        row, _ = analysed(realnets.cached_layer(layer))
    s = rmt.spectrum(rmt.Pareto(mu).sample(key, W.shape))
    drawn = rmt.fit_tail(s).alpha, jnp.log10(metrics.stable_rank(s))
    norms = row["log_norm"], np.log10(row["lambda_max"]), row["log_norm"] - row["log_spectral_norm"]
    return dict(zip(NAMES, (row["alpha"], *norms, float(row["N"]), *drawn), strict=True))


def fixed(ds, name):
    """One number a layer."""
    return ds[name].isel(mu=0, trial=0).values


def draws(ds, name):
    """The synthetic matrices as (layer, mu, trial)."""
    return ds[name].transpose("layer", "mu", "trial").values


def matched(ds):
    """For each layer the mu whose mean log (alpha - 1) is nearest, and log10 stable ranks there as (layer, trial).

    The stable rank does not depend on the scale of W; with ||W||_F given, it is lambda_max.
    """
    log_alpha = np.nanmean(np.log(draws(ds, "drawn_alpha") - 1), axis=2)
    nearest = np.argmin(np.abs(log_alpha - np.log(fixed(ds, "alpha") - 1)[:, None]), axis=1)
    return nearest, draws(ds, "drawn_log_stable_rank")[np.arange(len(nearest)), nearest]


def rank_correlation(x, y):
    return float(np.corrcoef(stats.rankdata(x), stats.rankdata(y))[0, 1])


def relation(what, x, y, n_failed):
    """Spearman over layers, which stand for independent ones."""
    rho = inference.bootstrap_interval(rank_correlation, x, y, paired=True)
    statement = f"alpha log lambda_max and log ||W||_F^2 rise together over {what}"
    sentence = f"Spearman {rho.value:.2f} over {rho.n} of them; {n_failed} without a fit."
    return rmt.Verdict.of(statement, rho, RISES, sentence)


def same_number(ds):
    ratio = fixed(ds, "log_frobenius") / (fixed(ds, "alpha") * fixed(ds, "log_lambda_max"))
    middle = inference.median_interval(ratio - 1)
    sentence = (
        f"log ||W||_F^2 / (alpha log lambda_max) is {middle.value + 1:.2f} in the median layer, {np.min(ratio):.2f} to "
        f"{np.max(ratio):.2f}; lambda_max lies on both sides of 1, where the ratio diverges, if its sign changes."
    )
    statement = "In real layers alpha log lambda_max is log ||W||_F^2 within 10 %"
    return rmt.Verdict.of(statement, middle, WITHIN, sentence)


def inside(observed, null):
    """Whether each lies in the Student prediction interval of its replicates, simultaneously over the layers."""
    n = null.shape[1]
    half = stats.t.ppf(1 - 0.025 / len(null), n - 1) * null.std(axis=1, ddof=1) * np.sqrt(1 + 1 / n)
    return np.abs(observed - null.mean(axis=1)) <= half


def behaves(statement, within, sentence):
    share = inference.proportion_interval(int(within.sum()), within.size)
    sentence = f"{within.sum()} of {within.size} do. {sentence}"
    return rmt.Verdict.of(statement, share, BEHAVES, sentence)


def check(ds):
    if ds.layer.values[0] == NONE:
        sentence = "Not tested: no network of the zoo is cached here; `realnets zoo g2p` fetches a small one."
        return [rmt.Verdict("The PL-Norm relation in real layers", "inconclusive", np.nan, (-1.0, 1.0), 0, sentence)]
    nearest, ranks = matched(ds)
    rows = np.arange(len(nearest))
    frobenius, N = fixed(ds, "log_frobenius"), fixed(ds, "N")
    real = fixed(ds, "alpha") * fixed(ds, "log_lambda_max")
    # the synthetic matrices have the norm of their layer, as their scale is free
    drawn = draws(ds, "drawn_alpha")[rows, nearest, 0] * (frobenius - ranks[:, 0] - np.log10(N))
    gap = fixed(ds, "log_stable_rank") - ranks.mean(axis=1)
    middle = np.median(draws(ds, "drawn_log_stable_rank")[:, :, 1:], axis=2)
    return [
        relation("real layers", real, frobenius, int(np.isnan(real).sum())),
        relation("synthetic matrices of the same shape, norm and class", drawn, frobenius, int(np.isnan(drawn).sum())),
        same_number(ds),
        behaves(
            "A real layer has the stable rank of the class that its alpha puts it in",
            inside(fixed(ds, "log_stable_rank"), ranks),
            f"The others' class is the mu of nearest alpha; log10 of the stable rank is off by {np.median(gap):+.2f} in the median.",
        ),
        behaves(
            "Negative control: a synthetic matrix of that class has it",
            inside(ranks[:, 0], ranks[:, 1:]),
            f"One draw against the others of its mu; median log10 stable ranks are {middle.min():.1f} to {middle.max():.1f}.",
        ),
    ]


def figure(ds):
    fig, [[left, right]] = plots.figure(cols=2, titles=("PL-Norm relation", "stable rank against alpha"))
    if ds.layer.values[0] == NONE:
        return fig
    frobenius, N = fixed(ds, "log_frobenius"), fixed(ds, "N")
    alpha, ranks = draws(ds, "drawn_alpha"), draws(ds, "drawn_log_stable_rank")
    for i in range(0, ds.mu.size, 2):  # more classes would hide each other
        label = f"mu = {ds.mu.values[i]:g}"
        plots.points(left, alpha[:, i, 0] * (frobenius - ranks[:, i, 0] - np.log10(N)), frobenius, label)
        plots.points(right, alpha[:, i, 0], ranks[:, i, 0], label)
    plots.points(left, fixed(ds, "alpha") * fixed(ds, "log_lambda_max"), frobenius, "real layers")
    plots.points(right, fixed(ds, "alpha"), fixed(ds, "log_stable_rank"), "real layers")
    ends = np.array([np.nanmin(frobenius), np.nanmax(frobenius)])
    plots.published(left, ends, ends, "equal, as published")
    left.set(xlabel="alpha log10 lambda_max", ylabel="log10 ||W||_F^2")
    right.set(xlabel="fitted alpha", ylabel="log10 stable rank")
    plots.log_ticks(plots.log_axes(right, "x"), "x")
    for ax in (left, right):
        plots.legend(ax)
    return fig


def _small(count):
    """Layers of at most 256 x 256 entries."""
    return realnets.cached_layers(2**16, count) or (NONE,)


def _size(layers, n_trials):
    return rmt.Size({"layer": layers, "mu": MU}, n_trials)


claim = rmt.Claim(
    name="norms-of-layers",
    title="Norms of real layers: the PL-Norm relation, and the class that alpha names",
    quote="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2; the fitted alpha tells which heavy-tailed class a layer is in.",
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), eq 8 and section 2; layers of networks that ship inside Python packages",
    criterion="Supported if the rank correlation of both sides over the layers is above 0.5 (95 % bootstrap interval); equal: the "
    "median ratio within 10 % of 1; the class: at least 90 % of the layers have a stable rank within the simultaneous 95 % prediction "
    "intervals of signed Pareto matrices of their shape whose mean alpha is nearest.",
    sizes={"smoke": _size(_small(4), 6), "default": _size(_small(35), 20), "paper": _size(LAYERS, 100)},
    measure=measure,
    check=check,
    figure=figure,
    caption="Real layers beside signed Pareto matrices of the same shape: left both sides of the relation, the synthetic ones scaled "
    "to the norm of their layer; right the stable rank, which no scale moves, against alpha.",
)
