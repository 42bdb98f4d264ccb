"""Claim 14: norms of real layers beside heavy-tailed matrices of their shapes: the PL-Norm relation, and class by class."""

import jax.numpy as jnp
import numpy as np

import realnets
import rmt
from realnets import per_draw, per_layer
from realnets.analysis import measure as analysed
from rmt import inference, metrics, plots

RISES, WITHIN, BEHAVES = (0.5, 1.0), (-0.1, 0.1), (0.9, 1.0)
MU = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
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
    if layer == realnets.NO_NETWORK:
        return dict.fromkeys(NAMES, jnp.nan)
    W = realnets.cached_layer(layer).W
    with realnets.eagerly():
        row, _ = analysed(realnets.cached_layer(layer))
    s = rmt.spectrum(rmt.Pareto(mu).sample(key, W.shape))
    drawn = rmt.fit_tail(s).alpha, jnp.log10(metrics.stable_rank(s))
    norms = row["log_norm"], np.log10(row["lambda_max"]), row["log_norm"] - row["log_spectral_norm"]
    return dict(zip(NAMES, (row["alpha"], *norms, float(row["N"]), *drawn), strict=True))


def matched(ds):
    """For each layer the mu whose mean log (alpha - 1) is nearest, and log10 stable ranks there as (layer, trial).

    The stable rank does not depend on the scale of W; with ||W||_F given, it is lambda_max.
    """
    log_alpha = np.nanmean(np.log(per_draw(ds, "drawn_alpha") - 1), axis=2)
    nearest = np.argmin(np.abs(log_alpha - np.log(per_layer(ds, "alpha") - 1)[:, None]), axis=1)
    return nearest, per_draw(ds, "drawn_log_stable_rank")[np.arange(len(nearest)), nearest]


def alpha_hat(alpha, log_frobenius, log_stable_rank, N):
    """alpha log10 lambda_max, lambda_max = ||W||_F^2 / (N stable rank)."""
    return alpha * (log_frobenius - log_stable_rank - np.log10(N))


def relation(what, x, y):
    """Spearman over layers, which stand for independent ones."""
    rho = inference.rank_correlation(x, y)
    statement = f"alpha log lambda_max and log ||W||_F^2 rise together over {what}"
    return rmt.Verdict.of(statement, rho, RISES, f"Spearman {rho.value:.2f} over {rho.n}.{inference.left_out(x)}")


def same_number(ds):
    ratio = per_layer(ds, "log_frobenius") / (per_layer(ds, "alpha") * per_layer(ds, "log_lambda_max"))
    middle = inference.median_interval(ratio - 1)
    sentence = (
        f"log ||W||_F^2 / (alpha log lambda_max) is {middle.value + 1:.2f} in the median layer, {np.min(ratio):.2f} to "
        f"{np.max(ratio):.2f}; lambda_max lies on both sides of 1, where the ratio diverges, if its sign changes."
    )
    statement = "In real layers alpha log lambda_max is log ||W||_F^2 within 10 %"
    return rmt.Verdict.of(statement, middle, WITHIN, sentence)


def behaves(statement, observed, replicates, sentence):
    """In how many layers a number lies where one more of its replicates would, simultaneously over the layers."""
    null = inference.prediction_interval(replicates, comparisons=len(replicates))
    within = (null.low <= observed) & (observed <= null.high)
    share = inference.proportion_interval(int(within.sum()), within.size)
    return rmt.Verdict.of(statement, share, BEHAVES, f"{within.sum()} of {within.size} do. {sentence}")


def check(ds):
    if ds.layer.values[0] == realnets.NO_NETWORK:
        return [rmt.Verdict.not_tested("The PL-Norm relation in real layers", realnets.NOT_CACHED)]
    nearest, ranks = matched(ds)
    frobenius, rank = per_layer(ds, "log_frobenius"), per_layer(ds, "log_stable_rank")
    real = per_layer(ds, "alpha") * per_layer(ds, "log_lambda_max")
    alpha = per_draw(ds, "drawn_alpha")[np.arange(len(nearest)), nearest, 0]
    drawn = alpha_hat(alpha, frobenius, ranks[:, 0], per_layer(ds, "N"))  # their scale is free: the norm of their layer
    gap = np.median(rank - ranks.mean(axis=1))
    middle = np.median(per_draw(ds, "drawn_log_stable_rank")[:, :, 1:], axis=2)
    return [
        relation("real layers", real, frobenius),
        relation("synthetic matrices of the same shape, norm and class", drawn, frobenius),
        same_number(ds),
        behaves(
            "A real layer has the stable rank of the class that its alpha puts it in",
            rank,
            ranks,
            f"The others' class is the mu of nearest alpha; log10 of the stable rank is off by {gap:+.2f} in the median.",
        ),
        behaves(
            "Negative control: a synthetic matrix of that class has it",
            ranks[:, 0],
            ranks[:, 1:],
            f"One draw against the others of its mu; median log10 stable ranks are {middle.min():.1f} to {middle.max():.1f}.",
        ),
    ]


def figure(ds):
    fig, [[left, right]] = plots.figure(cols=2, titles=("PL-Norm relation", "stable rank against alpha"))
    if ds.layer.values[0] == realnets.NO_NETWORK:
        return fig
    frobenius, N = per_layer(ds, "log_frobenius"), per_layer(ds, "N")
    alpha, ranks = per_draw(ds, "drawn_alpha")[..., 0], per_draw(ds, "drawn_log_stable_rank")[..., 0]
    for i in range(0, ds.mu.size, 2):  # more classes would hide each other
        label = f"mu = {ds.mu.values[i]:g}"
        plots.points(left, alpha_hat(alpha[:, i], frobenius, ranks[:, i], N), frobenius, label)
        plots.points(right, alpha[:, i], ranks[:, i], label)
    plots.points(left, per_layer(ds, "alpha") * per_layer(ds, "log_lambda_max"), frobenius, "real layers")
    plots.points(right, per_layer(ds, "alpha"), per_layer(ds, "log_stable_rank"), "real layers")
    ends = np.array([np.nanmin(frobenius), np.nanmax(frobenius)])
    plots.published(left, ends, ends, "equal, as published")
    left.set(xlabel="alpha log10 lambda_max", ylabel="log10 ||W||_F^2")
    right.set(xlabel="fitted alpha", ylabel="log10 stable rank")
    plots.log_ticks(plots.log_axes(right, "x"), "x")
    plots.legend(left, right)
    return fig


def _size(n_trials, *layers):
    return rmt.Size({"layer": realnets.layer_axis(*layers), "mu": MU}, n_trials)


claim = rmt.Claim(
    name="norms-of-layers",
    title="Norms of real layers: the PL-Norm relation, and the class that alpha names",
    quote="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2; the fitted alpha tells which heavy-tailed class a layer is in.",
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), eq 8 and section 2; layers of networks that ship inside Python packages",
    criterion="Supported if the rank correlation of both sides over the layers is above 0.5 (95 % bootstrap interval); equal: the "
    "median ratio within 10 % of 1; the class: at least 90 % of the layers have a stable rank within the simultaneous 95 % prediction "
    "intervals of signed Pareto matrices of their shape whose mean alpha is nearest.",
    sizes={"smoke": _size(6, 2**16, 3), "default": _size(20, 2**18, 20), "paper": _size(100, 2**20)},
    measure=measure,
    check=check,
    figure=figure,
    caption="Real layers beside signed Pareto matrices of the same shape: left both sides of the relation, the synthetic ones scaled "
    "to the norm of their layer; right the stable rank, which no scale moves, against alpha.",
)
