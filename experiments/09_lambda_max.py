"""Claim 9: the largest eigenvalue of a Pareto-mu matrix grows as N^(4/mu - 1), and what happens above mu = 4."""

import jax.numpy as jnp
import numpy as np

import rmt
from rmt import inference, plots
from rmt.laws import ENTRY_LAWS

CLAIMED = (-0.1, 0.1)
MU = (0.5, 1.0, 1.5, 2.0, 2.25, 2.5, 3.0, 3.5, 3.75, 4.5, 5.0)
ZERO_MEAN, AS_PUBLISHED = "signed Pareto", "Lomax"


def measure(key, *, entries, N, mu):
    s = rmt.spectrum(rmt.IID(ENTRY_LAWS[entries](mu)).sample(key, (N, N)))
    return {"log_lambda_max": jnp.log10(s.lambda_max)}


def slopes(ds, entries, low, high):
    """Slope of log10 lambda_max in log10 N at each mu on [low, high], with simultaneous intervals."""
    part = ds.log_lambda_max.sel(entries=entries, mu=slice(low, high)).transpose("mu", "N", "trial")
    log_N = np.log10(ds.N.values)
    lines = [inference.fit_line(log_N, part.sel(mu=mu).values, comparisons=part.mu.size) for mu in part.mu.values]
    return part.mu.values, inference.stack([line.slope for line in lines])


def judge(ds, entries, low, high, exponent, statement):
    """Largest error of the exponent, relative to it where it is above 1."""
    mu, slope = slopes(ds, entries, low, high)
    error = slope.map(lambda a: (a - exponent(mu)) / np.maximum(1, exponent(mu)))
    i, worst = inference.worst(error, CLAIMED)
    sentence = (
        f"At mu = {mu[i]:g} lambda_max goes as N^{slope.value[i]:.3f}, where {exponent(mu)[i]:.3f} is claimed; "
        f"the worst of {len(mu)}."
    )
    return rmt.Verdict.of(statement, worst, CLAIMED, sentence)


def published(mu):
    return 4 / mu - 1


def flat(mu):
    return 0 * mu


def check(ds):
    law = "lambda_max ~ N^(4/mu - 1)"
    return [
        judge(ds, ZERO_MEAN, 0.5, 3.75, published, f"{law} for 0 < mu < 4, zero-mean entries"),
        judge(ds, ZERO_MEAN, 0.5, 2.0, published, f"{law} for mu <= 2, zero-mean entries"),
        judge(ds, ZERO_MEAN, 2.25, 3.75, published, f"{law} for 2 < mu < 4, zero-mean entries"),
        judge(ds, ZERO_MEAN, 4.25, None, flat, "lambda_max stops growing above mu = 4, zero-mean entries"),
        judge(ds, AS_PUBLISHED, 2.25, 3.75, published, f"{law} for 2 < mu < 4, Lomax as published"),
    ]


def figure(ds):
    fig, [[left, right]] = plots.figure(cols=2, titles=(f"growth, {ZERO_MEAN}", "exponent of N"))
    N = ds.N.values
    for mu in (1.0, 2.0, 3.0, 5.0):
        values = inference.mean_interval(ds.log_lambda_max.sel(entries=ZERO_MEAN, mu=mu)).map(lambda y: 10**y)
        plots.points(left, N, values, f"mu = {mu:g}")
        label = "N^(4/mu - 1)" if mu == 1 else None
        plots.published(left, N, values.value[0] * (N / N[0]) ** published(mu), label)
    plots.log_axes(left)
    plots.ticks_at(left, N)
    left.set(xlabel="N", ylabel="lambda_max, geometric mean")
    for entries in (ZERO_MEAN, AS_PUBLISHED):
        mu, slope = slopes(ds, entries, 1.0, None)
        plots.points(right, mu, slope, entries)
    fine = np.linspace(1, 4, 200)
    plots.published(right, fine, published(fine), "4 / mu - 1")
    right.set(xlabel="mu", ylabel="exponent of N")
    plots.legend(left)
    plots.legend(right)
    return fig


def _size(N, mu, n_trials):
    return rmt.Size({"entries": (ZERO_MEAN, AS_PUBLISHED), "N": N, "mu": mu}, n_trials)


claim = rmt.Claim(
    name="lambda-max",
    title="lambda_max ~ N^(4/mu - 1)",
    quote="lambda_max ~ N^(4/mu - 1) for square matrices with 0 < mu < 4, whose far-tail statistics are Frechet; above mu = 4, "
    '"TW with large finite size corrections".',
    source="Martin & Mahoney, SDM 2020 (arXiv:1901.08278), section 2, eq 5; Auffinger, Ben Arous & Peche 2009",
    criterion="Supported if at every mu of the range the exponent of N is within 0.1 of 4/mu - 1 (10 % of it where it is above "
    "1), contradicted if at some mu it is certainly not; simultaneous 95 % intervals of the slope of log lambda_max in log N.",
    sizes={
        "smoke": _size((50, 100, 200), (1.0, 2.0, 3.0, 3.75, 5.0), 24),
        "default": _size((50, 150, 400), MU, 100),
        "paper": _size((50, 200, 800), MU, 400),
    },
    measure=measure,
    check=check,
    figure=figure,
    caption="Left: geometric mean of lambda_max against N. Right: the exponent of N with simultaneous 95 % intervals, for entries "
    "with zero mean and for the published one-sided ones, whose mean is a rank-one spike that grows as N.",
)
