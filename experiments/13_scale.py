"""Claim 13: alpha log lambda_max ~ log ||W||_F^2 as a statement about shape: what W -> c W does to either side and to their order."""

import jax
import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, metrics, plots
from rmt.laws import ENTRY_LAWS

CLAIMED = (-0.1, 0.1)
KEPT = (0.9, 1.0)
ZERO_MEAN, AS_PUBLISHED = "signed Pareto", "Lomax"
SCALES = tuple(float(c) for c in 10 ** np.linspace(-2, 2, 9))


def measure(key, *, entries, N, mu):
    """Both sides of the relation for every c W, measured on c W: nothing is assumed of how a fit scales."""
    W = rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (N, N))

    def one(c):
        s = rmt.spectrum(c * W)
        fit = rmt.fit_tail(s)
        return fit.alpha, metrics.alpha_hat(s, fit), metrics.log_frobenius_norm(s)

    alpha, alpha_hat, log_frobenius = jax.lax.map(one, jnp.asarray(SCALES))
    return {"alpha": alpha, "alpha_hat": alpha_hat, "log_frobenius": log_frobenius}


def at(ds, name, entries):
    """(mu, trial, scale) at the largest N."""
    return ds[name].sel(entries=entries).isel(N=-1).transpose("mu", "trial", f"{name}_dim").values


def moved(values, unit):
    """Largest change from c = 1 to any other c, in units of `unit`: (mu, trial)."""
    return np.max(np.abs(values - values[..., [SCALES.index(1.0)]]), axis=-1) / unit


def judge_invariance(ds, name, unit, what):
    mu = ds.mu.values
    change = inference.mean_interval(moved(at(ds, name, ZERO_MEAN), unit), comparisons=len(mu))
    i, worst = inference.worst(change, CLAIMED)
    sentence = (
        f"{what} moves by {worst.value:.3g} at mu = {mu[i]:g} between c = 0.01 and 100, the worst of {len(mu)} values."
    )
    statement = f"{what} does not depend on the scale of W"
    return rmt.Verdict.of(statement, worst, CLAIMED, sentence)


def concordance(ds, entries):
    """Share of pairs of matrices, of one mu each, that alpha-hat and log ||W||_F^2 put into one order, at every c."""
    hat, norm = at(ds, "alpha_hat", entries), at(ds, "log_frobenius", entries)
    low, high = np.triu_indices(len(hat), 1)
    agree = np.sign(hat[low] - hat[high]) == np.sign(norm[low] - norm[high])
    return inference.mean_interval(np.moveaxis(agree.mean(axis=0), 0, -1), comparisons=len(SCALES))


def judge_order(ds):
    share = concordance(ds, ZERO_MEAN)
    i, worst = inference.worst(share, KEPT)
    sentence = (
        f"Of pairs with unlike mu {100 * worst.value:.0f} % are in one order at c = {SCALES[i]:.3g} and "
        f"{100 * share.value[SCALES.index(1.0)]:.0f} % at c = 1."
    )
    statement = "alpha log lambda_max orders matrices of unlike mu as log ||W||_F^2 does, at every scale"
    return rmt.Verdict.of(statement, worst, KEPT, sentence)


def check(ds):
    gap = ds.assign(gap=ds.alpha_hat - ds.log_frobenius.rename(log_frobenius_dim="alpha_hat_dim"))
    gap = gap.rename(alpha_hat_dim="gap_dim")
    size = np.abs(at(ds, "log_frobenius", ZERO_MEAN)[..., [SCALES.index(1.0)]])[..., 0]
    return [
        judge_invariance(gap, "gap", size, "alpha log lambda_max - log ||W||_F^2, in units of log ||W||_F^2 at c = 1,"),
        judge_order(ds),
        judge_invariance(ds, "alpha", 1.0, "Control: alpha"),
    ]


def figure(ds):
    fig, [[left, right]] = plots.figure(cols=2, titles=(f"the two sides of c W, {ZERO_MEAN}", "order of matrices"))
    for series, m in enumerate(ds.mu.values[:: max(1, ds.mu.size // 3)]):
        i = list(ds.mu.values).index(m)
        sides = at(ds, "alpha_hat", ZERO_MEAN)[i] - at(ds, "log_frobenius", ZERO_MEAN)[i]
        plots.points(left, SCALES, inference.mean_interval(sides, axis=0), f"mu = {m:g}", series)
    plots.published(left, SCALES, np.zeros(len(SCALES)), "the relation")
    left.set(xlabel="scale c", ylabel="left side - right side, decades")
    for entries in (ZERO_MEAN, AS_PUBLISHED):
        plots.points(right, SCALES, concordance(ds, entries), entries)
    right.set(xlabel="scale c", ylabel="pairs in one order", ylim=(0, 1.05))
    for ax in (left, right):
        plots.log_axes(ax, "x")
        plots.legend(ax)
    return fig


def _size(N, mu, n_trials):
    return rmt.Size({"entries": (ZERO_MEAN, AS_PUBLISHED), "N": N, "mu": mu}, n_trials)


claim = rmt.Claim(
    name="scale",
    title="alpha log lambda_max ~ log ||W||_F^2 under W -> c W",
    quote="PL-Norm relation: alpha log lambda_max ~ log ||W||_F^2, a norm of W given by the shape of its spectrum.",
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 3, eq 8",
    criterion="The difference of the two sides is free of the scale if it moves by less than 10 % of log ||W||_F^2 for every c from "
    "0.01 to 100 at every mu; the order, if at every c at least 90 % of pairs of matrices with unlike mu are in one order; "
    "control: alpha itself moves by less than 0.1. Simultaneous 95 % intervals, largest N.",
    sizes={
        "smoke": _size((100,), (0.5, 1.0, 1.5, 2.5, 3.5), 10),
        "default": _size((300,), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5), 30),
        "paper": _size((500,), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0), 100),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Left: how far apart the two sides of the relation are for c W, in decades; they move by 2 alpha log c and 2 log c. "
    "Right: share of pairs of matrices with unlike mu that both sides put into the same order.",
)
